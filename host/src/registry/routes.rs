//! Routes: which global handlers want a message, matched without instantiating anything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::activity::Activity;
use crate::plugin::Plugin;
use crate::threads::{Pace, go};

/// One route of one plugin of a generation.
#[derive(Debug, Clone)]
struct Entry {
    plugin: usize,
    route: usize,
    score: f64,
    order: i64,
}

/// The routes of a generation, in the order in which they are tried.
#[derive(Debug, Default)]
pub struct Routes {
    entries: Vec<Entry>,
    have_controls: bool,
}

/// A route that wants the message: the plugin's position and the route's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) plugin: usize,
    pub(crate) name: String,
}

/// After so much time in patterns a turn lets others go first.
const YIELD_AFTER: Duration = Duration::from_millis(1);
/// The longest message that a route can match, in characters.
const TEXT_CHARS_MAX: usize = 2_000;

impl Routes {
    /// Sorts all routes: highest score first, then lowest order, then the order of the configuration.
    pub fn new(plugins: &[Arc<Plugin>]) -> Self {
        let mut entries = Vec::new();
        for (position, plugin) in plugins.iter().enumerate() {
            for (route, described) in plugin.manifest.routes.iter().enumerate() {
                entries.push(Entry { plugin: position, route, score: described.score, order: described.order });
            }
        }
        entries.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.order.cmp(&b.order)).then(a.plugin.cmp(&b.plugin)));
        let have_controls = plugins.iter().any(|plugin| plugin.manifest.routes.iter().any(|route| route.controls));
        Self { entries, have_controls }
    }

    /// Whether the best route that wants this activity controls the conversation.
    pub(crate) async fn controls(&self, plugins: &[Arc<Plugin>], activity: &Activity) -> bool {
        if !self.have_controls {
            return false;
        }
        let best = self.matches(plugins, activity).await.into_iter().next();
        let route = best.and_then(|found| {
            let routes = &plugins.get(found.plugin)?.manifest.routes;
            routes.iter().find(|route| route.name == found.name)
        });
        route.is_some_and(|route| route.controls)
    }

    /// Returns the routes that want this activity, best first.
    ///
    /// A pattern takes time that is linear in the text, but there may be many: what takes long goes on in the threads of slow
    /// guests, and others get their turn between two patterns.
    pub(crate) async fn matches(&self, plugins: &[Arc<Plugin>], activity: &Activity) -> Vec<Match> {
        if activity.kind() != "message" || self.entries.is_empty() {
            return Vec::new();
        }
        // As it was meant, and where a pattern is about escapes or quotes, as it was written.
        let mut texts = vec![activity.heard_text(), activity.spoken_text()];
        texts.dedup();
        // A pattern matches the whole text, and nobody calls for help at such length.
        texts.retain(|text| text.chars().nth(TEXT_CHARS_MAX).is_none());
        let locale = activity.str("locale");
        let mut found = Vec::new();
        let (mut since, mut is_slow) = (Instant::now(), false);
        for entry in &self.entries {
            let route = plugins.get(entry.plugin).and_then(|plugin| plugin.manifest.routes.get(entry.route));
            if let Some(route) = route.filter(|route| texts.iter().any(|text| route.matches(text, locale))) {
                found.push(Match { plugin: entry.plugin, name: route.name.clone() });
            }
            if since.elapsed() > YIELD_AFTER {
                go(Pace::Slow).await;
                tokio::task::yield_now().await;
                (since, is_slow) = (Instant::now(), true);
            }
        }
        if is_slow {
            go(Pace::Quick).await;
        }
        found
    }
}

//! What shows only when the bots of a configuration are made: nothing is kept, bound or served.

mod files;

use std::sync::Arc;

use bytes::Bytes;

use crate::cli::admin::read_component;
use crate::config::Grants;
use crate::config::{Allocator, BotSpec, Config, Keys, Places, PluginSpec, Problems};
use crate::plugin::{Code, LoadError, Plugin, Runtime};

/// What was found in a configuration whose file is fine.
pub(super) struct Findings {
    /// What keeps a bot from serving as configured.
    pub(super) problems: Problems,
    /// What may be meant otherwise.
    pub(super) warnings: Problems,
}

/// Findings with the keys that they are about.
#[derive(Default)]
struct Found {
    problems: Vec<(Keys, String)>,
    warnings: Vec<(Keys, String)>,
}

/// Looks at the bots of a configuration; `offline`: without their components.
pub(super) async fn findings(config: &Config, offline: bool) -> anyhow::Result<Findings> {
    let places = Places::read(&config.path)?;
    let mut found = Found::default();
    found.problems.extend(files::problems(config));
    for bot in config.bots.values() {
        found.look_at(bot);
    }
    if !offline {
        let settings = crate::config::Runtime { allocator: Allocator::OnDemand, ..config.runtime.clone() };
        // A store of compiled code would be that of a running host.
        let runtime = Runtime::uncached(&settings)?;
        // Code is shared as long as somebody has it, and bots share components.
        let mut codes = Vec::new();
        for bot in config.bots.values() {
            for (index, plugin) in bot.plugins.iter().enumerate() {
                let place = Place { bot: &bot.name, index };
                match load(&runtime, plugin, &mut codes).await {
                    Ok(code) => match runtime.probe(&bot.name, code, plugin, runtime.slow_share()).await {
                        Ok(loaded) => found.look_at_grants(&places, &place, plugin, &loaded),
                        Err(error) => found.unfit(&place, plugin, error)?,
                    },
                    Err(error) => found.unfit(&place, plugin, error)?,
                }
            }
        }
    }
    Ok(Findings { problems: places.problems(found.problems), warnings: places.problems(found.warnings) })
}

async fn load(runtime: &Runtime, plugin: &PluginSpec, codes: &mut Vec<Arc<Code>>) -> Result<Arc<Code>, LoadError> {
    let component = read_component(&plugin.component).map_err(|error| LoadError::Unfit(vec![format!("{error:#}")]))?;
    let code = runtime.load(Bytes::from(component)).await?;
    codes.push(code.clone());
    Ok(code)
}

/// A plugin in the file.
struct Place<'a> {
    bot: &'a str,
    index: usize,
}

impl Place<'_> {
    /// A key of the plugin, with those below it.
    fn keys(&self, below: &[&str]) -> Keys {
        let index = self.index.to_string();
        let keys = ["bots", self.bot, "plugins", &index];
        keys.iter().chain(below).map(|key| (*key).to_owned()).collect()
    }
}

impl Found {
    /// What the host says of a bot without asking its components.
    fn look_at(&mut self, bot: &BotSpec) {
        let keys = |key: &str| ["bots", &bot.name, key].map(ToOwned::to_owned).to_vec();
        if bot.app_id.is_some() && bot.enabled {
            let message = format!(
                "bot \"{}\" has an `app-id`, so it answers 401 to everything: this release cannot validate tokens. Take the \
                 `app-id` out and keep the host on loopback, or set `enabled = false` until then",
                bot.name
            );
            self.problems.push((keys("app-id"), message));
        }
        if let Some(why) = bot.notify_key_file.as_deref().and_then(files::unreadable_key) {
            let message = format!("{why}, so no service can let the bot \"{}\" speak", bot.name);
            self.problems.push((keys("notify-key-file"), message));
        }
    }

    /// Why a plugin cannot serve. A failure of this machine is an error of the command.
    fn unfit(&mut self, place: &Place<'_>, plugin: &PluginSpec, error: LoadError) -> anyhow::Result<()> {
        let problems = match error {
            LoadError::Host(error) => return Err(error),
            error => error.problems(),
        };
        self.problems.extend(problems.into_iter().map(|problem| {
            // `settings: …`, or «settings: `NAME/…`: …»
            let setting = problem.strip_prefix("settings: ").map(|rest| {
                let path = rest.strip_prefix('`').and_then(|rest| rest.split_once('`')).map_or("", |(path, _)| path);
                std::iter::once("settings").chain(path.split('/')).filter(|key| !key.is_empty()).collect::<Vec<_>>()
            });
            let keys = place.keys(&setting.unwrap_or(vec!["component"]));
            (keys, format!("bot \"{}\", plugin \"{}\": {problem}", place.bot, plugin.name))
        }));
        Ok(())
    }

    /// What a plugin wants and does not get, and what it gets and does not want.
    ///
    /// That is a problem where a role of the plugin is nothing without the grant. Others may do without; of them is warned,
    /// unless the file says that they shall.
    fn look_at_grants(&mut self, places: &Places, place: &Place<'_>, plugin: &PluginSpec, loaded: &Plugin) {
        let name = |grant: &str| grant.split(' ').next().unwrap_or_default().to_owned();
        let named = format!("bot \"{}\", plugin \"{}\"", place.bot, plugin.name);
        for grant in Grants::lacking(&loaded.manifest.wanted, &plugin.grants) {
            let keys = place.keys(&["grants", &name(&grant)]);
            let is_role = loaded.manifest.roles.contains(&name(&grant));
            match (is_role, places.has(&keys)) {
                (true, false) => {
                    let message = format!(
                        "{named} has the role `{}`, which does nothing without its grant; set `grants.{grant}`",
                        name(&grant)
                    );
                    self.problems.push((keys, message));
                }
                (false, true) => {}
                _ => {
                    let message =
                        format!("warning: {named} asks for `grants.{grant}`, and what needs it will be denied");
                    self.warnings.push((keys, message));
                }
            }
        }
        for grant in Grants::lacking(&plugin.grants, &loaded.manifest.wanted) {
            let keys = place.keys(&["grants", &name(&grant)]);
            self.warnings.push((
                keys,
                format!("warning: {named} does not ask for `grants.{grant}`, so it has no effect; take it out"),
            ));
        }
    }
}

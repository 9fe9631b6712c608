//! Checks that load the bots of a configuration. Nothing is stored, bound or served.

mod files;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::cli::admin::read_component;
use crate::config::{Allocator, BotSpec, Config, Grants, Keys, Places, PluginSpec, Problems, Reading};
use crate::http::admin::Setting;
use crate::plugin::manifest::SettingsProblem;
use crate::plugin::{Code, LoadError, Manifest, Runtime};

/// Findings about a configuration, including the problems of its file.
pub(super) struct Findings {
    /// Findings that keep a bot from serving as configured.
    pub(super) problems: Problems,
    /// Findings that may be unintended.
    pub(super) warnings: Problems,
}

/// Findings with the keys they concern.
#[derive(Default)]
struct Found {
    problems: Vec<(Keys, String)>,
    warnings: Vec<(Keys, String)>,
}

/// Checks the valid parts of a configuration. With `offline`, components are not loaded.
pub(super) async fn findings(path: &Path, reading: &Reading, offline: bool) -> anyhow::Result<Findings> {
    let of_file = reading.problems.clone();
    let Some(config) = &reading.config else {
        return Ok(Findings { problems: of_file, warnings: Problems::none(path) });
    };
    let places = Places::read(path)?;
    let mut found = Found::default();
    found.problems.extend(files::problems(config, |section| reading.is_sound(section)));
    for bot in config.bots.values().filter(|bot| reading.is_sound_bot(&bot.name)) {
        found.look_at(bot);
    }
    if !offline {
        found.ask_components(config, reading, &places).await?;
    }
    let problems = of_file.with(places.problems(found.problems));
    Ok(Findings { problems, warnings: places.problems(found.warnings) })
}

async fn load(runtime: &Runtime, plugin: &PluginSpec, codes: &mut Vec<Arc<Code>>) -> Result<Arc<Code>, LoadError> {
    let component = read_component(&plugin.component).map_err(|error| LoadError::Unfit(vec![format!("{error:#}")]))?;
    let code = runtime.load(Bytes::from(component)).await?;
    codes.push(code.clone());
    Ok(code)
}

/// Returns a problem with a setting at the key of the setting. A problem with the schema is at the component.
fn of_setting(place: &Place<'_>, SettingsProblem { keys, message }: SettingsProblem) -> (Keys, String) {
    let below: Vec<&str> = match message.strip_prefix("settings: ") {
        Some(_) => std::iter::once("settings").chain(keys.iter().map(String::as_str)).collect(),
        None => vec!["component"],
    };
    (place.keys(&below), format!("{}: {message}", place.named()))
}

/// A plugin of the configuration, with its bot.
struct Place<'a> {
    bot: &'a Arc<str>,
    plugin: &'a PluginSpec,
}

impl Place<'_> {
    /// Returns the path of a key below the plugin.
    fn keys(&self, below: &[&str]) -> Keys {
        let position = self.plugin.position.to_string();
        let keys = ["bots", self.bot, "plugins", &position];
        keys.iter().chain(below).map(|key| (*key).to_owned()).collect()
    }

    fn named(&self) -> String {
        format!("bot \"{}\", plugin \"{}\"", self.bot, self.plugin.name)
    }
}

impl Found {
    /// Checks a bot without its components.
    fn look_at(&mut self, bot: &BotSpec) {
        let keys = |key: &str| ["bots", &bot.name, key].map(ToOwned::to_owned).to_vec();
        if bot.registration.as_ref().is_some_and(|registration| registration.credential.is_none()) {
            let message = format!(
                "warning: bot \"{}\" has an `app-id` and no credential in `auth`, so it can answer in HTTP responses only; set \
                 `auth.secret`, `auth.certificate` or `auth.federated-token-file`",
                bot.name
            );
            self.warnings.push((keys("app-id"), message));
        }
        let key_file = bot.notify_key_file.as_deref();
        if let Some(why) = key_file.and_then(|path| files::unreadable_key(Setting::NotifyKeyFile, path)) {
            let message = format!("{why}, so no service can send notifications through the bot \"{}\"", bot.name);
            self.problems.push((keys("notify-key-file"), message));
        }
    }

    /// Reads the manifests of plugins whose own keys have no problems, and checks their settings and grants against them.
    async fn ask_components(&mut self, config: &Config, reading: &Reading, places: &Places) -> anyhow::Result<()> {
        let settings = crate::config::Runtime { allocator: Allocator::OnDemand, ..config.runtime.clone() };
        // Without a cache, because a running host may use the configured one.
        let runtime = Runtime::uncached(&settings)?;
        // Keep the loaded code: bots that share a component then share its code, which is compiled once.
        let mut codes = Vec::new();
        let plugins =
            config.bots.values().flat_map(|bot| bot.plugins.iter().map(|plugin| Place { bot: &bot.name, plugin }));
        for place in plugins.filter(|place| reading.is_sound_plugin(place.bot, place.plugin.position)) {
            let described = match load(&runtime, place.plugin, &mut codes).await {
                Ok(code) => runtime.describe(place.bot, code, place.plugin, runtime.share()).await,
                Err(error) => Err(error),
            };
            match described {
                Ok(plugin) => {
                    let problems = plugin.manifest.check_settings(&place.plugin.settings);
                    self.problems.extend(problems.into_iter().map(|problem| of_setting(&place, problem)));
                    self.look_at_grants(places, &place, &plugin.manifest);
                }
                // A failure of this machine is an error of the command.
                Err(LoadError::Host(error)) => return Err(error),
                Err(error) => {
                    let told = |problem| (place.keys(&["component"]), format!("{}: {problem}", place.named()));
                    self.problems.extend(error.problems().into_iter().map(told));
                }
            }
        }
        Ok(())
    }

    /// Compares the grants that a plugin wants with those it gets.
    ///
    /// A missing grant is a problem if a role of the plugin needs it. Other missing grants are warnings, unless the
    /// configuration denies them explicitly. Unused grants are warnings.
    fn look_at_grants(&mut self, places: &Places, place: &Place<'_>, manifest: &Manifest) {
        let name = |grant: &str| grant.split(' ').next().unwrap_or_default().to_owned();
        let (named, granted) = (place.named(), &place.plugin.grants);
        for grant in Grants::lacking(&manifest.wanted, granted) {
            let keys = place.keys(&["grants", &name(&grant)]);
            let is_role = manifest.roles.contains(&name(&grant));
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
                        format!("warning: {named} asks for `grants.{grant}`, and calls that need it will be denied");
                    self.warnings.push((keys, message));
                }
            }
        }
        for grant in Grants::lacking(granted, &manifest.wanted) {
            let keys = place.keys(&["grants", &name(&grant)]);
            self.warnings.push((
                keys,
                format!("warning: {named} does not ask for `grants.{grant}`, so the grant has no effect; remove it"),
            ));
        }
    }
}

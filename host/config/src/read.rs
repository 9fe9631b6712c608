//! Parses the text of a file into a validated [`Config`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeArray, DeTable, DeValue};

use super::bots::{BOT_SECTION, bot_section, is_of_bot, plugin_section};
use super::table::{Found, Table};
use super::text::nearest;
use super::{BotSpec, Config, Problems, Runtime, Server, bots, registration, sections, server};

/// Maximum size of a configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Loads and validates a configuration, including the component files that it names.
///
/// Relative paths count from the folder of the file. Nothing is created, bound or started.
///
/// # Errors
/// All problems, each with its position. If the file has syntax errors, only these are reported, because keys that
/// could not be parsed would be reported as missing.
pub fn load(path: &Path) -> Result<Config, Problems> {
    load_with(path, Overrides::default())
}

/// Settings of the command line that override the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The address of the public listener.
    pub listen: Option<SocketAddr>,
    /// Use development mode, whatever `server.mode` says.
    pub development: bool,
}

/// Like [`load`], with overrides that are validated together with the file.
pub fn load_with(path: &Path, overrides: Overrides) -> Result<Config, Problems> {
    check(path, overrides, true, |_| true)
}

/// Loads a configuration to reload one bot. Problems of other bots are not reported, so their values must not be used.
/// Component files are not checked, because the caller loads them.
pub fn load_for_bot(path: &Path, overrides: Overrides, bot: &str) -> Result<Config, Problems> {
    check(path, overrides, false, |section| is_of_bot(section, bot) || !section.starts_with(BOT_SECTION))
}

/// Loads some sections of a configuration, so that commands work while another section is invalid. Problems of other
/// sections are not reported, so their values must not be used.
pub fn load_sections(path: &Path, sections: &[&str]) -> Result<Config, Problems> {
    check(path, Overrides::default(), false, |section| sections.contains(&section))
}

/// The valid parts of a configuration, and its problems.
#[derive(Debug)]
pub struct Reading {
    /// The configuration. Invalid keys have their defaults, and plugins without a name or a component are omitted. None if
    /// the file cannot be read or has syntax errors.
    pub config: Option<Config>,
    /// All problems.
    pub problems: Problems,
    unsound: BTreeSet<String>,
}

impl Reading {
    /// Returns whether a section, such as `storage`, has no problems.
    pub fn is_sound(&self, section: &str) -> bool {
        !self.unsound.contains(section)
    }

    /// Returns whether the bot's own keys have no problems.
    pub fn is_sound_bot(&self, bot: &str) -> bool {
        self.is_sound(&bot_section(bot))
    }

    /// Returns whether the keys of a plugin have no problems.
    pub fn is_sound_plugin(&self, bot: &str, position: usize) -> bool {
        self.is_sound(&plugin_section(bot, position))
    }
}

/// Reads a configuration like [`load`], but returns its valid parts even if there are problems.
pub fn read(path: &Path) -> Reading {
    match examine(path, Overrides::default(), true) {
        Ok((config, found, text)) => {
            let unsound = found.sections();
            let problems = Problems::locate(path, &text, found.into_list(|_| true));
            Reading { config: Some(config), problems, unsound }
        }
        Err(problems) => Reading { config: None, problems, unsound: BTreeSet::new() },
    }
}

/// Loads a configuration. Only problems of sections for which `matters` returns true are reported.
fn check(
    path: &Path,
    overrides: Overrides,
    looks_at_files: bool,
    matters: impl Fn(&str) -> bool,
) -> Result<Config, Problems> {
    let (config, found, text) = examine(path, overrides, looks_at_files)?;
    let problems = found.into_list(matters);
    if problems.is_empty() { Ok(config) } else { Err(Problems::locate(path, &text, problems)) }
}

/// Reads a file. Returns the configuration, its problems and the text of the file.
fn examine(path: &Path, overrides: Overrides, looks_at_files: bool) -> Result<(Config, Found, String), Problems> {
    let text = text_of(path).map_err(|why| Problems::of_file(path, why))?;
    let (document, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        let found =
            errors.iter().map(|error| (error.span().unwrap_or(0..0), syntax_message(error.message()))).collect();
        return Err(Problems::locate(path, &text, found));
    }
    let found = Found::default();
    let root = Table::new("", document.get_ref(), 0..0, &found);
    let config = config(path, root, &found, overrides, looks_at_files);
    drop(document);
    Ok((config, found, text))
}

/// The text of a configuration, to find the positions of problems that appear only when it is used.
#[derive(Debug)]
pub struct Places {
    path: PathBuf,
    text: String,
}

/// The path of a key. Array elements are given by index, as in `["bots", "demo", "plugins", "0"]`.
pub type Keys = Vec<String>;

impl Places {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let text = text_of(path).map_err(|why| Problems::of_file(path, why))?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// Returns whether the file has a value at this path.
    pub fn has(&self, keys: &Keys) -> bool {
        let (document, _) = DeTable::parse_recoverable(&self.text);
        spans(document.get_ref(), keys).len() == keys.len()
    }

    /// Locates problems. If a path is not in the file, the problem is located at the nearest enclosing table.
    pub fn problems(&self, found: Vec<(Keys, String)>) -> Problems {
        let (document, _) = DeTable::parse_recoverable(&self.text);
        let place = |keys: &Keys| spans(document.get_ref(), keys).pop().unwrap_or(0..0);
        let found = found.into_iter().map(|(keys, message)| (place(&keys), message)).collect();
        Problems::locate(&self.path, &self.text, found)
    }
}

/// Returns the byte ranges on the way to a key, up to the first part that is missing. The range of a table in a table is that
/// of its name, because a table may be written in several parts, or exist only through dotted keys.
fn spans(document: &DeTable<'_>, keys: &Keys) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let (mut table, mut array) = (Some(document), None);
    for key in keys {
        let (name, node) = match table.and_then(|table| table.get_key_value(key.as_str())) {
            Some((name, node)) => (Some(name.span()), node),
            None => {
                match array.zip(key.parse().ok()).and_then(|(array, index): (&DeArray<'_>, usize)| array.get(index)) {
                    Some(node) => (None, node),
                    None => break,
                }
            }
        };
        (table, array) = match node.get_ref() {
            DeValue::Table(table) => (Some(table), None),
            DeValue::Array(array) => (None, Some(array)),
            _ => (None, None),
        };
        spans.push(name.filter(|_| table.is_some()).unwrap_or_else(|| node.span()));
    }
    spans
}

fn text_of(path: &Path) -> Result<String, String> {
    let wrong = |error: std::io::Error| format!("the configuration cannot be read: {error}");
    let file = File::open(path).map_err(wrong)?;
    if !file.metadata().map_err(wrong)?.is_file() {
        return Err("the configuration is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("the configuration is larger than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| format!("the configuration is not UTF-8: {error}"))
}

fn syntax_message(message: &str) -> String {
    format!("syntax: {}", message.replace('\n', " "))
}

/// Reads the whole document. The result must not be used if a problem was found.
fn config(path: &Path, mut root: Table<'_>, found: &Found, overrides: Overrides, looks_at_files: bool) -> Config {
    let folder = path.parent().unwrap_or(Path::new(""));
    found.in_section("server");
    let mut server_table = root.table("server");
    let mut server = server::read(&mut server_table);
    server.listen = overrides.listen.unwrap_or(server.listen);
    server.development |= overrides.development;
    let default_bot_key = server_table.string("default-bot");
    found.in_section("runtime");
    let runtime = sections::runtime(root.table("runtime"), folder);
    found.in_section("admin");
    let admin =
        sections::admin(root.table("admin"), folder, &runtime.data_dir, &server, server_table.span_of("listen"));
    found.in_section("channel");
    let channel = sections::channel(root.table("channel"), server.development);
    found.in_section("storage");
    let storage = sections::storage(root.table("storage"), folder, &runtime.data_dir);
    found.in_section("tls");
    let tls = sections::tls(root.table("tls"), folder);
    found.in_section("clouds");
    let clouds = registration::clouds(&root.table("clouds"));
    found.in_section("");
    let mut bots_table = root.table("bots");
    let bots = bots::read(&mut bots_table, folder, &runtime, &clouds, looks_at_files);
    if bots_table.names().next().is_none() {
        bots_table.problem(
            bots_table.span(),
            "the configuration has no bots: add a table [bots.NAME] with at least one [[bots.NAME.plugins]]",
        );
    }
    found.in_section("server");
    let configured: Vec<&str> = bots_table.names().map(|(name, ..)| name).collect();
    if let Some((name, span)) = &default_bot_key
        && !configured.contains(name)
    {
        let hint = nearest(name, configured.iter().copied()).map(|near| format!("; did you mean \"{near}\"?"));
        server_table.problem(
            span.clone(),
            format!("`server.default-bot` is \"{name}\", but no such bot is configured{}", hint.unwrap_or_default()),
        );
    }
    server_table.finish();
    check_anonymous(&server, &bots, &bots_table);
    found.in_section("");
    root.finish();
    let only_bot = || bots.keys().next().filter(|_| bots.len() == 1).cloned();
    let default_bot = default_bot_key.map(|(name, _)| name.to_owned()).or_else(only_bot);
    Config { path: path.to_owned(), overrides, server, admin, runtime, channel, storage, tls, bots, default_bot }
}

/// Reports bots that unauthenticated clients on the network could reach.
fn check_anonymous(server: &Server, bots: &BTreeMap<String, BotSpec>, table: &Table<'_>) {
    if server.listen.ip().is_loopback() || server.allow_anonymous_remote {
        return;
    }
    for (name, span, _) in table.names() {
        if bots.get(name).is_some_and(|bot| bot.registration.is_none()) {
            table.found().in_section(&bot_section(name));
            table.problem(
                span,
                format!(
                    "bot \"{name}\" has no `app-id` and the host listens on {}: anyone who reaches it could speak as any \
                     user. Listen on loopback, or set `server.allow-anonymous-remote = true` to allow this",
                    server.listen
                ),
            );
        }
    }
}

/// Resolves a path relative to the folder of the configuration.
pub(super) fn beside(folder: &Path, path: &str) -> PathBuf {
    folder.join(path)
}

impl Runtime {
    /// Returns the defaults for a configuration in this folder.
    pub(super) fn in_folder(folder: &Path) -> Self {
        let defaults = Self::default();
        Self { data_dir: folder.join(&defaults.data_dir), cache_dir: folder.join(&defaults.cache_dir), ..defaults }
    }
}

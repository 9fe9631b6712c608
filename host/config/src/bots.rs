//! Reads `[bots.NAME]`: plugins, settings, grants and limits of each bot.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Map, Number, Value};
use toml::de::DeValue;

use super::bridge::bridge;
use super::read::beside;
use super::registration::{Clouds, registration};
use super::sections::first_set;
use super::table::{Found, Node, Table, described};
use super::text::{is_name, shown_bytes};
use super::{
    BotSpec, DateOrder, Grants, HttpGrant, KeptTranscripts, Limits, OnFailure, OnHookFailure, OnNewer, Overlap,
    PluginSpec, Runtime, Scope,
};

/// Prefix of the section names of bots.
pub(super) const BOT_SECTION: &str = "bots.";
/// Maximum length of `title` and the `…-text` keys, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;

/// Returns the section of a bot's own keys.
pub(super) fn bot_section(bot: &str) -> String {
    format!("{BOT_SECTION}{bot}")
}

/// Returns the section of a plugin of a bot.
pub(super) fn plugin_section(bot: &str, position: usize) -> String {
    format!("{BOT_SECTION}{bot}.plugins[{position}]")
}

/// Returns whether a section belongs to the bot or to one of its plugins.
pub(super) fn is_of_bot(section: &str, bot: &str) -> bool {
    let rest = section.strip_prefix(BOT_SECTION).and_then(|section| section.strip_prefix(bot));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(".plugins["))
}

/// Reads all bots. The keys of the table are their names.
///
/// If `looks_at_files` is true, a missing or unusable component file is a problem of the configuration.
pub(super) fn read(
    table: &mut Table<'_>,
    folder: &Path,
    runtime: &Runtime,
    clouds: &Clouds,
    looks_at_files: bool,
) -> BTreeMap<String, BotSpec> {
    let files = Files { folder, bytes_max: looks_at_files.then_some(runtime.component_bytes_max) };
    let mut bots = BTreeMap::new();
    for (name, span, node) in table.names() {
        table.found().in_section(&bot_section(name));
        if !is_name(name) {
            table.problem(span.clone(), bad_name("bot", name));
        }
        match node.get_ref() {
            DeValue::Table(entries) => {
                let path = bot_section(name);
                let bot = bot(name, Table::new(&path, entries, span, table.found()), &files, runtime, clouds);
                bots.insert(name.to_owned(), bot);
            }
            other => table.problem(span, format!("`bots.{name}` must be a table, not {}", described(other))),
        }
    }
    table.found().in_section("");
    bots
}

/// Resolves and checks the files that a configuration names.
struct Files<'a> {
    folder: &'a Path,
    /// Maximum size of a component, or none if component files are not checked.
    bytes_max: Option<u64>,
}

fn bot(name: &str, mut table: Table<'_>, files: &Files<'_>, runtime: &Runtime, clouds: &Clouds) -> BotSpec {
    let mut bot = BotSpec::new(name);
    bot.title = text(&mut table, "title").unwrap_or(bot.title);
    bot.registration = registration(&mut table, clouds, files.folder).map(Into::into);
    if let Some((path, span)) = table.string("notify-key-file") {
        match path.is_empty() {
            true => table.problem(span, format!("`{}` is empty; give a path", table.path("notify-key-file"))),
            false => bot.notify_key_file = Some(beside(files.folder, path)),
        }
    }
    table.bool("enabled", &mut bot.enabled);
    table.bool("typing-indicator", &mut bot.typing_indicator);
    bot.error_text = text(&mut table, "error-text").unwrap_or(bot.error_text);
    bot.dialog_failed_text = text(&mut table, "dialog-failed-text");
    bot.dialog_reset_text = text(&mut table, "dialog-reset-text");
    bot.time_zone = time_zone(&mut table);
    let orders = [("day-month", Some(DateOrder::DayMonth)), ("month-day", Some(DateOrder::MonthDay))];
    table.choice("date-order", &mut bot.date_order, &orders);
    table.choice("on-newer", &mut bot.on_newer, &[("reset", OnNewer::Reset), ("hold", OnNewer::Hold)]);
    table.choice("overlap", &mut bot.overlap, &[("queue", Overlap::Queue), ("interrupt", Overlap::Interrupt)]);
    bot.transcripts = transcripts(&mut table);
    let bot_limits = limits(table.table("limits"), &Limits::default());
    if let Some(nodes) = table.array("plugins", "an array of tables [[plugins]]") {
        if nodes.is_empty() {
            table.problem(
                table.span_of("plugins"),
                format!("bot \"{name}\" has no plugins; add at least one, otherwise it can never answer"),
            );
        }
        for (index, node) in nodes.into_iter().enumerate() {
            let path = plugin_section(name, index);
            table.found().in_section(&path);
            match node.get_ref() {
                DeValue::Table(entries) => {
                    let section = Table::new(&path, entries, node.span(), table.found());
                    if bot.bridge.is_some() {
                        let why = "comes after the entry with `bridge`, which must be the last and the only one";
                        table.problem(node.span(), format!("`{path}` {why}"));
                    }
                    if section.has("bridge") {
                        bot.bridge = bridge(section, &bot_limits, &bot.plugins).map(Into::into);
                    } else {
                        bot.plugins.extend(plugin(section, index, files, &bot_limits, &bot.plugins));
                    }
                }
                other => table.problem(node.span(), format!("`{path}` must be a table, not {}", described(other))),
            }
        }
        table.found().in_section(&bot_section(name));
    } else if !table.has("plugins") {
        table.problem(
            table.span(),
            format!("bot \"{name}\" has no plugins: add [[bots.{name}.plugins]] with `component` or `bridge`"),
        );
    }
    let layers = bot.plugins.iter().filter(|plugin| plugin.grants.middleware).count();
    if bot.plugins.len() + layers > runtime.instances_per_bot_max as usize {
        table.problem(
            table.span(),
            format!(
                "bot \"{name}\" has {} plugins, {layers} of them middleware, but `runtime.instances-per-bot-max` is {}: a turn \
                 needs one instance of each plugin at once, and a second one of each middleware plugin",
                bot.plugins.len(),
                runtime.instances_per_bot_max
            ),
        );
    }
    table.finish();
    bot
}

fn time_zone(table: &mut Table<'_>) -> Option<TimeZone> {
    let (name, span) = table.string("time-zone")?;
    let zone = TimeZone::get(name);
    if zone.is_err() {
        let path = table.path("time-zone");
        let why =
            format!("`{path}` must be a zone of the IANA time zone database such as Europe/Berlin, not \"{name}\"");
        table.problem(span, why);
    }
    zone.ok()
}

/// Reads `[bots.NAME.transcripts]`. Transcripts are kept if the table exists.
fn transcripts(table: &mut Table<'_>) -> Option<KeptTranscripts> {
    let is_there = table.has("transcripts");
    let (mut kept, mut days) = (KeptTranscripts::default(), 30);
    let mut table = table.table("transcripts");
    table.number("keep-days", &mut days, 1..=36_500);
    table.bytes("bytes-max", &mut kept.bytes_max, 64 << 10..=1 << 40);
    table.finish();
    kept.keep = Duration::from_hours(24 * days);
    is_there.then_some(kept)
}

fn plugin(
    mut table: Table<'_>,
    position: usize,
    files: &Files<'_>,
    bot_limits: &Limits,
    earlier: &[PluginSpec],
) -> Option<PluginSpec> {
    let component = table.string("component").filter(|(path, span)| {
        let given = !path.is_empty();
        if !given {
            table
                .problem(span.clone(), format!("`{}` is empty; give the path of a component", table.path("component")));
        }
        given
    });
    if component.is_none() && !table.has("component") {
        table.problem(table.span(), format!("`{}` is missing; give the path of a component", table.path("component")));
    }
    let path = component.as_ref().map(|(text, _)| beside(files.folder, text));
    if let (Some(path), Some((_, span)), Some(bytes_max)) = (&path, &component, files.bytes_max)
        && let Err(why) = check_component(path, bytes_max)
    {
        table.problem(span.clone(), format!("component {} {why}", path.display()));
    }
    let name = plugin_name(&mut table, path.as_deref(), earlier);
    let settings = settings(&mut table);
    let mut on_failure = OnFailure::FailTurn;
    let choices = [("fail-turn", OnFailure::FailTurn), ("continue", OnFailure::Continue)];
    table.choice("on-failure", &mut on_failure, &choices);
    let mut on_hook_failure = OnHookFailure::Closed;
    let choices =
        [("closed", OnHookFailure::Closed), ("open", OnHookFailure::Open), ("disable", OnHookFailure::Disable)];
    table.choice("on-hook-failure", &mut on_hook_failure, &choices);
    let limits = limits(table.table("limits"), bot_limits);
    let grants = grants(table.table("grants"), files);
    table.finish();
    let (name, component) = (name?.into(), path?);
    Some(PluginSpec { name, position, component, settings, on_failure, on_hook_failure, grants, limits })
}

fn grants(mut table: Table<'_>, files: &Files<'_>) -> Grants {
    let mut grants = Grants::default();
    for (name, span) in table.strings("state").unwrap_or_default() {
        match Scope::named(name) {
            Some(scope) if !grants.state.contains(&scope) => grants.state.push(scope),
            Some(_) => {}
            None => {
                let path = table.path("state");
                let known = Scope::ALL.map(|(name, _)| name).join(", ");
                table.problem(span, format!("`{path}`: there is no scope \"{name}\"; the scopes are {known}"));
            }
        }
    }
    if let Some((name, span)) = table.string("shared-state") {
        match is_name(name) {
            true => grants.shared_state = Some(name.into()),
            false => table.problem(span, bad_name("namespace", name)),
        }
    }
    table.bool("dialogs", &mut grants.dialogs);
    table.bool("middleware", &mut grants.middleware);
    table.bool("conversations", &mut grants.conversations);
    grants.http = HttpGrant::read(&mut table, files.folder, files.bytes_max.is_some());
    table.finish();
    grants
}

/// Returns `name`, or the stem of the component's file name.
fn plugin_name(table: &mut Table<'_>, component: Option<&Path>, earlier: &[PluginSpec]) -> Option<String> {
    let typed = table.string("name");
    if typed.is_none() && table.has("name") {
        return None;
    }
    let (name, span) = match &typed {
        Some((name, span)) => ((*name).to_owned(), span.clone()),
        None => (component?.file_stem()?.to_string_lossy().into_owned(), table.span_of("component")),
    };
    if !is_name(&name) {
        let hint = if typed.is_some() { "" } else { ". The name was taken from the file name; set `name`" };
        table.problem(span, format!("{}{hint}", bad_name("plugin", &name)));
        return None;
    }
    if earlier.iter().any(|plugin| *plugin.name == *name) {
        table.problem(span, format!("the bot already has a plugin \"{name}\"; give this one another `name`"));
        return None;
    }
    Some(name)
}

fn check_component(path: &Path, bytes_max: u64) -> Result<(), String> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be reached: {error}"),
    })?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if metadata.len() > bytes_max {
        let (is, max) = (shown_bytes(metadata.len()), shown_bytes(bytes_max));
        return Err(format!("is {is}, which is more than `runtime.component-bytes-max` ({max})"));
    }
    File::open(path).map(drop).map_err(|error| format!("cannot be read: {error}"))
}

fn settings(table: &mut Table<'_>) -> BTreeMap<String, Value> {
    let settings = table.table("settings");
    let mut values = BTreeMap::new();
    for (key, _, node) in settings.names() {
        if let Some(value) = json(node, &settings.path(key), settings.found()) {
            values.insert(key.to_owned(), value);
        }
    }
    values
}

/// Converts a TOML value to JSON. Dates and times become strings in RFC 3339 form. A number that JSON cannot represent
/// is reported as a problem.
fn json(node: Node<'_>, path: &str, found: &Found) -> Option<Value> {
    match node.get_ref() {
        DeValue::String(text) => Some(Value::String(text.to_string())),
        DeValue::Boolean(value) => Some(Value::Bool(*value)),
        DeValue::Datetime(time) => Some(Value::String(time.to_string())),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Some(Value::Number(number.into())),
            Err(_) => {
                found.add(node.span(), format!("`{path}` does not fit into a signed 64-bit integer"));
                None
            }
        },
        DeValue::Float(number) => match number.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => Some(Value::Number(number)),
            None => {
                found.add(
                    node.span(),
                    format!("`{path}` must be finite: plugins read settings as JSON, which has no infinity or NaN"),
                );
                None
            }
        },
        DeValue::Array(nodes) => {
            nodes.iter().enumerate().map(|(index, node)| json(node, &format!("{path}[{index}]"), found)).collect()
        }
        DeValue::Table(entries) => {
            let mut object = Map::new();
            for (key, node) in entries.iter() {
                object.insert(key.get_ref().to_string(), json(node, &format!("{path}.{}", key.get_ref()), found)?);
            }
            Some(Value::Object(object))
        }
    }
}

/// Reads a `limits` table. Limits that it does not set are taken from `base`.
pub(super) fn limits(mut table: Table<'_>, base: &Limits) -> Limits {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    let mut limits = base.clone();
    let problems_before = table.found().count();
    table.millis("cpu-ms", &mut limits.cpu, 1..=60_000);
    table.millis("wall-ms", &mut limits.wall, 1..=600_000);
    table.bytes("memory-bytes", &mut limits.memory_bytes, 64 * KIB..=4_096 * MIB);
    table.number("table-elements", &mut limits.table_elements, 1..=10_000_000);
    table.number("host-calls", &mut limits.host_calls, 1..=1_000_000);
    table.bytes("host-call-bytes", &mut limits.host_call_bytes, KIB..=64 * MIB);
    table.number("sends-per-turn", &mut limits.sends_per_turn, 1..=10_000);
    table.bytes("bytes-per-send", &mut limits.bytes_per_send, KIB..=64 * MIB);
    table.bytes("staged-bytes", &mut limits.staged_bytes, KIB..=1_024 * MIB);
    table.bytes("state-bytes-per-scope", &mut limits.state_bytes_per_scope, KIB..=64 * MIB);
    table.number("log-lines-per-turn", &mut limits.log_lines_per_turn, 0..=100_000);
    table.bytes("output-bytes", &mut limits.output_bytes, 0..=16 * MIB);
    table.number("component-handles", &mut limits.component_handles, 16..=1_000_000);
    table.number("resources", &mut limits.resources, 16..=1_000_000);
    table.bytes("random-bytes", &mut limits.random_bytes, 0..=16 * MIB);
    table.bytes("http-fields-bytes", &mut limits.http_fields_bytes, KIB..=MIB);
    table.bytes("http-body-bytes", &mut limits.http_body_bytes, KIB..=MIB);
    table.number("http-requests-per-turn", &mut limits.http_requests_per_turn, 0..=10_000);
    table.number("http-requests-at-once", &mut limits.http_requests_at_once, 1..=10_000);
    table.bytes("http-request-bytes", &mut limits.http_request_bytes, 0..=1_024 * MIB);
    table.bytes("http-response-fields-bytes", &mut limits.http_response_fields_bytes, KIB..=256 * KIB);
    table.bytes("http-response-bytes", &mut limits.http_response_bytes, KIB..=1_024 * MIB);
    table.millis("http-connect-ms", &mut limits.http_connect, 1..=600_000);
    table.millis("http-first-byte-ms", &mut limits.http_first_byte, 1..=600_000);
    table.millis("http-ms", &mut limits.http_whole, 1..=600_000);
    table.number("http-connections-idle", &mut limits.http_connections_idle, 0..=1_000);
    if table.found().count() == problems_before {
        check_relations(&table, &limits);
    }
    table.finish();
    limits
}

/// Reports limits that contradict each other if this table sets at least one of them.
fn check_relations(table: &Table<'_>, limits: &Limits) {
    let report = |keys: [&str; 2], message: String| {
        if keys.iter().any(|key| table.has(key)) {
            table.problem(first_set(table, &keys), message);
        }
    };
    let millis = |duration: Duration| duration.as_millis();
    if limits.wall < limits.cpu {
        let message = format!(
            "`wall-ms` ({}) is below `cpu-ms` ({}): a call would end before it may use its CPU time",
            millis(limits.wall),
            millis(limits.cpu)
        );
        report(["wall-ms", "cpu-ms"], message);
    }
    if limits.bytes_per_send > limits.host_call_bytes {
        let message = format!(
            "`bytes-per-send` ({}) is above `host-call-bytes` ({}): a send of that size could not leave the guest",
            shown_bytes(limits.bytes_per_send as u64),
            shown_bytes(limits.host_call_bytes as u64)
        );
        report(["bytes-per-send", "host-call-bytes"], message);
    }
    if limits.sends_per_turn > limits.host_calls {
        let message = format!(
            "`sends-per-turn` ({}) is above `host-calls` ({}): each send is a host call",
            limits.sends_per_turn, limits.host_calls
        );
        report(["sends-per-turn", "host-calls"], message);
    }
}

/// Reads a text that must not be empty.
fn text(table: &mut Table<'_>, key: &'static str) -> Option<String> {
    let (text, span) = table.string(key)?;
    let path = table.path(key);
    if text.trim().is_empty() {
        table.problem(span, format!("`{path}` is empty; leave it out for the default"));
    } else if text.len() > TEXT_BYTES_MAX {
        table.problem(span, format!("`{path}` is longer than {TEXT_BYTES_MAX} bytes"));
    } else {
        return Some(text.to_owned());
    }
    None
}

pub(super) fn bad_name(what: &str, name: &str) -> String {
    let name: String = name.chars().take(80).collect();
    format!("\"{name}\" is not a valid {what} name: use 1 to 64 of a-z, 0-9 and -, and do not begin with -")
}

//! Reads the sections that do not belong to a bot: `[admin]`, `[runtime]`, `[channel]`, `[storage]`, `[tls]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use toml::de::DeValue;

use super::credential::source;
use super::read::beside;
use super::table::Table;
use super::text::{addresses_overlap, connector_origin};
use super::{
    Admin, Allocator, Ambiguous, Channel, Durability, Rate, Rates, Runtime, Server, Storage, StorageKind, Tls,
};

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

/// Range of every configurable wait, in milliseconds.
pub(super) const WAIT_MS: RangeInclusive<u64> = 1..=600_000;

/// Range of `channel.unreachable-ms`, up to a week.
const UNREACHABLE_MS: RangeInclusive<u64> = 1..=604_800_000;

/// Default of `connector-origins` in development mode, because development tools choose another port at each start.
const ANY_PORT: &str = "http://localhost:*";

/// Reads `[admin]`. `public_span` is the position of `server.listen`.
pub(super) fn admin(
    mut table: Table<'_>,
    folder: &Path,
    data_dir: &Path,
    server: &Server,
    public_span: Range<usize>,
) -> Admin {
    let mut admin = Admin { token_file: data_dir.join("admin-token"), ..Admin::default() };
    let typed = table.string("listen");
    match typed.clone() {
        Some(("off", _)) => admin.listen = None,
        Some((text, span)) => match listen_address(text) {
            Ok(address) if address.ip().is_loopback() => admin.listen = Some(address),
            Ok(address) => table.problem(
                span,
                format!("`admin.listen` must be a loopback address such as \"127.0.0.1:3979\", or \"off\"; {address} can be reached from elsewhere"),
            ),
            Err(why) => table.problem(span, format!("`admin.listen`: {why}, or write \"off\"")),
        },
        None => {}
    }
    if let Some(address) = admin.listen
        && address.port() != 0
        && address.port() == server.listen.port()
        && addresses_overlap(address.ip(), server.listen.ip())
    {
        let span = typed.map_or(public_span, |(_, span)| span);
        table.problem(
            span,
            format!(
                "`server.listen` ({}) and `admin.listen` ({address}) are the same address; change one of the ports",
                server.listen
            ),
        );
    }
    if let Some((text, _)) = path_string(&mut table, "token-file") {
        admin.token_file = beside(folder, text);
    }
    table.finish();
    admin
}

/// Reads `[runtime]`.
pub(super) fn runtime(mut table: Table<'_>, folder: &Path) -> Runtime {
    let mut runtime = Runtime::in_folder(folder);
    if let Some((text, _)) = path_string(&mut table, "data-dir") {
        runtime.data_dir = beside(folder, text);
        runtime.cache_dir = runtime.data_dir.join("cache");
    }
    if let Some((text, _)) = path_string(&mut table, "cache-dir") {
        runtime.cache_dir = beside(folder, text);
    }
    let allocators = [("auto", Allocator::Auto), ("pooling", Allocator::Pooling), ("on-demand", Allocator::OnDemand)];
    table.choice("allocator", &mut runtime.allocator, &allocators);
    table.number("instances-max", &mut runtime.instances_max, 1..=10_000);
    runtime.instances_per_bot_max = (runtime.instances_max / 2).max(1);
    table.number("instances-per-bot-max", &mut runtime.instances_per_bot_max, 1..=10_000);
    if runtime.instances_per_bot_max > runtime.instances_max {
        let message = format!(
            "`runtime.instances-per-bot-max` ({}) is above `runtime.instances-max` ({}), so it can never be reached",
            runtime.instances_per_bot_max, runtime.instances_max
        );
        table.problem(table.span_of("instances-per-bot-max"), message);
    }
    table.bytes("guest-memory-bytes-max", &mut runtime.guest_memory_bytes_max, 64 * MIB..=1_024 * GIB);
    table.millis("instances-wait-ms", &mut runtime.instances_wait, WAIT_MS);
    table.number("http-requests-per-bot-max", &mut runtime.http_requests_per_bot_max, 1..=100_000);
    table.number("workers", &mut runtime.workers, 1..=1_024);
    table.bytes("component-bytes-max", &mut runtime.component_bytes_max, KIB..=GIB);
    table.bytes("compile-memory-bytes-max", &mut runtime.compile_memory_bytes_max, 128 * MIB..=64 * GIB);
    table.millis("compile-ms", &mut runtime.compile_timeout, 1_000..=3_600_000);
    table.bool("watch", &mut runtime.watch);
    table.finish();
    runtime
}

/// Reads `[channel]`.
pub(super) fn channel(mut table: Table<'_>, development: bool) -> Channel {
    let mut channel = Channel::default();
    if development {
        channel.connector_origins = vec![ANY_PORT.to_owned()];
    }
    each(&mut table, "connector-origins", &mut channel.connector_origins, connector_origin);
    table.millis("send-timeout-ms", &mut channel.send_timeout, WAIT_MS);
    table.millis("unreachable-ms", &mut channel.unreachable_wait, UNREACHABLE_MS);
    table.number("send-attempts-max", &mut channel.send_attempts_max, 1..=20);
    table.choice("ambiguous", &mut channel.ambiguous, &[("drop", Ambiguous::Drop), ("resend", Ambiguous::Resend)]);
    table.number("outbox-rows-max", &mut channel.outbox_rows_max, 1..=1_000_000);
    table.number("dead-letters-max", &mut channel.dead_letters_max, 0..=1_000_000);
    table.number("redelivery-marks-max", &mut channel.redelivery_marks_max, 1..=1_000_000);
    table.number("id-map-entries-max", &mut channel.id_map_entries_max, 1..=1_000_000);
    rates(&table.table("rates"), &mut channel.rates);
    table.finish();
    channel
}

/// Reads `[channel.rates.CHANNEL]`. A table replaces the default of its channel.
fn rates(table: &Table<'_>, slot: &mut BTreeMap<String, Rates>) {
    for (channel, span, node) in table.names() {
        let path = table.path(channel);
        let DeValue::Table(entries) = node.get_ref() else {
            table.problem(span, format!("`{path}` must be a table with `conversation` and `bot`"));
            continue;
        };
        let mut section = Table::new(&path, entries, span, table.found());
        let mut rates = Rates::default();
        each_rate(&mut section, "conversation", &mut rates.conversation);
        each_rate(&mut section, "bot", &mut rates.bot);
        section.finish();
        slot.insert(channel.to_owned(), rates);
    }
}

fn each_rate(table: &mut Table<'_>, key: &'static str, slot: &mut Vec<Rate>) {
    for (text, span) in table.strings(key).unwrap_or_default() {
        match text.parse() {
            Ok(rate) => slot.push(rate),
            Err(why) => table.problem(span, format!("`{}`: {why}", table.path(key))),
        }
    }
}

/// Reads `[storage]`.
pub(super) fn storage(mut table: Table<'_>, folder: &Path, data_dir: &Path) -> Storage {
    let mut storage = Storage::in_data_dir(data_dir);
    let kinds = [("sqlite", StorageKind::Sqlite), ("memory", StorageKind::Memory), ("postgres", StorageKind::Postgres)];
    table.choice("kind", &mut storage.kind, &kinds);
    if let Some((text, _)) = path_string(&mut table, "path") {
        storage.path = beside(folder, text);
    }
    let durabilities = [("full", Durability::Full), ("process", Durability::Process)];
    table.choice("durability", &mut storage.durability, &durabilities);
    let gives_url = table.has("url");
    storage.url = source(&mut table, "url", folder);
    storage.password = source(&mut table, "password", folder);
    table.number("connections", &mut storage.connections, 2..=1_000);
    let is_postgres = storage.kind == StorageKind::Postgres;
    if is_postgres && !gives_url {
        let why =
            "`storage.kind = \"postgres\"` needs `storage.url`: \"env:NAME\" or \"file:PATH\" of a connection string";
        table.problem(table.span_of("kind"), why);
    }
    if is_postgres && table.has("path") {
        table.problem(table.span_of("path"), "`storage.path` has no effect with `storage.kind = \"postgres\"`");
    }
    for key in ["url", "password", "connections"] {
        if !is_postgres && table.has(key) {
            let why = format!("`{}` has no effect without `storage.kind = \"postgres\"`", table.path(key));
            table.problem(table.span_of(key), why);
        }
    }
    table.bytes("notification-bytes-per-bot-max", &mut storage.notification_bytes_per_bot_max, KIB..=64 * GIB);
    table.finish();
    storage
}

/// Reads `[tls]`.
pub(super) fn tls(mut table: Table<'_>, folder: &Path) -> Tls {
    let mut tls = Tls::default();
    for (text, span) in table.strings("root-certificates").unwrap_or_default() {
        let path = beside(folder, text);
        match std::fs::metadata(&path) {
            Ok(file) if file.is_file() => tls.root_certificates.push(path),
            Ok(_) => table.problem(span, format!("`tls.root-certificates`: {} is not a file", path.display())),
            Err(error) => {
                table.problem(span, format!("`tls.root-certificates`: {} cannot be read: {error}", path.display()));
            }
        }
    }
    table.finish();
    tls
}

/// Reads an array of strings. `check` returns each string in canonical form, or an error text.
pub(super) fn each(
    table: &mut Table<'_>,
    key: &'static str,
    slot: &mut Vec<String>,
    check: impl Fn(&str) -> Result<String, String>,
) {
    let Some(strings) = table.strings(key) else { return };
    slot.clear();
    for (text, span) in strings {
        match check(text) {
            Ok(canonical) => slot.push(canonical),
            Err(why) => table.problem(span, format!("`{}`: {why}", table.path(key))),
        }
    }
}

/// Returns a string that is a path. An empty string is a problem.
fn path_string<'t>(table: &mut Table<'t>, key: &'static str) -> Option<(&'t str, Range<usize>)> {
    let (text, span) = table.string(key)?;
    if text.is_empty() {
        table.problem(
            span,
            format!("`{}` is empty; give a path, relative to the folder of the configuration", table.path(key)),
        );
        return None;
    }
    Some((text, span))
}

/// Returns the position of the first of these keys that is set, or of the table if none is.
pub(super) fn first_set(table: &Table<'_>, keys: &[&str]) -> Range<usize> {
    keys.iter().find(|key| table.has(key)).map_or_else(|| table.span(), |key| table.span_of(key))
}

pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let named = || match text.strip_prefix("localhost:") {
        Some(port) => format!("write \"127.0.0.1:{port}\" instead of \"{text}\""),
        None => {
            format!(
                "\"{text}\" is not a listen address; write an IP address and a port, such as \"127.0.0.1:3978\" or \"[::1]:3978\""
            )
        }
    };
    text.parse().map_err(|_| named())
}

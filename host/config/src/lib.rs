//! Reads `turntable.toml`, validates all of it, and resolves defaults and paths.
//!
//! No other crate reads configuration. [`load`] reports all problems at once, each with its line.

mod bots;
mod bridge;
mod credential;
mod grants;
pub mod http;
mod limits;
mod machine;
mod problem;
mod read;
mod registration;
pub mod secret;
mod sections;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value;

pub use bridge::Bridge;
pub use credential::{AppCredential, Source};
pub use grants::{Grants, Scope};
pub use http::{Credential, CredentialPlace, HostPattern, HttpGrant, HttpRule, Methods};
pub use limits::Limits;
pub use problem::{Problem, Problems};
pub use read::{Keys, Overrides, Places, Reading, load, load_for_bot, load_sections, load_with, read};
pub use registration::{Algorithm, AppKind, Cloud, Registration};
pub use server::Server;

/// A validated configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file that the configuration was read from.
    pub path: PathBuf,
    /// Settings of the command line, which take precedence. They also apply to a reload.
    pub overrides: Overrides,
    /// `[server]`
    pub server: Server,
    /// `[admin]`
    pub admin: Admin,
    /// `[runtime]`
    pub runtime: Runtime,
    /// `[channel]`
    pub channel: Channel,
    /// `[storage]`
    pub storage: Storage,
    /// `[tls]`
    pub tls: Tls,
    /// `[bots.NAME]`, by name.
    pub bots: BTreeMap<String, BotSpec>,
    /// The bot that serves `POST /api/messages`: `server.default-bot`, or the only bot.
    pub default_bot: Option<String>,
}

/// Default of `error-text`: the reply to the user when a message turn fails.
pub const ERROR_TEXT: &str = "Sorry, something went wrong on my side. Please try again.";

/// The admin listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// `listen`, default `127.0.0.1:3979`; must be loopback. `listen = "off"` turns the admin API off.
    pub listen: Option<SocketAddr>,
    /// `token-file`, default `admin-token` in the data folder. Created with mode 0600 when absent.
    pub token_file: PathBuf,
}

/// Settings that all plugins share.
#[derive(Debug, Clone, PartialEq)]
pub struct Runtime {
    /// `data-dir`, default `.turntable` beside the configuration: deployed components, keys.
    pub data_dir: PathBuf,
    /// `cache-dir`, default `cache` in the data folder: compiled code. Several hosts may share it.
    pub cache_dir: PathBuf,
    /// `allocator`: `auto`, `pooling` or `on-demand`; default `auto`.
    pub allocator: Allocator,
    /// `instances-max`, default 256: maximum number of live instances in the host.
    pub instances_max: u32,
    /// `instances-per-bot-max`, default half of `instances-max`: maximum number of live instances of one bot.
    pub instances_per_bot_max: u32,
    /// `guest-memory-bytes-max`, default half of the machine's memory, or of the container's: memory of all guests together.
    /// From seven eighths of it on, new instances of the bot that holds most wait; beyond it no guest gets more.
    pub guest_memory_bytes_max: usize,
    /// `instances-wait-ms`, default 4,000: how long a turn waits for its instances before the activity gets 503. Less
    /// than `server.acknowledge-ms`, because after a 202 the channel would not learn that the activity was rejected.
    pub instances_wait: Duration,
    /// `http-requests-per-bot-max`, default 64: maximum number of HTTP requests that the plugins of one bot have in progress.
    pub http_requests_per_bot_max: usize,
    /// `workers`, default one per core: number of threads that run guests. The host adds one thread fewer than that,
    /// but at least one, of lower priority for guests that compute for longer than 10 ms.
    pub workers: usize,
    /// `component-bytes-max`, default 64 MiB. Larger components are refused.
    pub component_bytes_max: u64,
    /// `compile-memory-bytes-max`, default 2 GiB: memory of one compilation.
    pub compile_memory_bytes_max: u64,
    /// `compile-ms`, default 120,000: wall time of one compilation, and also its CPU time.
    pub compile_timeout: Duration,
    /// `watch`, default true: reload a bot when one of its files changes.
    pub watch: bool,
}

/// How instances get their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocator {
    /// Use the pooling allocator if a probe at start succeeds, otherwise on-demand.
    Auto,
    /// Use the pooling allocator, and fail at start if it is not possible.
    Pooling,
    /// Create a memory mapping per instance.
    OnDemand,
}

/// How activities leave the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// `connector-origins`: loopback origins to which unauthenticated replies may be sent. Default: in development any
    /// port of loopback (`http://localhost:*`), in production the port of the Agents Playground
    /// (`http://localhost:56150`).
    pub connector_origins: Vec<String>,
    /// `send-timeout-ms`, default 10,000: time of one call to the connector.
    pub send_timeout: Duration,
    /// `unreachable-ms`, default 900,000: how long a send waits while no connection to its channel can be made, or the bot
    /// gets no token for it.
    pub unreachable_wait: Duration,
    /// `send-attempts-max`, default 3: attempts to send what may be sent twice and was perhaps not taken. A 429 does
    /// not count as an attempt: the host waits and retries, up to ten times.
    pub send_attempts_max: u32,
    /// `ambiguous`, default `drop`.
    pub ambiguous: Ambiguous,
    /// `rates.CHANNEL`, by `channelId`: how fast a bot may send on a channel. By default only `msteams` has limits,
    /// half of those that Microsoft documents. On other channels the host only reacts to 429.
    pub rates: BTreeMap<String, Rates>,
    /// `outbox-rows-max`, default 10,000: maximum number of undelivered sends over all conversations.
    pub outbox_rows_max: usize,
    /// `dead-letters-max`, default 1,000. The oldest are deleted first.
    pub dead_letters_max: usize,
    /// `redelivery-marks-max`, default 100,000 deduplication records, at most 1,000,000. The oldest are deleted first.
    pub redelivery_marks_max: usize,
    /// `id-map-entries-max`, default 100,000 stored ids of sent activities, at most 1,000,000. The oldest are deleted
    /// first.
    pub id_map_entries_max: usize,
}

/// What to do with a message that may have been delivered: the request timed out, or failed after the body was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambiguous {
    /// `drop`: the message becomes a dead letter. The user never gets it twice.
    Drop,
    /// `resend`: the message is retried like one that certainly did not arrive. The user may get it twice.
    Resend,
}

/// How the host checks the certificates of servers that it calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// `root-certificates`: PEM files with certificates of authorities that are trusted besides those of the platform.
    pub root_certificates: Vec<PathBuf>,
}

/// Where state, dialogs and undelivered messages are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// `kind`, default `sqlite`. With `memory` everything is stored in the process and lost when it ends.
    pub kind: StorageKind,
    /// `path`, default `turntable.db` in the data folder. Must be on a local disk, and not be used by another host.
    pub path: PathBuf,
    /// `durability`, default `full`.
    pub durability: Durability,
    /// `url`: where the connection string of PostgreSQL comes from. Required with `postgres`.
    pub url: Option<Source>,
    /// `password`: where the password of PostgreSQL comes from. Default: in the connection string.
    pub password: Option<Source>,
    /// `connections`: connections to PostgreSQL at a time, default 8.
    pub connections: usize,
    /// `notification-bytes-per-bot-max`, default 64 MiB: content of the notifications and timers of one bot that wait.
    pub notification_bytes_per_bot_max: u64,
}

/// Implementations of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageKind {
    /// One SQLite file.
    Sqlite,
    /// A temporary database that ends with the process.
    Memory,
    /// A database of a PostgreSQL server.
    Postgres,
}

/// Which failures a committed turn survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `full`: the end of the process, and a power failure.
    Full,
    /// `process`: the end of the process. A power failure may lose the last turns, but does not corrupt the file.
    Process,
}

impl Storage {
    /// Returns the default settings with the file in this data folder.
    pub fn in_data_dir(data_dir: &std::path::Path) -> Self {
        Self {
            kind: StorageKind::Sqlite,
            path: data_dir.join("turntable.db"),
            durability: Durability::Full,
            url: None,
            password: None,
            connections: 8,
            notification_bytes_per_bot_max: 64 << 20,
        }
    }
}

/// One bot as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct BotSpec {
    /// `[bots.NAME]`
    pub name: Arc<str>,
    /// `title`, shown in the chat page. Default: the name.
    pub title: String,
    /// `app-id` and `auth`: the registration of the bot with channels. A bot with one is reached with valid tokens only,
    /// on any address. A bot without one is served on loopback only.
    pub registration: Option<Arc<Registration>>,
    /// `enabled`, default true.
    pub enabled: bool,
    /// `typing-indicator`, default false: send a `typing` activity when a message turn starts.
    pub typing_indicator: bool,
    /// `error-text`: reply to the user when a message turn fails. The default is English and reveals nothing internal.
    pub error_text: String,
    /// `dialog-failed-text`: message to the user when a dialog was cancelled after three consecutive failures. Default: the
    /// dialog machine's.
    pub dialog_failed_text: Option<String>,
    /// `dialog-reset-text`: message to the user when a dialog cannot continue after an update of the bot. Default: the
    /// dialog machine's.
    pub dialog_reset_text: Option<String>,
    /// `notify-key-file`: file with the key of services that may send proactive messages through the bot. Default:
    /// none, so that only the admin API may.
    pub notify_key_file: Option<PathBuf>,
    /// `[bots.NAME.transcripts]`: retention of transcripts. Default: none, so that no transcripts are stored.
    pub transcripts: Option<KeptTranscripts>,
    /// `time-zone`, a name of the IANA database such as `Europe/Berlin`: the zone from which a prompt counts «tomorrow» where
    /// neither the activity nor the prompt names one. Default: the zone of the host.
    pub time_zone: Option<TimeZone>,
    /// `date-order`: how prompts read `5/12/2027` where they do not say so themselves. Default: as the user's locale writes it.
    pub date_order: Option<DateOrder>,
    /// `on-newer`, default `reset`: what to do with a dialog whose state is newer than the plugin, as after a rollback.
    pub on_newer: OnNewer,
    /// `overlap`, default `queue`: what happens to a message that comes while a turn of its conversation runs.
    pub overlap: Overlap,
    /// `[[bots.NAME.plugins]]` with `component`, in order.
    pub plugins: Vec<PluginSpec>,
    /// The last entry of `[[bots.NAME.plugins]]`, if it has `bridge`.
    pub bridge: Option<Arc<Bridge>>,
}

/// Retention of a bot's transcripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptTranscripts {
    /// `keep-days`, default 30: older activities are deleted.
    pub keep: Duration,
    /// `bytes-max`, default 1 GiB over all conversations of the bot: beyond it the oldest activities are deleted.
    pub bytes_max: u64,
}

impl Default for KeptTranscripts {
    fn default() -> Self {
        Self { keep: Duration::from_hours(30 * 24), bytes_max: 1 << 30 }
    }
}

/// One plugin of one bot as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSpec {
    /// `name`, unique within the bot. Default: the stem of the component's file name.
    pub name: Arc<str>,
    /// Index in the `plugins` array of the file, from 0.
    pub position: usize,
    /// `component`: path of the component, relative to the folder of the configuration.
    pub component: PathBuf,
    /// `settings`: the values that the guest reads through `config`.
    pub settings: BTreeMap<String, Value>,
    /// `on-failure`, default `fail-turn`.
    pub on_failure: OnFailure,
    /// `on-hook-failure`, default `closed`. Applies to a plugin that is middleware.
    pub on_hook_failure: OnHookFailure,
    /// `grants`: capabilities that the operator allows, if the manifest requests them. Default: none.
    pub grants: Grants,
    /// `limits` of the plugin, which override `[bots.NAME.limits]`, which override the defaults.
    pub limits: Limits,
}

/// What a trap, a fault or an exhausted limit of a plugin does to the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// `fail-turn`: the whole turn is rolled back, and a message turn gets an error reply.
    FailTurn,
    /// `continue`: only what this call staged is rolled back, and the next handler runs.
    Continue,
}

/// What happens to an activity when the middleware that should see it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnHookFailure {
    /// `closed`: the activity does not pass.
    Closed,
    /// `open`: the activity passes unchanged.
    Open,
    /// `disable`: `closed` until the third consecutive failure, then `open` for a while without calling the plugin.
    Disable,
}

/// How a date in digits is written, such as `5/12/2027`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    /// `day-month`
    DayMonth,
    /// `month-day`
    MonthDay,
}

/// What happens to a dialog frame whose state is newer than its plugin, if no older state was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnNewer {
    /// `reset`: the frame is cancelled, and the user gets `dialog-reset-text`.
    Reset,
    /// `hold`: the frame is kept until a plugin that knows its state serves again. Meanwhile messages go to the
    /// handlers.
    Hold,
}

/// What happens to a message that comes while a turn of its conversation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// `queue`: its turn runs after those that wait.
    Queue,
    /// `interrupt`: the turn that runs is stopped.
    Interrupt,
}

/// Paths are relative to the current folder.
impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 3979))),
            token_file: PathBuf::from(".turntable/admin-token"),
        }
    }
}

/// Paths are relative to the current folder.
impl Default for Runtime {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from(".turntable"),
            cache_dir: PathBuf::from(".turntable/cache"),
            allocator: Allocator::Auto,
            instances_max: 256,
            instances_per_bot_max: 128,
            guest_memory_bytes_max: machine::memory_bytes() / 2,
            instances_wait: Duration::from_millis(4_000),
            http_requests_per_bot_max: 64,
            workers: available_parallelism().map_or(1, std::num::NonZero::get),
            component_bytes_max: 64 << 20,
            compile_memory_bytes_max: 2 << 30,
            compile_timeout: Duration::from_millis(120_000),
            watch: true,
        }
    }
}

/// How fast a bot may send on one channel. All windows of a list apply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates {
    /// `conversation`: limits per conversation.
    pub conversation: Vec<Rate>,
    /// `bot`: limits over all conversations of the bot.
    pub bot: Vec<Rate>,
}

/// Number of sends per window, such as `60/30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Size of the burst. The same number is replenished evenly over the window.
    pub sends: NonZeroU32,
    /// Length of the window.
    pub per: Duration,
}

impl Rates {
    /// Returns half of the limits that Microsoft documents for Teams: 7 sends in 1 s, 8 in 2 s, 60 in 30 s and 1,800 in
    /// 1 h per conversation, and 50 in 1 s per bot. Creating a conversation counts like a send. The limits are halved
    /// because a full bucket lets through twice its size in its first window.
    fn msteams() -> Self {
        let rate = |sends: u32, seconds: u64| Rate {
            sends: NonZeroU32::new(sends).unwrap_or(NonZeroU32::MIN),
            per: Duration::from_secs(seconds),
        };
        Self { conversation: vec![rate(4, 2), rate(30, 30), rate(900, 3_600)], bot: vec![rate(25, 1)] }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (sends, window) = text.split_once('/')?;
            let unit = window.chars().next_back()?;
            let seconds = match unit {
                's' => 1,
                'm' => 60,
                'h' => 3_600,
                _ => return None,
            };
            let count: u64 = window.trim_end_matches(unit).parse().ok().filter(|count| (1..=86_400).contains(count))?;
            let sends = sends.parse::<NonZeroU32>().ok().filter(|sends| sends.get() <= 1_000_000)?;
            Some(Self { sends, per: Duration::from_secs(count * seconds) })
        };
        read().ok_or_else(|| {
            format!("\"{text}\" is not a rate; write a number of sends and a window, such as \"60/30s\" or \"1800/1h\"")
        })
    }
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            connector_origins: vec!["http://localhost:56150".to_owned()],
            send_timeout: Duration::from_millis(10_000),
            unreachable_wait: Duration::from_secs(900),
            send_attempts_max: 3,
            ambiguous: Ambiguous::Drop,
            rates: [("msteams".to_owned(), Rates::msteams())].into(),
            outbox_rows_max: 10_000,
            dead_letters_max: 1_000,
            redelivery_marks_max: 100_000,
            id_map_entries_max: 100_000,
        }
    }
}

impl BotSpec {
    /// Returns a bot without plugins, everything else at its default.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            title: name.to_owned(),
            registration: None,
            notify_key_file: None,
            transcripts: None,
            enabled: true,
            typing_indicator: false,
            error_text: ERROR_TEXT.to_owned(),
            dialog_failed_text: None,
            dialog_reset_text: None,
            time_zone: None,
            date_order: None,
            on_newer: OnNewer::Reset,
            overlap: Overlap::Queue,
            plugins: Vec::new(),
            bridge: None,
        }
    }
}

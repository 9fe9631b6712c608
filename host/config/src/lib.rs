//! `turntable.toml`: what was typed, checked whole, and turned into what it means.
//!
//! Nothing else reads configuration. [`load`] reports every problem at once, each with its line.

mod bots;
mod grants;
mod limits;
mod problem;
mod read;
pub mod secret;
mod sections;
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

use serde_json::Value;

pub use grants::{Grants, Scope};
pub use limits::Limits;
pub use problem::{Problem, Problems};
pub use read::{Keys, Overrides, Places, Reading, load, load_for_bot, load_sections, load_with, read};

/// A validated configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// What the command line set over it; holds at a reload too.
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
    /// `[bots.NAME]`, by name.
    pub bots: BTreeMap<String, BotSpec>,
    /// The bot of `POST /api/messages`; `server.default-bot`, or the only bot.
    pub default_bot: Option<String>,
}

/// What the user reads when a message turn failed and the bot has no `error-text`.
pub const ERROR_TEXT: &str = "Sorry, something went wrong on my side. Please try again.";
/// The default of `dialog-failed-text`.
pub const DIALOG_FAILED_TEXT: &str = "Sorry, I cannot go on with this. I have stopped it; you can start again.";
/// The default of `dialog-reset-text`.
pub const DIALOG_RESET_TEXT: &str = "Sorry, I have been updated and lost my place. Please start again.";

/// The public listener and what it accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// `listen`, default `127.0.0.1:3978`.
    pub listen: SocketAddr,
    /// `mode`: `development` serves the chat page and hands out Direct Line tokens; default `production`.
    pub development: bool,
    /// `allow-anonymous-remote`, default false: serve bots without an app id on a listener that is not loopback.
    pub allow_anonymous_remote: bool,
    /// `host-names`: further names by which clients may address this listener, besides its own address and `localhost`.
    pub host_names: Vec<String>,
    /// `allowed-origins`: web origins that may use Direct Line, besides the page's own.
    pub allowed_origins: Vec<String>,
    /// `body-bytes-max`, default 512 KiB. Larger bodies answer 413.
    pub body_bytes_max: usize,
    /// `upload-bytes-max`, default 4 MiB for each Direct Line upload.
    pub upload_bytes_max: usize,
    /// `acknowledge-ms`, default 5,000: after that a normal activity is answered 202 while its turn goes on.
    pub acknowledge_after: Duration,
    /// `invoke-deadline-ms`, default 9,000: after that an invoke is answered 504.
    pub invoke_deadline: Duration,
    /// `expect-replies-deadline-ms`, default 14,000: after that expectReplies is answered 504.
    pub expect_replies_deadline: Duration,
    /// `keep-alive-ms`, default 75,000: how long a connection of either listener may be idle before it is closed. Longer than
    /// the 60 s of most load balancers: one that reuses a connection just while it is closed here answers 502.
    pub keep_alive: Duration,
    /// `shutdown-grace-ms`, default 10,000: how long accepted turns may go on after a stop signal.
    pub shutdown_grace: Duration,
    /// `turns-queued-per-conversation-max`, default 32; beyond it 429.
    pub turns_queued_per_conversation_max: usize,
    /// `turns-queued-max`, default 4,096 over all conversations; beyond it 429.
    pub turns_queued_max: usize,
}

/// The admin listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// `listen`, default `127.0.0.1:3979`; must be loopback. `listen = "off"` turns the admin API off.
    pub listen: Option<SocketAddr>,
    /// `token-file`, default `admin-token` in the data folder. Created with mode 0600 when absent.
    pub token_file: PathBuf,
}

/// What all plugins share.
#[derive(Debug, Clone, PartialEq)]
pub struct Runtime {
    /// `data-dir`, default `.turntable` beside the configuration: deployed components, keys.
    pub data_dir: PathBuf,
    /// `cache-dir`, default `cache` in the data folder: compiled code. Hosts may share it.
    pub cache_dir: PathBuf,
    /// `allocator`: `auto` (pooling where the machine can), `pooling` or `on-demand`; default `auto`.
    pub allocator: Allocator,
    /// `instances-max`, default 256: guests alive at once in the whole host.
    pub instances_max: u32,
    /// `instances-per-bot-max`, default half of `instances-max`.
    pub instances_per_bot_max: u32,
    /// `instances-wait-ms`, default 4,000: how long a turn waits for its instances before it answers 503. Below
    /// `server.acknowledge-ms`, so that the channel learns that the activity was not taken.
    pub instances_wait: Duration,
    /// `workers`, default one per core: threads that run guests. Beside them there is one fewer, but one at least, of lower
    /// priority, for guests that compute for longer than 10 ms.
    pub workers: usize,
    /// `component-bytes-max`, default 64 MiB. Larger components are refused.
    pub component_bytes_max: u64,
    /// `compile-memory-bytes-max`, default 2 GiB for one compilation.
    pub compile_memory_bytes_max: u64,
    /// `compile-ms`, default 120,000 of wall time for one compilation; CPU time is bounded alike.
    pub compile_timeout: Duration,
    /// `watch`, default true: reload a bot when one of its files changes.
    pub watch: bool,
}

/// How instances get their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocator {
    /// Pooling if a probe at start succeeds, else on-demand.
    Auto,
    /// Pooling, or no start.
    Pooling,
    /// A mapping per instance.
    OnDemand,
}

/// How activities leave the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// `connector-origins`: where unauthenticated replies may go, on loopback. Default: in development any port of loopback,
    /// `http://localhost:*`; in production the port of the Agents Playground, `http://localhost:56150`.
    pub connector_origins: Vec<String>,
    /// `send-timeout-ms`, default 10,000 for one call to the connector.
    pub send_timeout: Duration,
    /// `send-attempts-max`, default 3, only where the channel certainly did not take the activity. A 429 is no failed attempt:
    /// it is waited for, up to ten times.
    pub send_attempts_max: u32,
    /// `ambiguous`, default `drop`.
    pub ambiguous: Ambiguous,
    /// `rates.CHANNEL`, by `channelId`: how fast a channel lets a bot send. Default: what Microsoft documents for `msteams`
    /// (`protocol/http.md` §2.1). Other channels have no limit here but their own 429.
    pub rates: BTreeMap<String, Rates>,
    /// `outbox-rows-max`, default 10,000 undelivered sends over all conversations.
    pub outbox_rows_max: usize,
    /// `dead-letters-max`, default 1,000; the oldest go first.
    pub dead_letters_max: usize,
    /// `redelivery-marks-max`, default 100,000 remembered activities, 1,000,000 at most; the oldest go first.
    pub redelivery_marks_max: usize,
    /// `id-map-entries-max`, default 100,000 remembered ids of sent activities, 1,000,000 at most; the oldest go first.
    pub id_map_entries_max: usize,
}

/// What becomes of a message that the channel perhaps got: the request timed out, or failed after it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambiguous {
    /// `drop`: it becomes a dead letter. No message comes twice.
    Drop,
    /// `resend`: it is tried again like one that certainly did not arrive. A message may come twice.
    Resend,
}

/// Where state, dialogs and undelivered messages are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// `kind`, default `sqlite`; `memory` keeps everything in this process and loses it at a restart.
    pub kind: StorageKind,
    /// `path`, default `turntable.db` in the data folder. On a local disk, for this host alone.
    pub path: PathBuf,
    /// `durability`, default `full`.
    pub durability: Durability,
}

/// The implementations of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageKind {
    /// One file.
    Sqlite,
    /// None.
    Memory,
}

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `full`: the death of the process and of the machine.
    Full,
    /// `process`: the death of the process; a power cut may cost the last turns, but never damages the file.
    Process,
}

impl Storage {
    /// The default, with its file in this data folder.
    pub fn in_data_dir(data_dir: &std::path::Path) -> Self {
        Self { kind: StorageKind::Sqlite, path: data_dir.join("turntable.db"), durability: Durability::Full }
    }
}

/// One bot as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct BotSpec {
    /// `[bots.NAME]`
    pub name: Arc<str>,
    /// `title`, shown in the chat page; default the name.
    pub title: String,
    /// `app-id`. A bot with one answers 401 to channels until token validation exists; Direct Line in development mode
    /// reaches it.
    pub app_id: Option<String>,
    /// `enabled`, default true.
    pub enabled: bool,
    /// `typing-indicator`, default false: send `typing` when a message turn starts.
    pub typing_indicator: bool,
    /// `error-text`: what the user reads when a message turn failed. Default in English, says nothing internal.
    pub error_text: String,
    /// `dialog-failed-text`: what the user reads when a dialog failed three times in a row and was cancelled.
    pub dialog_failed_text: String,
    /// `dialog-reset-text`: what the user reads when a dialog could not go on after an update of the bot.
    pub dialog_reset_text: String,
    /// `notify-key-file`: a file with the key that services present to let the bot speak first. Default none: only the admin
    /// API can.
    pub notify_key_file: Option<PathBuf>,
    /// `[bots.NAME.transcripts]`: what is said is kept, so long and so much. Default none: it is not.
    pub transcripts: Option<KeptTranscripts>,
    /// `on-newer`, default `reset`: what becomes of a dialog whose state is newer than the plugin after a rollback.
    pub on_newer: OnNewer,
    /// `[[bots.NAME.plugins]]`, in order.
    pub plugins: Vec<PluginSpec>,
}

/// How long a bot's transcripts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptTranscripts {
    /// `keep-days`, default 30: what was said before is deleted.
    pub keep: Duration,
    /// `bytes-max`, default 1 GiB for all conversations of the bot: beyond it the oldest is deleted.
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
    /// `name`, unique within the bot; default the file's stem.
    pub name: Arc<str>,
    /// Position in `plugins` of the file, from 0.
    pub position: usize,
    /// `component`: path of the component, relative to the configuration.
    pub component: PathBuf,
    /// `settings`: what `config` gives the guest.
    pub settings: BTreeMap<String, Value>,
    /// `on-failure`, default `fail-turn`.
    pub on_failure: OnFailure,
    /// `on-hook-failure`, default `closed`: of a plugin that is middleware.
    pub on_hook_failure: OnHookFailure,
    /// `grants`: what the operator allows it, as far as its manifest asks for it. Default nothing.
    pub grants: Grants,
    /// `[bots.NAME.limits]`, overridden by `limits` of the plugin, over the defaults.
    pub limits: Limits,
}

/// What a plugin's trap, fault or exhausted limit does to the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// `fail-turn`: nothing of the turn becomes real but one error reply.
    FailTurn,
    /// `continue`: what this call staged is undone, and the next handler runs.
    Continue,
}

/// What becomes of an activity whose middleware failed (`middleware.wit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnHookFailure {
    /// `closed`: nothing passes that the plugin has not seen.
    Closed,
    /// `open`: it passes as it is.
    Open,
    /// `disable`: closed until the third failure in a row, then open for a while without calling the plugin.
    Disable,
}

/// What becomes of a dialog frame whose state is newer than its plugin, where no older state was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnNewer {
    /// `reset`: the frame is cancelled, and the user is told.
    Reset,
    /// `hold`: the frame stays as it is until a plugin serves that knows its state; messages go to the bot's handlers.
    Hold,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3978)),
            development: false,
            allow_anonymous_remote: false,
            host_names: Vec::new(),
            allowed_origins: Vec::new(),
            body_bytes_max: 512 << 10,
            upload_bytes_max: 4 << 20,
            acknowledge_after: Duration::from_millis(5_000),
            invoke_deadline: Duration::from_millis(9_000),
            expect_replies_deadline: Duration::from_millis(14_000),
            keep_alive: Duration::from_millis(75_000),
            shutdown_grace: Duration::from_millis(10_000),
            turns_queued_per_conversation_max: 32,
            turns_queued_max: 4_096,
        }
    }
}

/// With paths relative to the current folder.
impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 3979))),
            token_file: PathBuf::from(".turntable/admin-token"),
        }
    }
}

/// With paths relative to the current folder.
impl Default for Runtime {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from(".turntable"),
            cache_dir: PathBuf::from(".turntable/cache"),
            allocator: Allocator::Auto,
            instances_max: 256,
            instances_per_bot_max: 128,
            instances_wait: Duration::from_millis(4_000),
            workers: available_parallelism().map_or(1, std::num::NonZero::get),
            component_bytes_max: 64 << 20,
            compile_memory_bytes_max: 2 << 30,
            compile_timeout: Duration::from_millis(120_000),
            watch: true,
        }
    }
}

/// How fast one channel lets a bot send; each list is a set of windows that all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates {
    /// `conversation`: in one conversation.
    pub conversation: Vec<Rate>,
    /// `bot`: in all conversations of a bot together.
    pub bot: Vec<Rate>,
}

/// So many sends in a window, such as `60/30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many may come at once; as many again come evenly over the window.
    pub sends: NonZeroU32,
    /// The window.
    pub per: Duration,
}

impl Rates {
    /// Half of what Teams documents for each window, as a bucket that was full lets through twice its sends in its first
    /// window: 7 in 1 s, 8 in 2 s, 60 in 30 s, 1,800 in 1 h for a conversation, 50 in 1 s for a bot.
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
            format!("\"{text}\" is no rate: write sends and a window, such as \"60/30s\" or \"1800/1h\"")
        })
    }
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            connector_origins: vec!["http://localhost:56150".to_owned()],
            send_timeout: Duration::from_millis(10_000),
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
            app_id: None,
            notify_key_file: None,
            transcripts: None,
            enabled: true,
            typing_indicator: false,
            error_text: ERROR_TEXT.to_owned(),
            dialog_failed_text: DIALOG_FAILED_TEXT.to_owned(),
            dialog_reset_text: DIALOG_RESET_TEXT.to_owned(),
            on_newer: OnNewer::Reset,
            plugins: Vec::new(),
        }
    }
}

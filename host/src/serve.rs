//! Serves a host: its listeners, its signals, and its graceful stop.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::app::App;
use crate::config::{Config, StorageKind};
use crate::delivery::DrainReport;
use crate::http::{self, Connections};
use crate::registry::watch as file_watch;
use crate::telemetry;
use crate::threads::{self, GuestThreads, Guests};
use crate::turn::middleware::Middleware;

/// Options of [`serve`] that are not part of the configuration.
#[derive(Default)]
pub struct ServeOptions {
    /// Native middleware of a program that embeds the host, outermost first. It runs inside the host's own middleware.
    pub middleware: Vec<Box<dyn Middleware>>,
    /// File that gets the bound addresses as JSON when the host is ready: `{"public":"…","admin":"…"}`.
    pub ports_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Ports {
    public: SocketAddr,
    admin: Option<SocketAddr>,
}

/// Serves until SIGINT or SIGTERM, then finishes accepted turns within the grace period. A second signal ends the wait.
///
/// # Errors
/// The host cannot start: a thread, a listener, the store or the plugin runtime fails.
pub fn serve(config: Config, options: ServeOptions) -> anyhow::Result<()> {
    raise_descriptors();
    let guests = GuestThreads::start(config.runtime.workers)?;
    // Transport has its own threads, so that no guest keeps a request from being read or answered.
    let transport = threads::start("turntable-io", config.runtime.workers.clamp(1, 4))?;
    let result = transport.block_on(run(config, options, guests.guests()));
    guests.stop();
    transport.shutdown_timeout(Duration::from_millis(100));
    result
}

/// Number of file descriptors with which a host at its default limits gets by: connections of both listeners, calls to channels
/// and requests of plugins.
const DESCRIPTORS_WANTED: u64 = 16_384;

/// Raises the soft limit of descriptors to the hard one, because the usual soft limit of 1,024 is for programs that use
/// `select`. Logs a limit at which the host may run out.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, ..limit };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
    }
    match getrlimit(Resource::Nofile).current {
        Some(current) if current < DESCRIPTORS_WANTED => tracing::warn!(
            limit = current,
            wanted = DESCRIPTORS_WANTED,
            "the host may run out of open files; raise the hard limit (`ulimit -Hn`, or `LimitNOFILE=` of systemd)"
        ),
        current => tracing::debug!(limit = current, "open files"),
    }
}

async fn run(config: Config, mut options: ServeOptions, guests: Guests) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let metrics = telemetry::install_metrics()?;
    let public = bind(config.server.listen, "server.listen").await?;
    let admin = match config.admin.listen {
        Some(address) => Some(bind(address, "admin.listen").await?),
        None => None,
    };
    let addresses = (public.local_addr()?, admin.as_ref().map(TcpListener::local_addr).transpose()?);
    let app = App::build(config.clone(), addresses, std::mem::take(&mut options.middleware), guests.clone()).await?;
    // Start to watch before the bots are loaded, so that no change is missed.
    let _watch = config.runtime.watch.then(|| file_watch::start(app.registry.clone(), &Handle::current()));
    app.registry.load_all().await;
    app.take_over().await?;
    app.start_background(&guests);

    let (stop, stopped) = watch::channel(false);
    let router = http::public_router(&app);
    let mut servers =
        vec![tokio::spawn(http::serve(public, router, Connections::public(&config.server), stopping(&stopped)))];
    if let Some(listener) = admin {
        let token = http::admin::load_or_create_token(&config.admin.token_file)?;
        let router = http::admin_router(app.clone(), token, metrics);
        servers.push(tokio::spawn(http::serve(
            listener,
            router,
            Connections::admin(&config.server),
            stopping(&stopped),
        )));
    }
    // Install the signal handlers before the host reports that it is ready, and keep them, so that no signal is missed.
    let mut signals = Signals::new()?;
    announce(&app, &options)?;

    let signal = tokio::select! {
        signal = signals.next() => signal,
        // Another host continues the work; what this one still does would not be stored.
        why = app.storage.lost() => bail!("{why}"),
    };
    stop_gracefully(&app, signal, &mut signals, stop, servers).await;
    Ok(())
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} ({key})"))
}

fn stopping(stopped: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stopped = stopped.clone();
    async move {
        // A dropped sender means that the host is being torn down, which must stop the server too.
        let _ = stopped.wait_for(|stop| *stop).await;
    }
}

/// Logs the status of the bots, writes the ports file, and prints where to find the chat page in development mode.
fn announce(app: &App, options: &ServeOptions) -> anyhow::Result<()> {
    for bot in app.registry.bots() {
        let status = bot.status();
        let failure = status.last_failure.map(|failure| failure.problems.join("; "));
        match (status.generation, failure) {
            (Some(generation), _) => {
                let plugins: Vec<_> = status.plugins.iter().filter_map(|plugin| plugin.describes.clone()).collect();
                tracing::info!(bot = status.name, generation, plugins = plugins.join(", "), "bot ready");
            }
            (None, failure) => {
                tracing::error!(
                    bot = status.name,
                    problems = failure.unwrap_or_default(),
                    "bot could not be loaded; fix the problems and reload it"
                );
            }
        }
    }
    if let Some(path) = &options.ports_file {
        let ports = serde_json::to_vec(&Ports { public: app.public, admin: app.admin })?;
        let temporary = path.with_extension("tmp");
        std::fs::write(&temporary, ports)
            .and_then(|()| std::fs::rename(&temporary, path))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    tracing::info!(public = %app.public, admin = app.admin.map(tracing::field::display), pooling = app.plugins.pooling, "listening");
    if app.config.server.development {
        let text = format!("\n  Talk to your bots:  {}\n", app.directline.service_url());
        // Print from a separate thread, because writing to a stdout that nobody reads may block.
        std::thread::Builder::new().name("turntable-banner".into()).spawn(move || say(&text))?;
    }
    Ok(())
}

/// Prints a line to stdout. Ignores errors, because a closed stdout must not stop the host.
fn say(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// The signals that stop the host.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Finishes accepted turns until the grace period ends or a second signal arrives, and logs the result.
async fn stop_gracefully(
    app: &App,
    signal: &'static str,
    signals: &mut Signals,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
) {
    let grace = app.config.server.shutdown_grace;
    let deadline = Instant::now() + grace;
    let turns = app.turns.stop();
    let accepted = app.turns.running();
    tracing::info!(
        signal,
        grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
        running = accepted,
        "stopping: accepting nothing more, finishing accepted turns"
    );
    let report = tokio::select! {
        report = finish(app, turns, stop, servers, deadline) => report,
        signal = signals.next() => {
            tracing::warn!(signal, "second signal: stopping without waiting for turns and deliveries");
            app.deliveries.drain(Instant::now()).await
        }
    };
    let cut = app.turns.running();
    if cut == 0 && report.left == 0 {
        tracing::info!(finished = accepted, delivered = report.delivered, "stopped: every accepted turn has ended");
    } else {
        let finished = accepted.saturating_sub(cut);
        match app.config.storage.kind {
            StorageKind::Memory => tracing::error!(
                cut,
                undelivered = report.left,
                finished,
                "stopped: the grace period ended first; cut turns and undelivered messages are lost, because \
                 `storage.kind` is `memory`"
            ),
            // An activity is stored before the answer 202 or with the commit. Without an answer, the channel must send it again.
            StorageKind::Sqlite | StorageKind::Postgres => tracing::error!(
                cut,
                undelivered = report.left,
                finished,
                "stopped: the grace period ended first; the next start delivers the undelivered messages and runs the cut turns \
                 that were answered 202 again; other cut turns run when the channel sends their activity again"
            ),
        }
    }
}

/// Finishes turns, then deliveries, then responses that are being written. Then closes the store.
async fn finish(
    app: &App,
    turns: impl Future<Output = ()>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    deadline: Instant,
) -> DrainReport {
    let _ = timeout_at(deadline, turns).await;
    stop.send_replace(true);
    let report = app.deliveries.drain(deadline).await;
    for server in servers {
        let _ = timeout_at(deadline, server).await;
    }
    if let Err(error) = app.storage.close().await {
        tracing::warn!(%error, "the store was not closed cleanly; the next start cleans it up");
    }
    report
}

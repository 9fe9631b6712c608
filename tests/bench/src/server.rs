//! The processes of a run: hosts, the peer, sinks, loads.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use hyper::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::http::Connection;
use crate::load::{Outcome, Plan};
use crate::machine;
use crate::sink::Addresses;

/// The folder of a run, its sink, and the paths of programs and components.
pub(crate) struct Lab {
    folder: TempDir,
    components: PathBuf,
    pub(crate) sink: Addresses,
    _sink: Child,
    numbers: AtomicU32,
}

/// The core that a process is bound to. None means any core.
pub(crate) type Core = Option<u32>;

/// A server under test. Dropping it ends the process.
pub(crate) struct Server {
    child: Child,
    pub(crate) public: SocketAddr,
    admin: Option<(Connection, String)>,
}

#[derive(Deserialize)]
struct Ports {
    public: SocketAddr,
    admin: Option<SocketAddr>,
}

/// How much longer than its plan a load may take, because of missing and late answers.
const LOAD_EXTRA_MAX: Duration = Duration::from_secs(80);

/// How long a server may take to start, because it compiles all its components.
const START_MAX: Duration = Duration::from_secs(120);

/// How long a server may take to stop, because it finishes its turns and closes its store.
const STOP_MAX: Duration = Duration::from_secs(60);

/// How often to poll whether a server listens. It is the resolution of start-up times.
const LOOK_EVERY: Duration = Duration::from_millis(2);

impl Lab {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let components = std::env::var_os("TURNTABLE_COMPONENTS").map_or("target/components".into(), PathBuf::from);
        let core = machine::has_two_cores().then_some(1);
        let mut child = command(&std::env::current_exe()?, core).arg("sink").stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("the sink has no stdout")?;
        let line = BufReader::new(stdout).lines().next_line().await?.context("the sink did not start")?;
        let sink = serde_json::from_str(&line)?;
        Ok(Self { folder: tempfile::tempdir()?, components, sink, _sink: child, numbers: AtomicU32::new(0) })
    }

    fn number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Reads a built component.
    pub(crate) fn component(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.components.join(format!("{name}.wasm"));
        fs::read(&path).with_context(|| format!("cannot read {}; `make bench` builds it", path.display()))
    }

    /// Writes a configuration with these bots. All hosts of a run share compiled code. The peer stores nothing on disk,
    /// so these hosts do not either.
    pub(crate) fn config(&self, runtime: &str, bots: &str) -> anyhow::Result<PathBuf> {
        self.config_with_storage("storage.kind = 'memory'", runtime, bots)
    }

    /// Like `configuration`, with a given storage.
    pub(crate) fn config_with_storage(&self, storage: &str, runtime: &str, bots: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.path().join(format!("host-{}", self.number()));
        fs::create_dir(&folder)?;
        let file = folder.join("turntable.toml");
        let cache = self.folder.path().join("compiled");
        let text = format!(
            "server.listen = '127.0.0.1:0'\nadmin.listen = '127.0.0.1:0'\nruntime.cache-dir = '{}'\n\
             runtime.data-dir = 'data'\n{storage}\n\
             channel.connector-origins = ['http://127.0.0.1:*']\n{runtime}\n{bots}",
            cache.display()
        );
        fs::write(&file, text)?;
        Ok(file)
    }

    /// Returns the configuration of a bot with one plugin.
    pub(crate) fn bot(&self, bot: &str, component: &str, limits: &str) -> anyhow::Result<String> {
        let path = std::path::absolute(self.components.join(format!("{component}.wasm")))?;
        if !path.is_file() {
            bail!("{} is not there; `make bench` builds it", path.display());
        }
        Ok(format!(
            "[bots.{bot}]\n{limits}\n[[bots.{bot}.plugins]]\ncomponent = '{}'\nname = 'plugin'\n",
            path.display()
        ))
    }

    /// Starts the host.
    pub(crate) async fn host(&self, config: &Path, core: Core) -> anyhow::Result<Server> {
        let program = std::env::current_exe()?.with_file_name("turntable");
        let mut command = command(&program, core);
        command.args(["serve", "--log", "warn", "--log-format", "json"]).arg(config);
        self.start(command, config).await
    }

    /// Starts the host with the native echo.
    pub(crate) async fn native(&self, config: &Path, core: Core) -> anyhow::Result<Server> {
        let mut command = command(&std::env::current_exe()?, core);
        command.arg("native").arg(config);
        self.start(command, config).await
    }

    async fn start(&self, mut command: Command, config: &Path) -> anyhow::Result<Server> {
        let ports_file = config.with_file_name(format!("ports-{}.json", self.number()));
        command.arg("--ports-file").arg(&ports_file);
        let mut server = Server::start(command, &ports_file).await?;
        if let Some((_, token)) = &mut server.admin {
            *token = fs::read_to_string(config.with_file_name("data").join("admin-token"))?.trim().to_owned();
        }
        Ok(server)
    }

    /// Starts the peer. npm installs its packages if they are missing.
    pub(crate) async fn peer(&self, core: Core) -> anyhow::Result<Server> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peer");
        // npm writes this file last.
        if !folder.join("node_modules/.package-lock.json").is_file() {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder).stdout(Stdio::null());
            let status = npm.status().await.context("npm is not installed")?;
            if !status.success() {
                bail!("npm ci failed");
            }
        }
        let ports_file = self.folder.path().join(format!("peer-{}.json", self.number()));
        let mut node = command(Path::new("node"), core);
        node.env("NODE_ENV", "production").arg(folder.join("echo.js")).arg(&ports_file);
        Server::start(node, &ports_file).await
    }

    /// Returns a plan for a closed loop through the sink with half a second of warm-up and two seconds of measurement.
    pub(crate) fn plan(&self, server: &Server, bot: &str, users: usize) -> Plan {
        Plan {
            target: server.public,
            path: if bot.is_empty() { "/api/messages".to_owned() } else { format!("/api/bots/{bot}/messages") },
            sink: self.sink,
            expect_replies: false,
            users,
            rate: None,
            warm_up_ms: 500,
            measure_ms: 2000,
            text: "hello".to_owned(),
            reply: "Echo: hello".to_owned(),
            tag: format!("load-{}", self.number()),
        }
    }

    /// Runs the plan in a process of users.
    pub(crate) async fn load(&self, plan: &Plan, core: Core) -> anyhow::Result<Outcome> {
        let mut load = command(&std::env::current_exe()?, core);
        load.arg("load").arg(serde_json::to_string(plan)?).stdout(Stdio::piped());
        let limit = Duration::from_millis(plan.warm_up_ms + plan.measure_ms) + LOAD_EXTRA_MAX;
        let output =
            tokio::time::timeout(limit, load.spawn()?.wait_with_output()).await.context("a load did not end")??;
        serde_json::from_slice(&output.stdout).context("the load did not end well")
    }
}

/// Returns a command that is killed with its handle, and bound to a core with `taskset`.
pub(crate) fn command(program: &Path, core: Core) -> Command {
    let mut command = match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

impl Server {
    async fn start(mut command: Command, ports_file: &Path) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::null()).spawn().context("a server does not start")?;
        let waiting = async {
            loop {
                if let Ok(Ok(ports)) = fs::read(ports_file).map(|bytes| serde_json::from_slice::<Ports>(&bytes)) {
                    return Ok(ports);
                }
                if let Some(status) = child.try_wait()? {
                    bail!("a server ended before it listened: {status}");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let ports = tokio::time::timeout(START_MAX, waiting).await.context("a server did not listen in time")??;
        let admin = ports.admin.map(|address| (Connection::new(address), String::new()));
        Ok(Self { child, public: ports.public, admin })
    }

    /// Returns the process id of the program, which replaces `taskset`.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the server has ended")
    }

    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        machine::cpu_seconds(self.pid()?)
    }

    pub(crate) fn resident_kib(&self) -> anyhow::Result<f64> {
        machine::resident_kib(self.pid()?)
    }

    /// Stops the server with SIGTERM and waits for its end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()?).ok().and_then(Pid::from_raw).context("a process id that is none")?;
        kill_process(pid, Signal::TERM)?;
        let ended =
            tokio::time::timeout(STOP_MAX, self.child.wait()).await.context("a server did not stop in time")??;
        ensure!(ended.success(), "a server did not stop well: {ended}");
        Ok(())
    }

    /// Kills the server with SIGKILL and waits for its end.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Uploads a component for the plugin of a bot.
    pub(crate) async fn deploy(&mut self, bot: &str, component: Bytes) -> anyhow::Result<(u16, Value)> {
        self.admin(Method::PUT, &format!("/v1/bots/{bot}/plugins/plugin"), component).await
    }

    /// Calls the admin API, and returns status and JSON.
    pub(crate) async fn admin(&mut self, method: Method, path: &str, body: Bytes) -> anyhow::Result<(u16, Value)> {
        let (connection, token) = self.admin.as_mut().context("this server has no admin API")?;
        let (status, body) = connection.send(method, path, Some(token.as_str()), body).await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Returns a new connection to the admin API, and the token.
    pub(crate) fn another_admin(&self) -> anyhow::Result<(Connection, String)> {
        let (connection, token) = self.admin.as_ref().context("this server has no admin API")?;
        Ok((connection.another(), token.clone()))
    }

    /// Fails unless every bot is ready.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        let (connection, _) = self.admin.as_mut().context("this server has no admin API")?;
        let (status, body) = connection.send(Method::GET, "/readyz", None, Bytes::new()).await?;
        if status != 200 {
            bail!("the host is not ready: {}", String::from_utf8_lossy(&body));
        }
        Ok(())
    }
}

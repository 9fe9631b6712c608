//! A host: the real binary with its own configuration on free ports. Dropping it stops the process.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use super::conversation::{Answer, Conversation};
use super::{command, component, within};

/// A builder of a host's configuration.
///
/// The defaults are free ports, connectors on any loopback port, and a cache of compiled code that all specs share.
pub(crate) struct Config {
    folder: TempDir,
    text: String,
    bots: String,
    complete: bool,
    launcher: Vec<String>,
    options: Vec<String>,
}

impl Config {
    /// Returns a configuration without bots.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("components")).unwrap();
        let data = folder.path().join(".turntable");
        fs::create_dir(&data).unwrap();
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
        let text = format!(
            "server.listen = '127.0.0.1:0'\nadmin.listen = '127.0.0.1:0'\nruntime.cache-dir = '{}'\n\
             channel.connector-origins = ['http://127.0.0.1:*']\n",
            cache.display()
        );
        // Hosts with the same key share compiled code, so each component is compiled once for all specs.
        Self { folder, text, bots: String::new(), complete: true, launcher: Vec::new(), options: Vec::new() }.key(7)
    }

    /// Uses this key for compiled code instead of the one that all specs share.
    pub(crate) fn key(self, byte: u8) -> Self {
        let path = self.folder.path().join(".turntable/code-key");
        let mut key = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
        key.write_all(&[byte; 32]).unwrap();
        self
    }

    /// Writes a file beside the configuration that only its owner can read.
    pub(crate) fn write_secret(&self, name: &str, text: &str) {
        write_secret(&self.folder.path().join(name), text);
    }

    /// Limits the address space of the host's process.
    pub(crate) fn address_space_gib(self, gib: u64) -> Self {
        self.launcher(command::after(&format!("ulimit -v {}", gib << 20)))
    }

    /// Starts the host through another program, given by the words of its command.
    pub(crate) fn launcher(mut self, words: Vec<String>) -> Self {
        self.launcher = words;
        self
    }

    /// Adds options of `turntable serve` at the first start.
    pub(crate) fn options(mut self, words: &[&str]) -> Self {
        self.options = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Returns the folder that the host keeps its data in.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join(".turntable")
    }

    /// Sets a key, such as `server.acknowledge-ms`, to a TOML value.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        let prefix = format!("{key} = ");
        let kept: String =
            self.text.lines().filter(|line| !line.starts_with(&prefix)).map(|line| format!("{line}\n")).collect();
        self.text = format!("{kept}{prefix}{value}\n");
        self
    }

    /// Removes a key, so that it has its default.
    pub(crate) fn unset(mut self, key: &str) -> Self {
        let prefix = format!("{key} = ");
        self.text =
            self.text.lines().filter(|line| !line.starts_with(&prefix)).map(|line| format!("{line}\n")).collect();
        self
    }

    /// Adds a bot with these built components as its plugins. If one is missing, the spec is skipped.
    pub(crate) fn bot(mut self, name: &str, components: &[&str]) -> Self {
        self.bots.push_str(&format!("[bots.{name}]\n"));
        for component in components {
            self = self.plugin(name, component, "");
        }
        self
    }

    /// Sets a key of the bot that was added last, before its plugins.
    pub(crate) fn bot_key(mut self, key: &str, value: &str) -> Self {
        self.bots.push_str(&format!("{key} = {value}\n"));
        self
    }

    /// Adds a plugin to the bot that was added last, with more TOML for it, such as `settings.text = "…"`.
    pub(crate) fn plugin(mut self, bot: &str, name: &str, more: &str) -> Self {
        match component(name) {
            Some(built) => self.file(bot, &built, more),
            None => {
                self.complete = false;
                self
            }
        }
    }

    /// Adds an entry of `[[bots.NAME.plugins]]` as it is.
    pub(crate) fn entry(mut self, entry: &str) -> Self {
        self.bots.push_str(entry);
        self
    }

    /// Adds a plugin whose component is the given file.
    pub(crate) fn file(mut self, bot: &str, component: &Path, more: &str) -> Self {
        let name = component.file_stem().unwrap().to_str().unwrap();
        fs::copy(component, self.folder.path().join(format!("components/{name}.wasm"))).unwrap();
        self.bots.push_str(&format!("[[bots.{bot}.plugins]]\ncomponent = 'components/{name}.wasm'\n{more}\n"));
        self
    }

    /// Writes the file and returns its path. None if a component is missing.
    pub(crate) fn write(&self) -> Option<PathBuf> {
        if !self.complete {
            return None;
        }
        let file = self.folder.path().join("turntable.toml");
        fs::write(&file, format!("{}\n{}", self.text, self.bots)).unwrap();
        Some(file)
    }

    /// Writes the file and returns the command that serves it. None if a component is missing.
    fn command(&self, ports_file: &Path) -> Option<Command> {
        let mut command = serving(&self.launcher, ports_file, &self.write()?);
        command.args(&self.options);
        Some(command)
    }
}

/// Writes a secret as a program does it that a host reads at any time: whole, under its name at once.
fn write_secret(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    fs::rename(beside, path).unwrap();
}

/// Returns the command that serves a configuration.
fn serving(launcher: &[String], ports_file: &Path, config: &Path) -> Command {
    let mut command = command::through(launcher);
    command.args(["serve", "--log-format", "json", "--ports-file"]).args([ports_file, config]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A running host.
pub(crate) struct Host {
    folder: TempDir,
    launcher: Vec<String>,
    child: Child,
    log: Arc<Log>,
    public: SocketAddr,
    admin: SocketAddr,
    client: reqwest::Client,
}

/// The lines that the host wrote to stderr.
struct Log {
    lines: Mutex<Vec<String>>,
    reading: (Mutex<Reading>, Condvar),
    /// The number of lines, and whether the stream has ended.
    state: watch::Sender<(usize, bool)>,
}

/// How the spec reads the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    On,
    Paused,
    Closed,
}

#[derive(Deserialize)]
struct Ports {
    public: SocketAddr,
    admin: SocketAddr,
}

impl Host {
    /// Starts a host and waits until it listens. Returns none if a component is missing, which is then reported.
    pub(crate) async fn start(config: Config) -> Option<Self> {
        let ports_file = config.folder.path().join("ports.json");
        let mut child = config.command(&ports_file)?.spawn().expect("the built binary starts");
        let log = Log::of(child.stderr.take().expect("stderr is piped"));
        let unbound = SocketAddr::from(([127, 0, 0, 1], 0));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        // From here on a drop kills the child and prints its log, even if the host does not start.
        let mut host = Self {
            folder: config.folder,
            launcher: config.launcher,
            child,
            log,
            public: unbound,
            admin: unbound,
            client,
        };
        host.logged("\"listening\"").await;
        let ports: Ports = serde_json::from_slice(&fs::read(&ports_file).unwrap()).unwrap();
        (host.public, host.admin) = (ports.public, ports.admin);
        Some(host)
    }

    /// Kills the host with SIGKILL if it still runs, and starts it again on the same files. `crash` is the point at which it
    /// kills itself, as `POINT:N` (`host/storage/src/failpoints.rs`).
    pub(crate) async fn again(&mut self, crash: Option<&str>) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
        let ports_file = self.folder.path().join("ports.json");
        let _ = fs::remove_file(&ports_file);
        let mut command = serving(&self.launcher, &ports_file, &self.folder.path().join("turntable.toml"));
        if let Some(crash) = crash {
            command.env("TURNTABLE_CRASH", crash);
        }
        self.child = command.spawn().expect("the built binary starts");
        self.log = Log::of(self.child.stderr.take().expect("stderr is piped"));
        self.logged("\"listening\"").await;
        let ports: Ports = serde_json::from_slice(&fs::read(&ports_file).unwrap()).unwrap();
        (self.public, self.admin) = (ports.public, ports.admin);
    }

    /// Starts the host again with a store that stalls at a point, as `POINT:N`, until the returned file exists.
    pub(crate) async fn stall_at(&mut self, point: &str) -> PathBuf {
        let until = self.folder.path().join("go-on");
        self.again(Some(&format!("{point}:{}", until.display()))).await;
        until
    }

    /// Kills the host with SIGKILL without waiting for its end.
    pub(crate) fn kill(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::KILL).unwrap();
    }

    /// Posts an activity to a bot and returns the status. None if the host ended before it answered.
    pub(crate) async fn try_post(&self, bot: &str, activity: &Value) -> Option<u16> {
        let request = self.client.post(self.url(&format!("/api/bots/{bot}/messages"))).json(activity);
        within("an answer, or the end of the host", request.send()).await.ok().map(|answer| answer.status().as_u16())
    }

    /// Starts a host that must fail to start, and returns its output. None if a component is missing.
    pub(crate) async fn fails_to_start(config: Config) -> Option<String> {
        let command = config.command(&config.folder.path().join("ports.json"))?;
        Some(refusal(command).await)
    }

    /// Stops the host if it still runs and starts it again on the same files. It must fail to start. Returns
    /// its output.
    pub(crate) async fn refuses_to_start(&mut self) -> String {
        self.ends().await;
        let file = self.folder.path().join("turntable.toml");
        refusal(serving(&self.launcher, &self.folder.path().join("ports.json"), &file)).await
    }

    /// Sends SIGTERM if the host still runs, and waits for its end. [`again`](Self::again) starts it again.
    pub(crate) async fn ends(&mut self) -> ExitStatus {
        if self.child.try_wait().unwrap().is_none() {
            self.signal();
        }
        self.wait().await
    }

    /// Waits for the end of a host that ends by itself.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let mut state = self.log.state.subscribe();
        within("the end of the log", state.wait_for(|(_, ended)| *ended)).await.unwrap();
        self.child.wait().unwrap()
    }

    /// Returns the process id.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Returns the folder that the host keeps its data in.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join(".turntable")
    }

    /// Returns a URL of the public listener.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.public)
    }

    /// Returns the address of the admin API.
    pub(crate) fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Calls the admin API.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Vec<u8>) -> Answer {
        self.admin_with(method, path, &[], body).await
    }

    /// Calls the admin API with more headers.
    pub(crate) async fn admin_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let token = fs::read_to_string(self.token_file()).unwrap();
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("{}{path}", self.admin_url()));
        let mut request = request.bearer_auth(token.trim()).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(within("an answer of the admin API", request.send()).await.unwrap()).await
    }

    /// Uploads a component for a plugin and returns the answer.
    pub(crate) async fn deploy(&self, bot: &str, plugin: &str, component: Vec<u8>) -> Answer {
        self.admin("PUT", &format!("/v1/bots/{bot}/plugins/{plugin}"), component).await
    }

    /// Returns the path of the configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("turntable.toml")
    }

    /// Replaces a text in the configuration.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "the configuration has no {from:?}");
        fs::write(self.config(), text.replace(from, to)).unwrap();
    }

    /// Replaces a text in the configuration and reloads the bot.
    pub(crate) async fn reconfigure(&self, bot: &str, from: &str, to: &str) {
        self.edit(from, to);
        let swap = self.admin("POST", &format!("/v1/bots/{bot}/reload"), Vec::new()).await;
        assert_eq!(swap.status, 200, "{}", swap.text);
    }

    /// Rolls back to the previous generation.
    pub(crate) async fn roll_back(&self, bot: &str) {
        let swap = self.admin("POST", &format!("/v1/bots/{bot}/rollback"), Vec::new()).await;
        assert_eq!(swap.status, 200, "{}", swap.text);
    }

    /// Returns the status of a bot.
    pub(crate) async fn status(&self, bot: &str) -> Value {
        self.admin("GET", &format!("/v1/bots/{bot}"), Vec::new()).await.json()
    }

    /// Returns the record of the newest turn of a bot.
    pub(crate) async fn last_turn(&self, bot: &str) -> Value {
        self.admin("GET", &format!("/v1/bots/{bot}/turns"), Vec::new()).await.json()[0].clone()
    }

    /// Waits for the dead letter of the bot in the conversation of this activity, and returns it.
    pub(crate) async fn dead_letter(&self, bot: &str, activity: &Value) -> Value {
        let conversation = &activity["conversation"]["id"];
        let find = async {
            loop {
                let letters = self.admin("GET", &format!("/v1/bots/{bot}/dead-letters"), Vec::new()).await.json();
                let mine = letters.as_array().unwrap().iter().find(|letter| letter["conversation"] == *conversation);
                if let Some(letter) = mine {
                    return letter.clone();
                }
            }
        };
        within("a dead letter", find).await
    }

    /// Waits until this many turns wait or run.
    pub(crate) async fn turns_queued(&self, count: usize) {
        let wanted = format!("turntable_turns_queued {count}");
        for _ in 0..2_000 {
            if self.admin("GET", "/metrics", Vec::new()).await.text.lines().any(|line| line == wanted) {
                return;
            }
        }
        panic!("{count} turns never waited");
    }

    /// Returns the file with the admin token.
    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.path().join(".turntable/admin-token")
    }

    /// Returns the path of the component as this host's configuration names it.
    pub(crate) fn component(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("components/{name}.wasm"))
    }

    /// Starts a conversation with a bot; see [`Conversation`].
    pub(crate) fn bot(&self, bot: &str) -> Conversation<'_> {
        Conversation::new(self, bot)
    }

    /// Posts an activity to a bot and returns the answer.
    pub(crate) async fn post(&self, bot: &str, activity: &Value) -> Answer {
        let request = self.client.post(self.url(&format!("/api/bots/{bot}/messages"))).json(activity);
        Answer::of(within("an answer", request.send()).await.unwrap()).await
    }

    /// Posts JSON with headers to the public listener.
    pub(crate) async fn post_to(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut request = self.client.post(self.url(path)).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(within("an answer", request.send()).await.unwrap()).await
    }

    /// Writes a file beside the configuration that only its owner can read.
    pub(crate) fn write_secret(&self, name: &str, text: &str) {
        write_secret(&self.folder.path().join(name), text);
    }

    /// Stops reading the log. It stays unread, or the reading end is closed.
    pub(crate) fn stop_reading_the_log(&self, close: bool) {
        self.log.read(if close { Reading::Closed } else { Reading::Paused });
    }

    /// Continues to read the log.
    pub(crate) fn read_the_log_again(&self) {
        self.log.read(Reading::On);
    }

    /// Waits for a log line that contains the text, and returns it.
    pub(crate) async fn logged(&self, text: &str) -> String {
        let mut state = self.log.state.subscribe();
        let find = async {
            loop {
                let (_, ended) = *state.borrow_and_update();
                let found = self.log.lines.lock().unwrap().iter().find(|line| line.contains(text)).cloned();
                if found.is_some() || ended {
                    return found;
                }
                let _ = state.changed().await;
            }
        };
        match within(&format!("a log line with {text}"), find).await {
            Some(line) => line,
            None => panic!("the host ended without a log line with {text}"),
        }
    }

    /// Sends SIGTERM, waits for the end, and returns the exit status with the log.
    pub(crate) async fn stop(self) -> (ExitStatus, Vec<String>) {
        self.signal();
        self.ended().await
    }

    /// Sends SIGTERM, waits for the end, and returns the exit status with the host's folder.
    pub(crate) async fn stop_and_keep(mut self) -> (ExitStatus, TempDir) {
        let status = self.ends().await;
        (status, std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap()))
    }

    /// Sends SIGTERM.
    pub(crate) fn signal(&self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).unwrap();
    }

    /// Waits for the end, and returns the exit status with the log.
    pub(crate) async fn ended(mut self) -> (ExitStatus, Vec<String>) {
        let status = self.wait().await;
        (status, self.log.lines.lock().unwrap().clone())
    }
}

/// Runs a host that must fail to start, and returns its output.
async fn refusal(command: Command) -> String {
    let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("the built binary starts");
    let output = within("the end of a host that cannot start", child.wait_with_output()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of the host ---\n{}\n---", self.log.lines.lock().unwrap().join("\n"));
        }
    }
}

impl Log {
    fn read(&self, how: Reading) {
        *self.reading.0.lock().unwrap() = how;
        self.reading.1.notify_all();
    }

    fn of(stream: impl std::io::Read + Send + 'static) -> Arc<Self> {
        let state = watch::Sender::new((0, false));
        let log = Arc::new(Self { lines: Mutex::default(), reading: (Mutex::new(Reading::On), Condvar::new()), state });
        let reader = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                reader.lines.lock().unwrap().push(line);
                reader.state.send_modify(|(count, _)| *count += 1);
                let (reading, changed) = &reader.reading;
                let reading = changed.wait_while(reading.lock().unwrap(), |now| *now == Reading::Paused).unwrap();
                if *reading == Reading::Closed {
                    break;
                }
            }
            reader.state.send_modify(|(_, ended)| *ended = true);
        });
        log
    }
}

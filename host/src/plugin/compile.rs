//! From bytes to compiled code, outside this process.
//!
//! Compilation is not bounded by wasmtime, and keeps tens of megabytes in the engine that did it. So a child of this
//! same binary does it: empty environment, no network, no new programs, limits on memory, CPU time, file size and wall
//! time, low priority, one at a time. The child also is the only one to parse the component before it is compiled.
//!
//! Protocol: the component is the child's standard input; its standard error is a report (JSON); its standard output is
//! a memory file that receives the compiled code.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use rustix::fs::{MemfdFlags, SealFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::aot::Store;
use super::preflight::{self, Preflight};
use crate::config;

/// Turns components into code.
pub struct Compiler {
    /// This binary.
    program: PathBuf,
    /// None: nothing is kept.
    store: Option<Store>,
    component_bytes_max: u64,
    memory_bytes_max: u64,
    time_max: Duration,
    one_at_a_time: Semaphore,
}

/// Why a component did not become code.
#[derive(Debug)]
pub enum LoadError {
    /// The component is not fit to run here; every problem, one entry each.
    Unfit(Vec<String>),
    /// A bound of the host was reached; names its configuration key.
    Limit(String),
    /// The host failed: disk, memory, a child process.
    Host(anyhow::Error),
}

/// The hidden sub-command that [`worker`] serves.
pub const WORKER_COMMAND: &str = "compile-worker";

/// What the child says about the component.
#[derive(Serialize, Deserialize)]
enum Report {
    /// It cannot be a plugin here.
    Unfit(Vec<String>),
    /// It was compiled; the code is on standard output.
    Compiled(Preflight),
    /// It was read and not compiled, as asked.
    Read(Preflight),
}

/// What the child is asked to do.
#[derive(Clone, Copy)]
enum Task {
    Read,
    Compile,
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Compile => "compile",
        }
    }
}

/// The longest report that the host reads.
const REPORT_BYTES_MAX: u64 = 4 << 20;

/// The digest by which components are known: `sha256:` and 64 hexadecimal digits.
pub fn digest(component: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(component)))
}

impl Compiler {
    /// Makes the compiler; opens the store of compiled code.
    pub fn new(settings: &config::Runtime) -> anyhow::Result<Self> {
        let store = Store::open(&settings.cache_dir, &settings.data_dir)?;
        Ok(Self { store: Some(store), ..Self::uncached(settings)? })
    }

    /// Makes a compiler that keeps nothing on disk.
    pub fn uncached(settings: &config::Runtime) -> anyhow::Result<Self> {
        Ok(Self {
            program: std::env::current_exe().context("cannot find this program's own path")?,
            store: None,
            component_bytes_max: settings.component_bytes_max,
            memory_bytes_max: settings.compile_memory_bytes_max,
            time_max: settings.compile_timeout,
            one_at_a_time: Semaphore::new(1),
        })
    }

    /// Returns the code of a component, from the store or by compiling it.
    pub async fn obtain(&self, engine: &Engine, component: Bytes) -> Result<(Arc<Preflight>, Component), LoadError> {
        if component.len() as u64 > self.component_bytes_max {
            let (size, max) = (component.len(), self.component_bytes_max);
            return Err(LoadError::Limit(format!(
                "the component has {size} bytes, more than component-bytes-max ({max})"
            )));
        }
        if let Some(why) = preflight::refuse_by_name(&component) {
            return Err(LoadError::Unfit(vec![why]));
        }
        let digest = digest(&component);
        if let Some(store) = &self.store
            && let Some((preflight, code)) = store.get(engine, &digest).await
        {
            return Ok((Arc::new(preflight), map(engine, &code)?));
        }
        let Ok(_turn) = self.one_at_a_time.acquire().await else {
            return Err(LoadError::Host(anyhow!("the compiler is closed")));
        };
        let (preflight, code) = match self.run_worker(Task::Compile, component).await? {
            (Report::Compiled(preflight), code) => (preflight, code),
            (Report::Unfit(problems), _) => return Err(LoadError::Unfit(problems)),
            (Report::Read(_), _) => return Err(LoadError::Host(anyhow!("the compile worker did not compile"))),
        };
        let mapped = map(engine, &code)?;
        if let Some(store) = &self.store {
            store.put(engine, &digest, &preflight, code).await;
        }
        Ok((Arc::new(preflight), mapped))
    }

    /// Returns what a component imports and exports, whether or not it fits this host.
    pub async fn read(&self, component: Bytes) -> Result<Preflight, LoadError> {
        if let Some(why) = preflight::refuse_by_name(&component) {
            return Err(LoadError::Unfit(vec![why]));
        }
        match self.run_worker(Task::Read, component).await? {
            (Report::Read(preflight) | Report::Compiled(preflight), _) => Ok(preflight),
            (Report::Unfit(problems), _) => Err(LoadError::Unfit(problems)),
        }
    }

    async fn run_worker(&self, task: Task, component: Bytes) -> Result<(Report, File), LoadError> {
        let input = memory_file("component", &component)?;
        let code = empty_memory_file("code")?;
        let mut command = Command::new(&self.program);
        command
            .arg(WORKER_COMMAND)
            .args([task.name(), &self.memory_bytes_max.to_string(), &self.time_max.as_secs().max(1).to_string()])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(code.try_clone().map_err(host)?))
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().context("cannot start the compile worker").map_err(LoadError::Host)?;
        let mut report = Vec::new();
        let work = async {
            if let Some(stderr) = child.stderr.take() {
                stderr.take(REPORT_BYTES_MAX).read_to_end(&mut report).await?;
            }
            child.wait().await
        };
        let status = match tokio::time::timeout(self.time_max, work).await {
            Ok(status) => status.map_err(host)?,
            Err(_) => {
                // Dropping the child kills it; waiting reaps it.
                let _ = child.kill().await;
                return Err(self.limit("time", "compile-ms", self.time_max.as_millis()));
            }
        };
        match serde_json::from_slice(&report) {
            Ok(report) if status.success() => Ok((report, seal(code)?)),
            _ => Err(self.died(status, &report)),
        }
    }

    /// Says why the child ended without a report.
    fn died(&self, status: ExitStatus, said: &[u8]) -> LoadError {
        use std::os::unix::process::ExitStatusExt;
        let said = String::from_utf8_lossy(said);
        match status.signal() {
            Some(libc::SIGXCPU | libc::SIGKILL) => self.limit("CPU time", "compile-ms", self.time_max.as_millis()),
            Some(libc::SIGXFSZ) => self.limit("code size", "compile-memory-bytes-max", self.memory_bytes_max),
            Some(libc::SIGABRT | libc::SIGSEGV | libc::SIGBUS)
                if said.contains("memory allocation") || said.trim().is_empty() =>
            {
                self.limit("memory", "compile-memory-bytes-max", self.memory_bytes_max)
            }
            _ => {
                let said: String = said.chars().take(500).collect();
                LoadError::Host(anyhow!("the compile worker ended with {status}: {}", said.trim()))
            }
        }
    }

    fn limit(&self, what: &str, key: &str, max: impl std::fmt::Display) -> LoadError {
        LoadError::Limit(format!("compiling the component takes more {what} than {key} ({max}) allows"))
    }
}

impl LoadError {
    /// Every problem, one entry each.
    pub fn problems(self) -> Vec<String> {
        match self {
            Self::Unfit(problems) => problems,
            Self::Limit(why) => vec![why],
            Self::Host(error) => vec![format!("{error:#}")],
        }
    }
}

fn host(error: impl Into<anyhow::Error>) -> LoadError {
    LoadError::Host(error.into())
}

/// Maps compiled code. The file is sealed: nobody changes it while it is mapped.
#[expect(unsafe_code, reason = "wasmtime trusts compiled code; this is the one place that vouches for it")]
fn map(engine: &Engine, code: &File) -> Result<Component, LoadError> {
    let path = format!("/proc/self/fd/{}", code.as_raw_fd());
    // SAFETY: the bytes come from our own compile worker or carry our MAC, and they are sealed against change.
    let component = unsafe { Component::deserialize_file(engine, path) };
    component.map_err(|error| LoadError::Host(error.context("compiled code could not be loaded").into()))
}

fn empty_memory_file(name: &str) -> Result<File, LoadError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create(name, flags).context("cannot make a memory file").map_err(LoadError::Host)?;
    Ok(file.into())
}

/// A sealed memory file that holds these bytes, at its start.
pub(super) fn memory_file(name: &str, bytes: &[u8]) -> Result<File, LoadError> {
    let mut file = empty_memory_file(name)?;
    file.write_all(bytes).map_err(host)?;
    seal(file)
}

fn seal(mut file: File) -> Result<File, LoadError> {
    file.rewind().map_err(host)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)
        .context("cannot seal a memory file")
        .map_err(LoadError::Host)?;
    Ok(file)
}

// === the child ===

/// Runs the compile worker: `compile-worker compile|read MEMORY-BYTES CPU-SECONDS`. Called before anything else in `main`.
pub fn worker(arguments: &[String]) -> ExitCode {
    match work(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(arguments: &[String]) -> anyhow::Result<()> {
    let number = |position: usize| arguments.get(position).and_then(|text| text.parse::<u64>().ok());
    let (Some(task), Some(memory), Some(seconds)) = (arguments.first(), number(1), number(2)) else {
        return Err(anyhow!("{WORKER_COMMAND} is started by the host only"));
    };
    confine(memory, seconds)?;
    let mut component = Vec::new();
    std::io::stdin().read_to_end(&mut component)?;
    let report = match compile(&component, task == Task::Compile.name())? {
        Ok((preflight, None)) => Report::Read(preflight),
        Ok((preflight, Some(code))) => {
            let mut out = std::io::stdout().lock();
            out.write_all(&code)?;
            out.flush()?;
            Report::Compiled(preflight)
        }
        Err(problems) => Report::Unfit(problems),
    };
    serde_json::to_writer(std::io::stderr().lock(), &report)?;
    Ok(())
}

/// What was read, with its code where that was asked for; the error lists what makes the component unfit.
type Compiled = Result<(Preflight, Option<Vec<u8>>), Vec<String>>;

fn compile(component: &[u8], to_code: bool) -> anyhow::Result<Compiled> {
    let preflight = match preflight::read(component) {
        Ok(preflight) => preflight,
        Err(why) => return Ok(Err(vec![why])),
    };
    if !to_code {
        return Ok(Ok((preflight, None)));
    }
    let problems = preflight.problems();
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    let engine = Engine::new(&super::engine::code_settings())?;
    match engine.precompile_component(component) {
        Ok(code) => Ok(Ok((preflight, Some(code)))),
        Err(error) => Ok(Err(vec![format!("the component does not compile: {error:#}")])),
    }
}

/// Gives up everything that compiling does not need. Hostile bytes have not been touched yet.
fn confine(memory: u64, seconds: u64) -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limits = [
        (Resource::As, memory),
        (Resource::Fsize, memory),
        (Resource::Cpu, seconds),
        (Resource::Core, 0),
        (Resource::Nofile, 64),
    ];
    for (resource, value) in limits {
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    }
    // Less urgent than anything that serves; a kernel that refuses this only makes compilations more urgent.
    let _ = rustix::process::nice(10);
    confine_system_calls().context("cannot confine the compile worker's system calls")
}

/// No sockets, no new programs, no other processes' memory.
fn confine_system_calls() -> anyhow::Result<()> {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
    let refused = [
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_kill,
        libc::SYS_mount,
        libc::SYS_unshare,
        libc::SYS_bpf,
        libc::SYS_keyctl,
        libc::SYS_io_uring_setup,
    ];
    let rules = refused.into_iter().map(|call| (call, Vec::new())).collect();
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter_all_threads(&program)?;
    Ok(())
}

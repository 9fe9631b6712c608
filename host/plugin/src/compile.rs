//! From bytes to compiled code, outside this process.
//!
//! Compilation is not bounded by wasmtime, and keeps tens of megabytes in the engine that did it. So a child of this
//! same binary does it: empty environment, no files, no network, no new programs, limits on memory, CPU time, file size and
//! wall time, low priority, one at a time. The child also is the only one to parse the component before it is compiled.
//!
//! Protocol: the component is the child's standard input; its standard error is a report (JSON); its standard output is
//! a memory file that receives the compiled code.

mod child;
mod group;
mod system_calls;

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::process::{ExitStatus, Stdio};
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
use turntable_config as config;
use wasmtime::Engine;
use wasmtime::component::Component;

pub use self::child::worker;
use self::group::Group;
use super::aot::Store;
use super::preflight::{self, Preflight};

/// Turns components into code.
pub struct Compiler {
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

/// What the child says.
#[derive(Serialize, Deserialize)]
struct Report {
    /// What it could not give up, and why.
    unconfined: Option<String>,
    finding: Finding,
}

/// What the child says about the component.
#[derive(Serialize, Deserialize)]
enum Finding {
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
/// The problems that are passed on, and the length of each: names and signatures are the component's.
const PROBLEMS_MAX: usize = 100;
const PROBLEM_CHARS_MAX: usize = 5_000;
/// What the child says where it dies without a report.
const LAST_WORDS_CHARS_MAX: usize = 500;

/// The running program, also where its file was replaced by a newer one: that one's code would not fit this host.
const PROGRAM: &str = "/proc/self/exe";
/// Compilation is not urgent; what serves needs the other cores.
const COMPILE_THREADS: &str = "2";
/// How much address space the worker's allocator takes at once, in KiB. Its default of 1 GiB, taken before the worker
/// confines itself, would hold that much memory ready whatever `compile-memory-bytes-max` says.
const ARENA_KIB: &str = "32768";

/// The digest by which components are known: `sha256:` and 64 hexadecimal digits.
///
/// Hashing a large component takes a tenth of a second, so it happens aside from the threads that serve.
pub async fn digest(component: &Bytes) -> anyhow::Result<Arc<str>> {
    let component = component.clone();
    let hash = tokio::task::spawn_blocking(move || Sha256::digest(&component)).await;
    Ok(format!("sha256:{}", hex::encode(hash.context("a component could not be hashed")?)).into())
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
            store: None,
            component_bytes_max: settings.component_bytes_max,
            memory_bytes_max: settings.compile_memory_bytes_max,
            time_max: settings.compile_timeout,
            one_at_a_time: Semaphore::new(1),
        })
    }

    /// Returns the code of a component with this digest, from the store or by compiling it.
    pub async fn obtain(
        &self,
        engine: &Engine,
        digest: &str,
        component: Bytes,
    ) -> Result<(Arc<Preflight>, Component), LoadError> {
        self.admit(&component)?;
        if let Some(stored) = self.stored(engine, digest).await? {
            return Ok(stored);
        }
        let Ok(_turn) = self.one_at_a_time.acquire().await else {
            return Err(LoadError::Host(anyhow!("the compiler is closed")));
        };
        // Whoever had the turn before may have compiled the same component.
        if let Some(stored) = self.stored(engine, digest).await? {
            return Ok(stored);
        }
        let (preflight, code) = match self.run_worker(Task::Compile, component).await? {
            (Finding::Compiled(preflight), code) => (preflight, code),
            (Finding::Unfit(problems), _) => return Err(LoadError::Unfit(problems)),
            (Finding::Read(_), _) => return Err(LoadError::Host(anyhow!("the compile worker did not compile"))),
        };
        let (mapped, code) = map(engine, code).await?;
        if let Some(store) = &self.store {
            store.put(engine, digest, &preflight, code).await;
        }
        Ok((Arc::new(preflight), mapped))
    }

    /// Returns what a component imports and exports, whether or not it fits this host.
    pub async fn read(&self, component: Bytes) -> Result<Preflight, LoadError> {
        self.admit(&component)?;
        match self.run_worker(Task::Read, component).await? {
            (Finding::Read(preflight) | Finding::Compiled(preflight), _) => Ok(preflight),
            (Finding::Unfit(problems), _) => Err(LoadError::Unfit(problems)),
        }
    }

    fn admit(&self, component: &[u8]) -> Result<(), LoadError> {
        let (size, max) = (component.len(), self.component_bytes_max);
        if size as u64 > max {
            return Err(LoadError::Limit(format!(
                "the component has {size} bytes, more than component-bytes-max ({max})"
            )));
        }
        preflight::refuse_by_name(component).map_or(Ok(()), |why| Err(LoadError::Unfit(vec![why])))
    }

    async fn stored(&self, engine: &Engine, digest: &str) -> Result<Option<(Arc<Preflight>, Component)>, LoadError> {
        let Some(store) = &self.store else { return Ok(None) };
        let Some((preflight, code)) = store.get(engine, digest).await else { return Ok(None) };
        match map(engine, code).await {
            Ok((component, _)) => Ok(Some((Arc::new(preflight), component))),
            Err(error) => {
                let why = error.problems().join("; ");
                tracing::warn!(digest, why, "stored code does not load, the component is compiled anew");
                Ok(None)
            }
        }
    }

    async fn run_worker(&self, task: Task, component: Bytes) -> Result<(Finding, File), LoadError> {
        let input = aside(move || memory_file("component", &component)).await??;
        let code = empty_memory_file("code")?;
        let mut command = Command::new(PROGRAM);
        command
            .arg0("turntable")
            .arg(WORKER_COMMAND)
            .args([task.name(), &self.memory_bytes_max.to_string(), &self.time_max.as_secs().max(1).to_string()])
            .env_clear()
            .env("RAYON_NUM_THREADS", COMPILE_THREADS)
            .env("MIMALLOC_ARENA_RESERVE", ARENA_KIB)
            .current_dir("/")
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(code.try_clone().map_err(host)?))
            .stderr(Stdio::piped());
        let mut child =
            Group::spawn(&mut command).context("cannot start the compile worker").map_err(LoadError::Host)?;
        let mut report = Vec::new();
        let work = async {
            if let Some(stderr) = child.stderr() {
                stderr.take(REPORT_BYTES_MAX).read_to_end(&mut report).await?;
            }
            child.wait().await
        };
        let status = match tokio::time::timeout(self.time_max, work).await {
            Ok(status) => status.map_err(host)?,
            Err(_) => {
                // How it ends is known: the signal is the host's.
                let _ = child.kill().await;
                return Err(self.limit("time", "compile-ms", self.time_max.as_millis()));
            }
        };
        if report.len() as u64 == REPORT_BYTES_MAX {
            return Err(LoadError::Unfit(vec![format!(
                "its imports and exports take more than {REPORT_BYTES_MAX} bytes to list"
            )]));
        }
        match serde_json::from_slice::<Report>(&report) {
            Ok(report) if status.success() => {
                if let Some(why) = report.unconfined {
                    tracing::warn!(why, "the compile worker runs with less confinement than intended");
                }
                Ok((bounded(report.finding), self.seal_code(code)?))
            }
            _ => Err(self.died(status, &report)),
        }
    }

    fn seal_code(&self, code: File) -> Result<File, LoadError> {
        if code.metadata().map_err(host)?.len() > self.memory_bytes_max {
            return Err(self.limit("code size", "compile-memory-bytes-max", self.memory_bytes_max));
        }
        seal(code)
    }

    /// Says why the child ended without a report.
    fn died(&self, status: ExitStatus, said: &[u8]) -> LoadError {
        use std::os::unix::process::ExitStatusExt;
        let said: String = String::from_utf8_lossy(said).trim().chars().take(LAST_WORDS_CHARS_MAX).collect();
        // How Rust's allocator, mmap and thread creation fail at RLIMIT_AS.
        let starved = ["memory allocation", "os error 12", "os error 11", "out of memory"];
        match status.signal() {
            Some(libc::SIGXCPU) => self.limit("CPU time", "compile-ms", self.time_max.as_millis()),
            Some(libc::SIGXFSZ) => self.limit("code size", "compile-memory-bytes-max", self.memory_bytes_max),
            Some(libc::SIGKILL) => {
                LoadError::Host(anyhow!("the compile worker was killed, perhaps because the machine is out of memory"))
            }
            _ if starved.iter().any(|words| said.contains(words)) => {
                self.limit("memory", "compile-memory-bytes-max", self.memory_bytes_max)
            }
            // The worker says so where it cannot start; all else comes from the component.
            None if said.starts_with(child::CANNOT_START) => LoadError::Host(anyhow!("the compile worker: {said}")),
            _ => LoadError::Unfit(vec![format!("the compiler breaks on this component ({status}): {said}")]),
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

fn bounded(finding: Finding) -> Finding {
    let Finding::Unfit(mut problems) = finding else { return finding };
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    problems.truncate(PROBLEMS_MAX);
    for problem in &mut problems {
        if let Some((end, _)) = problem.char_indices().nth(PROBLEM_CHARS_MAX) {
            problem.truncate(end);
            problem.push('…');
        }
    }
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    Finding::Unfit(problems)
}

/// Runs what takes milliseconds aside from the threads that serve.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work).await.map_err(host)
}

/// Maps compiled code. The file is sealed: nobody changes it while it is mapped.
#[expect(unsafe_code, reason = "wasmtime trusts compiled code; this is the one place that vouches for it")]
async fn map(engine: &Engine, code: File) -> Result<(Component, File), LoadError> {
    let engine = engine.clone();
    let mapped = aside(move || {
        let path = format!("/proc/self/fd/{}", code.as_raw_fd());
        // SAFETY: the bytes come from our own compile worker or carry our MAC, and they are sealed against change.
        (unsafe { Component::deserialize_file(&engine, path) }, code)
    });
    match mapped.await? {
        (Ok(component), code) => Ok((component, code)),
        (Err(error), _) => Err(LoadError::Host(error.context("compiled code could not be loaded").into())),
    }
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

#[cfg(test)]
mod tests;

//! The compile worker: the process that reads hostile bytes.

use std::io::{Read, Write};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use wasmtime::Engine;

use super::{Finding, Report, Task, WORKER_COMMAND, system_calls};
use crate::engine::code_settings;
use crate::preflight::{self, Preflight};

/// How the last words of a worker begin that has not touched the component.
pub(super) const CANNOT_START: &str = "cannot start";

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
    let unconfined = confine(memory, seconds).context(CANNOT_START)?;
    let mut component = Vec::new();
    std::io::stdin().read_to_end(&mut component)?;
    let finding = match compile(&component, task == Task::Compile.name())? {
        Ok((preflight, None)) => Finding::Read(preflight),
        Ok((preflight, Some(code))) => {
            let mut out = std::io::stdout().lock();
            out.write_all(&code)?;
            out.flush()?;
            Finding::Compiled(preflight)
        }
        Err(problems) => Finding::Unfit(problems),
    };
    serde_json::to_writer(std::io::BufWriter::new(std::io::stderr().lock()), &Report { unconfined, finding })?;
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
    let engine = Engine::new(&code_settings())?;
    match engine.precompile_component(component) {
        Ok(code) => Ok(Ok((preflight, Some(code)))),
        Err(error) => Ok(Err(vec![refused(&format!("{error:#}"))])),
    }
}

/// Says what the compiler refused.
fn refused(error: &str) -> String {
    let hint = match error.contains("component model async") || error.contains("component-model-async") {
        true => format!("; {}", preflight::SYNC_HINT),
        false => String::new(),
    };
    format!("the component does not compile: {error}{hint}")
}

/// Gives up everything that compiling does not need. Hostile bytes have not been touched yet.
/// Returns what could not be given up; the limits are not negotiable.
fn confine(memory: u64, seconds: u64) -> anyhow::Result<Option<String>> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limits = [
        (Resource::As, memory),
        (Resource::Fsize, memory),
        (Resource::Cpu, seconds),
        (Resource::Core, 0),
        (Resource::Nofile, 64),
    ];
    for (resource, value) in limits {
        // At the hard limit of CPU time the kernel kills; a second before that it says why.
        let hard = if resource == Resource::Cpu { value.saturating_add(1) } else { value };
        // Where the host itself is limited further, that holds.
        let value = getrlimit(resource).maximum.map_or(value, |maximum| value.min(maximum));
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(hard) })?;
    }
    // Less urgent than anything that serves; a kernel that refuses this only makes compilations more urgent.
    let _ = rustix::process::nice(10);
    // Some kernels and container runtimes have no seccomp filters.
    Ok(system_calls::confine().err().map(|error| format!("its system calls cannot be filtered: {error:#}")))
}

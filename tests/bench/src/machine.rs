//! Measurements of processes, from the kernel.

use std::fs;
use std::thread::available_parallelism;

use anyhow::Context;

/// Ticks per second in `/proc/PID/stat`, the same on every Linux.
const TICKS: f64 = 100.0;

/// Returns the CPU time of a process and its ended children, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the server is gone")?;
    // The name may contain spaces and brackets, so fields are counted from the state after it.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = (11..15).filter_map(|index| fields.get(index)?.parse::<u32>().ok()).map(f64::from).sum::<f64>();
    Ok(ticks / TICKS)
}

/// Returns the resident memory of a process in KiB.
pub(crate) fn resident_kib(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the server is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u32 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(f64::from(kib))
}

/// Returns true if there is one core for the server and one for its users.
pub(crate) fn has_two_cores() -> bool {
    available_parallelism().is_ok_and(|cores| cores.get() >= 2)
}

/// Returns a line that describes the machine, for the head of the table.
pub(crate) fn describe() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown CPU");
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = available_parallelism().map_or(0, std::num::NonZero::get);
    let load = load.split(' ').next().unwrap_or_default();
    format!("{}, {cores} cores, load average {load} at the start", model.trim_start_matches([' ', '\t', ':']))
}

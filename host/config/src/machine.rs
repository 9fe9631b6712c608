//! The memory that this process may use.

use std::fs::read_to_string;

/// Assumed where the system does not say.
const UNKNOWN: usize = 4 << 30;

/// Returns the memory of the machine, or of the container if that has less, in bytes.
pub(super) fn memory_bytes() -> usize {
    let machine = read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let container = read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(container).min().unwrap_or(UNKNOWN)
}

/// Reads the line `MemTotal:  1234 kB`.
fn total(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_machine_is_read() {
        assert_eq!(total("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!((total(""), total("MemTotal: many")), (None, None));
        assert!(memory_bytes() > 1 << 20);
    }
}

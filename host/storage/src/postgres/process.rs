//! Whether the process of another host has ended: a killed host that starts again on its machine need not wait for itself.

use std::fs;

/// Names this process so that no other process of any machine has the name: boot of the machine, namespace of process ids, id and
/// time of the start.
pub(super) fn this() -> String {
    let id = std::process::id();
    format!("{} {id} {}", machine().unwrap_or_default(), started(id).unwrap_or_default())
}

/// True if the named process ran on this machine, in this namespace, and has ended. What is unknown has not ended.
pub(super) fn has_ended(name: &str) -> bool {
    let mut parts = name.rsplitn(3, ' ');
    let (Some(start), Some(Ok(id)), Some(of)) = (parts.next(), parts.next().map(str::parse), parts.next()) else {
        return false;
    };
    let Some(here) = machine() else { return false };
    // Without a table of processes, every process seems to have ended.
    let is_readable = started(std::process::id()).is_some();
    of == here && !start.is_empty() && is_readable && started(id).as_deref() != Some(start)
}

/// The boot of the machine, and the namespace of process ids.
fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// When a process was started, in ticks since the boot. None: there is no such process, or it has ended and nobody waited for it.
fn started(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name of the program is in parentheses, and may have some itself.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| started.to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn only_a_process_of_this_machine_that_is_gone_has_ended() {
        assert!(!has_ended(&this()));
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let name = format!("{} {} {}", machine().unwrap(), child.id(), started(child.id()).unwrap());
        assert!(!has_ended(&name));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_ended(&name));
        assert!(!has_ended(&format!("elsewhere {name}")), "another machine's");
        for unknown in ["", "a", "a b c", " 1 ", &format!("{} 1 ", machine().unwrap())] {
            assert!(!has_ended(unknown), "{unknown:?}");
        }
    }
}

//! What the compile worker may ask of the kernel: memory, threads, the clock, and the three files that it was given.
//!
//! Everything else is refused with `EPERM`. Code that takes over the worker therefore opens no file, reads no other
//! process, reaches no network and starts no program. The standard library and the allocator live with these refusals:
//! what they ask for beyond this is a hint only.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// Calls that are allowed with any arguments.
const ALLOWED: [libc::c_long; 32] = [
    // The component, the code and the report. There are no other descriptors.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_close,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    // Threads. `clone3` is answered by the other filter.
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals of this process.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Time and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
];

/// The operation of `prctl` that names a mapping, which allocators use.
const PR_SET_VMA: u64 = 0x5356_4d41;

/// Applies the filters to all threads of this process, for the rest of its life.
///
/// # Errors
/// The kernel has no such filters, or does not allow them.
pub(super) fn confine() -> anyhow::Result<()> {
    for filter in filters()? {
        seccompiler::apply_filter_all_threads(&filter)?;
    }
    Ok(())
}

/// Returns the filters in the order in which they must be applied: nothing can be applied after the last.
fn filters() -> anyhow::Result<[BpfProgram; 2]> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let refuse = |error: i32| SeccompAction::Errno(error.unsigned_abs());
    // A filter cannot see whether `clone3` makes a thread or a process. Whoever is told that the kernel lacks it uses
    // `clone`.
    let no_clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let no_clone3 = SeccompFilter::new(no_clone3, SeccompAction::Allow, refuse(libc::ENOSYS), architecture)?;
    let allowed = SeccompFilter::new(rules()?, refuse(libc::EPERM), SeccompAction::Allow, architecture)?;
    Ok([no_clone3.try_into()?, allowed.try_into()?])
}

fn rules() -> anyhow::Result<BTreeMap<i64, Vec<SeccompRule>>> {
    use SeccompCmpArgLen::{Dword, Qword};
    use SeccompCmpOp::{Eq, MaskedEq};
    let when = |conditions: &[(u8, SeccompCmpArgLen, SeccompCmpOp, u64)]| {
        let conditions = conditions
            .iter()
            .map(|(argument, length, compare, value)| {
                SeccompCondition::new(*argument, length.clone(), compare.clone(), *value)
            })
            .collect::<Result<Vec<_>, _>>()?;
        SeccompRule::new(conditions)
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.into_iter().map(|call| (call, Vec::new())).collect();
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    rules.insert(libc::SYS_clone, vec![when(&[(0, Qword, MaskedEq(thread), thread)])?]);
    // A process that aborts sends itself a signal.
    rules.insert(libc::SYS_tgkill, vec![when(&[(0, Dword, Eq, u64::from(std::process::id()))])?]);
    // Reads the limits of this process.
    rules.insert(libc::SYS_prlimit64, vec![when(&[(0, Dword, Eq, 0), (2, Qword, Eq, 0)])?]);
    let names_thread = when(&[(0, Dword, Eq, u64::from(libc::PR_SET_NAME.unsigned_abs()))])?;
    rules.insert(libc::SYS_prctl, vec![names_thread, when(&[(0, Dword, Eq, PR_SET_VMA)])?]);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::net::TcpStream;
    use std::process::Command;
    use std::thread;

    use super::*;

    /// The filters bind one thread and what it starts, and end with it.
    #[test]
    fn code_in_the_worker_computes_and_reads_nothing() {
        let confined = thread::spawn(|| {
            for filter in filters().unwrap() {
                if let Err(error) = seccompiler::apply_filter(&filter) {
                    return Err(format!("{error}"));
                }
            }
            let computed =
                thread::spawn(|| (0..10_000).map(|number| vec![number; 10].len()).sum::<usize>()).join().ok();
            let kinds = [
                fs::read("/etc/passwd").map(drop),
                fs::read("/proc/self/environ").map(drop),
                fs::metadata("/").map(drop),
                fs::read_dir("/").map(drop),
                fs::write("/tmp/turntable-confined", "x"),
                TcpStream::connect("127.0.0.1:9").map(drop),
                Command::new("/bin/true").spawn().map(drop),
                std::os::unix::net::UnixStream::pair().map(drop),
            ]
            .map(|outcome| outcome.map_err(|error| error.kind()));
            Ok((computed, kinds))
        });
        let (computed, kinds) = match confined.join().unwrap() {
            Ok(seen) => seen,
            Err(why) => return println!("SKIPPED: this kernel takes no filters: {why}"),
        };
        assert_eq!(computed, Some(100_000), "threads and memory are there");
        assert_eq!(kinds, [Err(io::ErrorKind::PermissionDenied); 8]);
    }
}

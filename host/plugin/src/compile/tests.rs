use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::{Compiler, Finding, LoadError, PROBLEMS_MAX, bounded};

#[test]
fn each_death_of_the_child_is_told_apart() {
    let compiler = Compiler::uncached(&turntable_config::Runtime::default()).unwrap();
    let died = |status: i32, said: &str| compiler.died(ExitStatus::from_raw(status), said.as_bytes());
    let limit = |error: LoadError, key: &str| matches!(error, LoadError::Limit(why) if why.contains(key));
    assert!(limit(died(libc::SIGXCPU, ""), "compile-ms"));
    assert!(limit(died(libc::SIGXFSZ, ""), "code size than compile-memory-bytes-max"));
    assert!(limit(died(libc::SIGABRT, "memory allocation of 9 bytes failed"), "memory than compile-memory-bytes-max"));
    assert!(matches!(died(libc::SIGKILL, ""), LoadError::Host(_)));
    assert!(matches!(died(1 << 8, "cannot start: no seccomp"), LoadError::Host(_)));
    assert!(matches!(died(libc::SIGSEGV, "thread main has overflowed its stack"), LoadError::Unfit(_)));
    assert!(matches!(died(101 << 8, "panicked at"), LoadError::Unfit(_)));
}

#[test]
fn what_the_child_lists_is_bounded() {
    let Finding::Unfit(problems) = bounded(Finding::Unfit(vec!["é".repeat(10_000); 300])) else { unreachable!() };
    assert_eq!(problems.len(), PROBLEMS_MAX + 1);
    assert!(problems[0].ends_with('…') && problems[0].chars().count() == 5_001);
    assert_eq!(problems[PROBLEMS_MAX], "and 200 more");
}

//! The `turntable` binary: see `turntable --help`.

use turntable::plugin::compile;

/// Allocator of the host. Guests have memory of their own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    // The compilation worker must confine itself before threads, logs and arguments are set up.
    if arguments.next().is_some_and(|command| command == compile::WORKER_COMMAND) {
        return compile::worker(&arguments.collect::<Vec<_>>());
    }
    turntable::cli::main()
}

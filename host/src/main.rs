//! The `turntable` binary: see `turntable --help`.

use turntable::plugin::compile;

/// Where turns allocate; memory of guests is not from here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    // Before threads, logs and arguments: the worker confines itself first.
    if arguments.next().is_some_and(|command| command == compile::WORKER_COMMAND) {
        return compile::worker(&arguments.collect::<Vec<_>>());
    }
    turntable::cli::main()
}

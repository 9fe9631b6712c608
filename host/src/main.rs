//! The `turntable` binary: see `turntable --help`.

fn main() -> std::process::ExitCode {
    turntable::cli::main()
}

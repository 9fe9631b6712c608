//! Runs commands of the binary.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

/// The output and the exit status of a command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Returns a command for the built `turntable` with a clean environment.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turntable"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TURNTABLE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Returns [`binary`], started through a launcher if its words are given.
pub(crate) fn through(launcher: &[String]) -> Command {
    let binary = binary();
    let [program, words @ ..] = launcher else { return binary };
    let mut command = Command::new(program);
    command.args(words).arg(binary.get_program());
    for (name, value) in binary.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Returns a launcher for [`through`]: a shell that runs this script first and then becomes the program.
pub(crate) fn after(shell: &str) -> Vec<String> {
    ["sh", "-c", &format!("{shell} && exec \"$0\" \"$@\"")].map(str::to_owned).into()
}

/// Runs `turntable` with these arguments and this input and waits for its end.
pub(crate) fn turntable<A: AsRef<OsStr>>(args: &[A], input: &str) -> Ended {
    turntable_with_bytes(args, input.as_bytes())
}

/// Like [`turntable`], with an input of any bytes.
pub(crate) fn turntable_with_bytes<A: AsRef<OsStr>>(args: &[A], input: &[u8]) -> Ended {
    let mut child = binary()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the built binary starts");
    // A command that reads no input may exit before the input is written.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input);
    let output = child.wait_with_output().expect("the command ends");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

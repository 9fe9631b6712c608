//! Terminals: colours for those that know them, and not one escape sequence for any other.

use std::process::Command;

use crate::support::command::binary;
use crate::support::{Config, Host, component, skip};

/// Runs a command in a terminal of its own, with these variables, and returns what it printed. None: the machine has no
/// `script`, which makes terminals.
fn in_a_terminal(words: &[&str], variables: &[(&str, &str)]) -> Option<String> {
    let quoted = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
    let line: Vec<String> =
        std::iter::once(binary().get_program().to_str().unwrap()).chain(words.iter().copied()).map(quoted).collect();
    let mut command = Command::new("script");
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"] {
        command.env_remove(name);
    }
    command.args(["-qec", &line.join(" "), "/dev/null"]).envs(variables.iter().copied());
    let output = match command.stdin(std::process::Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => {
            skip(&format!("`script`, which makes terminals, does not start: {error}"));
            return None;
        }
    };
    Some(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_terminals_that_know_colours_get_them() {
    let Some(echo) = component("echo") else { return };
    let Some(host) = Host::start(Config::new().bot("echo", &["echo"])).await else { return };
    let (url, token, config) = (host.admin_url(), host.token_file(), host.config());
    let (token, config, echo) = (token.to_str().unwrap(), config.to_str().unwrap(), echo.to_str().unwrap());
    let commands: [&[&str]; 5] = [
        &["bots", "--admin-url", &url, "--token-file", token],
        &["inspect", echo],
        &["check", "--offline", config],
        &["--help"],
        &["notify", "--wrong"],
    ];
    for words in commands {
        let Some(coloured) = in_a_terminal(words, &[("TERM", "xterm")]) else { return };
        assert!(coloured.contains('\u{1b}'), "{words:?}: {coloured}");
        for plain in [
            &[("TERM", "dumb")][..],
            &[("TERM", "xterm"), ("NO_COLOR", "1")],
            &[("TERM", "xterm"), ("CLICOLOR", "0")],
            &[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")],
            &[],
        ] {
            let printed = in_a_terminal(words, plain).unwrap();
            assert!(!printed.contains('\u{1b}') && !printed.is_empty(), "{words:?} {plain:?}: {printed}");
        }
    }
}

/// A pipe is no terminal, whatever the variables say.
#[test]
fn a_pipe_gets_no_escapes() {
    for words in [&["--help"][..], &["notify", "--wrong"], &["check", "/nowhere"]] {
        let output = binary().args(words).envs([("TERM", "xterm"), ("CLICOLOR_FORCE", "1")]).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        assert!(!printed.contains(&0x1b) && !printed.is_empty(), "{words:?}");
    }
}

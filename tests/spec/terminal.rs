//! Terminals: colours if the terminal supports them, and otherwise no escape sequences.

use std::process::Command;

use crate::support::command::binary;
use crate::support::{Behaviour, Config, Connector, Host, component, skip, turntable};

/// Runs a command in a new terminal with these variables, and returns its output. None if the machine has no
/// `script`, which creates terminals.
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

/// A pipe is not a terminal, whatever the variables say.
#[test]
fn a_pipe_gets_no_escapes() {
    for words in [&["--help"][..], &["notify", "--wrong"], &["check", "/nowhere"]] {
        let output = binary().args(words).envs([("TERM", "xterm"), ("CLICOLOR_FORCE", "1")]).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        assert!(!printed.contains(&0x1b) && !printed.is_empty(), "{words:?}");
    }
}

/// A table fits the terminal (80 columns if the width is unknown), and a program gets the whole table.
#[tokio::test(flavor = "multi_thread")]
async fn long_cells_are_cut_on_a_terminal_only() {
    let Some(host) = Host::start(Config::new().bot("bot", &["echo"])).await else { return };
    let connector = Connector::start().await;
    connector.plan(Behaviour::Status(404));
    let mut said = connector.message("hi");
    let id = format!("{}\u{1b}[31m\nend", "long".repeat(50));
    said["conversation"]["id"] = id.as_str().into();
    assert_eq!(host.post("bot", &said).await.status, 200);
    host.dead_letter("bot", &said).await;
    let (url, token) = (host.admin_url(), host.token_file());
    let words = ["dead-letters", "list", "bot", "--admin-url", &url, "--token-file", token.to_str().unwrap()];
    let Some(shown) = in_a_terminal(&words, &[("TERM", "dumb")]) else { return };
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{shown}");
    assert!(lines[1].contains("longlong") && lines[1].contains('…') && !lines[1].contains("31m"), "{shown}");
    let piped = turntable(&words, "").stdout;
    assert!(piped.contains(&format!("{}\\u{{1b}}[31m\\nend", "long".repeat(50))), "{piped}");
    assert!(!piped.contains('…') && piped.lines().count() == 2, "{piped}");
    let json = in_a_terminal(&[&words[..], &["--json"]].concat(), &[("TERM", "dumb")]).unwrap();
    let letters: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(letters[0]["conversation"], *id);
}

//! `turntable testbed`: leads the turns of an SDK's test host, so that routes, dialogs and prompts behave in tests as
//! in the host.
//!
//! The test host starts this command and exchanges JSON lines with it. It keeps everything between turns; the command
//! keeps nothing.
//!
//! ```text
//! test host  {"turn": {"activity", "manifest", "frames", "number", "now", "trigger"}}
//! testbed    {"handle": {"trigger", "activity", "frames"}}          the test host runs a handler and answers
//! test host  {"flow", "changes": [CHANGE]} or {"fault"}
//!            CHANGE is {"begin" | "replace": {"dialog", "options", "id"}}, "cancel-all" or "reprompt"
//! testbed    {"dialog": {"event", "dialog", "data", "state", "frame", "depth"}}
//! test host  {"step": {"kind", "state", "data"}} or {"fault": {"code", "message"}}
//! testbed    {"send": ACTIVITY}, {"flush": true}, {"rollback": true}         the test host answers {} or {"fault"}
//! testbed    {"end": {"flow", "fault", "frames", "stack", "reprompts"}}
//! ```

mod turn;

use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json;

/// Lead the turns of the test host of an SDK over stdin and stdout
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(super) struct Args {}

/// Runs the command until stdin ends.
pub(super) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    let mut peer = Peer { input: Box::new(BufReader::new(io::stdin())), output: Box::new(io::stdout()) };
    while let Some(line) = peer.line()? {
        let mut request: Value = json::from_str(&line).context("a line is not JSON")?;
        let begun = serde_json::from_value(request["turn"].take()).context("a line is not the begin of a turn")?;
        let end = turn::lead(begun, &mut peer)?;
        peer.send(&end)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The test host at the other end.
struct Peer {
    input: Box<dyn BufRead>,
    output: Box<dyn Write>,
}

impl Peer {
    /// Sends a request and returns the answer.
    fn ask<T: DeserializeOwned>(&mut self, request: &impl Serialize) -> anyhow::Result<T> {
        self.send(request)?;
        let Some(line) = self.line()? else { bail!("the test host ended in the middle of a turn") };
        json::from_str(&line).with_context(|| format!("not the answer to {}: {line}", json_text(request)))
    }

    fn send(&mut self, message: &impl Serialize) -> anyhow::Result<()> {
        writeln!(self.output, "{}", json_text(message))?;
        Ok(self.output.flush()?)
    }

    fn line(&mut self) -> anyhow::Result<Option<String>> {
        let mut line = String::new();
        Ok((self.input.read_line(&mut line)? > 0).then_some(line))
    }
}

fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

//! The table of targets and verdicts.

use std::io::Write as _;
use std::time::Instant;

use serde::Serialize;

use crate::machine;
use crate::stats::Spread;

/// The results of one run.
pub(crate) struct Report {
    machine: String,
    started: Instant,
    rows: Vec<Row>,
    notes: Vec<String>,
}

struct Row {
    what: String,
    figure: String,
    target: String,
    verdict: &'static str,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { machine: machine::describe(), started: Instant::now(), rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a figure with a maximum.
    pub(crate) fn at_most(&mut self, what: &str, unit: &str, figure: Spread, target: f64) {
        self.row(what, format!("{figure}{unit}"), format!("≤ {target}{unit}"), figure.median <= target);
    }

    /// Adds a figure with a minimum.
    pub(crate) fn at_least(&mut self, what: &str, unit: &str, figure: Spread, target: f64) {
        self.row(what, format!("{figure}{unit}"), format!("≥ {target}{unit}"), figure.median >= target);
    }

    /// Adds a figure without a target.
    pub(crate) fn figure(&mut self, what: &str, figure: String) {
        complain(&format!("  {what}: {figure}"));
        self.rows.push(Row { what: what.to_owned(), figure, target: "–".to_owned(), verdict: "–" });
    }

    /// Adds another result with a target.
    pub(crate) fn row(&mut self, what: &str, figure: String, target: String, met: bool) {
        let verdict = if met { "met" } else { "MISSED" };
        complain(&format!("  {what}: {figure}, target {target}: {verdict}"));
        self.rows.push(Row { what: what.to_owned(), figure, target, verdict });
    }

    /// Adds a figure without a target that explains another figure.
    pub(crate) fn note(&mut self, note: String) {
        complain(&format!("  {note}"));
        self.notes.push(note);
    }

    /// Adds a part that could not be measured.
    pub(crate) fn failed(&mut self, part: &str, error: &anyhow::Error) {
        complain(&format!("  {part} was not measured: {error:#}"));
        let figure = format!("not measured: {error:#}");
        self.rows.push(Row { what: part.to_owned(), figure, target: "–".to_owned(), verdict: "MISSED" });
    }

    /// Prints the table as Markdown.
    pub(crate) fn show(&self) {
        let mut text = format!(
            "\n{}\n\n| measured | median (spread) | target | verdict |\n| --- | --- | --- | --- |\n",
            self.machine
        );
        for Row { what, figure, target, verdict } in &self.rows {
            text.push_str(&format!("| {what} | {figure} | {target} | {verdict} |\n"));
        }
        text.push('\n');
        for note in &self.notes {
            text.push_str(&format!("- {note}\n"));
        }
        let missed = self.rows.iter().filter(|row| row.verdict == "MISSED").count();
        let seconds = self.started.elapsed().as_secs();
        let targets = self.rows.iter().filter(|row| row.verdict != "–").count();
        text.push_str(&format!("\n{missed} of {targets} targets missed; measured in {seconds} s.\n"));
        // The reader of stdout is gone, so nothing is left to do.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
}

/// Prints one value as a line of JSON.
pub(crate) fn print(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Writes a line to stderr.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

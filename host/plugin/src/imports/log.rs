//! `log.wit`: log lines of a guest, bounded in number and length.

use super::{truncate, wit};
use crate::guest::GuestState;

/// Log lines kept for the turn's record, and how long one may be.
const RECORDED_LINES_MAX: usize = 50;
const LOG_LINE_BYTES_MAX: usize = 4 << 10;
const LOG_FIELDS_MAX: usize = 16;

impl wit::log::Host for GuestState {
    fn write(&mut self, level: String, message: String, fields: Vec<(String, String)>) -> anyhow::Result<()> {
        self.enter()?;
        self.log_lines += 1;
        let limit = self.plugin.limits.log_lines_per_turn;
        if self.log_lines > limit {
            if self.log_lines == limit + 1 {
                self.log_line("warn", &format!("further lines are dropped: log-lines-per-turn ({limit})"));
            }
            return Ok(());
        }
        let mut line = message;
        for (name, value) in fields.iter().take(LOG_FIELDS_MAX) {
            line.push_str(&format!(" {name}={value}"));
            if line.len() > LOG_LINE_BYTES_MAX {
                break;
            }
        }
        self.log_line(&level, truncate(&line, LOG_LINE_BYTES_MAX));
        Ok(())
    }
}

impl GuestState {
    fn log_line(&mut self, level: &str, line: &str) {
        let (bot, plugin, digest, turn) = (&self.plugin.bot, &self.plugin.name, &self.plugin.digest, &self.turn_id);
        macro_rules! emit {
            ($level:ident) => {
                tracing::$level!(target: "guest", %bot, %plugin, %digest, %turn, line, "guest log")
            };
        }
        let level = match level {
            "error" | "warn" | "debug" | "trace" => level,
            // Whatever else it is, it is remembered nowhere.
            _ => "info",
        };
        match level {
            "error" => emit!(error),
            "warn" => emit!(warn),
            "debug" => emit!(debug),
            "trace" => emit!(trace),
            _ => emit!(info),
        }
        if self.logs.len() < RECORDED_LINES_MAX {
            self.logs.push(format!("{level} {line}"));
        }
    }
}

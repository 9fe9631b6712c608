//! `turntable serve`: runs the host.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use super::complain;
use crate::config::{self, Overrides};
use crate::serve::{self, ServeOptions};
use crate::telemetry::{self, FILTER_DEFAULT};

/// Serve the bots of a configuration until SIGINT or SIGTERM
///
/// Validates the whole configuration before it binds a port. After a stop signal the host accepts nothing more and
/// finishes accepted turns within `server.shutdown-grace-ms`. A second signal ends that wait.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration to serve
    #[arg(default_value = "turntable.toml", value_name = "CONFIG")]
    config: PathBuf,
    /// Listen at this address instead of `server.listen`; port 0 selects a free port
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Use development mode whatever `server.mode` says: chat page at `/`, Direct Line tokens for anyone
    #[arg(long)]
    dev: bool,
    /// Format of log lines on stderr [default: text on a terminal, otherwise json]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Minimum level of log lines, or directives such as `info,turntable::http=debug`
    #[arg(long, env = "TURNTABLE_LOG", hide_env_values = true, value_name = "FILTER", default_value = FILTER_DEFAULT)]
    log: String,
    /// Write the bound addresses to this file as JSON once the host is ready
    #[arg(long, value_name = "PATH")]
    ports_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl From<LogFormat> for telemetry::LogFormat {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

/// Runs the command; returns when the host has stopped.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let overrides = Overrides { listen: args.listen, development: args.dev };
    let config = match config::load_with(&args.config, overrides) {
        Ok(config) => config,
        Err(problems) => {
            complain(&problems.to_string());
            complain("error: the configuration has problems, so nothing was started");
            return Ok(ExitCode::FAILURE);
        }
    };
    let _flush = telemetry::init(args.log_format.map_or_else(telemetry::LogFormat::of_stderr, Into::into), &args.log)?;
    serve::serve(config, ServeOptions { ports_file: args.ports_file.clone(), ..ServeOptions::default() })?;
    Ok(ExitCode::SUCCESS)
}

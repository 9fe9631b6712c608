//! The host with a native echo, which gives the cost of a turn without a guest.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::{Value, json};
use turntable::config;
use turntable::serve::{self, ServeOptions};
use turntable::telemetry;
use turntable::turn::middleware::{Middleware, Next};
use turntable::turn::{Turn, TurnError};

/// The counterpart of `plugins/echo` as native middleware: it replies to messages and calls no plugin.
pub(crate) struct NativeEcho;

#[async_trait]
impl Middleware for NativeEcho {
    async fn on_turn(&self, turn: &mut Turn, next: Next<'_>) -> Result<(), TurnError> {
        if turn.inbound().activity.kind() != "message" {
            return next.run(turn).await;
        }
        let reply = json!({"type": "message", "text": format!("Echo: {}", turn.inbound().activity.str("text"))});
        if let Value::Object(reply) = reply {
            turn.send(reply, true).await?;
        }
        Ok(())
    }
}

/// Serves until a signal, like `turntable serve`.
pub(crate) fn run(path: &Path, ports_file: PathBuf) -> anyhow::Result<()> {
    let config = config::load(path).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let _flush = telemetry::init(telemetry::LogFormat::Json, "warn")?;
    serve::serve(config, ServeOptions { middleware: vec![Box::new(NativeEcho)], ports_file: Some(ports_file) })
}

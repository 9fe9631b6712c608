//! Deletes transcripts that are older or larger than the configuration allows.

use std::sync::Arc;
use std::time::Duration;

use super::App;
use crate::clock::now_ms;
use crate::registry::Bot;
use crate::storage::StorageError;

/// Interval between deletions.
const LOOK: Duration = Duration::from_secs(60);

/// Deletes expired transcripts for as long as the host runs.
pub(super) async fn run(app: Arc<App>) {
    loop {
        for bot in app.registry.bots() {
            if let Err(error) = trim(&app, &bot).await {
                tracing::error!(bot = %bot.name(), %error, "expired transcripts cannot be deleted; retrying soon");
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn trim(app: &App, bot: &Bot) -> Result<(), StorageError> {
    let kept = bot.transcripts();
    let before_ms = now_ms().saturating_sub(u64::try_from(kept.keep.as_millis()).unwrap_or(u64::MAX));
    let mut deleted = 0;
    loop {
        match app.storage.trim_transcripts(bot.name(), before_ms, kept.bytes_max).await? {
            0 => break,
            count => deleted += count,
        }
    }
    if deleted > 0 {
        tracing::info!(bot = %bot.name(), deleted, "activities of transcripts were deleted: too old or too large");
    }
    Ok(())
}

//! Dry runs of a deployment: what a new component would do with the waiting dialogs.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Turns;
use super::dialogs::rehearsal::Rehearsing;
use crate::dialog::Fate;
use crate::registry::{RegistryError, Rehearsal, WaitingFrames};
use crate::storage::{FrameTag, Storage, StorageError};

/// Maximum number of conversations in the sample, per dialog and state version.
const REHEARSED_PER_DIALOG_MAX: usize = 50;
/// Time limit of a dry run.
const REHEARSAL_MAX: Duration = Duration::from_secs(10);

impl Turns {
    /// Loads and probes these bytes as a component of a bot, as `deploy` would, and changes nothing. The component gets a
    /// sample of the dialogs that wait in the store, so that what would become of them is found out and not guessed.
    pub async fn rehearse(&self, bot: &str, plugin: &str, component: bytes::Bytes) -> Result<Rehearsal, RegistryError> {
        let (probed, spec) = self.registry.try_out(bot, plugin, component).await?;
        let storage = &*self.services.storage;
        let rehearsing = Rehearsing { runtime: &self.services.plugins, plugin: &probed, on_newer: spec.on_newer };
        let until = Instant::now() + REHEARSAL_MAX;
        let mut waiting = Vec::new();
        for (tag, count) in storage.frames(&spec.name).await.map_err(unread)? {
            if tag.plugin == probed.name {
                let fates = sampled(&rehearsing, &spec.name, &tag, storage, until).await?;
                waiting.extend(rows(&tag, count, &fates));
            }
        }
        Ok(Rehearsal {
            bot: spec.name.to_string(),
            plugin: probed.name.to_string(),
            digest: probed.digest.to_string(),
            waiting,
        })
    }
}

/// Counts the fates of a sample of the frames with this tag. Stops when the time is up.
async fn sampled(
    rehearsing: &Rehearsing<'_>,
    bot: &str,
    tag: &FrameTag,
    storage: &dyn Storage,
    until: Instant,
) -> Result<BTreeMap<Fate, u64>, RegistryError> {
    let mut fates = BTreeMap::new();
    for conversation in storage.waiting_in(bot, tag, REHEARSED_PER_DIALOG_MAX).await.map_err(unread)? {
        // Load one stack at a time, because many of them would take much memory.
        let Some(stack) = storage.load_stack(&conversation).await.map_err(unread)? else { continue };
        let Ok(found) = timeout_at(until, rehearsing.fates(tag, &stack)).await else { break };
        for fate in found.map_err(|failure| RegistryError::Host(anyhow::anyhow!("{failure}")))? {
            *fates.entry(fate).or_default() += 1;
        }
    }
    Ok(fates)
}

/// Returns one row per fate, and one for the frames that were not tried.
fn rows(tag: &FrameTag, count: u64, fates: &BTreeMap<Fate, u64>) -> Vec<WaitingFrames> {
    let row = |count: u64, becomes: &str, why: Option<&str>| WaitingFrames {
        dialog: tag.dialog.to_string(),
        state_version: tag.state_version,
        count,
        becomes: becomes.to_owned(),
        why: why.map(ToOwned::to_owned),
    };
    let tried: u64 = fates.values().sum();
    let mut rows: Vec<_> = fates.iter().map(|(fate, count)| row(*count, fate.label(), fate.why())).collect();
    // Conversations continue meanwhile, so the count may be lower than the number of tried frames.
    let untried = count.saturating_sub(tried);
    if untried > 0 {
        let why = format!(
            "a dry run tries at most {REHEARSED_PER_DIALOG_MAX} conversations per dialog, for at most {} s",
            REHEARSAL_MAX.as_secs()
        );
        rows.push(row(untried, "not tried", Some(&why)));
    }
    rows
}

fn unread(error: StorageError) -> RegistryError {
    RegistryError::Host(anyhow::Error::new(error).context("the waiting dialogs cannot be read"))
}

#[cfg(test)]
mod tests {
    use similar_asserts::assert_eq;

    use super::*;

    #[test]
    fn every_frame_is_in_one_row() {
        let tag = FrameTag { plugin: "p".into(), dialog: "order".into(), state_version: 3 };
        let cases = [
            (2, vec![(Fate::Continue, 2)], vec![(2, "continue")]),
            (3, vec![(Fate::Reset("gone"), 1), (Fate::Migrate, 2)], vec![(2, "migrate"), (1, "reset")]),
            (80, vec![(Fate::Continue, 49), (Fate::Hold, 1)], vec![(49, "continue"), (1, "hold"), (30, "not tried")]),
            // A dialog began while the others were tried.
            (1, vec![(Fate::Continue, 2)], vec![(2, "continue")]),
        ];
        for (count, fates, wanted) in cases {
            let rows = rows(&tag, count, &fates.into_iter().collect());
            let told: Vec<(u64, &str)> = rows.iter().map(|row| (row.count, &*row.becomes)).collect();
            assert_eq!(told, wanted);
            assert!(rows.iter().all(|row| row.why.is_some() == matches!(&*row.becomes, "reset" | "not tried")));
        }
    }
}

//! Writes what was found into the store of a stopped host.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use serde_json::{Value, json};
use ulid::Ulid;

use super::Report;
use super::documents::Documents;
use crate::activity::{ChannelInstance, ConversationKey, ID_BYTES_MAX};
use crate::clock::now_ms;
use crate::config::Config;
use crate::storage::notifications::{ProactiveChanges, Reference};
use crate::storage::sqlite::SqliteStorage;
use crate::storage::{Expected, Fence, Lease, ScopeOwner, StateScope, StateValue, StateWrite, Storage, TurnCommit};

/// The longest key of a value, in bytes: the longest that a plugin can ask for.
const KEY_BYTES_MAX: usize = 256;
/// Values in one transaction.
const BATCH: usize = 256;

/// Who gets the values.
pub(super) struct Target {
    pub(super) bot: Arc<str>,
    pub(super) namespace: String,
    /// Bytes of one scope.
    pub(super) limits: usize,
}

/// Imports documents, or only counts.
///
/// # Errors
/// The store is in use or cannot be written.
pub(super) async fn import(
    config: &Config,
    target: &Target,
    documents: &Documents,
    dry_run: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    // A dry run creates no store.
    if dry_run && !config.storage.path.exists() {
        let nothing = SqliteStorage::temporary(&config.channel)?;
        return write(&nothing, target, documents, true, report).await;
    }
    let storage = SqliteStorage::open(&config.storage.path, config.storage.durability, &config.channel)?;
    let written = write(&storage, target, documents, dry_run, report).await;
    storage.close().await?;
    written
}

async fn write(
    storage: &dyn Storage,
    target: &Target,
    documents: &Documents,
    dry_run: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut writes = Vec::new();
    for (owner, object) in &documents.state {
        let scope =
            StateScope { bot: target.bot.clone(), namespace: target.namespace.as_str().into(), owner: owner.clone() };
        let known = storage.load_state(&scope).await?;
        writes.extend(values(&scope, object, &known, target.limits, report));
        if writes.len() >= BATCH && !dry_run {
            commit(storage, target, std::mem::take(&mut writes)).await?;
        }
    }
    if !dry_run {
        commit(storage, target, writes).await?;
    }
    let mut seen = HashSet::new();
    for found in &documents.references {
        let reference = match reference(&target.bot, found) {
            Ok(reference) => reference,
            Err(why) => {
                report.references.refused.push(format!("a reference: {why}"));
                continue;
            }
        };
        if !seen.insert(reference.conversation.clone()) || storage.reference(&reference.conversation).await?.is_some() {
            report.references.known += 1;
            continue;
        }
        report.references.imported += 1;
        if !dry_run {
            storage.add_reference(reference).await?;
        }
    }
    Ok(())
}

/// Returns the writes of one document: its properties that the store does not have.
fn values(
    scope: &StateScope,
    object: &crate::activity::Object,
    known: &HashMap<Arc<str>, StateValue>,
    bytes_max: usize,
    report: &mut Report,
) -> Vec<StateWrite> {
    let mut bytes: usize = known.iter().map(|(key, value)| key.len() + value.value.len()).sum();
    let mut writes = Vec::new();
    for (key, value) in object {
        if known.contains_key(key.as_str()) {
            report.values.known += 1;
            continue;
        }
        let text = value.to_string();
        bytes += key.len() + text.len();
        let place = || format!("`{}` of {}", key.chars().take(80).collect::<String>(), shown(&scope.owner));
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            report.values.refused.push(format!("{}: a key has 1 to {KEY_BYTES_MAX} bytes", place()));
        } else if bytes > bytes_max {
            bytes -= key.len() + text.len();
            let why = format!("the scope would exceed `state-bytes-per-scope` ({bytes_max} bytes)");
            report.values.refused.push(format!("{}: {why}", place()));
        } else {
            report.values.imported += 1;
            writes.push(StateWrite {
                scope: scope.clone(),
                key: key.as_str().into(),
                value: Some(StateValue { value: text.into(), etag: Ulid::new().to_string().into() }),
                expected: Expected::Absent,
            });
        }
    }
    writes
}

async fn commit(storage: &dyn Storage, target: &Target, writes: Vec<StateWrite>) -> anyhow::Result<()> {
    if writes.is_empty() {
        return Ok(());
    }
    let conversation = ConversationKey {
        bot: target.bot.clone(),
        channel: ChannelInstance::Wire("import".into()),
        conversation: "import".into(),
    };
    let fence: Fence = match storage.lease(&conversation, &"import".into(), Duration::from_secs(60)).await? {
        Lease::Granted(fence) => fence,
        Lease::Held(_) => bail!("another import runs"),
    };
    storage
        .commit(TurnCommit {
            conversation,
            service_url: "".into(),
            turn_id: Ulid::new().to_string().into(),
            fence,
            outbox: Vec::new(),
            writes,
            stack: None,
            record: None,
            proactive: ProactiveChanges::default(),
            transcript: Vec::new(),
            ends_turn: true,
            builds_on: Vec::new(),
            made: None,
        })
        .await?;
    Ok(())
}

/// Makes a reference of the host of one of an SDK.
fn reference(bot: &Arc<str>, found: &Value) -> anyhow::Result<Reference> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (channel, conversation) = (text(&found["channelId"]), text(&found["conversation"]["id"]));
    ensure!(
        channel.len() <= ID_BYTES_MAX && conversation.len() <= ID_BYTES_MAX,
        "an id is longer than {ID_BYTES_MAX} bytes"
    );
    crate::channel::connector::check_service_url(&text(&found["serviceUrl"])).map_err(anyhow::Error::msg)?;
    // The Agents SDK names the bot `agent`.
    let own = if found["bot"].is_object() { &found["bot"] } else { &found["agent"] };
    let mut kept = json!({ "channelId": channel, "serviceUrl": found["serviceUrl"] });
    (kept["conversation"], kept["bot"]) = (found["conversation"].clone(), own.clone());
    (kept["user"], kept["locale"]) = (found["user"].clone(), found["locale"].clone());
    Ok(Reference {
        conversation: ConversationKey {
            bot: bot.clone(),
            channel: ChannelInstance::Wire(channel.into()),
            conversation: conversation.into(),
        },
        user: text(&found["user"]["id"]).into(),
        text: kept.to_string().into(),
        seen_ms: now_ms() / 60_000 * 60_000,
        gone: None,
    })
}

fn shown(owner: &ScopeOwner) -> String {
    match owner {
        ScopeOwner::Bot => "the bot".to_owned(),
        ScopeOwner::Conversation(channel, conversation) => format!("conversation {conversation} on {channel}"),
        ScopeOwner::User(channel, user) => format!("user {user} on {channel}"),
        ScopeOwner::Private(channel, conversation, user) => {
            format!("user {user} in conversation {conversation} on {channel}")
        }
    }
}

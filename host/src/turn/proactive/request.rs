//! What plugins ask for with `notify` and `schedule` (`conversations.wit`).

use serde_json::{Value, json};

use super::{Content, Schedule, from_operator};
use crate::activity::{ChannelInstance, ConversationKey};
use crate::clock::now_ms;
use crate::json;
use crate::plugin::{Fault, NotificationRequest, Plugin};
use crate::storage::notifications::{Mode, Notification, WAITING_MAX};
use crate::turn::TurnContext;

/// How many internal turns may lead to one another (`cause-depth`). A timer that is due after [`NEW_CAUSE_MS`] begins anew.
pub(crate) const DEPTH_MAX: u32 = 8;
pub(crate) const NEW_CAUSE_MS: u64 = 60_000;

/// The key of the bound on the content of all notifications of a bot.
pub(crate) const NOTIFICATION_BYTES: &str = "storage.notification-bytes-per-bot-max";

/// The longest name of a timer, in bytes.
const NAME_BYTES_MAX: usize = 256;

impl TurnContext {
    /// Reads what a plugin asks for.
    pub(in crate::turn) async fn notification_of(
        &self,
        plugin: &Plugin,
        request: NotificationRequest<'_>,
    ) -> Result<Notification, Fault> {
        let bytes_max = plugin.limits.bytes_per_send;
        if request.content.len() > bytes_max {
            return Err(Fault::quota("bytes-per-send", bytes_max));
        }
        let key = key_of_handle(request.reference, &plugin.bot)
            .ok_or_else(|| Fault::invalid("`reference` is none that `reference()` returned to a plugin of this bot"))?;
        let mode = Mode::named(request.mode)
            .ok_or_else(|| Fault::invalid("`mode` is one of now, when-idle, interrupt and cancel"))?;
        let content = json::value(request.content).map_err(|error| error.to_string());
        let content = content.and_then(|value| Content::read(&value));
        let content = content.map_err(|why| Fault::invalid(format!("`content`: {why}")))?;
        content.check(mode).map_err(Fault::invalid)?;
        if let Content::Dialog { plugin: owner, dialog, .. } = &content {
            let own = owner.is_empty() || **owner == *plugin.name;
            if !own || plugin.dialog_version(dialog).is_none() {
                return Err(Fault::invalid(format!("the manifest of this plugin has no dialog `{dialog}`")));
            }
        }
        let mut notification = from_operator(key, mode, &content);
        notification.sender = plugin.name.clone();
        notification.content = content.to_text(&plugin.name);
        if let Some((name, at)) = request.timer {
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(Fault::invalid(format!("the name of a timer has 1 to {NAME_BYTES_MAX} bytes")));
            }
            let schedule = Schedule::read(at).map_err(|why| Fault::invalid(format!("`at`: {why}")))?;
            (notification.name, notification.due_ms, notification.cron) = (name.into(), schedule.due_ms, schedule.cron);
        }
        notification.depth = self.depth_of_next(notification.due_ms)?;
        let found = self.services.storage.reference(&notification.conversation).await;
        let found = found.map_err(|error| Fault::new("unavailable", error.to_string()))?;
        // The turn's own conversation is met with its commit.
        let known = found.is_some_and(|found| found.gone.is_none()) || notification.conversation == self.inbound.key;
        if !known {
            return Err(Fault::invalid("the bot has not met this conversation, or was removed from it"));
        }
        let waiting = self.services.storage.waiting(&notification.conversation).await;
        if waiting.map_err(|error| Fault::new("unavailable", error.to_string()))? >= WAITING_MAX {
            return Err(Fault::quota("notifications-waiting", WAITING_MAX));
        }
        let bytes = self.services.storage.waiting_bytes(&plugin.bot).await;
        let bytes = bytes.map_err(|error| Fault::new("unavailable", error.to_string()))?;
        let bytes_max = self.services.notification_bytes_max;
        if bytes.saturating_add(notification.content.len() as u64) > bytes_max {
            return Err(Fault::quota(NOTIFICATION_BYTES, bytes_max));
        }
        Ok(notification)
    }

    /// Returns what stands for the conversation outside the host. It holds no address, and is checked when it comes back.
    pub(in crate::turn) fn reference(&self) -> String {
        let key = &self.inbound.key;
        json!({ "bot": &*key.bot, "channel": key.channel.to_string(), "conversation": &*key.conversation }).to_string()
    }

    /// How deep in a chain of causes something is that this turn asks for.
    fn depth_of_next(&self, due_ms: u64) -> Result<u32, Fault> {
        if due_ms > now_ms() + NEW_CAUSE_MS {
            return Ok(1);
        }
        let depth = self.notification.as_ref().map_or(0, |notification| notification.depth) + 1;
        if depth > DEPTH_MAX { Err(Fault::quota("cause-depth", DEPTH_MAX)) } else { Ok(depth) }
    }
}

fn key_of_handle(text: &str, bot: &str) -> Option<ConversationKey> {
    let value: Value = serde_json::from_str(text).ok()?;
    let member = |name: &str| value[name].as_str().filter(|text| !text.is_empty());
    let channel = ChannelInstance::named(member("channel")?);
    let key = ConversationKey { bot: member("bot")?.into(), channel, conversation: member("conversation")?.into() };
    (*key.bot == *bot).then_some(key)
}

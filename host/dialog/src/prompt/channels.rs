//! What channels show of buttons: the one table of it, each rule with its source.

use crate::activity::Activity;

/// Where a question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// `channelId`.
    pub channel: &'a str,
    /// `conversation.conversationType`: on Teams `personal`, `groupChat` or `channel`.
    pub conversation_type: &'a str,
}

impl<'a> Place<'a> {
    /// The place of the conversation that an activity belongs to.
    pub fn of(activity: &'a Activity) -> Self {
        let conversation = activity.object().get("conversation");
        let kind = conversation.and_then(|conversation| conversation.get("conversationType"));
        Self {
            channel: activity.channel_id(),
            conversation_type: kind.and_then(serde_json::Value::as_str).unwrap_or_default(),
        }
    }
}

/// How many buttons a channel shows of each kind; 0 where it shows none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Buttons {
    /// Suggested actions under a message.
    pub(super) suggested: usize,
    /// Buttons of a hero card.
    pub(super) card: usize,
}

/// Returns what the channel shows, or none where nothing is known of it.
///
/// «SDK» is the table by which the dialogs of the Bot Framework SDK choose (`Channel.supportsSuggestedActions` and
/// `supportsCardActions`), «reference» the table of channels in the documentation of the Azure Bot Service.
pub(super) fn buttons(place: &Place<'_>) -> Option<Buttons> {
    let known = |suggested, card| Some(Buttons { suggested, card });
    // An SDK may append a product, as in `msteams:COPILOT`.
    match place.channel.split(':').next().unwrap_or_default() {
        // Teams shows suggested actions in chats with one user only, says its documentation; elsewhere they are dropped
        // without an error. 3 of them, and 50 buttons: SDK. A conversation of unknown type may be a group.
        "msteams" if place.conversation_type.eq_ignore_ascii_case("personal") => known(3, 50),
        "msteams" => known(0, 50),
        // SDK and reference.
        "directline" | "webchat" | "directlinespeech" | "telegram" => known(100, 100),
        // SDK. The Emulator shows what Web Chat shows.
        "emulator" => known(100, 100),
        // Reference: no suggested actions.
        "slack" => known(0, 100),
        // SDK; the reference says 11 suggested actions for Facebook.
        "facebook" | "skype" => known(10, 3),
        // SDK and reference.
        "line" => known(13, 99),
        // SDK.
        "kik" => known(20, 0),
        // Reference: text only.
        "sms" | "twilio-sms" | "email" | "groupme" | "telephony" => known(0, 0),
        _ => None,
    }
}

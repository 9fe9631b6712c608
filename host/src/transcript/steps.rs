//! Splits a transcript into steps: what users did, and what the bot said in response.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use crate::activity::Object;

/// What users did, and what the bot said until the next activity of a user. Consecutive activities of users form one
/// step, because files do not reliably tell in which order a bot answers them.
#[derive(Debug, Default, PartialEq)]
pub struct Step {
    /// The activities of users, in order. Empty if the bot spoke first.
    pub user: Vec<Object>,
    /// The activities of the bot.
    pub then: Vec<Object>,
}

/// Maximum number of warnings about unknown speakers.
const STRANGERS_MAX: usize = 20;

/// Splits a transcript into its steps. Activities that are internal to bots (`trace`, `ContinueConversation`) are left
/// out.
///
/// An activity belongs to the bot if its sender has the role `bot`, or is an account that users address. A reply of the
/// bot belongs to the step of the activity that it replies to.
///
/// # Errors
/// Nothing in the transcript identifies the bot.
pub fn split(activities: Vec<Object>) -> Result<Vec<Step>, String> {
    let bots = bots(&activities);
    if bots.is_empty() && !activities.is_empty() {
        let message = "nothing identifies the bot: no activity has `from.role` or `recipient.role`, and there is no \
                       conversation update; add `\"role\": \"bot\"` to `from` where the bot speaks";
        return Err(message.to_owned());
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut step_of: HashMap<String, usize> = HashMap::new();
    for activity in activities.into_iter().filter(|activity| !is_machinery(activity)) {
        if !is_bots(&activity, &bots) {
            if steps.last().is_none_or(|step| !step.then.is_empty()) {
                steps.push(Step::default());
            }
            let id = string(&activity, "id");
            if !id.is_empty() {
                step_of.insert(id.to_owned(), steps.len() - 1);
            }
            if let Some(step) = steps.last_mut() {
                step.user.push(activity);
            }
            continue;
        }
        if steps.is_empty() {
            steps.push(Step::default());
        }
        let place = step_of.get(string(&activity, "replyToId")).copied().unwrap_or(steps.len() - 1);
        if let Some(step) = steps.get_mut(place) {
            step.then.push(activity);
        }
    }
    Ok(steps)
}

/// Returns a warning for each id that counts as a user only because nothing identifies it, if other users are known or
/// there are several such ids.
pub fn strangers(activities: &[Object]) -> Vec<String> {
    let bots = bots(activities);
    let mut users: HashSet<&str> = HashSet::new();
    for activity in activities {
        users.extend(
            ["from", "recipient"]
                .into_iter()
                .filter(|side| role(activity, side) == Some(false))
                .map(|side| account(activity, side)),
        );
        if is_bots(activity, &bots) {
            users.insert(account(activity, "recipient"));
        }
        let members = activity.get("membersAdded").and_then(Value::as_array);
        users.extend(members.into_iter().flatten().filter_map(|member| member.get("id")?.as_str()));
    }
    let mut strangers: Vec<&str> = Vec::new();
    for activity in activities.iter().filter(|activity| string(activity, "type") == "message") {
        let id = account(activity, "from");
        let is_known = id.is_empty() || role(activity, "from").is_some() || bots.contains(id) || users.contains(id);
        if !is_known && !strangers.contains(&id) && strangers.len() < STRANGERS_MAX {
            strangers.push(id);
        }
    }
    if users.iter().all(|user| user.is_empty()) && strangers.len() < 2 {
        return Vec::new();
    }
    let warning = |id| {
        format!(
            "warning: `{id}` has no role and nothing identifies it, so it counts as a user; add a role to its `from`"
        )
    };
    strangers.into_iter().map(warning).collect()
}

/// Returns the ids that activities identify as the bot.
fn bots(activities: &[Object]) -> HashSet<String> {
    let mut bots = HashSet::new();
    for activity in activities {
        let is_update = string(activity, "type") == "conversationUpdate";
        for (side, other) in [("from", "recipient"), ("recipient", "from")] {
            let is_bot = match role(activity, side) {
                Some(is_bot) => is_bot,
                // The recipient of a conversation update is the bot, and so is the other party of a user.
                None => (is_update && side == "recipient") || role(activity, other) == Some(false),
            };
            if is_bot {
                bots.insert(account(activity, side).to_owned());
            }
        }
    }
    bots
}

fn is_bots(activity: &Object, bots: &HashSet<String>) -> bool {
    match (string(activity, "type"), role(activity, "from")) {
        ("conversationUpdate" | "invoke" | "installationUpdate", _) => false,
        ("invokeResponse", _) => true,
        (_, Some(is_bot)) => is_bot,
        (_, None) => bots.contains(account(activity, "from")),
    }
}

/// Returns whether the account in `from` or `recipient` is a bot, or none if it has no known role.
fn role(activity: &Object, side: &str) -> Option<bool> {
    let role = activity.get(side)?.get("role")?.as_str()?;
    match role.to_ascii_lowercase().as_str() {
        "user" => Some(false),
        "bot" | "skill" | "agent" | "agenticidentity" | "agenticuser" => Some(true),
        _ => None,
    }
}

fn is_machinery(activity: &Object) -> bool {
    let name = string(activity, "name");
    match string(activity, "type") {
        "trace" => true,
        "event" => name.eq_ignore_ascii_case("ContinueConversation"),
        _ => false,
    }
}

/// The channel of activities that name none.
const CHANNEL_ASSUMED: &str = "replay";

/// Prepares recorded activities of users for a replay.
#[derive(Debug, Default)]
pub struct Again {
    locale: Option<String>,
    channel: Option<String>,
    /// Recorded ids of the bot's messages, with the ids that the messages have now.
    ids: HashMap<String, String>,
    heard: HashSet<(String, String)>,
}

impl Again {
    /// Begins a replay in which users use this locale and channel. None keeps those of the file.
    pub fn with(locale: Option<String>, channel: Option<String>) -> Self {
        Self { locale, channel, ..Self::default() }
    }

    /// Returns the channel on which the bot gets an activity.
    pub fn channel_of<'a>(&'a self, activity: &'a Object) -> &'a str {
        match (&self.channel, string(activity, "channelId")) {
            (Some(channel), _) => channel,
            (None, "") => CHANNEL_ASSUMED,
            (None, channel) => channel,
        }
    }

    /// Returns whether neither the caller nor the activity names a channel.
    pub fn assumes_channel_of(&self, activity: &Object) -> bool {
        self.channel.is_none() && string(activity, "channelId").is_empty()
    }

    /// Returns an activity of a user as the bot must get it: in the same conversation, and with references to the bot's
    /// present messages.
    pub fn of(&mut self, mut activity: Object) -> Object {
        let missing = |activity: &Object, member: &str| string(activity, member).is_empty();
        if account(&activity, "conversation").is_empty() {
            activity.insert("conversation".to_owned(), json!({ "id": "replay" }));
        }
        let channel = self.channel_of(&activity).to_owned();
        activity.insert("channelId".to_owned(), channel.into());
        if missing(&activity, "serviceUrl") {
            activity.insert("serviceUrl".to_owned(), "https://replay.invalid".into());
        }
        // Replies are always recorded, whatever delivery mode the activity asks for.
        activity.shift_remove("deliveryMode");
        if let Some(locale) = &self.locale {
            activity.insert("locale".to_owned(), locale.as_str().into());
        }
        if let Some(now) = self.ids.get(string(&activity, "replyToId")) {
            activity.insert("replyToId".to_owned(), now.as_str().into());
        }
        // An activity with a repeated id would be a redelivery, which the bot does not get. The id of these types is
        // that of another activity, so it may repeat.
        if matches!(string(&activity, "type"), "messageUpdate" | "messageDelete" | "messageReaction") {
            return activity;
        }
        let heard = (string(&activity, "type").to_owned(), string(&activity, "id").to_owned());
        if !heard.1.is_empty() && !self.heard.insert(heard) {
            activity.shift_remove("id");
        }
        activity
    }

    /// Pairs the recorded messages of the bot with the present ones, so that later references can be converted.
    pub fn pair(&mut self, then: &[Object], now: &[Object]) {
        let messages = |said: &'_ Object| string(said, "type") == "message" && !string(said, "id").is_empty();
        for (then, now) in then.iter().filter(|said| messages(said)).zip(now.iter().filter(|said| messages(said))) {
            self.ids.insert(string(then, "id").to_owned(), string(now, "id").to_owned());
        }
    }
}

pub(super) fn string<'a>(object: &'a Object, member: &str) -> &'a str {
    object.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn account<'a>(activity: &'a Object, member: &str) -> &'a str {
    activity.get(member).and_then(|account| account.get("id")).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::file;

    /// Builds activities from words such as `u1 b1`, each the side and the text.
    fn steps(activities: &Value) -> Result<Vec<String>, String> {
        let activities = file::parse(&activities.to_string()).unwrap();
        let texts = |side: &[Object]| {
            side.iter().map(|activity| string(activity, "text").to_owned()).collect::<Vec<_>>().join("+")
        };
        Ok(split(activities)?.iter().map(|step| format!("{}: {}", texts(&step.user), texts(&step.then))).collect())
    }

    fn said(text: &str, from: &Value) -> Value {
        json!({ "type": "message", "text": text, "from": from })
    }

    fn by(role: &str, text: &str) -> Value {
        said(text, &json!({ "id": role, "role": role }))
    }

    #[test]
    fn what_the_bot_says_belongs_to_what_the_user_did_before() {
        let log = [by("bot", "hi"), by("user", "a"), by("user", "b"), by("bot", "c"), by("bot", "d"), by("user", "e")];
        assert_eq!(steps(&json!(log)).unwrap(), [": hi", "a+b: c+d", "e: "]);
        assert_eq!(steps(&json!([])).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_reply_belongs_to_what_it_answers() {
        let mut log = [by("user", "a"), by("bot", "b"), by("user", "c"), by("bot", "late"), by("bot", "d")];
        log[0]["id"] = "1".into();
        log[3]["replyToId"] = "1".into();
        log[4]["replyToId"] = "unknown".into();
        assert_eq!(steps(&json!(log)).unwrap(), ["a: b+late", "c: d"]);
    }

    #[test]
    fn without_roles_the_bot_is_whom_the_user_speaks_to() {
        let with_update = json!([
            { "type": "conversationUpdate", "text": "joined", "recipient": { "id": "B" } },
            said("a", &json!({ "id": "U" })),
            said("b", &json!({ "id": "B" })),
        ]);
        assert_eq!(steps(&with_update).unwrap(), ["joined+a: b"]);
        let with_role_of_user = json!([
            { "type": "message", "text": "a", "from": { "id": "U", "role": "user" }, "recipient": { "id": "B" } },
            said("b", &json!({ "id": "B" })),
        ]);
        assert_eq!(steps(&with_role_of_user).unwrap(), ["a: b"]);
        let told = steps(&json!([said("a", &json!({ "id": "U" })), said("b", &json!({ "id": "B" }))])).unwrap_err();
        assert!(told.starts_with("nothing identifies the bot"), "{told}");
    }

    #[test]
    fn speakers_of_whom_nothing_is_known_are_warned_of() {
        let warned = |activities: Value| strangers(&file::parse(&activities.to_string()).unwrap()).len();
        let from = |id: &str| said("a", &json!({ "id": id }));
        let joined =
            json!({ "type": "conversationUpdate", "recipient": { "id": "B" }, "membersAdded": [{ "id": "U" }] });
        assert_eq!(warned(json!([joined, from("U"), from("B")])), 0);
        assert_eq!(warned(json!([by("user", "a"), by("bot", "b"), from("X"), from("X")])), 1);
        let joined = json!({ "type": "conversationUpdate", "recipient": { "id": "B" } });
        assert_eq!(warned(json!([joined, from("U"), from("B")])), 0, "one alone is the user");
        assert_eq!(warned(json!([joined, from("U"), from("X"), from("B")])), 2);
        let answered = json!({ "type": "message", "from": { "id": "B", "role": "bot" }, "recipient": { "id": "U" } });
        assert_eq!(warned(json!([from("U"), answered])), 0);
    }

    #[test]
    fn a_replay_has_the_channel_of_the_file_or_the_one_that_it_is_told() {
        let activity = |value: Value| file::parse(&value.to_string()).unwrap().remove(0);
        let (with, without) = (json!({ "type": "message", "channelId": "msteams" }), json!({ "type": "message" }));
        for (asked, activity_of, channel) in [
            (None, &with, "msteams"),
            (None, &without, "replay"),
            (Some("slack"), &with, "slack"),
            (Some("slack"), &without, "slack"),
        ] {
            let mut again = Again::with(None, asked.map(ToOwned::to_owned));
            assert_eq!(again.of(activity(activity_of.clone()))["channelId"], channel);
        }
    }

    #[test]
    fn machinery_is_left_out_and_types_decide_where_roles_cannot() {
        let log = json!([
            by("user", "a"),
            { "type": "trace", "text": "t", "from": { "role": "bot" } },
            { "type": "event", "name": "ContinueConversation", "text": "t", "from": { "role": "user" } },
            { "type": "invoke", "text": "i" },
            { "type": "invokeResponse", "text": "r" },
        ]);
        let log = [log.as_array().unwrap().as_slice(), &[by("bot", "b")]].concat();
        assert_eq!(steps(&json!(log)).unwrap(), ["a+i: r+b"]);
    }

    #[test]
    fn the_user_does_again_what_refers_to_what_the_bot_says_now() {
        let objects = |value: Value| file::parse(&value.to_string()).unwrap();
        let mut again = Again::with(Some("de".to_owned()), None);
        again.pair(
            &objects(json!([{ "type": "typing", "id": "t" }, { "type": "message", "id": "then" }])),
            &objects(json!([{ "type": "message", "id": "now" }])),
        );
        let activity = json!([{ "type": "message", "id": "1", "replyToId": "then", "deliveryMode": "expectReplies" }]);
        let expected = json!({
            "type": "message", "id": "1", "replyToId": "now", "conversation": { "id": "replay" }, "channelId": "replay",
            "serviceUrl": "https://replay.invalid", "locale": "de",
        });
        let once = again.of(objects(activity.clone()).remove(0));
        assert_eq!(Value::Object(once), expected);
        let twice = again.of(objects(activity).remove(0));
        assert_eq!(twice.get("id"), None, "a second one is no redelivery");
        let edit = json!([{ "type": "messageUpdate", "id": "1" }]);
        for _ in 0..2 {
            assert_eq!(again.of(objects(edit.clone()).remove(0))["id"], "1", "that is the message that was edited");
        }
    }
}

//! What channels add to activities: to the user's text, to the JSON, and to numbers.

use serde_json::{Value, json};

use crate::dialogs::prompt;
use crate::support::raw::{self, request};
use crate::support::{Config, Connector, Host, expecting_replies, message};

const GRANTS: &str = "grants = { state = ['conversation'], dialogs = true, conversations = true }";

async fn start(more: &str) -> Option<Host> {
    Host::start(Config::new().bot("bot", &[]).plugin("bot", "scripted", &format!("{GRANTS}\n{more}"))).await
}

/// Returns a message on a channel.
fn on(channel: &str, text: &str) -> Value {
    let mut activity = message(text);
    activity["channelId"] = channel.into();
    activity["recipient"]["name"] = "Q&A Bot".into();
    activity
}

fn mentioning(text: &str, mention: Option<&str>) -> Value {
    let mut activity = on("msteams", text);
    activity["entities"] = json!([{ "type": "mention", "mentioned": { "id": "bot", "name": "Q&A Bot" } }]);
    if let Some(mention) = mention {
        activity["entities"][0]["text"] = mention.into();
    }
    activity
}

/// Posts a body unchanged, and returns status and text of the answer.
async fn post(host: &Host, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let name = host.url("").replace("http://", "");
    let headers: Vec<_> = [("Host", &*name)].into_iter().chain(headers.iter().copied()).collect();
    let answer = raw::send(&host.url(""), &request("POST", "/api/bots/bot/messages", &headers, body)).await;
    (answer.status, answer.body)
}

/// The plugin gets the activity unchanged, whatever the host extracts as spoken text.
#[tokio::test(flavor = "multi_thread")]
async fn routes_hear_through_mentions_quotes_and_invisible_marks() {
    let Some(host) =
        start("settings.routes = [{ name = 'help', pattern = 'help' }, { name = 'less', pattern = '&lt;' }]").await
    else {
        return;
    };
    for (activity, route) in [
        (mentioning("<at>Q&A Bot</at> help", None), "help"),
        (mentioning("<at>Q&amp;A Bot</at> help", None), "help"),
        (mentioning("<at>Q&amp;A Bot</at> help", Some("<at>Q&A Bot</at>")), "help"),
        (mentioning("<at>.*</at> help", Some("<at>.*</at>")), "help"),
        (on("msteams", "<quoted messageId=\"1772050244572\"/> help"), "help"),
        (mentioning("<at>Q&amp;amp;A Bot</at> help", None), "help"),
        (mentioning("<at>Zoe\u{308}</at> help", Some("<at>Zo\u{eb}</at>")), "help"),
        (on("msteams", "<attachment id=\"4\"></attachment> help"), "help"),
        (on("email", "help<br><br>-- <br>Sales"), "help"),
        (on("emulator", "\u{3164}help\u{2800}\u{115f}"), "help"),
        (on("emulator", "\u{200f}help\u{200f}"), "help"),
        (on("emulator", "\u{202b}help\u{202c}\u{feff}"), "help"),
        (on("email", "help\r\n\r\n-- \r\nSales"), "help"),
        (on("directline", "&lt;"), "less"),
    ] {
        let heard = format!("route:{route} {}", activity["text"].as_str().unwrap());
        host.bot("bot").sends(activity).replies(&heard).replies(&format!("heard: {route}")).await;
    }
    let everything = mentioning("help me", Some(".*"));
    host.bot("bot").sends(everything).replies("heard: help me").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_hear_what_was_said() {
    let Some(host) = start("").await else { return };
    let number = json!({ "kind": "number", "prompt": "?" });
    let text = json!({ "kind": "text", "prompt": "?" });
    let digits = json!({ "kind": "text", "prompt": "?", "pattern": "[0-9]+" });
    let choice =
        json!({ "kind": "choice", "prompt": "?", "style": "none", "choices": ["Up to 2", "Over > 2", "&gt;"] });
    let chosen = |index: usize| {
        let value = choice["choices"][index].clone();
        json!({ "value": value, "index": index, "score": 1, "synonym": value })
    };
    let mail = "2\r\n\r\n-- \r\nSales\r\nTel. 555 0100";
    for (definition, answer, result) in [
        (&number, on("msteams", "<quoted messageId=\"1772050244572\"/> 3"), json!(3)),
        (
            &number,
            on("msteams", "<blockquote itemid=\"1772050244572\">How many of 9?</blockquote>\r\n<p>3</p>"),
            json!(3),
        ),
        (&number, on("email", mail), json!(2)),
        (&number, on("test", "2\n\nOn Mon, 4 May 2026 at 10:00, Bot <bot@example.com> wrote:\n> 7?"), json!(2)),
        (&number, on("msteams", "<attachment id=\"74d20c7f34\"></attachment> 3"), json!(3)),
        (&number, on("msteams", "<img src=\"https://a/4.png\" width=\"250\">&nbsp;3"), json!(3)),
        (&text, on("msteams", "&nbsp;hi <emoji id=\"1f604\" alt=\"😄\"></emoji>"), json!("hi 😄")),
        (&text, on("email", "2\r\r-- \rSales"), json!("2")),
        (
            &text,
            on("email", "<p>2</p><p>Il giorno 4 maggio 2026 Bot ha scritto:</p><blockquote>7?</blockquote>"),
            json!("2"),
        ),
        (&text, on("test", "\u{2800}a\u{3164}"), json!("a")),
        (&number, mentioning("<at>Q&amp;A Bot</at> 3", None), json!(3)),
        (&number, on("test", "\u{200e}-\u{2066}3\u{2069}"), json!(-3)),
        (&text, on("slack", "R&amp;D"), json!("R&D")),
        (&text, on("directline", "R&amp;D"), json!("R&amp;D")),
        (&text, on("email", mail), json!("2")),
        (&text, on("directline", "a\n-- \nb"), json!("a\n-- \nb")),
        (&digits, on("test", "1\u{200e}2"), json!("12")),
        (&choice, on("slack", "Over &gt; 2"), chosen(1)),
        (&choice, on("test", "Over &gt; 2"), chosen(1)),
        (&choice, on("slack", "&amp;gt;"), chosen(2)),
        (&choice, on("test", "&gt;"), chosen(2)),
    ] {
        let said = answer["text"].clone();
        let mut asks = on("test", &prompt(definition));
        asks["channelId"] = answer["channelId"].clone();
        let expected = result.clone();
        host.bot("bot")
            .sends(asks)
            .replies("?")
            .sends(answer)
            .replies_with(&format!("{result} after {said}"), move |reply| {
                let text = reply["text"].as_str().unwrap().strip_prefix("script resume ").unwrap();
                let heard = serde_json::from_str::<Value>(text).unwrap()["result"].clone();
                match expected.get("index") {
                    Some(index) => heard["index"] == *index,
                    None => heard == expected,
                }
            })
            .await;
    }
    // A choice by its number, followed by an e-mail signature.
    let beds = json!({ "kind": "choice", "prompt": "?", "style": "none", "choices": ["1", "2", "3"] });
    host.bot("bot")
        .sends(on("email", &prompt(&beds)))
        .replies("?")
        .sends(on("email", mail))
        .replies_with("2", |reply| reply["text"].as_str().unwrap().contains(r#""value":"2","index":1"#))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_ten_thousand_are_no_hurdle() {
    let config = Config::new().set("server.body-bytes-max", "4_000_000").bot("bot", &[]);
    let Some(host) = Host::start(config.plugin("bot", "scripted", GRANTS)).await else { return };
    let mut mentions = mentioning("<at>Q&amp;A Bot</at> 3", None);
    mentions["channelId"] = "test".into();
    mentions["entities"] = (0..10_000).map(|_| mentions["entities"][0].clone()).collect();
    host.bot("bot")
        .says(&prompt(&json!({ "kind": "number", "prompt": "?" })))
        .replies("?")
        .sends(mentions)
        .replies(r#"script resume {"from":"prompt","reason":"completed","result":3}"#)
        .await;
    let mut pictures = message("");
    let picture = json!({ "contentType": "image/png", "contentUrl": "u" });
    pictures["attachments"] = (0..10_000).map(|_| picture.clone()).collect();
    let mut one = message("");
    one["attachments"] = json!([picture]);
    let photo = json!({ "kind": "attachment", "prompt": "?", "content-types": ["image/*"], "max-count": 3 });
    host.bot("bot")
        .says(&prompt(&photo))
        .replies("?")
        .sends(pictures)
        .replies("?")
        .sends(one)
        .replies_with("one", |reply| reply["text"].as_str().unwrap().contains("image/png"))
        .await;
}

/// JavaScript writes a lone surrogate as an escape if a text was cut within a character.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_character_becomes_the_replacement_character() {
    let Some(host) = start("").await else { return };
    let body = |text: &str, id: u32| {
        format!(
            r#"{{"type":"message","id":"{id}","channelId":"test","conversation":{{"id":"half"}},"recipient":{{"id":"bot"}},
                "from":{{"id":"u","na\udc00me":"\uD83D"}},"deliveryMode":"expectReplies","text":"{text}"}}"#
        )
    };
    let json = [("Content-Type", "application/json")];
    for (id, (text, heard)) in [
        (r"hi \ud83d", "hi \u{fffd}"),
        (r"\ude00 hi", "\u{fffd} hi"),
        (r"\ud83d\ude00", "😀"),
        (r"\\ud83d", r"\ud83d"),
        // State of a plugin stays readable JSON.
        (r#"set conversation k \"\\ud83d\"\nget conversation k"#, "\"\\ufffd\""),
    ]
    .into_iter()
    .enumerate()
    {
        let (status, answer) = post(&host, &json, &body(text, id as u32)).await;
        let replies: Value = serde_json::from_str(&answer).unwrap();
        let last = replies["activities"].as_array().unwrap().last().unwrap()["text"].as_str().unwrap();
        assert!(status == 200 && last.contains(heard), "{text}: {last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_must_be_utf_8_and_may_begin_with_its_mark() {
    let Some(host) = start("").await else { return };
    let activity = expecting_replies(message("hi")).to_string();
    let json = ("Content-Type", "application/json");
    let (status, answer) = post(&host, &[json], &format!("\u{feff}{activity}")).await;
    assert!(status == 200 && answer.contains("heard: hi"), "{answer}");
    let (status, answer) = post(&host, &[("Content-Type", "application/json; charset=utf-16")], &activity).await;
    assert!(status == 415 && answer.contains("UTF-8"), "{status} {answer}");
    // In UTF-16 without a byte order mark, every other byte of ASCII text is NUL.
    let utf_16: String = activity.chars().flat_map(|c| [c, '\0']).collect();
    let (status, answer) = post(&host, &[json], &utf_16).await;
    assert!(status == 400 && answer.contains("must be sent in UTF-8; this is UTF-16"), "{status} {answer}");
    let (status, answer) =
        post(&host, &[json], r#"{"type":"message","value":{"$serde_json::private::RawValue":"[]"}}"#).await;
    assert!(status == 400 && answer.contains("$serde_json::private::"), "{status} {answer}");
}

/// A reaction that is added, removed and added again has the same id each time, and twice the same body.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_later_is_another_event() {
    let rule = "settings.rules = [{ on = 'receive', if = 'messageReaction', do = 'send', with = 'DATA' }]";
    let layer = format!("name = 'layer'\ngrants = {{ middleware = true }}\n{rule}");
    let config = Config::new().bot("bot", &[]).plugin("bot", "interceptor", &layer).plugin("bot", "scripted", GRANTS);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    let reaction = |member: &str, at: &str| {
        let mut activity = connector.message("");
        (activity["type"], activity["id"], activity["timestamp"]) = ("messageReaction".into(), "1".into(), at.into());
        activity["conversation"]["id"] = "reactions".into();
        activity[member] = json!([{ "type": "like" }]);
        activity
    };
    let (added, removed) = ("reactionsAdded", "reactionsRemoved");
    for activity in [
        reaction(added, "2026-01-01T00:00:01Z"),
        reaction(removed, "2026-01-01T00:00:02Z"),
        reaction(added, "2026-01-01T00:00:03Z"),
        // A redelivery, the second time with another notation of the JSON.
        reaction(added, "2026-01-01T00:00:03Z"),
        reaction(added, "2026-01-01T01:00:03.000+01:00"),
    ] {
        assert_eq!(host.post("bot", &activity).await.status, 200);
    }
    let mut end = connector.message("end");
    end["conversation"]["id"] = "reactions".into();
    host.post("bot", &end).await;
    let calls = connector.calls(4).await;
    let told: Vec<&str> = calls
        .iter()
        .map(|call| {
            if call.text().contains(removed) {
                "unlike"
            } else if call.text().contains(added) {
                "like"
            } else {
                call.text()
            }
        })
        .collect();
    assert_eq!(told, ["like", "unlike", "like", "heard: end"]);
}

/// Digits that a 64-bit float cannot hold, and notations that programs do not use.
const NUMBERS: &str =
    r#"{"lat":31.245270191439438,"id":1234567890123456789012345,"one":1.0,"huge":1e400,"tiny":-2.50E-9,"zero":-0}"#;

#[tokio::test(flavor = "multi_thread")]
async fn numbers_leave_as_they_came() {
    // Middleware replaces the guest's reply by the text of an activity with numbers.
    let become_numbers = format!(
        "settings.rules = [{{ on = 'send', if = 'numbers', do = 'become', with = '{{\"type\":\"message\",\"text\":\"n\",\"channelData\":{NUMBERS},\"x\":{NUMBERS}}}' }}]"
    );
    let layer = format!("name = 'layer'\ngrants = {{ middleware = true }}\n{become_numbers}");
    let config = Config::new().set("server.mode", "'development'").bot("bot", &[]).bot_key("transcripts", "{}");
    let config = config.plugin("bot", "interceptor", &layer).plugin("bot", "scripted", GRANTS);
    let Some(host) = Host::start(config).await else { return };
    let answer = host.post("bot", &expecting_replies(message("numbers"))).await;
    assert!(answer.text.contains(&format!(r#""channelData":{NUMBERS},"x":{NUMBERS}"#)), "{}", answer.text);

    // Numbers pass through the transcript unchanged, incoming ones too.
    let json = [("Content-Type", "application/json")];
    let sent = format!(
        r#"{{"type":"message","id":"n","channelId":"test","conversation":{{"id":"kept"}},"recipient":{{"id":"bot"}},
            "from":{{"id":"u"}},"deliveryMode":"expectReplies","text":"numbers","value":{NUMBERS}}}"#
    );
    assert_eq!(post(&host, &json, &sent).await.0, 200);
    for path in ["activities?limit=9&", "file?"] {
        let path = format!("/v1/bots/bot/transcripts/{path}channel=test&conversation=kept");
        let text = host.admin("GET", &path, Vec::new()).await.text;
        assert!(text.contains(&format!(r#""value":{NUMBERS}"#)), "{path}: {text}");
        assert!(text.contains(&format!(r#""channelData":{NUMBERS}"#)), "{path}: {text}");
    }

    // The spec parses the connector's JSON, so this check omits the exponents.
    let connector = Connector::start().await;
    assert_eq!(host.post("bot", &connector.message("numbers")).await.status, 200);
    let call = connector.calls(1).await[0].body["channelData"].to_string();
    assert!(call.starts_with(r#"{"lat":31.245270191439438,"id":1234567890123456789012345,"one":1.0,"#), "{call}");

    // State is text and stays unchanged.
    let replies = host
        .post("bot", &expecting_replies(message(&format!("set conversation k {NUMBERS}\nget conversation k"))))
        .await;
    assert!(replies.json()["activities"][1]["text"].as_str().unwrap().contains(NUMBERS), "{}", replies.text);
}

/// A delayed notification is stored and sent with the same digits.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_notifications_leave_as_they_came() {
    let Some(host) = start("").await else { return };
    let connector = Connector::start().await;
    let mut met = connector.message("hi");
    met["conversation"]["id"] = "met".into();
    host.post("bot", &met).await;
    let body = format!(
        r#"{{"target":{{"channel":"test","conversation":"met"}},"mode":"now","activity":{{"type":"message","text":"n","value":{NUMBERS}}}}}"#
    );
    let answer = host.admin("POST", "/v1/bots/bot/notifications", body.into_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let call = connector.calls(2).await[1].body["value"].to_string();
    assert!(call.starts_with(r#"{"lat":31.245270191439438,"id":1234567890123456789012345,"one":1.0,"#), "{call}");
    let half = r#"{"target":{"channel":"test","conversation":"met"},"mode":"now","activity":{"type":"message","text":"\ud83d"}}"#;
    assert_eq!(host.admin("POST", "/v1/bots/bot/notifications", half.into()).await.status, 200);
    assert_eq!(connector.calls(3).await[2].text(), "\u{fffd}");
}

/// A dialog gets the value of a card, and a button is recognized by its value however a client writes the number.
#[tokio::test(flavor = "multi_thread")]
async fn submitted_numbers_answer_prompts() {
    let Some(host) = start("").await else { return };
    let number = json!({ "kind": "number", "prompt": "?" });
    let rooms = json!({ "kind": "choice", "prompt": "?", "style": "none", "choices": [
        { "value": "one", "action": { "type": "messageBack", "title": "1", "value": { "room": 1 } } },
        { "value": "two", "action": { "type": "messageBack", "title": "2", "value": { "room": 2 } } } ] });
    for (definition, value, result) in [
        (&number, r#"{"number":31.5}"#, r#""result":31.5"#),
        (&number, r#"{"value":3.10}"#, r#""result":3.1"#),
        (&number, "7.0", r#""result":7"#),
        (&number, "1e2", r#""result":100"#),
        (&rooms, r#"{"room":2.0}"#, r#""value":"two""#),
        (&rooms, r#"{"room":2}"#, r#""value":"two""#),
    ] {
        let mut card = message("");
        card["value"] = serde_json::from_str(value).unwrap();
        host.bot("bot")
            .says(&prompt(definition))
            .replies("?")
            .sends(card)
            .replies_with(value, move |reply| reply["text"].as_str().unwrap().contains(result))
            .await;
    }
}

//! Text that streams: pieces at the pace of the channel, and exactly one last message, whatever fails.

mod teams;

use serde_json::{Value, json};

use self::teams::{Says, Teams};
use crate::support::channel::Call;
use crate::support::{Config, Connector, Host, expecting_replies, message, rounds, within};

const ERROR: &str = "Something broke.";
const MORE: &str = "grants = { state = ['conversation'] }\nlimits.wall-ms = 60000\nlimits.host-calls = 100000";

async fn start() -> Option<Host> {
    let config = Config::new().bot("bot", &[]).bot_key("error-text", &format!("'{ERROR}'"));
    Host::start(config.plugin("bot", "scripted", MORE)).await
}

/// A message of a channel that shows streams.
fn web_chat(connector: &Connector, script: &str) -> Value {
    let mut activity = connector.message(script);
    activity["channelId"] = "webchat".into();
    activity
}

fn messages(calls: &[Call]) -> Vec<&Call> {
    calls.iter().filter(|call| call.body["type"] == "message").collect()
}

/// Waits for the first message of the bot, and returns all calls.
async fn until_message(connector: &Connector) -> Vec<Call> {
    let mut count = 1;
    loop {
        let calls = connector.calls(count).await;
        if !messages(&calls).is_empty() {
            return calls;
        }
        count = calls.len() + 1;
    }
}

/// Checks that pieces only grow, that they are of one stream, and that the message ends it.
fn check(calls: &[Call]) {
    let mut shown = String::new();
    for (number, call) in calls.iter().enumerate() {
        let info = &call.body["entities"][0];
        assert_eq!(info["type"], "streaminfo", "{:#}", call.body);
        if call.body["type"] == "message" {
            assert_eq!((number, &info["streamType"]), (calls.len() - 1, &json!("final")), "{calls:#?}");
            assert!(info.get("streamSequence").is_none() && call.text().starts_with(&shown), "{calls:#?}");
        } else {
            assert_eq!(
                (&call.body["type"], &info["streamSequence"]),
                (&json!("typing"), &json!(number + 1)),
                "{calls:#?}"
            );
            if info["streamType"] == "streaming" {
                assert!(call.text().starts_with(&shown) && call.text().len() > shown.len(), "{calls:#?}");
                call.text().clone_into(&mut shown);
            }
        }
        let stream = if number == 0 { Value::Null } else { "channel-1".into() };
        assert_eq!(info["streamId"], stream, "{calls:#?}");
        for member in ["streamId", "streamType", "streamSequence"] {
            assert_eq!(call.body["channelData"][member], info[member], "Web Chat reads channelData: {calls:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn web_chat_shows_a_text_that_grows_and_one_message() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    let script = "open Looking_that_up\nsleep 900\nappend Par\nsleep 900\nappend is\nappend .\nclose";
    assert_eq!(host.post("bot", &web_chat(&connector, script)).await.status, 200);
    let calls = until_message(&connector).await;
    check(&calls);
    assert_eq!(
        (calls[0].text(), &calls[0].body["entities"][0]["streamType"]),
        ("Looking_that_up", &json!("informative"))
    );
    assert_eq!((calls[1].text(), calls.last().unwrap().text()), ("Par", "Paris."), "{calls:#?}");
    assert!(calls.last().unwrap().body["replyToId"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_pieces_is_a_plain_message() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    // Without a pause the whole answer may be there before the first piece leaves.
    host.post("bot", &web_chat(&connector, "open\nclose Paris.")).await;
    let calls = until_message(&connector).await;
    assert_eq!((calls.len(), calls[0].text()), (1, "Paris."));
    assert_eq!((calls[0].body.get("channelData"), calls[0].body.get("entities")), (None, None), "{calls:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_shows_no_pieces_shows_typing_and_gets_one_message() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    host.post("bot", &connector.message("open Wait\nappend Par\nappend is.\nclose")).await;
    let calls = until_message(&connector).await;
    let sent: Vec<(&Value, &str)> = calls.iter().map(|call| (&call.body["type"], call.text())).collect();
    assert_eq!(sent, [(&json!("typing"), ""), (&json!("message"), "Paris.")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_replies_has_only_the_last_message() {
    let Some(host) = start().await else { return };
    let answer = host.post("bot", &expecting_replies(message("open Wait\nappend Par\nappend is.\nclose"))).await;
    let replies = answer.replies();
    assert_eq!((replies.len(), &replies[0]["text"]), (1, &json!("Paris.")), "{replies:#?}");
    assert!(replies[0].get("entities").is_none(), "{replies:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_its_plugin_leaves_open_is_closed() {
    let Some(host) = start().await else { return };
    for (end, text) in [
        ("", "half".to_owned()),
        ("\ntrap", format!("half\n\n{ERROR}")),
        ("\nclose\ntrap", format!("half\n\n{ERROR}")),
        ("\nclose\nappend more", format!("half\n\n{ERROR}")),
    ] {
        let connector = Connector::start().await;
        host.post("bot", &web_chat(&connector, &format!("open\nappend half\nsleep 300{end}"))).await;
        let calls = until_message(&connector).await;
        check(&calls);
        assert_eq!((messages(&calls).len(), calls.last().unwrap().text()), (1, &*text), "{end:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_does_wrong_with_a_stream_is_a_fault() {
    let Some(host) = start().await else { return };
    for (script, error) in [
        ("append a", "no stream with this id is open"),
        ("close", "no stream with this id is open"),
        ("open\nopen", "a stream is open in this turn"),
        ("open\nclose a\nappend b", "no stream with this id is open"),
    ] {
        host.post("bot", &expecting_replies(message(script))).await;
        let record = host.last_turn("bot").await;
        assert!(record["calls"][0]["error"].as_str().unwrap().contains(error), "{script}: {record:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn middleware_sees_pieces_and_the_whole() {
    let config = Config::new().bot("bot", &[]).plugin("bot", "redact", "grants.middleware = true");
    let Some(host) = Host::start(config.plugin("bot", "scripted", MORE)).await else { return };
    let connector = Connector::start().await;
    let script = "open\nappend Card_4111_1111\nsleep 700\nappend _1111_1111_and\nsleep 700\nappend _more\nclose";
    host.post("bot", &web_chat(&connector, script)).await;
    let calls = until_message(&connector).await;
    check(&calls);
    assert!(calls.len() > 1 && calls.iter().all(|call| !call.text().contains("4111")), "{calls:#?}");
    assert!(calls.last().unwrap().text().ends_with("and more"), "{calls:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_gets_pieces_at_its_pace() {
    let Some(host) = start().await else { return };
    let teams = Teams::start().await;
    let appends = "append word_\nsleep 100\n".repeat(45);
    host.post("bot", &teams.message(&format!("open Looking\n{appends}close"))).await;
    let (pieces, end) = teams.ended().await;
    assert!(pieces > 2, "{pieces}");
    assert_eq!(end, "word ".repeat(45));
    // A group has no pieces.
    let teams = Teams::start().await;
    let mut activity = teams.message("open Looking\nappend Paris.\nclose");
    activity["conversation"]["conversationType"] = "groupChat".into();
    host.post("bot", &activity).await;
    assert_eq!(teams.ended().await, (0, "Paris.".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_lacks_what_teams_showed_updates_the_message() {
    let Some(host) = start().await else { return };
    let teams = Teams::start().await;
    host.post("bot", &teams.message("open\nappend Rome\nsleep 300\nclose Paris.")).await;
    assert_eq!(teams.ended().await.1, "Paris.");
    assert!(teams.was_updated());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_teams_has_one_end() {
    let Some(host) = start().await else { return };
    let script = "open\nappend Par\nsleep 1800\nappend is\nsleep 1800\nappend .\nclose";
    for (says, text) in [
        (Says::Exceeded, "Paris."),
        (Says::NotAllowed, "Paris."),
        (Says::Throttled, "Paris."),
        (Says::OutOfOrder, "Paris."),
    ] {
        let teams = Teams::saying(says).await;
        host.post("bot", &teams.message(script)).await;
        assert_eq!(teams.ended().await.1, text, "{says:?}");
    }
    // A stop ends the stream by itself; the plugin learns of it at the next piece.
    let teams = Teams::saying(Says::Cancelled).await;
    host.post("bot", &teams.message(script)).await;
    let record = host.last_turn("bot").await;
    assert!(record["calls"][0]["error"].as_str().unwrap().contains("the user stopped the stream"), "{record:#}");
    host.post("bot", &teams.message("close-by")).await;
    assert_eq!(teams.texts().await, ["heard: close-by"], "nothing was said after the stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_mid_stream_ends_it_once_with_what_was_there() {
    for round in 0..rounds(3, 200) {
        let Some(mut host) = start().await else { return };
        let connector = Connector::start().await;
        let appends: String =
            (0..40).map(|number| format!("append {number}_\nsleep {}\n", 60 + round % 7 * 30)).collect();
        let (activity, wanted) = (web_chat(&connector, &format!("open\n{appends}close")), 1 + round % 3);
        let (_, ()) = tokio::join!(host.try_post("bot", &activity), async {
            connector.calls(wanted).await;
            host.kill();
        });
        host.again(None).await;
        let calls = until_message(&connector).await;
        let (last, pieces) = calls.split_last().unwrap();
        // Killed before the host had the answer to the first piece, it knows no id of the stream: the end is a plain message.
        let is_nameless = pieces.len() == 1 && last.body.get("entities").is_none();
        check(if is_nameless { pieces } else { &calls });
        let shown = pieces.last().map_or("", |piece| piece.text());
        assert!(last.text().starts_with(shown) && last.text().ends_with(ERROR), "{calls:#?}");
        // A kill before the delivery is noted would repeat it.
        let noted = async {
            while !host.admin("GET", "/metrics", Vec::new()).await.text.contains("turntable_outbox_rows 0\n") {}
        };
        within("the note of the delivery", noted).await;
        // Nothing is left to close at the next start.
        host.again(None).await;
        host.post("bot", &web_chat(&connector, "anything")).await;
        let mut count = calls.len() + 1;
        let heard = async {
            loop {
                let calls = connector.calls(count).await;
                if calls.last().unwrap().text().starts_with("heard") {
                    return calls;
                }
                count = calls.len() + 1;
            }
        };
        let calls = within("the next answer", heard).await;
        assert_eq!(messages(&calls).len(), 2, "{calls:#?}");
    }
}

//! State: what plugins store and for whom. Turns of several conversations never lose each other's writes.

use serde_json::{Value, json};

use crate::support::{Config, Connector, Host, message, within};

const ALL: &str = "grants = { state = ['conversation', 'user', 'private', 'bot'] }";

async fn start(more: &str) -> Option<Host> {
    Host::start(Config::new().bot("bot", &[]).plugin("bot", "scripted", more)).await
}

/// Sends a message of a user in a conversation, and returns the texts of the replies.
async fn say(host: &Host, conversation: &str, user: &str, text: &str) -> Vec<String> {
    let mut activity = message(text);
    activity["conversation"]["id"] = conversation.into();
    activity["from"]["id"] = user.into();
    send(host, activity).await
}

async fn send(host: &Host, mut activity: Value) -> Vec<String> {
    activity["deliveryMode"] = "expectReplies".into();
    let replies = host.post("bot", &activity).await.replies();
    replies.iter().map(|reply| reply["text"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_belong_to_a_conversation_a_user_both_or_the_bot() {
    let Some(host) = start(ALL).await else { return };
    for (scope, value) in [("conversation", "1"), ("user", "2"), ("private", "3"), ("bot", "4")] {
        assert_eq!(say(&host, "a", "ann", &format!("set {scope} k {value}")).await, ["done"]);
    }
    let all = "get conversation k\nget user k\nget private k\nget bot k";
    assert_eq!(say(&host, "a", "ann", all).await, ["1", "2", "3", "4"]);
    assert_eq!(say(&host, "a", "bob", all).await, ["1", "none", "none", "4"]);
    assert_eq!(say(&host, "b", "ann", all).await, ["none", "2", "none", "4"]);
    assert_eq!(say(&host, "b", "bob", all).await, ["none", "none", "none", "4"]);
    assert_eq!(say(&host, "a", "ann", "remove user k\nget user k").await, ["done", "none"]);
    assert_eq!(say(&host, "a", "ann", "get user k").await, ["none"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_with_separators_are_not_confused() {
    let Some(host) = start(ALL).await else { return };
    assert_eq!(say(&host, "a/b", "c", "set private k 1").await, ["done"]);
    assert_eq!(say(&host, "a", "b/c", "get private k").await, ["none"]);
    assert_eq!(say(&host, "a/b", "c", "get private k").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_turn_leaves_no_state() {
    let Some(host) = start(ALL).await else { return };
    let replies = say(&host, "a", "ann", "set user k 1\nget user k\ntrap").await;
    assert_eq!(replies, ["Sorry, something went wrong on my side. Please try again."]);
    assert_eq!(say(&host, "a", "ann", "get user k").await, ["none"]);
    // The flushed part remains.
    say(&host, "a", "ann", "set user k 2").await;
    let mut activity = message("set user k 3\nflush\nset user k 4\ntrap");
    activity["from"]["id"] = "ann".into();
    assert_eq!(host.post("bot", &activity).await.status, 200);
    assert_eq!(say(&host, "a", "ann", "get user k").await, ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stalled_store_takes_after_the_guest_was_cut_is_kept_and_delivered() {
    let Some(mut host) = start(&format!("{ALL}\nlimits.wall-ms = 2000")).await else { return };
    let connector = Connector::start().await;
    let go_on = host.stall_at("commit:1").await;
    let mut activity = connector.message("one\nset user k 1\nflush\ntwo\nset user k 2");
    activity["from"]["id"] = "ann".into();
    let (answer, ()) = tokio::join!(host.post("bot", &activity), async {
        let cut =
            async { while !host.admin("GET", "/metrics", Vec::new()).await.text.contains("outcome=\"wall-clock\"") {} };
        within("the end of the guest's time", cut).await;
        std::fs::write(&go_on, "").unwrap();
    });
    assert_eq!(answer.status, 200);
    let texts: Vec<String> = connector.calls(3).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["heard: one", "done", "Sorry, something went wrong on my side. Please try again."]);
    assert_eq!(say(&host, "a", "ann", "get user k").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_whose_flush_is_overtaken_runs_again() {
    let Some(mut host) = start(ALL).await else { return };
    let connector = Connector::start().await;
    let go_on = host.stall_at("commit:1").await;
    let mut activity = connector.message("add user count\nflush\nadd user count");
    activity["from"]["id"] = "ann".into();
    let (answer, ()) = tokio::join!(host.post("bot", &activity), async {
        host.logged("the store stalls").await;
        assert_eq!(say(&host, "b", "ann", "add user count").await, ["1"]);
        std::fs::write(&go_on, "").unwrap();
    });
    assert_eq!(answer.status, 200);
    let texts: Vec<String> = connector.calls(2).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["2", "3"], "nothing of the first run left");
}

#[tokio::test(flavor = "multi_thread")]
async fn etags_refuse_what_another_turn_overtook() {
    let Some(host) = start(ALL).await else { return };
    assert_eq!(say(&host, "a", "ann", "swap user k - 1").await, ["done"], "there was none");
    let again = say(&host, "a", "ann", "swap user k - 2").await;
    assert!(again[0].starts_with("conflict: "), "{again:?}");
    let etag = say(&host, "a", "ann", "etag user k").await.remove(0);
    assert_eq!(say(&host, "a", "ann", &format!("swap user k {etag} 3\nget user k")).await, ["done", "3"]);
    let late = say(&host, "a", "ann", &format!("swap user k {etag} 4\nget user k")).await;
    assert!(late[0].starts_with("conflict: ") && late[1] == "3", "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_increments_of_one_value_in_fifty_conversations_end_at_a_thousand() {
    let Some(host) = start(ALL).await else { return };
    let host = std::sync::Arc::new(host);
    let conversations = (0..50).map(|number| {
        let host = host.clone();
        tokio::spawn(async move {
            let (conversation, user) = (format!("c{number}"), format!("u{number}"));
            for _ in 0..20 {
                let replies = say(&host, &conversation, &user, "add bot count").await;
                assert!(replies[0].parse::<u32>().is_ok(), "{replies:?}");
            }
        })
    });
    for conversation in conversations.collect::<Vec<_>>() {
        conversation.await.unwrap();
    }
    assert_eq!(say(&host, "c", "ann", "get bot count").await, ["1000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_values_changed_in_both_orders_lose_nothing() {
    let Some(host) = start(ALL).await else { return };
    let host = std::sync::Arc::new(host);
    let conversations = (0..20).map(|number| {
        let host = host.clone();
        tokio::spawn(async move {
            let conversation = format!("c{number}");
            let both = if number % 2 == 0 { "add bot a\nadd bot b" } else { "add bot b\nadd bot a" };
            for _ in 0..10 {
                let replies = say(&host, &conversation, "ann", both).await;
                assert!(replies.len() == 2 && replies.iter().all(|reply| reply.parse::<u32>().is_ok()), "{replies:?}");
            }
        })
    });
    for conversation in conversations.collect::<Vec<_>>() {
        conversation.await.unwrap();
    }
    assert_eq!(say(&host, "c", "ann", "get bot a\nget bot b").await, ["200", "200"]);
}

/// A turn that flushed cannot run again, so it waits before it reads values that others change.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_many_change_after_a_flush_loses_nothing() {
    // A turn may hold up others for as long as its plugin may compute; no machine is so slow that this ends first.
    let Some(host) = start(&format!("{ALL}\nlimits.cpu-ms = 60000\nlimits.wall-ms = 60000")).await else { return };
    let host = std::sync::Arc::new(host);
    let connector = Connector::start().await;
    let conversations = (0..20).map(|number| {
        let (host, connector) = (host.clone(), connector.clone());
        tokio::spawn(async move {
            let texts = ["heard\nflush\nadd bot a", "add bot a\nflush\nadd bot b", "add bot b\nflush\nadd bot a"];
            for text in texts {
                let mut activity = connector.message(text);
                activity["conversation"]["id"] = format!("c{number}").into();
                assert_eq!(host.post("bot", &activity).await.status, 200);
            }
        })
    });
    for conversation in conversations.collect::<Vec<_>>() {
        conversation.await.unwrap();
    }
    assert_eq!(say(&host, "c", "ann", "get bot a\nget bot b").await, ["60", "40"]);
    let sorry: Vec<_> = connector.calls_now().into_iter().filter(|call| call.text().starts_with("Sorry")).collect();
    assert!(sorry.is_empty(), "{sorry:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_joins_and_speaks_on_direct_line_is_one_user() {
    let Some(host) = start(ALL).await else { return };
    let joins = |member: &str, from: &str| {
        let mut activity = message("");
        activity["type"] = "conversationUpdate".into();
        activity["channelId"] = "directline".into();
        activity["conversation"]["id"] = "dl".into();
        activity["membersAdded"] = json!([{ "id": member }]);
        activity["from"]["id"] = from.into();
        activity
    };
    // The host uses the added member as the user of a conversation update, whatever its `from` is.
    assert_eq!(send(&host, joins("bot", "bot")).await, ["no user: invalid"]);
    assert_eq!(send(&host, joins("ann", "ann")).await, ["welcome"]);
    assert_eq!(send(&host, joins("ann", "bot")).await, Vec::<String>::new(), "she was welcomed");
    let mut first = message("get user welcomed");
    first["channelId"] = "directline".into();
    first["from"]["id"] = "ann".into();
    assert_eq!(send(&host, first).await, ["true"], "one key for the user who joined and the one who speaks");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_granted_by_default() {
    let Some(host) = start("grants = { state = ['user'] }").await else { return };
    let replies =
        say(&host, "a", "ann", "set user k 1\nset bot k 1\nget conversation k\nbegin script {}\ncancel-all").await;
    assert_eq!(replies[0], "done");
    assert!(replies[1].starts_with("denied: the scope `bot` needs the grant `state = [\"bot\"]`"), "{replies:?}");
    assert!(replies[2].starts_with("denied: "), "{replies:?}");
    assert!(replies[3].starts_with("denied: needs the grant `dialogs = true`"), "{replies:?}");
    assert!(replies[4].starts_with("denied: "), "{replies:?}");
    host.logged("the plugin asks for more than its `grants`").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_and_bad_values_are_named() {
    let Some(host) = start(&format!("{ALL}\nlimits.state-bytes-per-scope = '1 KiB'")).await else { return };
    let long = format!("\"{}\"", "x".repeat(600));
    let replies =
        say(&host, "a", "ann", &format!("set user a {long}\nset user b {long}\nset user a 1\nset user b {long}")).await;
    assert_eq!(replies[0], "done");
    assert_eq!(replies[1], "quota: the limit state-bytes-per-scope (1024) is reached");
    assert_eq!(replies[2..], ["done", "done"], "what is overwritten counts no more");
    let key = "k".repeat(257);
    let replies =
        say(&host, "a", "ann", &format!("set user {key} 1\nset user k {{\nset nowhere k 1\nget user {key}")).await;
    assert!(replies[0].starts_with("invalid: a key has 1 to 256 bytes, this one 257"), "{replies:?}");
    assert!(replies[1].starts_with("invalid: the value of `k` is not JSON"), "{replies:?}");
    assert!(replies[2].starts_with("invalid: there is no scope `nowhere`"), "{replies:?}");
    assert!(replies[3].starts_with("invalid: "), "{replies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_share_values_only_where_the_operator_says_so() {
    let own = "grants = { state = ['user'] }";
    let shared = "grants = { state = ['user'], shared-state = 'profile' }";
    for (first, second, seen) in [(own, own, "none"), (shared, shared, "1"), (shared, own, "none")] {
        // Two plugins use one component. The first handles messages that match its route, the second the others.
        let routes = "settings.routes = [{ name = 'set--user--k--1', pattern = 'write' }]\nname = 'writer'\n";
        let config = Config::new()
            .bot("bot", &[])
            .plugin("bot", "scripted", &format!("{first}\nname = 'reader'\n"))
            .plugin("bot", "scripted", &format!("{second}\n{routes}"));
        let Some(host) = Host::start(config).await else { return };
        say(&host, "a", "ann", "write").await;
        assert_eq!(say(&host, "a", "ann", "get user k").await, [seen]);
    }
}

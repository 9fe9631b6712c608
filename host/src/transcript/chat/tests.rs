use similar_asserts::assert_eq;
use tempfile::TempDir;

use super::*;

/// Converts a chat in a folder with a card and a picture.
fn convert(text: &str) -> Result<Vec<Object>, Vec<(usize, String)>> {
    let folder = folder();
    let converted = parse(text, &folder.path().join("chats/a.chat")).map(|converted| converted.activities);
    converted.map_err(|list| list.into_iter().map(|problem| (problem.line, problem.message)).collect())
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let chats = folder.path().join("chats");
    std::fs::create_dir_all(chats.join("cards")).unwrap();
    std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
    std::fs::write(chats.join("cards/trip.json"), r#"{"type":"AdaptiveCard"}"#).unwrap();
    std::fs::write(chats.join("broken.json"), "{").unwrap();
    std::fs::write(chats.join("ann.png"), b"\x89PNG").unwrap();
    std::os::unix::fs::symlink(folder.path().join("secret.txt"), chats.join("link.txt")).unwrap();
    folder
}

/// Returns the activities after the first, as `TYPE FROM>TO: TEXT`.
fn told(text: &str) -> Vec<String> {
    let line = |activity: &Object| {
        let name = |member: &str| activity[member]["name"].as_str().unwrap().to_owned();
        let kind = activity["type"].as_str().unwrap();
        let text = activity.get("text").and_then(Value::as_str).unwrap_or_default();
        format!("{kind} {}>{}: {text}", name("from"), name("recipient"))
    };
    convert(text).unwrap().iter().skip(1).map(line).collect()
}

#[test]
fn a_chat_becomes_activities_with_ids_times_and_parties() {
    let activities = convert("user=Ann\nbot=Travel\n\nAnn: hi\nbot: [Delay=3000]Hello!\n").unwrap();
    let id = activities[0]["conversation"]["id"].as_str().unwrap();
    assert!(id.starts_with("chat-") && id.len() == 21, "{id}");
    let ann = json!({ "id": "ann", "name": "Ann", "role": "user" });
    let bot = json!({ "id": "travel", "name": "Travel", "role": "bot" });
    let common = |kind: &str, number: &str, timestamp: &str, from: &Value, to: &Value| {
        json!({
            "type": kind, "id": number, "timestamp": timestamp, "channelId": "chatdown",
            "serviceUrl": "https://chatdown", "conversation": { "id": id }, "from": from, "recipient": to,
        })
    };
    let mut expected = [
        common("conversationUpdate", "1", "2020-01-01T00:00:00.100Z", &ann, &bot),
        common("message", "2", "2020-01-01T00:00:02.100Z", &ann, &bot),
        common("message", "3", "2020-01-01T00:00:05.100Z", &bot, &ann),
    ];
    expected[0]["membersAdded"] = json!([bot]);
    expected[0]["membersRemoved"] = json!([]);
    expected[1]["text"] = "hi".into();
    expected[2]["text"] = "Hello!".into();
    expected[2]["replyToId"] = "2".into();
    assert_eq!(json!(activities), json!(expected));
}

#[test]
fn the_same_text_gives_the_same_activities_and_another_another_conversation() {
    let (once, again, other) = (convert("user: a").unwrap(), convert("user: a").unwrap(), convert("user: b").unwrap());
    assert_eq!(once, again);
    assert_eq!(once[0]["conversation"] == other[0]["conversation"], false);
}

#[test]
fn who_speaks_to_whom() {
    let cases: &[(&str, &[&str])] = &[
        ("user: a\nbot: b", &["message user>bot: a", "message bot>user: b"]),
        ("> comment\n\n user = Ann \n\nANN: a\nUser: b", &["message Ann>bot: a", "message Ann>bot: b"]),
        ("user=Ann\r\nuser: a\r\nb\r\n", &["message Ann>bot: a\nb"]),
        (
            "users=Joe,Fred\nbot: a\nFred: b\nbot: c\nbot->Joe: d\nuser: e",
            &[
                "message bot>Joe: a",
                "message Fred>bot: b",
                "message bot>Fred: c",
                "message bot>Joe: d",
                "message Joe>bot: e",
            ],
        ),
        // A name that is not in the header is not a party. A time or a URL is not a name.
        ("user: at 10:30\nBob: x\nhttps://x.example", &["message user>bot: at 10:30\nBob: x\nhttps://x.example"]),
        ("user: a\n> no\nb\n\n\n", &["message user>bot: a\nb"]),
        ("user:\nbot:   ", &[]),
        ("", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(told(text), *expected, "{text}");
    }
}

#[test]
fn tags_become_activities_of_their_own_and_members_of_messages() {
    let cases: &[(&str, &[&str])] = &[
        ("bot: [Typing][Delay=3]\nHi\n* a", &["typing bot>user: ", "message bot>user: Hi\n* a"]),
        ("bot: one [Typing] two", &["message bot>user: one", "typing bot>user: ", "message bot>user: two"]),
        ("user: [typing]", &["typing user>bot: "]),
        ("bot: (1) a [2] b [c=d]", &["message bot>user: (1) a [2] b [c=d]"]),
        (
            "user: hi\n[ConversationUpdate=\n  Added=Sam]\nbot: Hi Sam!",
            &["message user>bot: hi", "conversationUpdate user>bot: ", "message bot>user: Hi Sam!"],
        ),
        ("[ConversationUpdate=MembersAdded=Ann]\nbot: Hi", &["conversationUpdate user>bot: ", "message bot>user: Hi"]),
    ];
    for (text, expected) in cases {
        assert_eq!(told(text), *expected, "{text}");
    }
}

#[test]
fn members_join_and_leave() {
    let text =
        "user=Ann\nAnn: hi\n[ConversationUpdate=\n Added=Ann,Sam\n Removed=bot]\n[ConversationUpdate=Removed=sam]";
    let activities = convert(text).unwrap();
    let ids = |index: usize, member: &str| {
        let accounts = activities[index][member].as_array().unwrap();
        accounts.iter().map(|account| account["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (ids(2, "membersAdded"), ids(2, "membersRemoved")),
        (vec!["ann".into(), "sam".into()], vec!["bot".into()])
    );
    assert_eq!((ids(3, "membersAdded"), ids(3, "membersRemoved")), (Vec::<String>::new(), vec!["sam".to_owned()]));
}

#[test]
fn messages_have_attachments_suggestions_and_hints() {
    let cases = [
        (
            "[Attachment=cards\\trip.json adaptivecard]",
            json!({ "text": "", "attachments": [
                { "contentType": "application/vnd.microsoft.card.adaptive", "content": { "type": "AdaptiveCard" } },
            ] }),
        ),
        (
            "Look\n[Attachment=./ann.png]\n[Attachment=https://x.example/b.jpg]\n[AttachmentLayout=Carousel]",
            json!({ "text": "Look", "attachments": [
                { "contentType": "image/png", "contentUrl": "data:image/png;base64,iVBORw==", "name": "ann.png" },
                { "contentType": "image/jpeg", "contentUrl": "https://x.example/b.jpg", "name": "b.jpg" },
            ], "attachmentLayout": "carousel" }),
        ),
        (
            "Where to?\n[Suggestions=Lisbon | Oslo]\n[InputHint=expectinginput]",
            json!({ "text": "Where to?", "suggestedActions": { "actions": [
                { "type": "imBack", "title": "Lisbon", "value": "Lisbon" },
                { "type": "imBack", "title": "Oslo", "value": "Oslo" },
            ] }, "inputHint": "expectingInput" }),
        ),
        (
            "[HeroCard\n title=T\n Text=a = b\n image=https://x.example/i\n buttons=Yes|No\n autoloop=true]",
            json!({ "text": "", "attachments": [{ "contentType": "application/vnd.microsoft.card.hero", "content": {
                "title": "T", "text": "a = b", "images": [{ "url": "https://x.example/i" }],
                "buttons": [
                    { "type": "imBack", "title": "Yes", "value": "Yes" }, { "type": "imBack", "title": "No", "value": "No" },
                ],
                "autoloop": true,
            } }] }),
        ),
    ];
    for (text, expected) in cases {
        let activities = convert(&format!("bot: {text}")).unwrap();
        let known = ["text", "attachments", "attachmentLayout", "suggestedActions", "inputHint"];
        let found: Object = activities[1].clone().into_iter().filter(|(name, _)| known.contains(&&**name)).collect();
        assert_eq!(json!(found), expected, "{text}");
    }
}

/// The cards of chatdown's documentation, and variants from real files.
#[test]
fn every_card_of_chatdown_is_one() {
    let says = |text: &str| json!({ "type": "imBack", "title": text, "value": text });
    let signs_in = json!([{ "type": "signin", "title": "Sign in", "value": "" }]);
    let oauth = json!({ "connectionName": "graph", "text": "Please", "buttons": signs_in });
    let media = json!({ "title": "T", "image": { "url": "https://x/i" }, "media": [{ "url": "https://x/m" }] });
    let cases = [
        ("OAuthCard graph", "oauth", json!({ "connectionName": "graph" })),
        ("OAuthCard=graph", "oauth", json!({ "connectionName": "graph" })),
        ("OAuthCard\n connectionName=graph\n text=Please\n buttons=Sign in", "oauth", oauth.clone()),
        ("oauthcard connection=graph\n text=Please\n buttons=Sign in", "oauth", oauth.clone()),
        ("OauthCard=\n connectioname=graph\n text=Please\n buttons=Sign in\n", "oauth", oauth),
        ("SigninCard\n title=T\n buttons=Go", "signin", json!({ "title": "T", "buttons": [says("Go")] })),
        ("ThumbnailCard title=T", "thumbnail", json!({ "title": "T" })),
        ("AudioCard\n title=T\n image=https://x/i\n media=https://x/m", "audio", media.clone()),
        ("VideoCard\n title=T\n image=https://x/i\n media=https://x/m", "video", media.clone()),
        ("AnimationCard\n title=T\n image=https://x/i\n media=https://x/m", "animation", media.clone()),
        ("MediaCard\n title=T\n image=https://x/i\n media=https://x/m", "media", media),
        ("HeroCard\n title=T\n tap=Buy it", "hero", json!({ "title": "T", "tap": says("Buy it") })),
        (
            "ThumbnailCard\n Tap = https://x.example/a?b=c",
            "thumbnail",
            json!({ "tap": { "type": "openUrl", "title": "https://x.example/a?b=c", "value": "https://x.example/a?b=c" } }),
        ),
    ];
    for (text, kind, content) in cases {
        let activities = convert(&format!("bot: [{text}]")).unwrap();
        let content_type = format!("application/vnd.microsoft.card.{kind}");
        assert_eq!(
            activities[1]["attachments"],
            json!([{ "contentType": content_type, "content": content }]),
            "{text}"
        );
    }
}

#[test]
fn a_chat_that_attaches_itself_is_told() {
    let folder = folder();
    let chats = folder.path().join("chats");
    let text = "user: hi\nbot: [Attachment=a.chat]\n[Attachment=./again.chat text/plain]";
    std::fs::write(chats.join("a.chat"), text).unwrap();
    std::os::unix::fs::symlink("a.chat", chats.join("again.chat")).unwrap();
    let problems = parse(text, &chats.join("a.chat")).unwrap_err();
    let told: Vec<_> = problems.iter().map(|problem| (problem.line, &*problem.message)).collect();
    let itself = "is this chat itself; name another file";
    assert_eq!(
        told,
        [(2, &*format!("attachment a.chat {itself}")), (3, &*format!("attachment ./again.chat {itself}"))]
    );
}

#[test]
fn names_that_the_header_lacks_are_warned_of_once() {
    let warned = |text: &str| {
        let warnings = parse(text, Path::new("a.chat")).unwrap().warnings;
        warnings.into_iter().map(|warning| (warning.line, warning.message)).collect::<Vec<_>>()
    };
    let told = warned("user=Ann\nbot=Bo\n\nAnn: hi\nBob: hello\nBob: again\nZoe->Bo: me too\n");
    let say = |name: &str| {
        format!(
            "warning: the header does not name `{name}`, so this line continues the message of Ann; add the name to `users=` if it is \
             a party (known: Bo, Ann)"
        )
    };
    assert_eq!(told, [(5, say("Bob")), (7, say("Zoe"))]);
    for quiet in [
        "user: at 10:30\nhttps://x.example\n12: x\ntwo words: x\na:b",
        "bot: [Suggestions=\nNote: a|b]",
        "user: a\nBOT: b\n> Bob: c",
    ] {
        assert_eq!(warned(quiet), [], "{quiet}");
    }
}

#[test]
fn the_channel_is_the_one_of_the_header() {
    assert_eq!(convert("channelId=msteams\nuser: hi").unwrap()[1]["channelId"], "msteams");
}

/// All problems of a file are reported together, each with its line.
#[test]
fn what_is_wrong_is_told_with_its_line() {
    let cases: &[(&str, &[(usize, &str)])] = &[
        (
            "usr=Ann\nuser=\n\nuser: hi",
            &[(1, "`usr` is not a header; use user, users, bot or channelId"), (2, "`user=` is empty; give a name")],
        ),
        ("user=Ann\nbot=ann\nAnn: hi", &[(1, "user \"Ann\": the name must be unique and contain no colon")]),
        ("user=Ann\nbot=Bo\n\nhello", &[(4, "this text has no speaker; begin the line with `Bo:` or `Ann:`")]),
        (
            "user: a\nbot: [Delay=soon]b\n[Delay=-1][Delay=86400001]",
            &[
                (2, "`[Delay=soon]`: give a number of milliseconds, at most 86400000"),
                (3, "`[Delay=-1]`: give a number of milliseconds, at most 86400000"),
                (3, "`[Delay=86400001]`: give a number of milliseconds, at most 86400000"),
            ],
        ),
        (
            "bot: [AttachmentLayout=grid]\n[InputHint=none]\n[Suggestions=]\n[Attachment]",
            &[
                (1, "`[AttachmentLayout=grid]` is unknown; use list or carousel"),
                (2, "`[InputHint=none]` is unknown; use one of acceptingInput, expectingInput, ignoringInput"),
                (3, "`[Suggestions]` is empty; give texts separated by `|`"),
                (4, "`[Attachment]` is empty; give a file or a URL"),
            ],
        ),
        (
            "bot: [ConversationUpdate=Joined=Ann]\n[ConversationUpdate=Removed=Zoe]\n[ConversationUpdate=Added=]",
            &[
                (1, "`Joined=Ann` is not a conversation update; write `Added=NAMES` or `Removed=NAMES`"),
                (2, "\"Zoe\" cannot leave, because no party has this name; check the spelling"),
                (3, "`Added=` has no name; give one"),
            ],
        ),
        (
            "bot: [HeroCard\n colour=red]\n[HeroCard=text]\n[HeroCard",
            &[
                (
                    1,
                    "`colour` is not a property of a card; the properties are title, subtitle, text, aspect, value, duration, image, media, buttons, tap, connectionName, shareable, autostart, autoloop",
                ),
                (3, "`text` is not a property of a card; write lines such as `title=Hello`"),
                (4, "`[HeroCard` is not closed; end it with `]`"),
            ],
        ),
        (
            "bot: [Attachment=none.png]\n[Attachment=cards]\n[Attachment=broken.json]",
            &[
                (1, "attachment none.png does not exist"),
                (2, "attachment cards is not a regular file"),
                (3, "attachment broken.json is not JSON: EOF while parsing an object at line 1 column 1"),
            ],
        ),
        (
            "bot: [Attachment=../secret.txt]\n[Attachment=/etc/hostname]\n[Attachment=link.txt]",
            &[
                (1, "attachment ../secret.txt is outside of the folder of the chat; move the file there"),
                (2, "attachment /etc/hostname is outside of the folder of the chat; move the file there"),
                (3, "attachment link.txt is outside of the folder of the chat; move the file there"),
            ],
        ),
    ];
    for (text, expected) in cases {
        let mut found = convert(text).unwrap_err();
        found.sort();
        let mut expected: Vec<_> = expected.iter().map(|(line, message)| (*line, (*message).to_owned())).collect();
        expected.sort();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn attachments_are_bounded_one_by_one_and_together() {
    let folder = folder();
    let chats = folder.path().join("chats");
    std::fs::write(chats.join("big.bin"), vec![0; (4 << 20) + 1]).unwrap();
    std::fs::write(chats.join("large.bin"), vec![0; 4 << 20]).unwrap();
    let problems = parse("bot: [Attachment=big.bin]", &chats.join("a.chat")).unwrap_err();
    assert_eq!(problems[0].message, "attachment big.bin is larger than 4194304 bytes; split it");
    let five = "[Attachment=large.bin]".repeat(5);
    let problems = parse(&format!("bot: {five}"), &chats.join("a.chat")).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.ends_with("attachments of a chat may have 16777216 bytes together"), "{problems:?}");
}

#[test]
fn what_is_too_much_is_told_and_not_made() {
    let told = |text: &str| convert(text).unwrap_err();
    let many = format!("bot: {}", "[typing]".repeat(ACTIVITIES_MAX * 2));
    assert_eq!(told(&many), [(0, "expands to more than 100000 activities; split it".to_owned())]);
    assert!(told(&format!("bot: {}", "[delay=x]".repeat(PROBLEMS_MAX * 3))).len() <= PROBLEMS_MAX + 1);
    for tag in [format!("Suggestions={}", "a|".repeat(2_000)), format!("HeroCard\n{}", "buttons=a\n".repeat(2_000))] {
        let problems = told(&format!("bot: hi [{tag}]"));
        assert!(problems.len() == 1 && problems[0].1.contains("more than 1000"), "{problems:?}");
    }
    let names: Vec<String> = (0..ACCOUNTS_MAX * 2).map(|number| format!("u{number}")).collect();
    let added = told(&format!("bot: [ConversationUpdate=Added={}]", names.join(",")));
    assert_eq!(added, [(1, "more than 1000 parties; remove some".to_owned())]);
    assert_eq!(
        told(&format!("users={}\n\nbot: hi", names.join(","))),
        [(1, "more than 1000 parties; remove some".to_owned())]
    );
}

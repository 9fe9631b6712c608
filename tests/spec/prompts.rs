//! Prompts in whole conversations: the host asks and recognizes the answers.

use serde_json::{Value, json};

use super::dialogs::{ERROR, GRANTS, begin, prompt, start};
use crate::support::{Config, Host, message};

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_asks_until_the_answer_fits_and_resumes_the_dialog() {
    let Some(host) = start("").await else { return };
    let number = json!({ "kind": "number", "prompt": "How many?", "retry": "A number, please.", "min": 1, "max": 9 });
    host.bot("bot")
        .says(&prompt(&number))
        .replies("How many?")
        .says("many")
        .replies("A number, please.")
        .says("twelve")
        .replies("A number, please.")
        .says("seven of them")
        .replies(r#"script resume {"from":"prompt","reason":"completed","result":7}"#)
        .says("over")
        .replies("heard: over")
        .await;
    for (definition, answer, result) in [
        (json!({ "kind": "text", "prompt": "?" }), " Ann ", json!("Ann")),
        (json!({ "kind": "confirm", "prompt": "?", "style": "none" }), "sure", json!(true)),
        (json!({ "kind": "date-time", "prompt": "?" }), "2027-01-02", json!({ "type": "date", "value": "2027-01-02" })),
    ] {
        let resumed = json!({ "from": "prompt", "reason": "completed", "result": result });
        host.bot("bot")
            .says(&prompt(&definition))
            .replies("?")
            .says(answer)
            .replies(&format!("script resume {resumed}"))
            .await;
    }
}

/// The bot names a zone that is a day ahead of any other, and the order of dates in digits.
#[tokio::test(flavor = "multi_thread")]
async fn a_bot_names_the_zone_and_the_order_of_dates() {
    let config = Config::new().bot("bot", &[]);
    let config = config.bot_key("time-zone", "'Pacific/Kiritimati'").bot_key("date-order", "'day-month'");
    let Some(host) = Host::start(config.plugin("bot", "scripted", GRANTS)).await else { return };
    let day = json!({ "kind": "date-time", "prompt": "?", "types": ["date"] });
    let zoned = json!({ "kind": "date-time", "prompt": "?", "types": ["date-time"] });
    for (definition, answer, value) in [
        (day, "5/12/2031", json!({ "type": "date", "value": "2031-12-05" })),
        (zoned, "2031-12-24T18:30:00Z", json!({ "type": "date-time", "value": "2031-12-25T08:30:00" })),
    ] {
        let resumed = json!({ "from": "prompt", "reason": "completed", "result": value });
        host.bot("bot")
            .says(&prompt(&definition))
            .replies("?")
            .says(answer)
            .replies(&format!("script resume {resumed}"))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_is_made_by_button_word_or_place_and_in_the_locale_of_the_answer() {
    let Some(host) = start("").await else { return };
    let colour =
        json!({ "kind": "choice", "prompt": "Which?", "choices": ["red", { "value": "green", "synonyms": ["grün"] }] });
    let in_german = |text: &str| {
        let mut activity = message(text);
        activity["locale"] = "de-DE".into();
        activity
    };
    let mut button = message("");
    button["value"] = "green".into();
    // The locale changes between the question and the answer.
    for answer in [button, message("the second"), message("2"), in_german("das zweite"), in_german("grün")] {
        host.bot("bot")
            .says(&prompt(&colour))
            .replies("Which? (1) red or (2) green")
            .sends(answer)
            .replies_with("green", |reply| reply["text"].as_str().unwrap().contains(r#""value":"green","index":1"#))
            .await;
    }
}

/// The buttons are French and the user's client then changes to English. The words of both languages are recognized.
#[tokio::test(flavor = "multi_thread")]
async fn a_button_keeps_its_meaning_when_the_locale_changes_midway() {
    let Some(host) = start("").await else { return };
    let says = |text: &str, locale: &str| {
        let mut activity = message(text);
        activity["locale"] = locale.into();
        activity
    };
    for (answer, result) in [(says("Oui", "en-GB"), true), (says("nope", "en-GB"), false), (says("2", "fr-FR"), false)]
    {
        host.bot("bot")
            .sends(says(&prompt(&json!({ "kind": "confirm", "prompt": "Ça va ?" })), "fr-FR"))
            .replies("Ça va ? (1) Oui ou (2) Non")
            .sends(answer)
            .replies(&format!(r#"script resume {{"from":"prompt","reason":"completed","result":{result}}}"#))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_takes_attachments_and_is_deaf_to_what_is_no_message() {
    let Some(host) = start("").await else { return };
    let mut photo = message("");
    photo["attachments"] = json!([{ "contentType": "image/png", "contentUrl": "https://example.org/a.png" }]);
    let mut typing = message("");
    typing["type"] = "typing".into();
    host.bot("bot")
        .says(&prompt(&json!({ "kind": "attachment", "prompt": "A photo?", "content-types": ["image/*"] })))
        .replies("A photo?")
        .sends(typing)
        .says("I have none")
        .replies("A photo?")
        .sends(photo)
        .replies_with("the photo", |reply| reply["text"].as_str().unwrap().contains("https://example.org/a.png"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_fails_when_its_attempts_are_used_up() {
    let Some(host) = start("").await else { return };
    host.bot("bot")
        .says(&prompt(&json!({ "kind": "number", "prompt": "How many?", "attempts": 2 })))
        .replies("How many?")
        .says("some")
        .replies("How many?")
        .says("some more")
        .replies(r#"script resume {"from":"prompt","reason":"failed"}"#)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guest_validates_what_the_host_recognized() {
    let Some(host) = start("").await else { return };
    host.bot("bot")
        .says(&prompt(&json!({ "kind": "number", "prompt": "An even number?", "validator": "even" })))
        .replies("An even number?")
        .says("three")
        .replies("3 is odd, said \"even\"")
        .says("four")
        .replies(r#"script resume {"from":"prompt","reason":"completed","result":4}"#)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_prompt_is_asked_again() {
    let Some(host) = start("settings.routes = [{ name = 'help', pattern = 'help' }]").await else { return };
    host.bot("bot")
        .says(&prompt(&json!({ "kind": "number", "prompt": "How many?" })))
        .replies("How many?")
        .says("help")
        .replies("route:help help")
        .replies("heard: help")
        .replies("How many?")
        .says("2")
        .replies(r#"script resume {"from":"prompt","reason":"completed","result":2}"#)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_prompts_are_refused_by_name() {
    let Some(host) = start("").await else { return };
    for (definition, says) in [
        (json!({ "kind": "choice", "prompt": "?" }), "`choices` is missing or empty"),
        (json!({ "kind": "text", "pattern": "(" }), "`pattern` is not usable"),
        (json!({ "kind": "poem" }), "`kind` is `poem`"),
        (json!(null), "the prompt is no object"),
    ] {
        host.bot("bot").says(&prompt(&definition)).replies(ERROR).says("on").replies("heard: on").await;
        host.logged(says).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_count_as_what_their_plugin_sends() {
    let Some(host) = start("limits.sends-per-turn = 1\nlimits.bytes-per-send = '1 KiB'").await else { return };
    let prompt = |text: &str| json!({ "kind": "prompt", "quiet": true, "data": { "kind": "text", "prompt": text } });
    let mut second = prompt("one too many");
    second["say"] = "first".into();
    let mut long = prompt("one");
    long["pad"] = 1024.into();
    host.bot("bot")
        .says(&begin(&json!([second])))
        .replies(ERROR)
        .says(&begin(&json!([prompt("one")])))
        .replies("one")
        .says("answered")
        .replies("script resume {\"from\":\"prompt\",\"reason\":\"completed\",\"result\":\"answered\"}")
        .says(&begin(&json!([long])))
        .replies(ERROR)
        .await;
    let log = host.logged("bytes-per-send (1024)").await;
    assert!(log.contains("guest-fault"), "{log}");
}

/// Returns a message in a conversation of Teams.
fn in_teams(kind: &str, text: &str) -> Value {
    let mut activity = message(text);
    activity["channelId"] = "msteams".into();
    activity["conversation"]["conversationType"] = kind.into();
    activity["conversation"]["isGroup"] = (kind != "personal").into();
    activity
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_shows_choices_as_a_card_in_groups_and_as_suggestions_in_chats() {
    let Some(host) = start("settings.routes = [{ name = 'help', pattern = 'help', confirm = 'Stop?' }]").await else {
        return;
    };
    let is_card = |text: &'static str| {
        move |reply: &Value| {
            let card = &reply["attachments"][0];
            let buttons = card["content"]["buttons"].as_array().map_or(0, Vec::len);
            card["contentType"] == "application/vnd.microsoft.card.hero"
                && card["content"]["text"] == text
                && card["content"]["buttons"][0] == json!({ "type": "imBack", "title": "Yes", "value": "Yes" })
                && buttons == 2
                && reply["suggestedActions"].is_null()
        }
    };
    let confirm = prompt(&json!({ "kind": "confirm", "prompt": "Sure?" }));
    let resumed = r#"script resume {"from":"prompt","reason":"completed","result":true}"#;
    for kind in ["groupChat", "channel"] {
        host.bot("bot")
            .sends(in_teams(kind, &confirm))
            .replies_with("a card", is_card("Sure?"))
            .sends(in_teams(kind, "perhaps"))
            .replies_with("the card again", is_card("Sure?"))
            .sends(in_teams(kind, "help"))
            .replies_with("the question of the host, as a card", is_card("Stop?"))
            .sends(in_teams(kind, "No"))
            .replies_with("the card once more", is_card("Sure?"))
            .sends(in_teams(kind, "Yes"))
            .replies(resumed)
            .await;
    }
    host.bot("bot")
        .sends(in_teams("personal", &confirm))
        .replies_with("suggestions for the user", |reply| {
            reply["text"] == "Sure?"
                && reply["suggestedActions"]["to"] == json!(["user"])
                && reply["suggestedActions"]["actions"][1]["value"] == "No"
                && reply["attachments"].is_null()
        })
        .sends(in_teams("personal", "Yes"))
        .replies(resumed)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_pictures_of_teams_are_what_a_prompt_asks_for() {
    let Some(host) = start("").await else { return };
    let html = json!({ "contentType": "text/html", "content": "<p>this one</p>" });
    let file = json!({
        "contentType": "application/vnd.microsoft.teams.file.download.info", "name": "x.pdf",
        "contentUrl": "https://contoso.sharepoint.com/personal/ann/x.pdf",
        "content": { "downloadUrl": "https://contoso.sharepoint.com/download", "uniqueId": "1150D938", "fileType": "pdf" }
    });
    let picture = json!({ "contentType": "image/*", "contentUrl": "https://smba.trafficmanager.net/amer/v3/attachments/0/views/original" });
    for (wanted, sent) in [("application/pdf", file), ("image/png", picture)] {
        let mut answer = in_teams("personal", "this one");
        answer["attachments"] = json!([sent, html]);
        let mut wrong = in_teams("personal", "this one");
        wrong["attachments"] = json!([{ "contentType": "video/mp4", "contentUrl": "https://example.org/a.mp4" }, html]);
        let resumed = json!({ "from": "prompt", "reason": "completed", "result": [sent] });
        host.bot("bot")
            .sends(in_teams(
                "personal",
                &prompt(&json!({ "kind": "attachment", "prompt": "A file?", "content-types": [wanted] })),
            ))
            .replies("A file?")
            .sends(wrong)
            .replies("A file?")
            .sends(answer)
            .replies(&format!("script resume {resumed}"))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_ten_thousand_attachments_is_asked_again() {
    let Some(host) = start("").await else { return };
    let mut flood = message("");
    flood["attachments"] = json!(vec![json!({ "contentType": "image/png", "contentUrl": "a" }); 10_000]);
    let mut photo = message("");
    photo["attachments"] = json!([{ "contentType": "image/png", "contentUrl": "a" }]);
    let asks = json!({ "kind": "attachment", "prompt": "A photo?", "retry": "One photo, please.", "content-types": ["image/png"] });
    host.bot("bot")
        .says(&prompt(&asks))
        .replies("A photo?")
        .sends(flood)
        .replies("One photo, please.")
        .sends(photo)
        .replies_with("the photo", |reply| reply["text"].as_str().unwrap().contains(r#""contentType":"image/png""#))
        .await;
}

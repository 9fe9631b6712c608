//! Files as answers, as channels describe them.

use serde_json::{Value, json};

use super::{answer, now};
use crate::prompt::Prompt;

/// Whether a prompt that wants these types takes an answer with these attachments.
fn takes(wanted: &[&str], attachments: &Value) -> bool {
    let prompt = Prompt::parse(&json!({ "kind": "attachment", "prompt": "?", "content-types": wanted })).unwrap();
    let found = prompt.recognize(&answer(&json!({ "attachments": attachments })), "en", now());
    found.is_ok()
}

/// A file in a Teams chat.
fn teams_file(file_type: &Value, name: &str) -> Value {
    json!({
        "contentType": "application/vnd.microsoft.teams.file.download.info", "name": name,
        "contentUrl": "https://contoso.sharepoint.com/personal/a/Documents/Applications/file",
        "content": { "downloadUrl": "https://contoso.sharepoint.com/download", "uniqueId": "1150D938", "fileType": file_type }
    })
}

#[test]
fn a_file_of_teams_is_of_the_type_that_its_description_names() {
    for (file_type, name, wanted, taken) in [
        (json!("pdf"), "x.pdf", "application/pdf", true),
        (json!("PDF"), "x.pdf", "application/pdf", true),
        (json!(".pdf"), "x", "application/pdf", true),
        (json!(" pdf "), "x", "Application/PDF", true),
        (json!("application/pdf"), "x", "application/pdf", true),
        (json!(null), "report.final.PDF", "application/pdf", true),
        (json!(""), "x.pdf", "application/pdf", true),
        (json!("no-such-type"), "x.pdf", "application/pdf", true),
        (json!(7), "x.pdf", "application/pdf", true),
        (json!("png"), "x.png", "image/*", true),
        (json!("jpg"), "x.jpg", "image/jpeg", true),
        (json!("docx"), "x", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", true),
        (json!("pdf"), "x.pdf", "*/*", true),
        (json!("pdf"), "x.pdf", "application/*", true),
        (json!("pdf"), "x.pdf", "application/vnd.microsoft.teams.file.download.info", true),
        (json!("png"), "x.pdf", "application/pdf", false),
        (json!("png"), "x.png", "application/*", false),
        (json!("pdf"), "x.pdf", "image/*", false),
        (json!(null), "pdf", "application/pdf", false),
        (json!(null), "", "application/pdf", false),
    ] {
        assert_eq!(
            takes(&[wanted], &json!([teams_file(&file_type, name)])),
            taken,
            "{file_type} {name:?} for {wanted}"
        );
    }
}

#[test]
fn a_type_that_the_channel_left_open_is_what_its_name_says_or_any_of_its_group() {
    for (content_type, name, wanted, taken) in [
        ("image/*", "", "image/png", true),
        ("image/*", "", "image/*", true),
        ("application/x-zip-compressed", "a.zip", "application/zip", true),
        ("audio/x-m4a", "", "audio/mp4", true),
        ("IMAGE/*", "", "image/png", true),
        ("image/*; q=1", "", "image/png", true),
        ("image/*", "a.png", "image/png", true),
        ("image/*", "a.gif", "image/png", false),
        ("image/*", "a.pdf", "image/png", true),
        ("image/*", "", "application/pdf", false),
        ("*/*", "", "image/png", true),
        ("*/*", "a.png", "image/png", true),
        ("*/*", "a.pdf", "image/png", false),
        ("image/jpg", "", "image/jpeg", true),
        ("image/jpeg", "", "image/jpg", true),
        ("image/x-png", "", "image/png", true),
        ("audio/mp3", "", "audio/mpeg", true),
        ("audio/x-wav", "", "audio/wav", true),
        ("image/png; charset=binary", "", "image/png", true),
        ("Image/PNG", "", "image/png", true),
        ("image/png", "", "image/png;v=1", true),
        ("application/octet-stream", "a.png", "image/png", true),
        ("application/octet-stream", "A.JPG", "image/*", true),
        ("application/octet-stream", "a.pdf", "image/png", false),
        ("application/octet-stream", "", "image/png", false),
        ("application/octet-stream", "a.png", "application/octet-stream", true),
        ("", "a.png", "image/png", true),
        ("", "", "image/png", false),
        // What the channel says outright stands, whatever the name.
        ("image/png", "a.pdf", "application/pdf", false),
        ("image/png", "a.png", "video/*", false),
    ] {
        let attachment = json!({ "contentType": content_type, "name": name, "contentUrl": "https://example.org/a" });
        assert_eq!(takes(&[wanted], &json!([attachment])), taken, "{content_type:?} {name:?} for {wanted}");
    }
}

#[test]
fn the_text_of_a_message_as_html_is_no_attachment() {
    let picture = json!({ "contentType": "image/*", "contentUrl": "https://smba.trafficmanager.net/v3/attachments/0-weu/views/original" });
    let html = json!({ "contentType": "text/html", "content": "<p>here <img></p>" });
    let shouted = json!({ "contentType": "Text/HTML; charset=utf-8", "content": "<p>here</p>", "contentUrl": "" });
    let page = json!({ "contentType": "text/html", "contentUrl": "https://example.org/a.html", "name": "a.html" });
    assert!(takes(&["image/png"], &json!([picture, html])));
    assert!(takes(&["image/png"], &json!([shouted, picture, null])));
    assert!(takes(&["text/html"], &json!([page])));
    for nothing in [json!([html]), json!([shouted]), json!([]), json!(null), json!([null, 7, "image/png"])] {
        assert!(!takes(&[], &nothing), "{nothing}");
    }
}

#[test]
fn a_file_without_a_name_is_named_by_its_url_and_a_card_beside_it_is_no_file() {
    let file = |url: &str| json!({ "contentType": "application/octet-stream", "contentUrl": url });
    assert!(takes(&["application/pdf"], &json!([file("https://x.example/a.pdf?sig=1.png")])));
    assert!(!takes(&["application/pdf"], &json!([file("https://x.example/a.png?sig=1.pdf")])));
    let card = json!({ "contentType": "application/vnd.microsoft.card.adaptive", "content": {} });
    assert!(takes(&["application/pdf"], &json!([card, file("https://x.example/a.pdf")])));
    assert!(!takes(&["application/pdf"], &json!([card])));
    assert!(takes(&["application/vnd.microsoft.card.adaptive"], &json!([card])));
}

#[test]
fn attachments_are_counted() {
    let file = json!({ "contentType": "image/png", "contentUrl": "https://example.org/a.png" });
    let files = |count: usize| json!(vec![&file; count]);
    assert!(takes(&[], &files(100)));
    assert!(!takes(&[], &files(101)));
    let prompt = json!({ "kind": "attachment", "prompt": "?", "content-types": ["image/*"], "max-count": 20_000 });
    let prompt = Prompt::parse(&prompt).unwrap();
    let many = prompt.recognize(&answer(&json!({ "attachments": files(10_000) })), "en", now());
    assert_eq!(many.unwrap_err().why, "there are more than 100 attachments");
    let one = Prompt::parse(&json!({ "kind": "attachment", "prompt": "?", "max-count": 1 })).unwrap();
    let two = one.recognize(&answer(&json!({ "attachments": files(2) })), "en", now());
    assert_eq!(two.unwrap_err().why, "there are too many attachments");
}

//! Attachments as answers: which of them are files, and of what media type.
//!
//! Channels name types loosely. Teams sends a file as a card that describes it (`application/vnd.microsoft.teams.file.download.info`), an inline
//! picture as `image/*`, and the text of each message once more as an attachment `text/html`. Others send every file as
//! `application/octet-stream`, or call JPEG `image/jpg`.

use mime_guess::mime;
use serde_json::{Value, json};

use super::{NotRecognized, not};
use crate::activity::Activity;

/// Attachments of one answer that a prompt takes at most. The answer is stored with the dialog and handed to a guest whole.
pub(super) const COUNT_MAX: usize = 100;

/// The content type of a file that a user uploads to a Teams chat.
const TEAMS_FILE: &str = "application/vnd.microsoft.teams.file.download.info";
/// Names of types that say nothing of the extension of their files.
const ALIASES: &[(&str, &str)] = &[
    ("application/x-zip-compressed", "application/zip"),
    ("application/x-pdf", "application/pdf"),
    ("audio/m4a", "audio/mp4"),
    ("audio/x-m4a", "audio/mp4"),
    ("image/pjpeg", "image/jpeg"),
];
/// How the types of cards begin. A card beside a file is no file, unless the prompt wants one.
const CARD: &str = "application/vnd.microsoft.card.";
/// Types that only say that there are bytes: the name of the file says more.
const UNSPECIFIC: &[&str] = &["", "*/*", "application/octet-stream", "binary/octet-stream", "application/x-download"];

/// Returns the attachments of an answer where they all have one of the wanted types. No wanted types: all do.
pub(super) fn find(answer: &Activity, wanted: &[String], count_max: usize) -> Result<Value, NotRecognized> {
    let attachments = answer.object().get("attachments").and_then(Value::as_array);
    let is_one = |attachment: &&Value| attachment.is_object() && !is_the_text(attachment);
    let mut all: Vec<&Value> = attachments.into_iter().flatten().filter(is_one).collect();
    let is_card = |attachment: &Value| essence(string(attachment, "/contentType")).starts_with(CARD);
    if !wanted.is_empty() && all.iter().any(|attachment| !is_card(attachment)) {
        all.retain(|attachment| !is_card(attachment) || fits(attachment, wanted));
    }
    if all.is_empty() {
        return Err(not("there is no attachment"));
    }
    if all.len() > COUNT_MAX {
        return Err(not("there are more than 100 attachments"));
    }
    if all.len() > count_max {
        return Err(not("there are too many attachments"));
    }
    match wanted.is_empty() || all.iter().all(|attachment| fits(attachment, wanted)) {
        true => Ok(json!(all)),
        false => Err(not("an attachment is of another type")),
    }
}

/// Whether an attachment is the message's own text once more: Teams sends each message as HTML too.
fn is_the_text(attachment: &Value) -> bool {
    essence(string(attachment, "/contentType")) == "text/html" && string(attachment, "/contentUrl").is_empty()
}

/// Whether an attachment has one of the wanted types. A prompt may also want a type as the channel writes it.
fn fits(attachment: &Value, wanted: &[String]) -> bool {
    let declared = essence(string(attachment, "/contentType"));
    let known = types(attachment, &declared);
    wanted.iter().map(|wanted| essence(wanted)).any(|wanted| {
        wanted == declared || wanted == "*/*" || known.iter().any(|kind| covers(&canonical(&wanted), kind))
    })
}

/// The name of a file: as the channel says, or the end of the path in its URL.
fn file_name(attachment: &Value) -> &str {
    let name = string(attachment, "/name").trim();
    if !name.is_empty() {
        return name;
    }
    let url = string(attachment, "/contentUrl");
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit_once('/').map_or("", |(_, name)| name)
}

/// The media types that an attachment may be of: what its declared type and its name say.
fn types(attachment: &Value, declared: &str) -> Vec<String> {
    let name = file_name(attachment);
    let of_name = || of_extension(name.rsplit_once('.').map_or("", |(_, extension)| extension));
    let unless_empty = |types: Vec<String>, otherwise: &str| match types.is_empty() {
        true => vec![canonical(otherwise)],
        false => types,
    };
    if declared == TEAMS_FILE {
        let file_type = of_file_type(string(attachment, "/content/fileType"));
        let known = if file_type.is_empty() { of_name() } else { file_type };
        return unless_empty(known, mime::APPLICATION_OCTET_STREAM.essence_str());
    }
    if UNSPECIFIC.contains(&declared) {
        return unless_empty(of_name(), declared);
    }
    match declared.strip_suffix('*') {
        // «Some picture»: the name tells which, if it is that of a picture.
        Some(group) => {
            let of_group = of_name().into_iter().filter(|kind| kind.starts_with(group)).collect();
            unless_empty(of_group, declared)
        }
        None => vec![canonical(declared)],
    }
}

/// The types of what Teams calls `fileType`: an extension such as `pdf`, with or without a dot, or a media type.
fn of_file_type(text: &str) -> Vec<String> {
    let text = text.trim().trim_start_matches('.');
    match text.contains('/') {
        true => vec![canonical(&essence(text))],
        false => of_extension(text),
    }
}

/// The types of files with an extension, in any case.
fn of_extension(extension: &str) -> Vec<String> {
    let guess = mime_guess::from_ext(extension.trim());
    guess.iter().map(|kind| canonical(kind.essence_str())).collect()
}

/// Whether a wanted type is another, or a range that it is in. A type whose end the channel left open may be any of its group.
fn covers(wanted: &str, kind: &str) -> bool {
    let in_range = |range: &str, kind: &str| range.strip_suffix('*').is_some_and(|group| kind.starts_with(group));
    wanted == kind || kind == "*/*" || in_range(wanted, kind) || in_range(kind, wanted)
}

/// A media type without its parameters, in lower case.
fn essence(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// One name for a type that has several: `image/jpg` is `image/jpeg`, `image/x-png` is `image/png`, `audio/mp3` is
/// `audio/mpeg`. The second part of such a name is the extension of its files.
fn canonical(kind: &str) -> String {
    if let Some((_, name)) = ALIASES.iter().find(|(alias, _)| *alias == kind) {
        return (*name).to_owned();
    }
    let Some((group, subtype)) = kind.split_once('/') else { return kind.to_owned() };
    let extension = subtype.strip_prefix("x-").unwrap_or(subtype);
    let known = mime_guess::from_ext(extension);
    let same_group = known.iter().find(|known| known.type_() == group);
    same_group.map_or_else(|| kind.to_owned(), |known| known.essence_str().to_owned())
}

fn string<'a>(attachment: &'a Value, pointer: &str) -> &'a str {
    attachment.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

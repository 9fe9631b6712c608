//! Builds a message: text, attachments, cards and suggested actions.

use std::path::{Component, Path};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::Problem;
use super::markup::{Kind, Tag};
use crate::json;
use crate::transcript::bounded;

/// Maximum size of one attachment, and of all attachments of a chat together, in bytes.
const ATTACHMENT_BYTES_MAX: u64 = 4 << 20;
pub(super) const ATTACHMENTS_BYTES_MAX: u64 = 16 << 20;

/// Maximum number of buttons, and of lines of a card, because each becomes an object.
pub(super) const PARTS_MAX: usize = 1_000;

/// A message that is being built.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) text: String,
    attachments: Vec<Value>,
    layout: Option<String>,
    suggestions: Vec<Value>,
    input_hint: Option<&'static str>,
}

impl Draft {
    /// Applies a tag to the message. `chat` is the path of the chat; `bytes_left` is what further attachments may have.
    pub(super) fn take(&mut self, tag: &Tag<'_>, chat: &Path, bytes_left: &mut u64) -> Result<(), Problem> {
        let taken = match tag.kind {
            Kind::Attachment => {
                attachment(tag.value, chat, bytes_left).map(|attachment| self.attachments.push(attachment))
            }
            Kind::AttachmentLayout => match tag.value.to_ascii_lowercase() {
                layout if layout == "list" || layout == "carousel" => {
                    self.layout = Some(layout);
                    Ok(())
                }
                _ => Err(format!("`[AttachmentLayout={}]` is unknown; use list or carousel", tag.value)),
            },
            Kind::Suggestions => match tag.value {
                "" => Err("`[Suggestions]` is empty; give texts separated by `|`".to_owned()),
                value => buttons("", value).map(|suggestions| self.suggestions = suggestions),
            },
            Kind::InputHint => {
                let known = ["acceptingInput", "expectingInput", "ignoringInput"];
                self.input_hint = known.into_iter().find(|hint| hint.eq_ignore_ascii_case(tag.value));
                match self.input_hint {
                    Some(_) => Ok(()),
                    None => Err(format!("`[InputHint={}]` is unknown; use one of {}", tag.value, known.join(", "))),
                }
            }
            Kind::Card(kind) => card(kind, tag.value).map(|card| self.attachments.push(card)),
            // These tags are not part of a message; the caller handles them.
            Kind::Typing | Kind::Delay | Kind::ConversationUpdate => Ok(()),
        };
        taken.map_err(|message| Problem::at(tag.line, message))
    }

    /// Returns the members of the message, or none if the message is empty.
    pub(super) fn members(self) -> Option<Vec<(&'static str, Value)>> {
        let lines: Vec<&str> = self.text.lines().map(str::trim_end).collect();
        let text = lines.join("\n").trim().to_owned();
        if text.is_empty() && self.attachments.is_empty() && self.suggestions.is_empty() {
            return None;
        }
        let mut members = vec![("text", Value::from(text))];
        if !self.attachments.is_empty() {
            members.push(("attachments", self.attachments.into()));
        }
        members.extend(self.layout.map(|layout| ("attachmentLayout", layout.into())));
        if !self.suggestions.is_empty() {
            members.push(("suggestedActions", json!({ "actions": self.suggestions })));
        }
        members.extend(self.input_hint.map(|hint| ("inputHint", hint.into())));
        Some(members)
    }
}

/// Returns buttons that send their title, or that sign the user in.
fn buttons(kind: &str, titles: &str) -> Result<Vec<Value>, String> {
    let titles: Vec<&str> = titles.split('|').map(str::trim).filter(|title| !title.is_empty()).collect();
    if titles.len() > PARTS_MAX {
        return Err(format!("a message may not have more than {PARTS_MAX} buttons; remove some"));
    }
    let button = |title| match kind {
        "oauth" => json!({ "type": "signin", "title": title, "value": "" }),
        _ => says(title),
    };
    Ok(titles.into_iter().map(button).collect())
}

fn says(title: &str) -> Value {
    json!({ "type": "imBack", "title": title, "value": title })
}

/// Returns the action of a tap on a card, which opens a URL or sends a text.
fn tap(value: &str) -> Value {
    match url::Url::parse(value) {
        Ok(url) if matches!(url.scheme(), "https" | "http" | "mailto" | "tel") => {
            json!({ "type": "openUrl", "title": value, "value": value })
        }
        _ => says(value),
    }
}

/// The properties of a card, for error texts.
const PROPERTIES: &str = "title, subtitle, text, aspect, value, duration, image, media, buttons, tap, connectionName, \
                          shareable, autostart, autoloop";

/// Builds a card from lines such as `title=Hello`.
fn card(kind: &str, properties: &str) -> Result<Value, String> {
    let has_images = matches!(kind, "hero" | "thumbnail");
    let mut content = Map::new();
    if properties.lines().count() > PARTS_MAX {
        return Err(format!("a card may not have more than {PARTS_MAX} lines; remove some"));
    }
    for line in properties.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let connection = Some(("connectionName", line)).filter(|_| kind == "oauth");
        let Some((name, value)) = line.split_once('=').or(connection) else {
            return Err(format!("`{line}` is not a property of a card; write lines such as `title=Hello`"));
        };
        let (name, value) = (name.trim(), value.trim());
        let mut append = |name: &str, value: Value| match content.get_mut(name).and_then(Value::as_array_mut) {
            Some(list) => list.push(value),
            None => _ = content.insert(name.to_owned(), json!([value])),
        };
        match name.to_ascii_lowercase().as_str() {
            name @ ("title" | "subtitle" | "text" | "aspect" | "value" | "duration") => {
                content.insert(name.to_owned(), value.into());
            }
            "image" | "images" if has_images => append("images", json!({ "url": value })),
            "image" | "images" => _ = content.insert("image".to_owned(), json!({ "url": value })),
            "media" => append("media", json!({ "url": value })),
            "buttons" => buttons(kind, value)?.into_iter().for_each(|button| append("buttons", button)),
            "tap" => _ = content.insert("tap".to_owned(), tap(value)),
            // `connectioname` is the spelling that chatdown itself knows.
            "connectionname" | "connectioname" | "connection" => {
                content.insert("connectionName".to_owned(), value.into());
            }
            "shareable" | "sharable" => _ = content.insert("shareable".to_owned(), is_true(value)),
            name @ ("autostart" | "autoloop") => _ = content.insert(name.to_owned(), is_true(value)),
            _ => return Err(format!("`{name}` is not a property of a card; the properties are {PROPERTIES}")),
        }
    }
    Ok(json!({ "contentType": format!("application/vnd.microsoft.card.{kind}"), "content": content }))
}

fn is_true(value: &str) -> Value {
    value.eq_ignore_ascii_case("true").into()
}

/// Builds an attachment from `PATH TYPE` or `URL TYPE`. Without a type it is derived from the file extension.
fn attachment(value: &str, chat: &Path, bytes_left: &mut u64) -> Result<Value, String> {
    let (place, kind) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    if place.is_empty() {
        return Err("`[Attachment]` is empty; give a file or a URL".to_owned());
    }
    let content_type = match kind.trim().trim_matches('"') {
        "" => type_of(place).to_owned(),
        kind => named_type(kind),
    };
    if place.starts_with("https://") || place.starts_with("http://") {
        let name = place.rsplit('/').next().unwrap_or_default();
        return Ok(json!({ "contentType": content_type, "contentUrl": place, "name": name }));
    }
    let place = place.replace('\\', "/");
    let bytes = file_beside(&place, chat, bytes_left).map_err(|why| format!("attachment {place} {why}"))?;
    if content_type.starts_with("application/vnd.microsoft.card.") || content_type.ends_with("json") {
        let content: Value =
            json::from_slice(&bytes).map_err(|error| format!("attachment {place} is not JSON: {error}"))?;
        return Ok(json!({ "contentType": content_type, "content": content }));
    }
    let name = place.rsplit('/').next().unwrap_or_default();
    let url = format!("data:{content_type};base64,{}", BASE64.encode(bytes));
    Ok(json!({ "contentType": content_type, "contentUrl": url, "name": name }))
}

/// Reads a file within the folder of the chat. Other files are refused, because a foreign chat must not read them.
fn file_beside(place: &str, chat: &Path, bytes_left: &mut u64) -> Result<Vec<u8>, String> {
    let folder = chat.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let outside = "is outside of the folder of the chat; move the file there";
    if !Path::new(place).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(outside.to_owned());
    }
    let real = |path: &Path| match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err("does not exist".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    };
    // A symbolic link could lead out of the folder.
    let path = real(&folder.join(place))?;
    if !path.starts_with(real(folder)?) {
        return Err(outside.to_owned());
    }
    if real(chat).is_ok_and(|chat| chat == path) {
        return Err("is this chat itself; name another file".to_owned());
    }
    let bytes = bounded(&path, ATTACHMENT_BYTES_MAX)?;
    *bytes_left = bytes_left.checked_sub(bytes.len() as u64).ok_or_else(|| {
        format!("exceeds the limit: the attachments of a chat may have {ATTACHMENTS_BYTES_MAX} bytes together")
    })?;
    Ok(bytes)
}

/// Returns the content type of a shortcut such as `adaptivecard`. Other names are content types already.
fn named_type(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let card = match name.strip_suffix("card").unwrap_or(&name) {
        "adaptive" => "adaptive",
        card @ ("animation" | "audio" | "hero" | "receipt" | "thumbnail" | "signin" | "video" | "oauth") => card,
        _ => return name,
    };
    format!("application/vnd.microsoft.card.{card}")
}

/// Returns the content type of a file name.
fn type_of(name: &str) -> &'static str {
    let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
    match end.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "pdf" => "application/pdf",
        "json" => "application/json",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" => "text/html",
        _ => "application/octet-stream",
    }
}

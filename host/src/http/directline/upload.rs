//! Files from clients: stored, and sent to the bot as attachments of one activity.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Local, activities, attachments, file_name, member, reached_by};
use crate::activity::Object;
use crate::budget::Claim;
use crate::channel::directline::Upload;
use crate::http::body;
use crate::http::error::HttpError;
use crate::http::request::RequestId;

/// Media type of the part that is the activity.
const ACTIVITY_TYPE: &str = "application/vnd.microsoft.activity";
/// Files in one upload.
const FILES_MAX: usize = 20;

/// What one request brings.
#[derive(Debug, Default)]
struct Content {
    activity: Option<Object>,
    files: Vec<Upload>,
}

/// `POST conversations/{id}/upload`
pub(super) async fn take(
    State(local): State<Arc<Local>>,
    Path(id): Path<String>,
    Extension(request_id): Extension<RequestId>,
    request: Request,
) -> Result<Response, HttpError> {
    let (parts, body) = request.into_parts();
    let (claims, conversation) = local.conversation(&parts, &id)?;
    let request = Request::from_parts(parts.clone(), body);
    let server = &local.app.config.server;
    let (bytes, mut claim) = body::read_charged(
        &local.app.budget,
        Some(conversation.bot()),
        request,
        server.upload_bytes_max,
        "server.upload-bytes-max",
    )
    .await?;
    let Content { activity, files } = content(&parts, bytes, server.json_values_max, &mut claim).await?;
    if files.is_empty() {
        return Err(HttpError::missing_property("the upload has no file"));
    }
    let mut activity = activity.unwrap_or_default();
    let of_query = member(parts.uri.query(), "userId").filter(|id| !id.is_empty());
    let from = activities::sender(claims.account(), of_query, &activity, &conversation)?;
    activity.entry("type").or_insert_with(|| "message".into());
    let (secure, host) = reached_by(&parts)?;
    let mut urls = Vec::with_capacity(files.len());
    for file in &files {
        let id = local.app.directline.uploads().put(conversation.id(), file.clone()).map_err(HttpError::internal)?;
        urls.push(format!("http{secure}://{host}{}", attachments::path(&id)));
    }
    attach(&mut activity, &files, urls);
    activities::deliver(local, conversation, from, activity, request_id.0, claim).await
}

/// Reads both forms of an upload: several parts, or one file as the body.
async fn content(parts: &Parts, bytes: Bytes, values_max: usize, claim: &mut Claim) -> Result<Content, HttpError> {
    let media = text(&parts.headers, CONTENT_TYPE.as_str());
    if media.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/")) {
        return multipart(parts, bytes, values_max, claim).await;
    }
    if bytes.is_empty() {
        return Ok(Content::default());
    }
    let name = file_name::of_headers(&parts.headers);
    Ok(Content { activity: None, files: vec![Upload { name, content_type: content_type(media), bytes }] })
}

async fn multipart(parts: &Parts, bytes: Bytes, values_max: usize, claim: &mut Claim) -> Result<Content, HttpError> {
    let malformed = |why: String| HttpError::bad_syntax(format!("the upload is malformed: {why}"));
    let broken = |error: MultipartError| malformed(error.body_text());
    let request = Request::from_parts(parts.clone(), Body::from(bytes));
    let mut multipart =
        Multipart::from_request(request, &()).await.map_err(|rejection| malformed(rejection.body_text()))?;
    let mut content = Content::default();
    while let Some(part) = multipart.next_field().await.map_err(broken)? {
        let media = part.content_type().unwrap_or_default().to_owned();
        let name = file_name::of_headers(part.headers());
        let bytes = part.bytes().await.map_err(broken)?;
        if media.get(..ACTIVITY_TYPE.len()).is_some_and(|media| media.eq_ignore_ascii_case(ACTIVITY_TYPE)) {
            if content.activity.replace(activities::parse(body::json_text(&bytes, values_max, claim)?)?).is_some() {
                return Err(HttpError::bad_argument("the upload has more than one activity"));
            }
        } else if content.files.len() == FILES_MAX {
            return Err(HttpError::bad_argument(format!("the upload has more than {FILES_MAX} files")));
        } else {
            content.files.push(Upload { name, content_type: content_type(&media), bytes });
        }
    }
    Ok(content)
}

/// Gives each file its attachment: the one of its name that has no content yet, else the first that has none, else a new
/// one. Other attachments stay.
fn attach(activity: &mut Object, files: &[Upload], urls: Vec<String>) {
    let mut attachments: Vec<Value> =
        activity.get("attachments").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut left: Vec<(&Upload, String)> = Vec::new();
    for (file, url) in files.iter().zip(urls) {
        let named = |attachment: &&mut Value| {
            is_open(attachment) && attachment["name"].as_str().map(file_name::shown).as_deref() == Some(&file.name)
        };
        match attachments.iter_mut().find(named) {
            Some(attachment) => fill(attachment, file, url),
            None => left.push((file, url)),
        }
    }
    for (file, url) in left {
        if !attachments.iter().any(is_open) {
            attachments.push(json!({}));
        }
        if let Some(attachment) = attachments.iter_mut().find(|attachment| is_open(attachment)) {
            fill(attachment, file, url);
        }
    }
    activity.insert("attachments".to_owned(), attachments.into());
}

/// Whether an attachment waits for its file. Clients leave a URL of their own page in it, which nobody else can read.
fn is_open(attachment: &Value) -> bool {
    let url = attachment.get("contentUrl").and_then(Value::as_str).unwrap_or_default();
    attachment.is_object()
        && attachment.get("content").is_none_or(Value::is_null)
        && (url.is_empty() || url.starts_with("blob:"))
}

fn fill(attachment: &mut Value, file: &Upload, url: String) {
    if attachment.get("contentType").and_then(Value::as_str).unwrap_or_default().is_empty() {
        attachment["contentType"] = file.content_type.as_str().into();
    }
    let named = attachment.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()).map(file_name::shown);
    attachment["name"] = named.unwrap_or_else(|| file.name.clone()).into();
    attachment["contentUrl"] = url.into();
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).unwrap_or_default()
}

fn content_type(media: &str) -> String {
    match media.parse::<mime::Mime>() {
        Ok(media) => media.to_string(),
        Err(_) => mime::APPLICATION_OCTET_STREAM.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request as HttpRequest;
    use axum::http::header::CONTENT_DISPOSITION;

    use super::*;
    use crate::budget::Budget;
    use crate::config;

    fn file(name: &str) -> Upload {
        Upload { name: name.to_owned(), content_type: "image/png".to_owned(), bytes: Bytes::from_static(b"x") }
    }

    fn object(value: &Value) -> Object {
        value.as_object().unwrap().clone()
    }

    async fn read(media: &str, disposition: &str, bytes: &str) -> Result<Content, HttpError> {
        let request = HttpRequest::builder().header(CONTENT_TYPE, media).header(CONTENT_DISPOSITION, disposition);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut claim = Budget::new(&config::Server::default()).open(None, None, 0).unwrap();
        content(&parts, Bytes::from(bytes.to_owned()), 10_000, &mut claim).await
    }

    #[test]
    fn files_find_their_attachments_by_name_in_any_order() {
        let mut activity = object(&json!({"attachments": [
            {"contentType": "image/gif", "name": "a.gif"},
            {"contentType": "application/vnd.microsoft.card.hero", "content": {"title": "card"}},
            {"contentType": "image/png", "name": "b.png", "contentUrl": "blob:http://localhost/1"},
            {"contentType": "image/png", "contentUrl": "https://example.org/c.png"}
        ]}));
        attach(
            &mut activity,
            &[file("b.png"), file("other.png"), file("more.png")],
            ["u1", "u2", "u3"].map(String::from).into(),
        );
        let attachments = activity["attachments"].as_array().unwrap();
        let urls: Vec<_> = attachments.iter().map(|a| a["contentUrl"].as_str()).collect();
        assert_eq!(urls, [Some("u2"), None, Some("u1"), Some("https://example.org/c.png"), Some("u3")]);
        assert_eq!(attachments[0], json!({"contentType": "image/gif", "name": "a.gif", "contentUrl": "u2"}));
        assert_eq!(attachments[4], json!({"contentType": "image/png", "name": "more.png", "contentUrl": "u3"}));
    }

    #[test]
    fn a_name_in_the_activity_is_shown_like_that_of_the_file() {
        let mut activity = object(&json!({"attachments": [
            {"contentType": "image/png", "name": "../photo_\u{202e}gnp.exe"},
            {"contentType": "image/png", "name": null}
        ]}));
        attach(&mut activity, &[file("photo_gnp.exe"), file("b.png")], ["u1", "u2"].map(String::from).into());
        let attachments = activity["attachments"].as_array().unwrap();
        assert_eq!(attachments[0], json!({"contentType": "image/png", "name": "photo_gnp.exe", "contentUrl": "u1"}));
        assert_eq!(attachments[1], json!({"contentType": "image/png", "name": "b.png", "contentUrl": "u2"}));
    }

    #[tokio::test]
    async fn a_single_file_is_read_with_its_name() {
        let content = read("image/png", "name=\"file\"; filename=\"C:\\x\\a b.png\"", "bytes").await.unwrap();
        let [file] = &content.files[..] else { panic!("{content:?}") };
        assert_eq!((&*file.name, &*file.content_type, &file.bytes[..]), ("a b.png", "image/png", &b"bytes"[..]));
        let content = read("nonsense", "attachment; filename*=UTF-8''Zo%C3%AB.txt; filename=z.txt", "x").await.unwrap();
        assert_eq!((&*content.files[0].name, &*content.files[0].content_type), ("Zoë.txt", "application/octet-stream"));
        assert!(read("image/png", "", "").await.unwrap().files.is_empty());
    }

    #[tokio::test]
    async fn parts_come_in_any_order() {
        let part = |disposition: &str, media: &str, text: &str| {
            format!("--x\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {media}\r\n\r\n{text}\r\n")
        };
        let activity = part("name=\"activity\"; filename=\"blob\"", ACTIVITY_TYPE, r#"{"type":"message","text":"hi"}"#);
        let first = part("name=\"file\"; filename=\"../a.png\"", "image/png", "AAA");
        for body in [format!("{activity}{first}--x--\r\n"), format!("{first}{activity}--x--\r\n")] {
            let content = read("multipart/form-data; boundary=x", "", &body).await.unwrap();
            assert_eq!(content.activity.unwrap()["text"], "hi");
            assert_eq!((&*content.files[0].name, &content.files[0].bytes[..]), ("a.png", &b"AAA"[..]));
        }
        let named = part("name=\"file\"; filename*=utf-8''%C3%A4.png", "image/png", "AAA");
        let content = read("multipart/form-data; boundary=x", "", &format!("{named}--x--\r\n")).await.unwrap();
        assert_eq!(content.files[0].name, "ä.png");
        for body in [
            format!("{activity}{activity}--x--\r\n"),
            "--x\r\nbroken".to_owned(),
            first.repeat(FILES_MAX + 1) + "--x--\r\n",
        ] {
            assert_eq!(read("multipart/form-data; boundary=x", "", &body).await.unwrap_err().status(), 400);
        }
        assert_eq!(read("multipart/form-data", "", "x").await.unwrap_err().status(), 400);
    }
}

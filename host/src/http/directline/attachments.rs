//! Uploaded files, served so that nothing in them can act in the host's origin.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Local;
use crate::http::error::HttpError;

/// Where files are served.
pub(super) const ROUTE: &str = "/v3/attachments/{id}/views/original";

/// Types that are served as what they say; no type of this list runs scripts.
const SERVED_TYPES: &[&str] = &[
    "application/json",
    "application/pdf",
    "application/zip",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/csv",
    "text/plain",
    "video/mp4",
    "video/ogg",
    "video/webm",
];
const OTHER_TYPE: &str = "application/octet-stream";

/// Returns the path of a file.
pub(super) fn path(id: &str) -> String {
    ROUTE.replace("{id}", id)
}

/// `GET /v3/attachments/{id}/views/original`
pub(super) async fn serve(State(local): State<Arc<Local>>, Path(id): Path<String>) -> Result<Response, HttpError> {
    let upload = local.app.directline.uploads().get(&id);
    let upload =
        upload.ok_or_else(|| HttpError::not_found("there is no such file; files are kept for a day at most"))?;
    let disposition = HeaderValue::from_str(&disposition(&upload.name)).map_err(HttpError::internal)?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(served_type(&upload.content_type))),
        (CONTENT_DISPOSITION, disposition),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
        (CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400, immutable")),
    ];
    // `nosniff` is on every answer of the host.
    Ok((headers, upload.bytes.clone()).into_response())
}

fn served_type(uploaded: &str) -> &'static str {
    let essence = uploaded.split(';').next().unwrap_or_default().trim();
    SERVED_TYPES.iter().find(|served| essence.eq_ignore_ascii_case(served)).copied().unwrap_or(OTHER_TYPE)
}

/// Pictures are shown from `<img>` in spite of it; a link to anything downloads.
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() || " .-_".contains(char) { char } else { '_' })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_types_are_served_as_such() {
        for (uploaded, wanted) in [
            ("image/png", "image/png"),
            ("Image/PNG", "image/png"),
            ("text/plain; charset=utf-8", "text/plain"),
            ("text/html", OTHER_TYPE),
            ("image/svg+xml", OTHER_TYPE),
            ("application/javascript", OTHER_TYPE),
            ("", OTHER_TYPE),
        ] {
            assert_eq!(served_type(uploaded), wanted, "{uploaded}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        for name in ["a.png", "a\"; x=\"b", "a\r\nSet-Cookie: b", "../../etc/passwd", "Zoë\u{202e}gpj.exe", ""] {
            let header = disposition(name);
            assert!(HeaderValue::from_str(&header).is_ok(), "{name:?}");
            assert_eq!(header.matches('"').count(), 2, "{header}");
            assert!(!header.contains('/'), "{header}");
        }
    }
}

//! The chat page, in development mode: pick a bot, talk to it, see what its plugins do.
//!
//! Everything is in the binary: `page/` holds plain HTML, CSS and ES modules, as they are served. What the page shows it
//! gets from [`directline`](super::directline) and [`dev`](super::dev).
//!
//! The page shows what bots say. Their texts enter it as text only, also Markdown, of which `markdown.js` makes elements, and
//! its content security policy allows no script and no style but the files below.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, REFERRER_POLICY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::HttpError;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Path, media type, content.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("page/index.html")),
    ("/page.css", CSS, include_str!("page/page.css")),
    ("/page.js", JS, include_str!("page/page.js")),
    ("/page/adaptive.js", JS, include_str!("page/adaptive.js")),
    ("/page/bots.js", JS, include_str!("page/bots.js")),
    ("/page/cards.css", CSS, include_str!("page/cards.css")),
    ("/page/cards.js", JS, include_str!("page/cards.js")),
    ("/page/client.js", JS, include_str!("page/client.js")),
    ("/page/composer.js", JS, include_str!("page/composer.js")),
    ("/page/conversation.css", CSS, include_str!("page/conversation.css")),
    ("/page/dom.js", JS, include_str!("page/dom.js")),
    ("/page/feed.js", JS, include_str!("page/feed.js")),
    ("/page/icon.svg", SVG, include_str!("page/icon.svg")),
    ("/page/log.js", JS, include_str!("page/log.js")),
    ("/page/markdown.js", JS, include_str!("page/markdown.js")),
    ("/page/narrow.css", CSS, include_str!("page/narrow.css")),
    ("/page/session.js", JS, include_str!("page/session.js")),
    ("/page/turns.js", JS, include_str!("page/turns.js")),
];

/// The routes of this module; where `development` is false, one that says so.
pub fn routes(development: bool) -> Router {
    if !development {
        return Router::new().route("/", get(async || HttpError::not_found(NO_PAGE)));
    }
    FILES.iter().fold(Router::new(), |router, (path, media, content)| {
        router.route(path, get(async move |request: Request| file(request.headers(), media, content)))
    })
}

/// What a host says that is not in development mode.
const NO_PAGE: &str = "this host serves no chat page, as it is not in development mode; start it with `turntable serve --dev`, or \
                       set `server.mode = \"development\"`";

fn file(request: &HeaderMap, media: &'static str, content: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media)),
        // Another host, or a newer one, may listen here next.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, policy(request)),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    (headers, content).into_response()
}

/// Returns the policy of the page. Pictures may come from anywhere, as cards name them.
fn policy(request: &HeaderMap) -> HeaderValue {
    // Some browsers do not count WebSockets of the own origin as 'self'.
    let host = request.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| is_plain(host));
    let sockets = host.map(|host| format!(" ws://{host} wss://{host}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'{sockets}; \
         img-src 'self' data: https: http:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// Whether a host can stand in a policy: nothing in it ends a source or a directive.
fn is_plain(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    use super::*;

    async fn ask(development: bool, path: &str) -> Response {
        let request = Request::builder().uri(path).header(HOST, "localhost:3978").body(Body::empty()).unwrap();
        routes(development).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn the_page_is_there_in_development_mode_only() {
        for (path, media, content) in FILES {
            let response = ask(true, path).await;
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(response.headers()[CONTENT_TYPE], media, "{path}");
            assert_eq!(to_bytes(response.into_body(), usize::MAX).await.unwrap(), content.as_bytes(), "{path}");
            assert_eq!(ask(false, path).await.status(), 404, "{path}");
        }
    }

    #[tokio::test]
    async fn a_host_without_a_page_says_how_to_get_one() {
        let body = to_bytes(ask(false, "/").await.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("turntable serve --dev") && body.contains("server.mode"), "{body}");
    }

    #[tokio::test]
    async fn its_policy_allows_nothing_inline() {
        let response = ask(true, "/").await;
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.contains("connect-src 'self' ws://localhost:3978 wss://localhost:3978;"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    }

    #[test]
    fn a_host_cannot_add_to_the_policy() {
        for (host, wanted) in [("localhost:3978", true), ("a;script-src *", false), ("[::1]:1", false), ("a b", false)]
        {
            assert_eq!(is_plain(host), wanted, "{host}");
        }
    }

    /// A module that is not listed would be missing in the served page.
    #[test]
    fn every_module_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/page");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let listed = FILES.iter().any(|(path, ..)| path.ends_with(&format!("/{name}")));
            assert!(listed || name == "index.html", "{name}");
        }
    }

    /// Only text enters the page: these ways of making markup or code of it are not used.
    #[test]
    fn nothing_makes_markup_of_text() {
        for (path, _, content) in FILES {
            for word in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=", " onclick"]
            {
                assert!(!content.contains(word), "{path} uses {word}");
            }
        }
    }
}

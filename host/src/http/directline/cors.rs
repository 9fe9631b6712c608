//! Which web pages may use Direct Line: the host's own, and those of `server.allowed-origins`. Never all.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use crate::http::error::HttpError;
use crate::http::guard::{Guard, Source};

/// Puts the rules around routes: foreign pages are refused, preflights answered, and allowed pages may read the answers.
pub(super) fn around(routes: Router, guard: &Arc<Guard>) -> Router {
    // Inside the layer, and set here, as it would else be replaced by one around it: preflights are no method of any route.
    let routes = routes.method_not_allowed_fallback(async || HttpError::method_not_allowed());
    routes.layer(from_fn_with_state(guard.clone(), check))
}

async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Result<Response, HttpError> {
    let (parts, body) = request.into_parts();
    let origin = match guard.source(&parts) {
        Source::Allowed => parts.headers.get(ORIGIN).cloned(),
        Source::Direct | Source::Own => None,
        Source::Foreign => return Err(guard.origin(&parts).err().unwrap_or_else(HttpError::unauthorized)),
    };
    // The one call that a browser makes with its cookies.
    let with_cookies = parts.uri.path().ends_with("/session/getsessionid");
    let mut response = match parts.method {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(Request::from_parts(parts, body)).await,
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
            (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, x-ms-bot-agent, x-requested-with"),
            (ACCESS_CONTROL_EXPOSE_HEADERS, "Retry-After"),
            (ACCESS_CONTROL_MAX_AGE, "86400"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if with_cookies {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: &str, path: &str, origin: Option<&str>) -> Response {
        let guard = Guard::new("127.0.0.1:3978".parse().unwrap(), &[], &["http://chat.example.org".into()]);
        let routes = Router::new().route("/a", get(async || "ok")).route("/session/getsessionid", get(async || "ok"));
        // As the edge does it.
        let router = Router::new()
            .nest("/nested", around(routes, &Arc::new(guard)))
            .method_not_allowed_fallback(async || "not a route's");
        let mut request =
            Request::builder().method(method).uri(format!("/nested{path}")).header("host", "localhost:3978");
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn allowed_pages_may_read_and_others_may_not_even_ask() {
        let allowed = Some("http://chat.example.org");
        for method in ["GET", "OPTIONS", "DELETE"] {
            let response = ask(method, "/a", allowed).await;
            assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "http://chat.example.org", "{method}");
            assert_eq!(response.headers()[VARY], "Origin");
            assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        }
        assert_eq!(ask("OPTIONS", "/a", allowed).await.status(), 204);
        for (origin, status) in
            [(None, 200), (Some("http://localhost:3978"), 200), (Some("http://evil.example"), 403), (Some("null"), 403)]
        {
            for path in ["/a", "/session/getsessionid"] {
                let response = ask("GET", path, origin).await;
                assert_eq!(response.status().as_u16(), status, "{origin:?}");
                assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
            }
        }
        let session = ask("GET", "/session/getsessionid", allowed).await;
        assert_eq!(session.headers()[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    }
}

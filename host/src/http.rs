//! The HTTP edge: the only module that knows axum.
//!
//! Two listeners, each with a router of its own: the public one takes activities and serves Direct Line, the admin one
//! (module [`admin`]) is for operators. [`serve`] runs either.

pub mod admin;
pub mod body;
mod bridge;
mod broadcasts;
mod client;
mod dead_letters;
pub mod dev;
pub mod directline;
pub mod error;
pub mod guard;
mod inbox;
pub mod messages;
mod notifications;
pub mod page;
mod places;
mod privacy;
pub mod request;
mod serve;
mod site_secrets;
mod socket;
pub mod token;
mod transcripts;
mod unread;
mod wrong_tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::HeaderValue;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower::Layer;
use tower_http::normalize_path::NormalizePathLayer;

use self::client::Proxies;
pub use self::error::HttpError;
pub use self::guard::Guard;
pub use self::serve::{Connections, serve};
use self::token::Token;
use crate::app::App;
use crate::telemetry::PrometheusHandle;

/// The routes of the public listener.
pub fn public_router(app: &Arc<App>) -> Router {
    let server = &app.config.server;
    let guard = Arc::new(Guard::new(app.public, &server.host_names, &server.allowed_origins));
    let local = directline::Local::new(app.clone());
    let routes = messages::routes(app.clone(), &guard)
        .merge(notifications::routes(app.clone(), &guard))
        .merge(bridge::routes(app.clone(), &guard))
        .merge(directline::routes(&local, &guard))
        .merge(page::routes(server.development))
        .merge(dev::routes(app.clone(), &guard));
    edge("public", guard, Proxies::of(server), routes)
}

/// The routes of the admin listener, for callers who know the token.
pub fn admin_router(app: Arc<App>, token: Token, metrics: PrometheusHandle) -> Router {
    // No further names and no trusted origins: nobody but this machine's operator has business here.
    let listen = app.admin.unwrap_or(app.public);
    let guard = Arc::new(Guard::new(listen, &[], &[]));
    let routes = admin::routes(app, &guard, token, metrics);
    edge("admin", guard, Proxies::default(), routes)
}

/// Puts around routes what every request of a listener passes.
fn edge(listener: &'static str, guard: Arc<Guard>, proxies: Proxies, routes: Router) -> Router {
    let edge = Edge { listener, guard, proxies: Arc::new(proxies) };
    let routes = routes
        .fallback(async || HttpError::not_found("there is no such route"))
        .method_not_allowed_fallback(async || HttpError::method_not_allowed())
        // Body limits differ by route; `body::read` applies them, and names the bound that was exceeded.
        .layer(DefaultBodyLimit::disable())
        // One layer: each costs an allocation and a copy of the router.
        .layer(from_fn_with_state(edge, Edge::pass));
    // Many tools configure a URL with a slash at its end. A redirect would turn their POST into a GET. Put around the
    // router, because inside of it the route has been chosen already.
    Router::new().fallback_service(NormalizePathLayer::trim_trailing_slash().layer(routes))
}

/// What every request of a listener passes.
#[derive(Clone)]
struct Edge {
    listener: &'static str,
    guard: Arc<Guard>,
    proxies: Arc<Proxies>,
}

impl Edge {
    async fn pass(State(edge): State<Self>, mut request: Request, next: Next) -> Response {
        edge.proxies.note_client(&mut request);
        // Around every refusal: none may leave a body unread without saying so.
        unread::settle(request, |request| {
            // The request id, its span, its metrics: before the rest, so that refusals below have them too.
            request::observe(edge.listener, request, |request| edge.admit(request, next))
        })
        .await
    }

    async fn admit(&self, request: Request, next: Next) -> Response {
        // What is meant for another server is not looked at further.
        let mut response = match self.guard.host(&request) {
            Ok(()) => next.run(request).await,
            Err(refusal) => refusal.into_response(),
        };
        // No browser may take an answer for something else than its content type says.
        let nosniff = HeaderValue::from_static("nosniff");
        response.headers_mut().entry(X_CONTENT_TYPE_OPTIONS).or_insert(nosniff);
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: &str, target: &str, host: &str) -> Response {
        let guard = Arc::new(Guard::new("127.0.0.1:3978".parse().unwrap(), &[], &[]));
        let router = edge("test", guard, Proxies::default(), Router::new().route("/x", post(async || "ok")));
        let request = Request::builder().method(method).uri(target).header("host", host);
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn every_answer_has_an_id_and_errors_have_the_body_of_the_protocol() {
        for (method, target, host, status, code) in [
            ("POST", "/x", "localhost", 200, None),
            ("POST", "/x/", "localhost", 200, None),
            ("POST", "/x/?a=b", "localhost", 200, None),
            ("POST", "/x//", "localhost", 200, None),
            ("GET", "/x/", "localhost", 405, Some("MethodNotAllowed")),
            ("POST", "/x/y", "localhost", 404, Some("NotFound")),
            ("POST", "/", "localhost", 404, Some("NotFound")),
            ("POST", "/y", "localhost", 404, Some("NotFound")),
            ("GET", "/x", "localhost", 405, Some("MethodNotAllowed")),
            ("POST", "/x", "evil.example", 421, Some("MisdirectedRequest")),
            ("POST", "/y", "evil.example", 421, Some("MisdirectedRequest")),
            ("GET", "/x", "evil.example", 421, Some("MisdirectedRequest")),
        ] {
            let case = format!("{method} {target} at {host}");
            let response = ask(method, target, host).await;
            assert_eq!(response.status().as_u16(), status, "{case}");
            assert!(response.headers().contains_key("x-request-id"), "{case}");
            assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{case}");
            if let Some(code) = code {
                let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(body["error"]["code"], code, "{case}");
                assert!(body["error"]["message"].is_string(), "{case}");
            }
        }
    }

    #[tokio::test]
    async fn a_wrong_method_learns_the_right_ones() {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let response = ask(method, "/x", "localhost").await;
            assert_eq!(response.status().as_u16(), 405, "{method}");
            assert_eq!(response.headers()["allow"], "POST", "{method}");
        }
    }
}

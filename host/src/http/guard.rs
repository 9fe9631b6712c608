//! Who may ask: the rules that keep web pages of strangers out.
//!
//! Loopback is not a boundary: every page in a browser on this machine can post to it. So each listener answers only
//! under its own names ([`Guard::host`], against DNS rebinding), routes without credentials refuse pages of other origins
//! ([`check_origin`]), and their bodies must have a media type that a plain form cannot send ([`require_json`]).
//!
//! The middleware functions are for `axum::middleware::from_fn_with_state(guard, …)`; the methods of [`Guard`] and
//! [`is_json`] are for routes that decide for themselves.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderMap, HeaderName, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;

use super::error::{HttpError, code};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The address at which a connection arrived; an extension of every request of [`super::serve`].
#[derive(Debug, Clone, Copy)]
pub struct LocalAddress(pub SocketAddr);

/// The names of one listener, and the web origins that it trusts.
#[derive(Debug)]
pub struct Guard {
    listen: SocketAddr,
    host_names: Vec<String>,
    allowed_origins: Vec<String>,
}

/// Where a request comes from, as far as a browser says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// No browser, or a browser that shows the user's own act (address bar, bookmark).
    Direct,
    /// A page of this listener.
    Own,
    /// A page of a configured origin.
    Allowed,
    /// A page of any other origin.
    Foreign,
}

impl Guard {
    /// Makes the guard of a listener. `host_names` are names without a port, `allowed_origins` are origins such as
    /// `https://example.org`; both compare without regard to case.
    pub fn new(listen: SocketAddr, host_names: &[String], allowed_origins: &[String]) -> Self {
        let fold =
            |texts: &[String]| texts.iter().map(|text| text.trim_end_matches('/').to_ascii_lowercase()).collect();
        Self { listen, host_names: fold(host_names), allowed_origins: fold(allowed_origins) }
    }

    /// Checks that the request names this listener, in `Host`, in an absolute target, and in `:authority` of HTTP/2.
    ///
    /// Names: the address the connection arrived at, any loopback name where that is loopback, and the configured ones.
    /// The port does not matter, so that forwarded ports work; a rebound name is foreign at every port.
    ///
    /// # Errors
    /// 400 where the request has no host or several, 421 where it names another server.
    pub fn host<B>(&self, request: &Request<B>) -> Result<(), HttpError> {
        let authorities = authorities(request.headers(), request.uri())?;
        let local = request.extensions().get::<LocalAddress>().map_or(self.listen, |address| address.0).ip();
        if authorities.iter().all(|authority| self.is_name(authority.host(), local)) {
            return Ok(());
        }
        let message =
            "the Host of the request is not a name of this listener; `server.host-names` adds names to the public one";
        Err(HttpError::new(StatusCode::MISDIRECTED_REQUEST, code::MISDIRECTED, message))
    }

    /// Tells where a request comes from, by `Origin` and `Sec-Fetch-Site`.
    ///
    /// `Own` is what matches the request's own `Host`, so [`Guard::host`] must have passed before.
    pub fn source(&self, parts: &Parts) -> Source {
        let Some(origin) = parts.headers.get(ORIGIN) else {
            // Browsers leave `Origin` out of plain GETs; this header they always send.
            return match parts.headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
                None | Some(b"none") => Source::Direct,
                Some(b"same-origin") => Source::Own,
                Some(_) => Source::Foreign,
            };
        };
        let Ok(origin) = origin.to_str() else { return Source::Foreign };
        if self.allows(origin) {
            Source::Allowed
        } else if parts.headers.get_all(ORIGIN).iter().count() == 1 && is_own(origin, parts) {
            Source::Own
        } else {
            Source::Foreign
        }
    }

    /// Checks that no foreign page asks.
    ///
    /// # Errors
    /// 403 where one does.
    pub fn origin(&self, parts: &Parts) -> Result<(), HttpError> {
        match self.source(parts) {
            Source::Direct | Source::Own | Source::Allowed => Ok(()),
            Source::Foreign => Err(HttpError::new(
                StatusCode::FORBIDDEN,
                code::FOREIGN_ORIGIN,
                "a page of another origin may not use this server; `server.allowed-origins` lists those that may",
            )),
        }
    }

    /// Whether an `Origin` is a configured one.
    pub fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        origin != "null" && self.allowed_origins.contains(&origin)
    }

    fn is_name(&self, host: &str, local: IpAddr) -> bool {
        let local = local.to_canonical();
        let address = IpAddr::from_str(host.trim_start_matches('[').trim_end_matches(']'));
        let is_own = match address {
            Ok(address) => {
                let address = address.to_canonical();
                !address.is_unspecified() && (address == local || (address.is_loopback() && local.is_loopback()))
            }
            Err(_) => {
                local.is_loopback() && ["localhost", "localhost."].iter().any(|name| host.eq_ignore_ascii_case(name))
            }
        };
        is_own || self.host_names.iter().any(|name| host.eq_ignore_ascii_case(name))
    }
}

/// Middleware: [`Guard::origin`], for routes that need no credentials.
pub async fn check_origin(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    let (parts, body) = request.into_parts();
    guard.origin(&parts)?;
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Middleware: refuses with 415 what [`is_json`] does not pass.
pub async fn require_json(request: Request, next: Next) -> Result<Response, HttpError> {
    if !is_json(request.headers()) {
        return Err(HttpError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code::UNSUPPORTED_MEDIA_TYPE,
            "the body must be `application/json` in UTF-8",
        ));
    }
    Ok(next.run(request).await)
}

/// Whether `Content-Type` is `application/json`, with no charset or UTF-8. Forms cannot send that without a preflight.
pub fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some(media) = value.to_str().ok().and_then(|text| text.parse::<mime::Mime>().ok()) else { return false };
    media.essence_str() == mime::APPLICATION_JSON.essence_str()
        && media.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8)
}

/// The address at which a request arrived, where [`super::serve`] served it.
pub fn local_address(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<LocalAddress>().map(|address| address.0)
}

/// All that a request says about its server; one or two, never none.
fn authorities(headers: &HeaderMap, uri: &Uri) -> Result<Vec<Authority>, HttpError> {
    let mut found = Vec::with_capacity(2);
    found.extend(uri.authority().cloned());
    let mut hosts = headers.get_all(HOST).iter();
    if let Some(host) = hosts.next() {
        let authority = Authority::try_from(host.as_bytes());
        found.push(authority.map_err(|_| HttpError::bad_syntax("the Host of the request is not a host"))?);
    }
    if hosts.next().is_some() {
        return Err(HttpError::bad_syntax("the request has more than one Host"));
    }
    if found.is_empty() {
        return Err(HttpError::bad_syntax("the request has no Host"));
    }
    if found.iter().any(|authority| authority.as_str().contains('@')) {
        return Err(HttpError::bad_syntax("the Host of the request carries a user name"));
    }
    Ok(found)
}

/// Whether an `Origin` is that of the server which the request names, by either scheme (a proxy may end TLS).
fn is_own(origin: &str, parts: &Parts) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let Ok(named) = authorities(&parts.headers, &parts.uri) else { return false };
    (scheme == "http" || scheme == "https") && named.iter().all(|named| named.as_str().eq_ignore_ascii_case(authority))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::Request as HttpRequest;
    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::routing::any;
    use tower::ServiceExt;

    use super::*;

    async fn check_host(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Result<Response, HttpError> {
        guard.host(&request)?;
        Ok(next.run(request).await)
    }

    async fn status(listen: &str, target: &str, headers: &[(&str, &str)]) -> u16 {
        let guard = Guard::new(
            listen.parse().unwrap(),
            &["Bots.Example.org".into()],
            &["https://chat.example.org".into(), "http://localhost:9000/".into()],
        );
        let guard = Arc::new(guard);
        let router = Router::new()
            .fallback(any(async || "ok"))
            .layer(from_fn_with_state(guard.clone(), check_origin))
            .layer(from_fn_with_state(guard, check_host));
        let mut request = HttpRequest::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn a_listener_answers_under_its_own_names_only() {
        let loopback = "127.0.0.1:3978";
        let cases = [
            (loopback, "localhost", 200),
            (loopback, "LOCALHOST:3978", 200),
            (loopback, "localhost.:3978", 200),
            (loopback, "127.0.0.1:3978", 200),
            (loopback, "[::1]:3978", 200),
            (loopback, "127.0.0.1:8080", 200),
            (loopback, "bots.example.ORG", 200),
            (loopback, "evil.example.org", 421),
            (loopback, "localhost.evil.example", 421),
            (loopback, "127.0.0.1.nip.io", 421),
            (loopback, "0.0.0.0:3978", 421),
            (loopback, "192.0.2.1", 421),
            (loopback, "user@localhost", 400),
            (loopback, "a b", 400),
            (loopback, "", 400),
            ("192.0.2.1:80", "192.0.2.1", 200),
            ("192.0.2.1:80", "localhost", 421),
            ("192.0.2.1:80", "127.0.0.1", 421),
            ("[::1]:80", "localhost", 200),
            ("[::ffff:127.0.0.1]:80", "localhost", 200),
        ];
        for (listen, host, wanted) in cases {
            assert_eq!(status(listen, "/", &[("host", host)]).await, wanted, "{host:?} at {listen}");
        }
    }

    #[tokio::test]
    async fn every_place_that_names_the_server_counts() {
        let listen = "127.0.0.1:3978";
        assert_eq!(status(listen, "/", &[]).await, 400, "no host at all");
        assert_eq!(status(listen, "http://localhost:3978/", &[]).await, 200, "as HTTP/2 sends it");
        assert_eq!(status(listen, "http://evil.example/", &[]).await, 421);
        assert_eq!(status(listen, "http://evil.example/", &[("host", "localhost")]).await, 421);
        assert_eq!(status(listen, "http://localhost/", &[("host", "evil.example")]).await, 421);
        assert_eq!(status(listen, "/", &[("host", "localhost"), ("host", "localhost")]).await, 400);
    }

    #[tokio::test]
    async fn the_address_of_the_connection_is_a_name() {
        let guard = Guard::new("0.0.0.0:3978".parse().unwrap(), &[], &[]);
        for (local, host, wanted) in [
            ("192.0.2.7:3978", "192.0.2.7", true),
            ("192.0.2.7:3978", "192.0.2.8", false),
            ("127.0.0.1:3978", "localhost", true),
            ("192.0.2.7:3978", "localhost", false),
        ] {
            let request = HttpRequest::builder().uri("/").header("host", host);
            let request = request.extension(LocalAddress(local.parse().unwrap())).body(()).unwrap();
            assert_eq!(guard.host(&request).is_ok(), wanted, "{host} at {local}");
        }
    }

    #[tokio::test]
    async fn pages_of_other_origins_are_refused() {
        let cases: [(&[(&str, &str)], u16); 15] = [
            (&[], 200),
            (&[("origin", "http://localhost:3978")], 200),
            (&[("origin", "https://localhost:3978")], 200),
            (&[("origin", "http://localhost:3979")], 403),
            (&[("origin", "http://127.0.0.1:3978")], 403),
            (&[("origin", "http://evil.example")], 403),
            (&[("origin", "null")], 403),
            (&[("origin", "https://chat.example.org")], 200),
            (&[("origin", "http://localhost:9000"), ("sec-fetch-site", "same-site")], 200),
            (&[("origin", "https://chat.example.org"), ("sec-fetch-site", "cross-site")], 200),
            (&[("sec-fetch-site", "none")], 200),
            (&[("sec-fetch-site", "same-origin")], 200),
            (&[("sec-fetch-site", "same-site")], 403),
            (&[("sec-fetch-site", "cross-site")], 403),
            (&[("origin", "http://localhost:3978"), ("origin", "http://evil.example")], 403),
        ];
        for (headers, wanted) in cases {
            let all: Vec<_> = [("host", "localhost:3978")].iter().chain(headers).copied().collect();
            assert_eq!(status("127.0.0.1:3978", "/", &all).await, wanted, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn only_json_in_utf8_passes() {
        let cases = [
            ("application/json", 200),
            ("Application/JSON; charset=UTF-8", 200),
            ("application/json;charset=\"utf-8\"", 200),
            ("application/json; charset=utf-16", 415),
            ("text/plain", 415),
            ("application/x-www-form-urlencoded", 415),
            ("application/jsonp", 415),
            ("text/plain; a=application/json", 415),
            ("", 415),
        ];
        let router = Router::new().fallback(any(async || "ok")).layer(from_fn(require_json));
        for (media, wanted) in cases {
            let request = HttpRequest::builder().uri("/").header("content-type", media).body(Body::empty()).unwrap();
            assert_eq!(router.clone().oneshot(request).await.unwrap().status().as_u16(), wanted, "{media:?}");
        }
        let request = HttpRequest::builder().uri("/").body(Body::empty()).unwrap();
        assert_eq!(router.oneshot(request).await.unwrap().status().as_u16(), 415, "no content type");
    }
}

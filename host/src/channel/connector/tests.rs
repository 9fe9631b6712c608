//! Tests against a peer on a real socket that sends fixed bytes.

use std::net::TcpListener;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::channel::Fault;
use crate::channel::testing::{Peer, address, answer, settings};

fn connector() -> Connector {
    Connector::new(&settings(), Vec::new(), None).unwrap()
}

/// Sends one activity to a peer that answers with `bytes`.
async fn sent(bytes: &str) -> Result<Arc<str>, ChannelError> {
    let peer = Peer::answering(bytes).await;
    connector().send(&address("c", &peer.url), &Arc::from(r#"{"type":"message","text":"hi"}"#)).await
}

#[tokio::test]
async fn every_success_is_one_whatever_its_body() {
    for (status, body, id) in [
        ("200 OK", r#"{"id":"1"}"#, "1"),
        ("201 Created", r#"{"id":"a|b"}"#, "a|b"),
        ("202 Accepted", "", ""),
        ("204 No Content", "", ""),
        ("200 OK", "null", ""),
        ("200 OK", "{}", ""),
        ("200 OK", r#"{"id":7}"#, "7"),
        ("201 Created", r#"{"id":12345678901234567890123}"#, "12345678901234567890123"),
        ("201 Created", r#"{"Id":"1"}"#, "1"),
        ("201 Created", r#"{"id":null}"#, ""),
        ("201 Created", r#"{"id":true}"#, ""),
        ("201 Created", r#"{"id":{"id":"1"}}"#, ""),
        ("201 Created", r#"["1"]"#, ""),
        ("201 Created", "", ""),
        ("200 OK", "<html>fine</html>", ""),
    ] {
        let id_found = sent(&answer(status, "", body)).await.unwrap();
        assert_eq!(&*id_found, id, "{status} {body}");
    }
    // The status decides that the activity was taken; an interrupted body does not change that.
    assert_eq!(&*sent("HTTP/1.1 201 Created\r\ncontent-length: 50\r\n\r\n{\"id\"").await.unwrap(), "");
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(&*sent(&answer("201 Created", "", &long)).await.unwrap(), "");
}

#[tokio::test]
async fn a_no_is_refused_and_says_what_the_channel_said() {
    let headers = "x-ms-request-id: req-1\r\nX-Correlating-OperationId: op-1\r\n";
    let body = r#"{"error":{"code":"ConversationNotFound","message":"no\nsuch\u0007 conversation"}}"#;
    let Err(ChannelError::Refused { status: Some(404), fault: Some(Fault::Gone), why }) =
        sent(&answer("404 Not Found", headers, body)).await
    else {
        panic!("404 is a refusal");
    };
    assert_eq!(why, "404 Not Found: ConversationNotFound; x-correlating-operationid op-1; x-ms-request-id req-1");
    // What a channel says may be what the user said.
    let secret = "my password is hunter2";
    for (headers, body) in [
        ("", secret.to_owned()),
        ("", format!("<html><head><title>{secret}</title></head></html>")),
        ("", format!(r#"{{"error":{{"code":"{secret}","message":"{secret}"}}}}"#)),
        ("x-ms-request-id: my password is hunter2\r\nlocation: http://localhost/hunter2\r\n", String::new()),
        ("content-encoding: hunter2\r\n", "\u{1f}\u{8b}".to_owned()),
    ] {
        let Err(ChannelError::Refused { why, .. }) = sent(&answer("400 Bad Request", headers, &body)).await else {
            panic!("400 is a refusal");
        };
        assert!(why.starts_with("400 Bad Request") && !why.contains("hunter2"), "{why}");
    }
    for status in ["401 Unauthorized", "403 Forbidden", "409 Conflict", "413 Payload Too Large", "501 Not Implemented"]
    {
        let refused = sent(&answer(status, "", "")).await;
        assert!(matches!(refused, Err(ChannelError::Refused { status: Some(_), .. })), "{status}");
    }
}

#[tokio::test]
async fn a_refusal_has_the_cause_that_its_code_names() {
    for (status, code, fault) in [
        ("403 Forbidden", "ConversationBlockedByUser", Some(Fault::Blocked)),
        ("403 Forbidden", "BotDisabledByAdmin", Some(Fault::Blocked)),
        ("403 Forbidden", "BotNotInConversationRoster", Some(Fault::NotInRoster)),
        ("403 Forbidden", "Other", None),
        ("404 Not Found", "ConversationNotFound", Some(Fault::Gone)),
        ("404 Not Found", "ActivityNotFoundInConversation", None),
        ("410 Gone", "", Some(Fault::Gone)),
        ("413 Payload Too Large", "", Some(Fault::TooLarge)),
        ("400 Bad Request", "MessageSizeTooBig", Some(Fault::TooLarge)),
    ] {
        let body = format!(r#"{{"error":{{"code":"{code}","message":"no"}}}}"#);
        let Err(ChannelError::Refused { fault: found, .. }) = sent(&answer(status, "", &body)).await else {
            panic!("{status} is a refusal");
        };
        assert_eq!(found, fault, "{status} {code}");
    }
}

#[tokio::test]
async fn a_redirect_is_refused_and_not_followed() {
    let mut elsewhere = Peer::answering(&answer("200 OK", "", "")).await;
    let redirect = answer("302 Found", &format!("location: {}/x\r\n", elsewhere.url), "");
    let Err(ChannelError::Refused { status: Some(302), why, .. }) = sent(&redirect).await else {
        panic!("302 is a refusal");
    };
    assert!(why.contains("are not followed"), "{why}");
    assert!(elsewhere.unheard());
}

#[tokio::test]
async fn throttling_is_not_delivered_and_says_when_to_try_again() {
    for status in ["429 Too Many Requests", "412 Precondition Failed"] {
        let throttled = sent(&answer(status, "retry-after: 7\r\n", "")).await;
        let Err(ChannelError::Throttled { retry_after, .. }) = throttled else { panic!("{status}") };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
    }
    let past = sent(&answer("429 Too Many Requests", "retry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n", "")).await;
    assert!(matches!(past, Err(ChannelError::Throttled { retry_after: Some(Duration::ZERO), .. })), "{past:?}");
    let without = sent(&answer("429 Too Many Requests", "retry-after: soon\r\n", "")).await;
    assert!(matches!(without, Err(ChannelError::Throttled { retry_after: None, .. })), "{without:?}");
}

#[tokio::test]
async fn what_may_have_arrived_is_ambiguous() {
    for bytes in [
        answer("500 Internal Server Error", "", "x"),
        answer("502 Bad Gateway", "", ""),
        answer("503 Service Unavailable", "retry-after: 1\r\n", ""),
        answer("408 Request Timeout", "", ""),
        "this is not HTTP\r\n\r\n".to_owned(),
        String::new(),
    ] {
        let unclear = sent(&bytes).await;
        assert!(matches!(unclear, Err(ChannelError::Ambiguous { .. })), "{bytes}: {unclear:?}");
    }
}

/// The status decides that the activity was taken. The call reads what arrives of the body within its time.
#[tokio::test]
async fn a_body_without_end_is_bounded_in_time_and_bytes() {
    let mut settings = settings();
    settings.send_timeout = Duration::from_secs(3);
    let connector = Connector::new(&settings, Vec::new(), None).unwrap();
    let send = async |answer: String| {
        let peer = Peer::holding(&answer).await;
        connector.send(&address("c", &peer.url), &Arc::from("{}")).await
    };
    let taken = "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n";
    let (named, huge, failed) = tokio::join!(
        send(format!("{taken}8\r\n{{\"id\":1}}\r\n")),
        send(format!("{taken}20000\r\n{}", "x".repeat(0x20000))),
        send(taken.replace("201 Created", "502 Bad Gateway")),
    );
    assert_eq!((&*named.unwrap(), &*huge.unwrap()), ("1", ""));
    assert!(matches!(failed, Err(ChannelError::Ambiguous { .. })), "{failed:?}");
}

/// Each byte of the head comes in time, but the head does not.
#[tokio::test]
async fn a_peer_that_sends_one_byte_at_a_time_has_no_more_time_than_others() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // The client has asked before it is answered.
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        for byte in b"HTTP/1.1 201 Created\r\nx: ".iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let settings = config::Channel { send_timeout: Duration::from_millis(200), ..settings() };
    let connector = Connector::new(&settings, Vec::new(), None).unwrap();
    let sent = connector.send(&address("c", &url), &Arc::from("{}")).await;
    let Err(ChannelError::Ambiguous { why, .. }) = sent else { panic!("{sent:?}") };
    assert_eq!(why, "no response within channel.send-timeout-ms");
}

#[tokio::test]
async fn silence_ends_with_the_timeout_and_is_ambiguous() {
    let mut peer = Peer::silent().await;
    let mut settings = settings();
    settings.send_timeout = Duration::from_millis(200);
    let connector = Connector::new(&settings, Vec::new(), None).unwrap();
    let Err(ChannelError::Ambiguous { why, .. }) = connector.send(&address("c", &peer.url), &Arc::from("{}")).await
    else {
        panic!("silence is ambiguous");
    };
    assert!(why.contains("channel.send-timeout-ms"), "{why}");
    assert!(peer.request().await.starts_with("POST /v3/conversations/c/activities "));
}

#[tokio::test]
async fn a_peer_that_is_not_there_certainly_took_nothing() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = connector().send(&address("c", &format!("http://{closed}")), &Arc::from("{}")).await;
    let Err(ChannelError::Unreachable { peer, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(*peer, *format!("http://{closed}"));
}

#[tokio::test]
async fn verbs_paths_and_headers_are_the_protocols() {
    let mut peer = Peer::answering(&answer("200 OK", "", "")).await;
    let connector = connector();
    let to = address("19:a@b/c?d#e %|é", &format!("{}/base/", peer.url));
    let encoded = "/base/v3/conversations/19%3Aa%40b%2Fc%3Fd%23e%20%25%7C%C3%A9/activities";

    connector.send(&to, &Arc::from(r#"{"type":"message","text":"hi"}"#)).await.unwrap();
    let request = peer.request().await;
    assert!(request.starts_with(&format!("POST {encoded} HTTP/1.1\r\n")), "{request}");
    let head = request.to_ascii_lowercase();
    assert!(head.contains("content-type: application/json; charset=utf-8\r\n"), "{request}");
    assert!(head.contains("user-agent: turntable/"), "{request}");
    assert!(!head.contains("authorization"), "{request}");
    assert!(request.ends_with(r#"{"type":"message","text":"hi"}"#), "{request}");

    connector.send(&to, &Arc::from(r#"{"type":"message","replyToId":"1/2"}"#)).await.unwrap();
    assert!(peer.request().await.starts_with(&format!("POST {encoded}/1%2F2 HTTP/1.1\r\n")));
    connector.update(&to, "1|2", &Arc::from(r#"{"type":"message"}"#)).await.unwrap();
    assert!(peer.request().await.starts_with(&format!("PUT {encoded}/1%7C2 HTTP/1.1\r\n")));
    connector.delete(&to, "12").await.unwrap();
    assert!(peer.request().await.starts_with(&format!("DELETE {encoded}/12 HTTP/1.1\r\n")));

    connector.send(&address("plain", &peer.url), &Arc::from("{}")).await.unwrap();
    assert!(peer.request().await.contains("x-ms-conversation-id: plain\r\n"));
    connector.send(&address("line\r\nx-injected: 1", &peer.url), &Arc::from("{}")).await.unwrap();
    let request = peer.request().await;
    assert!(!request.contains("x-injected: 1") && !request.contains("x-ms-conversation-id"), "{request}");
}

#[tokio::test]
async fn ids_that_would_walk_up_the_path_are_refused() {
    let mut peer = Peer::answering(&answer("200 OK", "", "")).await;
    let (connector, to) = (connector(), address("c", &peer.url));
    for dots in [".", ".."] {
        let sent = connector.send(&address(dots, &peer.url), &Arc::from("{}")).await;
        assert!(matches!(sent, Err(ChannelError::Refused { .. })), "{sent:?}");
        assert!(matches!(connector.delete(&to, dots).await, Err(ChannelError::Refused { .. })));
    }
    assert!(matches!(connector.delete(&to, "").await, Err(ChannelError::Refused { .. })));
    assert!(peer.unheard());
    // Percent-encoding does not help, because the URL standard treats `%2e` as a dot. The assertion below checks that.
    for (dots, path) in [("%2E", "/v3/conversations/activities"), ("%2E%2E", "/v3/activities")] {
        let url = Url::parse(&format!("http://localhost/v3/conversations/{dots}/activities")).unwrap();
        assert_eq!(url.path(), path);
    }
    connector.send(&address("...", &peer.url), &Arc::from("{}")).await.unwrap();
    assert!(peer.request().await.starts_with("POST /v3/conversations/.../activities "));
    connector.send(&address("%2e%2e", &peer.url), &Arc::from("{}")).await.unwrap();
    assert!(peer.request().await.starts_with("POST /v3/conversations/%252e%252e/activities "));
}

#[tokio::test]
async fn replies_go_to_configured_origins_only() {
    let mut settings = settings();
    settings.connector_origins = vec!["http://localhost:56150".to_owned(), "http://127.0.0.9:*".to_owned()];
    let own = ["127.0.0.1:3978".parse().unwrap(), "0.0.0.0:4000".parse().unwrap()];
    let origins = Origins::new(&settings.connector_origins, own.to_vec()).unwrap();
    for allowed in [
        "http://localhost:56150",
        "http://localhost:56150/_connector/",
        "http://127.0.0.1:56150/",
        "http://[::1]:56150",
        "http://127.1:56150",
        "HTTP://LOCALHOST:56150/",
        "http://127.0.0.9:1",
    ] {
        assert!(origins.admit(allowed).is_ok(), "{allowed}: {:?}", origins.admit(allowed));
    }
    for refused in [
        "http://localhost:56151",
        "http://localhost",
        "http://localhost.:56150",
        "http://localhost.example.org:56150",
        "http://example.org:56150",
        "http://0.0.0.0:56150",
        "http://[::ffff:127.0.0.1]:56150",
        "http://10.0.0.1:56150",
        "http://169.254.169.254/",
        "https://localhost:56150",
        "http://127.0.0.9:4000",
    ] {
        assert!(origins.admit(refused).is_err(), "{refused}");
    }
    for (refused, why) in [
        ("http://example.org/", "channel.connector-origins"),
        ("http://user@localhost:56150", "user name"),
        ("http://localhost:56150/?a", "query"),
        ("http://localhost:56150/#a", "fragment"),
        ("ftp://localhost:56150/", "scheme ftp"),
        ("file:///etc/passwd", "scheme file"),
        ("not a url", "not a URL"),
        ("", "no serviceUrl"),
    ] {
        let said = origins.admit(refused).unwrap_err().why();
        assert!(said.contains(why), "{refused}: {said}");
    }
}

#[tokio::test]
async fn the_hosts_own_listeners_are_never_called() {
    let mut peer = Peer::answering(&answer("200 OK", "", "")).await;
    let own = peer.url.strip_prefix("http://").unwrap().parse::<SocketAddr>().unwrap();
    let connector = Connector::new(&settings(), vec![own], None).unwrap();
    for name in ["127.0.0.1", "localhost", "[::1]"] {
        let url = format!("http://{name}:{}/", own.port());
        let Err(ChannelError::Refused { why, .. }) = connector.send(&address("c", &url), &Arc::from("{}")).await else {
            panic!("{url} is the host itself");
        };
        assert!(why.contains("is a listener of this host"), "{why}");
    }
    assert!(peer.unheard());
}

#[tokio::test]
async fn a_name_is_resolved_to_loopback() {
    let mut peer = Peer::answering(&answer("200 OK", "", "")).await;
    let url = peer.url.replace("127.0.0.1", "localhost");
    connector().send(&address("c", &url), &Arc::from("{}")).await.unwrap();
    assert!(peer.request().await.starts_with("POST "));
}

#[test]
fn origins_that_cannot_be_meant_stop_the_start() {
    for wrong in ["http://example.org", "localhost:1", "ftp://localhost", "http://10.0.0.1:*", ""] {
        let mut settings = settings();
        settings.connector_origins = vec![wrong.to_owned()];
        let error = Connector::new(&settings, Vec::new(), None).err().unwrap();
        assert!(format!("{error:#}").contains("channel.connector-origins"), "{wrong}: {error:#}");
    }
}

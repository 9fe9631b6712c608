use axum::extract::WebSocketUpgrade;
use axum::extract::ws::Message;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite;

use super::*;

fn patient() -> Connections {
    let server = config::Server { keep_alive: Duration::from_secs(600), ..config::Server::default() };
    Connections::public(&server)
}

/// Returns the address of a running server, what stops it, and its end.
async fn start(router: Router) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = serve(listener, router, patient(), async move { stopped.await.unwrap_or_default() });
    (address, stop, tokio::spawn(server))
}

/// Sends one request and reads one answer of known length.
async fn exchange(stream: &mut TcpStream, request: &str, answer_ends: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with(answer_ends) {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    answer
}

#[tokio::test]
async fn a_connection_serves_several_requests_and_knows_its_address() {
    let handler = async |Extension(LocalAddress(local)): Extension<LocalAddress>| format!("{local}!");
    let (address, _stop, _server) = start(Router::new().route("/", get(handler))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        let answer = exchange(&mut stream, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", "!").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&format!("{address}!")), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_without_a_next_request_is_closed_after_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(async || "hi"));
    let hasty = Connections { keep_alive: Duration::from_millis(50), ..patient() };
    tokio::spawn(serve(listener, router, hasty, std::future::pending()));
    // On a slow machine the time may be over before the request is there; then it is asked again.
    loop {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut all = Vec::new();
        let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let is_closed = stream.write_all(request).await.is_ok() && stream.read_to_end(&mut all).await.is_ok();
        if is_closed && all.starts_with(b"HTTP/1.1 200") {
            break;
        }
    }
}

/// The first of two connections is idle, and there is one place.
#[tokio::test]
async fn an_idle_connection_gives_its_place_to_a_new_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(async || "hi"));
    tokio::spawn(serve(listener, router, Connections { max: 1, ..patient() }, std::future::pending()));
    let mut idle = TcpStream::connect(address).await.unwrap();
    exchange(&mut idle, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", "hi").await;
    let mut half_a_head = TcpStream::connect(address).await.unwrap();
    half_a_head.write_all(b"GET / HT").await.unwrap();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    let mut new = TcpStream::connect(address).await.unwrap();
    exchange(&mut new, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", "hi").await;
    assert!(matches!(half_a_head.read(&mut [0; 1]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn http_2_that_only_pings_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hasty = Connections { keep_alive: Duration::from_millis(50), ..patient() };
    tokio::spawn(serve(listener, Router::new(), hasty, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[7; 8]].concat();
    let (mut reads, mut writes) = stream.split();
    let pings = async {
        while writes.write_all(&ping).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let end = async { while matches!(reads.read(&mut [0; 4096]).await, Ok(read) if read > 0) {} };
    tokio::select! {
        () = pings => {}
        () = end => {}
    }
}

/// The answer is larger than what fits between the ends of a connection.
#[tokio::test]
async fn a_client_that_never_reads_is_given_up() {
    struct Told(tokio::sync::mpsc::UnboundedSender<()>, Vec<u8>);
    impl AsRef<[u8]> for Told {
        fn as_ref(&self) -> &[u8] {
            &self.1
        }
    }
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (dropped, mut drops) = tokio::sync::mpsc::unbounded_channel();
    let handler = async move || Body::from(Bytes::from_owner(Told(dropped.clone(), vec![0; 64 << 20])));
    let hasty = Connections { write_stall: Duration::from_millis(50), ..patient() };
    tokio::spawn(serve(listener, Router::new().route("/", get(handler)), hasty, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(drops.recv().await, Some(()), "nothing of the answer is in memory");
}

#[tokio::test]
async fn a_proxy_names_the_client_of_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = config::Server {
        proxies: vec!["127.0.0.0/8".parse().unwrap()],
        proxy_protocol: true,
        ..config::Server::default()
    };
    let handler = async |Extension(PeerAddress(peer)): Extension<PeerAddress>| format!("{peer}!");
    let router = Router::new().route("/", get(handler));
    tokio::spawn(serve(listener, router, Connections::public(&server), std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\nGET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert!(exchange(&mut stream, request, "!").await.ends_with("192.0.2.7!"));
    let mut without = TcpStream::connect(address).await.unwrap();
    without.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(matches!(without.read(&mut [0; 1]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn http_2_is_spoken_by_prior_knowledge() {
    let (address, _stop, _server) = start(Router::new()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let empty_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&empty_settings).await.unwrap();
    let mut header = [0; 9];
    stream.read_exact(&mut header).await.unwrap();
    assert_eq!(header[3], 4, "the first frame is SETTINGS: {header:?}");
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way_and_closes_what_is_idle() {
    let (started, mut starts) = tokio::sync::mpsc::channel(1);
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let slow = async move || {
        started.send(()).await.unwrap();
        opened.acquire().await.unwrap().forget();
        "done"
    };
    let router = Router::new().route("/slow", get(slow)).route("/", get(async || "quick"));
    let (address, stop, server) = start(router).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    exchange(&mut idle, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", "quick").await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let caller = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        exchange(&mut stream, "GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n", "done").await
    });
    starts.recv().await.unwrap();

    stop.send(()).unwrap();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "the idle connection is closed");
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0, "and the one that never said anything");
    assert!(!server.is_finished());
    gate.add_permits(1);
    assert!(caller.await.unwrap().starts_with("HTTP/1.1 200"));
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nothing listens any more");
}

/// The answer is large, so that it is still being sent after the client has closed its side.
#[tokio::test]
async fn a_client_that_ends_its_side_reads_the_whole_answer() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let (started, mut starts) = tokio::sync::mpsc::channel(1);
    let handler = async move |body: String| {
        started.send(()).await.unwrap();
        opened.acquire().await.unwrap().forget();
        body.repeat(1 << 20)
    };
    let (address, _stop, _server) = start(Router::new().route("/", axum::routing::post(handler))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
    stream.shutdown().await.unwrap();
    starts.recv().await.unwrap();
    gate.add_permits(1);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"hihi"));
    assert!(answer.len() > 2 << 20, "{}", answer.len());
}

#[tokio::test]
async fn a_client_that_is_gone_holds_no_connection() {
    /// Reports when the handler of a request is dropped.
    struct Held(tokio::sync::mpsc::UnboundedSender<&'static str>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.send("given up").unwrap();
        }
    }
    let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
    let handler = async move || {
        let _held = Held(told.clone());
        told.send("begun").unwrap();
        std::future::pending::<()>().await;
    };
    let (address, _stop, _server) = start(Router::new().route("/", get(handler))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(tells.recv().await, Some("begun"));
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    assert_eq!(tells.recv().await, Some("given up"));
}

#[tokio::test]
async fn a_connection_can_become_a_web_socket() {
    async fn echo(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                socket.send(Message::Text(text)).await.unwrap();
            }
        })
    }
    let (address, _stop, _server) = start(Router::new().route("/socket", get(echo))).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("ws://localhost/socket", stream).await.unwrap();
    socket.send(tungstenite::Message::text("hi")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), tungstenite::Message::text("hi"));
}

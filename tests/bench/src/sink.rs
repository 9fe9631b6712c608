//! A connector that accepts every activity and notifies its subscribers.
//!
//! It has two listeners: the connector, and one that writes a line of JSON for each activity to every client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::report;
use crate::stats::now;

/// The addresses of a sink.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// The address of the connector.
    pub(crate) channel: SocketAddr,
    /// The address for subscribers.
    pub(crate) records: SocketAddr,
}

/// One activity that arrived.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The time at which its request had been read, see [`now`].
    pub(crate) at: u64,
    pub(crate) conversation: String,
    /// The id of the activity that it replies to.
    pub(crate) reply_to: String,
    pub(crate) text: String,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    text: String,
}

#[derive(Default)]
struct Subscribers(Mutex<Vec<mpsc::UnboundedSender<Arc<[u8]>>>>);

/// Runs until it is killed. Prints its addresses first.
pub(crate) async fn run() -> anyhow::Result<()> {
    let channel = TcpListener::bind("127.0.0.1:0").await?;
    let records = TcpListener::bind("127.0.0.1:0").await?;
    report::print(&Addresses { channel: channel.local_addr()?, records: records.local_addr()? })?;
    let subscribers = Arc::new(Subscribers::default());
    loop {
        tokio::select! {
            accepted = channel.accept() => {
                tokio::spawn(serve(accepted?.0, subscribers.clone()));
            }
            accepted = records.accept() => {
                let (sender, receiver) = mpsc::unbounded_channel();
                subscribers.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
                tokio::spawn(tell(accepted?.0, receiver));
            }
        }
    }
}

/// Writes waiting lines in batches until the subscriber disconnects.
async fn tell(mut stream: TcpStream, mut lines: mpsc::UnboundedReceiver<Arc<[u8]>>) {
    let _ = stream.set_nodelay(true);
    let mut waiting = Vec::new();
    while lines.recv_many(&mut waiting, 256).await > 0 {
        let bytes: Vec<u8> = waiting.drain(..).flat_map(|line| line.to_vec()).collect();
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn serve(stream: TcpStream, subscribers: Arc<Subscribers>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| take(request, &subscribers));
    // A broken connection loses replies, which the load reports.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Accepts `POST …/v3/conversations/{id}/activities/{replyToId}`.
async fn take(request: Request<Incoming>, subscribers: &Subscribers) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let Ok(body) = request.into_body().collect().await else {
        return Ok(answer(400, r#"{"error":{"code":"BadSyntax","message":"the body broke off"}}"#));
    };
    let at = now();
    let mut segments = path.split('/').skip_while(|segment| *segment != "conversations").skip(1);
    let conversation = segments.next().unwrap_or_default().to_owned();
    let reply_to = segments.nth(1).unwrap_or_default().to_owned();
    let Ok(activity) = serde_json::from_slice::<Reply>(&body.to_bytes()) else {
        return Ok(answer(400, r#"{"error":{"code":"BadSyntax","message":"the body is no activity"}}"#));
    };
    let id = format!(r#"{{"id":"sink-{at}"}}"#);
    subscribers.publish(&Record { at, conversation, reply_to, text: activity.text });
    Ok(answer(200, &id))
}

fn answer(status: u16, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    response
}

impl Subscribers {
    fn publish(&self, record: &Record) {
        let Ok(mut line) = serde_json::to_vec(record) else { return };
        line.push(b'\n');
        let line: Arc<[u8]> = line.into();
        let mut subscribers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| subscriber.send(line.clone()).is_ok());
    }
}

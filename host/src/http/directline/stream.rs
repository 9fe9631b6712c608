//! The WebSocket that shows a conversation as it happens.

use std::sync::Arc;
use std::time::Duration;

use axum::RequestExt;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::token::forbidden;
use super::{Local, member, watermark};
use crate::channel::directline::Subscription;
use crate::http::error::HttpError;

/// An empty frame says that the connection lives; clients send one every 20 s themselves.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long a frame may take to leave.
const SEND_MAX: Duration = Duration::from_secs(10);
/// Clients have nothing to say here.
const RECEIVED_BYTES_MAX: usize = 4 * 1024;
/// WebSocket close codes: normal, and a reason of the server's.
const NORMAL: u16 = 1000;
const GOING: u16 = 1008;

/// `GET conversations/{id}/stream`
pub(super) async fn open(
    State(local): State<Arc<Local>>,
    Path(id): Path<String>,
    mut request: Request,
) -> Result<Response, HttpError> {
    let upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection> = request.extract_parts().await;
    let (parts, _) = request.into_parts();
    let token = member(parts.uri.query(), "t").ok_or_else(HttpError::unauthorized)?;
    let claims = local.tokens.stream(&token, &parts)?;
    local.check(&claims)?;
    if claims.conv != id {
        return Err(forbidden("the stream URL is for another conversation"));
    }
    let from = watermark(parts.uri.query())?;
    let upgrade =
        upgrade.map_err(|_| HttpError::bad_argument("this route is a WebSocket; the request is no upgrade"))?;
    let conversation = local.find(&claims)?;
    let ticket = claims.ticket.unwrap_or_default();
    let stream = conversation
        .subscribe(ticket, from)
        .map_err(|_| forbidden("the stream URL was used before; `GET conversations/{id}` returns a new one"))?;
    Ok(upgrade.max_message_size(RECEIVED_BYTES_MAX).on_upgrade(move |socket| run(socket, stream)))
}

/// Sends what happens until either side ends it.
async fn run(mut socket: WebSocket, mut stream: Subscription) {
    let mut keep_alive = interval(KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    keep_alive.reset();
    loop {
        let frame = tokio::select! {
            frame = stream.next() => match frame {
                Some(frame) => frame,
                None => return close(socket, stream.reason()).await,
            },
            _ = keep_alive.tick() => String::new(),
            received = socket.recv() => match received {
                // Keep-alives of the client, and whatever else it says.
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
        };
        if !send(&mut socket, Message::Text(frame.into())).await {
            return;
        }
    }
}

/// Sends a message; false where the connection is gone or stuck.
pub(in crate::http) async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(SEND_MAX, socket.send(message)).await, Ok(Ok(())))
}

async fn close(mut socket: WebSocket, reason: &'static str) {
    let code = if reason.is_empty() { NORMAL } else { GOING };
    send(&mut socket, Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
}

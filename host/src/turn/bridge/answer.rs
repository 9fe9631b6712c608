//! What the HTTP answer of a bridged bot means: for an invoke it is the answer, for everything else only its status counts.

use serde_json::Value;

use crate::channel::bridge::{Answered, Body};
use crate::config::Bridge;
use crate::plugin::{Failure, Fault};
use crate::turn::outgoing::checked_response;
use crate::turn::{Answer, Turn};

impl Turn {
    /// Makes of an answer what it means for the turn.
    pub(super) async fn take_answer(&mut self, bridge: &Bridge, answered: Answered) -> Result<(), Failure> {
        let inbound = self.context.inbound.activity.clone();
        if inbound.kind() != "invoke" {
            return match answered.status {
                200..300 => Ok(()),
                status => Err(failed(status)),
            };
        }
        // 501: the bot has no handler for this invoke, which is what the turn answers if nobody responds.
        let Some(Answer { status, body }) = invoke_answer(answered)? else { return Ok(()) };
        let response = checked_response(&inbound, status.into(), body.as_deref(), &bridge.limits);
        let response = response.map_err(Failure::Fault)?;
        let sent = self.effects.respond(self.effects.hooks.layers(), &bridge.name, &bridge.limits, response).await;
        sent.map_err(|unsent| Failure::Fault(unsent.into()))
    }
}

/// Reads the answer to an invoke. None: the bot has no handler for it.
fn invoke_answer(answered: Answered) -> Result<Option<Answer>, Failure> {
    let status = answered.status;
    let body = match answered.body {
        Body::Whole(body) => body,
        Body::Cut => {
            return Err(invalid(
                "the bridged bot answered an invoke with a body that broke off or exceeds `bytes-per-send`",
            ));
        }
        Body::Encoded => return Err(invalid("the bridged bot answered an invoke with a compressed body")),
    };
    let body: Option<Value> = match body.is_empty() {
        true => None,
        false => serde_json::from_slice(&body).ok().map(Some).ok_or(()).or_else(|()| match status {
            // A web framework says in words of its own that the bot failed or has no handler.
            500..600 => Ok(None),
            _ => Err(invalid("the bridged bot answered an invoke with a body that is not JSON")),
        })?,
    };
    match (status, body) {
        (501, _) => Ok(None),
        // Bots answer an invoke with 5xx and an object on purpose; what crashed answers with a text or nothing.
        (500..600, Some(Value::Object(object))) => {
            Ok(Some(Answer { status, body: Some(Value::Object(object).to_string().into()) }))
        }
        (200..300 | 400..500, body) => {
            let body = body.filter(|body| !body.is_null()).map(|body| body.to_string().into());
            Ok(Some(Answer { status, body }))
        }
        (status, _) => Err(failed(status)),
    }
}

fn failed(status: u16) -> Failure {
    let hint = match status {
        401 | 403 => "; it demands a token, see `bridge-app-id`",
        404 | 405 => "; `bridge` must be its messaging endpoint",
        413 => "; the activity is larger than its web server takes",
        _ => "",
    };
    Failure::Fault(Fault::new("unavailable", format!("the bridged bot answered {status}{hint}")))
}

fn invalid(why: &'static str) -> Failure {
    Failure::Fault(Fault::invalid(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<Option<(u16, Option<String>)>, String> {
        let answered = Answered { status, body: Body::Whole(body.as_bytes().to_vec().into()) };
        match invoke_answer(answered) {
            Ok(answer) => Ok(answer.map(|answer| (answer.status, answer.body.map(|body| body.to_string())))),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn an_invoke_is_answered_as_the_bot_answers_it_unless_that_is_a_crash() {
        let body = |text: &str| Some(text.to_owned());
        assert_eq!(read(200, r#"{"a":1.0}"#), Ok(Some((200, body(r#"{"a":1.0}"#)))));
        assert_eq!(read(200, ""), Ok(Some((200, None))));
        assert_eq!(read(200, "null"), Ok(Some((200, None))), "as botbuilder for Python says it");
        assert_eq!(read(412, r#"{"failureDetail":"x"}"#), Ok(Some((412, body(r#"{"failureDetail":"x"}"#)))));
        assert_eq!(read(500, r#"{"error":{}}"#), Ok(Some((500, body(r#"{"error":{}}"#)))));
        assert_eq!(read(501, ""), Ok(None));
        assert_eq!(read(501, "<html>"), Ok(None));
        for (status, text) in [(500, "socket hang up"), (500, "\"as restify says it\""), (500, ""), (302, "")] {
            assert!(read(status, text).unwrap_err().contains(&status.to_string()), "{status} {text}");
        }
        assert!(read(200, "<html>").unwrap_err().contains("not JSON"));
    }
}

//! Answers each message with the text of a model, while the model writes it. It works with every endpoint that speaks the chat
//! protocol of OpenAI. The plugin never sees the key: the host puts it on the request.

mod events;

use serde::{Deserialize, Serialize};
use turntable_sdk::http::{Request, Response};
use turntable_sdk::prelude::*;
use turntable_sdk::{Value, json};

use crate::events::Events;

/// Messages of a conversation that the model gets again, if the setting `memory-messages` does not say otherwise.
const MEMORY_MESSAGES: usize = 20;
/// Characters of one remembered message. A longer one is cut.
const MEMORY_CHARS: usize = 4_000;
/// Characters of the description of an error in the log.
const ERROR_CHARS: usize = 300;

/// A message as the model gets it, and as the conversation remembers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Said {
    role: String,
    content: String,
}

impl Said {
    fn new(role: &str, content: &str) -> Self {
        Self { role: role.to_owned(), content: content.chars().take(MEMORY_CHARS).collect() }
    }
}

#[derive(Default)]
struct Assistant;

impl Bot for Assistant {
    fn manifest(&self) -> Manifest {
        Manifest::new()
            .description("Answers with the streamed text of a model")
            .activities(["message"])
            .wants_state([Scope::Conversation])
            .wants_http(["POST"], "https://*/")
            .wants_http(["POST"], "http://*/")
            .settings(json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["url", "model"],
                "properties": {
                    "url": { "type": "string", "minLength": 1, "description": "The base URL of the endpoint, such as https://api.openai.com/v1. The operator grants it." },
                    "model": { "type": "string", "minLength": 1, "description": "The name of the model." },
                    "instructions": { "type": "string", "description": "What the model is told before each conversation." },
                    "waiting": { "type": "string", "description": "The line that the user sees until the model begins. Default: none." },
                    "memory-messages": { "type": "integer", "minimum": 0, "maximum": 200, "description": "Earlier messages that the model gets again. Default 20." },
                    "tokens-max": { "type": "integer", "minimum": 1, "description": "The most tokens of one answer. Default: what the endpoint does." }
                }
            }))
    }

    fn on_message(&mut self, turn: &mut Turn) -> Result {
        let asked = turn.spoken_text();
        if asked.is_empty() {
            return Ok(Next);
        }
        let mut memory = turn.state().conversation::<Vec<Said>>("messages");
        let mut said = memory.get()?.unwrap_or_default();
        said.push(Said::new("user", &asked));
        let waiting = turn.config::<String>("waiting")?;
        let mut stream = turn.stream(waiting.as_deref())?;
        let answer = answer(turn, &said, &mut stream)?;
        stream.close()?;
        said.push(Said::new("assistant", &answer));
        let kept = turn.config("memory-messages")?.unwrap_or(MEMORY_MESSAGES);
        memory.set(&said.split_off(said.len().saturating_sub(kept)))?;
        Ok(Handled)
    }
}

/// Asks the model, and streams what it writes. Returns all of it.
fn answer(turn: &Turn, said: &[Said], stream: &mut TextStream<'_>) -> Result<String> {
    let mut response = turn.http().send(request(turn, said)?)?;
    if !(200..300).contains(&response.status()) {
        return Err(refused(turn, response));
    }
    let (mut events, mut answer) = (Events::default(), String::new());
    while let Some(bytes) = response.chunk()? {
        let mut news = String::new();
        for event in events.push(&bytes)? {
            if event == "[DONE]" {
                stream.append(&news)?;
                return Ok(answer + &news);
            }
            news.push_str(&piece(&event)?);
        }
        stream.append(&news)?;
        answer.push_str(&news);
    }
    // Some endpoints end without saying so. An answer without any text is no answer.
    if answer.is_empty() { Err(Fault::unavailable("the model sent no text")) } else { Ok(answer) }
}

fn request(turn: &Turn, said: &[Said]) -> Result<Request> {
    let (url, model) = (turn.required::<String>("url")?, turn.required::<String>("model")?);
    let instructions = turn.config::<String>("instructions")?;
    let instructions = instructions.map(|text| Said { role: "system".to_owned(), content: text });
    let messages: Vec<&Said> = instructions.iter().chain(said).collect();
    let mut body = json!({ "model": model, "messages": messages, "stream": true });
    if let Some(most) = turn.config::<u32>("tokens-max")? {
        body["max_completion_tokens"] = most.into();
    }
    let url = format!("{}/chat/completions", url.trim_end_matches('/'));
    Request::post(url).header("accept", "text/event-stream").json(&body)
}

/// Returns the text in one event of the model.
fn piece(event: &str) -> Result<String> {
    let event: Value = event
        .parse()
        .map_err(|error| Fault::unavailable(format!("the model sent an event that is not JSON: {error}")))?;
    if let Some(message) = event["error"]["message"].as_str() {
        let message: String = message.chars().take(ERROR_CHARS).collect();
        return Err(Fault::unavailable(format!("the model failed: {message}")));
    }
    Ok(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned())
}

/// Returns the fault for an answer that is not a success. The log has what the endpoint said; the user gets the bot's error text.
fn refused(turn: &Turn, response: Response) -> Fault {
    let status = response.status();
    let said: String = response.text().unwrap_or_default().chars().take(ERROR_CHARS).collect();
    turn.log(Level::Warn, "the model refused", &[("status", &status), ("said", &said)]);
    let why = match status {
        401 | 403 => "the key is missing or wrong: see `credential` in the grant `http`",
        404 => "it does not have this model, or the setting `url` is wrong",
        429 => "the limit of the account is reached",
        _ => "see the log",
    };
    Fault::unavailable(format!("the model's endpoint answered {status}: {why}"))
}

turntable_sdk::register!(Assistant);

#[cfg(test)]
mod tests;

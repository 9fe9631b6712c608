//! A stand-in for a language model on this machine, for `make run` and for tests. It speaks the streaming chat protocol of OpenAI and
//! understands nothing: it says what it is, and repeats what it was told.
//!
//! `cargo run -p assistant --example model -- 127.0.0.1:3980`

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use turntable_sdk::{Value, json};

/// Largest head and body of a request, in bytes.
const HEAD_BYTES_MAX: u64 = 16 << 10;
const BODY_BYTES_MAX: usize = 4 << 20;
/// Time between two words.
const PAUSE: Duration = Duration::from_millis(60);

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3980".to_owned());
    let listener = TcpListener::bind(&address)?;
    println!("an example program that stands in for a model listens on http://{}/v1", listener.local_addr()?);
    for connection in listener.incoming() {
        std::thread::spawn(move || {
            // A caller that hangs up is told nothing.
            let _ = connection.and_then(serve);
        });
    }
    Ok(())
}

/// Answers one request and closes the connection.
fn serve(stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (first, length) = head(&mut reader)?;
    if !first.starts_with("POST ") || !first.contains("/chat/completions ") {
        return refuse(stream, "404 Not Found", "only POST …/chat/completions exists");
    }
    let Some(length) = length.filter(|length| *length <= BODY_BYTES_MAX) else {
        return refuse(stream, "400 Bad Request", "the request needs a content-length of at most 4 MiB");
    };
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked = std::str::from_utf8(&body).ok().and_then(|body| body.parse::<Value>().ok()).unwrap_or_default();
    let last = asked["messages"].as_array().and_then(|messages| messages.last()).cloned().unwrap_or_default();
    let Some(said) = last["content"].as_str() else {
        return refuse(stream, "400 Bad Request", "the last message has no text");
    };
    write_answer(stream, said)
}

/// Reads the head of a request: its first line, and the length of its body.
fn head(reader: &mut BufReader<TcpStream>) -> io::Result<(String, Option<usize>)> {
    let mut limited = reader.take(HEAD_BYTES_MAX);
    let mut first = String::new();
    limited.read_line(&mut first)?;
    let mut length = None;
    loop {
        let mut line = String::new();
        if limited.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok((first, length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
}

fn write_answer(mut stream: TcpStream, said: &str) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
    let said: String = said.chars().take(500).collect();
    let answer = format!(
        "I am a small example program and not a language model, so I understand nothing. You said: «{said}». \
         Set `url`, `model` and a credential of a real endpoint in the configuration of this bot, and it answers in my place."
    );
    for word in answer.split_inclusive(' ') {
        let event =
            json!({ "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": { "content": word } }] });
        write!(stream, "data: {event}\n\n")?;
        stream.flush()?;
        std::thread::sleep(PAUSE);
    }
    stream.write_all(b"data: [DONE]\n\n")
}

fn refuse(mut stream: TcpStream, status: &str, why: &str) -> io::Result<()> {
    let body = json!({ "error": { "message": why } }).to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    write!(stream, "{head}connection: close\r\n\r\n{body}")
}

//! A guest that misbehaves as the text of its message says.
//!
//! | text | behaviour | outcome |
//! | --- | --- | --- |
//! | `trap` | replies, then panics | `trap`, with the panic on stderr; the reply is discarded |
//! | `abort` | aborts | `trap` |
//! | `exit` | exits with status 3 | `trap` |
//! | `recurse` | overflows its stack | `trap` |
//! | `spin` | computes for ever | `cpu-budget` |
//! | `burn N` | computes for N ms, then replies | `handled`, or `cpu-budget` |
//! | `sleep` | sleeps for an hour in a host call | `wall-clock` |
//! | `slow N` | replies, sleeps N ms, replies again | `handled`, or `wall-clock` |
//! | `allocate` | allocates without end | `memory` |
//! | `flood-sends` | sends until a send is refused, then replies with the number of sends (which is also refused) | `handled` |
//! | `flood-logs` | logs without end | `host-call-limit` |
//! | `flood-calls` | reads its config without end | `host-call-limit` |
//! | `flood-output` | writes 1 MiB to stdout and stderr, then replies | `handled` |
//! | `huge-reply` | replies with 1 MiB of text | `guest-fault`: it returns the host's fault |
//! | `huge-call` | passes 8 MiB to the host in one call | `trap` that names `host-call-bytes` |
//! | `huge-fault` | returns a fault of 1 MiB | `guest-fault`, truncated |
//! | `invalid-json`, `array-json`, `no-type`, `bad-update`, `bad-respond`, `host-type` | calls the host with invalid arguments, replies with the fault's code | `handled` |
//! | `flush-then-slow N` | replies with its marker, flushes, sleeps N ms, replies with its marker again | `handled` |
//! | `flush-then-burn N` | the same, but it computes for N ms | `handled`, or `cpu-budget` |
//! | `burn-then-sleep N` | replies with its marker, flushes, computes for N ms, sleeps for an hour in a host call | `wall-clock` |
//! | `flush-then-trap` | replies `kept`, flushes, replies `lost`, panics | `trap`; `kept` stays |
//! | `send-and-fault` | replies, then returns a fault | `guest-fault`; the reply is discarded |
//! | `spoof` | replies as another account into another conversation | `handled`; the host overwrites both |
//! | `edit` | replies, updates the reply while it is staged | `handled`; one activity leaves |
//! | `unsend` | replies `gone` and `stays`, deletes the first while it is staged | `handled` |
//! | `trace` | sends a trace, replies `sent`, or `dropped` if its id is empty | `handled` |
//! | `stream N` | opens a stream, sleeps N ms, ends it with the marker as its text | `handled` |
//! | `fetch HOST:PORT` | tries an HTTP request, replies with the error | `handled`, refused |
//! | `http REQUESTS` | sends HTTP requests, described in JSON, and replies with the results in JSON (`http.rs`) | `handled` |
//! | `edit-sent` | replies, flushes, updates the reply | `handled`; the channel gets an update |
//! | `unsend-sent` | replies, flushes, deletes the reply | `handled`; the channel gets a delete |
//! | `say-id` | replies `said`, then replies with the id of that reply | `handled` |
//! | `edit-id ID` | updates the activity with this host or channel id | `handled`; the channel gets an update |
//! | `unsend-id ID` | deletes the activity with this host or channel id | `handled`; the channel gets a delete |
//! | `send ACTIVITY` | sends an activity, as JSON | `handled` |
//! | `handles` | opens handles of the host without end | `trap` that names `resources` or `component-handles` |
//! | `shout` | writes log lines whose level is 1 MiB of text, then replies | `handled`; the level counts as `info` |
//! | `fields` | fills the fields of a request with 2 KiB, replies `filled` | `handled`, or `trap` that names `http-fields-bytes` |
//! | `hoard` | writes into bodies of requests that it never sends, replies with the number of bytes that the host accepted | `handled` |
//! | `random-bytes N` | asks for N random bytes at once, replies with their number | `handled`, or `trap` that names `random-bytes` |
//! | `env` | tries everything that WASI offers, replies with what it could access | `handled`: nothing |
//! | `random` | replies with a random number | `handled` |
//! | `count` | counts calls in a global, replies with the count | `handled`, always 1 |
//! | `generation` | replies with the marker in its binary | `handled` |
//! | `next` | returns flow `next` | `passed-on` |
//! | anything else | replies `ok: TEXT` | `handled` |
//! | no text but a value | replies `ok: VALUE` | `handled` |
//!
//! The response to an invoke is status 200 with the invoke's value. An invoke named `silent` gets no response, and one named
//! `trap` traps. `describe` follows the setting `describe`: `trap`, `spin`, `sleep`, `huge`, `not-json`, `no-name`, `bad-route`,
//! `calls-turn`, `fetch`, and `chance`, whose version depends on the clock and on random numbers. The manifest asks for the HTTP
//! requests that the setting `http` lists.

use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod http;

#[allow(missing_docs, clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });
}

use bindings::exports::turntable::bot::bot_handler::Guest;
use bindings::turntable::bot::types::{Fault, Flow, TurnMeta};
use bindings::turntable::bot::{config, log, turn};

/// The marker. Specs create other generations of this guest by changing these digits in the built component.
#[used]
static MARKER: [u8; 15] = *b"GENERATION-0000";

static CALLS: AtomicU32 = AtomicU32::new(0);

struct Hostile;

impl Guest for Hostile {
    fn describe() -> String {
        let wanted = config::get("describe").unwrap_or_default();
        let mut manifest = json!({"name": "hostile", "version": "0.1.0"});
        if let Some(http) = config::get("http").and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
            manifest["wants"] = json!({ "http": http });
        }
        match wanted.trim_matches('"') {
            "trap" => panic!("describe was told to trap"),
            "spin" => spin(None),
            "sleep" => sleep(Duration::from_secs(3600)),
            "huge" => json!({"name": "hostile", "version": "0.1.0", "description": "x".repeat(1 << 20)}).to_string(),
            "not-json" => "{not json".into(),
            "no-name" => json!({"version": "0.1.0"}).to_string(),
            "bad-route" => {
                json!({"name": "hostile", "version": "0.1.0", "routes": [{"name": "r", "pattern": "("}]}).to_string()
            }
            "chance" => {
                let seconds = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
                json!({"name": "hostile", "version": format!("{seconds}-{}", random())}).to_string()
            }
            "fetch" => json!({"name": "hostile", "version": fetch("127.0.0.1:1")}).to_string(),
            "calls-turn" => {
                let code = turn::reply(r#"{"type":"message"}"#).map_or_else(|fault| fault.code, |_| "allowed".into());
                json!({"name": "hostile", "version": code}).to_string()
            }
            _ => manifest.to_string(),
        }
    }

    fn on_activity(_meta: TurnMeta, activity: String) -> Result<Flow, Fault> {
        let activity: Value = serde_json::from_str(&activity).map_err(|error| fault("invalid", &error.to_string()))?;
        match activity["type"].as_str().unwrap_or_default() {
            "message" if activity["text"].is_null() && !activity["value"].is_null() => {
                say(&format!("ok: {}", activity["value"]))
            }
            "message" => on_message(activity["text"].as_str().unwrap_or_default()),
            "invoke" => on_invoke(&activity),
            _ => Ok(Flow::Next),
        }
    }
}

fn on_invoke(activity: &Value) -> Result<Flow, Fault> {
    match activity["name"].as_str().unwrap_or_default() {
        "silent" => Ok(Flow::Handled),
        "trap" => panic!("told to trap in an invoke"),
        "sleep" => sleep(Duration::from_secs(3600)),
        _ => {
            turn::respond(200, Some(&activity["value"].to_string()))?;
            Ok(Flow::Handled)
        }
    }
}

fn on_message(text: &str) -> Result<Flow, Fault> {
    let (command, argument) = text.split_once(' ').unwrap_or((text, ""));
    let milliseconds = Duration::from_millis(argument.parse().unwrap_or(0));
    match command {
        "trap" => {
            say("lost")?;
            panic!("told to trap")
        }
        "abort" => std::process::abort(),
        "exit" => std::process::exit(3),
        "recurse" => say(&recurse(1).to_string()),
        "spin" => {
            spin(None);
            Ok(Flow::Handled)
        }
        "burn" => {
            spin(Some(milliseconds));
            say("burnt")
        }
        "sleep" => sleep(Duration::from_secs(3600)),
        "slow" => {
            say("first")?;
            std::thread::sleep(milliseconds);
            say("second")
        }
        "allocate" => allocate(),
        "random" => say(&random().to_string()),
        "count" => say(&(CALLS.fetch_add(1, Ordering::Relaxed) + 1).to_string()),
        "generation" => say(&marker()),
        "env" => say(&escape_attempts().join(", ")),
        "fetch" => say(&fetch(argument)),
        "http" => say(&http::requests(argument).to_string()),
        "stream" => stream(milliseconds),
        "next" => Ok(Flow::Next),
        "edit" => {
            let id = reply("before")?;
            turn::update(&id, &message("after"))?;
            Ok(Flow::Handled)
        }
        "unsend" => {
            let id = reply("gone")?;
            reply("stays")?;
            turn::delete(&id)?;
            Ok(Flow::Handled)
        }
        "edit-sent" => {
            let id = reply("before")?;
            turn::flush()?;
            turn::update(&id, &message("after"))?;
            Ok(Flow::Handled)
        }
        "unsend-sent" => {
            let id = reply("gone")?;
            turn::flush()?;
            turn::delete(&id)?;
            Ok(Flow::Handled)
        }
        "say-id" => {
            let id = reply("said")?;
            say(&id)
        }
        "send" => {
            turn::send(argument)?;
            Ok(Flow::Handled)
        }
        "edit-id" => {
            turn::update(argument, &message("edited"))?;
            Ok(Flow::Handled)
        }
        "unsend-id" => {
            turn::delete(argument)?;
            Ok(Flow::Handled)
        }
        "flush-then-slow" => {
            say(&marker())?;
            turn::flush()?;
            std::thread::sleep(milliseconds);
            say(&marker())
        }
        "flush-then-burn" => {
            say(&marker())?;
            turn::flush()?;
            spin(Some(milliseconds));
            say(&marker())
        }
        "burn-then-sleep" => {
            say(&marker())?;
            turn::flush()?;
            spin(Some(milliseconds));
            sleep(Duration::from_secs(3600))
        }
        "flush-then-trap" => {
            say("kept")?;
            turn::flush()?;
            say("lost")?;
            panic!("told to trap after a flush")
        }
        "send-and-fault" => {
            say("lost")?;
            Err(fault("internal", "told to fail"))
        }
        _ => floods_and_nonsense(command, text),
    }
}

fn floods_and_nonsense(command: &str, text: &str) -> Result<Flow, Fault> {
    match command {
        "flood-sends" => {
            let mut sent = 0;
            while reply(&format!("{sent}")).is_ok() {
                sent += 1;
            }
            log::write("info", "flooded", &[("sent".into(), sent.to_string())]);
            Ok(Flow::Handled)
        }
        "flood-logs" => loop {
            log::write("info", &"x".repeat(1000), &[]);
        },
        "flood-calls" => loop {
            config::get("nothing");
        },
        "handles" => {
            let mut kept = Vec::new();
            loop {
                kept.push(wasip2::clocks::monotonic_clock::subscribe_duration(3_600_000_000_000));
            }
        }
        "shout" => {
            for _ in 0..4 {
                log::write(&"x".repeat(1 << 20), "loud", &[]);
            }
            say("shouted")
        }
        "fields" => {
            let value = "x".repeat(2 << 10).into_bytes();
            let filled = wasip2::http::types::Fields::new().append("name", &value);
            say(if filled.is_ok() { "filled" } else { "refused" })
        }
        "hoard" => say(&hoard(64 << 20).to_string()),
        "random-bytes" => {
            let count = text.split(' ').nth(1).and_then(|count| count.parse().ok()).unwrap_or(0);
            say(&wasip2::random::random::get_random_bytes(count).len().to_string())
        }
        "flood-output" => {
            let line = [b'x'; 1024];
            for _ in 0..1024 {
                let _ = std::io::stdout().write_all(&line);
                let _ = std::io::stderr().write_all(&line);
            }
            say("flooded")
        }
        "huge-reply" => say(&"x".repeat(1 << 20)),
        "huge-call" => say(&"x".repeat(8 << 20)),
        "huge-fault" => Err(fault("internal", &"x".repeat(1 << 20))),
        "invalid-json" => code_of(turn::reply("{not json")),
        "array-json" => code_of(turn::reply("[]")),
        "no-type" => code_of(turn::reply("{}")),
        "host-type" => code_of(turn::reply(r#"{"type":"invokeResponse"}"#)),
        "bad-update" => code_of(turn::update("tt-unknown", &message("x"))),
        "bad-respond" => code_of(turn::respond(99, None)),
        "trace" => {
            let id = turn::send(&json!({"type": "trace", "name": "t", "value": 1}).to_string())?;
            say(if id.is_empty() { "dropped" } else { "sent" })
        }
        "spoof" => {
            let activity = json!({"type": "message", "text": "spoofed", "id": "x", "from": {"id": "ceo"},
                "conversation": {"id": "elsewhere"}, "channelId": "elsewhere", "serviceUrl": "http://198.51.100.1/"});
            turn::send(&activity.to_string())?;
            Ok(Flow::Handled)
        }
        _ => say(&format!("ok: {text}")),
    }
}

fn message(text: &str) -> String {
    json!({"type": "message", "text": text}).to_string()
}

fn reply(text: &str) -> Result<String, Fault> {
    turn::reply(&message(text))
}

fn say(text: &str) -> Result<Flow, Fault> {
    reply(text)?;
    Ok(Flow::Handled)
}

/// Replies with the code of the fault, or `accepted`.
fn code_of<T>(result: Result<T, Fault>) -> Result<Flow, Fault> {
    say(&result.map_or_else(|fault| fault.code, |_| "accepted".into()))
}

fn fault(code: &str, message: &str) -> Fault {
    Fault { code: code.into(), message: message.into(), retry_after_ms: None, detail: None }
}

/// Computes for a time, or without end if there is no time.
fn spin(time: Option<Duration>) -> String {
    let start = Instant::now();
    let mut n = 0_u64;
    loop {
        for _ in 0..100_000 {
            n = std::hint::black_box(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        if time.is_some_and(|time| start.elapsed() >= time) {
            return n.to_string();
        }
    }
}

fn sleep(time: Duration) -> ! {
    loop {
        std::thread::sleep(time);
    }
}

fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + frame[(depth % 64) as usize] }
}

fn allocate() -> Result<Flow, Fault> {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn marker() -> String {
    // The reads are volatile and byte by byte, so that the compiler keeps no copy of the marker that the specs do not change.
    MARKER.iter().map(|byte| char::from(unsafe { std::ptr::read_volatile(byte) })).collect()
}

/// Streams one message in two pieces with a pause between them.
fn stream(pause: Duration) -> Result<Flow, Fault> {
    let piece = |stream_id: Option<&str>, kind: &str| {
        let sequence = u32::from(stream_id.is_some()) + 1;
        let mut info = json!({"type": "streaminfo", "streamType": kind, "streamSequence": sequence});
        if let Some(id) = stream_id {
            info["streamId"] = id.into();
        }
        info
    };
    let opening = json!({"type": "typing", "text": marker(), "entities": [piece(None, "streaming")]});
    let id = turn::send(&opening.to_string())?;
    std::thread::sleep(pause);
    let end = json!({"type": "message", "text": marker(), "entities": [piece(Some(&id), "final")]});
    turn::send(&end.to_string())?;
    Ok(Flow::Handled)
}

/// Writes into the bodies of many requests that are never sent. Returns how many bytes the host accepted, at most `max`.
fn hoard(max: usize) -> usize {
    use wasip2::http::types::{Fields, OutgoingRequest};
    let (chunk, mut kept, mut taken) = (vec![0; 1 << 20], Vec::new(), 0);
    for _ in 0..900 {
        let request = OutgoingRequest::new(Fields::new());
        let Ok(body) = request.body() else { break };
        let Ok(stream) = body.write() else { break };
        while taken < max
            && let Ok(permit) = stream.check_write()
        {
            let count = chunk.len().min(usize::try_from(permit).unwrap_or(chunk.len()));
            if count == 0 || stream.write(&chunk[..count]).is_err() {
                break;
            }
            taken += count;
        }
        kept.push((stream, body, request));
    }
    taken
}

/// Requests the root of an HTTP server and returns a description of the outcome.
fn fetch(authority: &str) -> String {
    use wasip2::http::outgoing_handler::handle;
    use wasip2::http::types::{Fields, OutgoingRequest, Scheme};
    let request = OutgoingRequest::new(Fields::new());
    let set = request
        .set_scheme(Some(&Scheme::Http))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some("/")));
    if set.is_err() {
        return "no request".into();
    }
    let pending = match handle(request, None) {
        Ok(pending) => pending,
        Err(code) => return format!("{code:?}"),
    };
    loop {
        match pending.get() {
            Some(Ok(Ok(response))) => return format!("ALLOWED {}", response.status()),
            Some(Ok(Err(code))) => return format!("{code:?}"),
            Some(Err(())) => return "taken twice".into(),
            None => pending.subscribe().block(),
        }
    }
}

/// Tries everything that a guest must not have, and returns what it could access.
fn escape_attempts() -> Vec<String> {
    let verdict = |name: &str, got: bool| format!("{name} {}", if got { "ALLOWED" } else { "denied" });
    vec![
        verdict("variables", std::env::vars().next().is_some()),
        verdict("arguments", std::env::args().next().is_some()),
        verdict("read", std::fs::read("/etc/passwd").is_ok()),
        verdict("list", std::fs::read_dir("/").is_ok()),
        verdict("write", std::fs::write("/tmp/hostile", b"x").is_ok()),
        verdict("connect", std::net::TcpStream::connect("127.0.0.1:22").is_ok()),
        verdict("listen", std::net::TcpListener::bind("127.0.0.1:0").is_ok()),
        verdict("udp", std::net::UdpSocket::bind("127.0.0.1:0").is_ok()),
        verdict("resolve", std::net::ToSocketAddrs::to_socket_addrs("localhost:80").is_ok()),
        verdict("stdin", std::io::stdin().lines().next().is_some_and(|line| line.is_ok())),
    ]
}

bindings::export!(Hostile with_types_in bindings);

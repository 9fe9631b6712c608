//! The load generator: users in a closed loop, or in an open loop at a fixed rate, and the outcome of their messages.
//!
//! A user is one conversation on one connection. In the closed loop it sends the next message when the reply to the last one
//! has arrived. In the open loop it sends at fixed times, whatever happens, and latency is measured from the intended time.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::http::Connection;
use crate::sink::{Addresses, Record};
use crate::stats::{now, quantile};

/// The plan of a load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The address of the bot.
    pub(crate) target: SocketAddr,
    pub(crate) path: String,
    /// The sink whose connector the activities name.
    pub(crate) sink: Addresses,
    /// True if the replies are in the answer, not sent to the sink.
    pub(crate) expect_replies: bool,
    /// Number of users, each with a conversation.
    pub(crate) users: usize,
    /// Messages per second of all users together. None means a closed loop.
    pub(crate) rate: Option<f64>,
    /// Duration of the warm-up, which is not measured.
    pub(crate) warm_up_ms: u64,
    /// Duration of the measurement.
    pub(crate) measure_ms: u64,
    pub(crate) text: String,
    /// The beginning of a correct reply. Any other reply is wrong, such as that of a failed turn.
    pub(crate) reply: String,
    /// An id that is unique among the loads of a server.
    pub(crate) tag: String,
}

/// The outcome of a load.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Messages that were answered, including the warm-up.
    pub(crate) answered: u64,
    /// Messages that were answered per second of the measurement.
    pub(crate) per_second: f64,
    /// Latencies from the (intended) sending to the arrival of the reply, in microseconds.
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
    /// Messages whose reply never arrived.
    pub(crate) lost: u64,
    /// Messages whose request failed.
    pub(crate) failed: u64,
    /// Replies that arrived more than once.
    pub(crate) duplicated: u64,
    /// Replies that arrived after the reply to a later message.
    pub(crate) reordered: u64,
    /// Replies with a wrong text or in another conversation.
    pub(crate) wrong: u64,
    /// Number of latencies that the quantiles are computed from.
    pub(crate) samples: usize,
    /// The first failures.
    pub(crate) errors: Vec<String>,
}

/// How long to wait for replies after the last message.
const STRAGGLERS_MAX: Duration = Duration::from_secs(10);
/// How long to wait for duplicates of replies.
const GRACE: Duration = Duration::from_millis(200);
const ERRORS_MAX: usize = 3;

/// One message of one user.
#[derive(Default)]
struct Said {
    intended: u64,
    failed: bool,
    replied: Option<u64>,
}

#[derive(Default)]
struct User {
    said: Vec<Said>,
    /// The number of the message that the newest reply belongs to, from 1.
    newest_reply: usize,
    heard: Rc<Notify>,
}

struct Crowd {
    plan: Plan,
    users: RefCell<Vec<User>>,
    tally: RefCell<Outcome>,
    begin: u64,
    measured_from: u64,
    end: u64,
}

/// Runs the plan.
pub(crate) async fn run(plan: Plan) -> anyhow::Result<Outcome> {
    // The start is a little later, so that all users are ready.
    let begin = now() + 50_000_000;
    let measured_from = begin + plan.warm_up_ms * 1_000_000;
    let end = measured_from + plan.measure_ms * 1_000_000;
    let users = (0..plan.users).map(|_| User::default()).collect();
    let sink = TcpStream::connect(plan.sink.records).await.context("the sink is not there")?;
    let crowd =
        Rc::new(Crowd { plan, users: RefCell::new(users), tally: RefCell::default(), begin, measured_from, end });
    let listener = tokio::task::spawn_local(listen(crowd.clone(), sink));
    let talking: Vec<_> =
        (0..crowd.plan.users).map(|user| tokio::task::spawn_local(crowd.clone().talk(user))).collect();
    for talk in talking {
        talk.await?;
    }
    crowd.wait_for_stragglers().await;
    listener.abort();
    Ok(crowd.outcome())
}

/// Reads the notifications of the sink.
async fn listen(crowd: Rc<Crowd>, sink: TcpStream) {
    let mut lines = BufReader::with_capacity(1 << 16, sink).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(record) = serde_json::from_str::<Record>(&line) {
            crowd.hear(&record.reply_to, &record.conversation, record.at, &record.text);
        }
    }
}

impl Crowd {
    async fn talk(self: Rc<Self>, user: usize) {
        let mut connection = Connection::new(self.plan.target);
        let interval = self.plan.rate.map(|rate| 1e9 * self.users_f64() / rate);
        sleep_until(self.begin).await;
        for turn in 0_u32.. {
            let intended = match interval {
                // Users are spread over the interval.
                Some(interval) => self.begin + as_u64(interval * (f64::from(turn) + fraction(user, self.plan.users))),
                None => now(),
            };
            if intended >= self.end {
                return;
            }
            let intended = sleep_until(intended).await;
            if let Err(error) = self.say(user, intended, &mut connection).await {
                self.fail(user, &format!("{error:#}"));
            }
        }
    }

    fn users_f64(&self) -> f64 {
        f64::from(u32::try_from(self.plan.users).unwrap_or(u32::MAX))
    }

    async fn say(&self, user: usize, intended: u64, connection: &mut Connection) -> anyhow::Result<()> {
        let message = {
            let mut users = self.users.borrow_mut();
            let said = &mut users.get_mut(user).context("no such user")?.said;
            said.push(Said { intended, ..Said::default() });
            said.len()
        };
        let body = self.activity(user, message);
        let (status, body) = connection.send(Method::POST, &self.plan.path, None, body).await?;
        if !(200..300).contains(&status) {
            anyhow::bail!("status {status}: {}", String::from_utf8_lossy(&body));
        }
        if self.plan.expect_replies {
            self.read_replies(&body)
        } else if self.plan.rate.is_none() {
            self.hear_reply(user, message).await
        } else {
            Ok(())
        }
    }

    fn activity(&self, user: usize, message: usize) -> Bytes {
        let Plan { tag, text, sink, .. } = &self.plan;
        let mut activity = json!({
            "type": "message",
            "id": format!("{tag}.{user}.{message}"),
            "timestamp": "2026-01-01T00:00:00.000Z",
            "channelId": "bench",
            "serviceUrl": format!("http://{}/", sink.channel),
            "from": {"id": format!("user-{user}"), "name": "User", "role": "user"},
            "recipient": {"id": "bot", "name": "Bot", "role": "bot"},
            "conversation": {"id": format!("{tag}.{user}")},
            "text": text,
            "textFormat": "plain",
            "locale": "en-US",
        });
        if self.plan.expect_replies {
            activity["deliveryMode"] = "expectReplies".into();
        }
        activity.to_string().into()
    }

    /// Records the replies in an answer.
    fn read_replies(&self, body: &[u8]) -> anyhow::Result<()> {
        let at = now();
        let body: Value = serde_json::from_slice(body).context("the answer is no JSON")?;
        for reply in body["activities"].as_array().into_iter().flatten() {
            let member = |name: &str| reply[name].as_str().unwrap_or_default();
            let conversation = reply["conversation"]["id"].as_str().unwrap_or_default();
            self.hear(member("replyToId"), conversation, at, member("text"));
        }
        Ok(())
    }

    /// Waits for the reply to a message.
    async fn hear_reply(&self, user: usize, message: usize) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                let heard = {
                    let users = self.users.borrow();
                    let Some(user) = users.get(user) else { return };
                    if user.said.get(message - 1).is_none_or(|said| said.replied.is_some()) {
                        return;
                    }
                    user.heard.clone()
                };
                heard.notified().await;
            }
        };
        tokio::time::timeout(STRAGGLERS_MAX, waiting).await.context("no reply came")
    }

    /// Records a reply. Replies to other loads are ignored.
    fn hear(&self, reply_to: &str, conversation: &str, at: u64, text: &str) {
        let Some(rest) = reply_to.strip_prefix(self.plan.tag.as_str()).and_then(|rest| rest.strip_prefix('.')) else {
            return;
        };
        let parsed = rest
            .split_once('.')
            .and_then(|(user, message)| Some((user.parse::<usize>().ok()?, message.parse::<usize>().ok()?)));
        let mut users = self.users.borrow_mut();
        let Some((user, message)) = parsed.and_then(|(user, message)| Some((users.get_mut(user)?, message))) else {
            return;
        };
        let mut tally = self.tally.borrow_mut();
        let Some(said) = message.checked_sub(1).and_then(|index| user.said.get_mut(index)) else { return };
        if said.replied.is_some() {
            tally.duplicated += 1;
            return;
        }
        said.replied = Some(at);
        // The id of a message is the id of its conversation and a number.
        let elsewhere = reply_to.rsplit_once('.').is_none_or(|(its_own, _)| its_own != conversation);
        tally.wrong += u64::from(elsewhere || !text.starts_with(&self.plan.reply));
        tally.reordered += u64::from(message < user.newest_reply);
        user.newest_reply = user.newest_reply.max(message);
        user.heard.notify_one();
    }

    fn fail(&self, user: usize, why: &str) {
        if let Some(said) = self.users.borrow_mut().get_mut(user).and_then(|user| user.said.last_mut()) {
            said.failed = true;
        }
        let mut tally = self.tally.borrow_mut();
        tally.failed += 1;
        if tally.errors.len() < ERRORS_MAX {
            tally.errors.push(why.to_owned());
        }
    }

    async fn wait_for_stragglers(&self) {
        let end = now() + as_u64(STRAGGLERS_MAX.as_secs_f64() * 1e9);
        while now() < end && self.users.borrow().iter().any(|user| user.said.iter().any(Said::is_awaited)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(GRACE).await;
    }

    fn outcome(&self) -> Outcome {
        let mut outcome = self.tally.borrow().clone();
        let mut latencies = Vec::new();
        let mut measured = 0_u32;
        for said in self.users.borrow().iter().flat_map(|user| &user.said) {
            outcome.lost += u64::from(said.is_awaited());
            let Some(replied) = said.replied else { continue };
            outcome.answered += 1;
            measured += u32::from((self.measured_from..self.end).contains(&replied));
            if (self.measured_from..self.end).contains(&said.intended) {
                latencies.push(replied.saturating_sub(said.intended) / 1000);
            }
        }
        latencies.sort_unstable();
        outcome.samples = latencies.len();
        outcome.per_second = f64::from(measured) / (Duration::from_millis(self.plan.measure_ms).as_secs_f64());
        outcome.p50_us = quantile(&latencies, 0.5);
        outcome.p99_us = quantile(&latencies, 0.99);
        outcome.p999_us = quantile(&latencies, 0.999);
        outcome.max_us = latencies.last().copied().unwrap_or_default();
        outcome
    }
}

impl Said {
    fn is_awaited(&self) -> bool {
        !self.failed && self.replied.is_none()
    }
}

impl Outcome {
    /// Fails if a message was lost, failed, or was answered twice, out of order or wrongly.
    pub(crate) fn checked(self) -> anyhow::Result<Self> {
        if self.answered == 0 || self.lost + self.failed + self.duplicated + self.reordered + self.wrong > 0 {
            anyhow::bail!(
                "of the messages {} were answered, {} lost, {} failed, {} answered twice, {} out of order, {} wrongly: {}",
                self.answered,
                self.lost,
                self.failed,
                self.duplicated,
                self.reordered,
                self.wrong,
                self.errors.join("; ")
            );
        }
        Ok(self)
    }
}

fn fraction(user: usize, users: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    number(user) / number(users)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are positive and fit")]
fn as_u64(number: f64) -> u64 {
    number as u64
}

/// The timer has a resolution of milliseconds, so a delay up to this is its granularity and not a backlog.
const TIMER_GRAIN: u64 = 1_500_000;

/// Waits until a time. Returns the start of the latency: this time, or the wake-up time if only the timer was late.
async fn sleep_until(time: u64) -> u64 {
    let left = time.saturating_sub(now());
    if left == 0 {
        return time;
    }
    tokio::time::sleep(Duration::from_nanos(left)).await;
    let woken = now();
    if woken < time + TIMER_GRAIN { woken } else { time }
}

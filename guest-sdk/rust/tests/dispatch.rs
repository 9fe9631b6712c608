//! Which handlers an activity reaches, and in which order: the dispatch tree as data.
//!
//! A bot that writes down every handler it is called with takes one activity per row of `data/dispatch.json`; each row
//! names the handlers that must run. `stop` names a handler that answers `Handled` (or, for an invoke, a response).

use std::cell::RefCell;

use serde_json::Value;
use turntable_sdk::prelude::*;
use turntable_sdk::testing::{Answer, Call, TestHost};
use turntable_sdk::{AdaptiveCardAction, MessageReaction, Search, TokenExchange, TokenResponse, json};

thread_local! {
    static CALLED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static STOP: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Notes the call; answers whether the row wants the handler to stop there.
fn called(handler: &str, with: &[&str]) -> bool {
    let call = if with.is_empty() { handler.to_owned() } else { format!("{handler} {}", with.join(",")) };
    CALLED.with_borrow_mut(|calls| calls.push(call));
    STOP.with_borrow(|stop| stop == handler)
}

fn flow(handler: &str, with: &[&str]) -> Result {
    Ok(if called(handler, with) { Handled } else { Next })
}

fn answer(handler: &str, with: &[&str]) -> Result<Option<InvokeResponse>> {
    Ok(called(handler, with).then(|| InvokeResponse::ok(json!({ "by": handler }))))
}

fn ids(members: &[ChannelAccount]) -> Vec<&str> {
    members.iter().map(|member| member.id.as_str()).collect()
}

fn kinds(reactions: &[MessageReaction]) -> Vec<&str> {
    reactions.iter().map(|reaction| reaction.kind.as_str()).collect()
}

#[derive(Default)]
struct Witness;

macro_rules! witnesses {
    ($($handler:ident)*) => {
        $(fn $handler(&mut self, _turn: &mut Turn) -> Result {
            flow(stringify!($handler), &[])
        })*
    };
}

impl Bot for Witness {
    fn manifest(&self) -> Manifest {
        Manifest::new().route(Route::new("help", "help"))
    }

    witnesses! {
        on_message on_message_update on_message_delete on_conversation_update on_message_reaction on_event
        on_end_of_conversation on_typing on_installation_update on_installation_added on_installation_removed
        on_command on_command_result on_unrecognized
    }

    fn on_route(&mut self, _turn: &mut Turn, name: &str) -> Result {
        flow("on_route", &[name])
    }

    fn on_members_added(&mut self, _turn: &mut Turn, members: &[ChannelAccount]) -> Result {
        flow("on_members_added", &ids(members))
    }

    fn on_members_removed(&mut self, _turn: &mut Turn, members: &[ChannelAccount]) -> Result {
        flow("on_members_removed", &ids(members))
    }

    fn on_reactions_added(&mut self, _turn: &mut Turn, reactions: &[MessageReaction]) -> Result {
        flow("on_reactions_added", &kinds(reactions))
    }

    fn on_reactions_removed(&mut self, _turn: &mut Turn, reactions: &[MessageReaction]) -> Result {
        flow("on_reactions_removed", &kinds(reactions))
    }

    fn on_token_response(&mut self, _turn: &mut Turn, token: &TokenResponse) -> Result {
        flow("on_token_response", &[token.token.as_deref().unwrap_or("none")])
    }

    fn on_invoke(&mut self, _turn: &mut Turn) -> Result<Option<InvokeResponse>> {
        answer("on_invoke", &[])
    }

    fn on_adaptive_card_action(
        &mut self,
        _turn: &mut Turn,
        action: &AdaptiveCardAction,
    ) -> Result<Option<InvokeResponse>> {
        answer("on_adaptive_card_action", &[action.verb.as_deref().unwrap_or("none")])
    }

    fn on_search(&mut self, _turn: &mut Turn, search: &Search) -> Result<Option<InvokeResponse>> {
        answer("on_search", &[&search.kind, &search.query_text])
    }

    fn on_sign_in_verify(&mut self, _turn: &mut Turn, state: &str) -> Result<Option<InvokeResponse>> {
        answer("on_sign_in_verify", &[state])
    }

    fn on_sign_in_exchange(&mut self, _turn: &mut Turn, exchange: &TokenExchange) -> Result<Option<InvokeResponse>> {
        answer("on_sign_in_exchange", &[exchange.token.as_deref().unwrap_or("none")])
    }

    fn on_turn_end(&mut self, _turn: &mut Turn, flow: Flow) -> Result {
        called("on_turn_end", &[]);
        Ok(flow)
    }
}

fn take(row: &Value) -> (Answer, Vec<String>) {
    CALLED.take();
    STOP.set(row["stop"].as_str().unwrap_or_default().to_owned());
    let activity = Activity::from_object(row["activity"].as_object().cloned().unwrap_or_default());
    let host = TestHost::<Witness>::new();
    let answer = match row["route"].as_str() {
        Some(route) => host.takes_route(route, activity.text.as_deref().unwrap_or_default()),
        None => host.takes(activity),
    };
    (answer, CALLED.take())
}

#[test]
fn every_row_of_the_tree_reaches_its_handlers_in_order() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("data/dispatch.json")).unwrap();
    for row in &rows {
        let (answer, calls) = take(row);
        let mut wanted: Vec<&str> = row["handlers"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        wanted.push("on_turn_end");
        assert_eq!(calls, wanted, "{row}");
        let flow = if row["flow"] == "handled" { Handled } else { Next };
        assert_eq!(answer.result, Ok(flow), "{row}");
        let status = row["status"].as_u64().map(|status| u16::try_from(status).unwrap());
        assert_eq!(answer.response.map(|response| response.status), status, "{row}");
    }
}

#[test]
fn every_handler_of_the_trait_is_in_a_row() {
    let rows = include_str!("data/dispatch.json");
    let source = include_str!("../src/bot.rs");
    let handlers = source.lines().filter_map(|line| line.trim().strip_prefix("fn on_")?.split('(').next());
    let mut count = 0;
    for handler in handlers.filter(|handler| !["turn", "turn_end"].contains(handler)) {
        assert!(rows.contains(&format!("\"on_{handler}")), "no row reaches on_{handler}");
        count += 1;
    }
    assert_eq!(count, 25);
}

/// A bot of which every handler has its default.
#[derive(Default)]
struct Silent;

impl Bot for Silent {}

#[test]
fn a_bot_without_handlers_passes_everything_on() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("data/dispatch.json")).unwrap();
    for row in rows.iter().filter(|row| row["stop"].is_null() && row["route"].is_null() && row["status"] != 400) {
        let activity: Activity = serde_json::from_value(row["activity"].clone()).unwrap();
        let answer = TestHost::<Silent>::new().takes(activity).silent().passes();
        let status = (row["activity"]["type"] == "invoke").then_some(turntable_sdk::NOT_IMPLEMENTED);
        assert_eq!(answer.response.map(|response| response.status), status, "{row}");
    }
}

/// A bot that fails after it has said something.
#[derive(Default)]
struct Failing;

impl Bot for Failing {
    fn on_message(&mut self, turn: &mut Turn) -> Result {
        turn.reply("flushed")?;
        if turn.text() == "flush" {
            turn.flush()?;
        }
        turn.reply("staged")?;
        Err(Fault::invalid("asked to fail"))
    }

    fn on_invoke(&mut self, _turn: &mut Turn) -> Result<Option<InvokeResponse>> {
        Err(Fault::internal("broken"))
    }

    fn on_turn_end(&mut self, turn: &mut Turn, _flow: Flow) -> Result {
        turn.reply("the end")?;
        Ok(Handled)
    }
}

#[test]
fn a_fault_drops_what_was_staged_and_skips_the_end_of_the_turn() {
    let host = TestHost::<Failing>::new();
    host.says("hi").silent().fails("invalid");
    host.says("flush").replies("flushed").fails("invalid");
    host.invokes("x", json!({})).silent().fails("internal").responds(500);
}

#[test]
fn the_end_of_the_turn_can_take_what_the_handlers_passed() {
    TestHost::<Failing>::new().event("x", json!(1)).replies("the end").handled();
}

/// A bot that uses everything a turn offers.
#[derive(Default)]
struct Busy;

impl Bot for Busy {
    fn on_message(&mut self, turn: &mut Turn) -> Result {
        match turn.text() {
            "typing" => turn.typing()?,
            "edit" => {
                let id = turn.send("draft")?;
                turn.update(&id, "final")?;
                turn.delete(&id)?;
            }
            "stranger" => turn.delete("tt-unknown")?,
            "host only" => drop(turn.reply(Activity::new("invokeResponse"))?),
            "no type" => drop(turn.reply(Activity::default())?),
            "respond" => turn.respond(InvokeResponse::status(200))?,
            "setting" => {
                let limit: u32 = turn.required("limit")?;
                let name: Option<String> = turn.config("name")?;
                turn.reply(format!("{limit} {name:?} {}", turn.config_keys().join(",")))?;
            }
            "log" => turn.log(Level::Warn, "low", &[("left", &3)]),
            other => drop(turn.reply(format!("{other}?"))?),
        }
        Ok(Handled)
    }
}

#[test]
fn a_turn_keeps_the_rules_of_the_host() {
    let host = TestHost::<Busy>::new().setting("limit", 3);
    assert_eq!(host.says("typing").handled().sent[0].activity.kind, "typing");
    let edited = host.says("edit").handled();
    assert_eq!(edited.sent.len(), 3);
    assert!(edited.sent.iter().all(|sent| sent.id == edited.sent[0].id));
    assert_eq!(edited.sent[0].activity.reply_to_id, None);
    for wrong in ["stranger", "host only", "no type", "respond"] {
        host.says(wrong).silent().fails("invalid");
    }
    host.says("setting").replies("3 None limit");
    let line = host.says("log").logs("low").log.remove(0);
    assert_eq!((line.level.as_str(), line.fields), ("warn", vec![("left".to_owned(), "3".to_owned())]));
}

#[test]
fn a_reply_is_filled_in_as_the_host_does() {
    let answer = TestHost::<Busy>::new().channel("msteams").locale("de").says("hi").replies("hi?");
    let sent = &answer.sent[0].activity;
    assert_eq!(sent.from.as_ref().map(|from| from.id.as_str()), Some("bot"));
    assert_eq!(sent.recipient.as_ref().map(|user| user.id.as_str()), Some("user"));
    assert_eq!(sent.channel_id.as_deref(), Some("msteams"));
    assert_eq!(sent.locale.as_deref(), Some("de"));
    assert_eq!(sent.reply_to_id.as_deref(), Some("activity-1"));
}

#[test]
fn a_wrong_or_missing_setting_names_itself() {
    let missing = TestHost::<Busy>::new().says("setting").fails("invalid");
    assert_eq!(missing.result.unwrap_err().message, "the setting `limit` is not set");
    let wrong = TestHost::<Busy>::new().setting("limit", "three").says("setting").fails("invalid");
    assert!(wrong.result.unwrap_err().message.starts_with("the setting `limit`: invalid type"));
}

#[test]
fn a_refused_call_reaches_the_handler() {
    let host = TestHost::<Busy>::new().refuses(Call::Reply, Fault::quota("sends-per-turn"));
    host.says("hi").silent().fails("quota");
}

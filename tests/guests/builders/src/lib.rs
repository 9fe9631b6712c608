//! Sends the result of every builder of the SDK. A message gets all activities at once. The response to an invoke is the builder
//! that its name selects. A spec checks that no builder is missing here.

use turntable_sdk::http::Request;
use turntable_sdk::prelude::*;
use turntable_sdk::{
    AdaptiveCardAction, ConversationAccount, ConversationReference, Entity, Mention, MessageReaction, Search,
    SuggestedActions, json,
};

#[derive(Default)]
struct Builders;

impl Bot for Builders {
    fn manifest(&self) -> Manifest {
        Manifest::new().name("builders").version("0.1.0").wants_http(["*"], "http://*/")
    }

    fn on_message(&mut self, turn: &mut Turn) -> Result {
        turn.typing()?;
        turn.reply("a text")?;
        turn.reply(String::from("another text"))?;
        for activity in activities() {
            turn.send(activity)?;
        }
        let id = turn.reply("to be changed")?;
        turn.flush()?;
        turn.update(&id, Activity::message("changed").suggest("Fine"))?;
        Ok(Handled)
    }

    fn on_invoke(&mut self, turn: &mut Turn) -> Result<Option<InvokeResponse>> {
        Ok(match turn.activity().name.as_deref().unwrap_or_default() {
            "status" => Some(InvokeResponse::status(202)),
            "ok" => Some(InvokeResponse::ok(json!({ "fine": true }))),
            "body" => Some(InvokeResponse::status(409).body(json!({ "code": "Conflict" }))),
            "error" => Some(InvokeResponse::error(400, "BadRequest", "the value is no colour")),
            "http" => Some(answered(turn)?),
            _ => None,
        })
    }

    fn on_adaptive_card_action(
        &mut self,
        _turn: &mut Turn,
        action: &AdaptiveCardAction,
    ) -> Result<Option<InvokeResponse>> {
        Ok(Some(match action.verb.as_deref() {
            Some("card") => InvokeResponse::card(json!({ "type": "AdaptiveCard", "version": "1.4", "body": [] })),
            _ => InvokeResponse::message("done"),
        }))
    }

    fn on_search(&mut self, _turn: &mut Turn, _search: &Search) -> Result<Option<InvokeResponse>> {
        Ok(Some(InvokeResponse::results([("rome", "Rome"), ("oslo", "Oslo")])))
    }
}

/// Sends the request in the value of the invoke, and responds with what came back.
fn answered(turn: &Turn) -> Result<InvokeResponse> {
    let asked = turn.activity().value.clone().unwrap_or_default();
    let mut request =
        Request::new(asked["method"].as_str().unwrap_or("GET"), asked["url"].as_str().unwrap_or_default());
    if !asked["json"].is_null() {
        request = request.json(&asked["json"])?;
    }
    Ok(match turn.http().send(request) {
        Ok(answer) => {
            let (status, kind) = (answer.status(), answer.header("Content-Type").map(str::to_owned));
            let text = answer.text();
            let text = text.unwrap_or_else(|fault| format!("{}: {}", fault.code, fault.message));
            InvokeResponse::ok(json!({ "status": status, "type": kind, "text": text }))
        }
        Err(fault) => InvokeResponse::error(424, &fault.code, &fault.message),
    })
}

fn activities() -> Vec<Activity> {
    let ann = ChannelAccount::new("29:ann").named("Ann");
    let full = Activity::message("all of it")
        .locale("en")
        .speak("All of it")
        .input_hint("expectingInput")
        .channel_data(json!({ "notification": { "alert": true } }))
        .suggest("Yes")
        .suggest(CardAction::im_back_with("No, thank you", "no"))
        .suggest(CardAction::post_back("Later", "later"))
        .suggest(CardAction::message_back("Never", "never", json!({ "answer": "never" })))
        .suggest(CardAction::open_url("Why?", "https://example.org/why"))
        .attach(card())
        .attach(Attachment::file("image/png", "https://example.org/a.png").named("a.png"))
        .attach(Attachment::adaptive_card(json!({ "type": "AdaptiveCard", "version": "1.4", "body": [] })))
        .attach(Attachment::card("application/vnd.microsoft.card.thumbnail", json!({ "title": "Small" })))
        .carousel()
        .mention(&ann)
        .entity(("clientInfo", json!({ "platform": "Web" })))
        .entity(Mention::new(&ann));
    let suggested = SuggestedActions { actions: vec![CardAction::im_back("Red")], ..SuggestedActions::default() };
    let reference = ConversationReference {
        user: Some(ann),
        bot: Some(ChannelAccount::new("28:bot").named("Bot")),
        conversation: Some(ConversationAccount {
            name: Some("Lunch".to_owned()),
            is_group: Some(false),
            conversation_type: Some("personal".to_owned()),
            ..ConversationAccount::new("a:1")
        }),
        channel_id: Some("msteams".to_owned()),
        service_url: Some("https://smba.trafficmanager.net/teams/".to_owned()),
        ..ConversationReference::default()
    };
    vec![
        full,
        Activity { suggested_actions: Some(suggested), ..Activity::message("which?") },
        Activity::from(card()),
        Activity::from(Attachment::file("text/plain", "https://example.org/a.txt")),
        Activity { relates_to: Some(reference), ..Activity::event("price", json!({ "rise": 3 })) },
        Activity { reactions_added: vec![MessageReaction::new("like")], ..Activity::new("messageReaction") },
        Activity { entities: vec![Entity::from(("x", json!(1)))], ..Activity::new("message") },
        Activity::end_of_conversation("completedSuccessfully"),
    ]
}

fn card() -> HeroCard {
    HeroCard::new("Tickets")
        .subtitle("All of them")
        .text("What do you need?")
        .image("https://example.org/desk.png", "A help desk")
        .button(CardAction::im_back("Open a ticket"))
        .button("Close a ticket")
        .tap(CardAction::open_url("All tickets", "https://example.org/tickets"))
}

turntable_sdk::register!(Builders);

//! The prelude alone is enough for the signature of everything that an author writes.

use turntable_sdk::prelude::*;

#[derive(Default)]
struct Everything;

impl Bot for Everything {
    fn manifest(&self) -> Manifest {
        Manifest::new().settings(json!({ "type": "object" })).route(Route::new("help", "help"))
    }

    fn on_turn(&mut self, turn: &mut Turn) -> Result {
        turn.log(Level::Info, "a turn", &[]);
        let meta: &Meta = turn.meta();
        assert_eq!(meta.bot_id, "test");
        turntable_sdk::dispatch(self, turn)
    }

    fn on_turn_end(&mut self, _turn: &mut Turn, flow: Flow) -> Result {
        Ok(flow)
    }

    fn on_route(&mut self, _turn: &mut Turn, _name: &str) -> Result {
        Ok(Next)
    }

    fn on_members_added(&mut self, turn: &mut Turn, members: &[ChannelAccount]) -> Result {
        members.iter().try_for_each(|member| turn.reply(member.id.as_str()).map(drop))?;
        Ok(Handled)
    }

    fn on_members_removed(&mut self, _turn: &mut Turn, _members: &[ChannelAccount]) -> Result {
        Ok(Next)
    }

    fn on_reactions_added(&mut self, _turn: &mut Turn, _reactions: &[MessageReaction]) -> Result {
        Ok(Next)
    }

    fn on_reactions_removed(&mut self, _turn: &mut Turn, _reactions: &[MessageReaction]) -> Result {
        Ok(Next)
    }

    fn on_token_response(&mut self, _turn: &mut Turn, _token: &TokenResponse) -> Result {
        Ok(Next)
    }

    fn on_invoke(&mut self, _turn: &mut Turn) -> Result<Option<InvokeResponse>> {
        Ok(None)
    }

    fn on_adaptive_card_action(
        &mut self,
        _turn: &mut Turn,
        _action: &AdaptiveCardAction,
    ) -> Result<Option<InvokeResponse>> {
        Ok(None)
    }

    fn on_search(&mut self, _turn: &mut Turn, _search: &Search) -> Result<Option<InvokeResponse>> {
        Ok(None)
    }

    fn on_sign_in_exchange(&mut self, _turn: &mut Turn, _exchange: &TokenExchange) -> Result<Option<InvokeResponse>> {
        Ok(None)
    }
}

impl Dialogs for Everything {
    fn dialogs(&self) -> DialogSet {
        DialogSet::new()
            .with(Waterfall::new("steps").step(first).validator("even", even).on_cancelled(cancelled).migrate(carry))
            .with(StraightLine::new("line", line))
            .with(Own)
    }
}

fn first(step: &mut WaterfallStep<'_>) -> Result<Step> {
    let outcome: Outcome = step.outcome().clone();
    // The step is the turn, too; what it reads goes into what it says.
    step.reply(format!("{outcome:?} {}", step.text()))?;
    step.done(())
}

fn even(_turn: &mut Turn, check: &Check) -> Result<Verdict> {
    Ok(if check.value::<i64>()? % 2 == 0 { Verdict::accept() } else { Verdict::reject() })
}

fn cancelled(_turn: &mut Turn, _reason: &str) -> Result<()> {
    Ok(())
}

fn carry(old: Migration) -> Result<Option<Value>> {
    Ok(Some(old.state))
}

async fn line(d: &mut Dialogue) -> Result<()> {
    d.step("remember", |once: &Once| once.state().of::<bool>(Scope::User, "seen").set(&true))
}

struct Own;

impl Dialog for Own {
    fn id(&self) -> &str {
        "own"
    }

    fn on_event(&self, turn: &mut Turn, _event: &Event, _state: Option<Value>) -> Result<Step> {
        turn.conversations().notify("here", When::Idle, Delivery::activity("later"))?;
        Err(Fault::denied("no"))
    }
}

impl Middleware for Everything {
    fn on_send(&mut self, _turn: &mut Turn, activity: &Activity) -> Result<Passage> {
        Ok(if activity.text.is_none() { Passage::Stop } else { Passage::Pass })
    }
}

turntable_sdk::register!(Everything, dialogs, middleware);

#[test]
fn a_bot_with_all_of_it_runs() {
    let host = turntable_sdk::testing::TestHost::<Everything>::with_dialogs();
    host.joins(["ann"]).replies("ann").handled();
    let card: Attachment = HeroCard::new("Card").into();
    assert_eq!(host.receives(Activity::message("x").attach(card)), Ok(Passage::Pass));
}

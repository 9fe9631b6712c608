//! Takes orders, and remembers how many each user has.

use turntable_sdk::prelude::*;
use turntable_sdk::prompt::{confirm, number, text};

#[derive(Default)]
struct Shop;

impl Bot for Shop {
    fn manifest(&self) -> Manifest {
        Manifest::new().activities(["message"]).wants_state([Scope::User])
    }

    fn on_message(&mut self, turn: &mut Turn) -> Result {
        match turn.spoken_text().to_lowercase().as_str() {
            "order" => drop(turn.dialogs().begin("order", ())?),
            _ => drop(turn.reply("Say «order» to order something.")?),
        }
        Ok(Handled)
    }
}

impl Dialogs for Shop {
    fn dialogs(&self) -> DialogSet {
        DialogSet::new().with(StraightLine::new("order", order))
    }
}

/// The SDK runs the function again from the start after each answer and skips what it has done already.
async fn order(d: &mut Dialogue) -> Result<()> {
    let what = d.ask(text("What would you like?").named("what")).await?;
    let count = number("How many?").named("count").integer().min(1).retry("A whole number from 1, please.");
    let count = d.ask(count).await?;
    if !d.ask(confirm(format!("{count} × {what}?")).named("sure")).await? {
        d.send("Nothing is ordered.")?;
        return Ok(());
    }
    let orders: u32 = d.step("keep", |once| {
        once.state().user::<u32>("orders").update(|orders| {
            *orders += 1;
            *orders
        })
    })?;
    d.send(format!("Ordered. You have {orders} order{}.", if orders == 1 { "" } else { "s" }))?;
    Ok(())
}

turntable_sdk::register!(Shop, dialogs);

#[test]
fn an_order_is_taken() {
    let host = turntable_sdk::testing::TestHost::<Shop>::with_dialogs();
    host.says("order").replies("What would you like?");
    host.says("gloves").replies("How many?");
    host.says("2").replies("2 × gloves?");
    host.says("yes").replies("Ordered. You have 1 order.").ends_dialogs();
}

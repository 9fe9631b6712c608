//! Tells the price of a stock, and alerts the user when it reaches a limit («tell me when GOOG reaches 150»). A timer checks the
//! price every minute, and the alert is a dialog that interrupts the conversation.
//!
//! Prices arrive as events `price` with the value `{"symbol", "price"}`. A service posts them to `/v1/bots/BOT/notifications`.

use serde::{Deserialize, Serialize};
use turntable_sdk::json;
use turntable_sdk::prelude::*;
use turntable_sdk::prompt::{confirm, text};
use turntable_sdk::{Delivery, When};

/// The schedule of the price check: every minute.
const EACH_MINUTE: &str = "* * * * * UTC";

/// A price that a user waits for. Also the options of the alert dialog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Watch {
    symbol: String,
    price: f64,
}

/// The plugin.
#[derive(Debug, Default)]
struct PriceWatch;

impl Bot for PriceWatch {
    fn manifest(&self) -> Manifest {
        Manifest::new()
            .description("Tells the price of a stock, and when it is reached")
            .activities(["message", "event"])
            .wants_state([Scope::Bot, Scope::Conversation])
            .wants_conversations()
            .settings(json!({ "type": "object", "additionalProperties": false, "properties": {} }))
    }

    fn on_message(&mut self, turn: &mut Turn) -> Result {
        let said = turn.text().to_lowercase();
        if let Some(watch) = wanted(&said) {
            watch_for(turn, &watch)?;
            turn.reply(format!("I tell you when {} reaches {}.", watch.symbol, watch.price))?;
            return Ok(Handled);
        }
        if said.trim() != "price" {
            return Ok(Next);
        }
        turn.dialogs().begin("price", ())?;
        Ok(Handled)
    }

    fn on_event(&mut self, turn: &mut Turn) -> Result {
        match turn.activity().name.as_deref() {
            Some("price") => {
                let Watch { symbol, price } = turn.value()?;
                turn.state().bot::<f64>(key(&symbol)).overwrite(&price)?;
                Ok(Handled)
            }
            Some("check") if turn.meta().trigger.starts_with("timer:") => check(turn).map(|()| Handled),
            _ => Ok(Next),
        }
    }
}

/// Reads «tell me when GOOG reaches 150».
fn wanted(said: &str) -> Option<Watch> {
    let words: Vec<&str> = said.split_whitespace().collect();
    let ["tell", "me", "when", symbol, "reaches", price] = words[..] else { return None };
    let price = price.trim_end_matches('.').parse().ok().filter(|price: &f64| price.is_finite())?;
    Some(Watch { symbol: symbol.to_uppercase(), price })
}

fn key(symbol: &str) -> String {
    format!("price:{}", symbol.to_uppercase())
}

/// Starts the timer that checks the price. It replaces an earlier timer for the same stock.
fn watch_for(turn: &Turn, watch: &Watch) -> Result<()> {
    let here = turn.conversations().reference()?;
    let event = Delivery::event("check", json!(watch));
    let id = turn.conversations().schedule(&watch.symbol, EACH_MINUTE, &here, When::Now, event)?;
    turn.state().conversation::<String>(watch.symbol.clone()).overwrite(&id)
}

/// Begins the alert dialog if the price is reached.
fn check(turn: &Turn) -> Result<()> {
    let watch: Watch = turn.value()?;
    let Some(price) = turn.state().bot::<f64>(key(&watch.symbol)).get()? else { return Ok(()) };
    if price < watch.price {
        return Ok(());
    }
    let mut timer = turn.state().conversation::<String>(watch.symbol.clone());
    if let Some(id) = timer.get()? {
        turn.conversations().cancel(&id)?;
        timer.remove()?;
    }
    let here = turn.conversations().reference()?;
    let alert = Delivery::dialog("alert", Watch { symbol: watch.symbol, price })?;
    turn.conversations().notify(&here, When::Interrupt, alert).map(drop)
}

impl Dialogs for PriceWatch {
    fn dialogs(&self) -> DialogSet {
        DialogSet::new().with(StraightLine::new("price", tell_price)).with(StraightLine::new("alert", alert))
    }
}

/// Asks for a stock and tells its price.
async fn tell_price(d: &mut Dialogue) -> Result<()> {
    let symbol = d.ask(text("The price of which stock?").max_length(12)).await?.to_uppercase();
    let wanted = key(&symbol);
    let price: Option<f64> = d.step("price", |once| once.state().bot::<f64>(wanted).get())?;
    d.send(match price {
        Some(price) => format!("{symbol} is at {price}."),
        None => format!("I know no price of {symbol}."),
    })?;
    Ok(())
}

/// The alert dialog: reports that the price is reached and asks whether to continue watching.
async fn alert(d: &mut Dialogue) -> Result<()> {
    let Watch { symbol, price } = d.options()?;
    let again = d.ask(confirm(format!("{symbol} is at {price}. Shall I go on watching?"))).await?;
    if again {
        let watch = Watch { symbol: symbol.clone(), price: price * 1.1 };
        d.step("watch", |once| watch_for(once, &watch))?;
    }
    d.send(if again { format!("I watch {symbol} for the next 10 %.") } else { format!("I watch {symbol} no more.") })?;
    Ok(())
}

turntable_sdk::register!(PriceWatch, dialogs);

#[cfg(test)]
mod tests {
    use turntable_sdk::Activity;
    use turntable_sdk::testing::TestHost;

    use super::*;

    fn price(host: &TestHost<PriceWatch>, symbol: &str, price: f64) {
        host.event("price", json!({ "symbol": symbol, "price": price })).handled();
    }

    #[test]
    fn a_wish_becomes_a_timer_that_checks_each_minute() {
        let host = TestHost::<PriceWatch>::with_dialogs();
        let answer = host.says("Tell me when goog reaches 150").replies("I tell you when GOOG reaches 150.");
        assert_eq!(answer.asked[0].timer, Some(("GOOG".to_owned(), EACH_MINUTE.to_owned())));
        assert_eq!(answer.asked[0].content["event"]["value"], json!({ "symbol": "GOOG", "price": 150.0 }));
        host.says("tell me when it rains").silent().passes();
        let forged = Activity::event("check", json!({ "symbol": "GOOG", "price": 1 }));
        host.takes(forged).silent().passes();
    }

    #[test]
    fn a_price_is_told_and_an_unknown_one_is_not_made_up() {
        let host = TestHost::<PriceWatch>::with_dialogs();
        price(&host, "MSFT", 420.5);
        host.says("price").replies("The price of which stock?");
        host.says("msft").replies("MSFT is at 420.5.").ends_dialogs();
        host.says("price").replies("The price of which stock?");
        host.says("XYZ").replies("I know no price of XYZ.").ends_dialogs();
    }
}

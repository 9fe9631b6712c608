//! Tickets: what a bridged bot presents to use the host as its connector.
//!
//! A ticket is a part of the `serviceUrl` that the other bot gets with each activity, so an unmodified bot presents it without
//! knowing. It names a bot, a channel and the `serviceUrl` of the channel, and is signed by the host. It has no end, because
//! other bots keep the `serviceUrl` of a conversation for as long as they know the conversation.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use serde_json::Value;

/// Length of the key, in bytes.
pub const TICKET_KEY_BYTES: usize = 32;

/// Signs and checks tickets.
pub struct Tickets {
    signs: EncodingKey,
    checks: DecodingKey,
}

/// What a ticket says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The channel, as its instance is written.
    pub channel: String,
    /// `serviceUrl` of the channel.
    pub service_url: String,
}

impl Tickets {
    /// Returns tickets that are signed with this key.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn new(key: &[u8; TICKET_KEY_BYTES]) -> anyhow::Result<Self> {
        Ok(Self { signs: EncodingKey::from_secret(key)?, checks: DecodingKey::from_secret(key)? })
    }

    /// Writes a ticket for a bot. The same ticket is written alike each time.
    ///
    /// # Errors
    /// The ticket cannot be signed.
    pub fn write(&self, bot: &str, ticket: &Ticket) -> anyhow::Result<String> {
        let said = URL_SAFE_NO_PAD.encode(Value::from(vec![&*ticket.channel, &*ticket.service_url]).to_string());
        let signature = crypto::sign(signed(bot, &said).as_bytes(), &self.signs, Algorithm::HS256)?;
        Ok(format!("{said}.{signature}"))
    }

    /// Reads a ticket of a bot. None: the host did not write it, or wrote it for another bot.
    pub fn read(&self, bot: &str, text: &str) -> Option<Ticket> {
        let (said, signature) = text.split_once('.')?;
        let holds = crypto::verify(signature, signed(bot, said).as_bytes(), &self.checks, Algorithm::HS256);
        if !holds.unwrap_or(false) {
            return None;
        }
        let said: (String, String) = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(said).ok()?).ok()?;
        Some(Ticket { channel: said.0, service_url: said.1 })
    }
}

/// The text that is signed. Names of bots contain no line break.
fn signed(bot: &str, said: &str) -> String {
    format!("bridge\n{bot}\n{said}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_the_bot_that_it_was_written_for_only() {
        let tickets = Tickets::new(&[7; TICKET_KEY_BYTES]).unwrap();
        let ticket = Ticket { channel: "msteams".to_owned(), service_url: "https://smba.example/teams/".to_owned() };
        let text = tickets.write("old", &ticket).unwrap();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{text}");
        assert_eq!(tickets.read("old", &text), Some(ticket.clone()));
        assert_eq!(tickets.read("other", &text), None);
        assert_eq!(Tickets::new(&[8; TICKET_KEY_BYTES]).unwrap().read("old", &text), None);
        let (said, signature) = text.split_once('.').unwrap();
        for wrong in ["", ".", said, &format!("{said}."), &format!("A{said}.{signature}"), &format!("{text}.{said}")] {
            assert_eq!(tickets.read("old", wrong), None, "{wrong}");
        }
        let other = Ticket { service_url: "https://evil.example/".to_owned(), ..ticket };
        let other = tickets.write("old", &other).unwrap();
        let spliced = format!("{}.{signature}", other.split_once('.').unwrap().0);
        assert_eq!(tickets.read("old", &spliced), None);
    }
}

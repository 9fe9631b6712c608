//! Tokens: who may talk in which conversation, signed with a key of this process.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, ORIGIN};
use axum::http::request::Parts;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::channel::directline::Account;
use crate::http::error::{HttpError, code};

/// How long a token lasts; clients refresh it every 15 minutes.
pub(in crate::http) const TOKEN_LIFE: Duration = Duration::from_secs(1_800);
/// How long a stream URL may wait to be used.
const STREAM_LIFE: Duration = Duration::from_secs(60);
const ISSUER: &str = "turntable";
const CLIENT: &str = "directline";
const STREAM: &str = "directline-stream";

/// What a token says. Clients read `user` from it without checking anything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::http) struct Claims {
    /// The bot.
    pub(in crate::http) bot: String,
    /// The conversation.
    pub(in crate::http) conv: String,
    /// The user, where the token is bound to one: it overrides `from.id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::http) user: Option<String>,
    /// The user's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::http) name: Option<String>,
    /// Web origins that may use the token; empty for all that may use the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::http) origins: Vec<String>,
    /// The mark of the secret from which the token comes.
    #[serde(default, rename = "sec", skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
    /// The ticket of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::http) ticket: Option<u64>,
    iss: String,
    aud: String,
    nbf: u64,
    exp: u64,
}

/// Issues and reads tokens.
pub(in crate::http) struct Tokens {
    keys: Option<(EncodingKey, DecodingKey)>,
    clock: Clock,
}

/// The time of day when it was made, and from then on a clock that does not jump: a token lasts as long as it says,
/// whatever becomes of the machine's time.
struct Clock {
    since_epoch: Duration,
    made: Instant,
}

impl Clock {
    fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { since_epoch, made: Instant::now() }
    }

    /// Seconds since 1970.
    fn now(&self) -> u64 {
        (self.since_epoch + self.made.elapsed()).as_secs()
    }
}

impl Claims {
    /// Makes the claims of a new conversation.
    pub(super) fn new(bot: &str, conversation: &str, user: Option<Account>, origins: Vec<String>) -> Self {
        let (user, name) = user.map(|user| (user.id, user.name)).unzip();
        Self {
            bot: bot.to_owned(),
            conv: conversation.to_owned(),
            user,
            name: name.filter(|name| !name.is_empty()),
            origins,
            secret: None,
            ticket: None,
            iss: ISSUER.to_owned(),
            aud: String::new(),
            nbf: 0,
            exp: 0,
        }
    }

    /// Says from which secret the claims come.
    pub(super) fn of_secret(self, mark: String) -> Self {
        Self { secret: Some(mark), ..self }
    }

    /// The user that the token is bound to.
    pub(super) fn account(&self) -> Option<Account> {
        let id = self.user.clone().filter(|id| !id.is_empty())?;
        Some(Account { id, name: self.name.clone().unwrap_or_default() })
    }

    fn allow(&self, parts: &Parts) -> Result<(), HttpError> {
        let Some(origin) = parts.headers.get(ORIGIN) else { return Ok(()) };
        let is_trusted = |trusted: &String| origin.as_bytes().eq_ignore_ascii_case(trusted.as_bytes());
        match self.origins.is_empty() || self.origins.iter().any(is_trusted) {
            true => Ok(()),
            false => Err(forbidden("the token does not trust this web origin")),
        }
    }
}

impl Tokens {
    /// Makes a key. Without random bits there is none, and no token either.
    pub(in crate::http) fn new() -> Self {
        let mut secret = [0; 32];
        let made = getrandom::fill(&mut secret).is_ok();
        let keys = EncodingKey::from_secret(&secret).ok().zip(DecodingKey::from_secret(&secret).ok());
        Self { keys: keys.filter(|_| made), clock: Clock::new() }
    }

    /// Issues the token of a client.
    pub(super) fn issue(&self, claims: &Claims) -> Result<String, HttpError> {
        self.sign(Claims { ticket: None, ..claims.clone() }, CLIENT, TOKEN_LIFE)
    }

    /// Issues the token in a stream URL.
    pub(super) fn issue_stream(&self, claims: &Claims, ticket: u64) -> Result<String, HttpError> {
        self.sign(Claims { ticket: Some(ticket), ..claims.clone() }, STREAM, STREAM_LIFE)
    }

    /// Returns what the caller's `Authorization` header says.
    ///
    /// # Errors
    /// 401 without a bearer token, 403 where it is expired, not of this process, or used from an origin it does not trust.
    pub(super) fn caller(&self, parts: &Parts) -> Result<Claims, HttpError> {
        let claims = self.client(presented(parts)?)?;
        claims.allow(parts)?;
        Ok(claims)
    }

    /// Returns what a client's token says.
    pub(in crate::http) fn client(&self, token: &str) -> Result<Claims, HttpError> {
        self.verify(token, CLIENT)
    }

    /// Returns what the token of a stream URL says.
    pub(super) fn stream(&self, token: &str, parts: &Parts) -> Result<Claims, HttpError> {
        let claims = self.verify(token, STREAM)?;
        claims.allow(parts)?;
        Ok(claims)
    }

    fn sign(&self, mut claims: Claims, audience: &str, life: Duration) -> Result<String, HttpError> {
        let now = self.clock.now();
        claims.aud = audience.to_owned();
        (claims.nbf, claims.exp) = (now, now + life.as_secs());
        let (key, _) = self.keys()?;
        encode(&Header::new(Algorithm::HS256), &claims, key).map_err(HttpError::internal)
    }

    fn verify(&self, token: &str, audience: &str) -> Result<Claims, HttpError> {
        let mut validation = Validation::new(Algorithm::HS256);
        // Checked below, by the clock that issued it.
        validation.validate_exp = false;
        validation.set_audience(&[audience]);
        validation.set_issuer(&[ISSUER]);
        let (_, key) = self.keys()?;
        let invalid = |error| forbidden("the token is not valid here; tokens end when the host stops").detail(error);
        let claims = decode::<Claims>(token, key, &validation).map_err(invalid)?.claims;
        if claims.exp <= self.clock.now() {
            let why = "the token has expired; get a new one";
            return Err(HttpError::new(StatusCode::FORBIDDEN, "TokenExpired", why));
        }
        Ok(claims)
    }

    fn keys(&self) -> Result<&(EncodingKey, DecodingKey), HttpError> {
        self.keys.as_ref().ok_or_else(|| HttpError::internal("no random bits for the key of Direct Line tokens"))
    }
}

/// Returns the token or secret in the `Authorization` header.
///
/// # Errors
/// 401 without one.
pub(super) fn presented(parts: &Parts) -> Result<&str, HttpError> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let (scheme, token) = header.and_then(|header| header.split_once(' ')).ok_or_else(HttpError::unauthorized)?;
    match scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() {
        true => Ok(token.trim()),
        false => Err(HttpError::unauthorized()),
    }
}

/// Returns whether a text is a secret, `BOT.RANDOM`. Tokens have three parts.
pub(super) fn is_secret(presented: &str) -> bool {
    presented.matches('.').count() < 2
}

pub(super) fn forbidden(message: &'static str) -> HttpError {
    HttpError::new(StatusCode::FORBIDDEN, code::FORBIDDEN, message)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn claims() -> Claims {
        let user = Account { id: "dl_ann".into(), name: "Ann".into() };
        Claims::new("demo", "C1", Some(user), vec!["https://chat.example.org".into()])
    }

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn status(result: Result<Claims, HttpError>) -> (u16, &'static str) {
        let error = result.unwrap_err();
        (error.status().as_u16(), error.code())
    }

    #[test]
    fn a_token_says_what_it_was_issued_for() {
        let tokens = Tokens::new();
        let token = tokens.issue(&claims()).unwrap();
        let read = tokens.caller(&parts(&[("authorization", &format!("bearer {token}"))])).unwrap();
        assert_eq!((&*read.bot, &*read.conv, read.ticket), ("demo", "C1", None));
        assert_eq!(read.account().unwrap(), Account { id: "dl_ann".into(), name: "Ann".into() });
        let stream = tokens.issue_stream(&read, 7).unwrap();
        assert_eq!(tokens.stream(&stream, &parts(&[])).unwrap().ticket, Some(7));
        assert_eq!(status(tokens.client(&stream)), (403, "Forbidden"), "a stream token is no client token");
        assert_eq!(status(tokens.stream(&token, &parts(&[]))), (403, "Forbidden"));
    }

    #[test]
    fn other_tokens_are_refused() {
        let tokens = Tokens::new();
        for header in ["", "Basic YTpi", "Bearer", "Bearer  "] {
            assert_eq!(status(tokens.caller(&parts(&[("authorization", header)]))).0, 401, "{header:?}");
        }
        assert_eq!(status(tokens.caller(&parts(&[]))).0, 401);
        let foreign = Tokens::new().issue(&claims()).unwrap();
        assert_eq!(status(tokens.client(&foreign)), (403, "Forbidden"));
        assert_eq!(status(tokens.client("a.b.c")), (403, "Forbidden"));
        let mut expired = claims();
        expired.aud = CLIENT.to_owned();
        expired.exp = 1_000;
        let expired = encode(&Header::default(), &expired, &tokens.keys().unwrap().0).unwrap();
        assert_eq!(status(tokens.client(&expired)), (403, "TokenExpired"));
    }

    #[test]
    fn a_token_keeps_to_the_origins_it_trusts() {
        let tokens = Tokens::new();
        let bearer = format!("Bearer {}", tokens.issue(&claims()).unwrap());
        let from = |origin| tokens.caller(&parts(&[("authorization", &bearer), ("origin", origin)]));
        assert!(from("https://chat.example.org").is_ok());
        assert_eq!(status(from("https://other.example.org")), (403, "Forbidden"));
    }
}

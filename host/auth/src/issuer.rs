//! Tokens that the host signs for bridged bots, which check their channel as if it were that of the cloud.

use std::collections::HashMap;

use anyhow::Context;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How long a token is valid, and how long it is used, in seconds.
const LIFE_S: u64 = 3_600;
const USE_S: u64 = 1_800;
/// Tokens that are kept. There is one for each bridged bot and `serviceUrl`.
const TOKENS_MAX: usize = 1_024;
/// The channels that the key speaks for. Some SDKs want a list.
const ENDORSEMENTS: &[&str] = &[
    "alexa",
    "directline",
    "directlinespeech",
    "email",
    "emulator",
    "facebook",
    "groupme",
    "kik",
    "line",
    "m365extensions",
    "msteams",
    "omnichannel",
    "outlook",
    "skype",
    "slack",
    "sms",
    "telegram",
    "telephony",
    "test",
    "twilio-sms",
    "webchat",
];

/// The issuer of a host.
pub struct BridgeIssuer {
    key: KeyPair,
    key_id: String,
    /// By issuer, audience and `serviceUrl`, a token and when it was made.
    tokens: Mutex<HashMap<[String; 3], (String, u64)>>,
}

impl BridgeIssuer {
    /// Makes a private key, as PKCS #8.
    ///
    /// # Errors
    /// There are no random bits.
    pub fn make_key() -> anyhow::Result<Vec<u8>> {
        let key = KeyPair::generate(KeySize::Rsa2048).context("cannot generate a key")?;
        let der: Pkcs8V1Der<'_> = key.as_der().context("cannot encode a key")?;
        Ok(der.as_ref().to_vec())
    }

    /// Returns an issuer with a key of [`BridgeIssuer::make_key`].
    ///
    /// # Errors
    /// The bytes are not such a key.
    pub fn new(key: &[u8]) -> anyhow::Result<Self> {
        let key = KeyPair::from_pkcs8(key).map_err(|_| anyhow::anyhow!("it is not an RSA key as PKCS #8"))?;
        let key_id = hex::encode(Sha256::digest(key.public_key().as_ref()).get(..8).unwrap_or_default());
        Ok(Self { key, key_id, tokens: Mutex::default() })
    }

    /// Returns a token for a bot, as a channel with this `serviceUrl` would present it. `now` is the time of day in seconds
    /// since 1970.
    ///
    /// # Errors
    /// The token cannot be signed.
    pub fn token(&self, issuer: &str, audience: &str, service_url: &str, now: u64) -> anyhow::Result<String> {
        let of = [issuer, audience, service_url].map(ToOwned::to_owned);
        if let Some((token, made)) = self.tokens.lock().get(&of)
            && now.checked_sub(*made).is_some_and(|age| age < USE_S)
        {
            return Ok(token.clone());
        }
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id, "x5t": self.key_id });
        let claims = json!({
            "iss": issuer, "aud": audience, "serviceurl": service_url, "iat": now, "nbf": now.saturating_sub(60), "exp": now + LIFE_S
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let signed = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature);
        signed.context("cannot sign a token")?;
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        let mut tokens = self.tokens.lock();
        if tokens.len() >= TOKENS_MAX {
            tokens.clear();
        }
        tokens.insert(of, (token.clone(), now));
        Ok(token)
    }

    /// Returns the key set with which the tokens are checked.
    pub fn key_set(&self) -> Value {
        let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(self.key.public_key());
        let [n, e] = [n, e].map(|number| URL_SAFE_NO_PAD.encode(number));
        json!({ "keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id, "x5t": self.key_id, "n": n, "e": e,
            "endorsements": ENDORSEMENTS
        }] })
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, crypto};

    use super::*;
    use crate::jwks;

    #[test]
    fn a_token_is_checked_with_the_key_set_and_made_anew_in_time() {
        let issuer = BridgeIssuer::new(&BridgeIssuer::make_key().unwrap()).unwrap();
        let token = issuer.token("https://host", "app", "https://host/x", 10_000).unwrap();
        let keys = jwks::keys(issuer.key_set().to_string().as_bytes()).unwrap();
        let key = keys.values().next().unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        assert!(crypto::verify(signature, message.as_bytes(), &key.decoding, Algorithm::RS256).unwrap());
        assert!(key.endorsements.iter().any(|channel| channel == "msteams"));
        assert_eq!(issuer.token("https://host", "app", "https://host/x", 11_000).unwrap(), token);
        assert_ne!(issuer.token("https://host", "app", "https://host/x", 12_000).unwrap(), token);
        assert_ne!(issuer.token("https://host", "app", "https://host/x", 9_000).unwrap(), token, "the clock went back");
        assert!(BridgeIssuer::new(b"no key").is_err());
    }
}

//! Reads the keys of an issuer: a JSON Web Key Set, in which Microsoft adds `endorsements` and `issuer` to keys.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;

use crate::token::is_key_id;

/// Keys of one set that are kept. Issuers have about ten.
const KEYS_MAX: usize = 256;
/// The shortest modulus that is trusted, in bits.
const MODULUS_BITS_MIN: usize = 2_048;

/// The keys of an issuer, by key id.
pub(crate) type Keys = HashMap<String, Arc<Key>>;

/// A key with which an issuer signs tokens.
pub(crate) struct Key {
    pub(crate) decoding: DecodingKey,
    /// The only algorithm that the key is for, if the set names one.
    pub(crate) algorithm: Option<String>,
    /// The channels that the key may speak for.
    pub(crate) endorsements: Vec<String>,
    /// The only tenant that the key may speak for, in lower case. None: all tenants of the issuer.
    pub(crate) tenant: Option<String>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Entry {
    kty: String,
    kid: String,
    n: String,
    e: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    #[serde(default)]
    endorsements: Option<Vec<String>>,
    issuer: Option<String>,
}

/// Reads a key set. Keys that are not RSA keys for signatures of at least 2,048 bits are left out. If two keys have the
/// same id, both are left out.
///
/// # Errors
/// The text is not a key set.
pub(crate) fn keys(text: &[u8]) -> serde_json::Result<Keys> {
    let set: Set = serde_json::from_slice(text)?;
    let mut keys: HashMap<String, Option<Arc<Key>>> = HashMap::new();
    for entry in set.keys.into_iter().take(KEYS_MAX) {
        let Ok(entry) = serde_json::from_value::<Entry>(entry) else { continue };
        let id = entry.kid.clone();
        let Some(key) = usable(entry) else { continue };
        keys.entry(id).and_modify(|known| *known = None).or_insert_with(|| Some(Arc::new(key)));
    }
    Ok(keys.into_iter().filter_map(|(id, key)| Some((id, key?))).collect())
}

fn usable(entry: Entry) -> Option<Key> {
    let is_for_signatures = entry.purpose.is_none_or(|purpose| purpose == "sig");
    let (modulus, exponent) = (number(&entry.n)?, number(&entry.e)?);
    let bits = (modulus.len() * 8).checked_sub(modulus.first()?.leading_zeros() as usize)?;
    let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
    let is_sound = bits >= MODULUS_BITS_MIN && is_odd && exponent != [1] && exponent.len() <= 8;
    if entry.kty != "RSA" || !is_for_signatures || !is_key_id(&entry.kid) || !is_sound {
        return None;
    }
    Some(Key {
        decoding: DecodingKey::from_rsa_raw_components(&modulus, &exponent),
        algorithm: entry.alg,
        endorsements: entry.endorsements.unwrap_or_default(),
        tenant: entry.issuer.as_deref().and_then(tenant),
    })
}

/// Returns a number without leading zeros.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let start = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(start..).map(<[u8]>::to_vec)
}

/// Returns the tenant in the issuer of a key: the part of its path that is an id. Keys for all tenants have `{tenantid}`
/// there.
fn tenant(issuer: &str) -> Option<String> {
    let path = issuer.split_once("://")?.1;
    let is_id = |part: &&str| part.len() == 36 && part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    path.split('/').skip(1).find(is_id).map(str::to_ascii_lowercase)
}

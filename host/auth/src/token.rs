//! Checks of the token that a caller presents. Pure: keys and time are arguments.
//!
//! A token is read twice. First without its signature, to choose the issuer and the key ([`Claimed`]); nothing else
//! is decided by that. Then with the signature, by [`verify`]. Which channel and `serviceUrl` the caller may name is
//! checked when the activity is known, by [`Caller::admit`].
//!
//! | caller | issuer | proves itself by | may name |
//! | --- | --- | --- | --- |
//! | channel | the channel issuer of the cloud | audience | the channels that endorse its key, and the `serviceUrl` of its claim |
//! | Emulator, or a tool with the bot's own credentials | Entra | audience, tenant, its app id is the bot's | a configured `serviceUrl` |
//! | agent that calls the bot as a skill | Entra | audience, tenant, its app id is a configured caller | a configured `serviceUrl` |

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto;
use serde_json::{Map, Value};
use turntable_config::{Algorithm, AppKind, Registration};
use url::Url;

use crate::jwks::Key;
use crate::refused::{Refused, shown};

/// The longest token, in bytes. Tokens of channels and Entra have 1 to 3 KiB.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// The longest key id, in characters.
pub(crate) const KEY_ID_MAX: usize = 128;
/// By how much the clocks of issuer and host may differ, in seconds.
const LEEWAY_S: f64 = 300.0;

/// Who says to have issued a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Issuer {
    /// The channels of the bot's cloud.
    Channel,
    /// A tenant of Entra, by its id in lower case.
    Entra(String),
}

/// What a token says before its signature is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) issuer: Issuer,
    pub(crate) key_id: String,
    algorithm: Algorithm,
}

/// A caller whose token is valid for the bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A channel.
    Channel {
        /// The claim `serviceurl`.
        service_url: String,
        /// The channels that the key may speak for.
        endorsements: Vec<String>,
    },
    /// An app of a tenant: the bot's own, or a configured agent.
    App {
        /// The app id.
        app_id: String,
    },
}

/// Returns the token of an `Authorization` header. There must be exactly one header.
pub(crate) fn bearer<'h>(headers: impl IntoIterator<Item = &'h [u8]>) -> Result<&'h str, Refused> {
    let wrong = |reason: &str| Refused::unauthenticated("header", reason);
    let mut headers = headers.into_iter();
    let header = headers.next().ok_or_else(|| wrong("there is no Authorization header"))?;
    if headers.next().is_some() {
        return Err(wrong("there is more than one Authorization header"));
    }
    if header.len() > TOKEN_BYTES_MAX {
        return Err(wrong("the Authorization header is larger than 16 KiB"));
    }
    let text = std::str::from_utf8(header).map_err(|_| wrong("the Authorization header is not ASCII"))?;
    let mut words = text.split(' ');
    let (Some(scheme), Some(token), None) = (words.next(), words.next(), words.next()) else {
        return Err(wrong("the Authorization header is not `Bearer TOKEN`"));
    };
    match scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        true => Ok(token),
        false => Err(wrong("the Authorization header is not `Bearer TOKEN`")),
    }
}

/// Reads issuer, key id and algorithm of a token whose signature is not checked yet.
pub(crate) fn claimed(token: &str, registration: &Registration) -> Result<Claimed, Refused> {
    let form = |reason: &str| Refused::unauthenticated("form", reason);
    let [header, payload, _] = parts(token).ok_or_else(|| form("the token has not three parts"))?;
    let header = object(header).ok_or_else(|| form("the header of the token is not a JSON object in base64url"))?;
    let payload = object(payload).ok_or_else(|| form("the claims of the token are not a JSON object in base64url"))?;
    if header.contains_key("crit") {
        return Err(form("the header of the token has critical extensions"));
    }
    let named = text(&header, "alg").unwrap_or_default();
    let algorithm = registration.algorithms.iter().copied().find(|algorithm| name(*algorithm) == named);
    let algorithm = algorithm.ok_or_else(|| {
        Refused::unauthenticated("algorithm", format!("the algorithm \"{}\" is not allowed", shown(named)))
    })?;
    let key_id = text(&header, "kid").filter(|id| is_key_id(id)).ok_or_else(|| {
        Refused::unauthenticated("key-id", "the token has no key id of at most 128 printable characters")
    })?;
    let issuer = issuer(&payload, registration)?;
    Ok(Claimed { issuer, key_id: key_id.to_owned(), algorithm })
}

/// Checks the signature of a token with the key that it claimed, and everything that does not need the activity.
/// `now` is the time of day in seconds since 1970.
pub(crate) fn verify(
    token: &str,
    claimed: &Claimed,
    key: &Key,
    registration: &Registration,
    now: u64,
) -> Result<Caller, Refused> {
    let payload = signed_claims(token, claimed, key)?;
    // What was read before the signature was checked is what was signed.
    if issuer(&payload, registration)? != claimed.issuer {
        return Err(Refused::unauthenticated("issuer", "the issuer is not the one that the key was chosen for"));
    }
    check_time(&payload, now)?;
    check_audience(&payload, &registration.app_id)?;
    match &claimed.issuer {
        Issuer::Channel => channel(&payload, key, registration),
        Issuer::Entra(tenant) => app(&payload, tenant, key, registration),
    }
}

impl Caller {
    /// Checks that the caller may send an activity of this channel, whose replies go to this `serviceUrl`. Returns the
    /// name of the channel within the bot.
    ///
    /// Conversations of an app are kept apart from those of channels, because an app chooses `channelId` and
    /// conversation ids itself. No channel has a name with `#`.
    pub(crate) fn admit(
        &self,
        channel_id: &str,
        service_url: &str,
        registration: &Registration,
    ) -> Result<String, Refused> {
        match self {
            Self::Channel { service_url: proved, endorsements } => {
                let endorses = |wanted: &str| endorsements.iter().any(|channel| channel == wanted);
                if channel_id.is_empty() || !endorses(channel_id) {
                    let reason = format!("the key is not endorsed for the channel \"{}\"", shown(channel_id));
                    return Err(Refused::forbidden("endorsement", reason));
                }
                if let Some(missing) = registration.endorsements.iter().find(|wanted| !endorses(wanted)) {
                    let reason =
                        format!("the key has no endorsement \"{missing}\", which `auth.endorsements` requires");
                    return Err(Refused::forbidden("endorsement", reason));
                }
                let (proved, named) = (normal(proved), normal(service_url));
                if named.is_none() || proved != named {
                    let reason = "the `serviceUrl` of the activity is not the one in the token";
                    return Err(Refused::forbidden("service-url", reason));
                }
                Ok(channel_id.to_owned())
            }
            Self::App { app_id } => {
                let origin = Url::parse(service_url).ok().map(|url| url.origin().ascii_serialization());
                let listed = origin.as_ref().is_some_and(|origin| registration.service_origins.contains(origin));
                if !listed && !service_url.is_empty() && !service_url.starts_with("urn:") {
                    let reason = format!(
                        "the origin of the `serviceUrl` \"{}\" of app {app_id} is not listed in `auth.service-origins`",
                        shown(service_url)
                    );
                    return Err(Refused::forbidden("service-url", reason));
                }
                Ok(format!("{channel_id}#{app_id}"))
            }
        }
    }
}

/// Returns whether a text can be a key id.
pub(crate) fn is_key_id(id: &str) -> bool {
    (1..=KEY_ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

fn signed_claims(token: &str, claimed: &Claimed, key: &Key) -> Result<Map<String, Value>, Refused> {
    let invalid = || Refused::unauthenticated("signature", "the signature of the token is not valid");
    if key.algorithm.as_deref().is_some_and(|only| only != name(claimed.algorithm)) {
        return Err(Refused::unauthenticated("algorithm", "the key is for another algorithm"));
    }
    let (message, signature) = token.rsplit_once('.').ok_or_else(invalid)?;
    let algorithm = match claimed.algorithm {
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
    };
    match crypto::verify(signature, message.as_bytes(), &key.decoding, algorithm) {
        Ok(true) => message.split_once('.').and_then(|(_, payload)| object(payload)).ok_or_else(invalid),
        _ => Err(invalid()),
    }
}

fn check_time(payload: &Map<String, Value>, now: u64) -> Result<(), Refused> {
    let wrong = |reason: String| Refused::unauthenticated("time", reason);
    let seconds = |claim: &str| payload.get(claim).and_then(Value::as_f64).filter(|seconds| seconds.is_finite());
    #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 have few digits")]
    let now = now as f64;
    let expires = seconds("exp").ok_or_else(|| wrong("`exp` is missing or not a number".to_owned()))?;
    if expires + LEEWAY_S <= now {
        return Err(wrong(format!("the token expired {} s ago", now - expires)));
    }
    if !payload.contains_key("nbf") {
        return Ok(());
    }
    let begins = seconds("nbf").ok_or_else(|| wrong("`nbf` is not a number".to_owned()))?;
    match begins - LEEWAY_S > now {
        true => Err(wrong(format!("the token is valid from {} s on; check the clock of this machine", begins - now))),
        false => Ok(()),
    }
}

/// Entra writes the audience in one of three forms. A list of audiences is refused, because no issuer here writes one.
fn check_audience(payload: &Map<String, Value>, app_id: &str) -> Result<(), Refused> {
    let audience = text(payload, "aud").unwrap_or_default().to_ascii_lowercase();
    let id = audience.strip_prefix("api://").map_or(&*audience, |id| id.strip_prefix("botid-").unwrap_or(id));
    match id == app_id {
        true => Ok(()),
        false => {
            Err(Refused::unauthenticated("audience", format!("the audience \"{}\" is not the bot", shown(&audience))))
        }
    }
}

fn channel(payload: &Map<String, Value>, key: &Key, registration: &Registration) -> Result<Caller, Refused> {
    // Channels write the plain id, so the other two forms belong to another issuer.
    if !text(payload, "aud").is_some_and(|audience| audience.eq_ignore_ascii_case(&registration.app_id)) {
        return Err(Refused::unauthenticated("audience", "the audience of a channel's token is not the plain app id"));
    }
    let service_url = text(payload, "serviceurl").filter(|url| !url.is_empty());
    let service_url =
        service_url.ok_or_else(|| Refused::forbidden("service-url", "the token has no claim `serviceurl`"))?;
    Ok(Caller::Channel { service_url: service_url.to_owned(), endorsements: key.endorsements.clone() })
}

fn app(payload: &Map<String, Value>, tenant: &str, key: &Key, registration: &Registration) -> Result<Caller, Refused> {
    let token_tenant = text(payload, "tid").unwrap_or_default();
    if !token_tenant.eq_ignore_ascii_case(tenant) {
        return Err(Refused::unauthenticated("tenant", "the claim `tid` is not the tenant of the issuer"));
    }
    if key.tenant.as_deref().is_some_and(|only| only != tenant) {
        return Err(Refused::unauthenticated("key", "the key belongs to another tenant"));
    }
    if !is_tenant_allowed(tenant, registration) {
        let reason = format!("the tenant {} is not listed in `auth.tenant` or `auth.tenants`", shown(tenant));
        return Err(Refused::forbidden("tenant", reason));
    }
    if payload.contains_key("scp") {
        return Err(Refused::forbidden("caller", "the token was issued to a user, not to an app"));
    }
    let claim = match text(payload, "ver") {
        Some("2.0") => "azp",
        Some("1.0") => "appid",
        None if !payload.contains_key("ver") => "appid",
        _ => return Err(Refused::unauthenticated("version", "the claim `ver` is neither 1.0 nor 2.0")),
    };
    let app_id = text(payload, claim).unwrap_or_default().to_ascii_lowercase();
    if app_id.is_empty() || app_id.contains('#') {
        return Err(Refused::unauthenticated("caller", format!("the token has no usable claim `{claim}`")));
    }
    let may_call = |caller: &String| *caller == app_id || caller == "*";
    match app_id == *registration.app_id || registration.skill_callers.iter().any(may_call) {
        true => Ok(Caller::App { app_id }),
        false => {
            let reason = format!("the app {} is not listed in `auth.skill-callers`", shown(&app_id));
            Err(Refused::forbidden("caller", reason))
        }
    }
}

fn is_tenant_allowed(tenant: &str, registration: &Registration) -> bool {
    let bot_tenants: &[String] = match registration.kind {
        AppKind::MultiTenant => &registration.cloud.bot_tenants,
        AppKind::SingleTenant | AppKind::Managed => &[],
    };
    registration.tenant.as_deref() == Some(tenant)
        || registration.tenants.iter().chain(bot_tenants).any(|allowed| allowed == tenant)
}

/// Returns which of the bot's issuers the claims name.
fn issuer(payload: &Map<String, Value>, registration: &Registration) -> Result<Issuer, Refused> {
    let named = text(payload, "iss").unwrap_or_default();
    let cloud = &registration.cloud;
    if named == cloud.channel_issuer {
        return Ok(Issuer::Channel);
    }
    let tenant = cloud.entra_issuers.iter().find_map(|template| {
        let (before, after) = template.split_once("{tenant}")?;
        named.strip_prefix(before)?.strip_suffix(after)
    });
    let is_id = |tenant: &&str| {
        !tenant.is_empty()
            && tenant.len() <= 64
            && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    match tenant.filter(is_id) {
        Some(tenant) => Ok(Issuer::Entra(tenant.to_ascii_lowercase())),
        None => Err(Refused::unauthenticated("issuer", format!("the issuer \"{}\" is not trusted", shown(named)))),
    }
}

/// Returns a `serviceUrl` in a form that compares: case of scheme and host, default port and trailing slashes do not
/// matter. None: it is not a URL that a token may go to.
fn normal(service_url: &str) -> Option<String> {
    let url = Url::parse(service_url).ok()?;
    let usable = url.has_host() && url.username().is_empty() && url.password().is_none();
    let plain = url.query().is_none() && url.fragment().is_none();
    (usable && plain).then(|| url.as_str().trim_end_matches('/').to_owned())
}

fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Rs256 => "RS256",
        Algorithm::Rs384 => "RS384",
        Algorithm::Rs512 => "RS512",
    }
}

fn parts(token: &str) -> Option<[&str; 3]> {
    let mut parts = token.split('.');
    let found = [parts.next()?, parts.next()?, parts.next()?];
    (parts.next().is_none() && found.iter().all(|part| !part.is_empty())).then_some(found)
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn text<'v>(object: &'v Map<String, Value>, member: &str) -> Option<&'v str> {
    object.get(member).and_then(Value::as_str)
}

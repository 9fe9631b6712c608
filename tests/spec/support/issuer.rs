//! Issuers of tokens: a key server on loopback, and tokens that are really signed with its keys.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaPublicKeyComponents,
};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Config;

/// The app id of the bot.
pub(crate) const APP: &str = "11111111-1111-1111-1111-111111111111";
/// The app id of an agent that may call the bot.
pub(crate) const AGENT: &str = "22222222-2222-2222-2222-222222222222";
/// The tenant of the bot.
pub(crate) const TENANT: &str = "33333333-3333-3333-3333-333333333333";
pub(crate) const CHANNEL_ISSUER: &str = "https://channel.test";

/// Keys by name. Making one takes long, so all specs share them.
static KEYS: LazyLock<HashMap<&'static str, KeyPair>> = LazyLock::new(|| {
    let key = |name| (name, KeyPair::generate(KeySize::Rsa2048).unwrap());
    ["channel", "entra", "other"].map(key).into()
});

/// A server of keys: `channel` and `entra`, each with metadata and a key set.
pub(crate) struct Issuer {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The keys of each issuer, as in its key set.
    sets: Mutex<BTreeMap<String, Vec<Value>>>,
    /// What is answered in place of a key set.
    instead: Mutex<Option<(u16, String)>>,
    /// How often the metadata of each issuer was fetched.
    fetches: Mutex<BTreeMap<String, usize>>,
    /// The requests for tokens of the bot.
    asked: Mutex<Vec<Asked>>,
    /// How the next requests for tokens are answered. Later ones get a token.
    token_answers: Mutex<VecDeque<(u16, String)>>,
}

/// A request for a token of the bot.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The path and the query.
    pub(crate) target: String,
    /// The form, or the query of a GET.
    pub(crate) form: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
}

/// Prefix of the tokens that the token server gives, by which leaks are found.
pub(crate) const TOKEN_CANARY: &str = "canary-token-";

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let router = Router::new()
            .route("/{issuer}/metadata", get(metadata))
            .route("/{issuer}/keys", get(keys))
            .route("/{tenant}/oauth2/v2.0/token", post(token))
            .route("/identity", get(token))
            .with_state((shared.clone(), address));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let issuer = Self { address, shared };
        issuer.publish("channel", vec![jwk("channel", "c1", &json!({ "endorsements": ["msteams", "test"] }))]);
        issuer.publish("entra", vec![jwk("entra", "e1", &json!({}))]);
        issuer
    }

    /// Replaces the key set of an issuer.
    pub(crate) fn publish(&self, issuer: &str, keys: Vec<Value>) {
        self.shared.sets.lock().unwrap().insert(issuer.to_owned(), keys);
    }

    /// Answers this in place of every key set.
    pub(crate) fn answers(&self, status: u16, body: &str) {
        *self.shared.instead.lock().unwrap() = Some((status, body.to_owned()));
    }

    /// Returns how often the keys of an issuer were fetched.
    pub(crate) fn fetches(&self, issuer: &str) -> usize {
        self.shared.fetches.lock().unwrap().get(issuer).copied().unwrap_or_default()
    }

    /// Plans the answer to one more request for a token.
    pub(crate) fn answers_token_with(&self, status: u16, body: &str) {
        self.shared.token_answers.lock().unwrap().push_back((status, body.to_owned()));
    }

    /// Returns the requests for tokens of the bot so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Adds the cloud of this issuer to a configuration.
    pub(crate) fn cloud(&self, config: Config) -> Config {
        let base = format!("http://{}", self.address);
        config.set(
            "clouds.test",
            &format!(
                "{{ channel-metadata = '{base}/channel/metadata', channel-issuer = '{CHANNEL_ISSUER}', \
                 entra-metadata = '{base}/entra/metadata', login = '{base}', scope = 'https://channel.test/.default', \
                 identity-endpoint = '{base}/identity', bot-tenants = [], inner-addresses = ['127.0.0.1'], \
                 entra-issuers = ['https://sts.test/{{tenant}}/', 'https://login.test/{{tenant}}/v2.0'] }}"
            ),
        )
    }

    /// Adds a bot that is registered in this cloud. `more` is more of its `auth` table.
    pub(crate) fn bot(&self, config: Config, name: &str, more: &str) -> Config {
        let auth = format!("{{ cloud = 'test', tenant = '{TENANT}', {more} }}");
        self.cloud(config).bot(name, &[]).bot_key("app-id", &format!("'{APP}'")).bot_key("auth", &auth)
    }
}

/// A key as in a key set, with more members.
pub(crate) fn jwk(key: &str, id: &str, more: &Value) -> Value {
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(KEYS[key].public_key());
    let mut jwk = json!({
        "kty": "RSA", "use": "sig", "kid": id,
        "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e)
    });
    for (member, value) in more.as_object().unwrap() {
        jwk[member] = value.clone();
    }
    jwk
}

/// A token that is built and signed.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    key: &'static str,
}

impl Token {
    /// A token of a channel for a `serviceUrl`.
    pub(crate) fn channel(service_url: &str) -> Self {
        let claims = json!({
            "iss": CHANNEL_ISSUER, "aud": APP, "nbf": now() - 60, "exp": now() + 3_600, "serviceurl": service_url
        });
        Self { header: json!({ "alg": "RS256", "typ": "JWT", "kid": "c1" }), claims, key: "channel" }
    }

    /// A token of Entra for an app, of version 1.
    pub(crate) fn app(app: &str) -> Self {
        let claims = json!({
            "iss": format!("https://sts.test/{TENANT}/"), "aud": APP, "nbf": now() - 60, "exp": now() + 3_600,
            "tid": TENANT, "ver": "1.0", "appid": app
        });
        Self { header: json!({ "alg": "RS256", "typ": "JWT", "kid": "e1" }), claims, key: "entra" }
    }

    /// A token of Entra for an app, of version 2.
    pub(crate) fn app_v2(app: &str) -> Self {
        let token = Self::app(app).with("iss", format!("https://login.test/{TENANT}/v2.0")).with("ver", "2.0");
        token.without("appid").with("azp", app)
    }

    pub(crate) fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.claims[claim] = value.into();
        self
    }

    pub(crate) fn without(mut self, claim: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(claim);
        self
    }

    pub(crate) fn header(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.header[member] = value.into();
        self
    }

    pub(crate) fn signed_by(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }

    /// Returns the token, signed with the algorithm of its header, or with RS256.
    pub(crate) fn signed(&self) -> String {
        let message = self.message();
        let encoding: &'static dyn aws_lc_rs::signature::RsaEncoding = match self.header["alg"].as_str() {
            Some("RS384") => &RSA_PKCS1_SHA384,
            Some("RS512") => &RSA_PKCS1_SHA512,
            Some("PS256") => &RSA_PSS_SHA256,
            _ => &RSA_PKCS1_SHA256,
        };
        let key = &KEYS[self.key];
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Returns the part of the token that is signed.
    pub(crate) fn message(&self) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", encode(&self.header), encode(&self.claims))
    }

    /// Returns the `Authorization` header.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.signed())
    }
}

/// The time of day in seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The modulus of a key, which is public.
pub(crate) fn modulus(key: &str) -> Vec<u8> {
    RsaPublicKeyComponents::<Vec<u8>>::from(KEYS[key].public_key()).n
}

type Server = (Arc<Shared>, std::net::SocketAddr);

async fn metadata(State((shared, address)): State<Server>, Path(issuer): Path<String>) -> Response {
    *shared.fetches.lock().unwrap().entry(issuer.clone()).or_default() += 1;
    axum::Json(json!({ "issuer": "unused", "jwks_uri": format!("http://{address}/{issuer}/keys") })).into_response()
}

async fn token(State((shared, _)): State<Server>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let query = parts.uri.query().unwrap_or_default().as_bytes().to_vec();
    let form = if body.is_empty() { query } else { body.to_vec() };
    let form = url::form_urlencoded::parse(&form).into_owned().collect();
    let number = {
        let mut asked = shared.asked.lock().unwrap();
        asked.push(Asked { target: parts.uri.to_string(), form, headers: parts.headers });
        asked.len()
    };
    if let Some((status, body)) = shared.token_answers.lock().unwrap().pop_front() {
        return (StatusCode::from_u16(status).unwrap(), body).into_response();
    }
    let token = format!("{TOKEN_CANARY}{number}");
    axum::Json(json!({ "token_type": "Bearer", "expires_in": 3_600, "access_token": token })).into_response()
}

async fn keys(State((shared, _)): State<Server>, Path(issuer): Path<String>) -> Response {
    if let Some((status, body)) = shared.instead.lock().unwrap().clone() {
        return (StatusCode::from_u16(status).unwrap(), body).into_response();
    }
    let sets = shared.sets.lock().unwrap();
    axum::Json(json!({ "keys": sets.get(&issuer).cloned().unwrap_or_default() })).into_response()
}

//! Reads how bots are registered with channels: `app-id` and `[bots.NAME.auth]` of each bot, and `[clouds.NAME]`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeValue;
use url::{Host, Url};

use super::credential::{AppCredential, credential};
use super::table::{Table, described};
use super::text::{is_name, nearest};

/// A bot's registration with channels: its identity, and who may call it.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// `app-id`: the id of the app registration, in lower case.
    pub app_id: Arc<str>,
    /// `auth.cloud`, default `public`.
    pub cloud: Arc<Cloud>,
    /// `auth.type`, default `single-tenant` with a `tenant` and `multi-tenant` without one.
    pub kind: AppKind,
    /// `auth.tenant`: the tenant of the app registration. Required unless the type is `multi-tenant`.
    pub tenant: Option<Arc<str>>,
    /// `auth.tenants`: further tenants whose agents and developers may call the bot.
    pub tenants: Vec<String>,
    /// `auth.skill-callers`: app ids of agents that may call the bot. `*` allows every agent of the tenants.
    pub skill_callers: Vec<String>,
    /// `auth.service-origins`: origins that may get replies and the bot's token, besides those that a channel's token
    /// proved.
    pub service_origins: Vec<String>,
    /// `auth.endorsements`: endorsements that the key of a channel must have, besides the `channelId`.
    pub endorsements: Vec<String>,
    /// `auth.algorithms`: signature algorithms of tokens, default RS256.
    pub algorithms: Vec<Algorithm>,
    /// The credential of the bot. Without one the bot can answer in HTTP responses only.
    pub credential: Option<AppCredential>,
}

/// How an app is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppKind {
    /// `single-tenant`: the app belongs to its tenant.
    SingleTenant,
    /// `multi-tenant`: the app belongs to the tenant of the Bot Framework.
    MultiTenant,
    /// `managed`: a user-assigned managed identity.
    Managed,
}

/// A signature algorithm of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with SHA-256.
    Rs256,
    /// RSA with SHA-384.
    Rs384,
    /// RSA with SHA-512.
    Rs512,
}

/// The servers and names of one cloud. All can be configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Cloud {
    /// `[clouds.NAME]`
    pub name: String,
    /// `channel-metadata`: OpenID metadata of the channels.
    pub channel_metadata: String,
    /// `channel-issuer`: issuer of the tokens of channels.
    pub channel_issuer: String,
    /// `entra-metadata`: OpenID metadata of Entra, whose tokens the Emulator and agents use.
    pub entra_metadata: String,
    /// `entra-issuers`: issuers of tokens of Entra, with `{tenant}` for the id of the tenant.
    pub entra_issuers: Vec<String>,
    /// `bot-tenants`: tenants that issue tokens for multi-tenant apps.
    pub bot_tenants: Vec<String>,
    /// `login`: the token server of Entra.
    pub login: String,
    /// `login-tenant`: the tenant at which multi-tenant apps get their tokens.
    pub login_tenant: String,
    /// `scope`: the scope of tokens for channels.
    pub scope: String,
    /// `identity-endpoint`: the metadata service of the machine, which gives tokens for managed identities.
    pub identity_endpoint: String,
    /// `inner-addresses`: addresses of the own network at which servers of this cloud may be called. Default: none, so
    /// that only public addresses are called.
    pub inner_addresses: Vec<IpAddr>,
}

/// Tenant of the Bot Framework, which issues tokens for multi-tenant apps.
const BOT_FRAMEWORK_TENANT: &str = "d6d49420-f39b-4df7-a1dc-d59a935871db";
/// Tenant of personal Microsoft accounts, in which old apps are registered.
const PERSONAL_TENANT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";
const GOVERNMENT_TENANT: &str = "cab8a31a-1906-4287-a0d8-4eef66b95f6e";

/// The metadata service of a machine in Azure.
const METADATA_SERVICE: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// Name of the cloud of bots that name none.
const DEFAULT_CLOUD: &str = "public";

impl Cloud {
    /// Returns the clouds that exist without configuration.
    fn built_in() -> [Self; 3] {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let cloud = |name: &str, channel: &str, issuer: &str, entra: &str, issuers: &[&str], tenants: &[&str]| Self {
            login: format!("https://{}", entra.split('/').next().unwrap_or_default()),
            login_tenant: String::new(),
            scope: format!("https://{issuer}/.default"),
            identity_endpoint: METADATA_SERVICE.to_owned(),
            name: name.to_owned(),
            channel_metadata: format!("https://{channel}/v1/.well-known/openidconfiguration"),
            channel_issuer: format!("https://{issuer}"),
            entra_metadata: format!("https://{entra}/v2.0/.well-known/openid-configuration"),
            entra_issuers: texts(issuers),
            bot_tenants: texts(tenants),
            inner_addresses: Vec::new(),
        };
        let with_login = |cloud: Self, tenant: &str| Self { login_tenant: tenant.to_owned(), ..cloud };
        [
            with_login(
                cloud(
                    DEFAULT_CLOUD,
                    "login.botframework.com",
                    "api.botframework.com",
                    "login.microsoftonline.com/common",
                    &["https://sts.windows.net/{tenant}/", "https://login.microsoftonline.com/{tenant}/v2.0"],
                    &[BOT_FRAMEWORK_TENANT, PERSONAL_TENANT],
                ),
                "botframework.com",
            ),
            with_login(
                cloud(
                    "us-gov",
                    "login.botframework.azure.us",
                    "api.botframework.us",
                    &format!("login.microsoftonline.us/{GOVERNMENT_TENANT}"),
                    &["https://login.microsoftonline.us/{tenant}/", "https://login.microsoftonline.us/{tenant}/v2.0"],
                    &[GOVERNMENT_TENANT],
                ),
                "MicrosoftServices.onmicrosoft.us",
            ),
            with_login(
                cloud(
                    "china",
                    "login.botframework.azure.cn",
                    "api.botframework.azure.cn",
                    "login.partner.microsoftonline.cn/common",
                    &[
                        "https://sts.chinacloudapi.cn/{tenant}/",
                        "https://login.partner.microsoftonline.cn/{tenant}/v2.0",
                    ],
                    &[],
                ),
                "microsoftservices.partner.onmschina.cn",
            ),
        ]
    }
}

/// The clouds of a configuration, by name.
pub(super) type Clouds = BTreeMap<String, Arc<Cloud>>;

/// Reads `[clouds.NAME]`. A table changes single keys of a built-in cloud. A cloud with another name has the keys of
/// `public` where its table has none.
pub(super) fn clouds(table: &Table<'_>) -> Clouds {
    let built_in = Cloud::built_in();
    let mut clouds: Clouds = built_in.iter().map(|cloud| (cloud.name.clone(), Arc::new(cloud.clone()))).collect();
    for (name, span, node) in table.names() {
        let path = table.path(name);
        if !is_name(name) {
            table.problem(span.clone(), format!("\"{name}\" is not a valid name of a cloud: use a-z, 0-9 and -"));
        }
        let DeValue::Table(entries) = node.get_ref() else {
            table.problem(span, format!("`{path}` must be a table, not {}", described(node.get_ref())));
            continue;
        };
        let base = built_in.iter().find(|cloud| cloud.name == name).or(built_in.first());
        let Some(base) = base.cloned() else { continue };
        let cloud = cloud(Table::new(&path, entries, span, table.found()), Cloud { name: name.to_owned(), ..base });
        clouds.insert(name.to_owned(), Arc::new(cloud));
    }
    clouds
}

fn cloud(mut table: Table<'_>, mut cloud: Cloud) -> Cloud {
    checked(&mut table, "channel-metadata", &mut cloud.channel_metadata, server_url);
    checked(&mut table, "channel-issuer", &mut cloud.channel_issuer, filled);
    checked(&mut table, "entra-metadata", &mut cloud.entra_metadata, server_url);
    each(&mut table, "entra-issuers", &mut cloud.entra_issuers, issuer_template);
    each(&mut table, "bot-tenants", &mut cloud.bot_tenants, id);
    checked(&mut table, "login", &mut cloud.login, server_url);
    checked(&mut table, "login-tenant", &mut cloud.login_tenant, filled);
    checked(&mut table, "scope", &mut cloud.scope, filled);
    checked(&mut table, "identity-endpoint", &mut cloud.identity_endpoint, any_url);
    if let Some(texts) = table.strings("inner-addresses") {
        for (text, span) in texts {
            match text.parse() {
                Ok(address) => cloud.inner_addresses.push(address),
                Err(_) => table.problem(
                    span,
                    format!(
                        "`{}`: \"{text}\" is not an IP address, such as \"10.0.0.7\"",
                        table.path("inner-addresses")
                    ),
                ),
            }
        }
    }
    table.finish();
    cloud
}

/// Reads `app-id` and `auth` of a bot. None if the bot has no usable `app-id`.
pub(super) fn registration(bot: &mut Table<'_>, clouds: &Clouds, folder: &Path) -> Option<Registration> {
    let app_id = app_id(bot);
    let mut table = bot.table("auth");
    if !bot.has("app-id") && table.names().next().is_some() {
        let message = format!("`{}` has no effect without `app-id`; add the app id of the bot", bot.path("auth"));
        bot.problem(table.span(), message);
    }
    let cloud = cloud_of(&mut table, clouds)?;
    let mut tenant = String::new();
    checked(&mut table, "tenant", &mut tenant, id);
    let mut kind = if table.has("tenant") { AppKind::SingleTenant } else { AppKind::MultiTenant };
    let kinds = [
        ("single-tenant", AppKind::SingleTenant),
        ("multi-tenant", AppKind::MultiTenant),
        ("managed", AppKind::Managed),
    ];
    table.choice("type", &mut kind, &kinds);
    if kind != AppKind::MultiTenant && !table.has("tenant") {
        let message = format!("`{}` is missing; give the id of the tenant of the app", table.path("tenant"));
        table.problem(table.span_of("type"), message);
    }
    let mut registration = Registration {
        app_id: app_id.clone().unwrap_or_default().into(),
        cloud,
        kind,
        tenant: (!tenant.is_empty()).then(|| tenant.into()),
        tenants: Vec::new(),
        skill_callers: Vec::new(),
        service_origins: Vec::new(),
        endorsements: Vec::new(),
        algorithms: vec![Algorithm::Rs256],
        credential: None,
    };
    each(&mut table, "tenants", &mut registration.tenants, id);
    each(&mut table, "skill-callers", &mut registration.skill_callers, |text| match text {
        "*" => Ok(text.to_owned()),
        _ => id(text),
    });
    each(&mut table, "service-origins", &mut registration.service_origins, service_origin);
    each(&mut table, "endorsements", &mut registration.endorsements, filled);
    each(&mut table, "algorithms", &mut registration.algorithms, algorithm);
    registration.credential = credential(&mut table, kind == AppKind::Managed, folder);
    table.finish();
    app_id.map(|_| registration)
}

fn app_id(bot: &mut Table<'_>) -> Option<String> {
    let (text, span) = bot.string("app-id")?;
    match id(text) {
        Ok(id) => Some(id),
        Err(why) => {
            bot.problem(span, format!("`{}`: {why}", bot.path("app-id")));
            None
        }
    }
}

fn cloud_of(table: &mut Table<'_>, clouds: &Clouds) -> Option<Arc<Cloud>> {
    let (name, span) = table.string("cloud").unwrap_or((DEFAULT_CLOUD, table.span()));
    let cloud = clouds.get(name).cloned();
    if cloud.is_none() {
        let hint = nearest(name, clouds.keys().map(String::as_str)).map(|near| format!("did you mean \"{near}\"?"));
        let known = || format!("known are {}", clouds.keys().cloned().collect::<Vec<_>>().join(", "));
        let path = table.path("cloud");
        table.problem(span, format!("`{path}`: there is no cloud \"{name}\"; {}", hint.unwrap_or_else(known)));
    }
    cloud.or_else(|| clouds.get(DEFAULT_CLOUD).cloned())
}

/// Reads a string. `check` returns it in canonical form, or an error text.
fn checked(
    table: &mut Table<'_>,
    key: &'static str,
    slot: &mut String,
    check: impl Fn(&str) -> Result<String, String>,
) {
    let Some((text, span)) = table.string(key) else { return };
    match check(text) {
        Ok(text) => *slot = text,
        Err(why) => table.problem(span, format!("`{}`: {why}", table.path(key))),
    }
}

/// Reads an array of strings. `check` returns each in canonical form, or an error text.
fn each<T>(table: &mut Table<'_>, key: &'static str, slot: &mut Vec<T>, check: impl Fn(&str) -> Result<T, String>) {
    let Some(texts) = table.strings(key) else { return };
    slot.clear();
    for (text, span) in texts {
        match check(text) {
            Ok(value) => slot.push(value),
            Err(why) => table.problem(span, format!("`{}`: {why}", table.path(key))),
        }
    }
}

/// Returns a GUID in lower case.
fn id(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths = parts.iter().map(|part| part.len());
    let is_guid = lengths.eq([8, 4, 4, 4, 12]) && parts.concat().bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_guid {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(format!("\"{text}\" is not an id such as \"12345678-90ab-cdef-1234-567890abcdef\"")),
    }
}

fn filled(text: &str) -> Result<String, String> {
    match text.trim() == text && !text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err("the text is empty, or begins or ends with a space".to_owned()),
    }
}

fn issuer_template(text: &str) -> Result<String, String> {
    match text.matches("{tenant}").count() {
        1 => filled(text),
        _ => Err(format!("\"{text}\" must contain `{{tenant}}` once, in place of the id of the tenant")),
    }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    match text {
        "RS256" => Ok(Algorithm::Rs256),
        "RS384" => Ok(Algorithm::Rs384),
        "RS512" => Ok(Algorithm::Rs512),
        _ => Err(format!("\"{text}\" is not supported; the algorithms are RS256, RS384 and RS512")),
    }
}

/// Checks the URL of a server that the host calls: `https`, or `http` on this machine.
fn server_url(text: &str) -> Result<String, String> {
    let url = secure(text)?;
    match url.fragment().is_none() {
        true => Ok(text.to_owned()),
        false => Err(format!("\"{text}\" has a fragment; remove it")),
    }
}

/// The metadata service of a machine has no TLS.
fn any_url(text: &str) -> Result<String, String> {
    match Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        true => Ok(text.to_owned()),
        false => Err(format!("\"{text}\" is not an http or https URL")),
    }
}

/// Checks an origin that may get a token, and returns it in canonical form.
fn service_origin(text: &str) -> Result<String, String> {
    let url = secure(text)?;
    match url.path() == "/" && url.query().is_none() && url.fragment().is_none() {
        true => Ok(url.origin().ascii_serialization()),
        false => Err(format!("\"{text}\" is not an origin: write scheme, host and port only")),
    }
}

fn secure(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| format!("\"{text}\" is not a URL such as \"https://login.example.org\""))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL contains a user name or password; remove them".to_owned());
    }
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(format!("\"{text}\" has no host")),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_local => Ok(url),
        _ => Err(format!("\"{text}\" must be an https URL; http is for servers on loopback")),
    }
}

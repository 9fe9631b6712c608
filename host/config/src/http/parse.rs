//! Reads rules and grants: from the text of a URL, from `grants.http` in the configuration, from `wants.http` in a manifest.

use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;
use toml::de::DeValue;
use url::Host;

use super::{Credential, CredentialPlace, HostPattern, HttpGrant, HttpRule, is_plain_path};
use crate::read::beside;
use crate::table::{Table, described};

/// The most rules of one plugin.
const RULES_MAX: usize = 64;
/// The longest URL of a rule, in bytes.
const URL_BYTES_MAX: usize = 1_024;
/// The longest `format` of a credential, in bytes.
const FORMAT_BYTES_MAX: usize = 256;
/// Headers that frame a message or belong to the connection, so that no credential can go there.
const NO_CREDENTIAL: [&str; 9] = [
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Methods that no rule covers: the first makes a proxy of the server, the second shows headers to the client.
const NEVER: [&str; 2] = ["CONNECT", "TRACE"];

/// The methods of a rule: `GET` and `HEAD` unless the rule lists others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Methods(Option<Vec<String>>);

impl Default for Methods {
    fn default() -> Self {
        Self(Some(vec!["GET".to_owned(), "HEAD".to_owned()]))
    }
}

impl Methods {
    /// Returns every method.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    pub(super) fn one(method: &str) -> Self {
        Self(Some(vec![method.to_owned()]))
    }

    /// Returns whether the method is one of them. `CONNECT` and `TRACE` never are.
    #[must_use]
    pub fn contain(&self, method: &str) -> bool {
        let listed = self.0.as_ref().is_none_or(|methods| methods.iter().any(|known| known == method));
        listed && !NEVER.contains(&method)
    }

    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let both = match (&self.0, &other.0) {
            (None, methods) | (methods, None) => methods.clone(),
            (Some(one), Some(two)) => Some(one.iter().filter(|method| two.contains(method)).cloned().collect()),
        };
        both.as_ref().is_none_or(|methods: &Vec<String>| !methods.is_empty()).then_some(Self(both))
    }

    /// Reads a list of methods; `*` is every method.
    fn parse<'m>(names: impl IntoIterator<Item = &'m str>) -> Result<Self, String> {
        let mut methods: Vec<String> = Vec::new();
        for name in names {
            match name {
                "*" => return Ok(Self::all()),
                _ if NEVER.contains(&name) => return Err(format!("the method {name} is never allowed")),
                _ if name.is_empty() || name.len() > 32 || !name.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                    return Err(format!(
                        "\"{name}\" is not a method; write it in capitals, such as \"POST\", or \"*\""
                    ));
                }
                _ if methods.iter().any(|known| known == name) => {}
                _ => methods.push(name.to_owned()),
            }
        }
        if methods.is_empty() { Err("the list of methods is empty".to_owned()) } else { Ok(Self(Some(methods))) }
    }
}

impl std::fmt::Display for Methods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            None => f.write_str("[\"*\"]"),
            Some(methods) => write!(f, "[\"{}\"]", methods.join("\", \"")),
        }
    }
}

impl HttpRule {
    /// Reads the URL of a rule, such as `https://*.example.com:8443/v1/`. The methods are the default ones.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("\"{}\" {why}", url.chars().take(200).collect::<String>()));
        if url.len() > URL_BYTES_MAX {
            return wrong("is too long");
        }
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return wrong("must begin with https:// or http://"),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.is_empty() { "/" } else { path };
        if path.contains(['?', '#', '*']) || !path.bytes().all(|byte| byte.is_ascii_graphic()) || !is_plain_path(path) {
            return wrong("has an unusable path: a rule has a plain path prefix, without query, `*`, `//` or `..`");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => match port.parse() {
                Ok(port) if port != 0 => (host, port),
                _ => return wrong("has an unusable port"),
            },
            _ if authority == "*" => (authority, 0),
            _ => (authority, if tls { 443 } else { 80 }),
        };
        match host_pattern(host) {
            Ok(host) => Ok(Self { tls, host, port, path: path.to_owned(), methods: Methods::default() }),
            Err(why) => wrong(why),
        }
    }
}

fn host_pattern(text: &str) -> Result<HostPattern, &'static str> {
    const NO_HOST: &str = "has an unusable host: write a name, an IP address, or `*.` and a name of two parts or more";
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    let (suffix, name) = match text.strip_prefix("*.") {
        Some(suffix) => (true, suffix),
        None => (false, text),
    };
    match Host::parse(name) {
        Err(_) => Err(NO_HOST),
        Ok(Host::Domain(name)) if name.contains(['*', '@', '%']) || name.ends_with('.') => Err(NO_HOST),
        Ok(Host::Domain(name)) if suffix && !name.contains('.') => Err(NO_HOST),
        Ok(Host::Domain(name)) if suffix => Ok(HostPattern::Below(name)),
        Ok(_) if suffix => Err(NO_HOST),
        Ok(host) => Ok(HostPattern::Exactly(host.to_string())),
    }
}

/// Reads `wants.http` of a manifest: an array of URLs, or of objects with `url` and `methods`.
///
/// # Errors
/// What is wrong with the value.
pub fn wanted(value: &Value) -> Result<Vec<HttpGrant>, String> {
    let Value::Array(entries) = value else { return Err("must be an array of objects with `url`".to_owned()) };
    if entries.len() > RULES_MAX {
        return Err(format!("has more than {RULES_MAX} entries"));
    }
    entries.iter().map(|entry| wanted_rule(entry).map(HttpGrant::of)).collect()
}

fn wanted_rule(entry: &Value) -> Result<HttpRule, String> {
    let Some(url) = entry.as_str().or_else(|| entry["url"].as_str()) else {
        return Err("has an entry without `url`".to_owned());
    };
    let mut rule = HttpRule::parse(url)?;
    match &entry["methods"] {
        Value::Null => {}
        Value::Array(names) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            rule.methods = Methods::parse(names.ok_or("has `methods` that are not strings")?)?;
        }
        _ => return Err("has `methods` that are not an array".to_owned()),
    }
    Ok(rule)
}

impl HttpGrant {
    /// Returns the grant of these requests, without a credential, to public addresses.
    #[must_use]
    pub fn of(rule: HttpRule) -> Self {
        Self { rule, addresses: Vec::new(), roots_file: None, credential: None }
    }

    /// Reads `grants.http`. If `looks_at_files` is true, an unusable file is a problem.
    pub(crate) fn read(grants: &mut Table<'_>, folder: &Path, looks_at_files: bool) -> Vec<Self> {
        let nodes = grants.array("http", "an array of tables with `url`").unwrap_or_default();
        if nodes.len() > RULES_MAX {
            let path = grants.path("http");
            grants.problem(grants.span_of("http"), format!("`{path}` has more than {RULES_MAX} entries"));
        }
        let mut found = Vec::new();
        for (index, node) in nodes.into_iter().enumerate().take(RULES_MAX) {
            let path = format!("{}[{index}]", grants.path("http"));
            match node.get_ref() {
                DeValue::Table(entries) => {
                    let table = Table::new(&path, entries, node.span(), grants.found());
                    found.extend(grant(table, folder, looks_at_files));
                }
                other => {
                    let message = format!("`{path}` must be a table with `url`, not {}", described(other));
                    grants.problem(node.span(), message);
                }
            }
        }
        found
    }
}

fn grant(mut table: Table<'_>, folder: &Path, looks_at_files: bool) -> Option<HttpGrant> {
    let problem = |table: &Table<'_>, key: &str, why: &str| {
        table.problem(table.span_of(key), format!("`{}`: {why}", table.path(key)));
    };
    let mut rule = match table.string("url").map(|(url, _)| HttpRule::parse(url)) {
        Some(Ok(rule)) if rule.host == HostPattern::Any => {
            problem(&table, "url", "a grant names a host, or `*.` and a name; only a manifest may ask for every host");
            None
        }
        Some(Ok(rule)) => Some(rule),
        Some(Err(why)) => {
            problem(&table, "url", &why);
            None
        }
        None => {
            if !table.has("url") {
                table.problem(table.span(), format!("`{}` is missing; name scheme and host", table.path("url")));
            }
            None
        }
    };
    if let Some(names) = table.strings("methods") {
        match (Methods::parse(names.iter().map(|(name, _)| *name)), &mut rule) {
            (Ok(methods), Some(rule)) => rule.methods = methods,
            (Ok(_), None) => {}
            (Err(why), _) => problem(&table, "methods", &why),
        }
    }
    let mut addresses = Vec::new();
    for (text, span) in table.strings("addresses").unwrap_or_default() {
        match text.parse::<IpAddr>() {
            Ok(address) => addresses.push(address),
            Err(_) => {
                let path = table.path("addresses");
                table.problem(span, format!("`{path}`: \"{text}\" is not an IP address; ranges are not possible"));
            }
        }
    }
    let roots_file = table.string("roots-file").map(|(path, _)| beside(folder, path));
    if let (Some(file), true) = (&roots_file, looks_at_files)
        && let Err(error) = std::fs::File::open(file)
    {
        problem(&table, "roots-file", &format!("the file {} cannot be read: {error}", file.display()));
    }
    let credential = table.has("credential").then(|| credential(table.table("credential"), folder, looks_at_files));
    table.finish();
    Some(HttpGrant { rule: rule?, addresses, roots_file, credential: credential.flatten() })
}

fn credential(mut table: Table<'_>, folder: &Path, looks_at_files: bool) -> Option<Credential> {
    let problem = |table: &Table<'_>, key: &str, why: &str| {
        table.problem(table.span_of(key), format!("`{}`: {why}", table.path(key)));
    };
    let place = match (table.string("header"), table.string("query")) {
        (Some((name, _)), None) => {
            let name = name.to_ascii_lowercase();
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            match !name.is_empty() && name.bytes().all(token) && !NO_CREDENTIAL.contains(&name.as_str()) {
                true => Some(CredentialPlace::Header(name)),
                false => {
                    problem(&table, "header", "a credential cannot go into a header of this name");
                    None
                }
            }
        }
        (None, Some((name, _))) if !name.is_empty() => Some(CredentialPlace::Query(name.to_owned())),
        _ => {
            let path = table.path("header");
            table.problem(
                table.span(),
                format!("`{path}` or `query` must say where the credential goes: one of the two"),
            );
            None
        }
    };
    let format = table.string("format").map_or("{}", |(format, _)| format).to_owned();
    let printable = format.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if format.matches("{}").count() != 1 || format.len() > FORMAT_BYTES_MAX || !printable {
        problem(&table, "format", "must contain `{}` once, for the secret, and otherwise printable ASCII");
    }
    let file = match table.string("file") {
        Some((path, _)) if !path.is_empty() => Some(beside(folder, path)),
        _ => {
            table.problem(table.span(), format!("`{}` must give the file with the secret", table.path("file")));
            None
        }
    };
    if let (Some(file), true) = (&file, looks_at_files)
        && let Err(error) = crate::secret::read_credential(file)
    {
        problem(&table, "file", &format!("the secret in {} cannot be used: {error:#}", file.display()));
    }
    table.finish();
    Some(Credential { place: place?, format, file: file? })
}

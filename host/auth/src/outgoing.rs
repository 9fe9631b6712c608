//! Calls to connectors with a token of the bot.
//!
//! A token goes to an origin that the configuration lists, or that a channel proved: the claim `serviceurl` of its token
//! named the origin. Proofs are stored, so that a bot can speak first after a restart.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::ensure;
use parking_lot::RwLock;
use reqwest::{Client, ClientBuilder, Method, RequestBuilder};
use secrecy::ExposeSecret;
use url::Url;

use crate::acquire::Token;
use crate::{Auth, Identity, Sender, token};

/// That a channel's token named an origin for the replies of a bot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proof {
    /// The bot.
    pub bot: Arc<str>,
    /// The app id that the token was for.
    pub app_id: Arc<str>,
    /// The channel.
    pub channel: Arc<str>,
    /// Scheme, host and port of the `serviceUrl`.
    pub origin: Arc<str>,
}

/// All proofs of this host.
pub(crate) type Proofs = Arc<RwLock<HashSet<Proof>>>;

/// The token that a request carries, to say that the connector refused it. The token cannot be read.
pub struct Presented {
    scope: String,
    token: Token,
}

impl Auth {
    /// Adds proofs that were stored.
    pub fn restore(&self, proofs: impl IntoIterator<Item = Proof>) {
        self.proofs.write().extend(proofs);
    }

    /// Returns whether a proof is new, so that it must be stored and then restored.
    pub fn is_new(&self, proof: &Proof) -> bool {
        !self.proofs.read().contains(proof)
    }
}

impl Sender {
    /// Returns what the token of the sender proves about the `serviceUrl` of an activity. None for senders other than
    /// channels, and for URLs without TLS.
    pub fn proof(&self, bot: &Arc<str>, channel: &str, service_url: &str) -> Option<Proof> {
        let url = Url::parse(service_url).ok().filter(|url| url.scheme() == "https")?;
        let proof = || Proof {
            bot: bot.clone(),
            app_id: self.registration.app_id.clone(),
            channel: channel.into(),
            origin: url.origin().ascii_serialization().into(),
        };
        matches!(self.caller, token::Caller::Channel { .. }).then(proof)
    }
}

/// Adds a token to a request. The header is marked as sensitive, so it is in no debug output.
pub(crate) fn bearer(request: RequestBuilder, token: &Token) -> RequestBuilder {
    request.bearer_auth(token.expose_secret())
}

impl Identity {
    /// Starts an HTTP client for the connectors of the bot. It connects to public addresses and to those that the cloud
    /// of the bot grants.
    pub fn http(&self) -> ClientBuilder {
        turntable_outbound::client(&self.reach).tls_certs_merge(self.roots.clone())
    }

    /// Checks that replies of a channel may go to this URL with the token of the bot.
    ///
    /// # Errors
    /// A text for operators with the name of the setting.
    pub fn check(&self, channel: &str, url: &Url) -> Result<(), String> {
        let origin = url.origin().ascii_serialization();
        if !self.registration.service_origins.contains(&origin) {
            let proof = Proof {
                bot: self.bot.clone(),
                app_id: self.registration.app_id.clone(),
                channel: channel.into(),
                origin: origin.as_str().into(),
            };
            if url.scheme() != "https" || !self.proofs.read().contains(&proof) {
                return Err(format!(
                    "{origin} is neither proved by a token of the channel \"{channel}\" nor listed in `auth.service-origins`, \
                     so it gets no token of the bot"
                ));
            }
        }
        self.reach.check_url(url).map_err(|error| format!("{error}; `inner-addresses` of the cloud lists exceptions"))
    }

    /// Makes a request with the token of the bot.
    ///
    /// # Errors
    /// The URL may not get the token, or there is no token now.
    pub async fn request(
        &self,
        client: &Client,
        method: Method,
        channel: &str,
        url: Url,
    ) -> anyhow::Result<(RequestBuilder, Presented)> {
        let refused = self.check(channel, &url).err();
        ensure!(refused.is_none(), "{}", refused.unwrap_or_default());
        let scope = self.scope(channel);
        let token = self.tokens.get(&scope).await?;
        let request = bearer(client.request(method, url), &token);
        Ok((request, Presented { scope, token }))
    }

    /// Notes that a connector answered 401 to a request, so that the next one carries a new token.
    pub async fn rejected(&self, presented: &Presented) {
        self.tokens.forget(&presented.scope, &presented.token).await;
    }

    /// Agents take tokens for themselves, channels those of the cloud.
    fn scope(&self, channel: &str) -> String {
        match channel.rsplit_once('#') {
            Some((_, app)) if app != &*self.registration.app_id => format!("{app}/.default"),
            _ => self.registration.cloud.scope.clone(),
        }
    }
}

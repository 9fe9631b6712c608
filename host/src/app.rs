//! Builds the parts of a host from a [`Config`]. No other module constructs them.

pub mod replay;
mod retention;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Handle;
use turntable_auth::{Auth, Proof};

use crate::budget::Budget;
use crate::channel::connector::Connector;
use crate::channel::directline::{DirectLine, Secrets};
use crate::config::{Config, StorageKind};
use crate::delivery::Deliveries;
use crate::plugin;
use crate::registry::{Bot, BotStatus, Registry};
use crate::storage::postgres::PostgresStorage;
use crate::storage::sqlite::SqliteStorage;
use crate::storage::{InboxEntry, ProvedOrigin, Storage, StorageError};
use crate::threads::Guests;
use crate::turn::bridge::Bridges;
use crate::turn::middleware::Middleware;
use crate::turn::{Services, Ticket, Turns};

/// The parts of a running host that the HTTP layer uses.
pub struct App {
    /// The configuration from which the host was built.
    pub config: Arc<Config>,
    /// The address of the public listener.
    pub public: SocketAddr,
    /// The address of the admin listener, if it is on.
    pub admin: Option<SocketAddr>,
    /// The identities of bots with an app id.
    pub auth: Arc<Auth>,
    /// Bots, their generations and their status.
    pub registry: Arc<Registry>,
    /// The memory of requests.
    pub budget: Arc<Budget>,
    /// The entry point of every activity.
    pub turns: Arc<Turns>,
    /// The store.
    pub storage: Arc<dyn Storage>,
    /// The delivery lanes.
    pub deliveries: Arc<Deliveries>,
    /// The local Direct Line channel.
    pub directline: Arc<DirectLine>,
    /// The secrets by which sites use Direct Line.
    pub site_secrets: Secrets,
    /// Bridged bots.
    pub bridges: Arc<Bridges>,
    /// The plugin runtime.
    pub plugins: Arc<plugin::Runtime>,
}

impl App {
    /// Builds the parts of a host that listens at these addresses. Nothing is loaded and nothing runs yet.
    pub(crate) async fn build(
        config: Arc<Config>,
        (public, admin): (SocketAddr, Option<SocketAddr>),
        middleware: Vec<Box<dyn Middleware>>,
        guests: Guests,
    ) -> anyhow::Result<Arc<Self>> {
        let plugins = plugin::Runtime::new(&config.runtime).context("cannot start the plugin runtime")?;
        let auth = Arc::new(Auth::new(&config.tls, Handle::current())?);
        let registry = Arc::new(Registry::new(&config, plugins.clone())?.authenticated_by(auth.clone())?);
        let storage = open_storage(&config).await?;
        let directline = Arc::new(DirectLine::new(&config, public));
        let own = std::iter::once(public).chain(admin).collect();
        let connector = Arc::new(Connector::new(&config.channel, own, Some(auth.clone()))?);
        let deliveries = Arc::new(Deliveries::new(
            &config.channel,
            storage.clone(),
            directline.clone(),
            connector,
            Handle::current(),
        ));
        let bridges = Bridges::new(&config.runtime.data_dir, &config.tls, public, Handle::current())?;
        let bridges = Arc::new(bridges);
        let services = Services {
            storage: storage.clone(),
            deliveries: deliveries.clone(),
            plugins: plugins.clone(),
            notification_bytes_max: config.storage.notification_bytes_per_bot_max,
            due: Arc::default(),
            bridges: Some(bridges.clone()),
        };
        let turns =
            Arc::new(Turns::new(&config.server, &config.runtime, services, registry.clone(), middleware, guests));
        let site_secrets = Secrets::in_data_dir(&config.runtime.data_dir);
        Ok(Arc::new(Self {
            site_secrets,
            bridges,
            budget: Budget::new(&config.server),
            config,
            public,
            admin,
            auth,
            registry,
            turns,
            storage,
            deliveries,
            directline,
            plugins,
        }))
    }

    /// Resumes the activities and deliveries that an earlier process accepted and did not finish.
    pub(crate) async fn take_over(self: &Arc<Self>) -> anyhow::Result<()> {
        let proofs = self.storage.proofs().await.context("cannot read the origins of channels from the store")?;
        let proof = |ProvedOrigin { bot, app_id, channel, origin }| Proof { bot, app_id, channel, origin };
        self.auth.restore(proofs.into_iter().map(proof));
        let left = self.storage.leftovers().await.context("cannot read unfinished work from the store")?;
        if !left.activities.is_empty() || !left.suspects.is_empty() || !left.outbox.is_empty() {
            let sends: usize = left.outbox.iter().map(|(_, rows)| rows).sum();
            tracing::info!(
                activities = left.activities.len() + left.suspects.len(),
                sends,
                "resuming the work that the last process did not finish"
            );
        }
        for turn in left.given_up {
            tracing::error!(
                %turn,
                "an accepted activity is given up, because the process ended each time it ran; see `turntable inbox`"
            );
        }
        for (conversation, rows) in left.outbox {
            self.deliveries.wake(&conversation, rows);
        }
        let mut others = Vec::new();
        for kept in left.activities {
            others.extend(self.resume(kept).await);
        }
        if !left.suspects.is_empty() {
            tokio::spawn(self.clone().resume_one_by_one(others, left.suspects));
        }
        Ok(())
    }

    /// Runs activities that several starts ran and none ended: each alone, and after the others, so that it is known which
    /// one ends the process and no innocent one waits behind it.
    async fn resume_one_by_one(self: Arc<Self>, others: Vec<Ticket>, suspects: Vec<InboxEntry>) {
        for ticket in others {
            // Without an answer the turn has ended too.
            let _ = ticket.answer.await;
        }
        for kept in suspects {
            let turn_id = kept.turn_id.clone();
            tracing::warn!(turn = %turn_id, "an accepted activity that earlier starts could not end runs alone");
            if let Err(error) = self.storage.note_run_alone(&turn_id).await {
                tracing::error!(turn = %turn_id, %error, "the store failed; the next start runs the activity");
                continue;
            }
            if let Some(ticket) = self.resume(kept).await {
                let _ = ticket.answer.await;
            }
        }
    }

    /// Runs an accepted activity. None if it cannot be queued, which is logged.
    pub(crate) async fn resume(&self, kept: InboxEntry) -> Option<Ticket> {
        let turn_id = kept.turn_id.clone();
        match self.turns.resume(kept).await {
            Ok(ticket) => Some(ticket),
            Err(refusal) => {
                tracing::error!(turn = %turn_id, ?refusal, "an activity cannot be resumed; the next start retries it");
                None
            }
        }
    }

    /// Stores what a channel's token proved, so that replies may go there, also after a restart.
    pub(crate) async fn note(&self, proof: Proof) -> Result<(), StorageError> {
        if !self.auth.is_new(&proof) {
            return Ok(());
        }
        let Proof { bot, app_id, channel, origin } = proof.clone();
        self.storage.add_proof(ProvedOrigin { bot, app_id, channel, origin }).await?;
        self.auth.restore([proof]);
        Ok(())
    }

    /// Starts the tasks that run beside turns until the host ends: timers, broadcasts, and the trimming of transcripts.
    pub(crate) fn start_background(self: &Arc<Self>, guests: &Guests) {
        guests.spawn(self.turns.clone().run_scheduler());
        guests.spawn(retention::run(self.clone()));
        guests.spawn(self.turns.clone().run_broadcaster());
    }

    /// Returns the status of a bot, with the origins that its channel refused.
    pub fn status(&self, bot: &Bot) -> BotStatus {
        BotStatus { refused_origins: self.deliveries.refused_origins(bot.name()), ..bot.status() }
    }
}

async fn open_storage(config: &Config) -> anyhow::Result<Arc<dyn Storage>> {
    let settings = &config.storage;
    Ok(match config.storage.kind {
        StorageKind::Memory => Arc::new(SqliteStorage::temporary(&config.channel)?),
        StorageKind::Sqlite => Arc::new(SqliteStorage::open(&settings.path, settings.durability, &config.channel)?),
        StorageKind::Postgres => {
            Arc::new(PostgresStorage::open(settings, &config.tls, &config.channel, Handle::current()).await?)
        }
    })
}

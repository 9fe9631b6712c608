//! How connections to PostgreSQL are made.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::database::causes;
use turntable_config::{Durability, Storage as Settings, Tls};

/// The oldest server that is tested.
const SERVER_MIN: i32 = 130_000;
/// Time to connect to one address.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Time to get a connection from the pool.
const POOL_WAIT_MAX: Duration = Duration::from_secs(10);
/// The same for the connection that says that the host lives.
const HEART_WAIT_MAX: Duration = Duration::from_secs(2);
/// A connection whose peer is silent for this time is broken.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What a pool of connections is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Turns and deliveries, with as many connections as configured.
    Work,
    /// The host's row, with a connection of its own: a host that is busy is not dead.
    Heart,
}

/// Makes a pool of connections, without a connection yet.
pub(super) fn pool(settings: &Settings, tls: &Tls, runtime: &Handle, used: Use) -> anyhow::Result<Pool> {
    let mut config = configuration(settings)?;
    let (connections, patience) = match used {
        Use::Work => (settings.connections, POOL_WAIT_MAX),
        Use::Heart => (1, HEART_WAIT_MAX),
    };
    if used == Use::Heart {
        config.tcp_user_timeout(HEART_WAIT_MAX).connect_timeout(HEART_WAIT_MAX);
    }
    let connector = Connector { tls: MakeRustlsConnect::new(tls_configuration(tls)?), runtime: runtime.clone() };
    let manager = Manager::from_connect(config, connector, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    let pool = Pool::builder(manager)
        .max_size(connections)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(patience))
        .create_timeout(Some(patience))
        .recycle_timeout(Some(patience))
        .build();
    pool.context("cannot make the pool of connections to PostgreSQL")
}

fn configuration(settings: &Settings) -> anyhow::Result<Config> {
    let source = settings.url.as_ref().context("`storage.url` is missing")?;
    let url = source.read().context("`storage.url`")?;
    // The error of the parser may quote the URL, which has a password.
    let config = Config::from_str(url.expose_secret());
    let mut config = config.ok().with_context(|| {
        format!(
            "`storage.url` ({source}) is not a connection string of PostgreSQL, such as \
             postgresql://USER@HOST:5432/DATABASE?sslmode=require"
        )
    })?;
    ensure!(
        !config.get_hosts().is_empty() || !config.get_hostaddrs().is_empty(),
        "`storage.url` ({source}) names no host"
    );
    if let Some(password) = &settings.password {
        config.password(password.read().context("`storage.password`")?.expose_secret());
    }
    let is_local = config.get_hosts().iter().all(is_local);
    if config.get_ssl_mode() == SslMode::Prefer && !is_local {
        config.ssl_mode(SslMode::Require);
    }
    if config.get_hosts().len() > 1 {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_MAX);
    }
    config.tcp_user_timeout(SILENCE_MAX).keepalives_idle(SILENCE_MAX).keepalives_interval(Duration::from_secs(2));
    if config.get_application_name().is_none() {
        config.application_name("turntable");
    }
    Ok(config)
}

/// Whether nobody else can read what is sent there.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

/// Trusts the authorities of the platform and those of `tls.root-certificates`.
fn tls_configuration(tls: &Tls) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for path in &tls.root_certificates {
        let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certificates =
            certificates.with_context(|| format!("cannot read the certificates in {}", path.display()))?;
        for certificate in certificates {
            roots.add(certificate).with_context(|| format!("{} has an unusable certificate", path.display()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Connects, and drives each connection in the threads for transport. A thread of turns may be busy with a guest.
struct Connector {
    tls: MakeRustlsConnect,
    runtime: Handle,
}

impl Connect for Connector {
    fn connect(
        &self,
        config: &Config,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        let (config, tls) = (config.clone(), self.tls.clone());
        Box::pin(async move {
            // A connection belongs to the runtime in which it was opened.
            let opening = {
                let (config, tls) = (config.clone(), tls.clone());
                async move { config.connect(tls).await }
            };
            let (client, connection) = match self.runtime.spawn(opening).await {
                Ok(opened) => opened?,
                // The runtime ends, or the driver panicked.
                Err(_) => config.connect(tls).await?,
            };
            let driver = async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to PostgreSQL ended");
                }
            };
            Ok((client, self.runtime.spawn(driver)))
        })
    }
}

/// What a server is like.
pub(super) struct Server {
    commits_are_durable: bool,
}

/// Connects for the first time and checks that the server can hold a store.
pub(super) async fn look(pool: &Pool) -> anyhow::Result<Server> {
    let client = pool.get().await.map_err(|error| match error {
        deadpool_postgres::PoolError::Backend(error) => anyhow::anyhow!("{}", deepest(&error)),
        error => anyhow::anyhow!("{error}"),
    });
    let client = client.context("cannot connect to the PostgreSQL of `storage.url`")?;
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), pg_is_in_recovery(), \
               current_setting('synchronous_commit') NOT IN ('off'), current_setting('fsync') = 'on', \
               current_setting('server_version')";
    let row = client.query_typed(sql, &[]).await.map_err(|error| anyhow::anyhow!(causes(&error)))?;
    let row = row.first().context("PostgreSQL does not tell its version")?;
    let (version, encoding, is_standby): (i32, String, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (commits_are_durable, syncs): (bool, bool) = (row.try_get(3)?, row.try_get(4)?);
    if version < SERVER_MIN {
        bail!("the server runs PostgreSQL {}; the host needs 13 or later", row.try_get::<_, String>(5)?);
    }
    ensure!(encoding == "UTF8", "the database has the encoding {encoding}; create one with ENCODING 'UTF8'");
    ensure!(!is_standby, "the server is a standby, which is read-only; name the primary in `storage.url`");
    if !syncs {
        tracing::warn!("PostgreSQL runs with fsync = off: a crash of its machine may lose or damage the whole store");
    }
    Ok(Server { commits_are_durable })
}

/// The text of an error and of its causes.
fn deepest(error: &Error) -> String {
    match error.as_db_error() {
        Some(_) => causes(error),
        None => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        }
    }
}

impl Server {
    /// The statements that begin a transaction which writes.
    pub(super) fn begin(&self, durability: Durability, host: &str) -> String {
        let commits = match durability {
            Durability::Process => "SET LOCAL synchronous_commit = off;",
            // What the administrator chose holds, such as `remote_apply`, but for `off`.
            Durability::Full if self.commits_are_durable => "",
            Durability::Full => "SET LOCAL synchronous_commit = on;",
        };
        // A frozen host must not hold its locks for long. `host` is a ULID.
        format!(
            "BEGIN;{commits}SET LOCAL idle_in_transaction_session_timeout = '5s';SET LOCAL statement_timeout = '60s';\
             SELECT turntable.enter('{host}')"
        )
    }
}

/// How an operator recognises this host.
pub(super) fn name_of_this_host() -> String {
    let system = rustix::system::uname();
    format!("process {} on {}", std::process::id(), system.nodename().to_string_lossy())
}

//! What an operator learns about a database, whether a host uses it or not.

use anyhow::Context;
use serde::Serialize;
use tokio::runtime::Handle;

use super::connect::{self, Use};
use super::database::causes;
use super::schema;
use turntable_config::{Storage as Settings, Tls};

/// What is in a store.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Bytes of the tables and their indexes.
    pub bytes: u64,
    /// Entries by table.
    pub entries: Vec<(String, u64)>,
    /// The host that uses the store, if one does.
    pub host: Option<String>,
}

/// Checks that a database can be used, and returns what is wrong with it.
///
/// # Errors
/// The database cannot be reached, or cannot hold a store. The error says why and what to do.
pub async fn check(settings: &Settings, tls: &Tls) -> anyhow::Result<Vec<String>> {
    let pool = connect::pool(settings, tls, &Handle::current(), Use::Work)?;
    connect::look(&pool).await?;
    let client = pool.get().await?;
    let sql = "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
               WHERE n.nspname = 'turntable' AND c.relkind = 'r'";
    let rows = client.query_typed(sql, &[]).await.map_err(|error| anyhow::anyhow!(causes(&error)))?;
    let found = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    if found.is_empty() {
        // The first host makes the tables.
        return Ok(Vec::new());
    }
    let missing = schema::TABLES.iter().filter(|table| !found.iter().any(|found| found == *table));
    let mut problems: Vec<String> = missing.map(|table| format!("the table turntable.{table} is missing")).collect();
    let sql = "SELECT indexrelid::regclass::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid \
               JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'turntable' AND NOT i.indisvalid";
    let rows = client.query_typed(sql, &[]).await.map_err(|error| anyhow::anyhow!(causes(&error)))?;
    for row in rows {
        problems.push(format!("the index {} is invalid; rebuild it with REINDEX", row.try_get::<_, String>(0)?));
    }
    Ok(problems)
}

/// Counts what is in a store.
///
/// # Errors
/// The database cannot be reached, or has no store.
pub async fn stats(settings: &Settings, tls: &Tls) -> anyhow::Result<Report> {
    let pool = connect::pool(settings, tls, &Handle::current(), Use::Work)?;
    connect::look(&pool).await?;
    let client = pool.get().await?;
    let count = async |sql: &str| -> anyhow::Result<u64> {
        let rows = client.query_typed(sql, &[]).await.map_err(|error| anyhow::anyhow!(causes(&error)))?;
        let number: i64 = rows.first().context("PostgreSQL returned no row")?.try_get(0)?;
        Ok(u64::try_from(number).unwrap_or_default())
    };
    let mut report = Report { bytes: 0, entries: Vec::new(), host: None };
    for table in schema::TABLES {
        let entries = count(&format!("SELECT count(*) FROM turntable.{table}")).await;
        report.entries.push(((*table).to_owned(), entries.context("the database has no store yet")?));
        report.bytes += count(&format!("SELECT pg_total_relation_size('turntable.{table}')")).await?;
    }
    let sql = "SELECT name FROM turntable.hosts WHERE expires > clock_timestamp() LIMIT 1";
    let rows = client.query_typed(sql, &[]).await.map_err(|error| anyhow::anyhow!(causes(&error)))?;
    report.host = rows.first().map(|row| row.try_get(0)).transpose()?;
    Ok(report)
}

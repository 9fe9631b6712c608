//! stub
#![allow(missing_docs)]
use crate::app::App;
use std::sync::Arc;
pub mod admin {
    pub fn load_or_create_token(_: &std::path::Path) -> anyhow::Result<String> {
        Ok("".into())
    }
}
pub fn public_router(_: Arc<App>) {}
pub fn admin_router(_: Arc<App>, _: String, _: crate::telemetry::PrometheusHandle) {}
pub async fn serve(_: tokio::net::TcpListener, _: (), _: impl Future<Output = ()>) {}

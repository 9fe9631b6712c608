//! stub
#![allow(missing_docs)]
use super::preflight::Preflight;
use bytes::Bytes;
use sha2::Digest;
use std::sync::Arc;
use wasmtime::{Engine, component::Component};
pub struct Compiler;
#[derive(Debug)]
pub enum LoadError {
    Unfit(Vec<String>),
    Host(anyhow::Error),
}
impl LoadError {
    pub fn problems(self) -> Vec<String> {
        match self {
            Self::Unfit(p) => p,
            Self::Host(e) => vec![e.to_string()],
        }
    }
}
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}
impl Compiler {
    pub fn new(_: &crate::config::Runtime) -> anyhow::Result<Self> {
        Ok(Self)
    }
    pub async fn obtain(&self, engine: &Engine, bytes: Bytes) -> Result<(Arc<Preflight>, Component), LoadError> {
        Component::from_binary(engine, &bytes)
            .map(|c| (Arc::new(Preflight), c))
            .map_err(|e| LoadError::Unfit(vec![e.to_string()]))
    }
}

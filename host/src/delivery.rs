//! stub
#![allow(missing_docs)]
use crate::activity::*;
use crate::channel::{Address, Channel};
use crate::storage::Storage;
use std::sync::Arc;
pub struct Deliveries {}
pub struct DrainReport {
    pub delivered: u64,
    pub left: u64,
}
impl Deliveries {
    pub fn new(
        _: &crate::config::Channel,
        _: Arc<dyn Storage>,
        _: Arc<crate::channel::directline::DirectLine>,
        _: Arc<crate::channel::connector::Connector>,
        _: tokio::runtime::Handle,
    ) -> Self {
        Self {}
    }
    pub fn wake(&self, _: &ConversationKey) {}
    pub fn send_now(&self, _: Address, _: Arc<str>, _: Object) {}
    pub async fn drain(&self, _: tokio::time::Instant) -> DrainReport {
        DrainReport { delivered: 0, left: 0 }
    }
}

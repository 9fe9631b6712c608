//! stub
#![allow(missing_docs)]
use super::*;
pub struct MemoryStorage;
impl MemoryStorage {
    pub fn new(_: &crate::config::Channel) -> Self {
        Self
    }
}
#[async_trait]
impl Storage for MemoryStorage {
    async fn accept(&self, _: &RedeliveryKey) -> Result<Accepted, StorageError> {
        Ok(Accepted::New)
    }
    async fn release(&self, _: &RedeliveryKey) {}
    async fn commit(&self, _: TurnCommit) -> Result<(), StorageError> {
        Ok(())
    }
    async fn claim_outbox(&self, _: &ConversationKey) -> Result<Option<OutboxRow>, StorageError> {
        Ok(None)
    }
    async fn note_delivery(&self, _: &OutboxRow, _: Delivery) -> Result<(), StorageError> {
        Ok(())
    }
    async fn channel_id(&self, _: &ConversationKey, _: &str) -> Result<Option<Arc<str>>, StorageError> {
        Ok(None)
    }
    async fn host_id(&self, _: &ConversationKey, _: &str) -> Result<Option<Arc<str>>, StorageError> {
        Ok(None)
    }
    async fn dead_letters(&self, _: &str) -> Result<Vec<DeadLetter>, StorageError> {
        Ok(vec![])
    }
    async fn outbox_depth(&self) -> Result<u64, StorageError> {
        Ok(0)
    }
}

//! stub
#![allow(missing_docs)]
pub struct DirectLine {}
impl DirectLine {
    pub fn new(_: &crate::config::Config, _: std::net::SocketAddr) -> Self {
        Self {}
    }
}
#[async_trait::async_trait]
impl super::Channel for DirectLine {
    async fn send(
        &self,
        _: &super::Address,
        _: &crate::activity::Object,
    ) -> Result<std::sync::Arc<str>, super::ChannelError> {
        Ok("".into())
    }
    async fn update(
        &self,
        _: &super::Address,
        _: &str,
        _: &crate::activity::Object,
    ) -> Result<(), super::ChannelError> {
        Ok(())
    }
    async fn delete(&self, _: &super::Address, _: &str) -> Result<(), super::ChannelError> {
        Ok(())
    }
}

//! The local Direct Line channel: conversations, their histories, and who listens.

/// All local conversations.
pub struct DirectLine {}

//! Delivery lanes: what turns committed leaves here, per conversation in order, whatever the channels do.

/// The delivery lanes of all conversations.
pub struct Deliveries {}

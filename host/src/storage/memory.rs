//! The bounded in-memory store. A restart loses it.

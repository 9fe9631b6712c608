//! The conversations of the example bot `travel`: a booking, during which help, cancel and settings work.
//!
//! Each spec runs with the plugins and grants of `plugins/turntable.toml`, and with the bot in each language that has an SDK.
#![allow(clippy::duplicate_mod, reason = "the same conversations are held in each language")]

#[path = "travel/conversations.rs"]
mod c;
#[path = "travel/conversations.rs"]
mod go;
#[path = "travel/conversations.rs"]
mod python;
#[path = "travel/conversations.rs"]
mod rust;
#[path = "travel/conversations.rs"]
mod typescript;

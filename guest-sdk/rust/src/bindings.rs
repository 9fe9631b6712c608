//! The guest side of the contract, generated from `wit/`; nothing outside `host.rs` and `register.rs` names it.
#![allow(clippy::all, missing_docs, unreachable_pub, unsafe_code, unused_qualifications, reason = "generated code")]

wit_bindgen::generate!({ path: "../../wit", world: "plugin" });

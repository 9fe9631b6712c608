//! File changes become coalesced reload requests; no knowledge of Wasm.

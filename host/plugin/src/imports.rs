//! What a guest can reach: the imports of the contract, one file for each interface, and a WASI with nothing in it.

mod config;
mod conversations;
mod dialogs;
mod log;
mod state;
mod text_stream;
mod turn;
pub(super) mod wasi;

use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker};

use super::bindings::turntable::bot as wit;
use super::guest::GuestState;
use super::{Fault, TurnHost};

/// What a host function returns: an error ends the guest, a fault is the guest's to handle.
type HostResult<T> = anyhow::Result<Result<T, wit::types::Fault>>;

/// Builds the linker: the contract and all of WASI 0.2. Denial happens at run time, through empty contexts, because
/// JavaScript and Python components import sockets and files even where they never use them.
pub(super) fn link(linker: &mut Linker<GuestState>) -> anyhow::Result<()> {
    // One by one: the world's own function wants the `@unstable` interfaces implemented too.
    wit::turn::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::state::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::dialogs::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::conversations::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::config::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::log::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::text_stream::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    Ok(())
}

impl wit::types::Host for GuestState {}

impl GuestState {
    /// Counts a call that needs a turn, and returns the turn.
    fn enter_turn(&mut self) -> HostResult<Arc<dyn TurnHost>> {
        self.enter()?;
        Ok(self.turn().map_err(Into::into))
    }
}

/// Cuts a text at a character boundary.
pub(super) fn truncate(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

impl From<Fault> for wit::types::Fault {
    fn from(fault: Fault) -> Self {
        Self {
            code: fault.code.into(),
            message: fault.message,
            retry_after_ms: fault.retry_after_ms,
            detail: fault.detail,
        }
    }
}

impl From<wit::types::Fault> for Fault {
    fn from(fault: wit::types::Fault) -> Self {
        Self {
            code: truncate(&fault.code, 64).to_owned().into(),
            message: truncate(&fault.message, 4 << 10).to_owned(),
            retry_after_ms: fault.retry_after_ms,
            detail: fault.detail.map(|detail| truncate(&detail, 16 << 10).to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;

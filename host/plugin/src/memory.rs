//! The bounds on the memory of guests: all linear memories and all tables of one store, and all memories of all stores.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use wasmtime::ResourceLimiter;

/// The configuration key of the bound on all guests.
pub(super) const ALL_GUESTS: &str = "runtime.guest-memory-bytes-max";

/// The memory of all guests of a host.
pub(super) struct GuestMemory {
    max: usize,
    held: Mutex<HeldByBots>,
    /// Told when an instance has given its memory back.
    freed: Notify,
}

#[derive(Default)]
struct HeldByBots {
    all: usize,
    /// Only bots with instances have an entry.
    bots: HashMap<Arc<str>, usize>,
}

impl GuestMemory {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, held: Mutex::default(), freed: Notify::new() })
    }

    /// Bytes that guests hold, and the bound.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.held.lock().all, self.max)
    }

    /// Waits until a new instance of the bot may begin: while guests hold seven eighths of the bound, the bot that holds most
    /// of it gets none. The last eighth is for the others.
    pub(super) async fn admit(&self, bot: &str) {
        loop {
            let freed = self.freed.notified();
            if !self.is_for_others(bot) {
                return;
            }
            freed.await;
        }
    }

    fn is_for_others(&self, bot: &str) -> bool {
        let held = self.held.lock();
        let own = held.bots.get(bot).copied().unwrap_or_default();
        held.all >= self.max - self.max / 8 && own > 0 && held.bots.values().all(|bytes| *bytes <= own)
    }

    /// Changes what an instance of a bot holds. False: that would exceed the bound.
    fn change(&self, bot: &Arc<str>, from: usize, to: usize) -> bool {
        let mut held = self.held.lock();
        let all = held.all.saturating_sub(from).saturating_add(to);
        if to > from && all > self.max {
            return false;
        }
        held.all = all;
        let own = held.bots.get(bot).copied().unwrap_or_default().saturating_sub(from).saturating_add(to);
        if own == 0 {
            held.bots.remove(bot);
        } else {
            held.bots.insert(bot.clone(), own);
        }
        drop(held);
        if to < from {
            self.freed.notify_waiters();
        }
        true
    }
}

/// Sums what a store holds; `wasmtime::StoreLimits` bounds each memory alone.
pub(super) struct MemoryLimiter {
    memory_bytes_max: usize,
    table_elements_max: usize,
    all: Arc<GuestMemory>,
    bot: Arc<str>,
    held: Held,
    /// The limit that refused the last growth. A trap that follows is reported as its consequence.
    refused: Option<&'static str>,
    /// What the guest held before the growth that this limiter permitted last, which may yet fail.
    before: Option<Held>,
}

/// What a guest held at one moment: bytes of its memories, elements of its tables.
#[derive(Clone, Copy)]
struct Held {
    memory_bytes: usize,
    table_elements: usize,
}

impl MemoryLimiter {
    pub(super) fn new(
        memory_bytes_max: usize,
        table_elements_max: usize,
        all: Arc<GuestMemory>,
        bot: Arc<str>,
    ) -> Self {
        Self {
            memory_bytes_max,
            table_elements_max,
            all,
            bot,
            held: Held { memory_bytes: 0, table_elements: 0 },
            refused: None,
            before: None,
        }
    }

    /// The limit that refused a growth, by its configuration key.
    pub(super) fn refused(&self) -> Option<&'static str> {
        self.refused
    }

    /// Decides on a growth to these totals, and counts it if it is permitted.
    fn grow(&mut self, to: Held) -> bool {
        self.before = None;
        self.refused = if to.memory_bytes > self.memory_bytes_max {
            Some("memory-bytes")
        } else if to.table_elements > self.table_elements_max {
            Some("table-elements")
        } else if !self.all.change(&self.bot, self.held.memory_bytes, to.memory_bytes) {
            Some(ALL_GUESTS)
        } else {
            None
        };
        if self.refused.is_none() {
            self.before = Some(std::mem::replace(&mut self.held, to));
        }
        self.refused.is_none()
    }

    /// Undoes the count of a growth that was permitted and failed nevertheless, for example at the maximum that the
    /// memory itself declares. The guest gets −1 and goes on with what it has.
    fn failed(&mut self) {
        if let Some(before) = self.before.take() {
            self.all.change(&self.bot, self.held.memory_bytes, before.memory_bytes);
            self.held = before;
        }
    }
}

impl Drop for MemoryLimiter {
    fn drop(&mut self) {
        self.all.change(&self.bot, self.held.memory_bytes, 0);
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let memory_bytes = self.held.memory_bytes.saturating_sub(current).saturating_add(desired);
        Ok(self.grow(Held { memory_bytes, ..self.held }))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.failed();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let table_elements = self.held.table_elements.saturating_sub(current).saturating_add(desired);
        Ok(self.grow(Held { table_elements, ..self.held }))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.failed();
        Ok(())
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Waker};

    use wasmtime::{Engine, Instance, Memory, Module, Store};

    use super::*;

    const PAGE: usize = 64 << 10;

    fn limiter(memory: usize, tables: usize, all: &Arc<GuestMemory>, bot: &str) -> MemoryLimiter {
        MemoryLimiter::new(memory, tables, all.clone(), bot.into())
    }

    fn is_ready(future: Pin<&mut impl Future>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn all_guests_have_a_bound_and_near_it_the_largest_bot_waits() {
        let all = GuestMemory::new(80);
        let (mut large, mut small) = (limiter(100, 9, &all, "large"), limiter(100, 9, &all, "small"));
        assert!(small.memory_growing(0, 10, None).unwrap());
        assert!(large.memory_growing(0, 60, None).unwrap());
        assert_eq!(all.held(), (70, 80));
        let mut waits = pin!(all.admit("large"));
        assert!(!is_ready(waits.as_mut()), "it holds most");
        assert!(is_ready(pin!(all.admit("small"))) && is_ready(pin!(all.admit("new"))));
        assert!(!small.memory_growing(10, 21, None).unwrap());
        assert_eq!(small.refused(), Some(ALL_GUESTS));
        assert!(small.memory_growing(10, 20, None).unwrap(), "what is refused is not counted");
        drop(small);
        waits.await;
        drop(large);
        assert_eq!((all.held().0, all.held.lock().bots.len()), (0, 0));
    }

    /// A store whose guest may hold four pages, with a memory of one page that declares a maximum of three.
    fn guest() -> (Store<MemoryLimiter>, Memory) {
        let engine = Engine::default();
        let module =
            Module::new(&engine, wat::parse_str(r#"(module (memory (export "memory") 1 3))"#).unwrap()).unwrap();
        let mut store = Store::new(&engine, limiter(4 * PAGE, 10, &GuestMemory::new(9 * PAGE), "bot"));
        store.limiter(|limiter| limiter);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        (store, memory)
    }

    #[test]
    fn a_growth_that_fails_is_not_counted() {
        let (mut store, memory) = guest();
        // Within the limit of four pages, beyond the maximum of three that the memory declares.
        assert!(memory.grow(&mut store, 3).is_err());
        assert_eq!((store.data().held.memory_bytes, store.data().refused()), (PAGE, None));
        assert!(memory.grow(&mut store, 2).is_ok(), "the guest goes on with what it has");
        assert_eq!(store.data().held.memory_bytes, 3 * PAGE);
    }

    #[test]
    fn a_growth_that_the_limit_refuses_is_named_until_a_later_one_succeeds() {
        let (mut store, memory) = guest();
        assert!(memory.grow(&mut store, 100).is_err());
        assert_eq!((store.data().held.memory_bytes, store.data().refused()), (PAGE, Some("memory-bytes")));
        assert!(memory.grow(&mut store, 1).is_ok());
        assert_eq!((store.data().held.memory_bytes, store.data().refused()), (2 * PAGE, None));
    }

    #[test]
    fn memories_and_tables_are_summed() {
        let mut limiter = limiter(10, 10, &GuestMemory::new(100), "bot");
        assert!(limiter.memory_growing(0, 6, None).unwrap());
        assert!(!limiter.memory_growing(0, 5, None).unwrap(), "a second memory");
        assert!(limiter.table_growing(0, 10, None).unwrap());
        limiter.table_grow_failed(wasmtime::Error::msg("no room")).unwrap();
        assert_eq!((limiter.held.memory_bytes, limiter.held.table_elements), (6, 0));
    }
}

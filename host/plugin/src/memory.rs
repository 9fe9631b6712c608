//! The bound on a guest's memory: all linear memories and all tables of a store together.

use wasmtime::ResourceLimiter;

/// Sums what a store holds; `wasmtime::StoreLimits` bounds each memory alone.
pub(super) struct MemoryLimiter {
    memory_bytes_max: usize,
    table_elements_max: usize,
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
    pub(super) fn new(memory_bytes_max: usize, table_elements_max: usize) -> Self {
        Self {
            memory_bytes_max,
            table_elements_max,
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
            self.held = before;
        }
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
    use wasmtime::{Engine, Instance, Memory, Module, Store};

    use super::*;

    const PAGE: usize = 64 << 10;

    /// A store whose guest may hold four pages, with a memory of one page that declares a maximum of three.
    fn guest() -> (Store<MemoryLimiter>, Memory) {
        let engine = Engine::default();
        let module =
            Module::new(&engine, wat::parse_str(r#"(module (memory (export "memory") 1 3))"#).unwrap()).unwrap();
        let mut store = Store::new(&engine, MemoryLimiter::new(4 * PAGE, 10));
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
        let mut limiter = MemoryLimiter::new(10, 10);
        assert!(limiter.memory_growing(0, 6, None).unwrap());
        assert!(!limiter.memory_growing(0, 5, None).unwrap(), "a second memory");
        assert!(limiter.table_growing(0, 10, None).unwrap());
        limiter.table_grow_failed(wasmtime::Error::msg("no room")).unwrap();
        assert_eq!((limiter.held.memory_bytes, limiter.held.table_elements), (6, 0));
    }
}

//! Tells what a simulation allocates for itself from what the simulated code allocates.
//!
//! Simulated files, timers and queues live on the same heap as the code that runs on them, and work while it is polled.
//! Where a process has an allocator that counts, it says here how to read it; the simulation does its own work *apart*,
//! and what is left is the code's. Without a reader, all of this does nothing.

use std::{
    cell::Cell,
    future::poll_fn,
    ops::{Add, Sub},
    pin::pin,
};

/// What was asked of an allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocated {
    /// Allocations, and those that grew or shrank.
    pub count: u64,
    /// Their bytes; of one that grew, what it grew by.
    pub bytes: u64,
}

impl Add for Allocated {
    type Output = Self;

    fn add(self, rhs: Self) -> Self {
        Self { count: self.count + rhs.count, bytes: self.bytes + rhs.bytes }
    }
}

impl Sub for Allocated {
    type Output = Self;

    fn sub(self, rhs: Self) -> Self {
        Self { count: self.count - rhs.count, bytes: self.bytes - rhs.bytes }
    }
}

/// Reads an allocator's counts since the start of the process.
pub type Reader = fn() -> Allocated;

thread_local! {
    static READER: Cell<Option<Reader>> = const { Cell::new(None) };
    /// What was allocated apart, so far.
    static APART: Cell<Allocated> = const { Cell::new(Allocated { count: 0, bytes: 0 }) };
    /// Within [`apart`], also within others.
    static IS_APART: Cell<bool> = const { Cell::new(false) };
}

/// Makes `reader` tell what this thread allocates; no other thread may allocate meanwhile.
pub fn install(reader: Reader) {
    READER.set(Some(reader));
}

/// What this thread has allocated, but for what it did apart. Zero without a reader. Only differences say something.
pub fn allocated() -> Allocated {
    READER.get().map_or_else(Allocated::default, |read| read() - APART.get())
}

/// Does the simulation's own work.
pub fn apart<T>(work: impl FnOnce() -> T) -> T {
    let Some(read) = READER.get().filter(|_| !IS_APART.get()) else { return work() };
    IS_APART.set(true);
    let before = read();
    let done = work();
    APART.set(APART.get() + (read() - before));
    IS_APART.set(false);
    done
}

/// Does the simulation's own work that waits.
pub async fn apart_while<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| apart(|| work.as_mut().poll(context))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static HEAP: Cell<Allocated> = const { Cell::new(Allocated { count: 0, bytes: 0 }) };
    }

    fn allocate(bytes: u64) {
        HEAP.set(HEAP.get() + Allocated { count: 1, bytes });
    }

    #[test]
    fn what_is_done_apart_is_left_out_also_where_it_nests() {
        allocate(1000);
        apart(|| allocate(1));
        assert_eq!(allocated(), Allocated::default(), "there is no reader yet");
        install(|| HEAP.get());
        let before = allocated();
        allocate(7);
        apart(|| {
            allocate(100);
            apart(|| allocate(100));
            allocate(100);
        });
        super::super::block_on(apart_while(async {
            allocate(100);
            super::super::disk::yield_once().await;
            allocate(100);
        }));
        allocate(5);
        assert_eq!(allocated() - before, Allocated { count: 2, bytes: 12 });
    }
}

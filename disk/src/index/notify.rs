//! Waiting for another task of the same shard: a counter and the wakers of who waits for it to move.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};

#[derive(Debug, Default)]
pub(crate) struct Notify {
    count: Cell<u64>,
    wakers: RefCell<Vec<Waker>>,
}

impl Notify {
    /// What to pass to [`Self::moved`]. Taken BEFORE the condition is looked at, no change is missed.
    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }

    pub(crate) fn notify(&self) {
        self.count.set(self.count.get() + 1);
        let wakers = self.wakers.take();
        for waker in wakers {
            waker.wake();
        }
    }

    /// Waits until something happened since `seen`.
    pub(crate) async fn moved(&self, seen: u64) {
        poll_fn(|context| {
            if self.count.get() != seen {
                return Poll::Ready(());
            }
            let mut wakers = self.wakers.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// Lets the other tasks of the shard run once.
pub async fn give_way() {
    let mut given = false;
    poll_fn(|context| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

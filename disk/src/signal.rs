//! Waiting within a shard: futures sleep until a condition holds, and whoever may have made it true says so.

use std::{
    cell::RefCell,
    future::poll_fn,
    task::{Poll, Waker},
};

/// Wakes the futures that wait on it; whether to go on is their condition's to say.
#[derive(Debug, Default)]
pub(crate) struct Signal(RefCell<Vec<Waker>>);

impl Signal {
    /// Wakes every future that waits now.
    pub(crate) fn notify(&self) {
        loop {
            let waker = self.0.borrow_mut().pop();
            let Some(waker) = waker else { return };
            waker.wake();
        }
    }

    /// Waits until `condition` gives a value; it is asked at once and after each [`Self::notify`].
    pub(crate) async fn until<T>(&self, mut condition: impl FnMut() -> Option<T>) -> T {
        poll_fn(|context| {
            if let Some(value) = condition() {
                return Poll::Ready(value);
            }
            let mut wakers = self.0.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

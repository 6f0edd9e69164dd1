//! The turn of a shard: submit, look for what completed and what came from other shards, and sleep only where nothing
//! comes soon.
//!
//! One task a shard, that runs after all others that can: what they started is submitted together, by one system
//! call. It puts itself behind them until it comes round with nobody having run in between ([`Counted`]): then there is
//! nothing else to do. While events keep coming the executor never looks at its own rings, but for a tick now and then, which its
//! timers need. Where there are none the shard *watches* for a while before it sleeps, because falling asleep and
//! waking up costs more than a flush of a fast disk, and longer still on a virtual machine. Watching gives the CPU away
//! to whoever wants it, the kernel's own threads first among them.
//!
//! **How long it watches** follows what it gains: a sleep that ended soon makes the next watch longer, a long sleep
//! makes it shorter, down to nothing. So an idle shard costs nothing, and a busy one never sleeps.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, channel::mpsc};

use super::{Inner, uring::Uring};
use crate::mesh::Message;

/// A sleep shorter than this could have been watched through; the longest watch.
const WATCH_MAX: Duration = Duration::from_micros(400);
/// The first watch after none.
const WATCH_MIN: Duration = Duration::from_micros(20);
/// Pauses between two looks while it watches.
const PAUSE_COUNT: usize = 10;
/// Messages taken in one turn.
const MESSAGE_COUNT_MAX: usize = 256;

thread_local! {
    /// How often tasks of this shard ran.
    static RUN_COUNT: Cell<u64> = const { Cell::new(0) };
}

/// How often tasks of this shard ran, but for the poller.
pub(super) fn run_count() -> u64 {
    RUN_COUNT.get()
}

/// A task whose runs are counted: every task of a shard but the poller.
pub(super) struct Counted<F>(Pin<Box<F>>);

impl<F: Future> Counted<F> {
    pub(super) fn new(task: F) -> Self {
        Self(Box::pin(task))
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        RUN_COUNT.set(RUN_COUNT.get().wrapping_add(1));
        self.0.as_mut().poll(cx)
    }
}

/// The task. It runs as long as its executor.
pub(super) struct Poller {
    uring: Rc<Uring>,
    inner: Rc<Inner>,
    messages: RefCell<mpsc::Receiver<Message>>,
    watch: Duration,
    /// Runs of other tasks, as of this one's last.
    seen_count: u64,
    /// When the shard last had nothing to do.
    idle_since: Option<Instant>,
    asleep_since: Option<Instant>,
}

impl Poller {
    pub(super) fn new(inner: Rc<Inner>, messages: mpsc::Receiver<Message>) -> Self {
        Self {
            uring: Rc::clone(&inner.uring),
            inner,
            messages: RefCell::new(messages),
            watch: Duration::ZERO,
            seen_count: 0,
            idle_since: None,
            asleep_since: None,
        }
    }

    fn wake_up(&mut self) {
        let Some(since) = self.asleep_since.take() else { return };
        self.uring.ring_bell(false);
        self.watch = next_watch(self.watch, since.elapsed());
    }

    /// Takes what is there now.
    fn look(&self) -> bool {
        let completed = self.uring.reap();
        let mut messages = self.messages.borrow_mut();
        let mut taken = 0;
        while taken < MESSAGE_COUNT_MAX
            && let Ok(message) = messages.try_recv()
        {
            self.inner.deliver(message);
            taken += 1;
        }
        completed + taken > 0
    }

    /// Sees to it that whatever comes next wakes this task; false where something came meanwhile.
    fn fall_asleep(&mut self, context: &mut Context<'_>) -> bool {
        self.uring.ring_bell(true);
        let message = self.messages.borrow_mut().poll_next_unpin(context);
        if let Poll::Ready(Some(message)) = message {
            self.inner.deliver(message);
            self.uring.ring_bell(false);
            return false;
        }
        if self.look() {
            self.uring.ring_bell(false);
            return false;
        }
        self.uring.wake_at_start(context.waker().clone());
        self.asleep_since = Some(Instant::now());
        true
    }
}

impl Future for Poller {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.wake_up();
        let is_submitted = self.uring.submit();
        // What the kernel left is submitted next time round: no sleep before.
        let others_ran = !is_submitted || self.seen_count != RUN_COUNT.get();
        self.seen_count = RUN_COUNT.get();
        loop {
            if self.look() || others_ran {
                self.idle_since = None;
                break;
            }
            if glommio::executor().need_preempt() {
                break;
            }
            let now = Instant::now();
            let since = *self.idle_since.get_or_insert(now);
            if now.duration_since(since) >= self.watch {
                self.idle_since = None;
                if self.fall_asleep(cx) {
                    return Poll::Pending;
                }
                break;
            }
            // Little at a time, so that a sibling thread of the core gets on meanwhile.
            for _ in 0..PAUSE_COUNT {
                std::hint::spin_loop();
            }
            std::thread::yield_now();
        }
        // Behind all tasks that were woken.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// How long to watch next, after a sleep of `slept`.
fn next_watch(watch: Duration, slept: Duration) -> Duration {
    if slept < WATCH_MAX {
        return (watch * 2).clamp(WATCH_MIN, WATCH_MAX);
    }
    let less = watch / 2;
    if less < WATCH_MIN { Duration::ZERO } else { less }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_watches_longer_where_sleeps_are_short_and_not_at_all_where_they_are_long() {
        let (short, long) = (Duration::from_micros(50), Duration::from_millis(5));
        let mut watch = Duration::ZERO;
        for _ in 0..5 {
            watch = next_watch(watch, short);
        }
        assert_eq!(watch, WATCH_MIN * 16);
        for _ in 0..5 {
            watch = next_watch(watch, short);
        }
        assert_eq!(watch, WATCH_MAX);
        for _ in 0..5 {
            watch = next_watch(watch, long);
        }
        assert_eq!(watch, Duration::ZERO);
    }
}

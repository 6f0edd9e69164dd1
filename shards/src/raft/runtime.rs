//! openraft's runtime: one concrete type that asks the shard's host.
//!
//! openraft spawns, sleeps, reads a clock and draws random numbers by itself. It does so through [`ShardRuntime`],
//! which hands every request to the [`Handle`] installed on this thread: glommio's in the node, the simulator's in a
//! simulation. In the simulator many shards share a thread, so its handle answers for the task being polled.
//!
//! **Idle cost**: sleeps of [`GRID_FROM_NANOS`] and more end on a grid of [`GRID_NANOS`], those of [`COARSE_FROM_NANOS`]
//! and more on one of [`COARSE_GRID_NANOS`], so that the ticks of all groups of a shard fall together, and an idle shard wakes
//! up ten times a second. The host has its own long sleeps end there, too.
//!
//! A host proves its handle by `openraft_rt::testing::Suite::<ShardRuntime>::test_all()`, with a [`Launcher`] installed.

use std::{
    cell::RefCell,
    convert::Infallible,
    fmt,
    future::Future,
    ops::{Add, AddAssign, Sub, SubAssign},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{channel::oneshot, future::LocalBoxFuture};
use openraft_rt::{AsyncRuntime, OptionalSend};

use super::channels::{Handovers, Lock, Queues, Watches};

/// Sleeps of this many nanoseconds and more end on the grid.
pub const GRID_FROM_NANOS: u64 = 10_000_000;

/// The grid, in nanoseconds of the host's clock.
pub const GRID_NANOS: u64 = 20_000_000;

/// Sleeps of this many nanoseconds and more end on a coarser grid. openraft ticks every 100 ms, and sleeps what is left of them.
pub const COARSE_FROM_NANOS: u64 = 50_000_000;

/// That grid. What waits as long as a heartbeat or a look around can wait a little longer, and wakes up with the others.
pub const COARSE_GRID_NANOS: u64 = 100_000_000;

/// What a shard's host does for openraft.
pub trait Handle {
    /// The monotonic clock, in nanoseconds since any fixed moment.
    fn now(&self) -> u64;
    /// Runs a task on this shard until it ends; nobody cancels it.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>);
    /// Ends after this many nanoseconds.
    fn sleep(&self, nanos: u64) -> LocalBoxFuture<'static, ()>;
    /// Sixty-four random bits.
    fn random(&self) -> u64;
}

/// Starts an executor and drives one task to its end on this thread, with a [`Handle`] installed meanwhile.
///
/// Only openraft's own test suite needs it: shards are launched by the node, and openraft runs inside them.
pub trait Launcher {
    /// Drives `task` to its end; what it spawned may be dropped after that.
    fn launch(&self, task: LocalBoxFuture<'_, ()>);
}

thread_local! {
    static HANDLE: RefCell<Option<Rc<dyn Handle>>> = const { RefCell::new(None) };
    static LAUNCHER: RefCell<Option<Rc<dyn Launcher>>> = const { RefCell::new(None) };
}

/// Makes `handle` answer for this thread. Returns the one before.
pub fn install(handle: Rc<dyn Handle>) -> Option<Rc<dyn Handle>> {
    HANDLE.replace(Some(handle))
}

/// Forgets this thread's handle, so that what it refers to can be dropped. Returns it.
pub fn uninstall() -> Option<Rc<dyn Handle>> {
    HANDLE.take()
}

/// Makes `launcher` start executors on this thread.
pub fn install_launcher(launcher: Rc<dyn Launcher>) {
    // The one before is not needed any more.
    drop(LAUNCHER.replace(Some(launcher)));
}

/// The runtime openraft is compiled against.
#[derive(Debug)]
pub struct ShardRuntime {
    _made_by_new: (),
}

impl ShardRuntime {
    /// Runs `task` on this shard without waiting for it.
    pub fn start(task: impl Future<Output = ()> + 'static) {
        handle().spawn(Box::pin(task));
    }
}

/// A moment of the host's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    nanos: u64,
}

impl Instant {
    /// Nanoseconds since the host's fixed moment.
    pub fn nanos(self) -> u64 {
        self.nanos
    }
}

/// Ends when its moment has come.
pub struct Sleep(LocalBoxFuture<'static, ()>);

/// Gives the output of a spawned task.
#[derive(Debug)]
pub struct JoinHandle<T>(oneshot::Receiver<T>);

/// The task was dropped before its end: its executor is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task was dropped before its end")]
pub struct Dropped;

/// The time was over before the future ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time is over")]
pub struct Elapsed;

/// A future with a time limit.
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

/// Random numbers of the host.
#[derive(Debug)]
pub struct Random;

impl AsyncRuntime for ShardRuntime {
    type JoinError = Dropped;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = Instant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = Random;
    type Mpsc = Queues;
    type Watch = Watches;
    type Oneshot = Handovers;
    type Mutex<T: OptionalSend + 'static> = Lock<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        Self::start(async move {
            // Nobody may be waiting for the output.
            drop(sender.send(future.await));
        });
        JoinHandle(receiver)
    }

    fn sleep(duration: Duration) -> Sleep {
        sleep_nanos(nanos(duration))
    }

    fn sleep_until(deadline: Instant) -> Sleep {
        sleep_nanos(deadline.nanos.saturating_sub(handle().now()))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep: Self::sleep(duration) }
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Instant,
        future: F,
    ) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep: Self::sleep_until(deadline) }
    }

    fn is_panic(_error: &Dropped) -> bool {
        // A panic ends the process.
        false
    }

    fn thread_rng() -> Random {
        Random
    }

    fn new(_threads: usize) -> Self {
        Self { _made_by_new: () }
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        let launcher = LAUNCHER
            .with_borrow(Clone::clone)
            .expect("only openraft's suite blocks, and it runs with a launcher installed");
        let mut output = None;
        launcher.launch(Box::pin(async {
            output = Some(future.await);
        }));
        output.expect("a launcher drives its task to the end")
    }
}

fn handle() -> Rc<dyn Handle> {
    HANDLE.with_borrow(Clone::clone).expect("a shard installs its handle before it opens a group")
}

/// Durations above five centuries are as good as endless.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn sleep_nanos(nanos: u64) -> Sleep {
    let handle = handle();
    Sleep(handle.sleep(on_grid(handle.now(), nanos)))
}

/// How long to sleep so that at least `nanos` pass and long sleeps end on the grid.
pub fn on_grid(now: u64, nanos: u64) -> u64 {
    let grid = match nanos {
        ..GRID_FROM_NANOS => return nanos,
        GRID_FROM_NANOS..COARSE_FROM_NANOS => GRID_NANOS,
        COARSE_FROM_NANOS.. => COARSE_GRID_NANOS,
    };
    let deadline = now.saturating_add(nanos);
    deadline.checked_next_multiple_of(grid).unwrap_or(deadline) - now
}

impl openraft_rt::Instant for Instant {
    fn now() -> Self {
        Self { nanos: handle().now() }
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self { nanos: self.nanos.saturating_add(nanos(rhs)) }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self { nanos: self.nanos.saturating_sub(nanos(rhs)) }
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, rhs: Duration) {
        *self = *self - rhs;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, rhs: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(rhs.nanos))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sleep")
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, Dropped>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|output| output.map_err(|_canceled| Dropped))
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut self.sleep).poll(cx).map(|()| Err(Elapsed))
    }
}

impl<F> fmt::Debug for Timeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timeout")
    }
}

impl rand::TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let [a, b, c, d, ..] = handle().random().to_le_bytes();
        Ok(u32::from_le_bytes([a, b, c, d]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(handle().random())
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for piece in dst.chunks_mut(8) {
            let random = handle().random().to_le_bytes();
            for (byte, random) in piece.iter_mut().zip(random) {
                *byte = random;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{COARSE_FROM_NANOS, COARSE_GRID_NANOS, GRID_NANOS, ShardRuntime, on_grid};
    use crate::raft::testing;

    #[test]
    fn openraft_accepts_the_runtime() {
        testing::install_launcher(1);
        openraft_rt::testing::Suite::<ShardRuntime>::test_all();
    }

    #[test]
    fn long_sleeps_end_on_the_grid_and_short_ones_are_exact() {
        assert_eq!(on_grid(7, 9_999_999), 9_999_999);
        for start in [0, 1, 5_000_001, GRID_NANOS] {
            let slept = on_grid(start, 10_000_000);
            assert!((10_000_000..10_000_000 + GRID_NANOS).contains(&slept));
            assert_eq!((start + slept) % GRID_NANOS, 0);
        }
        for start in [0, 1, 70_000_001, COARSE_GRID_NANOS] {
            let slept = on_grid(start, COARSE_FROM_NANOS);
            assert!((COARSE_FROM_NANOS..COARSE_FROM_NANOS + COARSE_GRID_NANOS).contains(&slept));
            assert_eq!((start + slept) % COARSE_GRID_NANOS, 0);
        }
        assert_eq!(on_grid(5, u64::MAX), u64::MAX - 5);
    }
}

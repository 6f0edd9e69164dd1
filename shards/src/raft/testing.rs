//! A small executor for the tests of this crate: one thread, virtual time, seeded random numbers.
//!
//! It covers neither task order (tasks run in the order they wake) nor several shards: the simulator in the root crate
//! does that.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::{StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use rand::{Rng, SeedableRng, rngs::StdRng};

mod machine;

pub(crate) use machine::Machine;

use super::runtime::{self, Handle, Launcher};

/// Runs `future` and what it spawns, in virtual time, until `future` ends; the rest is dropped.
pub(crate) fn run<F: Future>(seed: u64, future: F) -> F::Output {
    let world = Rc::new(World::new(seed));
    // The handle of an earlier test on this thread is over.
    drop(runtime::install(Rc::clone(&world) as Rc<dyn Handle>));
    let output = world.drive(future);
    // Tasks hold clones of their own handle: without this they would never be dropped.
    drop(runtime::uninstall());
    output
}

/// Lets `openraft`'s suite start executors on this thread.
pub(crate) fn install_launcher(seed: u64) {
    struct Seeded(u64);
    impl Launcher for Seeded {
        fn launch(&self, task: LocalBoxFuture<'_, ()>) {
            run(self.0, task);
        }
    }
    runtime::install_launcher(Rc::new(Seeded(seed)));
}

type Task = LocalBoxFuture<'static, ()>;

/// By moment, then by number.
type Timers = BTreeMap<(u64, u64), Waker>;

struct World {
    now: Cell<u64>,
    random: RefCell<StdRng>,
    spawned: RefCell<Vec<Task>>,
    timers: RefCell<Timers>,
    timer_next: Cell<u64>,
    this: RefCell<std::rc::Weak<World>>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            now: Cell::new(1_000_000_000),
            random: RefCell::new(StdRng::seed_from_u64(seed)),
            spawned: RefCell::default(),
            timers: RefCell::default(),
            timer_next: Cell::new(0),
            this: RefCell::default(),
        }
    }

    fn drive<F: Future>(self: &Rc<Self>, future: F) -> F::Output {
        *self.this.borrow_mut() = Rc::downgrade(self);
        let mut future = pin!(future);
        let mut tasks = FuturesUnordered::new();
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        loop {
            while woken.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return output;
                }
                tasks.extend(self.spawned.take());
                while let Poll::Ready(Some(())) = tasks.poll_next_unpin(&mut context) {
                    tasks.extend(self.spawned.take());
                }
                if !self.spawned.borrow().is_empty() {
                    woken.0.store(true, Ordering::Relaxed);
                }
            }
            let ((at, _), waker) = self
                .timers
                .borrow_mut()
                .pop_first()
                .expect("every task waits for another, and no timer is set");
            self.now.set(self.now.get().max(at));
            waker.wake();
        }
    }
}

impl Handle for World {
    fn now(&self) -> u64 {
        self.now.get()
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.spawned.borrow_mut().push(task);
    }

    fn sleep(&self, nanos: u64) -> LocalBoxFuture<'static, ()> {
        let world = self.this.borrow().upgrade().expect("the world is running");
        let number = self.timer_next.get();
        self.timer_next.set(number + 1);
        Box::pin(Timer { key: (self.now.get().saturating_add(nanos), number), world })
    }

    fn random(&self) -> u64 {
        self.random.borrow_mut().next_u64()
    }
}

struct Timer {
    key: (u64, u64),
    world: Rc<World>,
}

impl Future for Timer {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.world.now.get() >= self.key.0 {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        // A waker of an earlier poll is replaced.
        drop(self.world.timers.borrow_mut().insert(self.key, waker));
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let waker = self.world.timers.borrow_mut().remove(&self.key);
        drop(waker);
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

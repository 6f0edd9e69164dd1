//! A seeded, single-threaded executor with a virtual clock.
//!
//! Which ready task runs next is drawn from the seed; when none is ready, time jumps to the next timer. Every
//! task belongs to a node and a shard, so that a crash of a node drops its tasks and nothing else, and openraft's
//! runtime, which knows no host, finds the shard of the task being polled.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use anode_disk::testing::apart::{self, Allocated, apart};
use futures::future::LocalBoxFuture;

/// Steps of one run after which it counts as stuck.
const STEP_COUNT_MAX: u64 = 50_000_000;
/// Where virtual time starts, in nanoseconds: past zero, so that subtractions are seen to be checked.
const START_NANOSECONDS: u64 = 1_000_000_000_000;
/// The wall clock at the start of time: 2026-01-01T00:00:00Z, in nanoseconds since 1970.
const WALL_START_NANOSECONDS: u64 = 1_767_225_600_000_000_000;

/// The number of the task that [`World::run`] is given.
const MAIN: u64 = 0;

/// Whom a task belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The node, or [`Owner::CLIENT`]'s.
    pub node: usize,
    /// The shard of the node.
    pub shard: usize,
}

impl Owner {
    /// The test itself and its clients, which no crash touches.
    pub const CLIENT: Self = Self { node: usize::MAX, shard: 0 };
}

/// What the tasks of nodes have cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskFigures {
    /// How often they were polled.
    pub poll_count: u64,
    /// Messages that went from one shard to another.
    pub message_count: u64,
    /// What they allocated, where somebody counts: without what the simulation did meanwhile.
    pub allocated: Allocated,
}

/// Who waits for a time, by the time and then in the order of asking.
type Timers = BTreeMap<(u64, u64), Waker>;

/// The simulated world: its clock, its dice, its tasks.
#[derive(Clone)]
pub struct World(Rc<Inner>);

struct Inner {
    now: Cell<u64>,
    dice: Cell<u64>,
    trace: Cell<u64>,
    steps: Cell<u64>,
    figures: Cell<TaskFigures>,
    is_steady: bool,
    task_next: Cell<u64>,
    timer_next: Cell<u64>,
    current: Cell<Owner>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    spawned: RefCell<VecDeque<(u64, Task)>>,
    timers: RefCell<Timers>,
    ready: RefCell<Vec<u64>>,
    /// Tells this world's wakes from those of an earlier one on the thread.
    number: u64,
}

thread_local! {
    static WORLD_NEXT: Cell<u64> = const { Cell::new(0) };
    /// Tasks that were woken since the last look, in the order of their wakes: world and task. It is no part of the
    /// world because wakers must be `Sync` and the world is not.
    static WOKEN: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
}

struct Task {
    owner: Owner,
    future: LocalBoxFuture<'static, ()>,
    flag: Arc<Flag>,
}

/// What a waker knows of its task. Everything happens on one thread; wakers must be `Sync` all the same.
struct Flag {
    world: u64,
    task: u64,
    /// Woken, and not polled since.
    woken: AtomicBool,
}

impl Flag {
    fn new(world: u64, task: u64) -> Arc<Self> {
        Arc::new(Self { world, task, woken: AtomicBool::new(false) })
    }

    fn set(&self) {
        if !self.woken.swap(true, Ordering::Relaxed) {
            apart(|| WOKEN.with_borrow_mut(|woken| woken.push((self.world, self.task))));
        }
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.set();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set();
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World(at {} ns, step {})", self.0.now.get(), self.0.steps.get())
    }
}

impl World {
    /// A world whose every choice follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, false)
    }

    /// A world that leaves nothing but identities to chance: tasks run in the order of their wakes, and every draw
    /// below a bound is the highest, so that all delays are the longest. What is measured in it changes with the code alone.
    pub fn steady(seed: u64) -> Self {
        Self::with(seed, true)
    }

    fn with(seed: u64, is_steady: bool) -> Self {
        Self(Rc::new(Inner {
            now: Cell::new(START_NANOSECONDS),
            dice: Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xa0de),
            trace: Cell::new(0xcbf2_9ce4_8422_2325),
            steps: Cell::default(),
            figures: Cell::default(),
            is_steady,
            task_next: Cell::new(1),
            timer_next: Cell::default(),
            current: Cell::new(Owner::CLIENT),
            tasks: RefCell::default(),
            spawned: RefCell::default(),
            timers: RefCell::default(),
            ready: RefCell::default(),
            number: WORLD_NEXT.replace(WORLD_NEXT.get() + 1),
        }))
    }

    /// Nanoseconds on the virtual clock.
    pub fn now(&self) -> u64 {
        self.0.now.get()
    }

    /// Nanoseconds since 1970 on the virtual wall clock.
    pub fn wall_clock(&self) -> u64 {
        WALL_START_NANOSECONDS + (self.now() - START_NANOSECONDS)
    }

    /// The next draw (splitmix64).
    pub fn random(&self) -> u64 {
        let state = self.0.dice.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.dice.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A draw below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        if self.0.is_steady { bound - 1 } else { self.random() % bound }
    }

    /// A hash of everything that happened so far: equal seeds give equal traces.
    pub fn trace(&self) -> u64 {
        self.0.trace.get()
    }

    /// How many times a task was polled.
    pub fn steps(&self) -> u64 {
        self.0.steps.get()
    }

    /// What the tasks of nodes have cost.
    pub fn figures(&self) -> TaskFigures {
        self.0.figures.get()
    }

    /// A message goes from one shard to another.
    pub(super) fn count_message(&self) {
        let figures = self.figures();
        self.0.figures.set(TaskFigures { message_count: figures.message_count + 1, ..figures });
    }

    /// Adds to the trace.
    pub fn record(&self, value: u64) {
        self.0.trace.set((self.0.trace.get() ^ value).wrapping_mul(0x0000_0100_0000_01b3));
    }

    /// Whose task is being polled.
    pub fn current(&self) -> Owner {
        self.0.current.get()
    }

    /// Starts a task.
    pub fn spawn(&self, owner: Owner, future: LocalBoxFuture<'static, ()>) {
        apart(|| {
            let id = self.0.task_next.replace(self.0.task_next.get() + 1);
            let flag = Flag::new(self.0.number, id);
            flag.set();
            let task = Task { owner, future, flag };
            self.0.spawned.borrow_mut().push_back((id, task));
        });
    }

    /// Completes after `duration` of virtual time.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Sleep { world: self.clone(), at: self.now().saturating_add(nanoseconds), timer: None }
    }

    /// Drops every task of a node, as `kill -9` does. What they held is dropped too.
    pub fn drop_node(&self, node: usize) {
        let mut dropped: Vec<Task> = Vec::new();
        let spawned = self.0.spawned.take();
        let (gone, kept) = spawned.into_iter().partition(|(_, task)| task.owner.node == node);
        let gone: VecDeque<(u64, Task)> = gone;
        *self.0.spawned.borrow_mut() = kept;
        dropped.extend(gone.into_iter().map(|(_, task)| task));
        let ids: Vec<u64> = {
            let tasks = self.0.tasks.borrow();
            tasks.iter().filter(|(_, task)| task.owner.node == node).map(|(id, _)| *id).collect()
        };
        for id in ids {
            dropped.extend(self.0.tasks.borrow_mut().remove(&id));
        }
        // Dropping a task may wake, cancel timers or drop handles of this world: no borrow is held here.
        drop(dropped);
        // A dropped task may have spawned from a destructor.
        self.0.spawned.borrow_mut().retain(|(_, task)| task.owner.node != node);
    }

    /// Runs until `main` completes.
    ///
    /// # Panics
    /// When nothing can make progress any more, or after far too many steps: the simulated code hangs.
    pub fn run<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = std::pin::pin!(main);
        let flag = Flag::new(self.0.number, MAIN);
        flag.set();
        loop {
            self.collect();
            let Some(id) = self.pick() else {
                self.jump();
                continue;
            };
            self.0.steps.set(self.0.steps.get() + 1);
            assert!(self.0.steps.get() < STEP_COUNT_MAX, "the simulation takes too many steps");
            self.record(id);
            if id != MAIN {
                self.poll(id);
                continue;
            }
            flag.woken.store(false, Ordering::Relaxed);
            self.0.current.set(Owner::CLIENT);
            let waker = Waker::from(Arc::clone(&flag));
            if let Poll::Ready(value) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                return value;
            }
        }
    }

    /// Takes in new tasks and those that were woken.
    fn collect(&self) {
        self.0.tasks.borrow_mut().extend(self.0.spawned.take());
        let mut ready = self.0.ready.borrow_mut();
        WOKEN.with_borrow_mut(|woken| {
            let own = woken.drain(..).filter(|(world, _)| *world == self.0.number);
            ready.extend(own.map(|(_, task)| task));
        });
    }

    fn pick(&self) -> Option<u64> {
        let mut ready = self.0.ready.borrow_mut();
        if ready.is_empty() {
            return None;
        }
        if self.0.is_steady {
            return Some(ready.remove(0));
        }
        let nth = usize::try_from(self.below(ready.len() as u64)).expect("below a length");
        Some(ready.swap_remove(nth))
    }

    fn jump(&self) {
        let first = self.0.timers.borrow_mut().pop_first();
        let ((at, _), waker) =
            first.expect("the simulation hangs: no task is ready and no timer set");
        self.0.now.set(self.now().max(at));
        self.record(self.now());
        waker.wake();
    }

    fn poll(&self, id: u64) {
        // A dropped task may have been woken before.
        let Some(mut task) = self.0.tasks.borrow_mut().remove(&id) else { return };
        task.flag.woken.store(false, Ordering::Relaxed);
        self.0.current.set(task.owner);
        let waker = Waker::from(Arc::clone(&task.flag));
        let before = apart::allocated();
        let polled = task.future.as_mut().poll(&mut Context::from_waker(&waker));
        self.count_poll(task.owner, apart::allocated() - before);
        if polled.is_pending() {
            self.0.tasks.borrow_mut().insert(id, task);
        } else {
            drop(task);
        }
        self.0.current.set(Owner::CLIENT);
    }

    fn count_poll(&self, owner: Owner, allocated: Allocated) {
        if owner == Owner::CLIENT {
            return;
        }
        let figures = self.figures();
        self.0.figures.set(TaskFigures {
            poll_count: figures.poll_count + 1,
            allocated: figures.allocated + allocated,
            ..figures
        });
    }
}

/// A timer of the virtual clock.
#[derive(Debug)]
pub struct Sleep {
    world: World,
    at: u64,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.world.now() >= self.at {
            return Poll::Ready(());
        }
        let inner = &self.world.0;
        let timer =
            self.timer.unwrap_or_else(|| inner.timer_next.replace(inner.timer_next.get() + 1));
        apart(|| inner.timers.borrow_mut().insert((self.at, timer), cx.waker().clone()));
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            let waker = self.world.0.timers.borrow_mut().remove(&(self.at, timer));
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace_of(seed: u64) -> (u64, u64) {
        let world = World::new(seed);
        for node in 0..3 {
            let inner = world.clone();
            let task = async move {
                for _ in 0..10 {
                    inner.sleep(Duration::from_micros(inner.below(500))).await;
                }
            };
            world.spawn(Owner { node, shard: 0 }, Box::pin(task));
        }
        let slept = world.clone();
        world.run(async move { slept.sleep(Duration::from_secs(1)).await });
        (world.trace(), world.now())
    }

    #[test]
    fn equal_seeds_give_equal_traces_and_other_seeds_others() {
        assert_eq!(trace_of(7), trace_of(7));
        assert_ne!(trace_of(7).0, trace_of(8).0);
        assert_eq!(trace_of(7).1, START_NANOSECONDS + 1_000_000_000);
    }

    #[test]
    fn a_dropped_node_stops_and_the_others_go_on() {
        let world = World::new(1);
        let counts = Rc::new([Cell::new(0), Cell::new(0)]);
        for node in 0..2 {
            let (inner, counts) = (world.clone(), Rc::clone(&counts));
            let task = async move {
                loop {
                    inner.sleep(Duration::from_millis(1)).await;
                    counts[node].set(counts[node].get() + 1);
                }
            };
            world.spawn(Owner { node, shard: 0 }, Box::pin(task));
        }
        let inner = world.clone();
        world.run(async move {
            inner.sleep(Duration::from_micros(10_500)).await;
            inner.drop_node(0);
            inner.sleep(Duration::from_millis(10)).await;
        });
        assert_eq!((counts[0].get(), counts[1].get()), (10, 20));
    }
}

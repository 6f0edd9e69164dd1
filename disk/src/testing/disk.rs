//! The simulated disk itself: its root, its faults, its crashes, its trace.

use std::{cell::RefCell, fmt, rc::Rc};

use futures::future::LocalBoxFuture;

use super::{
    SimDirectory,
    fault::{Fault, Operation, Planned},
    file::Mood,
    folder::{FileRef, Folder},
    random::{Random, mix},
};
use crate::{device::Capacity, error::Error};

/// What a disk without a bound says that it holds.
const UNBOUNDED_BYTES: u64 = 1 << 50;

/// Makes the delay of one operation, in virtual time.
pub type Delay = Rc<dyn Fn() -> LocalBoxFuture<'static, ()>>;

/// A disk in memory, shared by its clones.
#[derive(Clone)]
pub struct SimDisk {
    state: Rc<RefCell<State>>,
    root: Rc<RefCell<Folder>>,
}

/// What was asked of a disk: operations that were started, whatever became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskFigures {
    /// Reads.
    pub read_count: u64,
    /// Their bytes.
    pub read_bytes: u64,
    /// Writes; the fill of new files is not among them.
    pub write_count: u64,
    /// Their bytes.
    pub written_bytes: u64,
    /// What a real device has to flush for: syncs of files and directories, and each write that is durable when it
    /// completes.
    pub flush_count: u64,
}

struct State {
    random: Random,
    /// Counts crashes; a handle of an earlier life is dead.
    life: u64,
    io_count: u64,
    figures: DiskFigures,
    trace: u64,
    planned: Vec<Planned>,
    crash_at: Option<u64>,
    delay: Option<Delay>,
    is_steady: bool,
    /// What it holds in all, in bytes.
    capacity_bytes: Option<u64>,
}

impl SimDisk {
    /// An empty disk whose crashes and faults are decided by `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: Random::new(seed),
            life: 0,
            io_count: 0,
            figures: DiskFigures::default(),
            trace: seed,
            planned: Vec::new(),
            crash_at: None,
            delay: None,
            is_steady: false,
            capacity_bytes: None,
        };
        Self { state: Rc::new(RefCell::new(state)), root: Rc::default() }
    }

    /// A disk with these directories.
    pub(super) fn with_root(seed: u64, root: Folder) -> Self {
        Self { root: Rc::new(RefCell::new(root)), ..Self::new(seed) }
    }

    pub(super) fn copy_root(&self) -> Folder {
        self.root.borrow().copy()
    }

    /// Its topmost directory, alive until the next crash.
    pub fn root(&self) -> SimDirectory {
        SimDirectory::new(self.clone(), Rc::clone(&self.root), String::new())
    }

    /// The topmost directory after a crash.
    pub fn reopen(&self) -> SimDirectory {
        self.root()
    }

    /// Loses power: what was not flushed is lost, kept or torn, and every open handle says [`Error::Stopped`].
    pub fn crash(&self) {
        let mut state = self.state.borrow_mut();
        state.life += 1;
        state.crash_at = None;
        let mood = match state.random.below(6) {
            0 => Mood::Loses,
            1 => Mood::Keeps,
            _ => Mood::Mixes,
        };
        self.root.borrow_mut().crash(mood, &mut state.random);
    }

    /// Crashes in the middle of the I/O with this number, counted as [`Self::io_count`] does.
    pub fn crash_at(&self, nth_io: u64) {
        self.state.borrow_mut().crash_at = Some(nth_io);
    }

    /// How many crashes there were.
    pub fn crash_count(&self) -> u64 {
        self.state.borrow().life
    }

    /// Plans a fault for the first operation it can strike, from the I/O with this number on; `once` or from then on.
    pub fn fail_at(&self, nth_io: u64, fault: Fault, once: bool) {
        let plan = Planned { from_io: nth_io, fault, once, within: String::new() };
        self.state.borrow_mut().planned.push(plan);
    }

    /// Plans a fault of a file or everything in a directory (names joined by slashes), from the I/O with this number on.
    pub fn fail_within(&self, path: &str, nth_io: u64, fault: Fault) {
        let within = path.trim_matches('/').to_owned();
        self.state.borrow_mut().planned.push(Planned {
            from_io: nth_io,
            fault,
            once: false,
            within,
        });
    }

    /// Takes back every planned fault and crash.
    pub fn heal(&self) {
        let mut state = self.state.borrow_mut();
        state.planned.clear();
        state.crash_at = None;
    }

    /// How many operations were started: the next one has this number.
    pub fn io_count(&self) -> u64 {
        self.state.borrow().io_count
    }

    /// Bytes of all writes that were started; the fill of new files is not among them.
    pub fn written_bytes(&self) -> u64 {
        self.figures().written_bytes
    }

    /// Reads that were started, and their bytes.
    pub fn reads(&self) -> (u64, u64) {
        let figures = self.figures();
        (figures.read_count, figures.read_bytes)
    }

    /// All that was asked of it.
    pub fn figures(&self) -> DiskFigures {
        self.state.borrow().figures
    }

    /// A checksum of every operation so far, with its bytes: the same for the same run.
    pub fn trace(&self) -> u64 {
        self.state.borrow().trace
    }

    /// Adds virtual time to every operation; `None` takes it away.
    pub fn set_delay(&self, delay: Option<Delay>) {
        self.state.borrow_mut().delay = delay;
    }

    /// Makes every operation take its delay and no turns beside it, so that what polls cost isn't left to chance.
    pub fn set_steady(&self) {
        self.state.borrow_mut().is_steady = true;
    }

    /// Makes it a disk of so many bytes: whatever would take more is refused with [`Error::NoSpace`]. Files count with
    /// their length; those that are removed count no more, also while somebody has them open. `None` takes the bound away.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.borrow_mut().capacity_bytes = bytes;
    }

    /// What there is, and what of it is free.
    pub fn capacity(&self) -> Capacity {
        let total_bytes = self.state.borrow().capacity_bytes.unwrap_or(UNBOUNDED_BYTES);
        let used_bytes: u64 = self.files().iter().map(|(_, length)| *length).sum();
        Capacity { free_bytes: total_bytes.saturating_sub(used_bytes), total_bytes }
    }

    /// Whether a file may grow by so many bytes.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        let is_bounded = self.state.borrow().capacity_bytes.is_some();
        bytes == 0 || !is_bounded || bytes <= self.capacity().free_bytes
    }

    /// Changes bits of one byte of the file at `path` (names joined by slashes), durably and unseen.
    pub fn flip(&self, path: &str, offset: u64, mask: u8) {
        let file = self.file(path);
        let mut byte = [0];
        copy_out(&file, offset, &mut byte);
        file.borrow_mut().patch(offset, byte[0] ^ mask);
    }

    /// Overwrites bytes of the file at `path`, durably and unseen.
    pub fn patch(&self, path: &str, offset: u64, source: &[u8]) {
        let file = self.file(path);
        for (position, byte) in (offset..).zip(source) {
            file.borrow_mut().patch(position, *byte);
        }
    }

    /// What programs see in the file at `path`.
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        let file = self.file(path);
        let length = usize::try_from(file.borrow().current.length).expect("a simulated file fits");
        file.borrow().current.read(0, length).to_vec()
    }

    /// The files of the whole disk: path and length in bytes.
    pub fn files(&self) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        collect(&self.root.borrow(), "", &mut found);
        found
    }

    fn file(&self, path: &str) -> FileRef {
        let mut folder = Rc::clone(&self.root);
        let mut names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        let last = names.pop().expect("a path names a file");
        for name in names {
            let inner = folder.borrow().folders.get(name).map(Rc::clone);
            folder = inner.expect("the test names a directory that exists");
        }
        let file = folder.borrow().files.get(last).map(Rc::clone);
        file.expect("the test names a file that exists")
    }

    pub(super) fn count_written(&self, bytes: u64) {
        let figures = &mut self.state.borrow_mut().figures;
        figures.write_count += 1;
        figures.written_bytes += bytes;
    }

    pub(super) fn count_flush(&self) {
        self.state.borrow_mut().figures.flush_count += 1;
    }

    pub(super) fn count_read(&self, bytes: u64) {
        let figures = &mut self.state.borrow_mut().figures;
        figures.read_count += 1;
        figures.read_bytes += bytes;
    }

    pub(super) fn life(&self) -> u64 {
        self.state.borrow().life
    }

    pub(super) fn check(&self, life: u64) -> Result<(), Error> {
        if self.life() == life { Ok(()) } else { Err(Error::Stopped) }
    }

    pub(super) fn with_random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.state.borrow_mut().random)
    }

    /// Counts and traces an operation that is about to take effect; says how it will fail.
    pub(super) fn start(&self, operation: Operation, name: &str, facts: [u64; 2]) -> Option<Fault> {
        let mut state = self.state.borrow_mut();
        let number = state.io_count;
        state.io_count += 1;
        let words = [u64::from(crc32c::crc32c(name.as_bytes())), facts[0], facts[1], number];
        for word in words {
            state.trace = mix(state.trace ^ word).wrapping_add(1);
        }
        let struck = state.planned.iter().position(|plan| plan.strikes(number, operation, name))?;
        let Planned { fault, once, .. } = state.planned[struck];
        if once {
            state.planned.remove(struck);
        }
        Some(fault)
    }

    /// The time between an operation's start and its effect: yields at least once, unless it is steady; a crash may fall into it.
    pub(super) async fn elapse(&self, life: u64) -> Result<(), Error> {
        let due = {
            let state = self.state.borrow();
            state.crash_at.is_some_and(|number| state.io_count > number)
        };
        if due {
            self.crash();
        }
        let is_steady = self.state.borrow().is_steady;
        let turns = if is_steady { 0 } else { 1 + self.with_random(|random| random.below(3)) };
        for _ in 0..turns {
            yield_once().await;
        }
        let delay = self.state.borrow().delay.clone();
        if let Some(delay) = delay {
            delay().await;
        }
        self.check(life)
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        f.debug_struct("SimDisk")
            .field("life", &state.life)
            .field("io_count", &state.io_count)
            .finish_non_exhaustive()
    }
}

pub(super) fn copy_out(file: &FileRef, offset: u64, target: &mut [u8]) {
    let file = file.borrow();
    for (position, byte) in (offset..).zip(target) {
        let sector = file.current.sector(position / super::content::SECTOR);
        let within = usize::try_from(position % super::content::SECTOR).expect("below a sector");
        *byte = sector[within];
    }
}

fn collect(folder: &Folder, path: &str, found: &mut Vec<(String, u64)>) {
    for (name, file) in &folder.files {
        found.push((join(path, name), file.borrow().current.length));
    }
    for (name, inner) in &folder.folders {
        collect(&inner.borrow(), &join(path, name), found);
    }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

pub(super) async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

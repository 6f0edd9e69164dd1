//! The shard's own uring: its disk operations and its waits for sockets.
//!
//! glommio arms, cancels and polls three rings whenever its executor looks for events, some twenty system calls for a
//! small PUT. Here an operation costs its entry in the submission queue; one system call submits all that a turn of
//! the shard has made (`poller.rs`), and finding what completed is a look at memory.
//!
//! **What the kernel holds** while an operation is in flight, its memory and its descriptor, is owned by the table of
//! operations, not by the future that waits: dropping the future leaves both in place until the kernel is done. That
//! is the invariant of the one `unsafe` call here. A dropped wait for a socket is cancelled; a dropped write may or may
//! not land.

#![expect(unsafe_code, reason = "the kernel is handed addresses; the only file of Anode that does")]

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use glommio::io::BufferedFile;
use io_uring::{IoUring, opcode, squeue, types};
use nix::{
    libc,
    sys::eventfd::{EfdFlags, EventFd},
};
use slab::Slab;

use super::memory::Memory;

/// Entries that may wait to be submitted; more are submitted at once.
const SUBMISSION_COUNT: u32 = 512;
/// Completions that the kernel keeps in the ring; what is beyond, it keeps in memory of its own.
const COMPLETION_COUNT: u32 = 4096;
/// Names completions that nobody waits for: those of cancellations.
const NOBODY: u64 = u64::MAX;

/// Something with a descriptor, shared with the operations on it.
pub(super) type Descriptor = Rc<dyn AsFd>;

/// What an operation gave: the kernel's answer and the memory that was lent to it.
pub(super) struct Outcome {
    /// Bytes, or what the operation counts.
    pub(super) result: io::Result<usize>,
    /// For reads and writes.
    pub(super) memory: Option<Memory>,
}

/// What a socket is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Readiness {
    /// Bytes, or a connection, or the end of the stream.
    Readable,
    /// Room to send.
    Writable,
}

/// A shard's uring.
pub(super) struct Uring {
    queues: RefCell<Queues>,
    /// An event descriptor, as a file on glommio's own rings.
    bell: Rc<BufferedFile>,
    /// Who submits, while it sleeps.
    submitter: Cell<Option<Waker>>,
}

struct Queues {
    ring: IoUring,
    operations: Slab<Operation>,
    /// Tells the operations apart that had the same slot.
    generation: u32,
    /// To be woken; kept for its capacity.
    woken: Vec<Waker>,
}

struct Operation {
    state: State,
    generation: u32,
    memory: Option<Memory>,
    /// The kernel works on it by number; it must not be another file's meanwhile.
    _descriptor: Descriptor,
}

enum State {
    InFlight(Option<Waker>),
    Done(i32),
    /// Its future is gone.
    Abandoned,
}

impl Uring {
    /// Makes the uring of this thread, inside its executor.
    pub(super) fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_cqsize(COMPLETION_COUNT)
            // Completions needn't interrupt the shard: it enters the kernel all the time.
            .setup_coop_taskrun()
            .setup_single_issuer()
            .build(SUBMISSION_COUNT)
            .or_else(|error| match error.raw_os_error() {
                // Linux before 6.0 doesn't know the flags.
                Some(libc::EINVAL) => {
                    IoUring::builder().setup_cqsize(COMPLETION_COUNT).build(SUBMISSION_COUNT)
                }
                _ => Err(error),
            })?;
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?;
        ring.submitter().register_eventfd(bell.as_raw_fd())?;
        let bell = OwnedFd::from(bell).into_raw_fd();
        // SAFETY: the descriptor is open, and its ownership was given up for the file to take.
        let bell = unsafe { BufferedFile::from_raw_fd(bell) };
        let queues = Queues { ring, operations: Slab::new(), generation: 0, woken: Vec::new() };
        let uring =
            Self { queues: RefCell::new(queues), bell: Rc::new(bell), submitter: Cell::default() };
        uring.ring_bell(false);
        Ok(uring)
    }

    /// Reads into `memory`, all of it if the file has that much.
    pub(super) fn read(self: &Rc<Self>, file: &Descriptor, offset: u64, memory: Memory) -> Flight {
        let mut memory = memory;
        let (address, length) = (memory.as_mut_ptr(), length_of(&memory));
        self.start(Some(memory), file, |fd| {
            opcode::Read::new(fd, address, length).offset(offset).build()
        })
    }

    /// Writes all of `memory`.
    pub(super) fn write(self: &Rc<Self>, file: &Descriptor, offset: u64, memory: Memory) -> Flight {
        let (address, length) = (memory.as_ptr(), length_of(&memory));
        self.start(Some(memory), file, |fd| {
            opcode::Write::new(fd, address, length).offset(offset).build()
        })
    }

    /// Flushes a file's data, and the metadata that reading it needs.
    pub(super) fn sync(self: &Rc<Self>, file: &Descriptor) -> Flight {
        self.start(None, file, |fd| {
            opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build()
        })
    }

    /// Waits until a socket is ready, or its peer is gone.
    pub(super) fn ready(self: &Rc<Self>, socket: &Descriptor, readiness: Readiness) -> Flight {
        let events = match readiness {
            Readiness::Readable => libc::POLLIN | libc::POLLRDHUP,
            Readiness::Writable => libc::POLLOUT,
        };
        let events = u32::try_from(events).expect("poll flags are positive");
        let mut flight = self.start(None, socket, |fd| opcode::PollAdd::new(fd, events).build());
        flight.cancel = true;
        flight
    }

    /// Submits what was started; one system call, none where there is nothing. False where the kernel left some of it
    /// for the next call.
    pub(super) fn submit(&self) -> bool {
        let mut queues = self.queues.borrow_mut();
        if !queues.ring.submission().is_empty() {
            queues.submit();
        }
        queues.ring.submission().is_empty()
    }

    /// Takes what completed and wakes who waits for it; says how many there were. No system call.
    pub(super) fn reap(&self) -> usize {
        let mut woken = {
            let queues = &mut *self.queues.borrow_mut();
            queues.reap()
        };
        let Some((count, wakers)) = &mut woken else { return 0 };
        for waker in wakers.drain(..) {
            waker.wake();
        }
        let count = *count;
        if let Some((_, wakers)) = woken {
            self.queues.borrow_mut().woken = wakers;
        }
        count
    }

    /// Whether completions ring the bell; they are to be reaped once more after this was turned on.
    pub(super) fn ring_bell(&self, on: bool) {
        let mut queues = self.queues.borrow_mut();
        let completions = queues.ring.completion();
        if on { completions.enable_eventfd() } else { completions.disable_eventfd() }
    }

    /// Wakes the submitter whenever the bell rings, which is heard on glommio's own rings: a task of the shard, for as long as
    /// its executor runs. A task of its own, because glommio keeps a waker for each time that a read is asked for before
    /// it ends: the submitter, which others wake, too, would leave thirty thousand of them in some minutes without a ring,
    /// and glommio counts no further.
    pub(super) async fn hear_bell(self: Rc<Self>) {
        loop {
            let rung = self.bell.read_at(0, size_of::<u64>()).await;
            assert!(rung.is_ok(), "an event descriptor can be read: {rung:?}");
            self.wake_submitter();
        }
    }

    /// Has `submitter` woken by the next operation, and by the bell: it is about to sleep.
    pub(super) fn wake_at_start(&self, submitter: Waker) {
        self.submitter.set(Some(submitter));
    }

    /// Operations that the kernel has, or whose outcome nobody has taken yet.
    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.queues.borrow().operations.len()
    }

    fn start(
        self: &Rc<Self>,
        memory: Option<Memory>,
        descriptor: &Descriptor,
        entry: impl FnOnce(types::Fd) -> squeue::Entry,
    ) -> Flight {
        let mut queues = self.queues.borrow_mut();
        queues.generation = queues.generation.wrapping_add(1);
        let generation = queues.generation;
        let entry = entry(types::Fd(descriptor.as_fd().as_raw_fd()));
        let key = queues.operations.insert(Operation {
            state: State::InFlight(None),
            generation,
            memory,
            _descriptor: Rc::clone(descriptor),
        });
        queues.push(&entry.user_data(name(key, generation)));
        drop(queues);
        self.wake_submitter();
        Flight { uring: Rc::clone(self), key, cancel: false, landed: false }
    }

    /// Wakes the submitter, where it sleeps.
    pub(super) fn wake_submitter(&self) {
        if let Some(submitter) = self.submitter.take() {
            submitter.wake();
        }
    }

    fn abandon(&self, key: usize, cancel: bool) {
        let mut queues = self.queues.borrow_mut();
        let Some(operation) = queues.operations.get_mut(key) else { return };
        if let State::Done(_) = operation.state {
            queues.operations.remove(key);
            return;
        }
        operation.state = State::Abandoned;
        if cancel {
            let name = name(key, operation.generation);
            let entry = opcode::AsyncCancel::new(name).build();
            queues.push(&entry.user_data(NOBODY));
            drop(queues);
            self.wake_submitter();
        }
    }
}

impl Queues {
    fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: the memory and the descriptor that the entry names are owned by `operations` until its
            // completion is reaped, and neither moves or is touched meanwhile; a cancellation names none.
            let pushed = unsafe { self.ring.submission().push(entry) };
            if pushed.is_ok() {
                return;
            }
            self.submit();
        }
    }

    fn submit(&mut self) {
        match self.ring.submit() {
            Ok(_) => {}
            // Interrupted, or too much is in flight: what is left is submitted by the next call.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)
                ) => {}
            Err(error) => unreachable!("the kernel refused well-formed submissions: {error}"),
        }
    }

    fn reap(&mut self) -> Option<(usize, Vec<Waker>)> {
        let mut count = 0;
        let mut completions = self.ring.completion();
        if completions.is_empty() {
            return None;
        }
        let mut woken = std::mem::take(&mut self.woken);
        for completion in &mut completions {
            count += 1;
            let Some((key, generation)) = slot(completion.user_data()) else { continue };
            let operation = self.operations.get_mut(key).expect("a slot waits for its completion");
            assert_eq!(operation.generation, generation, "one completion an operation");
            match std::mem::replace(&mut operation.state, State::Done(completion.result())) {
                State::InFlight(waker) => woken.extend(waker),
                State::Abandoned => drop(self.operations.remove(key)),
                State::Done(_) => unreachable!("one completion an operation"),
            }
        }
        Some((count, woken))
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // The kernel may still write into the memory of reads: it is freed after the last of them.
        let queues = self.queues.get_mut();
        while queues.operations.iter().any(|(_, operation)| {
            operation.memory.is_some() && !matches!(operation.state, State::Done(_))
        }) {
            if queues.ring.submit_and_wait(1).is_err() {
                continue;
            }
            drop(queues.reap());
        }
    }
}

/// An operation in flight.
#[must_use = "an operation is waited for"]
pub(super) struct Flight {
    uring: Rc<Uring>,
    key: usize,
    cancel: bool,
    landed: bool,
}

impl Future for Flight {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let result = {
            let mut queues = self.uring.queues.borrow_mut();
            let operation =
                queues.operations.get_mut(self.key).expect("it stays until it is taken");
            match &mut operation.state {
                State::Done(result) => *result,
                State::InFlight(waker) => {
                    *waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                State::Abandoned => unreachable!("only a dropped future is abandoned"),
            }
        };
        self.landed = true;
        let operation = self.uring.queues.borrow_mut().operations.remove(self.key);
        let result =
            usize::try_from(result).map_err(|_negative| io::Error::from_raw_os_error(-result));
        Poll::Ready(Outcome { result, memory: operation.memory })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            self.uring.abandon(self.key, self.cancel);
        }
    }
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Uring")
    }
}

fn length_of(memory: &Memory) -> u32 {
    u32::try_from(memory.len()).expect("an operation is far below 4 GiB")
}

fn name(key: usize, generation: u32) -> u64 {
    let key = u32::try_from(key).expect("operations in flight are few");
    u64::from(generation) << 32 | u64::from(key)
}

/// The slot and generation that a completion names; none where nobody waits for it.
fn slot(name: u64) -> Option<(usize, u32)> {
    if name == NOBODY {
        return None;
    }
    let low = u32::try_from(name & u64::from(u32::MAX)).expect("the lower half");
    let high = u32::try_from(name >> 32).expect("the upper half");
    Some((usize::try_from(low).expect("32 bits fit"), high))
}

//! The loop: starts jobs on idle connections when they are due, times each from then to its last byte.
//!
//! All that is ready is read before anything new is sent, so an answer's time isn't that of sending the next requests.
//! Every loop ends: the load by its time or its last key, a request by its time-out.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use bench_shared::process;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use crate::arguments::Arguments;
use crate::clock::{Clock, nanoseconds};
use crate::connection::Connection;
use crate::content::Content;
use crate::failure::Failure;
use crate::inserts::Inserts;
use crate::operation::{Job, Operation, Rules, Verdict};
use crate::poller::Poller;
use crate::request::Author;
use crate::response::Answer;
use crate::schedule::{Pace, Schedule};
use crate::source::Source;
use crate::tally::{Finished, Tally};

/// What one read takes at most, in bytes.
const SCRATCH_BYTES: usize = 1 << 20;
/// Descriptors besides the connections.
const FILE_COUNT_SPARE: u64 = 32;

/// What a run found out.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// Why the load ended before its time.
    pub(crate) broken_off: Option<String>,
}

/// Prepares and runs the load that was asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    pin(arguments)?;
    raise_file_limit(arguments)?;
    if !arguments.server.is_empty() && process::usage(&arguments.server).is_none() {
        return Err(Failure::Arguments("--server names a process that isn't there".to_owned()));
    }
    let mut load = Load::new(arguments)?;
    if arguments.path.is_none() {
        load.prepare(Source::bucket(arguments))?;
    }
    if arguments.prepare {
        load.prepare(Source::preparation(arguments))?;
    }
    load.tally = Tally::new(&arguments.server);
    let now = load.clock.now();
    let begin = now + nanoseconds(arguments.warm_up());
    let end = arguments.measured().map_or(u64::MAX, |length| begin + nanoseconds(length));
    let pace = arguments.rate.map_or(Pace::Closed, |rate| Pace::Open(rate.get()));
    let mut schedule = Schedule::new(pace, now, end);
    let mut source = Source::load(arguments);
    let broken_off = load.phase(&mut source, &mut schedule, begin..end).err();
    load.count_missed(&mut source, &schedule);
    Ok(Outcome { tally: load.tally, broken_off: broken_off.map(|error| error.to_string()) })
}

struct Load<'a> {
    arguments: &'a Arguments,
    timeout: u64,
    clock: Clock,
    author: Author,
    content: Content,
    poller: Poller,
    slots: Vec<Slot>,
    /// Longest idle first, so that all connections are used.
    idle: VecDeque<usize>,
    scratch: Vec<u8>,
    tally: Tally,
    inserts: Inserts,
    rules: Rules,
    swept: u64,
}

/// A connection and what it is used for.
struct Slot {
    connection: Connection,
    job: Option<Job>,
    /// When the operation was due.
    due: u64,
    /// When its last request was started.
    started: u64,
}

/// What there is to start.
enum Next {
    /// Nothing any more.
    Over,
    /// Something, as soon as a connection is idle.
    Busy,
    /// Something at this time.
    Due(u64),
}

impl<'a> Load<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self, Failure> {
        let poller = Poller::new().map_err(Failure::system("making an epoll and its timer"))?;
        let mut slots = Vec::with_capacity(arguments.concurrency);
        for index in 0..arguments.concurrency {
            let connection = Connection::open(arguments.address)
                .map_err(Failure::system("connecting to the server"))?;
            poller
                .watch(connection.stream(), index)
                .map_err(Failure::system("watching a connection"))?;
            slots.push(Slot { connection, job: None, due: 0, started: 0 });
        }
        Ok(Self {
            arguments,
            timeout: nanoseconds(Duration::from_secs_f64(arguments.timeout)),
            clock: Clock::new(),
            author: Author::new(arguments),
            content: Content::new(&arguments.prefix),
            poller,
            idle: (0..slots.len()).collect(),
            slots,
            scratch: vec![0; SCRATCH_BYTES],
            tally: Tally::new(&[]),
            inserts: Inserts::new(arguments.keys.get()),
            rules: arguments.rules(),
            swept: 0,
        })
    }

    /// Runs all of a source, as fast as it goes; any failure is one of the preparation.
    fn prepare(&mut self, mut source: Source) -> Result<(), Failure> {
        self.tally = Tally::new(&[]);
        let now = self.clock.now();
        let mut schedule = Schedule::new(Pace::Closed, now, u64::MAX);
        self.phase(&mut source, &mut schedule, now..u64::MAX)
            .map_err(|error| Failure::Preparation(error.to_string()))?;
        match self.tally.failures.keys().next() {
            Some(kind) => Err(Failure::Preparation(kind.clone())),
            None => Ok(()),
        }
    }

    /// Starts jobs until the source is empty or the schedule is over, and waits for the last answers.
    fn phase(
        &mut self,
        source: &mut Source,
        schedule: &mut Schedule,
        window: Range<u64>,
    ) -> std::io::Result<()> {
        let mut ready = Vec::new();
        let result = loop {
            let now = self.clock.now();
            if self.tally.begin.is_none() && now >= window.start {
                self.tally.begin(now);
            }
            if self.tally.end.is_none() && now >= window.end {
                self.tally.end(now);
            }
            let due = match self.start_due(source, schedule) {
                Ok(Next::Over) if self.idle.len() == self.slots.len() => break Ok(()),
                Ok(Next::Over | Next::Busy) => None,
                Ok(Next::Due(due)) => Some(due),
                Err(error) => break Err(error),
            };
            if let Err(error) = self.wait(due, &mut ready) {
                break Err(error);
            }
        };
        let now = self.clock.now();
        schedule.stop(now);
        if self.tally.begin.is_none() {
            self.tally.begin(now);
        }
        if self.tally.end.is_none() {
            self.tally.end(now);
        }
        result
    }

    fn start_due(&mut self, source: &mut Source, schedule: &mut Schedule) -> std::io::Result<Next> {
        loop {
            let now = self.clock.now();
            let Some(due) = schedule.next_due(now) else { return Ok(Next::Over) };
            if due > now {
                return Ok(Next::Due(due));
            }
            let Some(&index) = self.idle.front() else { return Ok(Next::Busy) };
            let Some(job) = source.next(&mut self.inserts) else {
                schedule.stop(due);
                return Ok(Next::Over);
            };
            self.idle.pop_front();
            schedule.advance();
            self.tally.started(due, now);
            if let Some(slot) = self.slots.get_mut(index) {
                slot.due = due;
            }
            self.start(index, job)?;
        }
    }

    /// Waits for what comes first, and takes all answers that are there.
    fn wait(&mut self, due: Option<u64>, ready: &mut Vec<usize>) -> std::io::Result<()> {
        self.poller.wait(self.clock.now(), due, ready)?;
        for index in ready.drain(..) {
            self.advance(index)?;
        }
        self.sweep()
    }

    fn start(&mut self, index: usize, job: Job) -> std::io::Result<()> {
        let now = self.clock.now();
        let slot = &mut self.slots[index];
        let wall = self.clock.wall_seconds(now);
        self.author.write(&job, &self.content, wall, &mut slot.connection.request);
        slot.started = now;
        slot.job = Some(job);
        match slot.connection.start(&self.content) {
            Ok(()) => Ok(()),
            Err(error) => self.abandon(index, &error.to_string()),
        }
    }

    fn advance(&mut self, index: usize) -> std::io::Result<()> {
        let slot = &mut self.slots[index];
        if slot.job.is_none() {
            return if slot.connection.is_closed() { self.reopen(index) } else { Ok(()) };
        }
        match slot.connection.drive(&self.content, &mut self.scratch) {
            Ok(None) => Ok(()),
            Ok(Some(answer)) => self.finish(index, &answer),
            Err(error) => self.abandon(index, &error.to_string()),
        }
    }

    fn finish(&mut self, index: usize, answer: &Answer) -> std::io::Result<()> {
        let at = self.clock.now();
        let slot = &mut self.slots[index];
        let job = slot.job.take().expect("only a job has answers");
        let due = slot.due;
        if !slot.connection.is_reusable(answer) {
            self.reopen(index)?;
        }
        let mut done = Finished::new(job.operation, due, at);
        match job.judge(answer, &self.rules) {
            Verdict::Continue(next) => return self.start(index, *next),
            Verdict::Failed(kind) => self.tally.failed(kind),
            Verdict::Absent => self.tally.finished(Finished { absent: true, ..done }),
            Verdict::Done => {
                let writes = matches!(
                    job.operation,
                    Operation::Put | Operation::Insert | Operation::Multipart
                );
                done.bytes = if writes { job.size } else { answer.body_bytes };
                self.tally.finished(done);
                if job.operation == Operation::Insert {
                    self.inserts.acknowledge(job.number - self.arguments.first);
                }
            }
            Verdict::Listed { entry_count, next } => {
                (done.bytes, done.entries) = (answer.body_bytes, entry_count);
                self.tally.finished(done);
                // A listing would go on long after the window.
                if let Some(next) = next.filter(|_| self.tally.end.is_none()) {
                    self.slots[index].due = self.clock.now();
                    return self.start(index, *next);
                }
            }
        }
        self.idle.push_back(index);
        Ok(())
    }

    /// The request on this connection failed, and the connection with it.
    fn abandon(&mut self, index: usize, why: &str) -> std::io::Result<()> {
        let job = self.slots[index].job.take().expect("only a job fails");
        self.tally.failed(format!("{}: {why}", job.what()));
        self.idle.push_back(index);
        self.reopen(index)
    }

    fn reopen(&mut self, index: usize) -> std::io::Result<()> {
        let connection = &mut self.slots[index].connection;
        connection.reopen(self.arguments.address)?;
        Ok(self.poller.watch(connection.stream(), index)?)
    }

    /// Gives up the requests that have had their time.
    fn sweep(&mut self) -> std::io::Result<()> {
        let now = self.clock.now();
        // Once a twentieth of the time-out is exact enough, and costs nothing.
        if now - self.swept < self.timeout / 20 {
            return Ok(());
        }
        self.swept = now;
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if slot.job.is_some() && now - slot.started > self.timeout {
                self.abandon(index, &format!("no answer for {} s", self.arguments.timeout))?;
            }
        }
        Ok(())
    }

    fn count_missed(&mut self, source: &mut Source, schedule: &Schedule) {
        let Some(end) = self.tally.end else { return };
        for due in schedule.missed() {
            let Some(job) = source.next(&mut self.inserts) else { return };
            self.tally.missed(job.operation, due, end.time);
        }
    }
}

fn pin(arguments: &Arguments) -> Result<(), Failure> {
    let Some(cpu) = arguments.pin else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .map_err(Failure::system("pinning to the CPU of --pin"))
}

fn raise_file_limit(arguments: &Arguments) -> Result<(), Failure> {
    let needed = arguments.concurrency as u64 + FILE_COUNT_SPARE;
    let limit = Resource::RLIMIT_NOFILE;
    let (soft, hard) =
        getrlimit(limit).map_err(Failure::system("reading the limit of open files"))?;
    if soft >= needed {
        return Ok(());
    }
    setrlimit(limit, needed.min(hard), hard)
        .map_err(Failure::system("raising the limit of open files"))
}

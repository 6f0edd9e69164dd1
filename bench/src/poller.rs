//! Waiting: for sockets, and for the moment that the next request is due, to the nanosecond.
//!
//! Sockets are watched once, edge-triggered, for both directions, so a request costs no further registration. epoll's own
//! time-out has milliseconds; the due time is a timer file descriptor among the watched.

use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Sockets reported at once.
const EVENT_COUNT: usize = 256;
/// What the timer is known by.
const TIMER: u64 = u64::MAX;
/// The longest wait in milliseconds: time-outs and the end of the measurement are looked at after it.
const WAIT_MILLISECONDS_MAX: u16 = 50;

/// Watches sockets by an index of their own.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: Epoll,
    timer: TimerFd,
    armed: Option<u64>,
    events: Vec<EpollEvent>,
}

impl Poller {
    pub(crate) fn new() -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        let edge = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(timer.as_fd(), EpollEvent::new(edge, TIMER))?;
        Ok(Self { epoll, timer, armed: None, events: vec![EpollEvent::empty(); EVENT_COUNT] })
    }

    /// Watches a socket; closing it ends that.
    pub(crate) fn watch(&self, stream: &TcpStream, index: usize) -> nix::Result<()> {
        let edges = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        self.epoll.add(stream.as_fd(), EpollEvent::new(edges, index as u64))
    }

    /// Waits until a socket changes, `due` has come (both times of the same clock), or a short while has passed. Puts the
    /// indexes of what changed into `ready`.
    pub(crate) fn wait(
        &mut self,
        now: u64,
        due: Option<u64>,
        ready: &mut Vec<usize>,
    ) -> nix::Result<()> {
        let timeout = match due {
            Some(due) if due <= now => EpollTimeout::ZERO,
            Some(due) => {
                self.arm(now, due)?;
                EpollTimeout::from(WAIT_MILLISECONDS_MAX)
            }
            None => EpollTimeout::from(WAIT_MILLISECONDS_MAX),
        };
        let count = match self.epoll.wait(&mut self.events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno),
        };
        let found = self.events.iter().take(count).filter(|event| event.data() != TIMER);
        ready.clear();
        ready.extend(found.map(|event| usize::try_from(event.data()).expect("it was an index")));
        Ok(())
    }

    fn arm(&mut self, now: u64, due: u64) -> nix::Result<()> {
        if self.armed == Some(due) {
            return Ok(());
        }
        let pause = TimeSpec::from_duration(Duration::from_nanos(due - now));
        self.timer.set(Expiration::OneShot(pause), TimerSetTimeFlags::empty())?;
        self.armed = Some(due);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Poller;
    use crate::clock::Clock;

    #[test]
    fn a_due_time_is_met_below_a_millisecond_and_again() {
        let (clock, mut poller, mut ready) = (Clock::new(), Poller::new().unwrap(), Vec::new());
        let mut lateness: Vec<u64> = (0..20)
            .map(|_| {
                let now = clock.now();
                let due = now + 200_000;
                poller.wait(now, Some(due), &mut ready).unwrap();
                let woken = clock.now();
                assert!(woken >= due, "woken {} ns early", due - woken);
                woken - due
            })
            .collect();
        lateness.sort_unstable();
        // A timer in milliseconds, or one that fires only once, would be at least 800 us late each time.
        assert!(lateness[5] < 700_000, "{lateness:?}");
    }
}

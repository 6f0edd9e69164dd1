//! Programs that were started: waited for, never longer than is right, and ended by their ids.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failure::Failure;

/// Between two looks at something.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a server may take until it answers.
const START_SECONDS_MAX: f64 = 60.0;
/// How long a program may take to end after SIGTERM.
const STOP_SECONDS_MAX: f64 = 60.0;
/// Of a log, what is told when its program failed.
const LAST_WORDS_BYTES: usize = 600;

/// Waits as long as nobody wants an end.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    stopped: Arc<AtomicBool>,
}

impl Patience {
    pub(crate) fn new(stopped: Arc<AtomicBool>) -> Self {
        Self { stopped }
    }

    /// Waits until `done` has something, at most so many seconds; `None` after them.
    pub(crate) fn until<T>(
        &self,
        seconds: f64,
        mut done: impl FnMut() -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let begin = Instant::now();
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(Failure::Interrupted);
            }
            if let Some(found) = done()? {
                return Ok(Some(found));
            }
            if begin.elapsed().as_secs_f64() >= seconds {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits so long.
    pub(crate) fn pause(&self, seconds: f64) -> Result<(), Failure> {
        self.until(seconds, || Ok(None::<()>)).map(|_| ())
    }
}

/// A program under way; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts it, its words going to `log`. In a process group of its own: Ctrl-C is for us, who end it in order.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self, Failure> {
        let name = command.get_program().to_string_lossy().into_owned();
        let attempt = format!("starting {name}");
        let file = std::fs::File::create(log).map_err(Failure::system(attempt.clone()))?;
        let copy = file.try_clone().map_err(Failure::system(attempt.clone()))?;
        let command = command.stdin(Stdio::null()).stdout(file).stderr(copy).process_group(0);
        let child = command.spawn().map_err(Failure::system(attempt))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    /// Its process id and those of its children.
    pub(crate) fn ids(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let children = children.unwrap_or_default();
        [own].into_iter().chain(children.split_whitespace().flat_map(str::parse)).collect()
    }

    /// Waits until `path` of `address` is answered with 200.
    pub(crate) fn await_answer(
        &mut self,
        patience: &Patience,
        address: SocketAddr,
        path: &str,
    ) -> Result<(), Failure> {
        let found = patience.until(START_SECONDS_MAX, || {
            if self.status()?.is_some() {
                return Err(self.failed("ended by itself"));
            }
            Ok((status_of(address, path) == Some(200)).then_some(()))
        })?;
        found.ok_or_else(|| self.failed(&format!("did not answer for {START_SECONDS_MAX} s")))
    }

    /// Waits for its end, at most so many seconds.
    pub(crate) fn await_end(&mut self, patience: &Patience, seconds: f64) -> Result<(), Failure> {
        match patience.until(seconds, || self.status())? {
            Some(status) if status.success() => Ok(()),
            Some(_) => Err(self.failed("failed")),
            None => Err(Failure::Case(format!("{} took longer than {seconds} s", self.name))),
        }
    }

    fn status(&mut self) -> Result<Option<ExitStatus>, Failure> {
        self.child.try_wait().map_err(Failure::system(format!("waiting for {}", self.name)))
    }

    /// All that it said.
    pub(crate) fn words(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn failed(&self, what: &str) -> Failure {
        let words = self.words();
        let from = words.len().saturating_sub(LAST_WORDS_BYTES);
        let from = (from..=words.len()).find(|at| words.is_char_boundary(*at)).unwrap_or_default();
        Failure::Case(format!("{} {what}: {}", self.name, words[from..].trim()))
    }
}

impl Drop for Running {
    /// SIGTERM, and SIGKILL after a while. Without patience for signals: it has to end in any case.
    fn drop(&mut self) {
        let ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        let id = i32::try_from(self.child.id()).map(Pid::from_raw);
        if ended(&mut self.child) {
            return;
        }
        let asked = id.is_ok_and(|id| kill(id, Signal::SIGTERM).is_ok());
        let begin = Instant::now();
        while asked && begin.elapsed().as_secs_f64() < STOP_SECONDS_MAX {
            if ended(&mut self.child) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        if self.child.kill().is_ok() {
            // It is gone in any case; who else could be told?
            let _status = self.child.wait();
        }
    }
}

/// An address that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map_err(Failure::system("looking for a free port"))
}

/// The status of the answer, if there is one.
pub(crate) fn status_of(address: SocketAddr, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).ok()?;
    std::str::from_utf8(&start).ok()?.split(' ').nth(1)?.parse().ok()
}

/// Where a program is found.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where the path of ordinary users doesn't lead.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::{Patience, Running};
    use crate::failure::Failure;

    fn patience(stopped: bool) -> Patience {
        Patience::new(Arc::new(AtomicBool::new(stopped)))
    }

    fn shell(script: &str, name: &str) -> Running {
        let log = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        Running::start(Command::new("sh").args(["-c", script]), &log).unwrap()
    }

    #[test]
    fn a_program_ends_well_badly_or_too_late() {
        shell("true", "compare-good").await_end(&patience(false), 60.0).unwrap();
        let bad = shell("echo last words; false", "compare-bad").await_end(&patience(false), 60.0);
        assert!(bad.unwrap_err().to_string().ends_with("failed: last words"));
        let late = shell("sleep 60", "compare-late").await_end(&patience(false), 0.0);
        assert!(late.unwrap_err().to_string().contains("took longer"));
        let stopped = shell("sleep 60", "compare-stopped").await_end(&patience(true), 60.0);
        assert!(matches!(stopped, Err(Failure::Interrupted)));
    }

    #[test]
    fn what_is_dropped_is_gone() {
        let running = shell("sleep 60", "compare-dropped");
        let id = running.ids()[0];
        assert!(std::fs::exists(format!("/proc/{id}")).unwrap());
        drop(running);
        assert!(!std::fs::exists(format!("/proc/{id}")).unwrap());
    }
}

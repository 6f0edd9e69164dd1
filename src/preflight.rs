//! What must hold before a node starts: each thing that doesn't, in one sentence with its remedy.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anode_disk::volume::SUPERBLOCK_NAME;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    sys::resource::{Resource, getrlimit, setrlimit},
};

use crate::config::Settings;

/// glommio's executors don't start below this, in bytes a shard.
const LOCKED_BYTES_MIN: u64 = 512 << 10;
/// Connections, table and segment files of a node.
const OPEN_FILE_COUNT_MIN: u64 = 4096;
/// The first kernel whose io_uring has every operation in use.
const KERNEL_MIN: (u32, u32) = (5, 8);

/// How often and how far apart somebody must answer on an address that is in use.
const ANSWERED_CHECKS: u32 = 10;
const ANSWERED_PAUSE: Duration = Duration::from_millis(100);

const LOCK_NAME: &str = "lock";

/// The data directories, held against every other process for as long as this lives.
#[derive(Debug)]
pub struct DataLocks(Vec<Flock<File>>);

impl DataLocks {
    /// How many directories are held.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Checks the machine and takes the data directories.
pub fn check(settings: &Settings) -> Result<DataLocks, String> {
    check_kernel()?;
    check_locked_memory()?;
    check_open_files()?;
    check_uring()?;
    let classes = settings.data_classes.iter().map(|directory| Path::new(&directory.path));
    let all = settings.data.iter().map(PathBuf::as_path).chain(classes);
    let locks = all.map(check_directory).collect::<Result<_, _>>()?;
    check_address(settings.listen)?;
    Ok(DataLocks(locks))
}

/// Takes one data directory, for a command that looks at a stopped node; it must be there.
pub fn hold(path: &Path) -> Result<Flock<File>, String> {
    lock(&path.join(LOCK_NAME)).map_err(|problem| format!("{}: {problem}", path.display()))
}

fn check_kernel() -> Result<(), String> {
    let uname = nix::sys::utsname::uname().map_err(|errno| format!("uname: {errno}"))?;
    let release = uname.release().to_string_lossy().into_owned();
    match kernel_version(&release) {
        Some(version) if version < KERNEL_MIN => Err(format!(
            "this kernel is {release}, and Anode needs Linux {}.{} or later for io_uring: upgrade the kernel",
            KERNEL_MIN.0, KERNEL_MIN.1
        )),
        _ => Ok(()),
    }
}

fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn check_locked_memory() -> Result<(), String> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK)
        .map_err(|errno| format!("read RLIMIT_MEMLOCK: {errno}"))?;
    if soft >= LOCKED_BYTES_MIN {
        return Ok(());
    }
    if hard >= LOCKED_BYTES_MIN && setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard).is_ok() {
        return Ok(());
    }
    Err(format!(
        "only {soft} bytes of memory may be locked, and io_uring needs {LOCKED_BYTES_MIN}: raise it \
         (ulimit -l unlimited, LimitMEMLOCK=infinity in the systemd unit, --ulimit memlock=-1 for a container)"
    ))
}

fn check_open_files() -> Result<(), String> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|errno| format!("read RLIMIT_NOFILE: {errno}"))?;
    // Raising the soft limit needs no privilege, so it is simply done.
    if hard > soft && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return Ok(());
    }
    if soft >= OPEN_FILE_COUNT_MIN {
        return Ok(());
    }
    Err(format!(
        "only {soft} files may be open, and a node needs {OPEN_FILE_COUNT_MIN}: raise it \
         (ulimit -n 65536, LimitNOFILE=65536 in the systemd unit, --ulimit nofile=65536 for a container)"
    ))
}

fn check_uring() -> Result<(), String> {
    let Err(error) = crate::host::glommio::run_alone(|_host| async {}) else { return Ok(()) };
    let remedy = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EACCES) => {
            "it is forbidden here: set kernel.io_uring_disabled=0 by sysctl, and for a container allow the \
             system calls io_uring_setup, io_uring_enter and io_uring_register (a seccomp profile of your own, \
             or seccomp=unconfined)"
        }
        Some(Errno::ENOSYS) => "this kernel has none: upgrade it to Linux 5.8 or later",
        Some(Errno::ENOMEM) => {
            "too little memory may be locked: raise it (ulimit -l unlimited, LimitMEMLOCK=infinity)"
        }
        _ => "see the kernel's log",
    };
    Err(format!("io_uring can't be used ({error}): {remedy}"))
}

fn check_directory(path: &Path) -> Result<Flock<File>, String> {
    let named = |problem: String| format!("data directory {}: {problem}", path.display());
    // Nobody but the owner: credentials and everybody's objects are in there.
    let mut private = std::fs::DirBuilder::new();
    private.recursive(true).mode(0o700).create(path).map_err(|error| {
        named(format!("it can't be made ({error}): make it, or give its owner the right to"))
    })?;
    let lock = lock(&path.join(LOCK_NAME)).map_err(named)?;
    check_direct_io(path).map_err(named)?;
    Ok(lock)
}

fn lock(path: &PathBuf) -> Result<Flock<File>, String> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(|error| {
        format!(
            "it can't be written ({error}): give the user that runs anode the right to write there"
        )
    })?;
    let mut lock =
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(file, errno)| {
            let holder = std::io::read_to_string(file).unwrap_or_default();
            if errno == Errno::EAGAIN {
                format!(
                    "another process (id {}) uses it: stop that one, or name another directory",
                    holder.trim()
                )
            } else {
                format!("it can't be locked ({errno}): use a local file system")
            }
        })?;
    // Over what is there, then cut: so it takes no space on a full file system.
    let id = format!("{}\n", std::process::id());
    let written = lock.write_all(id.as_bytes()).and_then(|()| lock.set_len(id.len() as u64));
    written.map_err(|error| format!("it can't be written ({error}): free some space there"))?;
    Ok(lock)
}

fn check_direct_io(directory: &Path) -> Result<(), String> {
    let path = directory.join("preflight");
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(true);
    let opened = options.custom_flags(nix::libc::O_DIRECT).open(&path);
    let removed = std::fs::remove_file(&path);
    match opened {
        Ok(_) => removed.map_err(|error| format!("files there can't be removed ({error})")),
        Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => Err(
            "its file system has no direct I/O: use ext4 or XFS on a local disk (tmpfs, overlay and network file \
             systems won't do)"
                .to_owned(),
        ),
        // A node that has served from there has space of its own, which isn't needed yet.
        Err(error)
            if error.kind() == std::io::ErrorKind::StorageFull
                && directory.join(SUPERBLOCK_NAME).exists() =>
        {
            Ok(())
        }
        Err(error) => Err(format!("a file can't be made there ({error}): check its owner and the free space")),
    }
}

fn check_address(address: SocketAddr) -> Result<(), String> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        // Closed connections of a node that ran a moment ago keep the address for a minute; a listener answers.
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && !stays_answered(address) => {
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(format!(
            "address {address} is in use: stop the process that listens there, or set another one with --listen"
        )),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(format!(
            "port {} may not be used by this user: choose one of 1024 and above with --listen, or grant \
             CAP_NET_BIND_SERVICE",
            address.port()
        )),
        Err(error) => {
            Err(format!("can't listen on {address} ({error}): choose an address of this machine"))
        }
    }
}

/// Whether somebody listens there, now and a moment later: the kernel closes the listeners of a killed node some
/// milliseconds after its process has gone, and a restart must not fail for that.
#[expect(clippy::disallowed_methods, reason = "no shard runs yet that a sleep could stop")]
fn stays_answered(address: SocketAddr) -> bool {
    (0..ANSWERED_CHECKS).all(|check| {
        if check > 0 {
            std::thread::sleep(ANSWERED_PAUSE);
        }
        is_answered(address)
    })
}

/// Whether somebody listens there.
fn is_answered(address: SocketAddr) -> bool {
    let near = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    TcpStream::connect_timeout(&SocketAddr::new(near, address.port()), Duration::from_secs(1))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_compared_by_their_numbers() {
        assert_eq!(kernel_version("6.18.44-fc-v595"), Some((6, 18)));
        assert!(kernel_version("5.4.0-generic").unwrap() < KERNEL_MIN);
        assert_eq!(kernel_version("strange"), None);
    }

    #[test]
    fn a_directory_in_use_is_refused_by_naming_its_holder() {
        let directory = std::env::temp_dir().join(format!("anode-lock-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let held = lock(&directory.join(LOCK_NAME)).unwrap();
        let refused = lock(&directory.join(LOCK_NAME)).unwrap_err();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        drop(held);
        drop(lock(&directory.join(LOCK_NAME)).unwrap());
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the holder goes away in real time")]
    fn an_address_whose_listener_goes_away_is_taken() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(ANSWERED_PAUSE);
                drop(holder);
            });
            assert!(!stays_answered(address));
        });
    }

    #[test]
    fn an_address_in_use_is_refused() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = check_address(holder.local_addr().unwrap()).unwrap_err();
        assert!(refused.contains("is in use"), "{refused}");
    }
}

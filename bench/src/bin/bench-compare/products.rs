//! The servers: how each is started on an empty or a filled folder, and what it promises of durability.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::compare::Site;
use crate::failure::Failure;
use crate::garage;
use crate::running::{Running, find_program, free_address};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Product {
    /// This repository's
    Anode,
    /// Garage with `metadata_fsync` and `data_fsync`
    GarageFsync,
    /// Garage as it is by default
    GarageNoFsync,
    /// `MinIO`
    Minio,
    /// `SeaweedFS`
    Seaweedfs,
    /// `RustFS`
    Rustfs,
}

/// A server that answers.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) product: Product,
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    running: Running,
}

impl Product {
    /// As in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anode => "anode",
            Self::GarageFsync => "garage-fsync",
            Self::GarageNoFsync => "garage-no-fsync",
            Self::Minio => "minio",
            Self::Seaweedfs => "seaweedfs",
            Self::Rustfs => "rustfs",
        }
    }

    /// What a 200 to a PUT means, as it is set up here.
    pub(crate) fn durability(self) -> &'static str {
        match self {
            Self::Anode => "flushed to the device before each answer",
            Self::GarageFsync => "metadata_fsync and data_fsync on, one node, LMDB",
            Self::GarageNoFsync => {
                "metadata_fsync and data_fsync off (the defaults), one node, LMDB"
            }
            Self::Seaweedfs => "its defaults (no fsync), one volume server with filer",
            // By its source: O_DIRECT and fdatasync, O_DSYNC for small files, nothing for folders.
            Self::Minio => "its defaults: contents of files flushed, renames not; one drive",
            Self::Rustfs => "its defaults, one drive",
        }
    }

    /// Its program, if it is there.
    pub(crate) fn program(self, site: &Site<'_>) -> Result<PathBuf, Failure> {
        let name = match self {
            Self::Anode => {
                let program = site.program("anode");
                return if program.is_file() { Ok(program) } else { Err(Failure::Absent) };
            }
            Self::GarageFsync | Self::GarageNoFsync => "garage",
            Self::Minio => "minio",
            Self::Seaweedfs => "weed",
            Self::Rustfs => "rustfs",
        };
        find_program(name).ok_or(Failure::Absent)
    }

    /// The first line that it says of its version.
    pub(crate) fn version(self, program: &Path) -> String {
        let argument = if self == Self::Seaweedfs { "version" } else { "--version" };
        let output = Command::new(program).arg(argument).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
    }
}

impl Server {
    /// Starts it on its folder and waits until it answers.
    pub(crate) fn start(site: &Site<'_>, product: Product) -> Result<Self, Failure> {
        let folder = site.work.path().join(product.name());
        std::fs::create_dir_all(&folder).map_err(Failure::system("making a data directory"))?;
        let program = product.program(site)?;
        let address = free_address()?;
        let running = match product {
            Product::Anode => start_anode(site, &program, address, &folder)?,
            Product::GarageFsync => {
                garage::start(site, &program, address, &folder, garage::Fsync::On)?
            }
            Product::GarageNoFsync => {
                garage::start(site, &program, address, &folder, garage::Fsync::Off)?
            }
            Product::Minio => start_minio(site, &program, address, &folder)?,
            Product::Seaweedfs => start_seaweedfs(site, &program, address, &folder)?,
            Product::Rustfs => start_rustfs(site, &program, address, &folder)?,
        };
        Ok(Self { product, address, folder, running })
    }

    /// Its processes.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.running.ids()
    }

    /// Starts it again, with nothing of its data in memory.
    pub(crate) fn restart_cold(self, site: &Site<'_>) -> Result<Self, Failure> {
        let Self { product, folder, running, .. } = self;
        drop(running);
        nix::unistd::sync();
        drop_cache(&folder).map_err(Failure::system("dropping the kernel's cache of files"))?;
        Self::start(site, product)
    }
}

/// Of every file below it.
fn drop_cache(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            drop_cache(&entry.path())?;
        } else if kind.is_file() {
            let file = std::fs::File::open(entry.path())?;
            posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        }
    }
    Ok(())
}

fn start_anode(
    site: &Site<'_>,
    program: &Path,
    address: SocketAddr,
    folder: &Path,
) -> Result<Running, Failure> {
    let mut command = Command::new(program);
    command.arg("serve").arg("--data").arg(folder.join("data"));
    command.args(["--listen", &address.to_string()]);
    command.args(["--memory", &format!("{}B", site.arguments.memory.as_u64())]);
    command.env("ANODE_ACCESS_KEY_ID", &site.credentials.id);
    command.env("ANODE_SECRET_ACCESS_KEY", &site.credentials.secret);
    let mut running = Running::start(&mut command, &folder.join("log"))?;
    running.await_answer(&site.patience, address, "/health/ready")?;
    Ok(running)
}

fn start_minio(
    site: &Site<'_>,
    program: &Path,
    address: SocketAddr,
    folder: &Path,
) -> Result<Running, Failure> {
    let console = free_address()?;
    let mut command = Command::new(program);
    command.args(["server", "--quiet", "--address", &address.to_string()]);
    command.args(["--console-address", &console.to_string()]).arg(folder.join("data"));
    command.env("MINIO_ROOT_USER", &site.credentials.id);
    command.env("MINIO_ROOT_PASSWORD", &site.credentials.secret);
    command.env("MINIO_BROWSER", "off").env("MINIO_UPDATE", "off");
    let mut running = Running::start(&mut command, &folder.join("log"))?;
    running.await_answer(&site.patience, address, "/minio/health/ready")?;
    Ok(running)
}

fn start_seaweedfs(
    site: &Site<'_>,
    program: &Path,
    address: SocketAddr,
    folder: &Path,
) -> Result<Running, Failure> {
    let config = folder.join("s3.json");
    let identities = serde_json::json!({"identities": [{
        "name": "compare",
        "credentials": [
            {"accessKey": site.credentials.id, "secretKey": site.credentials.secret}
        ],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }]});
    std::fs::write(&config, identities.to_string())
        .map_err(Failure::system("writing SeaweedFS's configuration"))?;
    let data = folder.join("data");
    std::fs::create_dir_all(&data).map_err(Failure::system("making a data directory"))?;
    let mut command = Command::new(program);
    command.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]);
    command.arg(format!("-dir={}", data.display()));
    command.arg(format!("-s3.port={}", address.port()));
    command.arg(format!("-s3.config={}", config.display()));
    for port in [
        "-master.port",
        "-master.port.grpc",
        "-volume.port",
        "-volume.port.grpc",
        "-filer.port",
        "-filer.port.grpc",
        "-s3.port.grpc",
    ] {
        command.arg(format!("{port}={}", free_address()?.port()));
    }
    let mut running = Running::start(&mut command, &folder.join("log"))?;
    running.await_answer(&site.patience, address, "/healthz")?;
    Ok(running)
}

fn start_rustfs(
    site: &Site<'_>,
    program: &Path,
    address: SocketAddr,
    folder: &Path,
) -> Result<Running, Failure> {
    let data = folder.join("data");
    std::fs::create_dir_all(&data).map_err(Failure::system("making a data directory"))?;
    let mut command = Command::new(program);
    command.arg(&data).env("RUSTFS_ADDRESS", address.to_string());
    command.env("RUSTFS_ACCESS_KEY", &site.credentials.id);
    command.env("RUSTFS_SECRET_KEY", &site.credentials.secret);
    command.env("RUSTFS_CONSOLE_ENABLE", "false");
    let mut running = Running::start(&mut command, &folder.join("log"))?;
    running.await_answer(&site.patience, address, "/health")?;
    Ok(running)
}

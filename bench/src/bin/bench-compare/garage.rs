//! Garage, which wants a configuration, a layout and a key before it serves.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::compare::Site;
use crate::failure::Failure;
use crate::running::{Running, free_address};

/// How long its own command-line tool may take.
const TOOL_SECONDS_MAX: f64 = 30.0;

/// Does it flush what it has acknowledged?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fsync {
    On,
    Off,
}

/// Starts a cluster of one node; at the first start it is given its layout and the key of the run.
pub(crate) fn start(
    site: &Site<'_>,
    program: &Path,
    address: SocketAddr,
    folder: &Path,
    fsync: Fsync,
) -> Result<Running, Failure> {
    let (peers, admin) = (free_address()?, free_address()?);
    let config = folder.join("garage.toml");
    std::fs::write(&config, configuration(folder, fsync, [address, peers, admin], site))
        .map_err(Failure::system("writing Garage's configuration"))?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&config).arg("server").env("RUST_LOG", "garage=warn");
    let mut running = Running::start(&mut command, &folder.join("log"))?;
    let tool = |words: &[&str]| {
        let mut command = Command::new(program);
        command.arg("-c").arg(&config).args(words);
        let mut tool = Running::start(&mut command, &folder.join("tool"))?;
        tool.await_end(&site.patience, TOOL_SECONDS_MAX).map(|()| tool.words())
    };
    let ready = site.patience.until(TOOL_SECONDS_MAX, || Ok(tool(&["status"]).ok()))?;
    ready.ok_or_else(|| Failure::Case("garage status did not work".to_owned()))?;
    let marker = folder.join("set-up");
    if !marker.exists() {
        let words = tool(&["node", "id", "-q"])?;
        let id = words.trim().split('@').next().unwrap_or_default();
        tool(&["layout", "assign", "-z", "one", "-c", "1T", id])?;
        tool(&["layout", "apply", "--version", "1"])?;
        let (id, secret) = (&site.credentials.id, &site.credentials.secret);
        tool(&["key", "import", "--yes", "-n", "compare", id, secret])?;
        tool(&["key", "allow", "--create-bucket", id])?;
        std::fs::write(&marker, "").map_err(Failure::system("noting Garage's set-up"))?;
    }
    running.await_answer(&site.patience, admin, "/health")?;
    Ok(running)
}

/// `addresses` are those of S3, of other nodes and of the administration.
fn configuration(
    folder: &Path,
    fsync: Fsync,
    addresses: [SocketAddr; 3],
    site: &Site<'_>,
) -> String {
    let [s3, peers, admin] = addresses;
    let (folder, on, secret) = (folder.display(), fsync == Fsync::On, &site.credentials.secret);
    format!(
        "metadata_dir = \"{folder}/metadata\"\n\
         data_dir = \"{folder}/data\"\n\
         db_engine = \"lmdb\"\n\
         metadata_fsync = {on}\n\
         data_fsync = {on}\n\
         replication_factor = 1\n\
         rpc_bind_addr = \"{peers}\"\n\
         rpc_public_addr = \"{peers}\"\n\
         rpc_secret = \"{secret}\"\n\
         [s3_api]\n\
         s3_region = \"us-east-1\"\n\
         api_bind_addr = \"{s3}\"\n\
         [admin]\n\
         api_bind_addr = \"{admin}\"\n"
    )
}

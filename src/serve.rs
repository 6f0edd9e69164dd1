//! `anode serve`: the process around the shards: signals, certificates, and what people are told.

#![expect(
    clippy::disallowed_types,
    reason = "the process times its start and shares one certificate between shards"
)]

use std::{
    collections::BTreeSet,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, SystemTime},
};

use anode::{
    config::{Settings, TlsFiles},
    credentials::Credentials,
    encryption::{KeyService, MasterKeys},
    host::glommio::{Cores, run_alone, run_shards},
    layout::{self, Layout},
    node::{self, Event, Supervisor},
    notification::Targets,
    observe,
    outbound::read_trust,
    preflight,
    scrub::Damage,
    shard,
    storage_class::ClassDirectory,
};
use anode_net::tls;
use rustls::{ClientConfig, ServerConfig};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// How often the process looks for signals; it hears of events at once.
const POLL: Duration = Duration::from_millis(100);
/// How often it looks whether the certificate has changed, in polls.
const CERTIFICATE_POLL_COUNT: u32 = 100;

/// What the process and its shards share.
#[derive(Clone)]
struct Process {
    stopping: Arc<AtomicBool>,
    events: mpsc::Sender<Event>,
    tls: Arc<Certificate>,
}

/// The certificate in use. Read at every accept and written at a reload, so threads hardly ever meet here.
struct Certificate(RwLock<Option<Arc<ServerConfig>>>);

impl Supervisor for Process {
    fn report(&self, event: Event) {
        // Nobody listens any more when the process is ending.
        drop(self.events.send(event));
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.0.read().expect("no holder of the lock panics").clone()
    }
}

/// What servers by HTTPS are proven by. A machine that has nobody to trust is fine, until one is to be asked.
fn trust_of(settings: &Settings) -> Result<Option<Arc<ClientConfig>>, String> {
    match read_trust(settings.ca_file.as_deref()) {
        // Whoever names a file wants it used.
        Err(error) if settings.ca_file.is_some() => Err(error),
        read => Ok(read
            .inspect_err(|error| tracing::info!("no server can be asked by HTTPS: {error}"))
            .ok()),
    }
}

/// Serves until a signal ends it.
pub(crate) fn serve(settings: &Settings) -> Result<(), String> {
    let started = std::time::Instant::now();
    let started_ms = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
    let started_ms = u64::try_from(started_ms).expect("before the year 584 million");
    observe::start_logs(&settings.log).map_err(|error| error.to_string())?;
    let _locks = preflight::check(settings)?;
    let certificate = read_tls(settings)?;
    let credentials = Credentials::configured(&settings.credentials)?;
    let master_keys = read_master_keys(settings)?;
    let key_service = settings.kms.as_ref().map(KeyService::read).transpose()?;
    let targets = Targets::read(settings)?;
    let trust = trust_of(settings)?;
    let volumes: Vec<String> =
        settings.data.iter().map(|path| path.display().to_string()).collect();
    let cores = Cores::allowed();
    let layout = prepare((&volumes, &settings.data_classes), cores.cpus.len())?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        volumes = volumes.len(),
        shards = layout.shards.len(),
        groups = layout.group_count,
        "starting"
    );
    let node_settings = Arc::new(shard::Settings {
        volumes,
        classes: settings.data_classes.clone(),
        listen: settings.listen,
        memory_bytes: settings.memory_bytes,
        region: settings.region.clone(),
        domain: settings.domain.clone(),
        website: settings.website.clone(),
        object_ownership: settings.object_ownership,
        tls: certificate.is_some(),
        drain_seconds: settings.drain_seconds,
        credentials,
        master_keys,
        plain_customer_keys: settings.plain_customer_keys,
        scrub: settings.scrub,
        lifecycle_period: settings.lifecycle_period,
        targets,
        key_service,
        trust,
        metrics: settings.metrics,
        started_ms,
        timing: anode_shards::group::Timing::default(),
        storage: anode_disk::storage::StorageOptions::default(),
    });
    let (events, inbox) = mpsc::channel();
    let process = Process {
        stopping: Arc::default(),
        events,
        tls: Arc::new(Certificate(RwLock::new(certificate))),
    };
    let shard_count = layout.shards.len();
    let shards = {
        let (layout, process) = (Arc::new(layout.clone()), process.clone());
        let body = move |host| {
            let (settings, layout) = (Arc::clone(&node_settings), Arc::clone(&layout));
            node::run_shard(host, settings, layout, process.clone())
        };
        run_shards(shard_count, &cores, body)
    };
    let shards = shards.map_err(|error| format!("the shards can't be started: {error}"))?;
    let mut failed = BTreeSet::new();
    let ended = supervise(settings, &layout, (&process, &inbox), (started, &mut failed));
    process.stopping.store(true, Ordering::Relaxed);
    ended?;
    for shard in shards {
        shard.join().map_err(|error| format!("a shard ended badly: {error}"))?;
    }
    finish(&inbox, failed)
}

/// What to say of a node whose shards have all ended as they were told to.
fn finish(inbox: &mpsc::Receiver<Event>, mut failed: BTreeSet<String>) -> Result<(), String> {
    for event in inbox.try_iter() {
        match event {
            Event::Failed { shard, reason } => {
                return Err(format!("shard {shard} has failed as the node stopped: {reason}"));
            }
            Event::VolumeFailed { shard, path, reason } => {
                note_failed_volume(&mut failed, (shard, path, &reason));
            }
            Event::Recovered { .. }
            | Event::Damaged { .. }
            | Event::CredentialsMade(_)
            | Event::Serving(_) => {}
        }
    }
    tracing::info!("stopped");
    if failed.is_empty() {
        return Ok(());
    }
    let failed: Vec<String> = failed.into_iter().collect();
    Err(format!(
        "stopped, but without these data directories, which had failed: {}; make them sound before the next start",
        failed.join(", ")
    ))
}

/// Says what an operator is to do about a failed volume, and remembers it.
fn note_failed_volume(
    failed: &mut BTreeSet<String>,
    (shard, volume, reason): (usize, String, &str),
) {
    tracing::error!(
        shard,
        volume,
        reason,
        "a data directory has failed: what it holds is refused with 503, all else is served. Check its device, then \
         restart the node: what was acknowledged is recovered from it"
    );
    failed.insert(volume);
}

fn prepare(
    (volumes, classes): (&[String], &[ClassDirectory]),
    shard_count: usize,
) -> Result<Layout, String> {
    let (volumes, classes) = (volumes.to_vec(), classes.to_vec());
    let prepared = run_alone(move |host| async move {
        let layout = layout::prepare(&host, &volumes, shard_count).await?;
        layout::prepare_classes(&host, (&volumes, &classes), &layout).await?;
        Ok(layout)
    });
    prepared.map_err(|error| format!("io_uring can't be used: {error}"))?
}

/// Watches signals, events and the certificate until the node is to end.
fn supervise(
    settings: &Settings,
    layout: &Layout,
    (process, inbox): (&Process, &mpsc::Receiver<Event>),
    (started, failed): (std::time::Instant, &mut BTreeSet<String>),
) -> Result<(), String> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|error| format!("signals can't be taken: {error}"))?;
    let mut read_at = certificate_time(settings);
    let mut polls = 0_u32;
    loop {
        let heard = inbox.recv_timeout(POLL).into_iter();
        for event in heard.chain(inbox.try_iter()) {
            match event {
                Event::Failed { shard, reason } => {
                    return Err(format!("shard {shard} has failed, and the node stops: {reason}"));
                }
                Event::VolumeFailed { shard, path, reason } => {
                    note_failed_volume(failed, (shard, path, &reason));
                }
                Event::Recovered { shard, group_count, record_count } => {
                    tracing::info!(
                        shard,
                        groups = group_count,
                        records = record_count,
                        "recovered"
                    );
                }
                Event::Damaged { shard, finding } => {
                    let Damage { location, finding, struck } = finding;
                    tracing::error!(shard, location, finding, struck, "scrub has found damage");
                }
                Event::CredentialsMade(made) => show_credentials(settings, &made),
                Event::Serving(address) => {
                    let milliseconds = started.elapsed().as_millis();
                    let scheme = if process.tls().is_some() { "https" } else { "http" };
                    let what = if layout.is_new { "formatted" } else { "recovered" };
                    tracing::info!(
                        "{what} in {milliseconds} ms, serving S3 on {scheme}://{address}"
                    );
                }
            }
        }
        for signal in signals.pending() {
            if signal == SIGHUP {
                reload(settings, process);
            } else {
                tracing::info!("stopping: requests under way are finished first");
                return Ok(());
            }
        }
        polls = polls.wrapping_add(1);
        if polls.is_multiple_of(CERTIFICATE_POLL_COUNT) && certificate_time(settings) != read_at {
            read_at = certificate_time(settings);
            reload(settings, process);
        }
    }
}

/// Reads the master keys; none where no file is named.
pub(crate) fn read_master_keys(settings: &Settings) -> Result<MasterKeys, String> {
    settings.master_key_file.as_deref().map_or_else(|| Ok(MasterKeys::default()), MasterKeys::read)
}

/// Reads certificate and key; `None` where the node serves HTTP.
pub(crate) fn read_tls(settings: &Settings) -> Result<Option<Arc<ServerConfig>>, String> {
    let Some(TlsFiles { certificate, key }) = &settings.tls else { return Ok(None) };
    let read = |path: &std::path::Path| {
        std::fs::read_to_string(path).map_err(|error| format!("tls: {}: {error}", path.display()))
    };
    let config = tls::server_config(read(certificate)?.as_bytes(), read(key)?.as_bytes());
    let named = |error| format!("tls: {} and {}: {error}", certificate.display(), key.display());
    config.map(Some).map_err(named)
}

fn certificate_time(settings: &Settings) -> Option<SystemTime> {
    let files = settings.tls.as_ref()?;
    let time = |path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    time(&files.certificate).max(time(&files.key))
}

/// Takes a new certificate, or keeps the old one and says why.
fn reload(settings: &Settings, process: &Process) {
    match read_tls(settings) {
        Ok(None) => {}
        Ok(certificate) => {
            *process.tls.0.write().expect("no holder of the lock panics") = certificate;
            tracing::info!("the certificate was read again");
        }
        Err(reason) => {
            tracing::error!(reason, "the certificate was not read again; the old one stays");
        }
    }
}

/// Shows made credentials, this once, with a command that uses them.
#[expect(clippy::print_stdout, reason = "shown to whoever starts the node, never logged")]
fn show_credentials(settings: &Settings, made: &Credentials) {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let address = settings.listen;
    println!(
        "\nRoot credentials were made. They are shown this once: keep them.\n\n\
         \x20 access key id:      {access}\n\
         \x20 secret access key:  {secret}\n\n\
         Try them with the AWS command line:\n\n\
         \x20 export AWS_ACCESS_KEY_ID={access} AWS_SECRET_ACCESS_KEY={secret} AWS_REGION=us-east-1\n\
         \x20 aws --endpoint-url {scheme}://{address} s3 mb s3://my-bucket\n\
         \x20 aws --endpoint-url {scheme}://{address} s3 cp README.md s3://my-bucket/\n",
        access = made.access_key,
        secret = made.secret_key,
    );
}

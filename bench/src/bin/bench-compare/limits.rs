//! What the machine can do without any object store: the device by fio, HTTP by nginx, TCP on the loopback interface,
//! MD5 on a core. Measured in each round, as the servers are.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use crate::compare::Site;
use crate::failure::Failure;
use crate::load::{self, Signing};
use crate::machine;
use crate::running::{Running, find_program, free_address};

/// Over the time that fio is asked for.
const SPARE_SECONDS: f64 = 60.0;
/// What is sent to and fro on the loopback interface.
const PING_BYTES: usize = 64;
/// What is hashed, and sent in one direction, at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// A job of fio.
struct Job {
    label: &'static str,
    /// `read` or `write`, as its report has it.
    side: &'static str,
    words: &'static [&'static str],
}

/// Reads and overwrites of a file that is there, past the kernel's cache. 4 KiB one at a time, 1 MiB 16 at a time.
const JOBS: [Job; 4] = [
    Job {
        label: "fio-write-4k",
        side: "write",
        words: &["--rw=write", "--bs=4k", "--ioengine=psync", "--sync=dsync", "--size=256M"],
    },
    Job {
        label: "fio-read-4k",
        side: "read",
        words: &["--rw=randread", "--bs=4k", "--ioengine=psync", "--size=1G"],
    },
    Job {
        label: "fio-read-1m",
        side: "read",
        words: &["--rw=read", "--bs=1M", "--ioengine=libaio", "--iodepth=16", "--size=1G"],
    },
    Job {
        label: "fio-write-1m",
        side: "write",
        words: &["--rw=write", "--bs=1M", "--ioengine=libaio", "--iodepth=16", "--size=1G"],
    },
];

/// Loads of nginx, each with the file that it serves.
const NGINX_LOADS: [(&str, &str); 3] = [
    ("nginx-get-1k-c1", "--path /1k --concurrency 1"),
    ("nginx-get-1k-c64", "--path /1k --concurrency 64"),
    ("nginx-get-1m-c16", "--path /1m --concurrency 16"),
];

/// A limit's name and what was found, or why nothing was.
pub(crate) type Found = (&'static str, Result<Value, Failure>);

/// Measures the device with fio.
pub(crate) fn disk(site: &Site<'_>) -> Vec<Found> {
    JOBS.iter().map(|job| (job.label, fio(site, job))).collect()
}

fn fio(site: &Site<'_>, job: &Job) -> Result<Value, Failure> {
    let program = find_program("fio").ok_or(Failure::Absent)?;
    let file = site.work.path().join("fio");
    let run = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.arg(format!("--filename={}", file.display())).args(words).arg("--direct=1");
        let mut running = Running::start(&mut command, &site.work.path().join("fio.json"))?;
        let seconds = site.arguments.seconds + SPARE_SECONDS;
        running.await_end(&site.patience, seconds).map(|()| running.words())
    };
    if !file.exists() {
        run(&["--name=fill", "--size=1G", "--rw=write", "--bs=1M", "--ioengine=psync"])?;
    }
    let runtime = format!("--runtime={}s", site.arguments.seconds);
    let mut words = vec!["--name=limit", "--time_based", "--output-format=json", &runtime];
    words.extend(job.words);
    let text = run(&words)?;
    let report: Value = text
        .find('{')
        .and_then(|from| serde_json::from_str(&text[from..]).ok())
        .ok_or_else(|| Failure::Case("fio's report can't be read".to_owned()))?;
    Ok(fio_figures(&report["jobs"][0][job.side]))
}

/// In the shape of a load's.
fn fio_figures(side: &Value) -> Value {
    let us = |value: &Value| value.as_f64().map(|nanoseconds| nanoseconds / 1000.0);
    let latency = &side["clat_ns"];
    let at = |quantile: &str| us(&latency["percentile"][quantile]);
    json!({"total": {
        "count": side["total_ios"],
        "per_second": side["iops"],
        "bytes_per_second": side["bw_bytes"],
        "p50_us": at("50.000000"),
        "p99_us": at("99.000000"),
        "p999_us": at("99.900000"),
        "max_us": us(&latency["max"]),
    }})
}

/// An nginx that serves a file of 1 KiB and one of 1 MiB, with a worker a core.
pub(crate) fn start_nginx(site: &Site<'_>) -> Result<(Running, SocketAddr), Failure> {
    let program = find_program("nginx").ok_or(Failure::Absent)?;
    let (root, address) = (site.work.path().join("nginx"), free_address()?);
    set_up_nginx(&root, address).map_err(Failure::system("setting nginx up"))?;
    let mut command = Command::new(program);
    command.arg("-p").arg(&root).args(["-c", "nginx.conf", "-e", "error.log"]);
    let mut running = Running::start(&mut command, &root.join("log"))?;
    running.await_answer(&site.patience, address, "/1k")?;
    Ok((running, address))
}

fn set_up_nginx(root: &Path, address: SocketAddr) -> std::io::Result<()> {
    std::fs::create_dir_all(root.join("files"))?;
    std::fs::write(root.join("files/1k"), vec![0x5a; 1 << 10])?;
    std::fs::write(root.join("files/1m"), vec![0x5a; 1 << 20])?;
    let user = if nix::unistd::geteuid().is_root() { "user root;\n" } else { "" };
    let cores = machine::cores();
    let configuration = format!(
        "{user}daemon off;\nworker_processes {cores};\npid nginx.pid;\nerror_log error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         access_log off;\nsendfile on;\ntcp_nodelay on;\nkeepalive_requests 1000000000;\n\
         open_file_cache max=100;\n\
         client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
         server {{ listen {address} reuseport; root files; }}\n\
         }}\n"
    );
    std::fs::write(root.join("nginx.conf"), configuration)
}

/// Loads nginx as the servers are loaded, but for the signatures.
pub(crate) fn http(site: &Site<'_>, nginx: &Result<(Running, SocketAddr), Failure>) -> Vec<Found> {
    let one = |options: &str| {
        let (running, address) =
            nginx.as_ref().map_err(|error| Failure::Case(error.to_string()))?;
        let mut words: Vec<String> = ["get", "--json", "--address", &address.to_string()]
            .into_iter()
            .chain(options.split(' '))
            .map(str::to_owned)
            .collect();
        words.extend(running.ids().iter().map(|id| format!("--server={id}")));
        words.push(format!("--seconds={}", site.arguments.seconds));
        let lines =
            load::run(site, &words, Signing::Unsigned, site.arguments.seconds + SPARE_SECONDS)?;
        lines.into_iter().next().ok_or_else(|| Failure::Case("no result".to_owned()))
    };
    NGINX_LOADS.iter().map(|(label, options)| (*label, one(options))).collect()
}

/// One core's MD5, and what the loopback interface carries between two threads.
pub(crate) fn machine(site: &Site<'_>) -> Vec<Found> {
    let length = Duration::from_secs_f64(site.arguments.seconds);
    vec![
        ("md5", Ok(json!({"total": {"bytes_per_second": md5_rate(length)}}))),
        (
            "loopback-64",
            round_trips(length).map_err(Failure::system("using the loopback interface")),
        ),
        ("loopback-1m", stream(length).map_err(Failure::system("using the loopback interface"))),
    ]
}

/// Bytes a second.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn md5_rate(length: Duration) -> f64 {
    let (block, begin) = (vec![7; BLOCK_BYTES], Instant::now());
    let (mut hash, mut bytes) = (Md5::new(), 0);
    while begin.elapsed() < length {
        hash.update(&block);
        bytes += block.len();
    }
    std::hint::black_box(hash.finalize());
    bytes as f64 / begin.elapsed().as_secs_f64()
}

/// A connection whose other end answers with what `answer` makes of what comes, until we close it.
fn connect(
    mut answer: impl FnMut(&mut TcpStream) -> std::io::Result<()> + Send + 'static,
) -> std::io::Result<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let (mut other, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    other.set_nodelay(true)?;
    // It ends with an error when we close.
    std::thread::spawn(move || while answer(&mut other).is_ok() {});
    Ok(stream)
}

fn round_trips(length: Duration) -> std::io::Result<Value> {
    let mut stream = connect(|stream| {
        let mut message = [0; PING_BYTES];
        stream.read_exact(&mut message)?;
        stream.write_all(&message)
    })?;
    let (mut times, begin) = (Vec::new(), Instant::now());
    while begin.elapsed() < length {
        let mut message = [1; PING_BYTES];
        let sent = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        times.push(sent.elapsed().as_nanos());
    }
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "times of a measurement")]
    let at = |share: usize| times[(times.len() - 1) * share / 1000] as f64 / 1000.0;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = times.len() as f64 / begin.elapsed().as_secs_f64();
    Ok(json!({"total": {"count": times.len(), "per_second": rate,
        "p50_us": at(500), "p99_us": at(990), "p999_us": at(999), "max_us": at(1000)}}))
}

fn stream(length: Duration) -> std::io::Result<Value> {
    let mut space = vec![0; 64 << 10];
    let mut stream = connect(move |stream| match stream.read(&mut space)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    })?;
    let (block, begin, mut bytes) = (vec![1; BLOCK_BYTES], Instant::now(), 0);
    while begin.elapsed() < length {
        stream.write_all(&block)?;
        bytes += block.len();
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = bytes as f64 / begin.elapsed().as_secs_f64();
    Ok(json!({"total": {"bytes_per_second": rate}}))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{fio_figures, md5_rate, round_trips, stream};

    #[test]
    fn fios_report_is_read() {
        let percentile = json!({"50.000000": 80_000, "99.000000": 90_000, "99.900000": 100_000});
        let side = json!({"total_ios": 5, "iops": 2.5, "bw_bytes": 10_240,
            "clat_ns": {"max": 200_000, "percentile": percentile}});
        let total = &fio_figures(&side)["total"];
        assert_eq!((&total["p50_us"], &total["max_us"]), (&json!(80.0), &json!(200.0)));
        assert_eq!((&total["per_second"], &total["count"]), (&json!(2.5), &json!(5)));
    }

    #[test]
    fn the_machines_own_limits_are_figures() {
        let length = Duration::from_millis(50);
        assert!(md5_rate(length) > 1e6);
        let trips = round_trips(length).unwrap();
        assert!(trips["total"]["p50_us"].as_f64().unwrap() > 0.0, "{trips}");
        let rate = &stream(length).unwrap()["total"]["bytes_per_second"];
        assert!(rate.as_f64().unwrap() > 1e6, "{rate}");
    }
}

//! A server for the tests: just enough S3 over one map, strict about what it is sent, and faults on demand.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a blocking server with a thread a connection, for the tests only"
)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anode_net::http::{BodyDecoder, Decoded, Head, Limits, Method, parse_head};
use bytes::BytesMut;

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Answers every third GET with 503.
    SlowDown,
    /// Changes the last byte of each body.
    WrongByte,
    /// Leaves every third key out of listings.
    Forgetful,
    /// Sends the bodies without their last byte, with a length that fits.
    Short,
    /// Closes the connection after each answer and says so.
    Close,
    /// Closes it without an answer to the fifth request.
    Drop,
    /// Says nothing to the fifth request.
    Silent,
    /// Answers everything only after so many milliseconds.
    Slow(u64),
    /// Answers the hundredth request only after so many milliseconds, and keeps all others waiting.
    Stall(u64),
}

#[derive(Debug)]
struct State {
    fault: Fault,
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    request_count: AtomicU64,
    connection_count: AtomicU64,
}

/// A running server; it ends with the test process.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    state: Arc<State>,
}

/// Status, more header lines, body.
type Reply = (u16, String, Vec<u8>);

impl Server {
    pub(super) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            fault,
            objects: Mutex::default(),
            request_count: AtomicU64::new(0),
            connection_count: AtomicU64::new(0),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&shared);
                state.connection_count.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || state.serve(stream.unwrap()));
            }
        });
        Self { address, state }
    }

    pub(super) fn object_count(&self) -> usize {
        self.state.objects.lock().unwrap().len()
    }

    pub(super) fn object_sizes(&self) -> Vec<usize> {
        self.state.objects.lock().unwrap().values().map(Vec::len).collect()
    }

    pub(super) fn connection_count(&self) -> u64 {
        self.state.connection_count.load(Ordering::Relaxed)
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut buffer = BytesMut::new();
        while let Some((head, body)) = read_request(&mut stream, &mut buffer) {
            let count = self.request_count.fetch_add(1, Ordering::Relaxed) + 1;
            match self.fault {
                Fault::Drop if count == 5 => return,
                Fault::Silent if count == 5 => std::thread::sleep(Duration::from_hours(1)),
                Fault::Slow(milliseconds) => {
                    std::thread::sleep(Duration::from_millis(milliseconds));
                }
                Fault::None
                | Fault::SlowDown
                | Fault::WrongByte
                | Fault::Short
                | Fault::Close
                | Fault::Drop
                | Fault::Forgetful
                | Fault::Silent
                | Fault::Stall(_) => {}
            }
            let (status, more, mut body) = self.reply(&head, body, count);
            if head.method == Method::Get && self.fault == Fault::WrongByte {
                body.iter_mut().last().into_iter().for_each(|byte| *byte ^= 1);
            }
            if head.method == Method::Get && self.fault == Fault::Short {
                body.pop();
            }
            let close = if self.fault == Fault::Close { "connection: close\r\n" } else { "" };
            let length = if status == 204 {
                String::new()
            } else {
                format!("content-length: {}\r\n", body.len())
            };
            let text = format!("HTTP/1.1 {status} x\r\n{length}{close}{more}\r\n");
            let body = if head.method == Method::Head { &[] } else { &body[..] };
            if stream.write_all(&[text.as_bytes(), body].concat()).is_err() || !close.is_empty() {
                return;
            }
        }
    }

    fn reply(&self, head: &Head, body: Vec<u8>, count: u64) -> Reply {
        let mut objects = self.objects.lock().unwrap();
        if let Fault::Stall(milliseconds) = self.fault
            && count == 100
        {
            std::thread::sleep(Duration::from_millis(milliseconds));
        }
        let path = head.path().to_owned();
        let query = head.query().unwrap_or_default();
        let is_bucket = !path[1..].contains('/');
        let ok = |body: &str| (200, String::new(), body.as_bytes().to_vec());
        match head.method {
            Method::Get if self.fault == Fault::SlowDown && count.is_multiple_of(3) => {
                (503, String::new(), b"<Error><Code>SlowDown</Code></Error>".to_vec())
            }
            Method::Put if is_bucket => ok(""),
            Method::Get if is_bucket && self.fault == Fault::Forgetful => {
                let forgotten = |(index, _): &(usize, _)| !index.is_multiple_of(3);
                let kept = objects.clone().into_iter().enumerate().filter(forgotten);
                ok(&listing(&kept.map(|(_, object)| object).collect(), query))
            }
            Method::Get if is_bucket => ok(&listing(&objects, query)),
            Method::Put if query.starts_with("partNumber=") => {
                let upload = objects.entry(path).or_default();
                upload.extend_from_slice(&body);
                (200, "etag: \"part\"\r\n".to_owned(), Vec::new())
            }
            Method::Put => {
                objects.insert(path, body);
                (200, "etag: \"whole\"\r\n".to_owned(), Vec::new())
            }
            Method::Post if query == "uploads=" => {
                objects.insert(path, Vec::new());
                ok(
                    "<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>",
                )
            }
            Method::Post if self.fault == Fault::SlowDown => {
                ok("<Error><Code>InternalError</Code></Error>")
            }
            Method::Post => {
                let text = String::from_utf8(body).unwrap();
                assert!(
                    query == "uploadId=u%2F1" && text.contains("<ETag>\"part\"</ETag>"),
                    "{text}"
                );
                ok(
                    "<CompleteMultipartUploadResult><ETag>&quot;e-2&quot;</ETag></CompleteMultipartUploadResult>",
                )
            }
            Method::Get | Method::Head => match objects.get(&path) {
                Some(object) => (200, String::new(), object.clone()),
                None => (404, String::new(), b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
            },
            Method::Delete => {
                objects.remove(&path);
                (204, String::new(), Vec::new())
            }
            Method::Options | Method::Other => (405, String::new(), Vec::new()),
        }
    }
}

/// A page; the token is the last entry of the page before.
fn listing(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> String {
    let parameter = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.replace("%2F", "/"))
    };
    let start = parameter("continuation-token").or_else(|| parameter("start-after"));
    let (start, prefix) = (start.unwrap_or_default(), parameter("prefix").unwrap_or_default());
    let page_size: usize = parameter("max-keys").map_or(1000, |size| size.parse().unwrap());
    let keys = objects.keys().filter_map(|path| path[1..].split_once('/').map(|(_, key)| key));
    let mut entries: Vec<&str> = keys
        .filter_map(|key| {
            let rest = key.strip_prefix(&prefix)?;
            let rolled = parameter("delimiter").and_then(|delimiter| rest.find(&delimiter));
            Some(rolled.map_or(key, |at| &key[..=prefix.len() + at]))
        })
        .filter(|entry| **entry > *start)
        .collect();
    entries.dedup();
    let truncated = entries.len() > page_size;
    entries.truncate(page_size);
    let token = if truncated { entries.last().copied().unwrap_or_default() } else { "" };
    let token = format!("<NextContinuationToken>{token}</NextContinuationToken>");
    let contents: String = entries
        .iter()
        .map(|entry| match entry.strip_suffix('/') {
            Some(_) => format!("<CommonPrefixes><Prefix>{entry}</Prefix></CommonPrefixes>"),
            None => format!("<Contents><Key>{entry}</Key></Contents>"),
        })
        .collect();
    format!(
        "<ListBucketResult><KeyCount>{}</KeyCount>{contents}{}<IsTruncated>{truncated}</IsTruncated>\
         </ListBucketResult>",
        entries.len(),
        if truncated { &token } else { "" }
    )
}

/// The next request with its body; nothing when the client has gone.
fn read_request(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<(Head, Vec<u8>)> {
    let mut space = vec![0; 64 << 10];
    let mut read = |buffer: &mut BytesMut| {
        let count = stream.read(&mut space).unwrap_or_default();
        buffer.extend_from_slice(&space[..count]);
        (count > 0).then_some(())
    };
    let head = loop {
        if let Some(head) = parse_head(buffer, &Limits::default()).unwrap() {
            break head;
        }
        read(buffer)?;
    };
    let mut decoder = BodyDecoder::new(head.body_length());
    let mut body = Vec::new();
    loop {
        match decoder.decode(buffer).unwrap() {
            Decoded::Data(data) => body.extend_from_slice(&data),
            Decoded::NeedMore => read(buffer)?,
            Decoded::End => return Some((head, body)),
        }
    }
}

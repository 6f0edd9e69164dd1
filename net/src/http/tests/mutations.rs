//! Mutated heads and bodies crash nothing, loop nowhere, and mean the same however their bytes are split.
//!
//! `ANODE_TEST_MUTATIONS` sets how many (100,000 take a few seconds in a debug build); a failure prints its seed, and
//! `ANODE_TEST_SEED` runs that one alone.

use bytes::BytesMut;

use crate::http::client::parse_response;
use crate::http::form::tests::FORMS;
use crate::http::target::{Query, decode_path};
use crate::http::{
    BodyDecoder, BodyLength, Decoded, Limits, Method, Refusal, date, parse_head, range,
};
use crate::testing;

const HEADS: [&str; 4] = [
    "GET /bucket/key?prefix=a%20b&x=+ HTTP/1.1\r\nHost: bucket.example.com\r\nRange: bytes=0-9, -5\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n\r\nGET / HT",
    "PUT /b/%F0%9F%98%80 HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nExpect: 100-continue\r\nx-amz-date: 20150830T123600Z\r\nx-amz-meta-a: b\r\n\r\nhello world!",
    "\r\nPOST /b?delete HTTP/1.1\r\nhost: [::1]:9000\r\nTransfer-Encoding: chunked\r\nx-date: 2006-02-03T16:45:09.000Z\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 206 Partial Content\r\nContent-Length: 17\r\nx-amz-request-id: x\r\nDate: Sunday, 06-Nov-94 08:49:37 GMT\r\n\r\n",
];

const BODIES: [&str; 3] = [
    "5\r\nhello\r\n6;ext=\"1\"\r\n world\r\n0\r\n\r\nGET / HTTP/1.1",
    "a\r\n0123456789\r\n1\r\nx\r\n0\r\nx-amz-checksum-crc32: AAAAAA==\r\nx-other: y\r\n\r\n",
    "000001\r\na\r\n00000000000000ff\r\nshort",
];

/// Bytes that parsers trip over.
const SEASONING: [&str; 28] = [
    "\r",
    "\n",
    "\r\n",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    "\0",
    "\x7f",
    "%",
    "%2",
    "é",
    "0",
    "-",
    "+",
    ",",
    ";",
    "HTTP/1.1",
    "Host: x\r\n",
    "Content-Length: 5\r\n",
    "--xYz",
    "\r\n--xYz\r\n",
    "Content-Disposition: form-data; name=file\r\n\r\n",
    "; filename=\"",
    "Transfer-Encoding: chunked\r\n",
    "#",
    "\u{80}",
    "ffffffffffffffff",
];

/// What a decoder made of a body.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) data: Vec<u8>,
    pub(super) trailers: Vec<(String, String)>,
    /// Complete, incomplete, or refused.
    pub(super) end: Result<bool, Refusal>,
    pub(super) left_bytes: usize,
}

/// Decodes a body that arrives in pieces of these sizes.
pub(super) fn decode_in_pieces(
    length: BodyLength,
    body: &[u8],
    sizes: &mut dyn Iterator<Item = usize>,
) -> Outcome {
    let (mut decoder, mut input) = (BodyDecoder::new(length), BytesMut::new());
    let (mut data, mut rest) = (Vec::new(), body);
    let mut steps_left = body.len() * 4 + 10;
    let end = loop {
        steps_left = steps_left.checked_sub(1).expect("the decoder makes progress");
        match decoder.decode(&mut input) {
            Ok(Decoded::Data(piece)) => {
                assert!(!piece.is_empty(), "data is never empty");
                data.extend_from_slice(&piece);
            }
            Ok(Decoded::NeedMore) if rest.is_empty() => break Ok(false),
            Ok(Decoded::NeedMore) => {
                let size = sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len());
                input.extend_from_slice(&rest[..size]);
                rest = &rest[size..];
            }
            Ok(Decoded::End) => break Ok(true),
            Err(refusal) => break Err(refusal),
        }
    };
    // After a refusal or in the midst of a line, how much is left depends on what had come.
    let left_bytes = if end == Ok(true) { input.len() + rest.len() } else { 0 };
    Outcome { data, trailers: decoder.trailers().to_vec(), end, left_bytes }
}

#[test]
fn mutations_crash_nothing_and_mean_the_same_in_pieces() {
    let (first, count) = match setting("ANODE_TEST_SEED") {
        Some(seed) => (seed, 1),
        None => (0, setting("ANODE_TEST_MUTATIONS").unwrap_or(5_000)),
    };
    for seed in first..first + count {
        let guard = ReplayHint(seed);
        one_mutation(seed);
        drop(guard);
    }
}

#[test]
fn the_mutations_reach_both_answers() {
    let mut accepted = 0;
    for seed in 0..1000 {
        let (mut random, head) = mutated(seed, &HEADS);
        accepted += u32::from(matches!(head_in_pieces(&head, &mut random), (Ok(Some(_)), _)));
    }
    assert!((100..900).contains(&accepted), "{accepted} of 1000 accepted: no longer a test");
}

fn one_mutation(seed: u64) {
    let (mut random, head) = mutated(seed, &HEADS);
    let mut whole = BytesMut::from(&head[..]);
    let parsed = parse_head(&mut whole, &Limits::default());
    let (in_pieces, left_bytes) = head_in_pieces(&head, &mut random);
    let answer = parsed.as_ref().map(|head| head.as_ref().map(facts)).map_err(|_refusal| ());
    assert_eq!(in_pieces.map_err(|_refusal| ()), answer, "in pieces and whole");
    if let Ok(Some(head)) = &parsed {
        assert_eq!(whole.len(), left_bytes, "both leave the same");
        read_values(head);
    }
    let _any = parse_response(&mut BytesMut::from(&head[..]), Method::Get);

    let (mut random, body) = mutated(seed, &BODIES);
    let whole = decode_in_pieces(BodyLength::Chunked, &body, &mut std::iter::empty());
    let mut sizes = std::iter::from_fn(|| Some(random.below(9) + 1));
    assert_eq!(decode_in_pieces(BodyLength::Chunked, &body, &mut sizes), whole);

    let (mut random, mut form) = mutated(seed, &FORMS);
    form.insert(0, u8::try_from(random.below(256)).expect("below 256"));
    testing::form::run(&form);
}

/// All that a head says.
fn facts(head: &crate::http::Head) -> String {
    let headers: Vec<_> = head.headers().collect();
    format!("{head:?} {:?} {headers:?}", head.target)
}

fn head_in_pieces(bytes: &[u8], random: &mut Random) -> (Result<Option<String>, Refusal>, usize) {
    let (mut buffer, mut rest) = (BytesMut::new(), bytes);
    while !rest.is_empty() {
        let size = (random.below(40) + 1).min(rest.len());
        buffer.extend_from_slice(&rest[..size]);
        rest = &rest[size..];
        match parse_head(&mut buffer, &Limits::default()) {
            Ok(None) => {}
            Ok(Some(head)) => return (Ok(Some(facts(&head))), buffer.len() + rest.len()),
            Err(refusal) => return (Err(refusal), 0),
        }
    }
    (Ok(None), 0)
}

/// Every reader of values takes any value.
fn read_values(head: &crate::http::Head) {
    if let Ok(path) = decode_path(head.path()) {
        assert!(path.len() <= head.path().len());
    }
    if let Ok(query) = Query::parse(head.query().unwrap_or_default()) {
        assert!(query.iter().all(|(name, _)| query.has(name)));
    }
    for (_, value) in head.headers() {
        let dates = [date::parse_http(value), date::parse_iso(value), date::parse_amz(value)];
        for date in dates.into_iter().flatten() {
            assert!(!date::format_http(date).is_empty());
        }
        for part in range::resolve(&range::parse(value).unwrap_or_default(), 7).unwrap_or_default()
        {
            assert!(part.start < part.end && part.end <= 7);
        }
    }
}

fn mutated(seed: u64, originals: &[&str]) -> (Random, Vec<u8>) {
    let mut random = Random(seed);
    let mut bytes = originals[random.below(originals.len())].as_bytes().to_vec();
    for _ in 0..random.below(4) {
        let place = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => bytes.truncate(place),
            1 => {
                let byte = u8::try_from(random.below(256)).expect("below 256");
                bytes.insert(place, byte);
            }
            2 if place < bytes.len() => bytes[place] ^= 1 << random.below(8),
            3 if place < bytes.len() => {
                bytes.remove(place);
            }
            _ => {
                let spice = SEASONING[random.below(SEASONING.len())].as_bytes();
                bytes.splice(place..place, spice.iter().copied());
            }
        }
    }
    (random, bytes)
}

/// The generator named `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).expect("small");
        usize::try_from((mixed ^ (mixed >> 31)) % bound).expect("below a usize")
    }
}

/// Says how to replay, if dropped in a panic.
struct ReplayHint(u64);

impl Drop for ReplayHint {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: ANODE_TEST_SEED={} cargo test -p anode-net mutations_crash", self.0);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration file")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

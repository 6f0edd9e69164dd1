//! Bodies: what they decode to, and what of the chunked coding is refused.

use bytes::{Bytes, BytesMut};

use super::mutations::{Outcome, decode_in_pieces};
use crate::http::{BodyDecoder, BodyLength, CHUNKS_END, Decoded, chunk};

/// Decodes a chunked body that must be complete; the error is the refusal's message.
fn decode(body: &[u8]) -> Result<Outcome, String> {
    let outcome = decode_in_pieces(BodyLength::Chunked, body, &mut std::iter::repeat(usize::MAX));
    let drip = decode_in_pieces(BodyLength::Chunked, body, &mut std::iter::repeat(1));
    assert_eq!(drip, outcome, "byte by byte, of {:?}", String::from_utf8_lossy(body));
    match &outcome.end {
        Ok(true) => Ok(outcome),
        Ok(false) => Err("incomplete".to_owned()),
        Err(refusal) => {
            assert_eq!((refusal.status, refusal.code), (400, "BadRequest"));
            Err(refusal.message.clone())
        }
    }
}

#[test]
fn a_body_of_known_length_ends_there() {
    let mut input = BytesMut::from(&b"12345next"[..]);
    let address = input.as_ptr();
    let mut decoder = BodyDecoder::new(BodyLength::Length(5));
    let decoded = decoder.decode(&mut input);
    assert_eq!(decoded, Ok(Decoded::Data(Bytes::from_static(b"12345"))));
    let copied = !matches!(decoded, Ok(Decoded::Data(data)) if data.as_ptr() == address);
    assert!(!copied, "data is a slice of the input");
    assert!(decoder.is_done());
    assert_eq!(decoder.decode(&mut input), Ok(Decoded::End));
    assert_eq!(&input[..], b"next");
    for length in [BodyLength::None, BodyLength::Length(0)] {
        assert_eq!(BodyDecoder::new(length).decode(&mut input), Ok(Decoded::End));
    }
    let mut decoder = BodyDecoder::new(BodyLength::Length(u64::MAX));
    assert_eq!(decoder.decode(&mut input), Ok(Decoded::Data(Bytes::from_static(b"next"))));
    assert_eq!(decoder.decode(&mut input), Ok(Decoded::NeedMore));
}

#[test]
fn chunks_decode_to_their_data() {
    for (body, data, left_bytes) in [
        (&b"0\r\n\r\n"[..], &b""[..], 0),
        (b"3\r\nabc\r\n0\r\n\r\nGET", b"abc", 3),
        (b"1\r\na\r\n2;x=y\r\nbc\r\n0;z\r\n\r\n", b"abc", 0),
        (b"00000000000000aB\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n", &[b'x'; 0xab], 0),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", 0),
    ] {
        let outcome = decode(body).expect("accepted");
        assert_eq!(outcome.data, data, "{:?}", String::from_utf8_lossy(body));
        assert!(outcome.trailers.is_empty() && outcome.left_bytes == left_bytes, "{outcome:?}");
    }
}

#[test]
fn trailers_are_read() {
    let body = b"1\r\na\r\n0\r\nX-Amz-Checksum-CRC32: \t abc= \r\nx-empty:\r\n\r\n";
    let trailers = decode(body).expect("accepted").trailers;
    let expected = [("x-amz-checksum-crc32", "abc="), ("x-empty", "")];
    assert_eq!(trailers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn what_is_written_is_read() {
    let mut body = Vec::new();
    for data in ["", "abc", "0123456789abcdef0"] {
        body.extend(chunk(Bytes::from(data)).concat());
    }
    body.extend_from_slice(CHUNKS_END);
    assert_eq!(decode(&body).expect("accepted").data, b"abc0123456789abcdef0");
}

#[test]
fn chunks_that_can_be_read_in_two_ways_are_refused() {
    for (body, part_of_message) in [
        ("\r\n0\r\n\r\n", "hexadecimal"),
        ("x\r\n", "hexadecimal"),
        ("-1\r\n", "hexadecimal"),
        ("+1\r\na\r\n", "hexadecimal"),
        (" 1\r\na\r\n", "hexadecimal"),
        ("0x1\r\na\r\n", "followed by something else"),
        ("1 \r\na\r\n", "followed by something else"),
        ("1 ;x\r\na\r\n", "followed by something else"),
        ("1_0\r\na\r\n", "followed by something else"),
        ("10000000000000000\r\n", "64 bits"),
        ("00000000000000001\r\na\r\n", "64 bits"),
        ("1\na\r\n", "bare LF"),
        ("\n", "bare LF"),
        ("1;a\rb\r\na\r\n", "control character"),
        ("1;a\0b\r\na\r\n", "control character"),
        ("1\r\nab\r\n", "longer than its size"),
        ("1\r\na\n0\r\n\r\n", "longer than its size"),
        ("1\r\na\rx", "longer than its size"),
        ("0\r\n\n", "bare LF"),
        ("0\r\nx: y\n\r\n", "bare LF"),
        ("0\r\nx : y\r\n\r\n", "a name, a colon"),
        ("0\r\n x: y\r\n\r\n", "a name, a colon"),
        ("0\r\nx: y\r\n z\r\n\r\n", "a name, a colon"),
        ("0\r\n: y\r\n\r\n", "a name, a colon"),
        ("0\r\nxy\r\n\r\n", "a name, a colon"),
        ("0\r\nx: y\rz\r\n\r\n", "a name, a colon"),
        ("0\r\nx: \0\r\n\r\n", "a name, a colon"),
        ("0\r\nx: y\r\nX: z\r\n\r\n", "comes twice"),
        ("0\r\nContent-Length: 1\r\n\r\n", "comes too late"),
        ("0\r\ntransfer-encoding: chunked\r\n\r\n", "comes too late"),
        ("0\r\nHost: h\r\n\r\n", "comes too late"),
        ("0\r\nauthorization: x\r\n\r\n", "comes too late"),
    ] {
        let message = decode(body.as_bytes()).expect_err(body);
        assert!(message.contains(part_of_message), "{body:?}: {message}");
    }
    assert_eq!(
        decode(b"ffffffffffffffff\r\nabc"),
        Err("incomplete".to_owned()),
        "64 bits are fine"
    );
}

#[test]
fn everything_around_the_data_is_bounded() {
    let extension = "x".repeat(1000);
    decode(format!("1;{extension}\r\na\r\n0\r\n\r\n").as_bytes()).expect("one is fine");
    let message = decode(format!("1;{extension}").repeat(2).as_bytes()).expect_err("no line end");
    assert!(message.contains("too long"), "{message}");
    let message =
        decode(format!("1;{extension}\r\na\r\n").repeat(20).as_bytes()).expect_err("many");
    assert!(message.contains("too many bytes of extensions"), "{message}");

    let trailers = |count: usize, length: usize| {
        let value = "y".repeat(length);
        let lines: Vec<_> = (0..count).map(|index| format!("x-{index}: {value}\r\n")).collect();
        format!("0\r\n{}\r\n", lines.concat()).into_bytes()
    };
    assert_eq!(decode(&trailers(32, 100)).expect("just fits").trailers.len(), 32);
    let message = decode(&trailers(33, 100)).expect_err("too many");
    assert!(message.contains("too many trailers"), "{message}");
    let message = decode(&trailers(9, 1000)).expect_err("too long together");
    assert!(message.contains("too long"), "{message}");
}

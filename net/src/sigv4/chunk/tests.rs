//! Every mode, split anywhere, damaged anywhere.

use bytes::Bytes;
use proptest::prelude::{Strategy, any, proptest};
use proptest::{collection, sample};

use super::decoder::LINE_BYTES_MAX;
use super::{ChunkDecoder, ChunkEncoder, Decoded};
use crate::checksum::{Algorithm, Hasher};
use crate::sigv4::{Error, PayloadMode, RequestParts, Signer, Verified};

const MODES: [PayloadMode; 3] =
    [PayloadMode::Streaming, PayloadMode::StreamingTrailer, PayloadMode::UnsignedTrailer];

fn seed(mode: PayloadMode) -> Verified {
    let signer = Signer::new("AKID", "secret", "us-east-1");
    let parts = RequestParts { method: "PUT", path: "/b/k", query: "", headers: &[("host", "a")] };
    signer.sign(&parts, mode, 1_369_353_600).unwrap().seed
}

fn decoder(mode: PayloadMode, length: &str, trailer: Option<&str>) -> Result<ChunkDecoder, Error> {
    let mut headers = vec![("x-amz-decoded-content-length", length)];
    headers.extend(trailer.map(|names| ("x-amz-trailer", names)));
    let parts = RequestParts { method: "PUT", path: "/b/k", query: "", headers: &headers };
    ChunkDecoder::new(mode, &parts, Some(&seed(mode)))
}

/// The object and the trailers that come out when `body` comes in these pieces.
/// An object and its trailers.
type Found = (Vec<u8>, Vec<(String, String)>);

fn decoded(
    mut decoder: ChunkDecoder,
    pieces: impl IntoIterator<Item: AsRef<[u8]>>,
) -> Result<Found, Error> {
    let mut object = Vec::new();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece.as_ref());
        loop {
            match decoder.decode(&mut input)? {
                Decoded::Data(data) => object.extend_from_slice(&data),
                Decoded::NeedMore => break,
                Decoded::End if input.is_empty() => break,
                Decoded::End => {}
            }
        }
        assert!(input.is_empty(), "all input is taken");
    }
    decoder.finish()?;
    Ok((object, decoder.trailers().to_vec()))
}

fn object(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
}

fn trailer_of(object: &[u8]) -> (&'static str, String) {
    (Algorithm::Crc32.header(), Hasher::of(Algorithm::Crc32, object).base64())
}

/// A body in chunks of `chunk_bytes`.
fn encoded(mode: PayloadMode, object: &[u8], chunk_bytes: usize) -> Vec<u8> {
    let mut encoder = ChunkEncoder::new(mode, &seed(mode));
    let mut body = Vec::new();
    for chunk in object.chunks(chunk_bytes) {
        body.extend_from_slice(&encoder.chunk(chunk));
    }
    let (name, value) = trailer_of(object);
    let trailers: &[(&str, &str)] = if mode.has_trailers() { &[(name, &value)] } else { &[] };
    let lengths: Vec<(&str, usize)> =
        trailers.iter().map(|(name, value)| (*name, value.len())).collect();
    body.extend_from_slice(&encoder.end(trailers));
    let length =
        ChunkEncoder::encoded_length(mode, object.len() as u64, chunk_bytes as u64, &lengths);
    assert_eq!(length, body.len() as u64, "the length is known before");
    body
}

fn decoder_for(mode: PayloadMode, object: &[u8]) -> ChunkDecoder {
    let trailer = mode.has_trailers().then(|| Algorithm::Crc32.header());
    decoder(mode, &object.len().to_string(), trailer).unwrap()
}

fn code(mode: PayloadMode, object: &[u8], body: &[u8]) -> Result<Vec<u8>, &'static str> {
    decoded(decoder_for(mode, object), [body]).map(|(object, _)| object).map_err(|error| error.code)
}

proptest! {
    #[test]
    fn the_split_does_not_matter(
        mode in sample::select(&MODES[..]),
        length in 0_usize..40_000,
        chunk_bytes in 8_192_usize..20_000,
        mut cuts in collection::vec(any::<sample::Index>(), 0..40).prop_map(|cuts| cuts),
    ) {
        let object = object(length);
        let body = encoded(mode, &object, chunk_bytes);
        let mut cuts: Vec<usize> = cuts.drain(..).map(|cut| cut.index(body.len())).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([body.len()]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let pieces = starts.zip(ends).map(|(start, end)| &body[start..end]);
        let (found, trailers) = decoded(decoder_for(mode, &object), pieces).unwrap();
        assert!(found == object);
        assert_eq!(trailers.len(), usize::from(mode.has_trailers()));
    }

    #[test]
    fn no_input_does_harm(mode in sample::select(&MODES[..]), body in collection::vec(any::<u8>(), 0..600)) {
        code(mode, &object(10), &body).unwrap_err();
    }
}

#[test]
fn byte_by_byte_is_the_same() {
    for mode in MODES {
        for length in [0, 1, 8_192, 9_000] {
            let object = object(length);
            let body = encoded(mode, &object, 8_192);
            let (found, trailers) = decoded(decoder_for(mode, &object), body.chunks(1)).unwrap();
            assert!(found == object, "{mode:?} {length}");
            if mode.has_trailers() {
                let (name, value) = trailer_of(&object);
                assert_eq!(trailers, [(name.to_owned(), value)]);
            }
        }
    }
}

#[test]
fn every_flipped_byte_of_a_signed_body_is_refused() {
    for mode in [PayloadMode::Streaming, PayloadMode::StreamingTrailer] {
        let object = object(40);
        let body = encoded(mode, &object, 8_192);
        for at in 0..body.len() {
            for mask in [1, 0x80] {
                let mut flipped = body.clone();
                flipped[at] ^= mask;
                assert!(code(mode, &object, &flipped).is_err(), "{mode:?}: byte {at} ^ {mask}");
            }
        }
    }
}

#[test]
fn a_chunk_moved_dropped_or_repeated_is_refused() {
    let object = object(24_576);
    let mode = PayloadMode::Streaming;
    let mut encoder = ChunkEncoder::new(mode, &seed(mode));
    let chunks: Vec<Bytes> = object.chunks(8_192).map(|chunk| encoder.chunk(chunk)).collect();
    let end = encoder.end(&[]);
    let body = |order: &[usize]| {
        let chunks = order.iter().map(|at| chunks[*at].as_ref());
        chunks.chain([end.as_ref()]).collect::<Vec<&[u8]>>().concat()
    };
    code(mode, &object, &body(&[0, 1, 2])).unwrap();
    for wrong in [&[1, 0, 2][..], &[0, 2, 1], &[0, 0, 1]] {
        assert_eq!(code(mode, &object, &body(wrong)), Err("SignatureDoesNotMatch"), "{wrong:?}");
    }
    for wrong in [&[0, 1][..], &[0, 1, 2, 2]] {
        assert_eq!(code(mode, &object, &body(wrong)), Err("IncompleteBody"), "{wrong:?}");
    }
}

#[test]
fn a_body_cut_short_is_never_complete() {
    for mode in MODES {
        let object = object(20);
        let body = encoded(mode, &object, 8_192);
        // The last line end is left out by some clients, and says nothing.
        for length in 0..body.len() - 2 {
            assert_eq!(
                code(mode, &object, &body[..length]),
                Err("IncompleteBody"),
                "{mode:?} cut at {length}"
            );
        }
        for length in [body.len() - 2, body.len() - 1] {
            let result = code(mode, &object, &body[..length]);
            assert!(
                result.is_ok() || length == body.len() - 1 && mode == PayloadMode::UnsignedTrailer,
                "{mode:?}"
            );
        }
    }
}

#[test]
fn what_follows_a_wrong_signature_is_not_handed_on() {
    let mode = PayloadMode::Streaming;
    let object = object(16_384);
    let mut body = encoded(mode, &object, 8_192);
    body[100] ^= 1;
    let mut decoder = decoder_for(mode, &object);
    let mut input = Bytes::from(body);
    let error = decoder.decode(&mut input).unwrap_err();
    assert_eq!(
        error.code, "SignatureDoesNotMatch",
        "a chunk that is here whole is verified before it is handed on"
    );
    assert!(decoder.decode(&mut input).is_err() && decoder.finish().is_err(), "it stays refused");
}

#[test]
fn the_stated_length_is_the_length() {
    for mode in MODES {
        let body = encoded(mode, &object(100), 8_192);
        for wrong in [0, 99, 101] {
            assert_eq!(
                code(mode, &object(wrong), &body),
                Err("IncompleteBody"),
                "{mode:?} {wrong}"
            );
        }
    }
    for wrong in ["", "-1", "+1", "1 2", "0x10", "18446744073709551616"] {
        assert_eq!(decoder(MODES[0], wrong, None).unwrap_err().code, "InvalidArgument", "{wrong}");
    }
    let parts = RequestParts { method: "PUT", path: "/", query: "", headers: &[] };
    let missing = ChunkDecoder::new(MODES[2], &parts, None).unwrap_err();
    assert_eq!((missing.code, missing.status()), ("MissingContentLength", 411));
    let headers = [("x-amz-decoded-content-length", "0")];
    let unsigned = ChunkDecoder::new(MODES[0], &RequestParts { headers: &headers, ..parts }, None);
    assert_eq!(unsigned.unwrap_err().code, "AccessDenied");
}

#[test]
fn chunk_heads_are_strict_and_bounded() {
    let mode = PayloadMode::UnsignedTrailer;
    let refused =
        |body: &[u8]| decoded(decoder(mode, "5", None).unwrap(), [body]).unwrap_err().code;
    assert_eq!(code(mode, b"", b"0\r\n\r\n"), Err("MalformedTrailerError"));
    decoded(decoder(mode, "5", None).unwrap(), [&b"05;a=b\r\nabcde\r\n0\r\n\r\n"[..]]).unwrap();
    for wrong in [
        &b"\r\n"[..],
        b"5\nabcde\r\n",
        b" 5\r\n",
        b"5 \r\n",
        b"+5\r\n",
        b"-1\r\n",
        b"0x5\r\n",
        b"g\r\n",
        b"\xff\r\n",
        b"00000000000000005\r\n",
        b"5\r\nabcdef\r\n",
        b"5\r\nabcde\n0\r\n\r\n",
        b"5\r\nabcde\r\n0\r\n\r\nGET / HTTP/1.1",
        b"5\r\nabcde\r\n0\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
    ] {
        assert_eq!(refused(wrong), "InvalidRequest", "{}", wrong.escape_ascii());
    }
    assert_eq!(refused(b"ffffffffffffffff\r\n"), "IncompleteBody");
    assert_eq!(refused(&vec![b'0'; LINE_BYTES_MAX + 1]), "InvalidRequest");
    let signed =
        decoded(decoder(PayloadMode::Streaming, "5", None).unwrap(), [&b"5\r\nabcde\r\n"[..]]);
    assert_eq!(signed.unwrap_err().code, "InvalidRequest", "a chunk without its signature");
}

#[test]
fn only_the_last_chunk_may_be_small() {
    for mode in MODES {
        let object = object(10_000);
        let error =
            decoded(decoder_for(mode, &object), [&encoded(mode, &object, 8_191)[..]]).unwrap_err();
        assert_eq!((error.code, error.status()), ("InvalidChunkSizeError", 403));
        assert_eq!(*error.fields, [("BadChunkSizeInBytes", "8191".to_owned())]);
    }
}

#[test]
fn trailers_are_those_announced() {
    let mode = PayloadMode::UnsignedTrailer;
    let name = "x-amz-checksum-crc32";
    let result = |announced: Option<&str>, trailers: &str| {
        let decoder = decoder(mode, "1", announced)?;
        decoded(decoder, [format!("1\r\na\r\n0\r\n{trailers}").as_bytes()])
            .map(|(_, trailers)| trailers)
    };
    let one = vec![(name.to_owned(), "AAAAAA==".to_owned())];
    for accepted in [
        "x-amz-checksum-crc32:AAAAAA==\r\n\r\n",
        "X-Amz-Checksum-Crc32: AAAAAA== \r\n\r\n",
        // As minio-go and older AWS CRT clients end them.
        "x-amz-checksum-crc32:AAAAAA==\n\r\n",
        "x-amz-checksum-crc32:AAAAAA==\n\r\n\r\n",
        "x-amz-checksum-crc32:AAAAAA==\r\n",
    ] {
        assert_eq!(
            result(Some("X-Amz-Checksum-CRC32"), accepted).as_ref(),
            Ok(&one),
            "{accepted:?}"
        );
    }
    assert_eq!(result(None, "\r\n"), Ok(Vec::new()));
    // Refused before the end is known: it can't be sent without end.
    let twice = "x-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-crc32:AAAAAA==\r\n";
    for malformed in [
        "\r\n",
        "x-amz-checksum-sha1:a\r\n\r\n",
        "x-amz-checksum-crc32\r\n\r\n",
        "x-amz-meta-a:b\r\n\r\n",
        twice,
    ] {
        assert_eq!(
            result(Some(name), malformed).map_err(|error| error.code),
            Err("MalformedTrailerError"),
            "{malformed:?}"
        );
    }
    assert_eq!(
        result(None, "x-amz-checksum-crc32:AAAAAA==\r\n\r\n").map_err(|error| error.code),
        Err("MalformedTrailerError")
    );
    for unknown in [
        "x-amz-meta-a",
        "x-amz-checksum-md5",
        "content-length",
        "x-amz-checksum-crc32,x-amz-checksum-sha1",
    ] {
        assert_eq!(
            result(Some(unknown), "\r\n").map_err(|error| error.code),
            Err("InvalidRequest"),
            "{unknown}"
        );
    }
}

#[test]
fn signed_trailers_need_their_signature() {
    let mode = PayloadMode::StreamingTrailer;
    let object = vec![b'a'; 20];
    let body = String::from_utf8(encoded(mode, &object, 8_192)).unwrap();
    let (data, trailers) = body.split_at(body.find("x-amz-checksum").unwrap());
    let (trailer, signature) = trailers.split_once("\r\n").unwrap();
    let result = |trailers: &str| code(mode, &object, format!("{data}{trailers}").as_bytes());
    assert!(result(&format!("{trailer}\n\r\n{signature}\r\n")).is_ok(), "as minio-go sends it");
    assert_eq!(result(&format!("{trailer}\r\n\r\n")), Err("IncompleteBody"));
    assert_eq!(result(signature), Err("MalformedTrailerError"));
    assert_eq!(
        result(&format!("{trailer}\r\nx-amz-trailer-signature:00\r\n")),
        Err("MalformedTrailerError")
    );
    let zeros = "0".repeat(64);
    assert_eq!(
        result(&format!("{trailer}\r\nx-amz-trailer-signature:{zeros}\r\n")),
        Err("SignatureDoesNotMatch")
    );
    assert_eq!(result(&"\r\n".repeat(5)), Err("InvalidRequest"), "empty lines are bounded");
}

//! The examples of the S3 API Reference: "Signature Calculations for the Authorization Header" and "Using Query Parameters".
//!
//! Signatures are the published ones; each was also recomputed with an independent program (python3, hmac).

use bytes::Bytes;

use super::request::Request;
use crate::sigv4::{ChunkDecoder, ChunkEncoder, Decoded, Error, Expected, PayloadMode};

pub(super) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(super) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const PUT_BODY: &str = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
/// 20130524T000000Z.
pub(super) const NOW: i64 = 1_369_353_600;

pub(super) fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    signature: &str,
) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: None,
        access_key: ACCESS_KEY,
        secret: SECRET,
        expected: Expected { now_seconds: NOW, region: Some("us-east-1"), service: "s3" },
    };
    if !signature.is_empty() {
        request.headers.push(("x-amz-date".to_owned(), "20130524T000000Z".to_owned()));
        let mut names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let names = names.join(";");
        // The reference writes it without spaces after the commas.
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20130524/us-east-1/s3/aws4_request,SignedHeaders={names},\
             Signature={signature}"
        );
        request.headers.push(("authorization".to_owned(), authorization));
    }
    request
}

pub(super) fn get_object() -> Request {
    let headers = [
        ("host", "examplebucket.s3.amazonaws.com"),
        ("range", "bytes=0-9"),
        ("x-amz-content-sha256", EMPTY),
    ];
    let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
    request("GET", "/test.txt", &headers, signature)
}

pub(super) fn presigned() -> Request {
    let target = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2F\
                  s3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&\
                  X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    request("GET", target, &[("host", "examplebucket.s3.amazonaws.com")], "")
}

#[test]
fn the_examples_hold_for_no_other_request() {
    get_object().assert_only_this("GET Object");
    presigned().assert_only_this("presigned GET Object");
    let host = ("host", "examplebucket.s3.amazonaws.com");
    let put = [
        host,
        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
        ("x-amz-content-sha256", PUT_BODY),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    request(
        "PUT",
        "/test$file.text",
        &put,
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    )
    .assert_only_this("PUT Object");
    let get = [host, ("x-amz-content-sha256", EMPTY)];
    request(
        "GET",
        "/?lifecycle",
        &get,
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    )
    .assert_only_this("GET Bucket Lifecycle");
    request(
        "GET",
        "/?max-keys=2&prefix=J",
        &get,
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    )
    .assert_only_this("List Objects");
}

fn chunked(mode: PayloadMode) -> Request {
    let mode_value = mode.value();
    let mut headers = vec![
        ("host", "s3.amazonaws.com"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", mode_value.as_str()),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    let signature = if mode.has_trailers() {
        headers.push(("x-amz-trailer", "x-amz-checksum-crc32c"));
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    } else {
        headers.push(("content-length", "66824"));
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    };
    request("PUT", "/examplebucket/chunkObject.txt", &headers, signature)
}

/// What the reference sends: 65,536 and 1,024 times `a`, then the empty chunk.
fn body(signatures: [&str; 3], trailers: &str) -> Vec<u8> {
    let [first, second, last] = signatures;
    format!(
        "10000;chunk-signature={first}\r\n{}\r\n400;chunk-signature={second}\r\n{}\r\n0;chunk-signature={last}\r\n{trailers}\r\n",
        "a".repeat(65_536),
        "a".repeat(1_024),
    )
    .into_bytes()
}

fn decode(request: &Request, mode: PayloadMode, body: &[u8]) -> Result<Vec<u8>, Error> {
    let verified = request.check()?;
    let mut decoder =
        request.with_parts(|parts| ChunkDecoder::new(mode, parts, Some(&verified)))?;
    let mut input = Bytes::copy_from_slice(body);
    let mut object = Vec::new();
    while let Decoded::Data(data) = decoder.decode(&mut input)? {
        object.extend_from_slice(&data);
    }
    decoder.finish()?;
    Ok(object)
}

const SIGNATURES: [&str; 3] = [
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
];
const TRAILER_SIGNATURES: [&str; 3] = [
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
];
const TRAILER_SIGNATURE: &str = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";

#[test]
fn the_chunked_upload() {
    let mode = PayloadMode::Streaming;
    let request = chunked(mode);
    let body = body(SIGNATURES, "");
    assert_eq!(body.len(), 66_824, "as the reference's Content-Length");
    assert_eq!(decode(&request, mode, &body).unwrap(), vec![b'a'; 66_560]);
    for at in 0..3 {
        let mut wrong = SIGNATURES;
        wrong[at] = TRAILER_SIGNATURES[at];
        let error = decode(&request, mode, &self::body(wrong, "")).unwrap_err();
        assert_eq!(error.code, "SignatureDoesNotMatch");
    }
    let mut encoder = ChunkEncoder::new(mode, &request.check().unwrap());
    let data = vec![b'a'; 65_536];
    let encoded = [encoder.chunk(&data), encoder.chunk(&data[..1_024]), encoder.end(&[])].concat();
    assert!(encoded == body, "the encoder does as the reference");
    assert_eq!(ChunkEncoder::encoded_length(mode, 66_560, 65_536, &[]), 66_824);
}

#[test]
fn the_chunked_upload_with_a_trailer() {
    let mode = PayloadMode::StreamingTrailer;
    let request = chunked(mode);
    let trailers = format!(
        "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:{TRAILER_SIGNATURE}\r\n"
    );
    let body = body(TRAILER_SIGNATURES, &trailers);
    assert_eq!(decode(&request, mode, &body).unwrap().len(), 66_560);
    let mut encoder = ChunkEncoder::new(mode, &request.check().unwrap());
    let data = vec![b'a'; 65_536];
    let encoded = [
        encoder.chunk(&data),
        encoder.chunk(&data[..1_024]),
        encoder.end(&[("x-amz-checksum-crc32c", "sOO8/Q==")]),
    ]
    .concat();
    assert!(encoded == body, "the encoder does as the reference");
    let length =
        ChunkEncoder::encoded_length(mode, 66_560, 65_536, &[("x-amz-checksum-crc32c", 8)]);
    assert_eq!(length, body.len() as u64);
    let error =
        decode(&request, mode, &self::body(TRAILER_SIGNATURES, &trailers.replace("sOO8", "sOO9")))
            .unwrap_err();
    assert_eq!(error.code, "SignatureDoesNotMatch");
}

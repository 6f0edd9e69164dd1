//! The AWS Signature Version 4 test suite, rewritten as a table.
//!
//! Its cases for normalised paths are left out: S3 normalises none. Signatures are the published ones; each was also
//! recomputed with an independent program (python3, hmac). `get-header-value-multiline` comes as its unfolded form,
//! because folded headers are refused before they get here. `post-sts-header-after` adds its token after signing, which S3
//! refuses.

use super::request::Request;
use crate::sigv4::Expected;

const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const DATE: &str = "20150830T123600Z";
const NOW: i64 = 1_440_938_160;
const UNRESERVED: &str = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeo\
                     IYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq\
                     5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypN\
                     C9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

struct Case {
    name: &'static str,
    request: (&'static str, &'static str),
    /// Besides `host` and `x-amz-date`.
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    signature: &'static str,
}

/// A case without a body.
const fn bare(
    name: &'static str,
    request: (&'static str, &'static str),
    headers: &'static [(&'static str, &'static str)],
    signature: &'static str,
) -> Case {
    Case { name, request, headers, body: "", signature }
}

const CASES: &[Case] = &[
    bare(
        "get-vanilla",
        ("GET", "/"),
        &[],
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    bare(
        "get-vanilla-query",
        ("GET", "/?"),
        &[],
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    bare(
        "get-header-key-duplicate",
        ("GET", "/"),
        &[("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")],
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    bare(
        "get-header-value-multiline",
        ("GET", "/"),
        &[("my-header1", "value1,value2,value3")],
        "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790",
    ),
    bare(
        "get-header-value-order",
        ("GET", "/"),
        &[
            ("my-header1", "value4"),
            ("my-header1", "value1"),
            ("my-header1", "value3"),
            ("my-header1", "value2"),
        ],
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    bare(
        "get-header-value-trim",
        ("GET", "/"),
        &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    bare(
        "get-utf8",
        ("GET", "/\u{1234}"),
        &[],
        "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    ),
    bare(
        "get-vanilla-empty-query-key",
        ("GET", "/?Param1=value1"),
        &[],
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    bare(
        "get-vanilla-query-order-key-case",
        ("GET", "/?Param2=value2&Param1=value1"),
        &[],
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    bare(
        "get-vanilla-query-order-key",
        ("GET", "/?Param1=value2&Param1=Value1"),
        &[],
        "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1",
    ),
    bare(
        "get-vanilla-query-order-value",
        ("GET", "/?Param1=value2&Param1=value1"),
        &[],
        "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
    ),
    bare(
        "get-vanilla-utf8-query",
        ("GET", "/?\u{1234}=bar"),
        &[],
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    bare(
        "post-vanilla",
        ("POST", "/"),
        &[],
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    bare(
        "post-header-key-sort",
        ("POST", "/"),
        &[("My-Header1", "value1")],
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    bare(
        "post-header-value-case",
        ("POST", "/"),
        &[("My-Header1", "VALUE1")],
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    bare(
        "post-sts-header-before",
        ("POST", "/"),
        &[("X-Amz-Security-Token", TOKEN)],
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    ),
    bare(
        "post-vanilla-query",
        ("POST", "/?Param1=value1"),
        &[],
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
    Case {
        name: "post-x-www-form-urlencoded",
        request: ("POST", "/"),
        headers: &[("content-type", "application/x-www-form-urlencoded")],
        body: "Param1=value1",
        signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    },
    Case {
        name: "post-x-www-form-urlencoded-parameters",
        request: ("POST", "/"),
        headers: &[("content-type", "application/x-www-form-urlencoded; charset=utf8")],
        body: "Param1=value1",
        signature: "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
    },
];

fn request(case: &Case) -> Request {
    let (method, target) = case.request;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers: Vec<(String, String)> =
        [("host", "example.amazonaws.com"), ("x-amz-date", DATE)]
            .iter()
            .chain(case.headers)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
    let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    names.dedup();
    let (names, signature) = (names.join(";"), case.signature);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20150830/us-east-1/service/aws4_request, SignedHeaders={names}, \
         Signature={signature}"
    );
    headers.push(("authorization".to_owned(), authorization));
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Some(case.body.as_bytes().to_vec()),
        access_key: ACCESS_KEY,
        secret: SECRET,
        expected: Expected { now_seconds: NOW, region: Some("us-east-1"), service: "service" },
    }
}

#[test]
fn the_published_signatures_hold_for_no_other_request() {
    for case in CASES {
        request(case).assert_only_this(case.name);
    }
}

#[test]
fn unreserved_characters_stay_as_they_are() {
    let path: &'static str = Box::leak(format!("/{UNRESERVED}").into_boxed_str());
    let signature = "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f";
    request(&bare("get-unreserved", ("GET", path), &[], signature))
        .assert_only_this("get-unreserved");
    let query: &'static str = Box::leak(format!("/?{UNRESERVED}={UNRESERVED}").into_boxed_str());
    let signature = "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197";
    request(&bare("get-vanilla-query-unreserved", ("GET", query), &[], signature))
        .assert_only_this("get-vanilla-query-unreserved");
}

#[test]
fn a_token_added_after_signing_is_refused() {
    let signature = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
    let request = request(&bare("post-sts-header-after", ("POST", "/"), &[], signature));
    request.check().unwrap();
    let error = request.with("x-amz-security-token", Some(TOKEN)).check().unwrap_err();
    assert_eq!(error.code, "AccessDenied");
    assert_eq!(*error.fields, [("HeadersNotSigned", "x-amz-security-token".to_owned())]);
}

#[test]
fn repeated_headers_keep_their_order() {
    let case = CASES.iter().find(|case| case.name == "get-header-value-order").unwrap();
    let mut request = request(case);
    request.headers.swap(2, 3);
    assert_eq!(request.check().unwrap_err().code, "SignatureDoesNotMatch");
}

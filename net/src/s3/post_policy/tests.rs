//! Policies that let a form pass, that don't, and that are none; messages are S3's where they are known.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::PostPolicy;
use crate::http::FormField;
use crate::s3::error::{Error, ErrorCode};
use crate::s3::form::Form;
use crate::sigv4;

/// 2030-01-01T00:00:00Z
const NOW_MS: i64 = 1_893_456_000_000;

fn parse(json: &str) -> Result<PostPolicy, Error> {
    PostPolicy::parse(&STANDARD.encode(json))
}

fn with_conditions(conditions: &str) -> Result<PostPolicy, Error> {
    parse(&format!(
        "{{\"expiration\": \"2030-01-01T00:00:00.001Z\", \"conditions\": [{conditions}]}}"
    ))
}

fn form(fields: &[(&str, &str)]) -> Form {
    let mut form = Form::default();
    for (name, value) in fields {
        form.add(FormField { name: (*name).to_owned(), value: (*value).to_owned() });
    }
    form
}

/// The message of what a policy with these conditions says to a form for the bucket `b`.
fn check(conditions: &str, fields: &[(&str, &str)]) -> Result<(u64, u64), String> {
    let policy = with_conditions(&format!("{{\"bucket\": \"b\"}}, {conditions}")).unwrap();
    let checked =
        policy.check(&form(fields), "b", NOW_MS).map(std::ops::RangeInclusive::into_inner);
    checked.map_err(|error| {
        assert_eq!(error.code(), ErrorCode::AccessDenied);
        error.message().strip_prefix("Invalid according to Policy: ").unwrap().to_owned()
    })
}

#[test]
fn a_form_passes_where_each_condition_holds_and_each_field_has_one() {
    let any = (0, u64::MAX);
    let failed = |shown: &str| Err(format!("Policy Condition failed: {shown}"));
    let extra = |name: &str| Err(format!("Extra input fields: {name}"));
    for (conditions, fields, expected) in [
        (r#"{"key": "k"}"#, &[("key", "k")][..], Ok(any)),
        (r#"["EQ", "$KEY", "k"]"#, &[("key", "k")], Ok(any)),
        (r#"{"key": "k"}"#, &[("key", "K")], failed(r#"["eq", "$key", "k"]"#)),
        (r#"["StArTs-WiTh", "$kEy", "u/"]"#, &[("key", "u/x")], Ok(any)),
        (
            r#"["starts-with", "$kEy", "u/"]"#,
            &[("key", "U/x")],
            failed(r#"["starts-with", "$kEy", "u/"]"#),
        ),
        (r#"["starts-with", "$key", ""]"#, &[("key", "anything")], Ok(any)),
        (r#"["starts-with", "$key", ""]"#, &[], Ok(any)),
        (r#"["eq", "$key", "a\"b"]"#, &[], failed(r#"["eq", "$key", "a\"b"]"#)),
        (r#"["eq", "key", "k"]"#, &[("key", "k")], failed(r#"["eq", "key", "k"]"#)),
        (
            r#"{"key": "k"}, ["starts-with", "$key", "x"]"#,
            &[("key", "k")],
            failed(r#"["starts-with", "$key", "x"]"#),
        ),
        (r#"{"key": "k"}"#, &[("key", "k"), ("acl", "private")], extra("acl")),
        (r#"{"key": "k"}"#, &[("key", "k"), ("x-amz-meta-a", "")], extra("x-amz-meta-a")),
        (
            r#"["content-length-range", 0, 1]"#,
            &[("content-length-range", "1")],
            extra("content-length-range"),
        ),
        (
            r#"{"key": "k"}"#,
            &[
                ("key", "k"),
                ("policy", "p"),
                ("signature", "s"),
                ("awsaccesskeyid", "a"),
                ("x-ignore-me", "1"),
                ("x-amz-checksum-sha256", "c"),
            ],
            Ok(any),
        ),
        // As for the bucket, the address counts.
        (r#"{"key": "k"}"#, &[("key", "k"), ("bucket", "other")], Ok(any)),
        (
            r#"["starts-with", "$Content-Type", "image/"]"#,
            &[("content-type", "image/jpg, image/png")],
            Ok(any),
        ),
        (
            r#"["starts-with", "$Content-Type", "image/"]"#,
            &[("content-type", "image/jpg,text/plain")],
            failed(r#"["starts-with", "$Content-Type", "image/"]"#),
        ),
        (r#"["starts-with", "$x-amz-meta-a", "a"]"#, &[("x-amz-meta-a", "a,b")], Ok(any)),
        (
            r#"["content-length-range", 1, "10"], ["content-length-range", "5", 99]"#,
            &[],
            Ok((5, 10)),
        ),
        (
            r#"["content-length-range", "test", 10]"#,
            &[],
            failed(r#"["content-length-range", "test", 10]"#),
        ),
        // Escapes: S3's own, and a backslash that is none.
        (r#"{"key": "\$a\u00e9"}"#, &[("key", "$aé")], Ok(any)),
        (r#"["starts-with", "$key", "\\$foo"]"#, &[("key", r"\$foo.txt")], Ok(any)),
        (r#"{"x-amz-meta-v": "\v"}"#, &[("x-amz-meta-v", "\u{b}")], Ok(any)),
    ] {
        assert_eq!(check(conditions, fields), expected, "{conditions} {fields:?}");
    }
}

#[test]
fn a_policy_is_for_its_bucket_and_its_time() {
    let policy = with_conditions("[\"eq\", \"$bucket\", \"b\"]").unwrap();
    assert_eq!(policy.check(&form(&[]), "b", NOW_MS), Ok(0..=u64::MAX));
    for (bucket, now_ms, message) in [
        ("c", NOW_MS, "Policy Condition failed: [\"eq\", \"$bucket\", \"b\"]"),
        ("b", NOW_MS + 1, "Policy expired."),
    ] {
        let error = policy.check(&form(&[]), bucket, now_ms).unwrap_err();
        assert_eq!(
            (error.status(), error.message()),
            (403, format!("Invalid according to Policy: {message}").as_str())
        );
    }
    let anywhere = with_conditions("").unwrap().check(&form(&[]), "b", NOW_MS).unwrap_err();
    assert_eq!(anywhere.message(), "Invalid according to Policy: Extra input fields: bucket");
}

#[test]
fn what_is_no_policy_is_refused() {
    let refused = |policy: Result<PostPolicy, Error>| {
        let error = policy.unwrap_err();
        assert_eq!((error.code(), error.status()), (ErrorCode::InvalidPolicyDocument, 400));
        error.message().strip_prefix("Invalid Policy: ").unwrap().to_owned()
    };
    for json in ["", "{", "[]", "\"a\"", "{'expiration': 1}", "\u{feff}{}", "{\"a\": \"\\q\"}"] {
        assert_eq!(refused(parse(json)), "Invalid JSON.", "{json}");
    }
    for base64 in ["{}", "e30", "e30=\n", "/w=="] {
        assert_eq!(refused(PostPolicy::parse(base64)), "Invalid JSON.", "{base64}");
    }
    let until = |expiration: &str| format!("{{\"expiration\": {expiration}, \"conditions\": []}}");
    for text in [
        "2030-01-01 00:00:00+00:00",
        "2030-01-01T00:00:00+02:00",
        "2030-01-01T00:00:00+00:00",
        "2030-01-01",
        "",
    ] {
        let message = refused(parse(&until(&format!("\"{text}\""))));
        assert_eq!(message, format!("Invalid 'expiration' value: '{text}'"));
    }
    assert_eq!(refused(parse(&until("5"))), "Invalid 'expiration' value: '5'");
    assert_eq!(refused(parse("{\"conditions\": []}")), "Policy missing expiration.");
    let expiration = "\"expiration\": \"2030-01-01T00:00:00Z\"";
    assert_eq!(refused(parse(&format!("{{{expiration}}}"))), "Policy missing conditions.");
    let listless = refused(parse(&format!("{{{expiration}, \"conditions\": {{}}}}")));
    assert_eq!(listless, "Invalid 'conditions' value: must be a List.");
    let unknown = refused(parse(&format!("{{{expiration}, \"CONDITIONS\": []}}")));
    assert_eq!(unknown, "Unexpected: 'CONDITIONS'");
}

#[test]
fn conditions_have_one_of_three_forms() {
    let single =
        "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.";
    for (condition, expected) in [
        ("{}", single),
        (r#"{"acl": "a", "key": "b"}"#, single),
        (r#"{"acl": 5}"#, "Invalid Simple-Condition: value must be a string."),
        ("5", "Invalid Condition: must be a List or Object."),
        ("[]", "Invalid Condition: missing operation identifier."),
        ("[5]", "Invalid Condition: missing operation identifier."),
        (r#"["ends-with", "$key", "a"]"#, "Invalid Condition: unknown operation 'ends-with'."),
        (r#"["eq", "$key"]"#, "Invalid eq: wrong number of arguments."),
        (r#"["eq", "$key", "a", "b"]"#, "Invalid eq: wrong number of arguments."),
        (r#"["starts-with", "$key", 5]"#, "Invalid starts-with: arguments must be strings."),
        (
            r#"["content-length-range", 0]"#,
            "Invalid content-length-range: wrong number of arguments.",
        ),
        (
            r#"["content-length-range", -1, 0]"#,
            "Invalid content-length-range: bounds must be whole numbers.",
        ),
        (
            r#"["content-length-range", 0, 1.5]"#,
            "Invalid content-length-range: bounds must be whole numbers.",
        ),
    ] {
        let error = with_conditions(condition).unwrap_err();
        assert_eq!(error.message(), format!("Invalid Policy: {expected}"), "{condition}");
    }
}

/// The example of AWS: "Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)".
#[test]
fn the_example_of_aws_is_signed_and_passes() {
    let policy = [
        "{ \"expiration\": \"2015-12-30T12:00:00.000Z\",",
        "  \"conditions\": [",
        "    {\"bucket\": \"sigv4examplebucket\"},",
        "    [\"starts-with\", \"$key\", \"user/user1/\"],",
        "    {\"acl\": \"public-read\"},",
        "    {\"success_action_redirect\": \"http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html\"},",
        "    [\"starts-with\", \"$Content-Type\", \"image/\"],",
        "    {\"x-amz-meta-uuid\": \"14365123651274\"},",
        "    {\"x-amz-server-side-encryption\": \"AES256\"},",
        "    [\"starts-with\", \"$x-amz-meta-tag\", \"\"],",
        "",
        "    {\"x-amz-credential\": \"AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request\"},",
        "    {\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"},",
        "    {\"x-amz-date\": \"20151229T000000Z\" }",
        "  ]",
        "}",
    ];
    let policy = STANDARD.encode(policy.join("\r\n"));
    let signature = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e";
    let mut form = form(&[
        ("key", "user/user1/${filename}"),
        ("acl", "public-read"),
        (
            "success_action_redirect",
            "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
        ),
        ("content-type", "image/jpeg"),
        ("x-amz-meta-uuid", "14365123651274"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-credential", "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-date", "20151229T000000Z"),
        ("x-amz-meta-tag", ""),
        ("policy", &policy),
        ("x-amz-signature", signature),
    ]);
    form.expand(Some("a.jpg")).unwrap();
    let signed = sigv4::parse_form(|name| form.get(name)).unwrap().unwrap();
    let expected = sigv4::Expected { now_seconds: 0, region: Some("us-east-1"), service: "s3" };
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    assert_eq!(sigv4::verify_form(&signed, &policy, secret, &expected), Ok(()));
    let policy = PostPolicy::parse(&policy).unwrap();
    assert_eq!(policy.check(&form, "sigv4examplebucket", 0), Ok(0..=u64::MAX));
}

//! RFC 9110, 13.2.2 and the tables of S3's reads and copies.

use super::*;
use crate::s3::error::ErrorCode;

type Fields = &'static [(&'static str, &'static str)];

const OBJECT: Validators<'static> = Validators { etag: "a", modified_ms: 784_111_777_900 };
const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sunday, 06-Nov-94 08:49:38 GMT";
const GO: Outcome = Outcome::Proceed;
const HAS: Outcome = Outcome::NotModified;

#[test]
fn reads_follow_the_precedence() {
    let cases: [(Fields, Outcome); 19] = [
        (&[], GO),
        (&[("if-match", "\"a\"")], GO),
        (&[("if-match", "\"b\", a")], GO),
        (&[("if-match", "\"b\""), ("if-match", "\"a\"")], GO),
        (&[("if-match", "W/\"a\"")], Outcome::Failed("If-Match")),
        (&[("if-match", "*")], GO),
        (&[("if-none-match", "\"a\"")], HAS),
        (&[("if-none-match", "W/\"a\"")], HAS),
        (&[("if-none-match", "*")], HAS),
        (&[("if-none-match", "\"b\"")], GO),
        (&[("if-modified-since", SAME)], HAS),
        (&[("if-modified-since", BEFORE)], GO),
        (&[("if-modified-since", "yesterday")], GO),
        (&[("if-unmodified-since", SAME)], GO),
        (&[("if-unmodified-since", BEFORE)], Outcome::Failed("If-Unmodified-Since")),
        // S3: If-Match true and If-Unmodified-Since false: 200.
        (&[("if-match", "\"a\""), ("if-unmodified-since", BEFORE)], GO),
        // S3: If-None-Match false and If-Modified-Since true: 304.
        (&[("if-none-match", "\"a\""), ("if-modified-since", BEFORE)], HAS),
        (&[("if-none-match", "\"b\""), ("if-modified-since", AFTER)], GO),
        (&[("if-match", "\"b\""), ("if-none-match", "\"a\"")], Outcome::Failed("If-Match")),
    ];
    for (fields, expected) in cases {
        let conditions = ReadConditions::parse(Headers::new(fields));
        assert_eq!(conditions.evaluate(&OBJECT), expected, "{fields:?}");
        assert_eq!(conditions.is_empty(), fields.is_empty() || fields[0].1 == "yesterday");
    }
    assert_eq!(HAS.error(), None);
    let error = Outcome::Failed("If-Match").error().unwrap();
    assert_eq!(error.fields()[0], ("Condition", "If-Match".to_owned()));
}

#[test]
fn a_source_fails_with_412() {
    let cases: [(Fields, Option<&str>); 6] = [
        (&[("if-match", "\"b\"")], None),
        (&[("x-amz-copy-source-if-match", "\"a\"")], None),
        (&[("x-amz-copy-source-if-match", "b")], Some("x-amz-copy-source-If-Match")),
        (&[("x-amz-copy-source-if-none-match", "a")], Some("x-amz-copy-source-If-None-Match")),
        (
            &[("x-amz-copy-source-if-modified-since", SAME)],
            Some("x-amz-copy-source-If-Modified-Since"),
        ),
        (
            &[("x-amz-copy-source-if-unmodified-since", BEFORE)],
            Some("x-amz-copy-source-If-Unmodified-Since"),
        ),
    ];
    for (fields, expected) in cases {
        let found = ReadConditions::parse_source(Headers::new(fields)).evaluate_source(&OBJECT);
        match (found, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(condition)) => {
                assert_eq!(error.code(), ErrorCode::PreconditionFailed);
                assert_eq!(error.fields()[0].1, condition);
            }
            (found, _) => unreachable!("{fields:?}: {found:?}"),
        }
    }
}

#[test]
fn writes_know_two_conditions() {
    let cases: [(Fields, Option<WriteCondition>); 11] = [
        (&[], Some(WriteCondition::Always)),
        (&[("if-none-match", "*")], Some(WriteCondition::Absent)),
        (&[("if-match", "\"a\"")], Some(WriteCondition::Matches("a".to_owned()))),
        (&[("if-match", "a-3")], Some(WriteCondition::Matches("a-3".to_owned()))),
        (&[("if-match", "*")], Some(WriteCondition::Present)),
        (&[("if-none-match", "\"a\"")], None),
        (&[("if-match", "\"a\", \"b\"")], None),
        (&[("if-match", "W/\"a\"")], None),
        (&[("if-match", "")], None),
        (&[("if-match", "\"a\""), ("if-none-match", "*")], None),
        (&[("if-unmodified-since", SAME)], None),
    ];
    for (fields, expected) in cases {
        match (WriteCondition::parse(Headers::new(fields)), expected) {
            (Ok(found), Some(expected)) => assert_eq!(found, expected, "{fields:?}"),
            (Err(error), None) => assert_eq!(error.code(), ErrorCode::NotImplemented),
            (found, _) => unreachable!("{fields:?}: {found:?}"),
        }
    }
    let none = [("if-none-match", "*")];
    WriteCondition::parse_delete(Headers::new(&none)).unwrap_err();
    let size = [("x-amz-if-match-size", "1")];
    WriteCondition::parse_delete(Headers::new(&size)).unwrap_err();
}

#[test]
fn if_range_needs_the_same_object() {
    for (value, expected) in [
        (None, true),
        (Some("\"a\""), true),
        (Some("a"), true),
        (Some("W/\"a\""), false),
        (Some("\"b\""), false),
        (Some("*"), false),
        (Some(SAME), true),
        (Some(BEFORE), false),
        (Some(AFTER), false),
    ] {
        assert_eq!(range_holds(value, &OBJECT), expected, "{value:?}");
    }
}

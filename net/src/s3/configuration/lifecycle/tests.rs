use super::*;

fn read(rules: &str) -> Result<Lifecycle, ErrorCode> {
    let body = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
    Lifecycle::read(body.as_bytes()).map_err(|error| error.code())
}

fn rule(inside: &str) -> String {
    format!("<Rule><Status>Enabled</Status>{inside}</Rule>")
}

const DAYS: &str = "<Expiration><Days>1</Days></Expiration>";
const PREFIX: &str = "<Filter><Prefix>dir/</Prefix></Filter>";

#[test]
fn documents_come_back() {
    for inside in [
        format!("<ID>a</ID>{PREFIX}{DAYS}"),
        format!("<Prefix/>{DAYS}"),
        format!("<Filter/>{DAYS}"),
        format!("<Filter><Tag><Key>a</Key><Value>1</Value></Tag></Filter>{DAYS}"),
        format!(
            "<Filter><And><Prefix>p</Prefix><Tag><Key>a</Key><Value>1</Value></Tag>\
             <ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>\
             <ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>{DAYS}"
        ),
        format!("{PREFIX}<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>"),
        format!(
            "{PREFIX}<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>\
             </Expiration><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays>\
             <NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>\
             <AbortIncompleteMultipartUpload><DaysAfterInitiation>4</DaysAfterInitiation>\
             </AbortIncompleteMultipartUpload>"
        ),
    ] {
        let mut lifecycle = read(&rule(&inside)).unwrap();
        lifecycle.name_rules(|| "given".to_owned());
        assert!(!lifecycle.rules[0].id.is_empty());
        assert_eq!(Lifecycle::read(&lifecycle.document()), Ok(lifecycle), "{inside}");
    }
}

#[test]
fn what_no_rule_is_is_refused() {
    let long = "x".repeat(256);
    for (rules, code) in [
        (String::new(), ErrorCode::MalformedXML),
        (rule(DAYS), ErrorCode::MalformedXML),
        (rule(&format!("{PREFIX}<Prefix/>{DAYS}")), ErrorCode::MalformedXML),
        (rule(PREFIX), ErrorCode::InvalidRequest),
        (rule(&format!("<ID>{long}</ID>{PREFIX}{DAYS}")), ErrorCode::InvalidArgument),
        (rule(&format!("<ID>a</ID>{PREFIX}{DAYS}")).repeat(2), ErrorCode::InvalidArgument),
        (rule(&format!("{PREFIX}{}", DAYS.replace('1', "0"))), ErrorCode::InvalidArgument),
        (rule(&format!("{PREFIX}{}", DAYS.replace('1', "-1"))), ErrorCode::InvalidArgument),
        (
            rule(&format!("{PREFIX}<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>")),
            ErrorCode::InvalidArgument,
        ),
        (
            rule(&format!("{PREFIX}<Expiration><Date>soon</Date></Expiration>")),
            ErrorCode::MalformedXML,
        ),
        (rule(&format!("{PREFIX}{DAYS}")).replace("Enabled", "enabled"), ErrorCode::MalformedXML),
        (
            rule(&format!("{PREFIX}<Transition><Days>1</Days></Transition>")),
            ErrorCode::MalformedXML,
        ),
        (
            rule(
                "<Filter><Tag><Key>a</Key><Value>1</Value></Tag></Filter><AbortIncompleteMultipartUpload>\
                 <DaysAfterInitiation>4</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
            ),
            ErrorCode::InvalidRequest,
        ),
    ] {
        assert_eq!(read(&rules), Err(code), "{rules}");
    }
}

#[test]
fn days_end_at_midnight_and_the_first_rule_that_is_due_counts() {
    let rules = rule(&format!("<ID>two</ID>{PREFIX}{}", DAYS.replace('1', "2")))
        + &rule(&format!("<ID>one</ID><Filter/>{DAYS}"))
        + &rule(&format!("<ID>off</ID><Filter/>{DAYS}")).replace("Enabled", "Disabled");
    let lifecycle = read(&rules).unwrap();
    let about = About { key: "dir/k", tags: &[], size_bytes: 5, since_ms: DAY_MS / 2 };
    let (due_ms, rule) = lifecycle.expiry(&about).unwrap();
    assert_eq!((due_ms, rule.id.as_str()), (2 * DAY_MS, "one"));
}

#[test]
fn filters_must_all_fit() {
    let lifecycle = read(&rule(&format!(
        "<Filter><And><Prefix>p</Prefix><Tag><Key>a</Key><Value>1</Value></Tag>\
         <ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter>{DAYS}"
    )))
    .unwrap();
    let tags = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())];
    let about = About { key: "pk", tags: &tags, size_bytes: 6, since_ms: 0 };
    assert!(lifecycle.expiry(&about).is_some());
    for other in [
        About { key: "k", ..about },
        About { tags: &tags[1..], ..about },
        About { size_bytes: 5, ..about },
    ] {
        assert!(lifecycle.expiry(&other).is_none(), "{other:?}");
    }
}

#[test]
fn noncurrent_versions_go_by_age_but_the_newest_stay() {
    let lifecycle = read(&rule(
        "<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>\
         <NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
    ))
    .unwrap();
    let about = About { key: "k", tags: &[], size_bytes: 0, since_ms: 0 };
    for (newer, now_ms, goes) in
        [(2, 2 * DAY_MS, true), (1, 2 * DAY_MS, false), (2, 2 * DAY_MS - 1, false)]
    {
        assert_eq!(lifecycle.ends_noncurrent(&about, newer, now_ms), goes, "{newer} {now_ms}");
    }
    assert!(!lifecycle.ends_marker(&about, i64::MAX));
    assert!(!lifecycle.ends_upload("k", 0, i64::MAX));
}

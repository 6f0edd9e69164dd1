use super::*;

fn document(rules: &[&str]) -> String {
    format!("<NotificationConfiguration>{}</NotificationConfiguration>", rules.concat())
}

fn queue(inside: &str) -> String {
    format!(
        "<QueueConfiguration><Queue>arn:anode:sqs::one:webhook</Queue>{inside}</QueueConfiguration>"
    )
}

fn filter(name: &str, value: &str) -> String {
    format!(
        "<Filter><S3Key><FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule></S3Key></Filter>"
    )
}

fn read(rules: &[&str]) -> Result<Notification, Error> {
    Notification::read(document(rules).as_bytes())
}

#[test]
fn events_are_sorted_and_all_that_happens_is_among_them() {
    assert!(EVENTS.is_sorted_by(|one, next| one < next));
    for occurrence in Occurrence::ALL {
        assert!(event(occurrence.event()).is_ok(), "{occurrence:?}");
        assert_eq!(format!("s3:{}", occurrence.name()), occurrence.event());
    }
}

#[test]
fn a_rule_is_found_by_its_event_and_filter() {
    let created = queue(
        "<Id>a</Id><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>Prefix</Name>\
         <Value>in/</Value></FilterRule><FilterRule><Name>suffix</Name><Value>.jpg</Value></FilterRule>\
         </S3Key></Filter>",
    );
    let removed =
        queue("<Id>b</Id><Event>s3:ObjectRemoved:Delete</Event><Event>s3:ObjectAcl:Put</Event>");
    let found = read(&[&created, &removed]).unwrap();
    let id = |occurrence, key| found.rule_of(occurrence, key).map(|rule| rule.id.as_str());
    for (occurrence, key, expected) in [
        (Occurrence::Put, "in/x.jpg", Some("a")),
        (Occurrence::CompleteMultipartUpload, "in/.jpg", Some("a")),
        (Occurrence::Put, "in/x.png", None),
        (Occurrence::Put, "out/x.jpg", None),
        (Occurrence::Delete, "out", Some("b")),
        (Occurrence::AclPut, "in/x.jpg", Some("b")),
        (Occurrence::DeleteMarkerCreated, "out", None),
        (Occurrence::Expired, "out", None),
        (Occurrence::TaggingPut, "in/x.jpg", None),
    ] {
        assert_eq!(id(occurrence, key), expected, "{occurrence:?} {key}");
    }
    assert_eq!(Notification::read(&found.document()).unwrap(), found);
}

#[test]
fn a_target_may_be_called_anything_and_shows_as_it_was_sent() {
    for (element, child, arn) in [
        ("TopicConfiguration", "Topic", "arn:minio:sqs:us-east-1:a_b-1:webhook"),
        ("QueueConfiguration", "Queue", "arn:anode:sqs::a_b-1:webhook"),
        ("CloudFunctionConfiguration", "CloudFunction", "arn:anode:sqs:eu:a_b-1:webhook"),
    ] {
        let rule = format!(
            "<{element}><Id>i</Id><{child}>{arn}</{child}><Event>s3:ObjectCreated:Put</Event></{element}>"
        );
        let found = read(&[&rule]).unwrap();
        assert_eq!(found.rules[0].target.name, "a_b-1");
        let shown = found.document();
        assert!(std::str::from_utf8(&shown).unwrap().contains(&rule), "{shown:?}");
    }
}

#[test]
fn rules_without_a_name_get_one() {
    let rule = |event: &str| queue(&format!("<Event>{event}</Event>"));
    let mut found = read(&[&rule("s3:ObjectCreated:Put"), &rule("s3:ObjectCreated:Copy")]).unwrap();
    let mut count = 0;
    found.name_rules(|| {
        count += 1;
        format!("made-{count}")
    });
    let ids: Vec<&str> = found.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["made-1", "made-2"]);
}

#[test]
fn what_would_be_told_twice_is_refused() {
    let rule = |events: &[&str], filter: &str| {
        let events: Vec<_> = events.iter().map(|event| format!("<Event>{event}</Event>")).collect();
        queue(&format!("{}{filter}", events.concat()))
    };
    let (put, all) = ("s3:ObjectCreated:Put", "s3:ObjectCreated:*");
    let (prefix, suffix) =
        (|text: &str| filter("prefix", text), |text: &str| filter("suffix", text));
    for (one, other, message) in [
        (rule(&[put], ""), rule(&[put], ""), "Configurations overlap."),
        (rule(&[all], ""), rule(&[put], ""), "Configurations overlap."),
        (rule(&[put], ""), rule(&[all], &prefix("a")), "Configuration is ambiguously"),
        (rule(&[put], &prefix("a")), rule(&[put], &prefix("ab")), "Configuration is ambiguously"),
        (rule(&[put], &suffix("bc")), rule(&[put], &suffix("c")), "Configuration is ambiguously"),
        (rule(&[put], &prefix("a")), rule(&[put], &suffix("c")), "Configuration is ambiguously"),
    ] {
        let error = read(&[&one, &other]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert!(error.message().starts_with(message), "{error}");
    }
    for (one, other) in [
        (rule(&[put], ""), rule(&["s3:ObjectCreated:Copy"], "")),
        (rule(&[put], &prefix("a")), rule(&[put], &prefix("b"))),
        (rule(&[put], &suffix("a")), rule(&[put], &suffix("b"))),
        (rule(&[all], ""), rule(&["s3:ObjectRemoved:*"], "")),
    ] {
        assert!(read(&[&one, &other]).is_ok(), "{one} {other}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let event = "<Event>s3:ObjectCreated:Put</Event>";
    let arn =
        |arn: &str| format!("<QueueConfiguration><Queue>{arn}</Queue>{event}</QueueConfiguration>");
    let long = "x".repeat(1025);
    let twice = "<Filter><S3Key><FilterRule><Name>prefix</Name><Value>a</Value></FilterRule><FilterRule>\
                 <Name>Prefix</Name><Value>b</Value></FilterRule></S3Key></Filter>";
    for (rule, code) in [
        (queue("<Event>s3:ObjectCreated:Nothing</Event>"), ErrorCode::InvalidArgument),
        (queue("<Event>s3:TestEvent</Event>"), ErrorCode::InvalidArgument),
        (queue(&format!("{event}{}", filter("infix", "a"))), ErrorCode::InvalidArgument),
        (queue(&format!("{event}{}", filter("prefix", &long))), ErrorCode::InvalidArgument),
        (queue(&format!("{event}{twice}")), ErrorCode::InvalidArgument),
        (queue(&format!("<Id>{}</Id>{event}", "i".repeat(256))), ErrorCode::InvalidArgument),
        (arn("arn:aws:sqs:us-east-1:123456789012:queue"), ErrorCode::InvalidArgument),
        (arn("arn:anode:sqs::one:kafka"), ErrorCode::InvalidArgument),
        (arn("arn:anode:sqs:::webhook"), ErrorCode::InvalidArgument),
        (arn("arn:anode:sqs::one:webhook:x"), ErrorCode::InvalidArgument),
        (queue(""), ErrorCode::MalformedXML),
        (format!("<QueueConfiguration>{event}</QueueConfiguration>"), ErrorCode::MalformedXML),
        ("<Unknown/>".to_owned(), ErrorCode::MalformedXML),
        ("<EventBridgeConfiguration/>".to_owned(), ErrorCode::NotImplemented),
    ] {
        assert_eq!(read(&[&rule]).unwrap_err().code(), code, "{rule}");
    }
    let named = |event: &str| queue(&format!("<Id>i</Id><Event>{event}</Event>"));
    let twins = [&named("s3:ObjectCreated:Put")[..], &named("s3:ObjectRemoved:Delete")];
    assert_eq!(read(&twins).unwrap_err().code(), ErrorCode::InvalidArgument);
    let many = vec!["<QueueConfiguration/>"; 101];
    read(&many).unwrap_err();
}

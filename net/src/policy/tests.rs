//! Decisions by table; refusals of what is not understood.

use std::net::IpAddr;

use super::*;
use crate::s3::error::ErrorCode;
use crate::s3::query::Query;
use crate::s3::request::Headers;

mod differential;
mod table;

const ACCOUNT: &str = "123456789012";

struct Asked<'a> {
    account: Option<&'a str>,
    arn: Option<&'a str>,
    action: &'a str,
    resource: &'a str,
    query: &'a str,
    headers: &'a [(&'a str, &'a str)],
    source: &'a str,
    tags: &'a [(&'a str, &'a str)],
    new_tags: &'a [(&'a str, &'a str)],
}

impl Default for Asked<'_> {
    fn default() -> Self {
        Self {
            account: None,
            arn: None,
            action: "s3:GetObject",
            resource: "arn:aws:s3:::b/dir/key",
            query: "",
            headers: &[],
            source: "10.1.2.3",
            tags: &[],
            new_tags: &[],
        }
    }
}

fn pairs(tags: &[(&str, &str)]) -> Vec<(String, String)> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Asked<'_> {
    fn decide(&self, policy: &Policy) -> Decision {
        let query = Query::parse(self.query).unwrap();
        let facts = Facts {
            sender: self.account.map(|account| Sender {
                account,
                canonical: "75aa57f0",
                arn: self.arn.unwrap_or("arn:aws:iam::123456789012:root"),
                user_id: "AIDAX",
                user_name: Some("alice"),
                kind: match self.arn {
                    None => SenderKind::Root,
                    Some(arn) if arn.contains(":user/") => SenderKind::User,
                    Some(_) => SenderKind::Session,
                },
            }),
            federated: None,
            owner: ACCOUNT,
            source: Some(self.source.parse::<IpAddr>().unwrap()),
            is_secure: false,
            now_seconds: 1_767_225_600, // 2026-01-01T00:00:00Z
            headers: Headers::new(self.headers),
            query: &query,
            version: None,
            tags: &pairs(self.tags),
            new_tags: &pairs(self.new_tags),
            context: &[],
        };
        let question = Question { action: self.action, resource: self.resource, facts: &facts };
        policy.decide(&question)
    }
}

fn policy(statements: &str) -> Policy {
    Policy::read(
        format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}").as_bytes(),
        "b",
    )
    .unwrap_or_else(|error| unreachable!("{error}: {statements}"))
}

const ALLOW: &str =
    r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#;

fn allow_when(condition: &str) -> Policy {
    policy(&format!("{{{ALLOW},\"Condition\":{condition}}}"))
}

#[test]
fn an_explicit_deny_wins_whatever_the_order() {
    let allow = format!("{{{ALLOW}}}");
    let deny = allow.replace("Allow", "Deny").replace("b/*", "b/dir/*");
    for statements in [format!("{allow},{deny}"), format!("{deny},{allow}")] {
        let policy = policy(&statements);
        assert_eq!(Asked::default().decide(&policy), Decision::Denied);
        let other = Asked { resource: "arn:aws:s3:::b/key", ..Asked::default() };
        assert_eq!(other.decide(&policy), Decision::Allowed);
        let put = Asked { action: "s3:PutObject", ..Asked::default() };
        assert_eq!(put.decide(&policy), Decision::Silent);
    }
}

#[test]
fn statements_are_about_what_they_name() {
    let root = format!("arn:aws:iam::{ACCOUNT}:root");
    for (principal, account, applies) in [
        (r#""Principal":"*""#.to_owned(), None, true),
        (r#""Principal":{"AWS":"*"}"#.to_owned(), None, true),
        (format!(r#""Principal":{{"AWS":"{root}"}}"#), None, false),
        (format!(r#""Principal":{{"AWS":"{root}"}}"#), Some(ACCOUNT), true),
        (format!(r#""Principal":{{"AWS":["210987654321","{ACCOUNT}"]}}"#), Some(ACCOUNT), true),
        (r#""Principal":{"AWS":"210987654321"}"#.to_owned(), Some(ACCOUNT), false),
        (r#""Principal":{"CanonicalUser":"75aa57f0"}"#.to_owned(), Some(ACCOUNT), true),
        (r#""Principal":{"CanonicalUser":"75aa57f0"}"#.to_owned(), None, false),
        (format!(r#""NotPrincipal":{{"AWS":"{root}"}}"#), Some(ACCOUNT), false),
        (format!(r#""NotPrincipal":{{"AWS":"{root}"}}"#), None, true),
        (r#""Principal":{"Service":"logging.s3.amazonaws.com"}"#.to_owned(), None, false),
    ] {
        let statement = format!("{{{}}}", ALLOW.replace(r#""Principal":"*""#, &principal));
        let asked = Asked { account, ..Asked::default() };
        let is_allowed = asked.decide(&policy(&statement)) == Decision::Allowed;
        assert_eq!(is_allowed, applies, "{principal} {account:?}");
    }
    for (action, applies) in [
        (r#""Action":"s3:*""#, true),
        (r#""Action":"*""#, true),
        (r#""Action":"S3:getobject""#, true),
        (r#""Action":["s3:PutObject","s3:Get?bject"]"#, true),
        (r#""Action":"s3:GetObjectVersion""#, false),
        (r#""NotAction":"s3:PutObject""#, true),
        (r#""NotAction":"s3:Get*""#, false),
    ] {
        let statement = format!("{{{}}}", ALLOW.replace(r#""Action":"s3:GetObject""#, action));
        let is_allowed = Asked::default().decide(&policy(&statement)) == Decision::Allowed;
        assert_eq!(is_allowed, applies, "{action}");
    }
    for (resource, applies) in [
        (r#""Resource":"arn:aws:s3:::b/dir/key""#, true),
        (r#""Resource":"arn:aws:s3:::b/dir""#, false),
        (r#""Resource":"arn:aws:s3:::b""#, false),
        (r#""Resource":["arn:aws:s3:::b/x","arn:aws:s3:::*/dir/*"]"#, true),
        (r#""NotResource":"arn:aws:s3:::b/dir/*""#, false),
        (r#""NotResource":"arn:aws:s3:::b/x""#, true),
        (r#""Resource":"arn:aws:s3:::b/${aws:SourceIp}/*""#, false),
    ] {
        let statement =
            format!("{{{}}}", ALLOW.replace(r#""Resource":"arn:aws:s3:::b/*""#, resource));
        let is_allowed = Asked::default().decide(&policy(&statement)) == Decision::Allowed;
        assert_eq!(is_allowed, applies, "{resource}");
    }
}

#[test]
fn conditions_hold_as_iam_says() {
    for (condition, holds) in [
        (r#"{"StringEquals":{"s3:prefix":"a"}}"#, true),
        (r#"{"StringEquals":{"s3:prefix":["x","a"]}}"#, true),
        (r#"{"StringEquals":{"s3:prefix":"A"}}"#, false),
        (r#"{"StringEqualsIgnoreCase":{"s3:prefix":"A"}}"#, true),
        (r#"{"StringNotEqualsIgnoreCase":{"s3:prefix":"A"}}"#, false),
        (r#"{"StringNotEquals":{"s3:prefix":"b"}}"#, true),
        (r#"{"StringNotEquals":{"s3:prefix":["b","a"]}}"#, false),
        (r#"{"StringNotEquals":{"s3:delimiter":"b"}}"#, true),
        (r#"{"StringEquals":{"s3:delimiter":"b"}}"#, false),
        (r#"{"StringEqualsIfExists":{"s3:delimiter":"b"}}"#, true),
        (r#"{"StringEqualsIfExists":{"s3:prefix":"b"}}"#, false),
        (r#"{"StringLike":{"s3:prefix":"?"}}"#, true),
        (r#"{"StringLike":{"s3:prefix":"a?"}}"#, false),
        (r#"{"StringNotLike":{"s3:prefix":"b*"}}"#, true),
        (r#"{"NumericEquals":{"s3:max-keys":"7"}}"#, true),
        (r#"{"NumericNotEquals":{"s3:max-keys":7}}"#, false),
        (r#"{"NumericLessThan":{"s3:max-keys":"7"}}"#, false),
        (r#"{"NumericLessThanEquals":{"s3:max-keys":"7.0"}}"#, true),
        (r#"{"NumericGreaterThan":{"s3:max-keys":6}}"#, true),
        (r#"{"NumericGreaterThanEquals":{"s3:max-keys":8}}"#, false),
        (r#"{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:01Z"}}"#, true),
        (r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01"}}"#, false),
        (r#"{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-01-01"}}"#, true),
        (r#"{"DateEquals":{"aws:EpochTime":"1767225600"}}"#, true),
        (r#"{"DateNotEquals":{"aws:EpochTime":"1767225600"}}"#, false),
        (r#"{"Bool":{"aws:SecureTransport":"false"}}"#, true),
        (r#"{"Bool":{"aws:SecureTransport":true}}"#, false),
        (r#"{"IpAddress":{"aws:SourceIp":"10.1.0.0/16"}}"#, true),
        (r#"{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","2001:db8::/32"]}}"#, false),
        (r#"{"NotIpAddress":{"aws:SourceIp":"10.1.2.3"}}"#, false),
        (r#"{"NotIpAddress":{"aws:SourceIp":"10.1.2.4/31"}}"#, true),
        (r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#, true),
        (r#"{"Null":{"s3:prefix":"false"}}"#, true),
        (r#"{"Null":{"s3:prefix":"true"}}"#, false),
        (r#"{"Null":{"s3:delimiter":true}}"#, true),
        (r#"{"StringEquals":{"s3:ExistingObjectTag/Team":"blue"}}"#, true),
        (r#"{"StringEquals":{"s3:ExistingObjectTag/team":"blue"}}"#, false),
        (r#"{"StringEquals":{"S3:existingobjecttag/Team":"blue"}}"#, true),
        (r#"{"StringEquals":{"s3:RequestObjectTag/a":"1"}}"#, true),
        (r#"{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a","b","c"]}}"#, true),
        (r#"{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a"]}}"#, false),
        (r#"{"ForAllValues:StringEquals":{"s3:delimiter":["a"]}}"#, true),
        (r#"{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["a","x"]}}"#, true),
        (r#"{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["x"]}}"#, false),
        (r#"{"ForAnyValue:StringEquals":{"s3:delimiter":["x"]}}"#, false),
        (r#"{"StringLike":{"aws:Referer":"http://www.example.com/*"}}"#, true),
        (r#"{"StringEquals":{"aws:PrincipalType":"Anonymous"}}"#, true),
        (r#"{"StringEquals":{"aws:PrincipalAccount":"123456789012"}}"#, false),
        (r#"{"StringEquals":{"aws:ResourceAccount":"123456789012"}}"#, true),
        (r#"{"StringEquals":{"s3:prefix":"${s3:prefix}"}}"#, true),
        (r#"{"StringEquals":{"s3:prefix":"${s3:delimiter}"}}"#, false),
        (r#"{"StringEquals":{"s3:prefix":"${s3:delimiter, 'a'}"}}"#, true),
        (r#"{"StringLike":{"s3:prefix":"${*}"}}"#, false),
        (r#"{"StringLike":{"aws:UserAgent":"${*}"}}"#, true),
        (r#"{"StringLike":{"s3:prefix":"${aws:UserAgent}"}}"#, false),
        (r#"{"StringLike":{"s3:prefix":"${s3:prefix}*"}}"#, true),
        (r#"{"StringEquals":{"s3:prefix":"a","s3:max-keys":"8"}}"#, false),
        (r#"{"StringEquals":{"s3:prefix":"a"},"NumericEquals":{"s3:max-keys":"7"}}"#, true),
    ] {
        let asked = Asked {
            query: "prefix=a&max-keys=7",
            headers: &[("referer", "http://www.example.com/page"), ("user-agent", "*")],
            tags: &[("Team", "blue")],
            new_tags: &[("a", "1"), ("b", "2")],
            ..Asked::default()
        };
        let is_allowed = asked.decide(&allow_when(condition)) == Decision::Allowed;
        assert_eq!(is_allowed, holds, "{condition}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let with = |from: &str, to: &str| format!("{{\"Statement\":{{{}}}}}", ALLOW.replace(from, to));
    let resource = r#""arn:aws:s3:::b/*""#;
    for text in [
        String::new(),
        format!("{{\"Statement\":{{{ALLOW}}},\"Statement\":{{{ALLOW}}}}}"),
        with(
            resource,
            r#""arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"},"Bool":{"aws:SecureTransport":"false"}}"#,
        ),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"Statement":[]}"#.to_owned(),
        r#"{"Version":"2020-01-01","Statement":[]}"#.to_owned(),
        format!("{{\"Extra\":1,\"Statement\":{{{ALLOW}}}}}"),
        format!("{{\"Statement\":[{{\"Sid\":\"a\",{ALLOW}}},{{\"Sid\":\"a\",{ALLOW}}}]}}"),
        with(r#""Effect":"Allow","#, ""),
        with("Allow", "Maybe"),
        with(r#""Principal":"*","#, ""),
        with(r#""Principal":"*""#, r#""Principal":"somebody""#),
        with(r#""Principal":"*""#, r#""Principal":{"AWS":"arn:aws:iam::12:root"}"#),
        with(r#""Principal":"*""#, r#""Principal":{"Nobody":"*"}"#),
        with(r#""Principal":"*""#, r#""Principal":"*","NotPrincipal":"*""#),
        with("s3:GetObject", "ec2:RunInstances"),
        with("s3:GetObject", "s3:"),
        with(resource, r#""arn:aws:s3:::other/*""#),
        with(resource, r#""b/*""#),
        with(resource, "[]"),
        with(resource, r#""arn:aws:s3:::b/*","Condition":{"StringIs":{"s3:prefix":"a"}}"#),
        with(resource, r#""arn:aws:s3:::b/*","Condition":{"StringEquals":{"s3:unknown":"a"}}"#),
        with(
            resource,
            r#""arn:aws:s3:::b/*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}"#,
        ),
        with(
            resource,
            r#""arn:aws:s3:::b/*","Condition":{"NumericEquals":{"s3:max-keys":"many"}}"#,
        ),
        with(
            resource,
            r#""arn:aws:s3:::b/*","Condition":{"DateEquals":{"aws:CurrentTime":"soon"}}"#,
        ),
        with(resource, r#""arn:aws:s3:::b/*","Condition":{"NullIfExists":{"s3:prefix":"true"}}"#),
        with(
            resource,
            r#""arn:aws:s3:::b/*","Condition":{"ForSome:StringEquals":{"s3:prefix":"a"}}"#,
        ),
        with("s3:GetObject", &format!("s3:{}", "x".repeat(POLICY_BYTES_MAX))),
    ] {
        let code = Policy::read(text.as_bytes(), "b").map(|_| ()).map_err(|error| error.code());
        assert_eq!(code, Err(ErrorCode::MalformedPolicy), "{text}");
    }
}

#[test]
fn public_is_what_anybody_can_use() {
    let narrow = r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#;
    for (policy, public) in [
        (policy(&format!("{{{ALLOW}}}")), true),
        (policy(&format!("{{{}}}", ALLOW.replace("Allow", "Deny"))), false),
        (policy(&format!("{{{}}}", ALLOW.replace("\"*\"", "{\"AWS\":\"123456789012\"}"))), false),
        (allow_when(narrow), false),
        (allow_when(&narrow.replace("192.0.2.0/24", "0.0.0.0/1")), true),
        (allow_when(r#"{"StringEquals":{"aws:PrincipalAccount":"123456789012"}}"#), false),
        (allow_when(r#"{"StringNotEquals":{"aws:PrincipalAccount":"123456789012"}}"#), true),
        (allow_when(r#"{"StringLike":{"aws:Referer":"http://a/*"}}"#), true),
        (allow_when(r#"{"Null":{"aws:PrincipalArn":"true"}}"#), true),
        (
            allow_when(r#"{"ForAllValues:StringEquals":{"aws:PrincipalAccount":"123456789012"}}"#),
            true,
        ),
        (allow_when(r#"{"IpAddress":{"aws:SourceIp":"${aws:SourceIp}"}}"#), true),
    ] {
        assert_eq!(policy.is_public(), public, "{}", policy.text());
    }
}

// "Delegating to an account" and "Session principals" of IAM's user guide.
#[test]
fn an_account_that_is_named_says_itself_who_of_it_may() {
    let (user, session) = (
        "arn:aws:iam::123456789012:user/a/alice",
        "arn:aws:sts::123456789012:assumed-role/reader/s1",
    );
    for (principal, arn, expected) in [
        (ACCOUNT, None, Decision::Allowed),
        (ACCOUNT, Some(user), Decision::AllowedToAccount),
        ("arn:aws:iam::123456789012:root", Some(session), Decision::AllowedToAccount),
        (user, Some(user), Decision::Allowed),
        (user, None, Decision::Silent),
        (user, Some(session), Decision::Silent),
        (session, Some(session), Decision::Allowed),
        ("arn:aws:iam::123456789012:role/path/reader", Some(session), Decision::Allowed),
        ("arn:aws:iam::123456789012:role/writer", Some(session), Decision::Silent),
        ("arn:aws:iam::210987654321:role/reader", Some(session), Decision::Silent),
        ("*", Some(user), Decision::Allowed),
    ] {
        let allow = ALLOW.replace("\"*\"", &format!("{{\"AWS\":\"{principal}\"}}"));
        let asked = Asked { account: Some(ACCOUNT), arn, ..Asked::default() };
        assert_eq!(asked.decide(&policy(&format!("{{{allow}}}"))), expected, "{principal} {arn:?}");
        let deny = allow.replace("Allow", "Deny");
        let is_denied = asked.decide(&policy(&format!("{{{deny}}}"))) == Decision::Denied;
        assert_eq!(is_denied, expected != Decision::Silent, "{principal} {arn:?}");
    }
}

#[test]
fn policies_of_identities_and_of_trust_have_their_own_elements() {
    let own = r#"{"Statement":{"Effect":"Allow","Action":["s3:*","iam:Get*"],"Resource":"arn:aws:s3:::${aws:username}/*"}}"#;
    let policy = Policy::parse_identity(own).unwrap();
    let alice =
        Asked { account: Some(ACCOUNT), resource: "arn:aws:s3:::alice/k", ..Asked::default() };
    assert_eq!(alice.decide(&policy), Decision::Allowed);
    let other = Asked { resource: "arn:aws:s3:::bob/k", ..alice };
    assert_eq!(other.decide(&policy), Decision::Silent);
    let trust = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#;
    Policy::parse_trust(trust).unwrap();
    for (reads, text) in [
        (Policy::parse_identity as fn(&str) -> Result<Policy, crate::s3::Error>, trust),
        (Policy::parse_trust, own),
        (Policy::parse, own),
        (
            Policy::parse_trust,
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:Get*"}}"#,
        ),
    ] {
        assert_eq!(reads(text).unwrap_err().code(), ErrorCode::MalformedPolicy, "{text}");
    }
}

#[test]
fn what_two_policies_say_together() {
    use Decision::{Allowed, AllowedToAccount, Denied, Silent};
    for (one, other, joined, narrowed) in [
        (Allowed, Denied, Denied, Denied),
        (Denied, Allowed, Denied, Denied),
        (Denied, Silent, Denied, Denied),
        (Allowed, Silent, Allowed, Silent),
        (Silent, Allowed, Allowed, Silent),
        (Allowed, Allowed, Allowed, Allowed),
        (AllowedToAccount, Silent, AllowedToAccount, Silent),
        (Silent, AllowedToAccount, AllowedToAccount, Silent),
    ] {
        assert_eq!(one.joined(other), joined, "{one:?} {other:?}");
        assert_eq!(one.narrowed(other), narrowed, "{one:?} {other:?}");
    }
}

use super::*;
use crate::s3::error::ErrorCode;
use crate::s3::request::Headers;

const OWNER: &str = "0wner";
const ANOTHER: &str = "an0ther";
const BUCKET_OWNER: &str = "bucket0wner";

struct Known;

impl Accounts for Known {
    fn has(&self, canonical: &str) -> bool {
        [OWNER, ANOTHER, BUCKET_OWNER].contains(&canonical)
    }

    fn of_email(&self, email: &str) -> Option<String> {
        (email == "another@example.com").then(|| ANOTHER.to_owned())
    }
}

fn asked(fields: &[(&str, &str)]) -> Result<Option<Asked>, ErrorCode> {
    Asked::of_headers(Headers::new(fields)).map_err(|error| error.code())
}

fn resolved(fields: &[(&str, &str)], scope: Scope<'_>) -> Result<Acl, ErrorCode> {
    let asked = asked(fields)?.expect("an ACL is asked for");
    asked.resolve(OWNER, scope, &Known).map_err(|error| error.code())
}

/// Grants as a line: who, what.
fn line(acl: &Acl) -> String {
    let pairs = acl.pairs();
    let one = |(grantee, permission): &(String, String)| {
        let short = grantee.rsplit('/').next().unwrap_or_default();
        format!("{short}:{permission}")
    };
    pairs.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn canned_acls_are_expanded() {
    let of_object = Scope::Object { bucket_owner: BUCKET_OWNER };
    for (name, bucket, object) in [
        ("private", "", ""),
        ("public-read", "AllUsers:READ ", "AllUsers:READ "),
        ("public-read-write", "AllUsers:READ AllUsers:WRITE ", "AllUsers:READ AllUsers:WRITE "),
        ("authenticated-read", "AuthenticatedUsers:READ ", "AuthenticatedUsers:READ "),
        ("aws-exec-read", "", ""),
        ("bucket-owner-read", "", "bucket0wner:READ "),
        ("bucket-owner-full-control", "", "bucket0wner:FULL_CONTROL "),
    ] {
        let fields = [("x-amz-acl", name)];
        for (scope, expected) in [(Scope::Bucket, bucket), (of_object, object)] {
            let acl = resolved(&fields, scope).unwrap();
            assert_eq!(line(&acl), format!("{expected}0wner:FULL_CONTROL"), "{name}");
            assert_eq!(acl.is_public(), expected.contains("Users:"), "{name}");
            assert_eq!(acl.is_private(), expected.is_empty(), "{name}");
        }
        let own = resolved(&fields, Scope::Object { bucket_owner: OWNER }).unwrap();
        assert_eq!(line(&own), format!("{bucket}0wner:FULL_CONTROL"), "{name}");
    }
    let delivery = [("x-amz-acl", "log-delivery-write")];
    let acl = resolved(&delivery, Scope::Bucket).unwrap();
    assert_eq!(line(&acl), "LogDelivery:WRITE LogDelivery:READ_ACP 0wner:FULL_CONTROL");
    assert!(!acl.is_public());
    assert_eq!(resolved(&delivery, of_object), Err(ErrorCode::InvalidArgument));
}

#[test]
fn headers_grant_in_a_fixed_order_and_the_owner_nothing() {
    let fields = [
        ("x-amz-grant-full-control", "id=an0ther"),
        ("x-amz-grant-write-acp", "id=\"0wner\", emailAddress=\"another@example.com\""),
        ("x-amz-grant-read", "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\""),
        ("x-amz-grant-read-acp", ""),
    ];
    let acl = resolved(&fields, Scope::Bucket).unwrap();
    let expected = "AllUsers:READ 0wner:WRITE_ACP an0ther:WRITE_ACP an0ther:FULL_CONTROL";
    assert_eq!((line(&acl).as_str(), acl.owner.as_str()), (expected, OWNER));
    assert_eq!(Acl::of_pairs(OWNER, &acl.pairs()), acl);
}

#[test]
fn headers_that_ask_for_no_acl_are_refused() {
    let many = vec!["id=0wner"; GRANTS_MAX + 1].join(",");
    for (fields, code) in [
        (&[("x-amz-acl", "world")][..], ErrorCode::InvalidArgument),
        (&[("x-amz-acl", "private"), ("x-amz-grant-read", "id=0wner")], ErrorCode::InvalidRequest),
        (&[("x-amz-grant-read", "0wner")], ErrorCode::InvalidArgument),
        (&[("x-amz-grant-read", "id=")], ErrorCode::InvalidArgument),
        (&[("x-amz-grant-read", "id=\"0wner")], ErrorCode::InvalidArgument),
        (&[("x-amz-grant-read", "id=0wner,")], ErrorCode::InvalidArgument),
        (&[("x-amz-grant-read", "name=0wner")], ErrorCode::InvalidArgument),
        (&[("x-amz-grant-read", "uri=http://example.com/all")], ErrorCode::InvalidArgument),
        (&[("x-amz-grant-all", "id=0wner")], ErrorCode::InvalidArgument),
        (&[("x-amz-grant-read", &many)], ErrorCode::MalformedACLError),
    ] {
        assert_eq!(asked(fields), Err(code), "{fields:?}");
    }
    for (value, code) in [
        ("id=n0body", ErrorCode::InvalidArgument),
        ("emailAddress=nobody@example.com", ErrorCode::UnresolvableGrantByEmailAddress),
    ] {
        assert_eq!(resolved(&[("x-amz-grant-read", value)], Scope::Bucket), Err(code), "{value}");
    }
    assert_eq!(asked(&[("x-amz-acl", ""), ("x-amz-grant-read", "")]), Ok(None));
}

fn document(grants: &str) -> String {
    format!(
        "<AccessControlPolicy><Owner><ID>0wner</ID><DisplayName>x</DisplayName></Owner>\
         <AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
    )
}

fn grant(grantee: &str, permission: &str) -> String {
    format!("<Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant>")
}

#[test]
fn documents_come_back() {
    let everybody = "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>";
    let sent = document(&format!(
        "{}{}{}",
        grant(everybody, "READ"),
        grant("<DisplayName>y</DisplayName><ID>an0ther</ID>", "WRITE_ACP"),
        grant("<EmailAddress>another@example.com</EmailAddress>", "FULL_CONTROL"),
    ));
    let written = Written::read(sent.as_bytes()).unwrap();
    assert_eq!(written.owner, OWNER);
    let acl = Asked::Grants(written.grants).resolve(OWNER, Scope::Bucket, &Known).unwrap();
    assert_eq!(line(&acl), "AllUsers:READ an0ther:WRITE_ACP an0ther:FULL_CONTROL");
    let shown = acl.document(|id| (id == ANOTHER).then_some("Another"));
    assert_eq!(Acl::read(&shown), Ok(acl.clone()));
    let shown = std::str::from_utf8(&shown).unwrap();
    assert!(shown.contains("<Owner><ID>0wner</ID></Owner>"), "{shown}");
    assert!(shown.contains("xsi:type=\"CanonicalUser\"><ID>an0ther</ID><DisplayName>Another<"));
    assert!(shown.contains("xsi:type=\"Group\"><URI>"), "{shown}");
    let nothing = Acl { grants: Vec::new(), ..acl };
    assert_eq!(Acl::read(&nothing.document(|_| None)), Ok(nothing));
}

#[test]
fn what_is_no_acl_is_malformed() {
    let read = |body: &str| Written::read(body.as_bytes()).map_err(|error| error.code());
    let whole = grant("<ID>0wner</ID>", "READ");
    for body in [
        document("<Grant></Grant>"),
        document("<Deny/>"),
        document(&grant("<ID>0wner</ID>", "ALL")),
        document(&grant("<ID>0wner</ID><ID>0wner</ID>", "READ")),
        document(&grant("<DisplayName>0wner</DisplayName>", "READ")),
        document(&whole.repeat(GRANTS_MAX + 1)),
        "<AccessControlPolicy/>".to_owned(),
        "<AccessControlPolicy><Owner/><AccessControlList/></AccessControlPolicy>".to_owned(),
        "<AccessControlPolicy><AccessControlList/></AccessControlPolicy>".to_owned(),
    ] {
        assert_eq!(read(&body), Err(ErrorCode::MalformedACLError), "{body}");
    }
    for body in ["", "<Acl/>", "<AccessControlPolicy>"] {
        assert_eq!(read(body), Err(ErrorCode::MalformedXML), "{body}");
    }
    let unknown = document(&grant("<URI>http://example.com/all</URI>", "READ"));
    assert_eq!(read(&unknown), Err(ErrorCode::InvalidArgument));
    read(&document(&whole.repeat(GRANTS_MAX))).unwrap();
    let address = document(&grant("<EmailAddress>another@example.com</EmailAddress>", "READ"));
    let kept = Acl::read(address.as_bytes()).map_err(|error| error.code());
    assert_eq!(kept, Err(ErrorCode::MalformedACLError));
}

#[test]
fn who_may_what() {
    let acl = Acl {
        owner: OWNER.to_owned(),
        grants: vec![
            Grant::to_group(Group::Everybody, Permission::Read),
            Grant::to_group(Group::Authenticated, Permission::ReadAcp),
            Grant::to_group(Group::LogDelivery, Permission::Write),
            Grant::to_account(ANOTHER, Permission::FullControl),
            Grant::to_account(ANONYMOUS, Permission::WriteAcp),
        ],
    };
    // READ, WRITE, READ_ACP, WRITE_ACP, FULL_CONTROL
    for (account, counts_public, expected) in [
        (None, true, "10010"),
        (None, false, "00010"),
        (Some("stranger"), true, "10100"),
        (Some("stranger"), false, "00000"),
        (Some(OWNER), true, "10110"),
        (Some(OWNER), false, "00110"),
        (Some(ANOTHER), true, "11111"),
        (Some(ANOTHER), false, "11111"),
    ] {
        let requester = Requester { account, counts_public };
        let given = |permission| if acl.gives(&requester, permission) { '1' } else { '0' };
        let found: String = Permission::ALL.into_iter().map(given).collect();
        assert_eq!(found, expected, "{requester:?}");
    }
}

#[test]
fn actions_take_what_aws_says() {
    for (action, need) in [
        ("s3:ListBucket", Some(Need::Bucket(Permission::Read))),
        ("s3:ListBucketVersions", Some(Need::Bucket(Permission::Read))),
        ("s3:PutObject", Some(Need::Bucket(Permission::Write))),
        ("s3:DeleteObject", Some(Need::Bucket(Permission::Write))),
        ("s3:DeleteObjectVersion", None),
        ("s3:GetBucketAcl", Some(Need::Bucket(Permission::ReadAcp))),
        ("s3:PutBucketAcl", Some(Need::Bucket(Permission::WriteAcp))),
        ("s3:GetObject", Some(Need::Object(Permission::Read))),
        ("s3:GetObjectVersion", Some(Need::Object(Permission::Read))),
        ("s3:GetObjectVersionAcl", Some(Need::Object(Permission::ReadAcp))),
        ("s3:PutObjectAcl", Some(Need::Object(Permission::WriteAcp))),
        ("s3:GetObjectTagging", None),
        ("s3:PutBucketPolicy", None),
        ("s3:DeleteBucket", None),
        ("s3:CreateBucket", None),
    ] {
        assert_eq!(Need::of(action), need, "{action}");
    }
}

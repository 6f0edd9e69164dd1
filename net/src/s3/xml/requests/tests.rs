//! Documents as SDKs send them, and as nobody should.

use super::*;
use crate::s3::limits::{KEY_BYTES_MAX, XML_BYTES_MAX};

const NAMESPACE: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code().name(), |_| "")
}

fn keys(delete: &Delete) -> Vec<&str> {
    delete.objects.iter().map(|object| object.key.as_str()).collect()
}

#[test]
fn deletions_are_read() {
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<Delete {NAMESPACE}>\n\
         <Object><Key> a &amp; b&#x1;&lt;&#13;</Key><VersionId>null</VersionId></Object>\n\
         <!-- c --><Other><Deep>x</Deep></Other><Object><Key><![CDATA[<k>]]></Key></Object>\
         <Object><Key>c</Key><ETag>\"e\"</ETag></Object><Quiet> true </Quiet></Delete>\n"
    );
    let delete = delete(body.as_bytes()).unwrap();
    assert!(delete.quiet);
    assert_eq!(keys(&delete), [" a & b\u{1}<\r", "<k>", "c"]);
    let [first, second, third] = delete.objects.as_slice() else { unreachable!() };
    assert_eq!(first.version_id.as_deref(), Some("null"));
    assert_eq!(first.deletion.as_ref().unwrap().version, Version::Null);
    assert_eq!(second.deletion.as_ref().unwrap().condition, WriteCondition::Always);
    let condition = &third.deletion.as_ref().unwrap().condition;
    assert_eq!(*condition, WriteCondition::Matches("e".to_owned()));
}

#[test]
fn prefixes_and_missing_namespaces_do_not_matter() {
    for body in [
        "<Delete><Object><Key>k</Key></Object></Delete>",
        "<s3:Delete xmlns:s3=\"x\"><s3:Object><s3:Key>k</s3:Key></s3:Object></s3:Delete>",
        "<Delete><Object><Key>k</Key><VersionId/></Object><Quiet/></Delete>",
    ] {
        assert_eq!(keys(&delete(body.as_bytes()).unwrap()), ["k"], "{body}");
    }
}

#[test]
fn one_bad_key_does_not_refuse_the_others() {
    let body = format!(
        "<Delete><Object><Key>{}</Key></Object><Object><Key>v</Key><VersionId>x</VersionId>\
         </Object><Object><Key>s</Key><Size>1</Size></Object><Object><Key>k</Key></Object></Delete>",
        "k".repeat(KEY_BYTES_MAX + 1)
    );
    let delete = delete(body.as_bytes()).unwrap();
    let codes: Vec<_> = delete.objects.iter().map(|object| code(object.deletion.clone())).collect();
    assert_eq!(codes, ["KeyTooLongError", "InvalidArgument", "NotImplemented", ""]);
}

#[test]
fn malformed_deletions_are_refused() {
    let object = "<Object><Key>k</Key></Object>";
    let most = format!("<Delete>{}</Delete>", object.repeat(DELETE_COUNT_MAX));
    assert_eq!(delete(most.as_bytes()).unwrap().objects.len(), DELETE_COUNT_MAX);
    let more = format!("<Delete>{}</Delete>", object.repeat(DELETE_COUNT_MAX + 1));
    let deep = format!("<Delete>{}{}{object}</Delete>", "<a>".repeat(30), "</a>".repeat(30));
    for body in [
        "",
        " ",
        "x",
        "<Delete/>",
        "<Delete></Delete>",
        "<Delete><Object/></Delete>",
        "<Delete><Object><Key/></Object></Delete>",
        "<Delete><Object><VersionId>null</VersionId></Object></Delete>",
        "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        "<Delete><Object><Key>k</Key></Object><Quiet>yes</Quiet></Delete>",
        "<Delete><Object><Key><b>k</b></Key></Object></Delete>",
        "<Delete><Object><Key>k</Key></Object>",
        "<Delete><Object><Key>k</Object></Key></Delete>",
        "<Delete>text<Object><Key>k</Key></Object></Delete>",
        "<Delete><Object><Key>k</Key></Object></Delete><Delete/>",
        "<Delete><Object><Key>k</Key></Object></Delete>x",
        "<Other><Object><Key>k</Key></Object></Other>",
        "<!DOCTYPE Delete><Delete><Object><Key>k</Key></Object></Delete>",
        "<!DOCTYPE d [<!ENTITY e \"x\">]><Delete><Object><Key>&e;</Key></Object></Delete>",
        "<Delete><Object><Key>&e;</Key></Object></Delete>",
        "<Delete><Object><Key>&#x110000;</Key></Object></Delete>",
        "<Delete><Other>&e;</Other><Object><Key>k</Key></Object></Delete>",
        &more,
        &deep,
    ] {
        let found = code(delete(body.as_bytes()));
        assert_eq!(found, "MalformedXML", "{}", body.get(..80).unwrap_or(body));
    }
    assert_eq!(code(delete(b"<Delete><Object><Key>\xff</Key></Object></Delete>")), "MalformedXML");
    assert_eq!(code(delete(&vec![b' '; XML_BYTES_MAX + 1])), "MaxMessageLengthExceeded");
}

#[test]
fn completions_are_read() {
    let body = format!(
        "<CompleteMultipartUpload {NAMESPACE}><Part><ETag>&quot;a&quot;</ETag>\
         <PartNumber>1</PartNumber></Part><Part><PartNumber> 10000 </PartNumber><ETag>b</ETag>\
         <ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>"
    );
    let parts = complete(body.as_bytes()).unwrap();
    let found: Vec<_> = parts.iter().map(|part| (part.number, part.etag.as_str())).collect();
    assert_eq!(found, [(1, "a"), (10_000, "b")]);
    assert_eq!(parts[0].checksum, None);
    assert_eq!(parts[1].checksum.unwrap().bytes(), [0; 4]);
}

#[test]
fn bad_completions_are_refused() {
    let part =
        |number: &str| format!("<Part><PartNumber>{number}</PartNumber><ETag>e</ETag></Part>");
    let of = |parts: &str| {
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        code(complete(body.as_bytes()))
    };
    let with =
        |inner: &str| of(&format!("<Part><PartNumber>1</PartNumber><ETag>e</ETag>{inner}</Part>"));
    for (found, expected) in [
        (of(&part("1")), ""),
        (of(""), "MalformedXML"),
        (of(&part("0")), "InvalidArgument"),
        (of(&part("10001")), "InvalidArgument"),
        (of(&part("-1")), "InvalidArgument"),
        (of(&part("x")), "MalformedXML"),
        (of(&part("")), "MalformedXML"),
        (of(&(part("2") + &part("1"))), "InvalidPartOrder"),
        (of(&(part("1") + &part("1"))), "InvalidPartOrder"),
        (of("<Part><PartNumber>1</PartNumber></Part>"), "MalformedXML"),
        (of("<Part><PartNumber>1</PartNumber><ETag>\"\"</ETag></Part>"), "MalformedXML"),
        (with("<PartNumber>2</PartNumber>"), "MalformedXML"),
        (with("<Size>5</Size>"), ""),
        (with("<ChecksumCRC32>AAAA</ChecksumCRC32>"), "MalformedXML"),
        (with("<ChecksumXXHASH3>AAAA</ChecksumXXHASH3>"), "NotImplemented"),
    ] {
        assert_eq!(found, expected);
    }
    let all: String = (1..=PART_NUMBER_MAX).map(|number| part(&number.to_string())).collect();
    assert_eq!(of(&all), "");
    assert_eq!(of(&(all + &part("1"))), "MalformedXML");
}

#[test]
fn bucket_configurations_are_read() {
    let location = |body: &str| create_bucket(body.as_bytes()).unwrap().location;
    let body = format!(
        "<CreateBucketConfiguration {NAMESPACE}><LocationConstraint>eu-west-1</LocationConstraint>\
         </CreateBucketConfiguration>"
    );
    assert_eq!(location(&body).as_deref(), Some("eu-west-1"));
    assert_eq!(location(""), None);
    assert_eq!(location("<CreateBucketConfiguration/>"), None);
    let empty =
        "<CreateBucketConfiguration><LocationConstraint/><Tags/></CreateBucketConfiguration>";
    assert_eq!(location(empty), None);
    for (inner, expected) in [
        ("<Tags><Tag><Key>a</Key></Tag></Tags>", "MalformedXML"),
        ("<Bucket><Type>Directory</Type></Bucket>", "NotImplemented"),
        ("<LocationConstraint>", "MalformedXML"),
    ] {
        let body = format!("<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>");
        assert_eq!(code(create_bucket(body.as_bytes())), expected, "{inner}");
    }
}

#[test]
fn mutated_documents_crash_nothing() {
    let body = "<Delete xmlns=\"x\"><Object><Key>k&amp;&#65;<![CDATA[x]]></Key></Object></Delete>";
    for at in 0..body.len() {
        for byte in [b'<', b'>', b'&', b';', b'/', b'\0', b'!', 0xff] {
            let mut changed = body.as_bytes().to_vec();
            changed[at] = byte;
            let _whatever = (delete(&changed), complete(&changed), create_bucket(&changed));
        }
        assert_eq!(code(delete(&body.as_bytes()[..at])), "MalformedXML", "cut at {at}");
    }
}

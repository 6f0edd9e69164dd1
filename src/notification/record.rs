//! What a target is sent: a record of S3's event notifications, in JSON, and the test before the first of them.

use anode_net::http::{date, target::encode_path};
use anode_shards::event::Event;
use bytes::Bytes;
use serde::Serialize;

use crate::gateway::record::signed_ms;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Records<'a> {
    records: [Record<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    event_version: &'static str,
    event_source: &'static str,
    aws_region: &'a str,
    event_time: String,
    event_name: &'a str,
    user_identity: Identity<'a>,
    request_parameters: RequestParameters<'a>,
    response_elements: ResponseElements<'a>,
    s3: About<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    principal_id: &'a str,
}

#[derive(Serialize)]
struct RequestParameters<'a> {
    #[serde(rename = "sourceIPAddress")]
    source: &'a str,
}

#[derive(Serialize)]
struct ResponseElements<'a> {
    #[serde(rename = "x-amz-request-id")]
    request_id: &'a str,
    #[serde(rename = "x-amz-id-2")]
    host_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct About<'a> {
    #[serde(rename = "s3SchemaVersion")]
    schema_version: &'static str,
    configuration_id: &'a str,
    bucket: Bucket<'a>,
    object: Object<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bucket<'a> {
    name: &'a str,
    owner_identity: Identity<'a>,
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e_tag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<&'a str>,
    sequencer: String,
}

/// The document of an event with its sequence.
pub(super) fn of(event: &Event, sequence: u64, (region, host_id): (&str, &str)) -> Bytes {
    let is_plain =
        ["ObjectCreated:", "ObjectRemoved:"].iter().any(|of| event.event.starts_with(of));
    let record = Record {
        // S3: 2.1, and 2.3 for what lifecycle, tags and ACLs tell.
        event_version: if is_plain { "2.1" } else { "2.3" },
        event_source: "aws:s3",
        aws_region: region,
        event_time: date::format_iso(signed_ms(event.time_ms)),
        event_name: &event.event,
        user_identity: Identity { principal_id: &event.principal },
        request_parameters: RequestParameters { source: &event.source },
        response_elements: ResponseElements { request_id: &event.request_id, host_id },
        s3: About {
            schema_version: "1.0",
            configuration_id: &event.rule,
            bucket: Bucket {
                name: &event.bucket,
                owner_identity: Identity { principal_id: &event.owner },
                arn: format!("arn:aws:s3:::{}", event.bucket),
            },
            object: Object {
                // S3: "red flower.jpg" is "red+flower.jpg".
                key: encode_path(&event.key).replace("%20", "+"),
                size: event.size,
                e_tag: event.etag.as_deref(),
                version_id: event.version.as_deref(),
                sequencer: format!("{sequence:016X}"),
            },
        },
    };
    json(&Records { records: [record] })
}

/// Whose configuration is tested.
#[derive(Clone, Copy, Debug)]
pub(super) struct Test<'a> {
    pub(super) bucket: &'a str,
    pub(super) request_id: &'a str,
    pub(super) host_id: &'a str,
    pub(super) time_ms: u64,
}

/// The document of `s3:TestEvent`.
pub(super) fn test(test: &Test<'_>) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Document<'a> {
        service: &'static str,
        event: &'static str,
        time: String,
        bucket: &'a str,
        request_id: &'a str,
        host_id: &'a str,
    }
    json(&Document {
        service: "Amazon S3",
        event: "s3:TestEvent",
        time: date::format_iso(signed_ms(test.time_ms)),
        bucket: test.bucket,
        request_id: test.request_id,
        host_id: test.host_id,
    })
}

fn json(document: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(document).expect("maps have names for keys"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_what_s3_sends() {
        let event = Event {
            event: "ObjectCreated:Put".to_owned(),
            rule: "rule".to_owned(),
            bucket: "b".to_owned(),
            owner: "owner".to_owned(),
            principal: "AWS:1".to_owned(),
            source: "127.0.0.1".to_owned(),
            request_id: "RID".to_owned(),
            time_ms: 1_000,
            key: "red flower/%20\u{e9}.jpg".to_owned(),
            size: Some(7),
            etag: Some("e".to_owned()),
            version: None,
            bucket_id: 1,
        };
        let expected = concat!(
            r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu","eventTime":"1970-01-01T00:00:01.000Z","#,
            r#""eventName":"ObjectCreated:Put","userIdentity":{"principalId":"AWS:1"},"#,
            r#""requestParameters":{"sourceIPAddress":"127.0.0.1"},"#,
            r#""responseElements":{"x-amz-request-id":"RID","x-amz-id-2":"HID"},"#,
            r#""s3":{"s3SchemaVersion":"1.0","configurationId":"rule","bucket":{"name":"b","#,
            r#""ownerIdentity":{"principalId":"owner"},"arn":"arn:aws:s3:::b"},"#,
            r#""object":{"key":"red+flower/%2520%C3%A9.jpg","size":7,"eTag":"e","sequencer":"0000000000000ABC"}}}]}"#,
        );
        assert_eq!(of(&event, 0xABC, ("eu", "HID")), expected);
        let gone = Event {
            event: "LifecycleExpiration:Delete".to_owned(),
            version: Some("v".to_owned()),
            size: None,
            etag: None,
            ..event
        };
        let text = String::from_utf8(of(&gone, 1, ("eu", "HID")).to_vec()).unwrap();
        assert!(text.contains(r#""eventVersion":"2.3""#), "{text}");
        let expected = r#""object":{"key":"red+flower/%2520%C3%A9.jpg","versionId":"v","sequencer":"0000000000000001"}"#;
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_test_is_what_s3_sends() {
        let sent = test(&Test { bucket: "b", request_id: "R", host_id: "H", time_ms: 0 });
        let expected = concat!(
            r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"1970-01-01T00:00:00.000Z","#,
            r#""Bucket":"b","RequestId":"R","HostId":"H"}"#,
        );
        assert_eq!(sent, expected);
    }
}

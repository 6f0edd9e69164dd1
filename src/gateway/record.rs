//! Between what a request says of an object and what is stored of it.

use anode_net::{
    checksum::{Algorithm, Checksum, Kind},
    http::{ResponseHead, date},
    s3::{
        conditions, configuration::lifecycle::About, headers::ObjectHeaders,
        parameters::post::escaped, xml::ChecksumText,
    },
};
use anode_shards::{
    command::WriteCondition,
    object::{Checksum as StoredChecksum, ChecksumKind, Object, STORAGE_CLASS},
};

use crate::meta::BucketView;

/// Named pairs, in order.
pub(crate) type Pairs = Vec<(String, String)>;

/// The headers to store: name in lower case, value.
pub(crate) fn stored_headers(headers: &ObjectHeaders) -> Pairs {
    let fields = [
        ("content-type", &headers.content_type),
        ("content-encoding", &headers.content_encoding),
        ("content-language", &headers.content_language),
        ("content-disposition", &headers.content_disposition),
        ("cache-control", &headers.cache_control),
        ("expires", &headers.expires),
        ("x-amz-website-redirect-location", &headers.website_redirect),
        (STORAGE_CLASS, &headers.storage_class),
    ];
    let present = |(name, value): (&str, &Option<String>)| {
        value.as_ref().map(|value| (name.to_owned(), value.clone()))
    };
    fields.into_iter().filter_map(present).collect()
}

/// The headers of a stored object.
pub(crate) fn object_headers(
    headers: &[(String, String)],
    metadata: &[(String, String)],
) -> ObjectHeaders {
    let get = |name: &str| {
        headers.iter().find(|(stored, _)| stored == name).map(|(_, value)| value.clone())
    };
    ObjectHeaders {
        content_type: get("content-type"),
        content_encoding: get("content-encoding"),
        content_language: get("content-language"),
        content_disposition: get("content-disposition"),
        cache_control: get("cache-control"),
        expires: get("expires"),
        website_redirect: get("x-amz-website-redirect-location"),
        storage_class: get(STORAGE_CLASS),
        metadata: metadata.to_vec(),
    }
}

/// The condition of a write as the apply step decides it.
pub(crate) fn write_condition(condition: &conditions::WriteCondition) -> WriteCondition {
    match condition {
        conditions::WriteCondition::Always => WriteCondition::default(),
        conditions::WriteCondition::Absent => {
            WriteCondition { if_none_match_any: true, if_match: None }
        }
        conditions::WriteCondition::Present | conditions::WriteCondition::Matches(_) => {
            WriteCondition { if_none_match_any: false, if_match: if_match(condition) }
        }
    }
}

/// The `ETag` that a write condition asks for.
pub(crate) fn if_match(condition: &conditions::WriteCondition) -> Option<String> {
    match condition {
        conditions::WriteCondition::Always | conditions::WriteCondition::Absent => None,
        conditions::WriteCondition::Present => Some("*".to_owned()),
        conditions::WriteCondition::Matches(etag) => Some(etag.clone()),
    }
}

/// A checksum of all bytes, to be stored.
pub(crate) fn full_checksum(checksum: &Checksum) -> StoredChecksum {
    StoredChecksum {
        algorithm: checksum.algorithm().name().to_owned(),
        value: checksum.base64(),
        kind: ChecksumKind::FullObject,
    }
}

/// A stored checksum as responses show it; `None` where it is of no algorithm that this release knows.
pub(crate) fn shown_checksum(stored: &StoredChecksum) -> Option<ChecksumText> {
    let algorithm = Algorithm::from_name(&stored.algorithm).ok()?;
    Some(ChecksumText { algorithm, value: stored.value.clone() })
}

/// A checksum as listings show it: its algorithm by name, and what it is of.
pub(crate) fn listed_checksum(name: &str, kind: ChecksumKind) -> Option<(Algorithm, Kind)> {
    Algorithm::from_name(name).ok().map(|algorithm| (algorithm, shown_kind(kind)))
}

/// What a stored checksum was computed over.
pub(crate) fn shown_kind(kind: ChecksumKind) -> Kind {
    match kind {
        ChecksumKind::FullObject => Kind::FullObject,
        ChecksumKind::Composite => Kind::Composite,
    }
}

/// What is stored of a kind.
pub(crate) fn stored_kind(kind: Kind) -> ChecksumKind {
    match kind {
        Kind::FullObject => ChecksumKind::FullObject,
        Kind::Composite => ChecksumKind::Composite,
    }
}

/// Milliseconds as the signed number that S3's documents are written with.
pub(crate) fn signed_ms(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

/// What read conditions are evaluated against.
pub(crate) fn validators(object: &Object) -> conditions::Validators<'_> {
    conditions::Validators { etag: &object.etag, modified_ms: signed_ms(object.last_modified_ms) }
}

/// When lifecycle has an object go, and by which rule: `x-amz-expiration`.
pub(crate) fn expiration(bucket: &BucketView, key: &str, object: &Object) -> Option<String> {
    let (size_bytes, since_ms) = (object.size, signed_ms(object.last_modified_ms));
    expiration_of(bucket, &About { key, tags: &object.tags, size_bytes, since_ms })
}

/// The same of what isn't at hand as an object.
pub(crate) fn expiration_of(bucket: &BucketView, about: &About<'_>) -> Option<String> {
    let lifecycle = bucket.configurations.lifecycle.as_ref()?;
    let (due_ms, rule) = lifecycle.expiry(about)?;
    let date = date::format_http(due_ms.div_euclid(1000));
    Some(format!("expiry-date=\"{date}\", rule-id=\"{}\"", escaped(&rule.id)))
}

/// The head that tells when lifecycle ends an upload that isn't completed before, and by which rule.
pub(crate) fn head_with_abort(
    head: ResponseHead,
    bucket: &BucketView,
    (key, initiated_ms): (&str, u64),
) -> ResponseHead {
    let lifecycle = bucket.configurations.lifecycle.as_ref();
    let end = lifecycle.and_then(|rules| rules.upload_end(key, signed_ms(initiated_ms)));
    let Some((due_ms, rule)) = end else { return head };
    head.header("x-amz-abort-date", &date::format_http(due_ms.div_euclid(1000)))
        .header("x-amz-abort-rule-id", &escaped(&rule.id))
}

/// An `ETag` in quotes.
pub(crate) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

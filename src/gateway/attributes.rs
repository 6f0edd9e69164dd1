//! S3: `GetObjectAttributes`.

use anode_net::{
    checksum::Algorithm,
    http::{ResponseHead, date},
    s3::{
        self,
        conditions::Outcome,
        parameters::{Attribute, GetObjectAttributes},
        xml::{ChecksumText, objects},
    },
};
use anode_shards::object::{ChecksumKind, Object, STORAGE_CLASS};

use super::{
    encryption,
    get::{self, Want},
    record, version,
};
use crate::{authorize::Caller, exchange::Response, host::Host, shard::Shard};

/// Answers `GetObjectAttributes`.
pub async fn attributes<H: Host>(
    shard: &Shard<H>,
    caller: &Caller,
    query: &GetObjectAttributes,
) -> Result<Response<H>, s3::Error> {
    let name = (query.bucket.as_str(), query.key.as_str());
    let found = get::find(shard, name, &query.version, Want::Head).await?;
    caller.judged.check(&found.object)?;
    encryption::to_show(&found, query.customer_key.as_deref())?;
    let object = &found.object;
    let seconds = record::signed_ms(object.last_modified_ms).div_euclid(1000);
    match query.conditions.evaluate(&record::validators(object)) {
        Outcome::Proceed => {}
        Outcome::NotModified => return Ok(Response::empty(ResponseHead::new(304))),
        failed @ Outcome::Failed(_) => {
            return Err(failed.error().unwrap_or_else(|| s3::ErrorCode::PreconditionFailed.into()));
        }
    }
    let checksum = object.checksum.as_ref().filter(|_| query.wants(Attribute::Checksum));
    let class = object.headers.iter().find(|(name, _)| name == STORAGE_CLASS);
    let class = class.map_or(s3::headers::STORAGE_CLASS_DEFAULT, |(_, class)| class);
    let parts =
        (query.wants(Attribute::Parts) && !object.parts.is_empty()).then(|| parts(query, object));
    let document = objects::attributes(&objects::Attributes {
        etag: query.wants(Attribute::Etag).then_some(object.etag.as_str()),
        checksum: checksum.and_then(record::shown_checksum).map(without_count),
        checksum_kind: checksum.map(|checksum| record::shown_kind(checksum.kind)),
        parts,
        storage_class: query.wants(Attribute::StorageClass).then_some(class),
        size_bytes: query.wants(Attribute::Size).then_some(object.size),
    });
    let head = ResponseHead::new(200).header("Last-Modified", &date::format_http(seconds));
    let head = version::head_with(head, found.version);
    Ok(Response::full(head, "application/xml", document))
}

/// Here AWS shows a composite checksum without the number of its parts.
fn without_count(mut shown: ChecksumText) -> ChecksumText {
    if let Some(length) = shown.value.find('-') {
        shown.value.truncate(length);
    }
    shown
}

fn parts(query: &GetObjectAttributes, object: &Object) -> objects::AttributeParts {
    // AWS shows the single parts only where each has a checksum of its own.
    let composite =
        object.checksum.as_ref().filter(|checksum| checksum.kind == ChecksumKind::Composite);
    let algorithm = composite.and_then(|checksum| Algorithm::from_name(&checksum.algorithm).ok());
    let page_max = usize::try_from(query.parts_max).unwrap_or(usize::MAX);
    let mut behind = object.parts.iter().filter(|part| u32::from(part.number) > query.part_marker);
    let page = match algorithm {
        None => Vec::new(),
        Some(algorithm) => behind
            .by_ref()
            .take(page_max)
            .map(|part| objects::AttributePart {
                number: part.number,
                size_bytes: part.size,
                checksum: part.checksum.clone().map(|value| ChecksumText { algorithm, value }),
            })
            .collect(),
    };
    objects::AttributeParts {
        part_count: u32::try_from(object.parts.len()).expect("at most 10,000 parts"),
        part_marker: query.part_marker,
        parts_max: query.parts_max,
        truncated: algorithm.is_some() && behind.next().is_some(),
        parts: page,
    }
}

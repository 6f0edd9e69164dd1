//! S3: `CopyObject` and `UploadPartCopy`: the source is read, checked and written anew, chunk by chunk.

use std::ops::Range;

use anode_net::{
    checksum::{Algorithm, Hasher, Md5},
    http::ResponseHead,
    s3::{
        self, ErrorCode,
        configuration::notification::Occurrence,
        copy::{CopySource, check_size},
        encryption::CustomerKey,
        headers::ObjectHeaders,
        parameters::{self, Directive},
        xml::objects,
    },
};
use anode_shards::{command::PutObject, object::Object, state::Planned, version::VersionName};

use super::{
    encryption::{self, Cipher},
    find_bucket,
    get::{self, Found, Want},
    ingest::{Ingest, Placement, Taken},
    lock,
    multipart::{PartWritten, find_upload, put_part},
    ownership,
    payload::Proof,
    put::{Target, commit},
    quota,
    read::{ObjectReader, Stretch},
    record, version,
};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response},
    host::Host,
    notification,
    shard::Shard,
    storage_class,
};

/// Copies an object.
pub async fn object<H: Host>(
    exchange: &Exchange<'_, H>,
    caller: &Caller,
    copy: &parameters::CopyObject,
) -> Result<Response<H>, s3::Error> {
    let shard = &exchange.shard;
    let bucket = find_bucket(shard, &copy.bucket)?;
    let acl = ownership::of_new(shard, caller, &bucket, copy.acl.as_ref())?;
    let found = source(shard, caller, &copy.source, copy.source_key.as_deref()).await?;
    copy.source_conditions.evaluate_source(&record::validators(&found.object))?;
    check_size(found.object.size)?;
    let algorithm = copy.checksum.unwrap_or_else(|| source_algorithm(&found.object));
    let group = shard.group_of(bucket.record.id, &copy.key);
    let cipher = encryption::of_new(shard, (&bucket, &copy.key), &copy.encryption).await?;
    let class = storage_class::place(shard, copy.headers.storage_class.as_deref())?;
    let ingest = Ingest::new(shard, group, Placement::Inline).in_class(class);
    let ingest = ingest.sealed(cipher.as_ref().map(|cipher| &cipher.key));
    let headers = target_headers(copy, &found.object);
    let tags = match copy.tags_directive {
        Directive::Copy => found.object.tags.clone(),
        Directive::Replace => copy.tags.pairs().to_vec(),
    };
    let source_version = found.version;
    let size = found.object.size;
    let planned = || Planned::Object { key: copy.key.clone(), bytes: size };
    quota::check(shard, &bucket, group, planned).await?;
    let (proof, ingested) = transfer(found, 0..size, (ingest, Some(algorithm))).await?;
    let object = Object {
        size: proof.bytes,
        etag: encryption::etag(&proof, cipher.as_ref().map(Cipher::etag_key)),
        last_modified_ms: shard.now_ms(),
        headers: record::stored_headers(&headers),
        metadata: headers.metadata.clone(),
        checksum: proof.checksum.as_ref().map(record::full_checksum),
        body: ingested.0.body,
        tags,
        lock: lock::of_new(&bucket, copy.lock, shard.now_ms())?,
        encryption: cipher.map(|cipher| cipher.record),
        acl,
        ..Object::default()
    };
    let expiration = record::expiration(&bucket, &copy.key, &object);
    let encryption = object.encryption.clone();
    let command = PutObject {
        bucket: bucket.record.id,
        key: copy.key.clone(),
        object,
        condition: record::write_condition(&copy.condition),
        contents: ingested.0.contents.clone(),
        nonce: shard.random_u64(),
        notice: notification::notice(exchange, caller, (&bucket, &copy.key), Occurrence::Copy),
        inline: ingested.0.inline.clone(),
    };
    let target = Target { bucket: &copy.bucket, key: &copy.key };
    let stored = commit(shard, (&bucket, &target), command, ingested).await?;
    let checksum = stored.checksum.as_ref();
    let document = objects::copied(&objects::Copied {
        etag: &stored.etag,
        modified_ms: record::signed_ms(stored.last_modified_ms),
        checksum: checksum.and_then(record::shown_checksum),
        checksum_kind: checksum.map(|checksum| record::shown_kind(checksum.kind)),
    });
    let head = version::head_with(source_head(source_version), stored.version);
    let customer_key = copy.encryption.customer_key();
    let mut head = encryption::head_with(head, encryption.as_deref(), customer_key);
    if let Some(expiration) = expiration {
        head = head.header("x-amz-expiration", &expiration);
    }
    Ok(Response::full(head, "application/xml", document))
}

/// Names the version that was copied.
fn source_head(version: Option<VersionName>) -> ResponseHead {
    let head = ResponseHead::new(200);
    match version {
        Some(version) => head.header("x-amz-copy-source-version-id", &version.to_string()),
        None => head,
    }
}

/// Copies an object, or a range of it, into a part.
pub async fn part<H: Host>(
    shard: &Shard<H>,
    caller: &Caller,
    copy: &parameters::UploadPartCopy,
) -> Result<Response<H>, s3::Error> {
    let target = Target { bucket: &copy.bucket, key: &copy.key };
    let place = find_upload(shard, &target, &copy.upload).await?;
    let customer_key = copy.customer_key.as_deref();
    let upload = (place.bucket.record.id, &place.upload);
    let key = encryption::of_upload(shard, upload, customer_key).await?;
    let found = source(shard, caller, &copy.source, copy.source_key.as_deref()).await?;
    copy.source_conditions.evaluate_source(&record::validators(&found.object))?;
    let (size, source_version) = (found.object.size, found.version);
    let range = if let Some(range) = copy.range {
        range.check_within(size)?;
        range.first..range.last + 1
    } else {
        check_size(size)?;
        0..size
    };
    let bytes = range.end - range.start;
    quota::check(shard, &place.bucket, place.group, || place.planned(copy.part, bytes)).await?;
    let algorithm = place.upload.checksum_algorithm.as_deref();
    let algorithm = algorithm.and_then(|name| Algorithm::from_name(name).ok());
    let ingest = Ingest::new(shard, place.group, Placement::Chunks).in_class(place.class(shard)?);
    let ingest = ingest.sealed(key.as_ref());
    let (proof, ingested) = transfer(found, range, (ingest, algorithm)).await?;
    let written = PartWritten { number: copy.part, proof: &proof, key: key.as_ref() };
    let stored = put_part(shard, &place, (&target, &written), ingested).await?;
    let document = objects::copied_part(&objects::Copied {
        etag: &stored.etag,
        modified_ms: record::signed_ms(stored.last_modified_ms),
        checksum: stored.checksum.as_ref().and_then(record::shown_checksum),
        checksum_kind: None,
    });
    let head = source_head(source_version);
    let head = encryption::head_with(head, place.upload.encryption.as_deref(), customer_key);
    Ok(Response::full(head, "application/xml", document))
}

async fn source<H: Host>(
    shard: &Shard<H>,
    caller: &Caller,
    source: &CopySource,
    customer_key: Option<&CustomerKey>,
) -> Result<Found<H>, s3::Error> {
    let name = (source.bucket.as_str(), source.key.as_str());
    let found = get::find(shard, name, &source.version, Want::Body).await;
    let mut found = found.map_err(|error| {
        if error.code() != ErrorCode::MethodNotAllowed {
            return error;
        }
        s3::Error::with_message(
            ErrorCode::InvalidRequest,
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        )
    })?;
    caller.judged.check(&found.object)?;
    let opener = encryption::to_read(shard, &found, customer_key).await?;
    found.source.open_with(opener);
    Ok(found)
}

fn source_algorithm(object: &Object) -> Algorithm {
    let stored = object.checksum.as_ref();
    let known = stored.and_then(|checksum| Algorithm::from_name(&checksum.algorithm).ok());
    known.unwrap_or(Algorithm::Crc64Nvme)
}

fn target_headers(copy: &parameters::CopyObject, source: &Object) -> ObjectHeaders {
    if copy.directive == Directive::Replace {
        return copy.headers.clone();
    }
    ObjectHeaders {
        // S3: these two are never copied.
        website_redirect: copy.headers.website_redirect.clone(),
        storage_class: copy.headers.storage_class.clone(),
        ..record::object_headers(&source.headers, &source.metadata)
    }
}

/// Reads a range of the source into the target's group, computing what is stored of it on the way.
async fn transfer<H: Host>(
    found: Found<H>,
    range: Range<u64>,
    (mut ingest, algorithm): (Ingest<H>, Option<Algorithm>),
) -> Result<(Proof, Taken<H>), s3::Error> {
    let mut reader = ObjectReader::new(found.source, [Stretch::Object(range)]);
    let mut md5 = Md5::new();
    let mut hasher = algorithm.map(Hasher::new);
    let mut bytes = 0;
    while let Some(data) = reader.next().await? {
        md5.update(&data);
        if let Some(hasher) = &mut hasher {
            hasher.update(&data);
        }
        bytes += data.len() as u64;
        ingest.push(data).await?;
    }
    let proof = Proof { bytes, md5: md5.finalize(), checksum: hasher.map(Hasher::finalize) };
    Ok((proof, ingest.finish().await?))
}

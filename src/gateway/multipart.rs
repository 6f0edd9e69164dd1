//! S3: `CreateMultipartUpload`, `UploadPart`, `CompleteMultipartUpload`, `AbortMultipartUpload`.

use std::sync::Arc;

use anode_disk::segment::Class;
use anode_net::{
    checksum::{self, Algorithm, Kind, Md5},
    http::ResponseHead,
    s3::{
        self, ErrorCode,
        configuration::{lifecycle::About, notification::Occurrence},
        parameters,
        xml::{self, ChecksumText, requests},
    },
};
use anode_shards::{
    command::{AbortUpload, Command, CompleteUpload, CreateUpload, NamedPart, PutPart, Stored},
    encryption::Encryption,
    object::{
        Body, BodyId, BucketId, Checksum, ChecksumKind, Part, STORAGE_CLASS, Upload, UploadId,
    },
    state::Planned,
    version::WantedVersion,
};

use super::{
    encryption, find_bucket,
    ingest::{Ingest, Placement, Taken},
    lock, ownership,
    payload::{Expectation, Payload, Proof},
    put::{Target, stored, stored_head},
    quota, record, refusal, version,
};
use crate::{
    authorize::Caller,
    encryption::keys::DataKey,
    exchange::{Exchange, Response},
    host::Host,
    limits,
    mesh::{Access, Answer, Ask},
    meta::BucketView,
    notification,
    shard::Shard,
    storage_class,
};

/// An upload in progress, and where it is.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) bucket: Arc<BucketView>,
    pub(crate) group: u32,
    pub(crate) id: UploadId,
    pub(crate) upload: Upload,
}

impl Place {
    /// Where the bytes of its parts go.
    pub(crate) fn class<H: Host>(&self, shard: &Shard<H>) -> Result<Class, s3::Error> {
        let class = self.upload.headers.iter().find(|(name, _)| name == STORAGE_CLASS);
        storage_class::place(shard, class.map(|(_, class)| class.as_str()))
    }

    /// A part to come, of so many bytes.
    pub(crate) fn planned(&self, number: u16, bytes: u64) -> Planned {
        Planned::Part { upload: self.id, number, bytes }
    }
}

/// Begins an upload.
pub async fn create<H: Host>(
    shard: &Shard<H>,
    caller: &Caller,
    create: &parameters::CreateMultipartUpload,
) -> Result<Response<H>, s3::Error> {
    let bucket = find_bucket(shard, &create.bucket)?;
    storage_class::place(shard, create.headers.storage_class.as_deref())?;
    let now_ms = shard.now_ms();
    let id = UploadId::new(now_ms, shard.random_u128());
    let cipher = encryption::of_new(shard, (&bucket, &create.key), &create.encryption).await?;
    let encryption = cipher.map(|cipher| cipher.record);
    let upload = Upload {
        initiated_ms: now_ms,
        initiator: caller.name().to_owned(),
        headers: record::stored_headers(&create.headers),
        metadata: create.headers.metadata.clone(),
        checksum_algorithm: create.checksum.map(|checksum| checksum.algorithm.name().to_owned()),
        checksum_kind: create.checksum.map(|checksum| record::stored_kind(checksum.kind)),
        tags: create.tags.pairs().to_vec(),
        lock: lock::of_upload(&bucket, create.lock, now_ms)?,
        encryption: encryption.clone(),
        acl: ownership::of_new(shard, caller, &bucket, create.acl.as_ref())?,
    };
    let command = CreateUpload {
        bucket: bucket.record.id,
        key: create.key.clone(),
        upload: id,
        record: upload,
    };
    let group = shard.group_of(bucket.record.id, &create.key);
    let reply = shard.propose(group, Command::CreateUpload(Box::new(command)), None).await?;
    refusal::accepted(reply, &create.bucket, &create.key)?;
    let document = xml::multipart::created(&create.bucket, &create.key, &id.to_string());
    let customer_key = create.encryption.customer_key();
    let head = encryption::head_with(ResponseHead::new(200), encryption.as_deref(), customer_key);
    let mut head = record::head_with_abort(head, &bucket, (&create.key, now_ms));
    if let Some(checksum) = create.checksum {
        head = head
            .header("x-amz-checksum-algorithm", checksum.algorithm.name())
            .header("x-amz-checksum-type", checksum.kind.name());
    }
    Ok(Response::full(head, "application/xml", document))
}

/// Finds an upload by the id that its client sent.
pub(crate) async fn find_upload<H: Host>(
    shard: &Shard<H>,
    target: &Target<'_>,
    sent: &str,
) -> Result<Place, s3::Error> {
    let missing = || s3::Error::new(ErrorCode::NoSuchUpload).field("UploadId", sent);
    let bucket = find_bucket(shard, target.bucket)?;
    let group = shard.group_of(bucket.record.id, target.key);
    let id = parse_id(sent).ok_or_else(missing)?;
    let (key, bucket_id) = (target.key.to_owned(), bucket.record.id);
    let ask = Ask::Upload { bucket: bucket_id, key, upload: id };
    let Answer::Upload(Some(upload)) = shard.ask(group, ask).await? else { return Err(missing()) };
    Ok(Place { bucket, group, id, upload })
}

/// An id as [`UploadId`] writes it: 32 digits, hex, lower case.
pub(crate) fn parse_id(sent: &str) -> Option<UploadId> {
    let plain =
        sent.len() == 32 && sent.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if plain { u128::from_str_radix(sent, 16).ok().map(UploadId) } else { None }
}

/// Takes a part in.
pub async fn upload_part<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    part: &parameters::UploadPart,
) -> Result<Response<H>, s3::Error> {
    let shard = exchange.shard.clone();
    let target = Target { bucket: &part.bucket, key: &part.key };
    let place = find_upload(&shard, &target, &part.upload).await?;
    let customer_key = part.customer_key.as_deref();
    let upload = (place.bucket.record.id, &place.upload);
    let key = encryption::of_upload(&shard, upload, customer_key).await?;
    let algorithm = upload_algorithm(&place.upload);
    if let (Some(declared), Some(wanted)) = (&part.checksum, algorithm)
        && declared.algorithm != wanted
    {
        return Err(s3::Error::with_message(
            ErrorCode::InvalidRequest,
            format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                wanted.name().to_ascii_lowercase(),
                declared.algorithm.name().to_ascii_lowercase()
            ),
        ));
    }
    let expectation = Expectation {
        length_bytes: part.length_bytes,
        md5: part.md5,
        checksum: part.checksum,
        checksum_default: algorithm,
    };
    let mut payload = Payload::new(exchange, caller, expectation)?;
    let bytes = payload.length_bytes().unwrap_or_default();
    let planned = || place.planned(part.part, bytes);
    quota::check(&shard, &place.bucket, place.group, planned).await?;
    let ingest = Ingest::new(&shard, place.group, Placement::Chunks).in_class(place.class(&shard)?);
    let mut ingest = ingest.sealed(key.as_ref());
    while let Some(data) = payload.next(exchange).await? {
        ingest.push(data).await?;
    }
    let proof = payload.finish()?;
    let ingested = ingest.finish().await?;
    let written = PartWritten { number: part.part, proof: &proof, key: key.as_ref() };
    let stored = put_part(&shard, &place, (&target, &written), ingested).await?;
    let head = stored_head(200, &stored);
    let record = place.upload.encryption.as_deref();
    Ok(Response::empty(encryption::head_with(head, record, customer_key)))
}

fn upload_algorithm(upload: &Upload) -> Option<Algorithm> {
    upload.checksum_algorithm.as_deref().and_then(|name| Algorithm::from_name(name).ok())
}

/// What a part is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartWritten<'a> {
    pub(crate) number: u16,
    pub(crate) proof: &'a Proof,
    /// What it was encrypted with.
    pub(crate) key: Option<&'a DataKey>,
}

/// Proposes a part whose bytes are staged.
pub(crate) async fn put_part<H: Host>(
    shard: &Shard<H>,
    place: &Place,
    (target, written): (&Target<'_>, &PartWritten<'_>),
    (ingested, discard): Taken<H>,
) -> Result<Stored, s3::Error> {
    let PartWritten { number, proof, key } = *written;
    let scheme = place.upload.encryption.as_ref().map(|record| record.scheme);
    let part = Part {
        number,
        size: proof.bytes,
        etag: encryption::etag(proof, key.zip(scheme)),
        last_modified_ms: shard.now_ms(),
        checksum: proof.checksum.as_ref().map(record::full_checksum),
        body: staged_body(ingested.body),
        is_encrypted: key.is_some(),
    };
    let (key, contents) = (target.key.to_owned(), ingested.contents);
    let (bucket, upload) = (place.bucket.record.id, place.id);
    let command = PutPart { bucket, key, upload, part, contents };
    let command = Command::PutPart(Box::new(command));
    let command = (command, ingested.staged);
    let proposed = quota::propose(shard, &place.bucket, place.group, command).await;
    stored(discard.after(proposed)?, target)
}

fn staged_body(body: Body) -> BodyId {
    match body {
        Body::Whole(body) => body,
        Body::Empty | Body::Inline(_) | Body::Parts(_) => {
            unreachable!("a part is ingested into chunks")
        }
    }
}

/// Ends an upload without an object.
pub async fn abort<H: Host>(
    shard: &Shard<H>,
    abort: &parameters::AbortMultipartUpload,
) -> Result<Response<H>, s3::Error> {
    let bucket = find_bucket(shard, &abort.bucket)?;
    let Some(upload) = parse_id(&abort.upload) else {
        return Err(
            s3::Error::new(ErrorCode::NoSuchUpload).field("UploadId", abort.upload.as_str())
        );
    };
    let (key, now_ms) = (abort.key.clone(), shard.now_ms());
    let command = AbortUpload { bucket: bucket.record.id, key, upload, now_ms };
    let group = shard.group_of(bucket.record.id, &abort.key);
    let reply = shard.propose(group, Command::AbortUpload(command), None).await?;
    refusal::accepted(reply, &abort.bucket, &abort.key)?;
    Ok(Response::empty(ResponseHead::new(204)))
}

/// Makes an object of the parts.
pub async fn complete<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    complete: &parameters::CompleteMultipartUpload,
) -> Result<Response<H>, s3::Error> {
    let shard = exchange.shard.clone();
    let view = find_bucket(&shard, &complete.bucket)?;
    let bucket = view.record.id;
    let target = Target { bucket: &complete.bucket, key: &complete.key };
    let payload = Payload::new(exchange, caller, Expectation::default())?;
    let body = payload.whole(exchange, limits::XML_BODY_BYTES_MAX).await?;
    let named = requests::complete(&body)?;
    let Some(id) = parse_id(&complete.upload) else {
        return Err(
            s3::Error::new(ErrorCode::NoSuchUpload).field("UploadId", complete.upload.as_str())
        );
    };
    let group = shard.group_of(bucket, &complete.key);
    // Before the upload: one that is still there after its parts were read has lost none of them meanwhile.
    let parts = all_parts(&shard, (bucket, group, id), &target).await?;
    // An upload that is gone may have been completed by this very request, sent before: apply knows.
    let upload = match find_upload(&shard, &target, &complete.upload).await {
        Ok(place) => Some(place.upload),
        Err(error) if error.code() == ErrorCode::NoSuchUpload => None,
        Err(error) => return Err(error),
    };
    let customer_key = complete.customer_key.as_deref();
    if let Some(upload) = &upload {
        encryption::check_upload(bucket, upload, customer_key)?;
    }
    let whole = Whole::of(upload.as_ref(), &named, &parts)?;
    whole.check(complete)?;
    let command = CompleteUpload {
        bucket,
        key: complete.key.clone(),
        upload: id,
        parts: named.iter().map(named_part).collect(),
        etag: whole.etag,
        checksum: whole.checksum,
        condition: record::write_condition(&complete.condition),
        now_ms: shard.now_ms(),
        default_retention: lock::default_retention(&view, shard.now_ms()),
        notice: notification::notice(
            exchange,
            caller,
            (&view, &complete.key),
            Occurrence::CompleteMultipartUpload,
        ),
    };
    let command = Command::CompleteUpload(Box::new(command));
    let reply = quota::propose(&shard, &view, group, (command, None)).await?;
    let stored = stored(reply, &target)?;
    let mut response = completed(exchange, &target, &stored);
    let made = match upload {
        Some(upload) => Some(Made { tags: upload.tags, encryption: upload.encryption }),
        None => made_before(&shard, (bucket, group, id), &complete.key).await?,
    };
    let Some(made) = made else { return Ok(response) };
    response.head = encryption::head_with(response.head, made.encryption.as_deref(), None);
    let (tags, since_ms) = (&made.tags, record::signed_ms(stored.last_modified_ms));
    let about = About { key: &complete.key, tags, size_bytes: stored.size, since_ms };
    if let Some(expiration) = record::expiration_of(&view, &about) {
        response.head = response.head.header("x-amz-expiration", &expiration);
    }
    Ok(response)
}

/// What the answer to a completion tells of the object that was made.
struct Made {
    tags: Vec<(String, String)>,
    encryption: Option<Box<Encryption>>,
}

/// The same for a completion that is sent again: its upload is gone, the object has it all. None where another write has
/// replaced the object meanwhile.
async fn made_before<H: Host>(
    shard: &Shard<H>,
    (bucket, group, upload): (BucketId, u32, UploadId),
    key: &str,
) -> Result<Option<Made>, s3::Error> {
    let (key, version, access) = (key.to_owned(), WantedVersion::Current, Access::Record);
    let ask = Ask::Object { bucket, key, version, access };
    let Answer::Object(Some(found)) = shard.ask(group, ask).await? else { return Ok(None) };
    let object = Some(found.object).filter(|object| object.upload == Some(upload));
    Ok(object.map(|object| Made { tags: object.tags, encryption: object.encryption }))
}

fn named_part(part: &requests::PartToComplete) -> NamedPart {
    NamedPart {
        number: part.number,
        etag: part.etag.clone(),
        checksum: part.checksum.as_ref().map(checksum::Checksum::base64),
    }
}

async fn all_parts<H: Host>(
    shard: &Shard<H>,
    (bucket, group, upload): (BucketId, u32, UploadId),
    target: &Target<'_>,
) -> Result<Vec<Part>, s3::Error> {
    let mut parts: Vec<Part> = Vec::new();
    loop {
        let after = parts.last().map_or(0, |part| part.number);
        let key = target.key.to_owned();
        let ask = Ask::Parts { bucket, key, upload, after, count_max: limits::PART_PAGE_COUNT };
        let Answer::Parts(page) = shard.ask(group, ask).await? else { return Ok(parts) };
        let more = page.more && !page.parts.is_empty();
        parts.extend(page.parts);
        if !more {
            return Ok(parts);
        }
    }
}

/// What the named parts make together.
#[derive(Debug, Default)]
struct Whole {
    etag: String,
    checksum: Option<Checksum>,
    bytes: u64,
    known: bool,
}

impl Whole {
    /// Computes `ETag` and checksum; apply checks that the parts are still those.
    fn of(
        upload: Option<&Upload>,
        named: &[requests::PartToComplete],
        parts: &[Part],
    ) -> Result<Self, s3::Error> {
        let Some(upload) = upload else { return Ok(Self::default()) };
        let mut used = Vec::with_capacity(named.len());
        for name in named {
            let found = parts.binary_search_by_key(&name.number, |part| part.number);
            let part =
                found.ok().and_then(|at| parts.get(at)).filter(|part| part.etag == name.etag);
            used.push(part.ok_or_else(|| {
                s3::Error::new(ErrorCode::InvalidPart)
                    .field("UploadId", "")
                    .field("PartNumber", name.number.to_string())
                    .field("ETag", name.etag.as_str())
            })?);
        }
        let mut md5 = Md5::new();
        for part in &used {
            md5.update(&hex::decode(&part.etag).unwrap_or_default());
        }
        Ok(Self {
            etag: format!("{}-{}", hex::encode(md5.finalize()), used.len()),
            checksum: checksum_of(upload, &used),
            bytes: used.iter().map(|part| part.size).sum(),
            known: true,
        })
    }

    /// What the request says of the whole must be so.
    fn check(&self, complete: &parameters::CompleteMultipartUpload) -> Result<(), s3::Error> {
        if !self.known {
            return Ok(());
        }
        if complete.object_bytes.is_some_and(|stated| stated != self.bytes) {
            return Err(s3::Error::with_message(
                ErrorCode::InvalidRequest,
                "The provided 'x-amz-mp-object-size' header value does not match what was computed.",
            ));
        }
        let (Some(stated), Some(computed)) = (&complete.checksum, &self.checksum) else {
            return Ok(());
        };
        let digest = computed.value.split('-').next().unwrap_or_default();
        let same = stated.checksum.algorithm().name() == computed.algorithm
            && stated.checksum.base64() == digest;
        if same { Ok(()) } else { Err(s3::Error::new(ErrorCode::BadDigest)) }
    }
}

fn checksum_of(upload: &Upload, parts: &[&Part]) -> Option<Checksum> {
    let algorithm = upload_algorithm(upload)?;
    let digest = |part: &&Part| {
        let stored = part.checksum.as_ref()?;
        checksum::Checksum::parse(algorithm, &stored.value).ok()
    };
    let digests: Vec<checksum::Checksum> = parts.iter().map(digest).collect::<Option<_>>()?;
    let kind = upload.checksum_kind.map(record::shown_kind);
    let kind = kind.unwrap_or_else(|| algorithm.default_kind());
    let shown = match kind {
        Kind::FullObject => {
            let sizes = parts.iter().map(|part| part.size);
            ChecksumText::whole(&checksum::full_object(algorithm, digests.into_iter().zip(sizes))?)
        }
        Kind::Composite => {
            let count = u32::try_from(parts.len()).expect("at most 10,000 parts");
            ChecksumText::composite(&checksum::composite(algorithm, digests)?, count)
        }
    };
    let kind = match kind {
        Kind::FullObject => ChecksumKind::FullObject,
        Kind::Composite => ChecksumKind::Composite,
    };
    Some(Checksum { algorithm: algorithm.name().to_owned(), value: shown.value, kind })
}

fn completed<H: Host>(
    exchange: &Exchange<'_, H>,
    target: &Target<'_>,
    stored: &Stored,
) -> Response<H> {
    let scheme = if exchange.shard.settings().tls { "https" } else { "http" };
    let location = format!("{scheme}://{}{}", exchange.head.host(), exchange.head.path());
    let checksum = stored.checksum.as_ref();
    let document = xml::multipart::completed(&xml::multipart::Completed {
        location: &location,
        bucket: target.bucket,
        key: target.key,
        etag: &stored.etag,
        checksum: checksum.and_then(record::shown_checksum),
        checksum_kind: checksum.map(|checksum| record::shown_kind(checksum.kind)),
    });
    let head = version::head_with(ResponseHead::new(200), stored.version);
    Response::full(head, "application/xml", document)
}

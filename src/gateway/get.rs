//! S3: `GetObject` and `HeadObject`, with ranges, parts and conditions.

use std::ops::Range;

use anode_net::{
    http::{ResponseHead, date, range},
    s3::{
        self, ErrorCode,
        conditions::{self, Outcome},
        headers::Overrides,
        parameters::ReadObject,
        version::Version,
    },
};
use anode_shards::{
    object::{BucketId, Object},
    version::VersionName,
};
use bytes::Bytes;

use super::{
    encryption, find_bucket, lock,
    read::{ObjectReader, Source, Stretch},
    record, version,
};
use crate::{
    authorize::Caller,
    exchange::{Response, ResponseBody},
    host::Host,
    mesh::{Access, Answer, Ask, AskError},
    shard::Shard,
};

/// Whether the bytes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// GET.
    Body,
    /// HEAD.
    Head,
}

/// An object as a group gave it.
#[derive(Debug)]
pub(crate) struct Found<H: Host> {
    pub(crate) bucket: BucketId,
    pub(crate) object: Object,
    /// Its version, where its bucket keeps them, or did.
    pub(crate) version: Option<VersionName>,
    /// When lifecycle has it go, as responses say it; only of what is current.
    pub(crate) expiration: Option<String>,
    pub(crate) source: Source<H>,
}

/// What part of an object a response carries.
enum Selection {
    Whole,
    Range(Range<u64>),
    Ranges(Vec<Range<u64>>),
    Part { range: Range<u64>, count: usize },
}

/// Answers GET or HEAD.
pub async fn get<H: Host>(
    shard: &Shard<H>,
    caller: &Caller,
    read: &ReadObject,
    want: Want,
) -> Result<Response<H>, s3::Error> {
    if caller.is_anonymous() && read.overrides != Overrides::default() {
        return Err(s3::Error::with_message(
            ErrorCode::InvalidRequest,
            "Request specific response headers cannot be used for anonymous GET requests.",
        ));
    }
    let found = find(shard, (&read.bucket, &read.key), &read.version, want).await?;
    caller.judged.check(&found.object)?;
    answer(shard, caller, read, (found, want)).await
}

/// Answers with an object that was found: what of it is wanted, where its conditions hold.
pub(crate) async fn answer<H: Host>(
    shard: &Shard<H>,
    caller: &Caller,
    read: &ReadObject,
    (mut found, want): (Found<H>, Want),
) -> Result<Response<H>, s3::Error> {
    open(shard, read, (&mut found, want)).await?;
    if caller.is_anonymous() {
        // What needs a permission of its own isn't told with the object.
        (found.object.lock, found.object.tags) = (None, Vec::new());
    }
    let object = &found.object;
    match read.conditions.evaluate(&record::validators(object)) {
        Outcome::Proceed => {}
        Outcome::NotModified => return Ok(Response::empty(validator_head(304, &found))),
        failed @ Outcome::Failed(_) => {
            return Err(failed.error().unwrap_or_else(|| ErrorCode::PreconditionFailed.into()));
        }
    }
    let selection = select(read, object)?;
    begin(shard, read, respond(read, found, &selection, want)).await
}

/// Answers with all of an object and a status of one's own: the page that a website shows with an error.
pub(crate) async fn page<H: Host>(
    shard: &Shard<H>,
    read: &ReadObject,
    mut found: Found<H>,
    (status, want): (u16, Want),
) -> Result<Response<H>, s3::Error> {
    open(shard, read, (&mut found, want)).await?;
    (found.object.lock, found.object.tags) = (None, Vec::new());
    begin(shard, read, whole(status, read, found, want)).await
}

/// Has what is encrypted decrypted, where the request may.
async fn open<H: Host>(
    shard: &Shard<H>,
    read: &ReadObject,
    (found, want): (&mut Found<H>, Want),
) -> Result<(), s3::Error> {
    let customer_key = read.customer_key.as_deref();
    match want {
        Want::Head => encryption::to_show(found, customer_key),
        Want::Body => {
            let opener = encryption::to_read(shard, found, customer_key).await?;
            found.source.open_with(opener);
            Ok(())
        }
    }
}

/// Reads the first bytes of a response while its status can still be another.
async fn begin<H: Host>(
    shard: &Shard<H>,
    read: &ReadObject,
    mut response: Response<H>,
) -> Result<Response<H>, s3::Error> {
    if let ResponseBody::Object(reader) = &mut response.body {
        let begun = reader.begin_reading(&read.bucket, &read.key).await;
        begun.inspect_err(|error| tell(shard, reader.subject(), error))?;
    }
    Ok(response)
}

/// Says that an object can't be read; of damage once.
pub(crate) fn tell<H: Host>(shard: &Shard<H>, object: &str, error: &AskError) {
    match error {
        AskError::Damaged(finding) => shard.told().damage(object, finding),
        AskError::Full
        | AskError::Overloaded
        | AskError::DeviceFailed(_)
        | AskError::VolumeFailed { .. }
        | AskError::Unavailable(_) => {
            tracing::warn!(object, %error, "an object can't be read");
        }
    }
}

/// A version of an object, its bodies pinned where their bytes are wanted. A delete marker is an error.
pub(crate) async fn find<H: Host>(
    shard: &Shard<H>,
    (bucket_name, key): (&str, &str),
    named: &Version,
    want: Want,
) -> Result<Found<H>, s3::Error> {
    let bucket = find_bucket(shard, bucket_name)?;
    let group = shard.group_of(bucket.record.id, key);
    let access = match want {
        Want::Body => Access::Bytes,
        Want::Head => Access::Record,
    };
    let missing = || version::missing(&bucket.record, key, named);
    let version = version::wanted(named).ok_or_else(missing)?;
    let ask = Ask::Object { bucket: bucket.record.id, key: key.to_owned(), version, access };
    let answer = shard.ask(group, ask).await;
    let answer = answer.inspect_err(|error| tell(shard, &format!("{bucket_name}/{key}"), error))?;
    let Answer::Object(Some(found)) = answer else { return Err(missing()) };
    if found.object.is_marker() {
        return Err(version::hidden(key, named, &found.object));
    }
    let source = Source::new(shard, group, &found);
    let version = version::shown(&bucket.record, &found.object);
    let expiration = (*named == Version::Current)
        .then(|| record::expiration(&bucket, key, &found.object))
        .flatten();
    Ok(Found { bucket: bucket.record.id, object: found.object, version, expiration, source })
}

fn select(read: &ReadObject, object: &Object) -> Result<Selection, s3::Error> {
    if let Some(number) = read.part {
        return select_part(number, object);
    }
    let holds = conditions::range_holds(read.if_range.as_deref(), &record::validators(object));
    let ranges = read.range.as_deref().filter(|_| holds).and_then(range::parse);
    let Some(ranges) = ranges else { return Ok(Selection::Whole) };
    let resolved = range::resolve(&ranges, object.size).map_err(|_unsatisfiable| {
        s3::Error::new(ErrorCode::InvalidRange)
            .field("RangeRequested", read.range.clone().unwrap_or_default())
            .field("ActualObjectSize", object.size.to_string())
    })?;
    match resolved.as_slice() {
        [only] => Ok(Selection::Range(only.clone())),
        _ => Ok(Selection::Ranges(resolved)),
    }
}

fn select_part(number: u16, object: &Object) -> Result<Selection, s3::Error> {
    if object.parts.is_empty() {
        // An object that was put whole is its own part 1, without a count.
        return match number {
            1 => Ok(Selection::Range(0..object.size)),
            _ => Err(s3::Error::new(ErrorCode::InvalidPartNumber)),
        };
    }
    let mut start = 0;
    for part in &object.parts {
        if part.number == number {
            return Ok(Selection::Part {
                range: start..start + part.size,
                count: object.parts.len(),
            });
        }
        start += part.size;
    }
    Err(s3::Error::new(ErrorCode::InvalidPartNumber))
}

/// The headers that tell a client whether its copy is current.
fn validator_head<H: Host>(status: u16, found: &Found<H>) -> ResponseHead {
    let object = &found.object;
    let seconds = record::signed_ms(object.last_modified_ms).div_euclid(1000);
    let head = ResponseHead::new(status)
        .header("ETag", &record::quoted(&object.etag))
        .header("Last-Modified", &date::format_http(seconds));
    let head = version::head_with(head, found.version);
    // RFC 9110, 15.4.5: a 304 repeats the headers that govern caches.
    let kept = ["cache-control", "expires"];
    let kept = object.headers.iter().filter(|(name, _)| kept.contains(&name.as_str()));
    if status == 304 {
        kept.fold(head, |head, (name, value)| head.header(name, value))
    } else {
        head
    }
}

fn object_head<H: Host>(
    status: u16,
    read: &ReadObject,
    found: &Found<H>,
    whole: bool,
) -> ResponseHead {
    let object = &found.object;
    let mut head = validator_head(status, found).header("Accept-Ranges", "bytes");
    let headers = record::object_headers(&object.headers, &object.metadata);
    for (name, value) in headers.emit(&read.overrides) {
        head = head.header(&name, &value);
    }
    if let Some(expiration) = &found.expiration {
        head = head.header("x-amz-expiration", expiration);
    }
    for (name, value) in s3::lock::emit(lock::shown(object)) {
        head = head.header(name, &value);
    }
    let customer_key = read.customer_key.as_deref();
    head = encryption::head_with(head, object.encryption.as_deref(), customer_key);
    if !object.tags.is_empty() {
        head = head.number("x-amz-tagging-count", object.tags.len() as u64);
    }
    // A checksum is that of the whole object: with a part of it, clients would compare the wrong bytes.
    if let Some(checksum) = object.checksum.as_ref().filter(|_| read.checksum_wanted && whole)
        && let Some(shown) = record::shown_checksum(checksum)
    {
        head = head
            .header(shown.algorithm.header(), &shown.value)
            .header("x-amz-checksum-type", record::shown_kind(checksum.kind).name());
    }
    head
}

fn respond<H: Host>(
    read: &ReadObject,
    found: Found<H>,
    selection: &Selection,
    want: Want,
) -> Response<H> {
    match selection {
        Selection::Whole => whole(200, read, found, want),
        Selection::Range(range) => partial(read, found, (range, want)),
        Selection::Part { range, count } => {
            let head = part_head(read, &found, range)
                .number("x-amz-mp-parts-count", u64::try_from(*count).unwrap_or(u64::MAX));
            deliver(head, found.source, want, vec![Stretch::Object(range.clone())])
        }
        Selection::Ranges(ranges) => several(read, found, (ranges, want)),
    }
}

fn whole<H: Host>(status: u16, read: &ReadObject, found: Found<H>, want: Want) -> Response<H> {
    let size = found.object.size;
    let head = object_head(status, read, &found, true).length(size);
    deliver(head, found.source, want, vec![Stretch::Object(0..size)])
}

fn part_head<H: Host>(read: &ReadObject, found: &Found<H>, range: &Range<u64>) -> ResponseHead {
    let size = found.object.size;
    object_head(206, read, found, *range == (0..size))
        .header("Content-Range", &range::content_range(range, size))
        .length(range.end - range.start)
}

fn partial<H: Host>(
    read: &ReadObject,
    found: Found<H>,
    (range, want): (&Range<u64>, Want),
) -> Response<H> {
    if range.is_empty() {
        // partNumber=1 of an empty object: there is no byte that a Content-Range could name.
        let head = object_head(200, read, &found, true).length(0);
        return deliver(head, found.source, want, Vec::new());
    }
    let head = part_head(read, &found, range);
    deliver(head, found.source, want, vec![Stretch::Object(range.clone())])
}

/// RFC 9110, 14.6: several ranges as multipart/byteranges.
fn several<H: Host>(
    read: &ReadObject,
    found: Found<H>,
    (ranges, want): (&[Range<u64>], Want),
) -> Response<H> {
    let object = &found.object;
    let headers = record::object_headers(&object.headers, &object.metadata);
    let content_type = read.overrides.content_type.as_ref().or(headers.content_type.as_ref());
    let content_type = content_type.map_or(s3::headers::CONTENT_TYPE_DEFAULT, String::as_str);
    // The ETag is a digest of the content: the content does not contain it by chance.
    let boundary = format!("anode-{}", object.etag);
    let mut stretches = Vec::with_capacity(2 * ranges.len() + 1);
    let mut length = 0;
    for range in ranges {
        let content_range = range::content_range(range, object.size);
        let part = Bytes::from(range::part_head(&boundary, content_type, &content_range));
        length += part.len() as u64 + (range.end - range.start);
        stretches.extend([Stretch::Literal(part), Stretch::Object(range.clone())]);
    }
    let end = Bytes::from(range::parts_end(&boundary));
    length += end.len() as u64;
    stretches.push(Stretch::Literal(end));
    let overridden = Overrides {
        content_type: Some(format!("multipart/byteranges; boundary={boundary}")),
        ..read.overrides.clone()
    };
    let read = ReadObject { overrides: overridden, ..read.clone() };
    let head = object_head(206, &read, &found, false).length(length);
    deliver(head, found.source, want, stretches)
}

fn deliver<H: Host>(
    head: ResponseHead,
    source: Source<H>,
    want: Want,
    stretches: Vec<Stretch>,
) -> Response<H> {
    let body = match want {
        Want::Head => ResponseBody::Empty,
        Want::Body => ResponseBody::Object(Box::new(ObjectReader::new(source, stretches))),
    };
    Response { head, body }
}

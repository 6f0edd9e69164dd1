//! S3: `ListParts` and `ListMultipartUploads`.

use anode_net::{
    checksum::{Algorithm, Kind},
    s3::{
        self,
        checksums::UploadChecksum,
        headers::STORAGE_CLASS_DEFAULT,
        parameters::{ListMultipartUploads, ListParts},
        xml::multipart as documents,
    },
};
use anode_shards::{
    object::{STORAGE_CLASS, Upload},
    state::{ListPage, ListQuery, Listed, PartPage, Position, UploadListed},
};

use super::{
    find_bucket,
    list::merged,
    multipart::{find_upload, parse_id},
    ownership::Owners,
    put::Target,
    record,
};
use crate::{
    exchange::Response,
    host::Host,
    mesh::{Answer, Ask, AskError},
    shard::Shard,
};

/// Answers `ListParts`.
pub async fn parts<H: Host>(shard: &Shard<H>, list: &ListParts) -> Result<Response<H>, s3::Error> {
    let target = Target { bucket: &list.bucket, key: &list.key };
    let (bucket, meta) = (find_bucket(shard, &list.bucket)?, shard.meta());
    let place = find_upload(shard, &target, &list.upload).await?;
    let page = match u16::try_from(list.part_marker) {
        // Behind the highest number there are no parts.
        Err(_) => PartPage::default(),
        Ok(after) => {
            let count_max = usize::try_from(list.parts_max).unwrap_or(usize::MAX);
            let key = list.key.clone();
            let ask = Ask::Parts {
                bucket: place.bucket.record.id,
                key,
                upload: place.id,
                after,
                count_max,
            };
            let answer = shard.ask(place.group, ask).await?;
            if let Answer::Parts(page) = answer { page } else { PartPage::default() }
        }
    };
    let parts = page.parts.iter().map(|part| documents::PartEntry {
        number: part.number,
        modified_ms: record::signed_ms(part.last_modified_ms),
        etag: &part.etag,
        size_bytes: part.size,
        checksum: part.checksum.as_ref().and_then(record::shown_checksum),
    });
    let document = documents::PartList {
        bucket: &list.bucket,
        key: &list.key,
        upload: &list.upload,
        owner: Owners::new(shard, &meta.iam, &bucket).of(place.upload.acl.as_deref()),
        storage_class: storage_class(&place.upload),
        part_marker: list.part_marker,
        parts_max: list.parts_max,
        truncated: page.more,
        checksum: upload_checksum(&place.upload),
        parts: parts.collect(),
    };
    let mut response = Response::xml(documents::parts(&document));
    let begun = (list.key.as_str(), place.upload.initiated_ms);
    response.head = record::head_with_abort(response.head, &place.bucket, begun);
    Ok(response)
}

/// Answers `ListMultipartUploads`.
pub async fn uploads<H: Host>(
    shard: &Shard<H>,
    list: &ListMultipartUploads,
) -> Result<Response<H>, s3::Error> {
    let view = find_bucket(shard, &list.bucket)?;
    let bucket = view.record.id;
    let delimiter = list.delimiter.as_deref();
    let start = match list.upload_marker.as_deref().and_then(parse_id) {
        Some(upload) => Position::after_upload(&list.key_marker, upload),
        None => Position::after_marker(&list.key_marker, &list.prefix, delimiter),
    };
    let query = ListQuery {
        prefix: list.prefix.clone(),
        start,
        delimiter: list.delimiter.clone(),
        entries_max: usize::try_from(list.uploads_max).unwrap_or(usize::MAX),
    };
    let page = merged(shard, &query, |group, query| async move {
        let answer = shard.ask(group, Ask::Uploads { bucket, query }).await?;
        let Answer::Uploads(page) = answer else {
            return Err(AskError::Unavailable(format!("a page was asked for, not {answer:?}")));
        };
        Ok(page)
    })
    .await?;
    let meta = shard.meta();
    Ok(Response::xml(uploads_document(list, &page, Owners::new(shard, &meta.iam, &view))))
}

fn uploads_document(
    list: &ListMultipartUploads,
    page: &ListPage<UploadListed>,
    owners: Owners<'_>,
) -> bytes::Bytes {
    let ids: Vec<String> = page
        .entries
        .iter()
        .map(|entry| match &entry.listed {
            Listed::Item { value, .. } => value.id.to_string(),
            Listed::Prefix(_) => String::new(),
        })
        .collect();
    let mut uploads = Vec::new();
    let mut common_prefixes = Vec::new();
    for (entry, id) in page.entries.iter().zip(&ids) {
        match &entry.listed {
            Listed::Prefix(prefix) => common_prefixes.push(prefix.as_str()),
            Listed::Item { key, value } => uploads.push(documents::UploadEntry {
                key,
                upload: id,
                initiated_ms: record::signed_ms(value.upload.initiated_ms),
                owner: owners.of(value.upload.acl.as_deref()),
                storage_class: storage_class(&value.upload),
                checksum: upload_checksum(&value.upload),
            }),
        }
    }
    let last = page.next.as_ref().and_then(|_| page.entries.last().zip(ids.last()));
    documents::uploads(&documents::UploadList {
        bucket: &list.bucket,
        prefix: &list.prefix,
        delimiter: list.delimiter.as_deref(),
        key_marker: &list.key_marker,
        upload_marker: list.upload_marker.as_deref().unwrap_or_default(),
        next: last.map(|(entry, id)| documents::NextUpload { key: entry.name(), upload: id }),
        uploads_max: list.uploads_max,
        encoding: list.encoding,
        uploads,
        common_prefixes,
    })
}

fn storage_class(upload: &Upload) -> &str {
    let class = upload.headers.iter().find(|(name, _)| name == STORAGE_CLASS);
    class.map_or(STORAGE_CLASS_DEFAULT, |(_, class)| class)
}

fn upload_checksum(upload: &Upload) -> Option<UploadChecksum> {
    let algorithm = Algorithm::from_name(upload.checksum_algorithm.as_deref()?).ok()?;
    let kind = upload.checksum_kind.map_or(Kind::Composite, record::shown_kind);
    Some(UploadChecksum { algorithm, kind })
}

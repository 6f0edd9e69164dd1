//! S3: `ListObjectVersions`: as the other listings, with every version of each key.

use anode_disk::wal::GroupId;
use anode_net::s3::{
    self,
    parameters::ListObjectVersions,
    xml::lists::ObjectEntry,
    xml::versions::{self, VersionEntry, VersionList},
};
use anode_shards::{
    object::{BucketId, Object, STORAGE_CLASS},
    state::{ListPage, ListQuery, Listed, Position},
    version::{VersionId, WantedVersion},
};

use super::{find_bucket, list::merged, ownership::Owners, record, version};
use crate::{
    exchange::Response,
    host::Host,
    mesh::{Access, Answer, Ask, AskError},
    shard::Shard,
};

/// Answers `ListObjectVersions`.
pub async fn list<H: Host>(
    shard: &Shard<H>,
    list: &ListObjectVersions,
) -> Result<Response<H>, s3::Error> {
    let view = find_bucket(shard, &list.bucket)?;
    let bucket = view.record.id;
    let start = match start_version(shard, bucket, list).await? {
        Some(id) => Position::after_version(&list.key_marker, id.sequence),
        None => Position::after_marker(&list.key_marker, &list.prefix, list.delimiter.as_deref()),
    };
    let query = ListQuery {
        prefix: list.prefix.clone(),
        start,
        delimiter: list.delimiter.clone(),
        entries_max: usize::try_from(list.keys_max).unwrap_or(usize::MAX),
    };
    let ask = |group: GroupId, query: ListQuery| async move {
        let answer = shard.ask(group, Ask::ListVersions { bucket, query }).await?;
        let Answer::Versions(page) = answer else {
            return Err(AskError::Unavailable(format!("a page was asked for, not {answer:?}")));
        };
        Ok(page)
    };
    let page = merged(shard, &query, ask).await?;
    let meta = shard.meta();
    Ok(Response::xml(versions::versions(&document(
        list,
        &page,
        Owners::new(shard, &meta.iam, &view),
    ))))
}

/// The version that the marker names. One that is gone by now is found by its place all the same.
async fn start_version<H: Host>(
    shard: &Shard<H>,
    bucket: BucketId,
    list: &ListObjectVersions,
) -> Result<Option<VersionId>, s3::Error> {
    let Some(marker) = &list.version_marker else { return Ok(None) };
    let wanted = version::wanted(marker).ok_or_else(|| {
        let sent = marker.sent().unwrap_or_default();
        s3::Error::argument("Invalid version id specified", "version-id-marker", sent)
    })?;
    if let WantedVersion::Id(id) = wanted {
        return Ok(Some(id));
    }
    let key = list.key_marker.clone();
    let group = shard.group_of(bucket, &key);
    let ask = Ask::Object { bucket, key, version: wanted, access: Access::Record };
    let Answer::Object(found) = shard.ask(group, ask).await? else { return Ok(None) };
    Ok(found.map(|found| found.object.version().id))
}

fn object_entry<'a>(key: &'a str, object: &'a Object) -> ObjectEntry<'a> {
    let class = object.headers.iter().find(|(name, _)| name == STORAGE_CLASS);
    let checksum = object.checksum.as_ref();
    ObjectEntry {
        key,
        modified_ms: record::signed_ms(object.last_modified_ms),
        etag: &object.etag,
        size_bytes: object.size,
        storage_class: class.map_or(s3::headers::STORAGE_CLASS_DEFAULT, |(_, class)| class),
        checksum: checksum.and_then(|one| record::listed_checksum(&one.algorithm, one.kind)),
        owner: None,
    }
}

fn document<'a>(
    list: &'a ListObjectVersions,
    page: &'a ListPage<Object>,
    owners: Owners<'a>,
) -> VersionList<'a> {
    let mut versions = Vec::with_capacity(page.entries.len());
    let mut common_prefixes = Vec::new();
    // A page that goes on within a key has shown its newest version before.
    let mut last_key = list.version_marker.as_ref().map(|_| list.key_marker.as_str());
    for entry in &page.entries {
        match &entry.listed {
            Listed::Item { key, value } => {
                let owner = Some(owners.of(value.acl.as_deref()));
                versions.push(VersionEntry {
                    object: ObjectEntry { owner, ..object_entry(key, value) },
                    version: value.version_name().to_string(),
                    is_latest: last_key != Some(key),
                    is_marker: value.is_marker(),
                });
                last_key = Some(key);
            }
            Listed::Prefix(prefix) => common_prefixes.push(prefix.as_str()),
        }
    }
    let last = page.next.as_ref().and_then(|_| page.entries.last());
    let next = last.map(|entry| match &entry.listed {
        // By its place, which a null version's name doesn't tell.
        Listed::Item { key, value } => (key.as_str(), Some(value.version().id.to_string())),
        Listed::Prefix(prefix) => (prefix.as_str(), None),
    });
    VersionList {
        bucket: &list.bucket,
        prefix: &list.prefix,
        delimiter: list.delimiter.as_deref(),
        key_marker: &list.key_marker,
        version_marker: list.version_marker.as_ref().and_then(|marker| marker.sent()),
        next,
        keys_max: list.keys_max,
        encoding: list.encoding,
        versions,
        common_prefixes,
    }
}

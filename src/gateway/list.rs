//! S3: `ListObjects` and `ListObjectsV2`: a merge of the ordered streams of all groups.
//!
//! A page that ran out of its work says that it is truncated and where to go on: it never lies. A page without
//! entries is asked for again here, a few times, as clients take an empty page for the end.

use anode_disk::wal::GroupId;
use anode_net::s3::{
    self,
    listing::{decode_token, encode_token},
    parameters::{ListObjects, ListObjectsV2},
    xml::lists,
};
use anode_shards::{
    object::{BucketId, ObjectSummary},
    state::{ListPage, ListQuery, Listed, Merge, Position, Want},
};
use bytes::Bytes;

use super::{find_bucket, ownership::Owners, record};
use crate::{
    exchange::Response,
    host::Host,
    limits,
    mesh::{Answer, Ask, AskError},
    shard::Shard,
};

/// Answers `ListObjects`.
pub async fn list_v1<H: Host>(
    shard: &Shard<H>,
    list: &ListObjects,
) -> Result<Response<H>, s3::Error> {
    let delimiter = list.delimiter.as_deref();
    let query = ListQuery {
        prefix: list.prefix.clone(),
        start: Position::after_marker(&list.marker, &list.prefix, delimiter),
        delimiter: list.delimiter.clone(),
        entries_max: page_size(list.keys_max),
    };
    let bucket = find_bucket(shard, &list.bucket)?;
    let page = page_of(shard, bucket.record.id, &query).await?;
    let meta = shard.meta();
    let next =
        page.next.as_ref().and_then(|_| page.entries.last()).map(|last| last.name().to_owned());
    let shown = Shown {
        bucket: &list.bucket,
        prefix: &list.prefix,
        delimiter,
        keys_max: list.keys_max,
        encoding: list.encoding,
        owners: Some(Owners::new(shard, &meta.iam, &bucket)),
    };
    let document = shown.document(&page);
    // AWS names the next marker only where there's a delimiter; it helps everywhere.
    Ok(Response::xml(lists::objects(&document, &list.marker, next.as_deref())))
}

/// Answers `ListObjectsV2`.
pub async fn list_v2<H: Host>(
    shard: &Shard<H>,
    list: &ListObjectsV2,
) -> Result<Response<H>, s3::Error> {
    let delimiter = list.delimiter.as_deref();
    let start = if let Some(token) = &list.token {
        position_of_token(&token.position)?
    } else {
        let start_after = list.start_after.as_deref().unwrap_or_default();
        Position::after_marker(start_after, &list.prefix, delimiter)
    };
    let query = ListQuery {
        prefix: list.prefix.clone(),
        start,
        delimiter: list.delimiter.clone(),
        entries_max: page_size(list.keys_max),
    };
    let bucket = find_bucket(shard, &list.bucket)?;
    let page = page_of(shard, bucket.record.id, &query).await?;
    let meta = shard.meta();
    let next = page.next.as_ref().map(|next| encode_token(&hex::encode(next.to_bytes())));
    let shown = Shown {
        bucket: &list.bucket,
        prefix: &list.prefix,
        delimiter,
        keys_max: list.keys_max,
        encoding: list.encoding,
        owners: list.fetch_owner.then(|| Owners::new(shard, &meta.iam, &bucket)),
    };
    let markers = lists::ListMarkers {
        token: list.token.as_ref().map(|token| token.sent.as_str()),
        next_token: next.as_deref(),
        start_after: list.start_after.as_deref(),
    };
    Ok(Response::xml(lists::objects_v2(&shown.document(&page), &markers)))
}

/// A token carries the bytes of a position, in hex.
fn position_of_token(after: &str) -> Result<Position, s3::Error> {
    match hex::decode(after) {
        Ok(bytes) => Ok(Position::from_bytes(Bytes::from(bytes))),
        // The words for a token that nobody made.
        Err(_) => {
            Err(decode_token("")
                .map_or_else(|error| error, |_| s3::ErrorCode::InvalidArgument.into()))
        }
    }
}

fn page_size(keys_max: u32) -> usize {
    usize::try_from(keys_max).unwrap_or(usize::MAX)
}

async fn page_of<H: Host>(
    shard: &Shard<H>,
    bucket: BucketId,
    query: &ListQuery,
) -> Result<ListPage<ObjectSummary>, s3::Error> {
    let ask = |group: GroupId, query: ListQuery| async move {
        let answer = shard.ask(group, Ask::List { bucket, query }).await?;
        let Answer::List(page) = answer else {
            return Err(AskError::Unavailable(format!("a page was asked for, not {answer:?}")));
        };
        Ok(page)
    };
    Ok(merged(shard, query, ask).await?)
}

/// A page over all groups of objects; each wanted page of a group is asked for by `ask`.
pub(crate) async fn merged<H, T, F>(
    shard: &Shard<H>,
    query: &ListQuery,
    ask: impl Fn(GroupId, ListQuery) -> F,
) -> Result<ListPage<T>, AskError>
where
    H: Host,
    F: Future<Output = Result<ListPage<T>, AskError>>,
{
    let groups = shard.object_groups();
    let mut start = query.start.clone();
    let mut page = ListPage { entries: Vec::new(), next: None };
    for _ in 0..limits::LIST_ROUND_COUNT_MAX {
        let mut merge = Merge::new(groups.len(), &start, query.entries_max);
        for _ in 0..limits::LIST_ROUND_COUNT_MAX {
            let wanted = merge.wants();
            if wanted.is_empty() {
                break;
            }
            let pages = wanted.into_iter().map(|Want { place, start, entries_max }| {
                let query = ListQuery { start, entries_max, ..query.clone() };
                let asked = ask(groups[place], query);
                async move { Ok::<_, AskError>((place, asked.await?)) }
            });
            for (place, fed) in futures::future::try_join_all(pages).await? {
                merge.feed(place, fed);
            }
        }
        page = merge.finish();
        match &page.next {
            Some(next) if page.entries.is_empty() => start = next.clone(),
            _ => break,
        }
    }
    Ok(page)
}

/// What of the request its answer repeats.
struct Shown<'a> {
    bucket: &'a str,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    keys_max: u32,
    encoding: s3::listing::Encoding,
    owners: Option<Owners<'a>>,
}

impl<'a> Shown<'a> {
    fn document(&self, page: &'a ListPage<ObjectSummary>) -> lists::ObjectList<'a> {
        let mut objects = Vec::with_capacity(page.entries.len());
        let mut common_prefixes = Vec::new();
        for entry in &page.entries {
            match &entry.listed {
                Listed::Item { key, value } => {
                    let entry = object_entry(key, value);
                    let owner = self.owners.map(|owners| owners.of(value.acl.as_deref()));
                    objects.push(lists::ObjectEntry { owner, ..entry });
                }
                Listed::Prefix(prefix) => common_prefixes.push(prefix.as_str()),
            }
        }
        lists::ObjectList {
            bucket: self.bucket,
            prefix: self.prefix,
            delimiter: self.delimiter,
            keys_max: self.keys_max,
            encoding: self.encoding,
            truncated: page.next.is_some(),
            objects,
            common_prefixes,
        }
    }
}

fn object_entry<'a>(key: &'a str, object: &'a ObjectSummary) -> lists::ObjectEntry<'a> {
    let class = object.headers.storage_class.as_deref();
    let checksum = object.checksum.and_then(|one| Some((one.algorithm.0?, one.kind)));
    lists::ObjectEntry {
        key,
        modified_ms: record::signed_ms(object.last_modified_ms),
        etag: &object.etag,
        size_bytes: object.size,
        storage_class: class.unwrap_or(s3::headers::STORAGE_CLASS_DEFAULT),
        checksum: checksum.and_then(|(name, kind)| record::listed_checksum(name, kind)),
        owner: None,
    }
}

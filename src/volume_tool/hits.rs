//! Who is hit by damage: from index keys to the objects that clients know.
//!
//! What a chunk holds has its own name as its key, and the chunks of bodies say which they hold: they are read once
//! more, for the bodies that are hit, and then the objects of the shard. Each is named that has such a body, or whose
//! record or chunks lie in something damaged. An object that was overwritten since is not.

use std::collections::BTreeSet;

use anode_disk::{
    Directory,
    check::{Damage, Taken},
    index::{Entry, Inspection, Sight, TableFacts},
};
use anode_shards::{
    object::Object,
    state::named::{Named, chunk_keys, content_key, object_parts, object_record},
};
use bytes::Bytes;

use super::buckets::Buckets;

/// Per damage of a shard, the objects that can't be read whole for it: bucket and key.
pub(super) async fn objects_of<D: Directory>(
    index: &Inspection<D>,
    damages: &[Damage],
    buckets: &Buckets,
) -> Vec<Vec<(String, String)>> {
    let mut hits = vec![Vec::new(); damages.len()];
    let bodies = bodies_of(index, damages).await;
    for table in index.tables() {
        for (key, entry) in objects(index, &table).await {
            let spans = spans(index, &key, &entry).await;
            for ((damage, bodies), hit) in damages.iter().zip(&bodies).zip(&mut hits) {
                let is_hit = spans.iter().any(|span| touches(&damage.taken, span))
                    || spans.iter().any(|[first, _]| bodies.contains(first));
                if is_hit && is_current(index, &key, &entry).await {
                    hit.extend(named(&key, buckets));
                }
            }
        }
    }
    for hit in &mut hits {
        hit.sort();
        hit.dedup();
    }
    hits
}

/// Per damage the bodies that hold something of it, by the key of their first chunk.
async fn bodies_of<D: Directory>(
    index: &Inspection<D>,
    damages: &[Damage],
) -> Vec<BTreeSet<Bytes>> {
    let mut bodies = vec![BTreeSet::new(); damages.len()];
    for table in index.tables() {
        let look = |sight| {
            let Sight::Entry(key, Some(entry)) = sight else { return };
            let Some((group, Named::Chunk(body, _))) = Named::of(&key) else { return };
            let Some(content) = content_key(group, &entry.value) else { return };
            let span = [content.clone(), content];
            for (damage, bodies) in damages.iter().zip(&mut bodies) {
                if touches(&damage.taken, &span) {
                    let [first, _] = chunk_keys(group, body, 1);
                    bodies.insert(first);
                }
            }
        };
        index.walk(&table, look).await;
    }
    bodies
}

/// What a key is of, in words.
pub(super) fn describe(key: &[u8], buckets: &Buckets) -> String {
    let Some((group, named)) = Named::of(key) else { return "an unknown key".to_owned() };
    let what = match named {
        Named::Applied => "the position of its state".to_owned(),
        Named::NextBucket => "the number of the next bucket".to_owned(),
        Named::MasterKey => "the key that what is encrypted by default needs".to_owned(),
        Named::PendingDelete => "the figures of what waits to be reclaimed".to_owned(),
        Named::EventQueue => "the figures of events that wait".to_owned(),
        Named::Counted => "since when its buckets are counted".to_owned(),
        Named::IamRevision => "how often users and policies were changed".to_owned(),
        Named::Round => "the number of the last round of quotas".to_owned(),
        Named::Iam(name) => format!("a user, group, role, policy or account: {name}"),
        Named::Usage(bucket) => format!("the figures of {}", buckets.name(bucket)),
        Named::Allowance(bucket) => format!("the share in the quota of {}", buckets.name(bucket)),
        Named::Event(target) => format!("an event that waits for {target}"),
        Named::Bucket(name) => format!("bucket {name}"),
        Named::Configuration(bucket, kind) => {
            format!("configuration {kind} of {}", buckets.name(bucket))
        }
        Named::Credential(access_key) => format!("credential {access_key}"),
        Named::Object(bucket, key) => format!("object {}/{key}", buckets.name(bucket)),
        Named::Upload(bucket, key) => format!("an upload of {}/{key}", buckets.name(bucket)),
        Named::Part(upload, number) => format!("part {number} of upload {:032x}", upload.0),
        Named::Chunk(body, chunk) => format!("chunk {chunk} of body {body}"),
        Named::Content(content) => format!("what chunks hold under the name {content}"),
        Named::Shared(content) => format!("the count of chunks that hold {content}"),
        Named::BucketState(bucket) => format!("the state of {}", buckets.name(bucket)),
        Named::NullVersion(bucket, key) => {
            format!("the null version of {}/{key}", buckets.name(bucket))
        }
        Named::Condemned(body) => format!("body {body}, to be reclaimed"),
        Named::Unknown => "an unknown key".to_owned(),
    };
    format!("{what} (group {group})")
}

/// The objects of a table.
async fn objects<D: Directory>(index: &Inspection<D>, table: &TableFacts) -> Vec<(Bytes, Entry)> {
    let mut objects = Vec::new();
    index
        .walk(table, |sight| {
            if let Sight::Entry(key, Some(entry)) = sight
                && matches!(Named::of(&key), Some((_, Named::Object(..))))
            {
                objects.push((key, entry));
            }
        })
        .await;
    objects
}

/// The index keys that an object's bytes hang on: its own, and those of its chunks, as first and last.
async fn spans<D: Directory>(index: &Inspection<D>, key: &Bytes, entry: &Entry) -> Vec<[Bytes; 2]> {
    let mut spans = vec![[key.clone(), key.clone()]];
    let Some((group, _)) = Named::of(key) else { return spans };
    let Some((mut object, has_parts)) = object_record(&entry.value) else { return spans };
    if has_parts {
        // Where they can't be read, the object is hit by its own key.
        object.parts = match index.payload(key, entry).await {
            Ok(payload) => object_parts(&payload).unwrap_or_default(),
            Err(_damage) => Vec::new(),
        };
    }
    let bodies = Object::bodies(&object);
    spans.extend(bodies.map(|(body, bytes)| chunk_keys(group, body, bytes)));
    spans
}

/// Whether damage takes along a key from the first to the last.
fn touches(taken: &Taken, [first, last]: &[Bytes; 2]) -> bool {
    match taken {
        Taken::Payload(key) => (first..=last).contains(&key),
        Taken::Payloads(keys) => keys.range(first.clone()..=last.clone()).next().is_some(),
        Taken::Keys { after, upto } => {
            first <= upto && after.as_ref().is_none_or(|after| last > after)
        }
        Taken::Shard | Taken::Log | Taken::Outdated(_) | Taken::Twin => false,
    }
}

async fn is_current<D: Directory>(index: &Inspection<D>, key: &Bytes, entry: &Entry) -> bool {
    match index.current(key).await {
        Ok(found) => found.as_ref() == Some(entry),
        Err(_damage) => true,
    }
}

fn named(key: &Bytes, buckets: &Buckets) -> Option<(String, String)> {
    match Named::of(key)? {
        (_, Named::Object(bucket, key)) => Some((buckets.name(bucket), key)),
        _ => None,
    }
}

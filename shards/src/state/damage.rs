//! What an index key is to people: whose bytes are struck when something under it is damaged.

use std::ops::Range;

use anode_disk::{Directory, Error, index::ScanLimit, wal::GroupId};
use bytes::Bytes;

use super::{State, keys, read::decode};
use crate::object::{Body, BodyId, BucketId, ContentId, Object, Part, UploadId};

const PAGE: ScanLimit = ScanLimit { entries: 1000, bytes: 1 << 20 };

/// What is struck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Struck {
    /// An object: its record or its bytes.
    Object {
        /// Its bucket.
        bucket: BucketId,
        /// Its key.
        key: String,
    },
    /// An upload under way.
    Upload {
        /// Which one.
        upload: UploadId,
    },
    /// A chunk of a body.
    Chunk {
        /// The body.
        body: BodyId,
        /// The chunk's number, from 0.
        chunk: u32,
    },
    /// What chunks of one or several bodies hold.
    Content(ContentId),
    /// What the group keeps of itself.
    State,
}

/// The group that an index key belongs to.
pub fn group_of(index_key: &[u8]) -> Option<GroupId> {
    keys::group(index_key)
}

impl Struck {
    /// What an index key names.
    pub fn of(index_key: &[u8]) -> Self {
        keys::named(index_key).unwrap_or(Self::State)
    }
}

impl<D: Directory> State<D> {
    /// Who has the bytes of a body: an object, or an upload under way; `None` where it waits to be reclaimed. Looks at
    /// every object of the group, so ask seldom.
    pub async fn owner_of(&self, body: BodyId) -> Result<Option<Struck>, Error> {
        for range in [keys::all_objects(self.group), keys::all_versions(self.group)] {
            if let Some(owner) = self.object_with(body, range).await? {
                return Ok(Some(owner));
            }
        }
        self.upload_with(body).await
    }

    async fn object_with(
        &self,
        body: BodyId,
        mut range: Range<Bytes>,
    ) -> Result<Option<Struck>, Error> {
        loop {
            let page = self.storage.index.scan(range.clone(), PAGE).await?;
            for (key, entry) in &page.entries {
                let object: Object = decode(key, &entry.value)?;
                let has = match object.body {
                    Body::Empty | Body::Inline(_) => false,
                    Body::Whole(whole) => whole == body,
                    // Parts that can't be read are a finding of their own.
                    Body::Parts(_) => self
                        .parts_of(key, entry)
                        .await
                        .is_ok_and(|parts| parts.iter().any(|part| part.body == body)),
                };
                if has {
                    return Ok(Some(Struck::of(key)));
                }
            }
            let Some(next) = page.next else { return Ok(None) };
            range.start = next;
        }
    }

    /// Chunks that hold a content, up to `count_max`. Looks at every chunk's entry of the group, so ask seldom.
    pub async fn uses_of(
        &self,
        content: ContentId,
        count_max: usize,
    ) -> Result<Vec<(BodyId, u32)>, Error> {
        let mut uses = Vec::new();
        let mut range = keys::all_chunks(self.group);
        loop {
            let page = self.storage.index.scan(range.clone(), PAGE).await?;
            let held = page.entries.iter().filter(|(_, entry)| entry.value.as_ref() == content.0);
            uses.extend(held.filter_map(|(key, _)| keys::body_chunk(key.get(5..)?)));
            uses.truncate(count_max);
            match page.next {
                Some(next) if uses.len() < count_max => range.start = next,
                Some(_) | None => return Ok(uses),
            }
        }
    }

    async fn upload_with(&self, body: BodyId) -> Result<Option<Struck>, Error> {
        let mut range = keys::all_parts(self.group);
        loop {
            let page = self.storage.index.scan(range.clone(), PAGE).await?;
            for (key, entry) in &page.entries {
                let part: Part = decode(key, &entry.value)?;
                if part.body == body {
                    return Ok(Some(Struck::of(key)));
                }
            }
            let Some(next) = page.next else { return Ok(None) };
            range.start = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::CondemnedId;

    #[test]
    fn every_kind_of_key_names_what_it_strikes() {
        let object = keys::object(3, 9, "a/\0b");
        assert_eq!(Struck::of(&object), Struck::Object { bucket: 9, key: "a/\0b".to_owned() });
        assert_eq!(group_of(&object), Some(3));
        assert_eq!(Struck::of(&keys::version(3, 9, "a/\0b", 4)), Struck::of(&object));
        let chunk = keys::chunk(3, BodyId(5), 7);
        assert_eq!(Struck::of(&chunk), Struck::Chunk { body: BodyId(5), chunk: 7 });
        let content = ContentId([4; 32]);
        assert_eq!(Struck::of(&keys::content(3, content)), Struck::Content(content));
        assert_eq!(Struck::of(&keys::shared(3, content)), Struck::State);
        let upload = Struck::Upload { upload: UploadId(6) };
        assert_eq!(Struck::of(&keys::part(3, UploadId(6), 1)), upload);
        assert_eq!(Struck::of(&keys::upload(3, 9, "k", UploadId(6))), upload);
        let condemned = CondemnedId { since_ms: 4, body: BodyId(5) };
        for other in [
            keys::meta(3),
            keys::bucket_state(3, 9),
            keys::null(3, 9, "k"),
            keys::condemned(3, condemned),
        ] {
            assert_eq!(Struck::of(&other), Struck::State);
        }
        for cut in 0..chunk.len() {
            assert_eq!(Struck::of(&chunk[..cut]), Struck::State);
        }
        assert_eq!(group_of(b"abc"), None);
    }
}

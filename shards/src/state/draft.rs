//! What a command will change, gathered while it is decided.

use anode_disk::index::{Batch, Entry, Payload};
use bytes::Bytes;
use minicbor::Encode;

use super::{
    pending::PendingDelete,
    reclaim::{Condemned, CondemnedId},
};
use crate::object::{BodyId, ContentId};

/// Changes that are not written yet; dropped where the command is refused.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) batch: Batch,
    /// Chunks that are to be staged.
    pub(super) claims: Vec<Claim>,
    /// Contents that it refers to once less, each as often.
    pub(super) released: Vec<ContentId>,
    /// What it condemns, to be added to the group's figures.
    pub(super) condemned: PendingDelete,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) body: BodyId,
    pub(super) chunk: u32,
    pub(super) data_bytes: u32,
    pub(super) content: ContentId,
}

impl Draft {
    pub(super) fn put(&mut self, key: Bytes, record: &impl Encode<()>) {
        self.put_with(key, record, Payload::None);
    }

    pub(super) fn put_with(&mut self, key: Bytes, record: &impl Encode<()>, payload: Payload) {
        self.batch.put(key, Entry { value: encode(record), payload });
    }

    /// Puts a body on the list of those to be reclaimed, under `key`.
    pub(super) fn condemn(&mut self, key: Bytes, id: CondemnedId, condemned: Condemned) {
        self.put(key, &condemned);
        let oldest_ms = Some(id.since_ms);
        let one = PendingDelete { bodies: 1, bytes: condemned.bytes, oldest_ms };
        self.condemned = self.condemned.plus(one);
    }

    pub(super) fn delete(&mut self, key: Bytes) {
        self.batch.delete(key);
    }
}

pub(super) fn encode(record: &impl Encode<()>) -> Bytes {
    Bytes::from(minicbor::to_vec(record).expect("writing into memory can't fail"))
}

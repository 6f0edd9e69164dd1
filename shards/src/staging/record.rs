//! The record of a settled chunk in the shard's local log.
//!
//! ```text
//!  0  version u8, 2
//!  1  group   u32 LE
//!  5  body    u128 LE
//! 21  chunk   u32 LE
//! 25  extent  16 bytes
//! 41  content 32 bytes
//! 73
//! ```

use anode_disk::{segment::Extent, wal::GroupId};
use bytes::Bytes;

use crate::object::{BodyId, ContentId};

const VERSION: u8 = 2;
const RECORD_BYTES: usize = 73;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StagedRecord {
    pub(super) group: GroupId,
    pub(super) body: BodyId,
    pub(super) chunk: u32,
    pub(super) extent: Extent,
    pub(super) content: ContentId,
}

impl StagedRecord {
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(RECORD_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.group.to_le_bytes());
        bytes.extend_from_slice(&self.body.0.to_le_bytes());
        bytes.extend_from_slice(&self.chunk.to_le_bytes());
        bytes.extend_from_slice(&self.extent.encode());
        bytes.extend_from_slice(&self.content.0);
        Bytes::from(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (version, rest) = take::<1>(bytes)?;
        if version != [VERSION] {
            return Err(format!("version {}; this release reads {VERSION}", version[0]));
        }
        let (group, rest) = take::<4>(rest)?;
        let (body, rest) = take::<16>(rest)?;
        let (chunk, rest) = take::<4>(rest)?;
        let (extent, rest) = take::<16>(rest)?;
        let (content, rest) = take::<32>(rest)?;
        if !rest.is_empty() {
            return Err(format!("{} bytes too many", rest.len()));
        }
        Ok(Self {
            group: u32::from_le_bytes(group),
            body: BodyId(u128::from_le_bytes(body)),
            chunk: u32::from_le_bytes(chunk),
            extent: Extent::decode(extent),
            content: ContentId(content),
        })
    }
}

type Split<'a, const N: usize> = ([u8; N], &'a [u8]);

fn take<const N: usize>(bytes: &[u8]) -> Result<Split<'_, N>, String> {
    bytes
        .split_first_chunk::<N>()
        .map(|(head, rest)| (*head, rest))
        .ok_or_else(|| format!("{} bytes are left where {N} are needed", bytes.len()))
}

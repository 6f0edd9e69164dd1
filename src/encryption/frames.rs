//! Bytes in frames, each encrypted and authenticated on its own.

use anode_shards::{
    encryption::{FRAME_BYTES, FRAME_DATA_BYTES, TAG_BYTES, stored_bytes},
    object::{Body, BodyId, Object},
};
use bytes::{Bytes, BytesMut};
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::keys::DataKey;

/// Lengths in memory of what `anode_shards` draws.
const FRAME: usize = 64 << 10;
const TAG: usize = 16;
const DATA: usize = FRAME - TAG;

const _: () = assert!(FRAME as u64 == FRAME_BYTES && TAG as u64 == TAG_BYTES);
const _: () = assert!(DATA as u64 == FRAME_DATA_BYTES);

/// Where a frame is in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    number: u64,
    is_last: bool,
}

impl Place {
    fn nonce(self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        let (number, last) = nonce.split_at_mut(size_of::<u64>());
        number.copy_from_slice(&self.number.to_le_bytes());
        if let Some(last) = last.last_mut() {
            *last = u8::from(self.is_last);
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Encrypts the bytes of one body as they come.
pub(crate) struct Sealer {
    key: LessSafeKey,
    number: u64,
    /// Of the frame that is being filled. It goes when more follows, for the last one is another.
    held: BytesMut,
}

impl Sealer {
    /// Encrypts a body that is an object by itself.
    pub(crate) fn of_whole(key: &DataKey) -> Self {
        Self::new(key.of_whole())
    }

    /// Encrypts a body that is a part of an object.
    pub(crate) fn of_part(key: &DataKey, body: BodyId) -> Self {
        Self::new(key.of_part(body))
    }

    fn new(key: LessSafeKey) -> Self {
        Self { key, number: 0, held: BytesMut::new() }
    }

    /// Takes some of the bytes; gives a frame where one was full. To be called until there are no bytes left.
    pub(crate) fn take(&mut self, data: &mut Bytes) -> Option<Bytes> {
        let full = (self.held.len() == DATA && !data.is_empty()).then(|| self.seal(false));
        if self.held.capacity() == 0 {
            // Small objects come at once, and have one frame.
            self.held.reserve((data.len() + TAG).min(FRAME));
        }
        let step = data.len().min(DATA - self.held.len());
        self.held.extend_from_slice(&data.split_to(step));
        full
    }

    /// After the last byte: the last frame; none where there were no bytes.
    pub(crate) fn finish(mut self) -> Option<Bytes> {
        (!self.held.is_empty()).then(|| self.seal(true))
    }

    fn seal(&mut self, is_last: bool) -> Bytes {
        let place = Place { number: self.number, is_last };
        self.number += 1;
        let mut frame = std::mem::take(&mut self.held);
        let tag = self.key.seal_in_place_separate_tag(place.nonce(), Aad::empty(), &mut frame);
        let tag = tag.expect("a frame is far shorter than what the cipher takes");
        frame.extend_from_slice(tag.as_ref());
        frame.freeze()
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer(frame {})", self.number)
    }
}

/// A frame that isn't what was written in its place, or is read by another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// Which frames of a body are read, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frames {
    /// The first.
    pub(crate) first: u64,
    /// The bytes of the whole body as clients see them.
    pub(crate) body_bytes: u64,
}

/// Decrypts the bytes of an object.
pub(crate) struct Opener {
    key: DataKey,
    is_in_parts: bool,
}

impl Opener {
    /// Opens this object by its data key.
    pub(crate) fn new(key: DataKey, object: &Object) -> Self {
        Self { key, is_in_parts: matches!(object.body, Body::Parts(_)) }
    }

    /// The bytes of frames that lie behind each other as they are stored.
    pub(crate) fn open(
        &self,
        body: BodyId,
        frames: Frames,
        stored: Bytes,
    ) -> Result<Bytes, NotAuthentic> {
        let key = if self.is_in_parts { self.key.of_part(body) } else { self.key.of_whole() };
        open(&key, frames, BytesMut::from(stored))
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener(..)")
    }
}

fn open(key: &LessSafeKey, frames: Frames, mut stored: BytesMut) -> Result<Bytes, NotAuthentic> {
    let end = stored_bytes(frames.body_bytes);
    let (mut number, mut opened, mut at) = (frames.first, 0, 0);
    while at < stored.len() {
        let length = FRAME.min(stored.len() - at);
        let is_last = number * FRAME_BYTES + length as u64 == end;
        let frame = stored.get_mut(at..at + length).ok_or(NotAuthentic)?;
        let place = Place { number, is_last };
        let data = key.open_in_place(place.nonce(), Aad::empty(), frame);
        let bytes = data.map_err(|_unspecified| NotAuthentic)?.len();
        stored.copy_within(at..at + bytes, opened);
        opened += bytes;
        at += length;
        number += 1;
    }
    stored.truncate(opened);
    Ok(stored.freeze())
}

#[cfg(test)]
mod tests;

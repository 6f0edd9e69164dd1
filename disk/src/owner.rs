//! What the owner of index keys knows of what is under them, beyond what checksums say.

/// The owner of a shard's keys.
pub trait Owner {
    /// Whether these can be the bytes of the payload under a key: false where the key says that they are others.
    fn fits(&self, key: &[u8], payload: &[u8]) -> bool;

    /// Whether an older entry under a key is as good as a newer one, and is only removed once nothing refers to it.
    fn is_lasting(&self, key: &[u8]) -> bool;
}

/// An owner whose keys say nothing of what is under them.
#[derive(Clone, Copy, Debug)]
pub struct Unknowing;

impl Owner for Unknowing {
    fn fits(&self, _key: &[u8], _payload: &[u8]) -> bool {
        true
    }

    fn is_lasting(&self, _key: &[u8]) -> bool {
        false
    }
}

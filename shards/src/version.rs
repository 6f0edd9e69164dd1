//! Versions of objects: how they are named, and what a bucket keeps of them.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::object::Object;

/// Names a version of a key: no other version of the key has it, or ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
pub struct VersionId {
    /// Its place among the versions of the key: newer ones have higher numbers.
    #[n(0)]
    pub sequence: u64,
    /// Chosen at random by its proposer.
    #[n(1)]
    pub nonce: u64,
}

/// What makes an object a version among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct ObjectVersion {
    /// Its id. Clients see that of a null version as `null`.
    #[n(0)]
    pub id: VersionId,
    /// Whether it is the null version: the one that the next write without versioning takes the place of.
    #[n(1)]
    pub is_null: bool,
    /// Whether it is a delete marker: an object without bytes that hides the versions before it.
    #[n(2)]
    pub is_marker: bool,
}

/// A version as clients name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VersionName {
    /// `null`.
    Null,
    /// By its id.
    Id(VersionId),
}

/// Which version of a key is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub enum WantedVersion {
    /// The newest.
    #[default]
    #[n(0)]
    Current,
    /// The null version.
    #[n(1)]
    Null,
    /// This one; never the null version.
    #[n(2)]
    Id(#[n(0)] VersionId),
}

/// Whether a bucket keeps the versions of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Versioning {
    /// It never did: each key has one version, the null one.
    #[default]
    #[n(0)]
    Off,
    /// Each write makes a version.
    #[n(1)]
    Enabled,
    /// It did: those versions stay, and writes make null versions.
    #[n(2)]
    Suspended,
}

/// What an object group knows of a bucket; nothing where it is open and never had versioning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct BucketState {
    /// Whether it keeps versions.
    #[n(0)]
    #[cbor(default)]
    pub versioning: Versioning,
    /// Whether objects and uploads may be made: not once its removal has begun. Absent in the records of releases that
    /// knew nothing but removals.
    #[n(1)]
    #[cbor(default)]
    pub is_open: bool,
    /// The number of the last change of its versioning.
    #[n(2)]
    #[cbor(default)]
    pub versioning_change: u64,
}

impl BucketState {
    /// Of a bucket that the group has no record of.
    pub const OPEN: Self =
        Self { versioning: Versioning::Off, is_open: true, versioning_change: 0 };
}

impl VersionId {
    /// Reads what [`fmt::Display`] writes: 32 digits, hex, lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let plain =
            text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let (sequence, nonce) = text.split_at_checked(16).filter(|_| plain)?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        Some(Self { sequence: number(sequence)?, nonce: number(nonce)? })
    }
}

impl ObjectVersion {
    /// Its name.
    pub fn name(&self) -> VersionName {
        if self.is_null { VersionName::Null } else { VersionName::Id(self.id) }
    }
}

impl WantedVersion {
    /// Whether a version that is current, or among the others, is the one. [`Self::Current`] is where it is looked for.
    pub fn is(&self, object: &Object) -> bool {
        let version = object.version();
        match self {
            Self::Current => true,
            Self::Null => version.is_null,
            Self::Id(id) => !version.is_null && version.id == *id,
        }
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.sequence, self.nonce)
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id(id) => id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back() {
        for id in [VersionId::default(), VersionId { sequence: 1, nonce: u64::MAX }] {
            assert_eq!(VersionId::parse(&id.to_string()), Some(id));
        }
        for bad in
            ["", "null", "0000000000000001FFFFFFFFFFFFFFFF", "1", &"0".repeat(33), &"é".repeat(16)]
        {
            assert_eq!(VersionId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_seal_of_an_earlier_release_is_read() {
        let seal = minicbor::to_vec(()).unwrap();
        let state: BucketState = minicbor::decode(&seal).unwrap();
        assert_eq!(state, BucketState { is_open: false, ..BucketState::OPEN });
    }
}

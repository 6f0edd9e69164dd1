//! Who there is: records of accounts, users, keys and policies in the meta group, by kinds that mean next to nothing here.
//!
//! A change names the revision that it was decided on and is refused where that is not the present one. So whoever changes
//! them decides everything (names that are taken, limits, what still hangs on what) on a copy, and is right or tries again.

use bytes::Bytes;
use minicbor::{Decode, Encode};

/// The one kind that means something here: an account that is no more, by its id. Such a record is made only where no bucket
/// has the account, and from then on none can be made for it.
pub const ENDED_ACCOUNT_KIND: u8 = 8;

/// See [`crate::command::Command::ChangeIam`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct ChangeIam {
    /// The revision that this was decided on.
    #[n(0)]
    pub revision: u64,
    /// What becomes of which records; all of it or nothing.
    #[n(1)]
    pub changes: Vec<IamChange>,
}

/// What becomes of one record.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct IamChange {
    /// What it is a record of, by a number that means nothing here.
    #[n(0)]
    pub kind: u8,
    /// Its name, unique among its kind, up to [`crate::limits::IAM_NAME_BYTES_MAX`].
    #[n(1)]
    pub name: String,
    /// What it is from now on, up to [`crate::limits::IAM_RECORD_BYTES_MAX`]; none removes it.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub record: Option<Vec<u8>>,
}

/// All records at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct IamRecords {
    /// How often they were changed.
    pub revision: u64,
    /// In the order of kinds, then names.
    pub records: Vec<IamRecord>,
}

/// One record.
#[derive(Clone, PartialEq, Eq)]
pub struct IamRecord {
    /// What it is a record of.
    pub kind: u8,
    /// Its name.
    pub name: String,
    /// What it is.
    pub record: Bytes,
}

// Records have secrets in them.
impl std::fmt::Debug for IamChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, name) = (self.kind, &self.name);
        let bytes = self.record.as_ref().map(Vec::len);
        write!(f, "IamChange({kind}, {name:?}, {bytes:?} bytes)")
    }
}

impl std::fmt::Debug for IamRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IamRecord({}, {:?}, {} bytes)", self.kind, self.name, self.record.len())
    }
}

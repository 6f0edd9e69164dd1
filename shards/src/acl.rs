//! Who owns an object, and what is granted to whom. Nothing here depends on it: it is kept for who asks.

use minicbor::{Decode, Encode};

/// The ACL of an object, where it isn't that of the bucket's owner alone.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Acl {
    /// The canonical id of the object's owner.
    #[n(0)]
    pub owner: String,
    /// Its grants, in order: grantee (a canonical id, or the URI of a group), permission by its name in S3.
    #[n(1)]
    pub grants: Vec<(String, String)>,
}

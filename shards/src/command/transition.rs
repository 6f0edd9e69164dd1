//! A version's bytes go to another class of segments.

use minicbor::{Decode, Encode};

use crate::object::{BodyId, ContentId};

/// See [`super::Amendment::Transition`]. One body at a time: so no command has more chunks than that of a PUT.
///
/// The chunks of the body are staged again, with the same bytes, under names of the other class. The body keeps its id, and with it
/// what its bytes are encrypted by; its old chunks are given back when it names the new ones. Inline bytes become a new body.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Transition {
    /// The version has this `ETag` (without quotes),
    #[n(0)]
    pub etag: String,
    /// and was written then, in milliseconds since the epoch; else nothing changes.
    #[n(1)]
    pub last_modified_ms: u64,
    /// A body of it, or the one that its inline bytes become; none where it has no bytes.
    #[n(2)]
    pub body: Option<BodyId>,
    /// What the chunks of that hold, in order.
    #[n(3)]
    pub contents: Vec<ContentId>,
    /// The storage class that it has from then on, where this is the last of its bodies.
    #[n(4)]
    pub class: Option<String>,
    /// What its chunks are staged as: an id of their own, as those of the command that made the body have its id, and a
    /// replay needs both.
    #[n(5)]
    pub staged: BodyId,
}

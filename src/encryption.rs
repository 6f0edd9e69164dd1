//! Server-side encryption: keys, and bytes in frames under them.
//!
//! ```text
//! master key: of a file, of the meta group, of a customer, or of a key service for one object
//!    | HKDF-SHA256, with a salt of the object's own
//! key for one data key
//!    | AES-256-GCM; bound to the bucket, the master key's name and the encryption context
//! data key: 256 random bits, of one object or upload
//!    | HKDF-SHA256, with the id of the part's body
//! key of one body
//!    | AES-256-GCM; the nonce is the frame's number, and whether it is the last
//! frames: 65,520 bytes and a tag of 16
//! ```
//!
//! So no key sees a nonce twice, and a frame opens nowhere but in its place: not in another body, not elsewhere in its own, not as
//! an end where it is none, not as none where it is the end.
//!
//! Keys are wiped when they go, but for those that `ring` has taken in. None has a `Debug` that shows it.

pub mod frames;
pub mod keys;
pub mod service;

pub(crate) use frames::{Opener, Sealer};
pub use keys::MasterKeys;
pub use service::KeyService;

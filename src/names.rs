//! What index keys say of the bytes under them: the name of what chunks hold is the SHA-256 of it.
//!
//! A block's checksum finds bytes that changed. This finds those that were never right: written to the wrong place with
//! a right checksum, or taken for others by whoever wrote them.

use anode_disk::Owner;
use anode_shards::state::{Struck, is_lasting};
use sha2::{Digest as _, Sha256};

/// What the keys of an object store say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContentNames;

impl Owner for ContentNames {
    fn fits(&self, key: &[u8], payload: &[u8]) -> bool {
        let Struck::Content(content) = Struck::of(key) else { return true };
        content.names(&Sha256::digest(payload))
    }

    fn is_lasting(&self, key: &[u8]) -> bool {
        is_lasting(key)
    }
}

#[cfg(test)]
mod tests {
    use anode_disk::{Owner as _, segment::Class};
    use anode_shards::{
        object::ContentId,
        state::named::{content_key, object_key},
    };
    use sha2::{Digest as _, Sha256};

    use super::ContentNames;

    #[test]
    fn a_content_has_the_bytes_that_it_is_named_after_and_other_keys_have_any() {
        let name = ContentId(Sha256::digest(b"bytes").into());
        let key = content_key(3, &name.0).unwrap();
        assert!(ContentNames.fits(&key, b"bytes"));
        assert!(!ContentNames.fits(&key, b"others"));
        for class in (0..8).filter_map(Class::new) {
            let key = content_key(3, &name.of_class(class).0).unwrap();
            assert!(ContentNames.fits(&key, b"bytes") && !ContentNames.fits(&key, b"others"));
        }
        assert!(ContentNames.fits(&object_key(3, 1, "key"), b"others"));
    }
}

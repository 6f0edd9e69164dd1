//! Records as CBOR, each in one allocation of just its length.
//!
//! A vector that grows while a record is written is allocated again and again; so records are written into a scratch of the
//! thread, and copied out.

use std::cell::Cell;

use bytes::Bytes;
use minicbor::Encode;

/// A scratch that a large record has made larger than this isn't kept.
const SCRATCH_BYTES_KEPT_MAX: usize = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The record alone.
pub(crate) fn encode(record: &impl Encode<()>) -> Bytes {
    encode_behind(&[], record)
}

/// The record behind `head`, which isn't CBOR.
pub(crate) fn encode_behind(head: &[u8], record: &impl Encode<()>) -> Bytes {
    // Taken, not borrowed: a record may have others encoded within.
    let mut scratch = SCRATCH.take();
    scratch.clear();
    scratch.extend_from_slice(head);
    minicbor::encode(record, &mut scratch).expect("writing into memory can't fail");
    let bytes = Bytes::copy_from_slice(&scratch);
    if scratch.capacity() <= SCRATCH_BYTES_KEPT_MAX {
        SCRATCH.set(scratch);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{SCRATCH, SCRATCH_BYTES_KEPT_MAX, encode, encode_behind};

    #[test]
    fn records_follow_each_other_without_a_trace() {
        assert_eq!(encode(&"a longer text"), minicbor::to_vec("a longer text").unwrap());
        assert_eq!(encode(&7_u8).as_ref(), [7]);
        assert_eq!(encode_behind(&[1, 2], &7_u8).as_ref(), [1, 2, 7]);
        assert_eq!(encode(&()).as_ref(), minicbor::to_vec(()).unwrap());
    }

    #[test]
    fn a_large_record_leaves_no_large_scratch() {
        let large = "x".repeat(SCRATCH_BYTES_KEPT_MAX + 1);
        assert_eq!(encode(&large), minicbor::to_vec(&large).unwrap());
        let scratch = SCRATCH.take();
        assert!(scratch.capacity() <= SCRATCH_BYTES_KEPT_MAX, "{}", scratch.capacity());
    }
}

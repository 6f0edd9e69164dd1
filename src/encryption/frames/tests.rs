use anode_disk::testing::Random;

use super::*;
use crate::encryption::keys::tests::data_key;

/// Everything of a body, encrypted as it comes in pieces of these lengths.
fn seal(data: &[u8], piece: usize) -> Vec<u8> {
    let mut sealer = Sealer::of_whole(&data_key(1));
    let mut stored = Vec::new();
    for piece in data.chunks(piece) {
        let mut piece = Bytes::copy_from_slice(piece);
        while !piece.is_empty() {
            stored.extend(sealer.take(&mut piece).into_iter().flatten());
        }
    }
    stored.extend(sealer.finish().into_iter().flatten());
    stored
}

fn open_from(first: u64, body_bytes: usize, stored: &[u8]) -> Result<Bytes, NotAuthentic> {
    let frames = Frames { first, body_bytes: body_bytes as u64 };
    open(&data_key(1).of_whole(), frames, BytesMut::from(stored))
}

fn random_bytes(count: usize, seed: u64) -> Vec<u8> {
    Random::new(seed).bytes(count)
}

#[test]
fn what_was_encrypted_opens_whatever_its_length_and_pieces() {
    for count in [0, 1, 15, DATA - 1, DATA, DATA + 1, 2 * DATA, 3 * DATA + 77] {
        let data = random_bytes(count, 3);
        for piece in [1 + count / 3, 1 + count / 2, DATA, usize::MAX] {
            let stored = seal(&data, piece);
            assert_eq!(stored.len() as u64, stored_bytes(count as u64));
            assert_eq!(open_from(0, count, &stored).as_deref(), Ok(data.as_slice()), "{count}");
        }
    }
}

#[test]
fn any_frames_open_alone() {
    let data = random_bytes(4 * DATA + 9, 4);
    let stored = seal(&data, 1000);
    for (first, end) in (0..5).flat_map(|first| (first + 1..=5).map(move |end| (first, end))) {
        let piece = &stored[first * FRAME..stored.len().min(end * FRAME)];
        let opened = open_from(first as u64, data.len(), piece);
        let expected = &data[first * DATA..data.len().min(end * DATA)];
        assert_eq!(opened.as_deref(), Ok(expected), "{first}..{end}");
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let data = random_bytes(150, 5);
    let stored = seal(&data, 150);
    for bit in 0..8 * stored.len() {
        let mut damaged = stored.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open_from(0, 150, &damaged), Err(NotAuthentic), "bit {bit}");
    }
}

#[test]
fn frames_open_in_their_place_only() {
    let data = random_bytes(3 * DATA, 6);
    let stored = seal(&data, DATA);
    let frame = |number: usize| &stored[number * FRAME..(number + 1) * FRAME];
    for (first, moved) in [(0, 1), (1, 0), (0, 2), (2, 0), (2, 1)] {
        assert_eq!(
            open_from(first, data.len(), frame(moved)),
            Err(NotAuthentic),
            "{first} {moved}"
        );
    }
    let swapped = [frame(1), frame(0), frame(2)].concat();
    assert_eq!(open_from(0, data.len(), &swapped), Err(NotAuthentic));
}

#[test]
fn an_end_that_is_none_is_found() {
    let data = random_bytes(3 * DATA, 7);
    let stored = seal(&data, DATA);
    // A whole frame less, and whoever cut it says so.
    assert_eq!(open_from(0, 2 * DATA, &stored[..2 * FRAME]), Err(NotAuthentic));
    // The last frame for one in the middle of something longer.
    assert_eq!(open_from(0, 4 * DATA, &stored), Err(NotAuthentic));
    for cut in [1, TAG, FRAME - 1] {
        let stored = &stored[..stored.len() - cut];
        assert_eq!(open_from(0, data.len(), stored), Err(NotAuthentic), "{cut}");
    }
}

#[test]
fn another_key_or_another_body_opens_nothing() {
    let data = random_bytes(100, 8);
    let stored = seal(&data, 100);
    let frames = Frames { first: 0, body_bytes: 100 };
    let own = data_key(1);
    let others = [data_key(2).of_whole(), own.of_part(BodyId(0)), own.of_part(BodyId(1))];
    for other in others {
        let opened = open(&other, frames, BytesMut::from(stored.as_slice()));
        assert_eq!(opened, Err(NotAuthentic));
    }
    let mut sealer = Sealer::of_part(&own, BodyId(1));
    assert_eq!(sealer.take(&mut Bytes::from_static(b"part")), None);
    let stored = sealer.finish().unwrap();
    let object = Object { body: Body::Parts(1), ..Object::default() };
    let opener = Opener::new(data_key(1), &object);
    let frames = Frames { first: 0, body_bytes: 4 };
    let opened = |body| opener.open(body, frames, stored.clone());
    assert_eq!(opened(BodyId(1)).as_deref(), Ok(b"part".as_slice()));
    assert_eq!(opened(BodyId(2)), Err(NotAuthentic));
}

// Computed by another implementation (node:crypto).
#[test]
fn a_frame_is_what_others_make_of_it() {
    assert_eq!(hex::encode(seal(b"frame", 5)), "4fc145b3f76d507fc5483620e2b9481319017c5e6e");
}

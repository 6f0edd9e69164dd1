//! Bodies that share chunks: stored once, and there for as long as one of them is.

use anode_disk::{
    Error,
    testing::{Random, SimDisk},
};

use super::{
    cases::{delete, put},
    rig::{Rig, content_of, run},
};

const MEBIBYTE: usize = 1 << 20;

/// What tables refer to in segments, all in whole chunks.
async fn live_chunks(rig: &Rig) -> u64 {
    rig.flush().await;
    rig.storage.index.segments().figures().live_bytes >> 20
}

#[test]
fn what_is_put_again_and_again_is_stored_once_until_the_last_is_gone() {
    run(&SimDisk::new(1), async |rig| {
        for id in 0..20 {
            put(rig, &format!("key-{id}"), &vec![7; MEBIBYTE], id + 1).await;
        }
        assert_eq!(live_chunks(rig).await, 1);
        assert_eq!(rig.references().await[&content_of(&vec![7; MEBIBYTE])], 20);
        for id in 0..19 {
            delete(rig, &format!("key-{id}")).await;
            rig.reclaim().await;
            rig.references().await;
            assert_eq!(rig.read(1, "key-19").await, vec![7; MEBIBYTE]);
        }
        delete(rig, "key-19").await;
        assert_eq!(rig.references().await.len(), 1, "condemned, and there until its own reclaim");
        rig.reclaim().await;
        rig.reclaim().await;
        assert_eq!(rig.left_over().await, 0);
    });
}

#[test]
fn a_body_may_have_the_same_chunk_several_times() {
    let disk = SimDisk::new(2);
    run(&disk, async |rig| {
        put(rig, "k", &vec![0; 3 * MEBIBYTE + 5], 1).await;
        let references = rig.references().await;
        assert_eq!(references[&content_of(&vec![0; MEBIBYTE])], 3);
        assert_eq!(references[&content_of(&[0; 5])], 1);
    });
    disk.crash();
    run(&disk, async |rig| {
        assert_eq!(rig.read(1, "k").await, vec![0; 3 * MEBIBYTE + 5]);
        delete(rig, "k").await;
        rig.reclaim().await;
        assert_eq!(rig.left_over().await, 0);
    });
}

// H14, with two bodies: the one that is reclaimed takes nothing from the one that is read.
#[test]
fn a_reader_of_one_body_keeps_what_another_one_gives_back() {
    run(&SimDisk::new(3), async |rig| {
        put(rig, "one", &[7; 5000], 1).await;
        put(rig, "other", &[7; 5000], 2).await;
        let (object, pin) = rig.state.object_pinned(1, "other").await.unwrap().unwrap();
        let piece = object.chunks(0..10).next().unwrap();
        let read = || rig.state.chunk(piece.body, 0, piece.range.clone());
        for key in ["one", "other"] {
            delete(rig, key).await;
            rig.flush().await;
            rig.reclaim().await;
            rig.reclaim().await;
            assert_eq!(read().await.unwrap(), [7; 10].as_slice());
        }
        drop(pin);
        rig.reclaim().await;
        rig.reclaim().await;
        assert!(matches!(read().await, Err(Error::Absent { .. })));
        assert_eq!(rig.left_over().await, 0);
    });
}

// H11: which copy is kept, and that a command may name its body at all, is decided by a replay as before.
#[test]
fn a_replay_shares_as_before_though_the_first_owner_was_reclaimed_since() {
    let disk = SimDisk::new(4);
    run(&disk, async |rig| {
        put(rig, "first", &[1; 9000], 1).await;
        put(rig, "second", &[1; 9000], 2).await;
        delete(rig, "first").await;
        rig.reclaim().await;
        delete(rig, "second").await;
        rig.reclaim().await;
        put(rig, "third", &[1; 9000], 3).await;
        put(rig, "fourth", &[1; 9000], 4).await;
        rig.storage.index.segments().sweep().await.unwrap();
    });
    for _ in 0..3 {
        disk.crash();
        run(&disk, async |rig| {
            for key in ["third", "fourth"] {
                assert_eq!(rig.read(1, key).await, [1; 9000]);
            }
            assert_eq!(rig.references().await[&content_of(&[1; 9000])], 2);
            assert!(rig.state.object(1, "second").await.unwrap().is_none());
            rig.flush().await;
        });
    }
}

#[test]
fn bytes_that_are_sent_again_heal_what_was_damaged_for_everybody_who_has_them() {
    let disk = SimDisk::new(5);
    let bytes = Random::new(5).bytes(9000);
    run(&disk, async |rig| {
        put(rig, "one", &bytes, 1).await;
        put(rig, "other", &bytes, 2).await;
        rig.flush().await;
    });
    let mut segments =
        disk.files().into_iter().map(|(path, _)| path).filter(|path| path.contains("segment-"));
    let (path, at) = segments
        .find_map(|path| {
            let found = disk.bytes(&path);
            let copies =
                found.windows(64).enumerate().filter(|(_, window)| *window == &bytes[..64]);
            copies.map(|(at, _)| at).max().map(|at| (path, at))
        })
        .unwrap();
    disk.flip(&path, u64::try_from(at + 100).unwrap(), 1);
    run(&disk, async |rig| {
        let object = rig.state.object(1, "one").await.unwrap().unwrap();
        let piece = object.chunks(0..9000).next().unwrap();
        let read = || rig.state.chunk(piece.body, 0, piece.range.clone());
        assert!(matches!(read().await, Err(Error::Corrupt { .. })));
        put(rig, "other", &bytes, 3).await;
        assert_eq!(read().await.unwrap(), bytes);
        rig.reclaim().await;
        assert_eq!(rig.references().await[&content_of(&bytes)], 2);
        assert_eq!(rig.read(1, "other").await, bytes);
    });
}

use std::rc::Rc;

use super::{NAME, Reserve, ReserveOptions};
use crate::{
    device::{Directory, Durability, Fill},
    error::Error,
    testing::{Fault, SimDirectory, SimDisk, block_on},
};

const OPTIONS: ReserveOptions =
    ReserveOptions { reserve_bytes: 64 << 10, margin_bytes: 32 << 10, ease_bytes: 16 << 10 };

async fn open(directory: SimDirectory) -> Result<Reserve<SimDirectory>, Error> {
    Reserve::open(Rc::new(directory), OPTIONS).await
}

/// Leaves so many bytes of the disk free.
fn leave(disk: &SimDisk, free_bytes: u64) {
    let used_bytes: u64 = disk.files().iter().map(|(_, length)| *length).sum();
    disk.set_capacity(Some(used_bytes + free_bytes));
}

fn is_there(disk: &SimDisk) -> bool {
    disk.files().contains(&(NAME.to_owned(), OPTIONS.reserve_bytes))
}

#[test]
fn a_shard_is_short_below_the_margin_until_somewhat_more_is_free() {
    let disk = SimDisk::new(1);
    block_on(async {
        let reserve = open(disk.root()).await.unwrap();
        assert!(is_there(&disk) && !reserve.is_short());
        for (free_kib, short) in [(32, false), (31, true), (47, true), (48, false), (32, false)] {
            leave(&disk, free_kib << 10);
            reserve.tend(0).await.unwrap();
            assert_eq!(reserve.is_short(), short, "{free_kib} KiB are free");
            assert!(is_there(&disk), "the margin alone gives up nothing");
        }
    });
}

#[test]
fn room_in_its_own_files_counts_as_free_but_not_for_the_reserve() {
    let disk = SimDisk::new(5);
    block_on(async {
        let reserve = open(disk.root()).await.unwrap();
        let room_bytes = 8 << 10;
        for (free_kib, short) in [(24, false), (23, true), (39, true), (40, false)] {
            leave(&disk, free_kib << 10);
            reserve.tend(room_bytes).await.unwrap();
            assert_eq!(reserve.is_short(), short, "{free_kib} KiB are free");
        }
        reserve.give().await.unwrap();
        leave(&disk, OPTIONS.margin_bytes + OPTIONS.reserve_bytes - 1);
        reserve.tend(room_bytes).await.unwrap();
        assert!(reserve.is_short() && !is_there(&disk));
    });
}

#[test]
fn what_was_given_up_is_made_again_as_soon_as_it_fits_beside_the_margin() {
    let disk = SimDisk::new(2);
    block_on(async {
        let reserve = open(disk.root()).await.unwrap();
        leave(&disk, 0);
        assert!(reserve.give().await.unwrap(), "there is space now that was not there");
        assert!(!reserve.give().await.unwrap(), "there is nothing left to give");
        assert!(reserve.is_short() && !is_there(&disk));
        assert_eq!(disk.capacity().free_bytes, OPTIONS.reserve_bytes);
        reserve.tend(0).await.unwrap();
        assert!(reserve.is_short() && !is_there(&disk));
        let fitting = OPTIONS.margin_bytes + OPTIONS.reserve_bytes;
        leave(&disk, fitting - 1);
        reserve.tend(0).await.unwrap();
        assert!(reserve.is_short() && !is_there(&disk));
        leave(&disk, fitting);
        reserve.tend(0).await.unwrap();
        assert!(reserve.is_short() && is_there(&disk), "more than the margin ends it");
        leave(&disk, reserve.figures().needed_bytes);
        reserve.tend(0).await.unwrap();
        assert!(!reserve.is_short() && is_there(&disk));
        assert_eq!(reserve.figures().given_count, 1);
    });
}

#[test]
fn a_start_on_a_full_volume_has_the_space_of_the_reserve() {
    let disk = SimDisk::new(3);
    block_on(async {
        open(disk.root()).await.unwrap();
        leave(&disk, OPTIONS.margin_bytes - 1);
        let reserve = open(disk.root()).await.unwrap();
        assert!(reserve.is_short() && !is_there(&disk));
        assert!(disk.capacity().free_bytes >= OPTIONS.reserve_bytes);
    });
}

#[test]
fn space_that_a_quota_refuses_is_not_asked_for_at_each_look() {
    let disk = SimDisk::new(4);
    block_on(async {
        disk.fail_at(0, Fault::NoSpace, false);
        let reserve = open(disk.root()).await.unwrap();
        assert!(reserve.is_short());
        let before = disk.io_count();
        for _ in 0..10 {
            reserve.tend(0).await.unwrap();
        }
        assert_eq!(disk.io_count(), before);
        disk.heal();
        for _ in 0..20 {
            reserve.tend(0).await.unwrap();
        }
        assert!(!reserve.is_short() && is_there(&disk));
    });
}

#[test]
fn a_crash_anywhere_leaves_a_state_to_go_on_from() {
    for seed in 0..20 {
        for crash_at in 0..40 {
            let disk = SimDisk::new(seed);
            disk.crash_at(crash_at);
            let life = async {
                let reserve = open(disk.root()).await?;
                reserve.give().await?;
                reserve.tend(0).await
            };
            let ended = block_on(life);
            disk.crash();
            block_on(async {
                let reserve = open(disk.reopen()).await.unwrap();
                assert!(is_there(&disk) && !reserve.is_short(), "seed {seed}, crash {crash_at}");
            });
            if ended.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn a_file_of_another_length_is_made_anew() {
    let disk = SimDisk::new(5);
    block_on(async {
        let directory = disk.root();
        directory.create(NAME, Fill::Reserved(4096), Durability::AtSync).await.unwrap();
        open(directory).await.unwrap();
        assert!(is_there(&disk));
    });
}

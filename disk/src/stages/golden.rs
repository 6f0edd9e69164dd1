//! A volume as this release writes it, checked in: later releases must read it, and this one must write it again.
//!
//! `tests/golden/<number>` has one file for each file of the volume, cut behind its last byte that isn't zero, and
//! `contents`: the lengths, and the state that is in them. A format that changes on purpose gets a new number by
//! `ANODE_GOLDEN=write cargo test -p anode-disk golden`; the old one stays, to be read.

#![expect(clippy::disallowed_methods, reason = "golden files lie beside the sources")]

use std::{cell::RefCell, collections::BTreeSet, fmt::Write, fs, path::PathBuf, rc::Rc};

use super::{
    Bench, Operation,
    model::Model,
    shard::{Shard, apart},
};
use crate::{
    device::{Device, Directory, Durability, Fill, SECTOR_BYTES},
    segment::Class,
    testing::{SimDirectory, SimDisk, block_on},
    volume::{Volume, VolumeIdentity},
};

/// What this release writes.
const NUMBER: u32 = 3;
/// Everything that it must read.
const READABLE: [u32; 3] = [1, 2, 3];

const SCRIPT: [Operation; 14] = [
    Operation::Put { key: 1, body_bytes: 700 },
    Operation::Put { key: 2, body_bytes: 100 },
    Operation::Chunk { key: 3, body_bytes: 9000 },
    Operation::Flush,
    Operation::Put { key: 4, body_bytes: 0 },
    Operation::Chunk { key: 5, body_bytes: 5000 },
    Operation::Apart { key: 7, body_bytes: 6000 },
    Operation::Delete { key: 2 },
    Operation::Flush,
    Operation::Vote,
    Operation::Rewrite,
    Operation::Delete { key: 1 },
    Operation::Put { key: 6, body_bytes: 5000 },
    Operation::Apart { key: 8, body_bytes: 5000 },
];

fn folder(number: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(number.to_string())
}

/// The volume and its state. Without the upkeep: when that runs is no matter of the format.
fn write() -> (SimDisk, String) {
    let bench = Bench::new(1);
    let identity = VolumeIdentity {
        cluster: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
        volume: 0x1112_1314_1516_1718_191a_1b1c_1d1e_1f20,
        created_ms: 1_700_000_000_000,
        group_count: 8,
        node_shard_count: 2,
        volume_count: 1,
        volume_index: 0,
        placement: 0,
        shards: vec![0x0000_0007_0000_0001, 0x0000_0007_0000_0002],
        class: Class::OWN,
        classes: [apart()].into(),
    };
    let beside = VolumeIdentity { class: apart(), classes: BTreeSet::new(), ..identity.clone() };
    block_on(Box::pin(async {
        Volume::format(&bench.disk.root(), &identity).await.expect("a new disk");
        let directory = bench.disk.root().directory("beside").await.expect("a new disk");
        Volume::format(&directory, &beside).await.expect("a new disk");
        let shard = Shard::open(bench.disk.root(), Rc::clone(&bench.model)).await.expect("new");
        let work = async {
            for operation in SCRIPT {
                shard.perform(operation).await.expect("nothing fails");
            }
            shard.stop();
        };
        let (ran, ()) = futures::join!(shard.wal.run(), work);
        ran.expect("nothing fails");
    }));
    let state = format!("{:?}", bench.model.borrow().now());
    (bench.disk, state)
}

/// What `contents` says, then each file by its name there with its bytes.
fn pack(disk: &SimDisk, state: &str) -> Vec<(String, Vec<u8>)> {
    let mut contents = format!("{state}\n");
    let mut files = Vec::new();
    for (path, length) in disk.files() {
        writeln!(contents, "{length} {path}").expect("memory takes it");
        let mut bytes = disk.bytes(&path);
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        files.push((path.replace('/', "."), bytes));
    }
    files.insert(0, ("contents".to_owned(), contents.into_bytes()));
    files
}

#[test]
fn this_release_writes_the_golden_bytes() {
    let (disk, state) = write();
    let packed = pack(&disk, &state);
    let folder = folder(NUMBER);
    if std::env::var("ANODE_GOLDEN").is_ok_and(|asked| asked == "write") {
        fs::create_dir_all(&folder).expect("a folder beside the sources");
        for (name, bytes) in &packed {
            fs::write(folder.join(name), bytes).expect("a file beside the sources");
        }
    }
    for (name, bytes) in packed {
        let golden = fs::read(folder.join(&name)).expect("a golden file");
        let differs = golden.iter().zip(&bytes).position(|(golden, own)| golden != own);
        assert_eq!(differs, None, "{name} differs from the golden one at this byte");
        assert_eq!(golden.len(), bytes.len(), "{name}");
    }
}

#[test]
fn every_golden_volume_is_read() {
    for number in READABLE {
        let contents = fs::read_to_string(folder(number).join("contents")).expect("it is there");
        let mut lines = contents.lines();
        let state = lines.next().expect("the state is the first line");
        let disk = SimDisk::new(1);
        for line in lines {
            let (length, path) = line.split_once(' ').expect("a length and a path");
            let bytes = fs::read(folder(number).join(path.replace('/', "."))).expect("it is there");
            block_on(restore(disk.root(), path, (length.parse().expect("a length"), bytes)));
        }
        let volume = block_on(Volume::open(disk.root())).expect("the superblock is read");
        assert_eq!(volume.identity().shards, [0x0000_0007_0000_0001, 0x0000_0007_0000_0002]);
        let classes = &volume.identity().classes;
        assert_eq!(classes.contains(&apart()), number >= 3, "volume {number}");
        if number >= 3 {
            let beside = block_on(disk.root().directory("beside")).expect("it is there");
            let beside = block_on(Volume::open(beside)).expect("the superblock is read");
            assert_eq!(beside.identity().class, apart(), "volume {number}");
        }
        let model = Rc::new(RefCell::new(Model::unknown()));
        let shard = block_on(Box::pin(Shard::open(disk.root(), Rc::clone(&model))));
        drop(shard.expect("everything is read"));
        assert_eq!(format!("{:?}", model.borrow().now()), state, "volume {number}");
    }
}

/// Makes a file with these bytes and zeros up to its length.
async fn restore(root: SimDirectory, path: &str, (length, bytes): (u64, Vec<u8>)) {
    let mut directory = root;
    let mut names: Vec<&str> = path.split('/').collect();
    let last = names.pop().expect("a path has a name");
    for name in names {
        directory = directory.directory(name).await.expect("a new disk");
    }
    let file = directory.create(last, Fill::Zeros(length), Durability::EachWrite).await;
    let file = file.expect("a new disk");
    let mut whole = bytes;
    whole.resize(whole.len().next_multiple_of(SECTOR_BYTES), 0);
    if !whole.is_empty() {
        file.write(0, whole).await.expect("a new disk");
    }
    directory.sync().await.expect("a new disk");
}

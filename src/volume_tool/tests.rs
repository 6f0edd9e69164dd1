//! Setting aside is cut off at every operation, by a crash of the machine; what is left is a volume that a node starts on,
//! or refuses with a reason, and done again it ends as if nothing had come between.
//!
//! `ANODE_SET_ASIDE_STRIDE` says how many of these places are left out between two (all are taken with 1).

#![expect(clippy::disallowed_methods, reason = "what is kept lies in ordinary files")]

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anode_disk::{
    Directory as _,
    check::ShardFiles,
    storage::StorageOptions,
    testing::{SimDirectory, SimDisk},
    volume::Volume,
};
use anode_shards::ring::Ring;
use bytes::Bytes;
use futures::executor::block_on;

use super::{
    buckets::Buckets,
    check::{Progress, check_shard},
    cut, log,
    mend::{Patient, mend},
    report::Report,
    shelf::List,
};
use crate::{
    layout::Layout,
    shard::META_GROUP,
    sim::{
        client::Request,
        rig::{Rig, RigOptions},
    },
};

const VOLUME: &str = "volume-0";
const CHUNKED_BYTES: usize = 300_000;

/// What is there for clients: an object's bytes, or the status of a refusal.
type Objects = BTreeMap<String, Result<Bytes, u16>>;

fn stride() -> u64 {
    let given = std::env::var("ANODE_SET_ASIDE_STRIDE").ok();
    given.map_or(23, |given| given.parse().expect("ANODE_SET_ASIDE_STRIDE is a number"))
}

fn storage_options() -> StorageOptions {
    StorageOptions {
        wal_segment_bytes: 1 << 18,
        segment_bytes: 2 << 20,
        ..StorageOptions::default()
    }
}

fn rig_options() -> RigOptions {
    RigOptions { memory_bytes: 20 << 20, scrub: None, storage: storage_options() }
}

/// Bytes that no other object has.
fn body(name: &str, length: usize) -> Vec<u8> {
    format!("{name}|").into_bytes().into_iter().cycle().take(length).collect()
}

/// The disk of a stopped node: objects of all forms in tables and segments, and more in the log alone.
fn filled() -> SimDisk {
    let filled = RefCell::new(None);
    Rig::run(rig_options(), async |rig| {
        for number in 0..6 {
            let name = format!("large-{number}");
            rig.put(&format!("/bucket/{name}"), body(&name, CHUNKED_BYTES)).await;
            let name = format!("small-{number}");
            rig.put(&format!("/bucket/{name}"), body(&name, 9000)).await;
        }
        for number in 0..1500 {
            let name = format!("tiny-{number:04}");
            rig.put(&format!("/bucket/{name}"), body(&name, 100)).await;
        }
        let has_table =
            |rig: &Rig| rig.node.disk().files().iter().any(|(path, _)| path.contains("/table-"));
        for number in 0.. {
            if has_table(rig) {
                break;
            }
            let name = format!("fill-{:03}", number % 300);
            rig.put(&format!("/bucket/{name}"), body(&format!("{name}-{number}"), 30_000)).await;
        }
        for number in 0..30 {
            let name = format!("late-{number:02}");
            rig.put(&format!("/bucket/{name}"), body(&name, 5000)).await;
            rig.put("/bucket/small-1", body(&format!("again-{number}"), 5000)).await;
        }
        rig.put("/bucket/large-late", body("large-late", CHUNKED_BYTES)).await;
        rig.node.stop().await.unwrap();
        filled.replace(Some(rig.node.disk().copy(1)));
    });
    filled.into_inner().unwrap()
}

/// Everything in the bucket of a node that starts on a copy of this disk; the reason where it refuses to.
fn served(disk: &SimDisk) -> Result<Objects, String> {
    let found = RefCell::new(Err("the world has ended".to_owned()));
    Rig::run_on(rig_options(), disk.copy(1), async |started| {
        let mut rig = match started {
            Ok(rig) => rig,
            Err(reason) => return drop(found.replace(Err(reason))),
        };
        let mut objects = Objects::new();
        let mut after = String::new();
        loop {
            let query = format!("list-type=2&start-after={after}");
            let page = rig.client.send(&Request::new("GET", "/bucket").query(query)).await.unwrap();
            if page.status != 200 {
                // It has come to a damaged block.
                return drop(found.replace(Err(format!("a listing is refused: {}", page.text()))));
            }
            let text = page.text();
            let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split('<').next());
            for key in keys {
                let request = Request::new("GET", &format!("/bucket/{key}"));
                let answer = rig.client.send(&request).await.unwrap();
                let read = if answer.status == 200 { Ok(answer.body) } else { Err(answer.status) };
                objects.insert(key.to_owned(), read);
                key.clone_into(&mut after);
            }
            if !text.contains("<IsTruncated>true") {
                break;
            }
        }
        drop(found.replace(Ok(objects)));
    });
    found.into_inner()
}

/// The volume's directory on a disk, its shard, and the files of that.
async fn opened(disk: &SimDisk) -> (Volume<SimDirectory>, u64) {
    let directory = disk.reopen().directory(VOLUME).await.unwrap();
    let (volume, _flaws) = Volume::inspect(directory).await.unwrap();
    let shard = volume.identity().shards[0];
    (volume, shard)
}

/// What `anode volume check --set-aside` does on a volume, with what it keeps in `place`; none where it finds no damage.
fn set_aside(disk: &SimDisk, place: &Path) -> Result<Option<List>, String> {
    fs::create_dir_all(place).unwrap();
    block_on(async {
        let (volume, shard) = opened(disk).await;
        let said = |error: anode_disk::Error| error.to_string();
        let directory = volume.shard(shard).await.map_err(said)?;
        let files = ShardFiles::open(directory, volume.wal_identity(shard)).await;
        let (mut buckets, mut report) = (Buckets::default(), Report::default());
        buckets.add(&files).await;
        let found = check_shard(&files, &buckets, &mut report, &mut Progress::new()).await;
        let Some(suspects) = found else { return Ok(None) };
        let positions = if files.salvage.is_some() {
            let layout = Layout::of(&[volume.identity().clone()], &[VOLUME.to_owned()])?;
            let groups = META_GROUP..=Ring::group_count(&layout.ring()?);
            Some(log::positions(&files, groups).await.map_err(said)?)
        } else {
            None
        };
        let options =
            StorageOptions { wal_identity: volume.wal_identity(shard), ..storage_options() };
        let directory = volume.shard(shard).await.map_err(said)?;
        let patient = Patient {
            id: shard,
            directories: directory.into(),
            options,
            suspects: &suspects,
            positions,
        };
        mend(patient, place, &buckets).await.map(Some)
    })
}

/// Where the test keeps what is set aside; gone when it ends.
struct Shelves(PathBuf);

impl Shelves {
    fn new(name: &str) -> Self {
        let name = format!("anode-set-aside-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn place(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Whether these places say of all these keys what became of them: by name, or as a range that nobody can name.
    fn tell_of(&self, places: &[&str], keys: &BTreeSet<&String>) -> bool {
        let mut found = BTreeSet::new();
        let mut has_ranges = false;
        for place in places {
            for entry in fs::read_dir(self.place(place)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|end| end != "json") {
                    continue;
                }
                let list: serde_json::Value =
                    serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
                has_ranges |= list["ranges"].as_array().is_some_and(|ranges| !ranges.is_empty());
                for named in [&list["objects"], &list["log"]["commands"]] {
                    let named = named.as_array().into_iter().flatten();
                    found.extend(named.filter_map(|one| Some(one["key"].as_str()?.to_owned())));
                }
            }
        }
        has_ranges || keys.iter().all(|key| found.contains(*key))
    }

    fn clear(&self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

impl Drop for Shelves {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Where setting aside is cut off.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// In the midst of this operation of the volume's disk.
    Disk(u64),
    /// Before this operation of what is kept.
    Shelf(u64),
}

/// Sets aside with a cut; whether there was an end before it.
fn cut_off(disk: &SimDisk, place: &Path, cut: Cut) -> bool {
    let done = match cut {
        Cut::Disk(nth) => {
            // The check before changes nothing: a cut in it is none.
            let quiet = disk.copy(0);
            let before = quiet.io_count();
            let checked = block_on(async {
                let (volume, shard) = opened(&quiet).await;
                let directory = volume.shard(shard).await.unwrap();
                let files = ShardFiles::open(directory, volume.wal_identity(shard)).await;
                let (mut buckets, mut report) = (Buckets::default(), Report::default());
                buckets.add(&files).await;
                check_shard(&files, &buckets, &mut report, &mut Progress::new()).await.is_some()
            });
            assert!(checked, "there is damage");
            disk.crash_at(disk.io_count() + quiet.io_count() - before + nth);
            set_aside(disk, place)
        }
        Cut::Shelf(nth) => {
            cut::after(Some(nth));
            let done = set_aside(disk, place);
            cut::after(None);
            done
        }
    };
    disk.heal();
    done.is_ok()
}

/// Cuts setting aside off everywhere, on copies of a damaged disk.
fn everywhere(name: &str, sound: &Objects, damaged: &SimDisk) {
    let shelves = Shelves::new(name);
    let whole = damaged.copy(1);
    set_aside(&whole, &shelves.place("whole")).unwrap().expect("there is damage");
    assert!(set_aside(&whole, &shelves.place("none")).unwrap().is_none(), "{name}");
    let expected = served(&whole).unwrap();
    assert!(expected.values().all(Result::is_ok), "{name}: everything left can be read");
    let gone: BTreeSet<_> = sound.keys().filter(|key| !expected.contains_key(*key)).collect();
    assert!(!gone.is_empty() || name == "log", "{name}: nothing is lost");
    assert!(shelves.tell_of(&["whole"], &gone), "{name}: {gone:?}");
    let mut count = 0;
    for kind in [Cut::Disk, Cut::Shelf] {
        for nth in (0..).step_by(usize::try_from(stride()).unwrap()) {
            let cut = kind(nth);
            let disk = damaged.copy(nth);
            shelves.clear();
            let is_done = cut_off(&disk, &shelves.place("cut"), cut);
            disk.crash();
            // A node starts on it and serves what can be read, or says why not.
            match served(&disk) {
                Ok(objects) => {
                    for (key, read) in &objects {
                        let is_right = read.is_err() || sound.get(key) == Some(read);
                        assert!(
                            is_right || expected.get(key) == Some(read),
                            "{name} {cut:?}: {key}"
                        );
                    }
                }
                Err(reason) => assert!(reason.len() > 20, "{name} {cut:?}: {reason}"),
            }
            let again = set_aside(&disk, &shelves.place("again"));
            assert!(again.is_ok(), "{name} {cut:?}: {again:?}");
            let left = set_aside(&disk, &shelves.place("none"));
            assert!(matches!(left, Ok(None)), "{name} {cut:?}: {left:?}");
            let objects = served(&disk).unwrap();
            assert!(objects == expected, "{name} {cut:?}: {:?}", difference(&objects, &expected));
            assert!(shelves.tell_of(&["cut", "again"], &gone), "{name} {cut:?}: {gone:?}");
            count += 1;
            if is_done {
                break;
            }
        }
    }
    eprintln!("{name}: cut off at {count} places, {} objects gone", gone.len());
}

fn difference(left: &Objects, right: &Objects) -> BTreeSet<String> {
    let names = left.keys().chain(right.keys());
    names.filter(|key| left.get(*key) != right.get(*key)).cloned().collect()
}

/// The first file with a name like this that holds these bytes, and where.
fn find(disk: &SimDisk, part: &str, needle: &[u8]) -> (String, u64) {
    for (path, _) in disk.files().into_iter().filter(|(path, _)| path.contains(part)) {
        let bytes = disk.bytes(&path);
        if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            return (path, at as u64);
        }
    }
    unreachable!("no {part} file holds it")
}

#[test]
fn damaged_bytes_are_set_aside_whatever_comes_between() {
    let disk = filled();
    let sound = served(&disk).unwrap();
    for name in ["large-2", "small-3"] {
        let (path, at) = find(&disk, "/segment-", &body(name, 2000));
        disk.flip(&path, at + 1000, 4);
    }
    everywhere("bytes", &sound, &disk);
}

#[test]
fn a_missing_segment_is_set_aside_whatever_comes_between() {
    let disk = filled();
    let sound = served(&disk).unwrap();
    let lost = ["large-1", "large-late"].map(|name| find(&disk, "/segment-", &body(name, 2000)).0);
    block_on(async {
        for path in BTreeSet::from(lost) {
            let (folder, name) = path.rsplit_once('/').unwrap();
            let mut directory = disk.reopen();
            for part in folder.split('/') {
                directory = directory.directory(part).await.unwrap();
            }
            directory.remove(name).await.unwrap();
            directory.sync().await.unwrap();
        }
    });
    everywhere("segment", &sound, &disk);
}

#[test]
fn a_damaged_log_is_set_aside_whatever_comes_between() {
    let disk = filled();
    let sound = served(&disk).unwrap();
    let (path, at) = find(&disk, "/wal-", &body("again-7", 2000));
    disk.flip(&path, at + 100, 4);
    everywhere("log", &sound, &disk);
}

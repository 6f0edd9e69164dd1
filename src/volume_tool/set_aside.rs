//! Sets damage aside in `DIR/set-aside/TIME`: first copies of the damaged files and the report, for whoever looks into it;
//! then, shard by shard, what hangs on the damage ([`super::mend`]).
//!
//! Copies, not moves: a damaged segment or table holds sound bytes of other objects, too, which the node serves from
//! where they are.

#![expect(clippy::disallowed_types, reason = "an offline command names a directory by the time")]
#![expect(clippy::disallowed_methods, reason = "no shard runs here")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anode_disk::{segment::Places, storage::StorageOptions, volume::Volume};
use bytes::Bytes;
use time::{OffsetDateTime, macros::format_description};

use super::{
    buckets::Buckets,
    cut,
    log::{self, Positions},
    mend::{Patient, mend},
    node::{StoppedNode, StoppedShard, StoppedVolume},
    plain::PlainDirectory,
    report::{Report, ShardAside},
};

const FOLDER: &str = "set-aside";
/// Where a shard's log is.
const LOG_FOLDER: &str = "wal";
const COPY_BYTES: usize = 1 << 20;
/// What can't be read is copied as zeros in pieces of this size.
const PIECE_BYTES: usize = 4096;

/// Per shard with damage, by its id: the index keys whose payload could not be read.
pub(super) type Suspects = BTreeMap<u64, BTreeSet<Bytes>>;

/// Sets the damage of a node aside, and adds to the report what that was.
///
/// # Errors
///
/// Nothing is changed where no copies of the damaged files could be made.
pub(super) async fn run(
    node: &StoppedNode,
    suspects: &Suspects,
    buckets: &Buckets,
    report: &mut Report,
) -> Result<(), String> {
    for class in &node.classes {
        if let Some(place) = copy((&class.path, false), report)? {
            report.set_aside.push(place.display().to_string());
        }
    }
    for volume in &node.volumes {
        // What its shards have in directories of classes is taken out of them all the same.
        let is_hit = volume.shards.iter().any(|shard| suspects.contains_key(&shard.id));
        let Some(place) = copy((&volume.path, is_hit), report)? else { continue };
        report.set_aside.push(place.display().to_string());
        for shard in &volume.shards {
            let Some(suspects) = suspects.get(&shard.id) else { continue };
            let mended = async {
                let positions = positions(node, shard).await?;
                let patient = patient((node, volume), shard.id, (suspects, positions)).await?;
                mend(patient, &place, buckets).await
            };
            let (list, refused) = match mended.await {
                Ok(list) => (Some(list), None),
                Err(reason) => (None, Some(reason)),
            };
            let shard = format!("{:016x}", shard.id);
            report.shards_set_aside.push(ShardAside { shard, list, refused });
        }
    }
    Ok(())
}

/// Where the log of a shard is damaged: up to where its groups have applied it.
async fn positions(node: &StoppedNode, shard: &StoppedShard) -> Result<Option<Positions>, String> {
    let files = shard.files.as_ref().map_err(ToString::to_string)?;
    if files.salvage.is_none() {
        return Ok(None);
    }
    let groups = node.groups_of(shard.id)?;
    log::positions(files, groups).await.map(Some).map_err(|error| error.to_string())
}

async fn patient<'a>(
    (node, volume): (&StoppedNode, &StoppedVolume),
    id: u64,
    (suspects, positions): (&'a BTreeSet<Bytes>, Option<Positions>),
) -> Result<Patient<'a, PlainDirectory>, String> {
    let said = |error: anode_disk::Error| error.to_string();
    let (volume, _damage) =
        Volume::inspect(PlainDirectory::new(&volume.path)).await.map_err(said)?;
    let mut directories = Places::from(volume.shard(id).await.map_err(said)?);
    for class in &node.classes {
        let opened = Volume::inspect(PlainDirectory::new(&class.path)).await.map_err(said)?;
        let directory = opened.0.shard(id).await.map_err(said)?;
        directories.classes.push((class.identity.class, directory));
    }
    let options =
        StorageOptions { wal_identity: volume.wal_identity(id), ..StorageOptions::default() };
    Ok(Patient { id, directories, options, suspects, positions })
}

/// Copies the damaged files of a volume; where to, or none where no damage is in it, unless it `is_hit` all the same.
fn copy((volume, is_hit): (&Path, bool), report: &Report) -> Result<Option<PathBuf>, String> {
    let locations = report.damages.iter().map(|damage| place_of(&damage.location));
    let locations: Vec<&Path> = locations.filter(|path| path.starts_with(volume)).collect();
    if locations.is_empty() && !is_hit {
        return Ok(None);
    }
    let mut files = BTreeSet::new();
    for path in locations {
        // Of a log all is copied: what is sound in it goes, too.
        let is_log = path.parent().is_some_and(|folder| folder.ends_with(LOG_FOLDER));
        let all = path.parent().filter(|_| is_log).and_then(|folder| fs::read_dir(folder).ok());
        files.extend(all.into_iter().flatten().flatten().map(|entry| entry.path()));
        files.insert(path.to_owned());
    }
    let relative = |path: &PathBuf| path.strip_prefix(volume).ok().map(Path::to_path_buf);
    let files: BTreeSet<PathBuf> =
        files.iter().filter(|path| path.is_file()).filter_map(relative).collect();
    let target = volume.join(FOLDER).join(now());
    let made = copy_all(volume, &files, &target).and_then(|()| {
        let report = report.to_json();
        write_new(&target.join("report.json"), |file| file.write_all(report.as_bytes()))
    });
    made.map_err(|error| format!("nothing could be set aside in {}: {error}", target.display()))?;
    Ok(Some(target))
}

/// The file of a location such as `DIR/shard-1/tables/table-1 at 4096`.
fn place_of(location: &str) -> &Path {
    Path::new(location.rsplit_once(" at ").map_or(location, |(name, _)| name))
}

fn copy_all(volume: &Path, files: &BTreeSet<PathBuf>, target: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(target)?;
    for name in files {
        let copy = target.join(name);
        let mut folders = fs::DirBuilder::new();
        folders.recursive(true).mode(0o700).create(copy.parent().unwrap_or(target))?;
        let source = fs::File::open(volume.join(name))?;
        write_new(&copy, |file| copy_file(&source, file))?;
    }
    Ok(())
}

/// Copies as much as can be read.
fn copy_file(source: &fs::File, target: &mut fs::File) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let length = source.metadata()?.len();
    let mut buffer = vec![0; COPY_BYTES];
    let mut offset = 0;
    while offset < length {
        let left = usize::try_from(length - offset).unwrap_or(usize::MAX);
        let piece = &mut buffer[..left.min(COPY_BYTES)];
        if source.read_exact_at(piece, offset).is_err() {
            for (small, at) in piece.chunks_mut(PIECE_BYTES).zip((offset..).step_by(PIECE_BYTES)) {
                if source.read_exact_at(small, at).is_err() {
                    small.fill(0);
                }
            }
        }
        target.write_all(piece)?;
        offset += u64::try_from(piece.len()).expect("a piece is a mebibyte");
    }
    Ok(())
}

/// A new file with what `write` puts there, durable.
pub(super) fn write_new(
    path: &Path,
    write: impl FnOnce(&mut fs::File) -> io::Result<()>,
) -> io::Result<()> {
    cut::point()?;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    write(&mut file)?;
    cut::point()?;
    file.sync_all()?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// The time as a directory's name.
fn now() -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let now = OffsetDateTime::from(SystemTime::now());
    now.format(&format).expect("the format has only parts that every time has")
}

//! Keeps copies of damaged files, with the report, in `DIR/set-aside/TIME`: what a repair or a start goes over stays
//! there for whoever looks into it.
//!
//! Copies, not moves: a damaged segment or table holds sound bytes of other objects, too, which the node serves from
//! where they are.

#![expect(clippy::disallowed_types, reason = "an offline command names a directory by the time")]
#![expect(clippy::disallowed_methods, reason = "no shard runs here")]

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use time::{OffsetDateTime, macros::format_description};

use super::report::Report;

const FOLDER: &str = "set-aside";
const COPY_BYTES: usize = 1 << 20;
/// What can't be read is copied as zeros in pieces of this size.
const PIECE_BYTES: usize = 4096;

/// Copies the damaged files of a volume; where to, or none where none of them is in it.
pub(super) fn copy(volume: &Path, report: &Report) -> Result<Option<String>, String> {
    let files: BTreeSet<PathBuf> =
        report.damages.iter().filter_map(|damage| file_in(volume, &damage.location)).collect();
    if files.is_empty() {
        return Ok(None);
    }
    let target = volume.join(FOLDER).join(now());
    let made = copy_all(volume, &files, &target).and_then(|()| {
        let report = report.to_json();
        write_new(&target.join("report.json"), |file| file.write_all(report.as_bytes()))
    });
    made.map_err(|error| format!("nothing could be set aside in {}: {error}", target.display()))?;
    Ok(Some(target.display().to_string()))
}

/// The file of a location such as `DIR/shard-1/tables/table-1 at 4096`, relative to its volume.
fn file_in(volume: &Path, location: &str) -> Option<PathBuf> {
    let name = location.rsplit_once(" at ").map_or(location, |(name, _)| name);
    let path = Path::new(name);
    if !path.is_file() {
        return None;
    }
    path.strip_prefix(volume).ok().map(Path::to_path_buf)
}

fn copy_all(volume: &Path, files: &BTreeSet<PathBuf>, target: &Path) -> io::Result<()> {
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
fn write_new(path: &Path, write: impl FnOnce(&mut fs::File) -> io::Result<()>) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    write(&mut file)?;
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

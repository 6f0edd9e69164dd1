//! Writes BENCHMARKS.md and its pictures from the results of `bench-compare`, so that no figure there is written by hand.
//!
//! The newest results are reported, the ones before are what they are compared with. What no program can know, the cause
//! of a missed bar, comes from `bench/notes.toml`; a note that names no bar is refused.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "it reads and writes files; no shard runs here")]

mod run;
mod bars;
mod notes;
mod numbers;
mod document;
mod picture;
mod pictures;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use self::notes::Notes;
use self::run::Run;

/// Writes BENCHMARKS.md from the results of bench-compare.
#[derive(Debug, Parser)]
#[command(name = "bench-report", version, about)]
struct Arguments {
    /// Take these results in first, as the newest
    #[arg(long, value_name = "FILE")]
    add: Option<PathBuf>,
    /// Write nothing; fail if what there is is not what would be written
    #[arg(long)]
    check: bool,
    /// The root of the repository
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// Why nothing was reported.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file says what it shouldn't.
    #[error("{path}: {problem}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// With --check.
    #[error("{0} is not what the results give; run bench-report")]
    Outdated(PathBuf),
}

impl Failure {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

#[expect(clippy::print_stderr, reason = "a program for people")]
fn main() -> ExitCode {
    match report(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(arguments: &Arguments) -> Result<(), Failure> {
    let results = arguments.root.join("bench/results");
    if let Some(added) = &arguments.add {
        let run = Run::read(added)?;
        std::fs::create_dir_all(&results).map_err(Failure::file(&results))?;
        let target = results.join(format!("{}.jsonl", run.name()));
        std::fs::copy(added, &target).map_err(Failure::file(&target))?;
    }
    for Written { path, text } in files(&arguments.root)? {
        let path = arguments.root.join(path);
        if arguments.check {
            let found = std::fs::read_to_string(&path).map_err(Failure::file(&path))?;
            if found != text {
                return Err(Failure::Outdated(path));
            }
        } else {
            std::fs::write(&path, text).map_err(Failure::file(&path))?;
        }
    }
    Ok(())
}

/// A file of the report.
struct Written {
    /// From the root.
    path: PathBuf,
    text: String,
}

/// All files of the report.
fn files(root: &Path) -> Result<Vec<Written>, Failure> {
    let results = root.join("bench/results");
    let mut runs = Vec::new();
    for entry in std::fs::read_dir(&results).map_err(Failure::file(&results))? {
        let path = entry.map_err(Failure::file(&results))?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            runs.push(Run::read(&path)?);
        }
    }
    runs.sort_by_key(Run::date);
    let problem = "has no results; run bench-compare, then bench-report --add".to_owned();
    let newest = runs.pop().ok_or(Failure::Content { path: results, problem })?;
    let notes = Notes::read(&root.join("bench/notes.toml"))?;
    let pictures = pictures::draw(&newest);
    let text = document::write(&newest, runs.last(), &notes, &pictures);
    let mut files = vec![Written { path: PathBuf::from("BENCHMARKS.md"), text }];
    let pictures = pictures.into_iter();
    files.extend(pictures.map(|picture| Written { path: picture.path(), text: picture.text }));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The report that is checked in is the one that its results give: nobody wrote it by hand.
    #[test]
    fn the_report_is_generated() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for super::Written { path, text } in super::files(root).unwrap() {
            let found = std::fs::read_to_string(root.join(&path)).unwrap();
            assert!(found == text, "{} is outdated; run bench-report", path.display());
        }
    }
}

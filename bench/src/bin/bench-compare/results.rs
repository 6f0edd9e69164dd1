//! The results: JSON lines, each on its way to the file as soon as it is known.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Map, Value};

use crate::failure::Failure;

/// A file of results.
#[derive(Debug)]
pub(crate) struct Results {
    file: File,
}

/// What a line is about.
#[derive(Clone, Debug)]
pub(crate) struct About<'a> {
    /// `machine`, `limit`, `server`, `idle` or `load`.
    pub(crate) kind: &'a str,
    pub(crate) server: &'a str,
    pub(crate) label: &'a str,
    /// 0 for what holds for all rounds.
    pub(crate) round: u32,
}

impl Results {
    /// Replaces what is there.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path)
            .map_err(Failure::system(format!("making the results {}", path.display())))?;
        Ok(Self { file })
    }

    /// Appends a line: what it is about, and `figures`, an object.
    pub(crate) fn write(&mut self, about: &About<'_>, figures: Value) -> Result<(), Failure> {
        let mut line = Map::new();
        line.insert("kind".to_owned(), about.kind.into());
        line.insert("server".to_owned(), about.server.into());
        line.insert("round".to_owned(), about.round.into());
        if let Value::Object(figures) = figures {
            line.extend(figures);
        }
        line.insert("label".to_owned(), about.label.into());
        writeln!(self.file, "{}", Value::Object(line)).map_err(Failure::system("writing a result"))
    }
}

//! What people know of a figure: why a bar is missed, what was tried.

use std::path::Path;

use serde::Deserialize;

use crate::Failure;
use crate::bars::BARS;

/// A note on a bar.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    /// The bar's key.
    pub(crate) bar: String,
    /// What the profile shows, and what was tried.
    pub(crate) text: String,
}

/// All notes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notes {
    #[serde(default)]
    note: Vec<Note>,
}

impl Notes {
    /// Reads them; each must name a bar.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(Failure::file(path))?;
        Self::parse(&text).map_err(|problem| Failure::Content { path: path.to_owned(), problem })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let notes: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let unknown = notes.note.iter().find(|note| BARS.iter().all(|bar| bar.key != note.bar));
        match unknown {
            Some(note) => Err(format!("no bar has the key {}", note.bar)),
            None => Ok(notes),
        }
    }

    /// The notes on a bar.
    pub(crate) fn on(&self, key: &str) -> impl Iterator<Item = &str> {
        self.note.iter().filter(move |note| note.bar == key).map(|note| note.text.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::Notes;

    #[test]
    fn notes_name_bars() {
        let notes = Notes::parse("[[note]]\nbar = \"put-1k-c1\"\ntext = \" why \"\n").unwrap();
        assert_eq!(notes.on("put-1k-c1").collect::<Vec<_>>(), ["why"]);
        Notes::parse("[[note]]\nbar = \"nothing\"\ntext = \"why\"\n").unwrap_err();
    }
}

//! Reads the manifest again and compares it with what was committed.

use super::{
    FIRST_EDIT, HEADER_MAGIC, MARK_MAGIC, Manifest, SECTOR, manifest_name, mark_offset,
    read_fields, read_state,
};
use crate::{
    device::{Device, Directory},
    error::Error,
    index::codec::Malformed,
    scrub::finding::{Finding, Hit},
};

impl<D: Directory> Manifest<D> {
    /// Bytes that were read, and what is wrong with them. No commit may run meanwhile.
    pub(crate) async fn verify(&self, directory: &D) -> Result<(u64, Vec<Finding>), Error> {
        let mut findings = Vec::new();
        let mut note = |result: Result<(), Error>| {
            if let Err(error) = result {
                findings.push(Finding::of(error, Hit::Structure)?);
            }
            Ok(())
        };
        note(self.verify_marks(directory).await)?;
        note(self.verify_edits(directory).await)?;
        Ok((self.device.size(), findings))
    }

    /// Recovery gets by with one mark; what it then takes for durable is less than what is.
    async fn verify_marks(&self, directory: &D) -> Result<(), Error> {
        let length = usize::try_from(FIRST_EDIT).expect("three sectors");
        let start = self.device.read(0, length).await?;
        let sector = |offset: u64| {
            let at = usize::try_from(offset).expect("one of three sectors");
            &start[at..at + super::SECTOR_BYTES]
        };
        let corrupt = |offset: u64, malformed: Malformed| Error::Corrupt {
            location: format!("{}/{} at {offset}", directory.path(), manifest_name(self.id)),
            finding: malformed.0.to_owned(),
        };
        read_fields(sector(0), HEADER_MAGIC, self.id).map_err(|found| corrupt(0, found))?;
        for offset in [SECTOR, 2 * SECTOR] {
            let is_last = offset == mark_offset(self.sequence);
            // A new manifest has one mark; the other is written with the first commit.
            if !is_last && sector(offset).iter().all(|byte| *byte == 0) {
                continue;
            }
            let read = read_fields(sector(offset), MARK_MAGIC, self.id);
            let (_, sequence) = read.map_err(|found| corrupt(offset, found))?;
            if is_last && sequence != self.sequence {
                return Err(corrupt(offset, Malformed("it is not the mark that was written last")));
            }
        }
        Ok(())
    }

    async fn verify_edits(&self, directory: &D) -> Result<(), Error> {
        if read_state(directory, self.id).await? == self.state {
            return Ok(());
        }
        Err(Error::Corrupt {
            location: format!("{}/{}", directory.path(), manifest_name(self.id)),
            finding: "it says something else than what was committed".to_owned(),
        })
    }
}

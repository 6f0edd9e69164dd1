//! Reads the manifest's two files again and compares them with what was committed.

use super::{
    FIRST_EDIT, HEADER_MAGIC, MARK_MAGIC, Manifest, SECTOR, file_names, mark_offset,
    read::read_alone, read_fields,
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
        let files = self.devices.iter().zip(self.marked);
        for ((device, marked), name) in files.zip(file_names(self.id)) {
            let location = format!("{}/{name}", directory.path());
            let found = match self.verify_marks((device, marked), &location).await {
                Ok(()) => self.verify_edits(device, &location).await,
                damage => damage,
            };
            if let Err(error) = found {
                findings.push(Finding::of(error, Hit::Structure)?);
            }
        }
        Ok((self.devices.iter().map(Device::size).sum(), findings))
    }

    /// Recovery gets by with one mark; what it then takes for durable is less than what is.
    async fn verify_marks(
        &self,
        (device, marked): (&D::Device, u64),
        location: &str,
    ) -> Result<(), Error> {
        let length = usize::try_from(FIRST_EDIT).expect("three sectors");
        let start = device.read(0, length).await?;
        let sector = |offset: u64| {
            let at = usize::try_from(offset).expect("one of three sectors");
            &start[at..at + super::SECTOR_BYTES]
        };
        let corrupt = |offset: u64, malformed: Malformed| Error::Corrupt {
            location: format!("{location} at {offset}"),
            finding: malformed.0.to_owned(),
        };
        read_fields(sector(0), HEADER_MAGIC, self.id).map_err(|found| corrupt(0, found))?;
        for offset in [SECTOR, 2 * SECTOR] {
            let is_last = offset == mark_offset(marked);
            // A new manifest has one mark; the other is written with a commit.
            if !is_last && sector(offset).iter().all(|byte| *byte == 0) {
                continue;
            }
            let read = read_fields(sector(offset), MARK_MAGIC, self.id);
            let (_, sequence) = read.map_err(|found| corrupt(offset, found))?;
            if is_last && sequence != marked {
                return Err(corrupt(offset, Malformed("it is not the mark that was written last")));
            }
        }
        Ok(())
    }

    async fn verify_edits(&self, device: &D::Device, location: &str) -> Result<(), Error> {
        if read_alone(device, self.id, location.to_owned()).await? == self.state {
            return Ok(());
        }
        let finding = "it says something else than what was committed".to_owned();
        Err(Error::Corrupt { location: location.to_owned(), finding })
    }
}

//! Reads the superblock again.

use super::{COPY_COUNT, SECTOR, SUPERBLOCK_NAME, Volume, read_copy, superblock};
use crate::{
    device::{Directory, Durability},
    error::Error,
    scrub::finding::{Finding, Hit, Verified},
};

impl<D: Directory> Volume<D> {
    /// Compares both copies of the superblock with what was read at the start, which mends one by the other.
    pub(crate) async fn verify(&self, verified: &mut Verified) -> Result<(), Error> {
        let file = self.directory.open(SUPERBLOCK_NAME, Durability::AtSync).await;
        let Some(file) = verified.take(0, || Hit::Structure, file)? else { return Ok(()) };
        for copy in 0..COPY_COUNT {
            let location =
                format!("{}/{SUPERBLOCK_NAME} at {}", self.directory.path(), copy * SECTOR);
            let sector = read_copy(&file, copy).await;
            let read = sector.and_then(|sector| superblock::decode(&sector, &location));
            let found = verified.take(SECTOR, || Hit::Structure, read)?;
            if found.is_some_and(|identity| identity != self.identity) {
                let finding = "it is the superblock of another volume".to_owned();
                verified.findings.push(Finding { location, finding, hit: Hit::Structure });
            }
        }
        Ok(())
    }
}

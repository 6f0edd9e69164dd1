//! Copies of a whole disk: one store is made once and damaged in many ways.

use super::disk::SimDisk;

impl SimDisk {
    /// A disk of its own with the same files, all of them durable. Nothing may be in flight on this one.
    #[must_use]
    pub fn copy(&self, seed: u64) -> Self {
        Self::with_root(seed, self.copy_root())
    }
}

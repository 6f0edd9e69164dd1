//! `AccelerateConfiguration`: kept and shown; there is no other way to a node than its own.

use bytes::Bytes;

use crate::s3::error::Error;
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

/// Whether transfers are accelerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerate {
    /// They are.
    Enabled,
    /// They were.
    Suspended,
}

impl Accelerate {
    /// Reads the document.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let status = Elements::only_word(body, "AccelerateConfiguration", "Status")?;
        match status.as_str() {
            "Enabled" => Ok(Self::Enabled),
            "Suspended" => Ok(Self::Suspended),
            _ => Err(malformed()),
        }
    }

    /// The document.
    pub fn document(self) -> Bytes {
        let status = match self {
            Self::Enabled => "Enabled",
            Self::Suspended => "Suspended",
        };
        Document::of_one("AccelerateConfiguration", "Status", status)
    }
}

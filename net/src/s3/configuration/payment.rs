//! `RequestPaymentConfiguration`: kept and shown; nobody is billed.

use bytes::Bytes;

use crate::s3::error::Error;
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

/// Who pays for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payer {
    /// The owner of the bucket.
    BucketOwner,
    /// Whoever asks.
    Requester,
}

impl Payer {
    /// Reads the document.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        match Elements::only_word(body, "RequestPaymentConfiguration", "Payer")?.as_str() {
            "BucketOwner" => Ok(Self::BucketOwner),
            "Requester" => Ok(Self::Requester),
            _ => Err(malformed()),
        }
    }

    /// The document.
    pub fn document(self) -> Bytes {
        let payer = match self {
            Self::BucketOwner => "BucketOwner",
            Self::Requester => "Requester",
        };
        Document::of_one("RequestPaymentConfiguration", "Payer", payer)
    }
}

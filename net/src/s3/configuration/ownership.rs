//! `OwnershipControls`: who owns objects, and whether ACLs say anything.

use bytes::Bytes;

use crate::s3::error::Error;
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

/// `ObjectOwnership`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// The owner of the bucket owns all, and ACLs say nothing: the default.
    #[default]
    BucketOwnerEnforced,
    /// The owner of the bucket owns what was given to it by `bucket-owner-full-control`.
    BucketOwnerPreferred,
    /// Whoever puts an object owns it.
    ObjectWriter,
}

impl Ownership {
    /// The value of a name; none where there is no such name.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "BucketOwnerEnforced" => Some(Self::BucketOwnerEnforced),
            "BucketOwnerPreferred" => Some(Self::BucketOwnerPreferred),
            "ObjectWriter" => Some(Self::ObjectWriter),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::BucketOwnerEnforced => "BucketOwnerEnforced",
            Self::BucketOwnerPreferred => "BucketOwnerPreferred",
            Self::ObjectWriter => "ObjectWriter",
        }
    }

    /// Reads the document: one rule.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let mut elements = Elements::open(body, "OwnershipControls")?;
        let mut ownership = None;
        while let Some(name) = elements.child()? {
            if name != "Rule" || ownership.is_some() {
                return Err(malformed());
            }
            while let Some(name) = elements.child()? {
                if name != "ObjectOwnership" || ownership.is_some() {
                    return Err(malformed());
                }
                ownership = Some(Self::of_name(&elements.word()?).ok_or_else(malformed)?);
            }
        }
        elements.finish()?;
        ownership.ok_or_else(malformed)
    }

    /// The document.
    pub fn document(self) -> Bytes {
        let mut document = Document::with_root("OwnershipControls");
        document.open("Rule");
        document.text("ObjectOwnership", self.name());
        document.close("Rule");
        document.close("OwnershipControls");
        document.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rule_is_read() {
        let rule = |name: &str| format!("<Rule><ObjectOwnership>{name}</ObjectOwnership></Rule>");
        let read = |rules: &str| {
            Ownership::read(format!("<OwnershipControls>{rules}</OwnershipControls>").as_bytes())
        };
        assert_eq!(read(&rule("ObjectWriter")), Ok(Ownership::ObjectWriter));
        for bad in [String::new(), rule("Nobody"), rule("ObjectWriter").repeat(2), "<Rule/>".into()]
        {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }
}

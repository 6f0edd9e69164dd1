//! `PublicAccessBlockConfiguration`: what of public access is refused, whatever policies and ACLs say.

use bytes::Bytes;

use crate::s3::error::Error;
use crate::s3::xml::read::{Elements, flag, malformed};
use crate::s3::xml::write::Document;

/// What is refused; all of it on its own.
#[expect(clippy::struct_excessive_bools, reason = "the document's own four flags")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublicAccessBlock {
    /// Public ACLs can't be put.
    pub block_public_acls: bool,
    /// Public ACLs count for nothing.
    pub ignore_public_acls: bool,
    /// Public policies can't be put.
    pub block_public_policy: bool,
    /// A public policy lets nobody in but the bucket's owner.
    pub restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// All of it is refused.
    pub const ALL: Self = Self {
        block_public_acls: true,
        ignore_public_acls: true,
        block_public_policy: true,
        restrict_public_buckets: true,
    };

    /// Reads the document; what it doesn't say is false.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let mut elements = Elements::open(body, "PublicAccessBlockConfiguration")?;
        let mut block = Self::default();
        while let Some(name) = elements.child()? {
            let place = match name.as_str() {
                "BlockPublicAcls" => &mut block.block_public_acls,
                "IgnorePublicAcls" => &mut block.ignore_public_acls,
                "BlockPublicPolicy" => &mut block.block_public_policy,
                "RestrictPublicBuckets" => &mut block.restrict_public_buckets,
                _ => return Err(malformed()),
            };
            *place = flag(&elements.word()?)?;
        }
        elements.finish()?;
        Ok(block)
    }

    /// The document.
    pub fn document(self) -> Bytes {
        let mut document = Document::with_root("PublicAccessBlockConfiguration");
        document.flag("BlockPublicAcls", self.block_public_acls);
        document.flag("IgnorePublicAcls", self.ignore_public_acls);
        document.flag("BlockPublicPolicy", self.block_public_policy);
        document.flag("RestrictPublicBuckets", self.restrict_public_buckets);
        document.close("PublicAccessBlockConfiguration");
        document.finish()
    }
}

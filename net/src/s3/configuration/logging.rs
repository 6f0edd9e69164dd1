//! `BucketLoggingStatus`: kept and shown. No logs are delivered, as AWS promises none either ("best effort").

use bytes::Bytes;

use crate::s3::error::{Error, ErrorCode};
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

/// Where an access log is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// The bucket.
    pub bucket: String,
    /// What its keys begin with.
    pub prefix: String,
}

impl Logging {
    /// Reads the document; none where it turns logging off.
    pub fn read(body: &[u8]) -> Result<Option<Self>, Error> {
        let mut elements = Elements::open(body, "BucketLoggingStatus")?;
        let mut logging = None;
        while let Some(name) = elements.child()? {
            if name != "LoggingEnabled" || logging.is_some() {
                return Err(malformed());
            }
            logging = Some(Self::read_enabled(&mut elements)?);
        }
        elements.finish()?;
        Ok(logging)
    }

    fn read_enabled(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let (mut bucket, mut prefix) = (None, None);
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "TargetBucket" if bucket.is_none() => bucket = Some(elements.word()?),
                "TargetPrefix" if prefix.is_none() => prefix = Some(elements.text()?),
                "TargetGrants" | "TargetObjectKeyFormat" => {
                    return Err(Error::with_message(
                        ErrorCode::NotImplemented,
                        format!("{name} is not implemented."),
                    ));
                }
                _ => return Err(malformed()),
            }
        }
        let (bucket, prefix) = bucket.zip(prefix).ok_or_else(malformed)?;
        Ok(Self { bucket, prefix })
    }

    /// The document.
    pub fn document(&self) -> Bytes {
        let mut document = Document::with_root("BucketLoggingStatus");
        document.open("LoggingEnabled");
        document.text("TargetBucket", &self.bucket);
        document.text("TargetPrefix", &self.prefix);
        document.close("LoggingEnabled");
        document.close("BucketLoggingStatus");
        document.finish()
    }
}

//! What a listing shows of an object, read from its record without the rest of it.

use minicbor::{Decode, Decoder, decode::Error as DecodeError};

use super::{CHECKSUM_NAMES, ChecksumKind, STORAGE_CLASS};
use crate::acl::Acl;

/// An object as it is listed: some fields of the record of an [`Object`](super::Object), with the same numbers. A page has a
/// thousand of them, so what is not shown is passed over and never allocated.
#[derive(Clone, Debug, PartialEq, Eq, Default, Decode)]
pub struct ObjectSummary {
    /// Its length in bytes.
    #[n(0)]
    pub size: u64,
    /// Its `ETag` without quotes.
    #[n(1)]
    pub etag: String,
    /// When it was written, in milliseconds since the epoch.
    #[n(2)]
    pub last_modified_ms: u64,
    /// Of its headers, those that are shown.
    #[n(3)]
    pub headers: HeaderSummary,
    /// Its checksum, without the value.
    #[n(5)]
    pub checksum: Option<ChecksumSummary>,
    /// Who owns it and what is granted; none where the bucket's owner has it alone.
    #[n(12)]
    pub acl: Option<Box<Acl>>,
}

/// What is shown of the headers of an object.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct HeaderSummary {
    /// Its storage class, where it was given one.
    pub storage_class: Option<String>,
}

/// What is shown of a [`Checksum`](super::Checksum).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Decode)]
pub struct ChecksumSummary {
    /// Its algorithm.
    #[n(0)]
    pub algorithm: ChecksumName,
    /// Of what it is.
    #[n(2)]
    pub kind: ChecksumKind,
}

/// One of [`CHECKSUM_NAMES`], or of an algorithm that this release doesn't know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ChecksumName(pub Option<&'static str>);

impl<'b, C> Decode<'b, C> for HeaderSummary {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let mut found = Self::default();
        let count = d.array()?.ok_or_else(|| DecodeError::message("headers of unknown count"))?;
        for _ in 0..count {
            if d.array()? != Some(2) {
                return Err(DecodeError::message("a header is a pair"));
            }
            let (name, value) = (d.str()?, d.str()?);
            if name == STORAGE_CLASS {
                found.storage_class = Some(value.to_owned());
            }
        }
        Ok(found)
    }
}

impl<'b, C> Decode<'b, C> for ChecksumName {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let algorithm = d.str()?;
        Ok(Self(CHECKSUM_NAMES.into_iter().find(|name| *name == algorithm)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Body, BodyId, Checksum, Object};
    use super::*;

    fn object() -> Object {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Object {
            size: 5,
            etag: "e".to_owned(),
            last_modified_ms: 7,
            headers: vec![pair("content-type", "text/plain"), pair(STORAGE_CLASS, "GLACIER")],
            metadata: vec![pair("a", "b")],
            checksum: Some(Checksum {
                algorithm: "CRC32".to_owned(),
                value: "AAAAAA==".to_owned(),
                kind: ChecksumKind::Composite,
            }),
            body: Body::Whole(BodyId(3)),
            tags: vec![pair("k", "v")],
            acl: Some(Box::new(Acl { owner: "o".to_owned(), ..Acl::default() })),
            ..Object::default()
        }
    }

    fn of(object: &Object) -> ObjectSummary {
        minicbor::decode(&minicbor::to_vec(object).unwrap()).unwrap()
    }

    #[test]
    fn it_is_what_the_record_of_an_object_says() {
        let object = object();
        let summary = ObjectSummary {
            size: 5,
            etag: "e".to_owned(),
            last_modified_ms: 7,
            headers: HeaderSummary { storage_class: Some("GLACIER".to_owned()) },
            checksum: Some(ChecksumSummary {
                algorithm: ChecksumName(Some("CRC32")),
                kind: ChecksumKind::Composite,
            }),
            acl: object.acl.clone(),
        };
        assert_eq!(of(&object), summary);
        let bare = ObjectSummary { size: 5, etag: "e".to_owned(), ..ObjectSummary::default() };
        assert_eq!(of(&Object { size: 5, etag: "e".to_owned(), ..Object::default() }), bare);
    }

    #[test]
    fn an_algorithm_of_another_release_is_not_shown() {
        let mut object = object();
        object.checksum.as_mut().unwrap().algorithm = "MD6".to_owned();
        let algorithm = ChecksumName(None);
        let kind = ChecksumKind::Composite;
        assert_eq!(of(&object).checksum, Some(ChecksumSummary { algorithm, kind }));
    }

    #[test]
    fn damaged_records_are_errors() {
        let record = minicbor::to_vec(object()).unwrap();
        for length in 0..record.len() {
            assert!(minicbor::decode::<ObjectSummary>(&record[..length]).is_err(), "{length}");
        }
        for position in 0..record.len() {
            let mut damaged = record.clone();
            damaged[position] ^= 0xff;
            // It may be another record; it is never a panic.
            drop(minicbor::decode::<ObjectSummary>(&damaged));
        }
    }
}

//! The payload of a request: its body with the framing taken off, and everything it must match checked.
//!
//! Bytes are handed on as they come, so nothing may be committed before [`Payload::finish`] has said that they were
//! the right ones: the signed hash, the signatures of chunks and trailers, MD5, checksum and length.

use std::ops::RangeInclusive;

use anode_net::{
    checksum::{Algorithm, Checksum, Declared, Hasher, Md5},
    http::{FileDecoded, FileDecoder, FormError},
    s3::{self, ErrorCode},
    sigv4::{BodyCheck, ChunkDecoder, Decoded, RequestParts},
};
use bytes::Bytes;

use crate::{authorize::Caller, exchange::Exchange, host::Host, limits};

/// What the bytes must be.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Their length.
    pub length_bytes: Option<u64>,
    /// Their MD5.
    pub md5: Option<[u8; 16]>,
    /// Their checksum, or where it will be said.
    pub checksum: Option<Declared>,
    /// The checksum to compute where none is declared.
    pub checksum_default: Option<Algorithm>,
}

/// What the bytes were.
#[derive(Debug)]
pub struct Proof {
    /// Their length.
    pub bytes: u64,
    /// Their MD5.
    pub md5: [u8; 16],
    /// Their checksum, where one was declared or asked for.
    pub checksum: Option<Checksum>,
}

/// All bytes of the document that a request brings.
pub(crate) async fn document<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    md5: Option<[u8; 16]>,
    checksum: Option<Declared>,
) -> Result<Bytes, s3::Error> {
    let expectation = Expectation { md5, checksum, ..Expectation::default() };
    let payload = Payload::new(exchange, caller, expectation)?;
    payload.whole(exchange, limits::XML_BODY_BYTES_MAX).await
}

/// A payload being read.
#[derive(Debug)]
pub struct Payload {
    framing: Framing,
    /// What HTTP delivered and the framing has not taken yet.
    framed: Bytes,
    signed: BodyCheck,
    expectation: Expectation,
    /// By the policy of a form.
    length_bytes: RangeInclusive<u64>,
    md5: Md5,
    hasher: Option<Hasher>,
    bytes: u64,
}

/// How the bytes lie in the body.
#[derive(Debug)]
enum Framing {
    Plain,
    Chunked(Box<ChunkDecoder>),
    Form(FileDecoder),
}

impl Payload {
    /// The payload of `exchange`, not read yet.
    pub fn new<H: Host>(
        exchange: &mut Exchange<'_, H>,
        caller: &Caller,
        expectation: Expectation,
    ) -> Result<Self, s3::Error> {
        let mut framed = Bytes::new();
        let framing = if let Some(upload) = exchange.upload.take() {
            framed = upload.framed;
            Framing::Form(upload.decoder)
        } else if caller.payload.is_chunked() {
            let head = &exchange.head;
            let fields: Vec<(&str, &str)> = head.headers().collect();
            let parts = RequestParts {
                method: head.method_name(),
                path: head.path(),
                query: head.query().unwrap_or_default(),
                headers: &fields,
            };
            let decoder = ChunkDecoder::new(caller.payload, &parts, caller.verified.as_ref())?;
            Framing::Chunked(Box::new(decoder))
        } else {
            Framing::Plain
        };
        let declared = expectation.checksum.as_ref().map(|declared| declared.algorithm);
        let hasher = declared.or(expectation.checksum_default).map(Hasher::new);
        let signed = BodyCheck::new(&caller.payload);
        Ok(Self {
            framing,
            framed,
            signed,
            expectation,
            length_bytes: caller.length_bytes.clone().unwrap_or(0..=u64::MAX),
            md5: Md5::new(),
            hasher,
            bytes: 0,
        })
    }

    /// How many bytes it says it has.
    pub fn length_bytes(&self) -> Option<u64> {
        match &self.framing {
            Framing::Chunked(decoder) => Some(decoder.decoded_length()),
            Framing::Plain | Framing::Form(_) => self.expectation.length_bytes,
        }
    }

    /// The next bytes; `None` after the last.
    pub async fn next<H: Host>(
        &mut self,
        exchange: &mut Exchange<'_, H>,
    ) -> Result<Option<Bytes>, s3::Error> {
        let Some(data) = self.unframed(exchange).await? else { return Ok(None) };
        self.signed.update(&data);
        self.md5.update(&data);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&data);
        }
        self.bytes += data.len() as u64;
        if self.bytes > limits::PUT_BYTES_MAX {
            return Err(s3::parameters::too_large(self.bytes));
        }
        if self.bytes > *self.length_bytes.end() {
            return Err(s3::Error::new(ErrorCode::EntityTooLarge)
                .field("ProposedSize", self.bytes.to_string())
                .field("MaxSizeAllowed", self.length_bytes.end().to_string()));
        }
        Ok(Some(data))
    }

    async fn unframed<H: Host>(
        &mut self,
        exchange: &mut Exchange<'_, H>,
    ) -> Result<Option<Bytes>, s3::Error> {
        match &mut self.framing {
            Framing::Plain => Ok(exchange.next().await?),
            Framing::Chunked(decoder) => loop {
                match decoder.decode(&mut self.framed)? {
                    Decoded::Data(data) => return Ok(Some(data)),
                    Decoded::NeedMore | Decoded::End => {
                        let Some(framed) = exchange.next().await? else {
                            decoder.finish()?;
                            return Ok(None);
                        };
                        self.framed = framed;
                    }
                }
            },
            Framing::Form(decoder) => loop {
                match decoder.decode(&mut self.framed)? {
                    FileDecoded::Data(data) => return Ok(Some(data)),
                    // What follows the file is no field: it is left to whoever ends the exchange.
                    FileDecoded::End => return Ok(None),
                    FileDecoded::NeedMore => {
                        let framed = exchange.next().await?;
                        self.framed = framed.ok_or(FormError::Malformed("the file has no end"))?;
                    }
                }
            },
        }
    }

    /// After the last byte: whether they were the right ones.
    pub fn finish(self) -> Result<Proof, s3::Error> {
        let stated = self.expectation.length_bytes;
        if stated.is_some_and(|stated| stated != self.bytes) {
            return Err(s3::Error::new(ErrorCode::IncompleteBody));
        }
        if self.bytes < *self.length_bytes.start() {
            return Err(s3::Error::new(ErrorCode::EntityTooSmall)
                .field("ProposedSize", self.bytes.to_string())
                .field("MinSizeAllowed", self.length_bytes.start().to_string()));
        }
        self.signed.finish()?;
        let md5 = self.md5.finalize();
        if let Some(expected) = &self.expectation.md5 {
            Md5::check(expected, &md5)?;
        }
        let checksum = self.hasher.map(Hasher::finalize);
        if let (Some(declared), Some(computed)) = (&self.expectation.checksum, &checksum) {
            let trailers = match &self.framing {
                Framing::Chunked(decoder) => decoder.trailers(),
                Framing::Plain | Framing::Form(_) => &[],
            };
            let expected = declared.expected(trailers)?;
            expected.check(computed)?;
        }
        Ok(Proof { bytes: self.bytes, md5, checksum })
    }

    /// All of it, for documents: checked, and at most `bytes_max` long.
    pub async fn whole<H: Host>(
        mut self,
        exchange: &mut Exchange<'_, H>,
        bytes_max: usize,
    ) -> Result<Bytes, s3::Error> {
        let mut whole = bytes::BytesMut::new();
        while let Some(data) = self.next(exchange).await? {
            if whole.len() + data.len() > bytes_max {
                return Err(s3::Error::new(ErrorCode::MaxMessageLengthExceeded));
            }
            whole.extend_from_slice(&data);
        }
        self.finish()?;
        Ok(whole.freeze())
    }
}

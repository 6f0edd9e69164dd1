//! The value of `x-amz-content-sha256`: what the signature says of the body, and how the body is framed.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Error;

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const STREAMING: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const STREAMING_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// How a body is signed and framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadMode {
    /// A plain body, not signed.
    Unsigned,
    /// A plain body with this SHA-256.
    Signed([u8; 32]),
    /// `aws-chunked`, each chunk signed.
    Streaming,
    /// `aws-chunked`, each chunk and the trailers signed.
    StreamingTrailer,
    /// `aws-chunked` with trailers, nothing of it signed.
    UnsignedTrailer,
}

impl PayloadMode {
    /// Reads a value of `x-amz-content-sha256`; an unknown one is `InvalidArgument`.
    pub fn parse(value: &str) -> Result<Self, Error> {
        match value {
            UNSIGNED => return Ok(Self::Unsigned),
            STREAMING => return Ok(Self::Streaming),
            STREAMING_TRAILER => return Ok(Self::StreamingTrailer),
            UNSIGNED_TRAILER => return Ok(Self::UnsignedTrailer),
            _ => {}
        }
        let mut digest = [0; 32];
        if hex::decode_to_slice(value, &mut digest).is_ok() {
            return Ok(Self::Signed(digest));
        }
        let message = format!(
            "x-amz-content-sha256 must be {UNSIGNED}, {UNSIGNED_TRAILER}, {STREAMING}, {STREAMING_TRAILER} or a valid \
             sha256 value."
        );
        let fields = [
            ("ArgumentName", "x-amz-content-sha256".to_owned()),
            ("ArgumentValue", value.to_owned()),
        ];
        Err(Error::new("InvalidArgument", message).with(fields))
    }

    /// The value of `x-amz-content-sha256`.
    pub fn value(&self) -> String {
        match self {
            Self::Unsigned => UNSIGNED.to_owned(),
            Self::Signed(digest) => hex::encode(digest),
            Self::Streaming => STREAMING.to_owned(),
            Self::StreamingTrailer => STREAMING_TRAILER.to_owned(),
            Self::UnsignedTrailer => UNSIGNED_TRAILER.to_owned(),
        }
    }

    /// Whether the body is `aws-chunked`: to be read through a [`super::ChunkDecoder`].
    pub const fn is_chunked(&self) -> bool {
        matches!(self, Self::Streaming | Self::StreamingTrailer | Self::UnsignedTrailer)
    }

    /// Whether trailers follow the last chunk.
    pub const fn has_trailers(&self) -> bool {
        matches!(self, Self::StreamingTrailer | Self::UnsignedTrailer)
    }

    /// Whether each chunk is signed.
    pub const fn signs_chunks(&self) -> bool {
        matches!(self, Self::Streaming | Self::StreamingTrailer)
    }
}

/// Checks a plain body against the SHA-256 that its signature covers; costs nothing in the other modes.
#[derive(Clone, Debug)]
pub struct BodyCheck {
    stated: Option<([u8; 32], Sha256)>,
}

impl BodyCheck {
    /// A check that has seen no bytes.
    pub fn new(mode: &PayloadMode) -> Self {
        let stated = match mode {
            PayloadMode::Signed(digest) => Some((*digest, Sha256::new())),
            PayloadMode::Unsigned
            | PayloadMode::Streaming
            | PayloadMode::StreamingTrailer
            | PayloadMode::UnsignedTrailer => None,
        };
        Self { stated }
    }

    /// Takes the next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some((_, hasher)) = &mut self.stated {
            hasher.update(bytes);
        }
    }

    /// After the last byte: `XAmzContentSHA256Mismatch` when the body is another than was signed.
    pub fn finish(self) -> Result<(), Error> {
        let Some((stated, hasher)) = self.stated else { return Ok(()) };
        let computed: [u8; 32] = hasher.finalize().into();
        if bool::from(stated.ct_eq(&computed)) {
            return Ok(());
        }
        let fields = [
            ("ClientComputedContentSHA256", hex::encode(stated)),
            ("S3ComputedContentSHA256", hex::encode(computed)),
        ];
        let message =
            "The provided 'x-amz-content-sha256' header does not match what was computed.";
        Err(Error::new("XAmzContentSHA256Mismatch", message).with(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::{BodyCheck, PayloadMode};

    #[test]
    fn unknown_modes_are_refused() {
        let known = [
            PayloadMode::Unsigned,
            PayloadMode::Streaming,
            PayloadMode::StreamingTrailer,
            PayloadMode::UnsignedTrailer,
            PayloadMode::Signed([0xa5; 32]),
        ];
        for mode in known {
            assert_eq!(PayloadMode::parse(&mode.value()), Ok(mode));
        }
        let long = "a".repeat(66);
        for wrong in [
            "",
            "unsigned-payload",
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
            "UNSIGNED-PAYLOAD-TRAILER",
            "STREAMING-UNSIGNED-PAYLOAD",
            "e3b0c442",
            &long,
            &long[..63],
            "zz",
        ] {
            assert_eq!(PayloadMode::parse(wrong).unwrap_err().code, "InvalidArgument", "{wrong}");
        }
    }

    #[test]
    fn a_body_that_differs_is_refused() {
        let empty =
            PayloadMode::parse("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
                .unwrap();
        assert_eq!(BodyCheck::new(&empty).finish(), Ok(()));
        let mut check = BodyCheck::new(&empty);
        check.update(b"a");
        assert_eq!(check.finish().unwrap_err().code, "XAmzContentSHA256Mismatch");
        let mut check = BodyCheck::new(&PayloadMode::Unsigned);
        check.update(b"a");
        assert_eq!(check.finish(), Ok(()));
    }
}

//! Puts an `aws-chunked` body together, as an SDK does.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::chain::Chain;
use crate::sigv4::{PayloadMode, Verified};

/// Encodes one body.
#[derive(Debug)]
pub struct ChunkEncoder {
    chain: Option<Chain>,
    mode: PayloadMode,
}

impl ChunkEncoder {
    /// An encoder for a chunked `mode`; `signed` is what [`crate::sigv4::Signer::sign`] returned, used where chunks are
    /// signed.
    pub fn new(mode: PayloadMode, signed: &Verified) -> Self {
        assert!(mode.is_chunked(), "a plain body has no chunks");
        Self { chain: mode.signs_chunks().then(|| Chain::new(signed)), mode }
    }

    /// What goes before a chunk's data, which is not empty and, but for the last chunk, has 8 KiB at least; a CRLF goes
    /// after it.
    pub fn head(&mut self, data: &[u8]) -> Bytes {
        assert!(!data.is_empty(), "the empty chunk is the end");
        self.any_head(data)
    }

    /// A chunk's head, data and end in one.
    pub fn chunk(&mut self, data: &[u8]) -> Bytes {
        [&self.head(data)[..], data, b"\r\n"].concat().into()
    }

    /// The last chunk and the trailers: names in lower case, as `x-amz-trailer` announced them.
    pub fn end(mut self, trailers: &[(&str, &str)]) -> Bytes {
        assert!(trailers.is_empty() || self.mode.has_trailers(), "this mode has no trailers");
        let mut end = self.any_head(b"").to_vec();
        for (name, value) in trailers {
            end.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
        }
        if let (Some(chain), true) = (&mut self.chain, self.mode.has_trailers()) {
            let signature = hex::encode(chain.trailers(trailers.iter().copied()));
            end.extend_from_slice(format!("x-amz-trailer-signature:{signature}\r\n").as_bytes());
        }
        end.extend_from_slice(b"\r\n");
        end.into()
    }

    /// The length of the HTTP body for a decoded length, chunks of `chunk_bytes` and trailers, so that `Content-Length`
    /// can be sent first.
    pub fn encoded_length(
        mode: PayloadMode,
        decoded_length: u64,
        chunk_bytes: u64,
        trailers: &[(&str, usize)],
    ) -> u64 {
        assert!(chunk_bytes > 0, "chunks hold something");
        let signature = if mode.signs_chunks() { ";chunk-signature=".len() + 64 } else { 0 };
        let head = |size: u64| to_u64(format!("{size:x}\r\n").len() + signature);
        let (full, rest) = (decoded_length / chunk_bytes, decoded_length % chunk_bytes);
        let mut length = full * (head(chunk_bytes) + chunk_bytes + 2) + head(0) + 2;
        if rest > 0 {
            length += head(rest) + rest + 2;
        }
        if mode == PayloadMode::StreamingTrailer {
            length += to_u64("x-amz-trailer-signature:".len() + 64 + 2);
        }
        length
            + trailers
                .iter()
                .map(|(name, value_bytes)| to_u64(name.len() + 1 + value_bytes + 2))
                .sum::<u64>()
    }

    fn any_head(&mut self, data: &[u8]) -> Bytes {
        let size = data.len();
        let head = match &mut self.chain {
            None => format!("{size:x}\r\n"),
            Some(chain) => {
                format!(
                    "{size:x};chunk-signature={}\r\n",
                    hex::encode(chain.chunk(Sha256::digest(data).into()))
                )
            }
        };
        head.into()
    }
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).expect("a length fits 64 bits")
}

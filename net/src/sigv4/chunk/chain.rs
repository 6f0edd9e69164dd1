//! The chain of signatures: each chunk's covers the one before it, the trailers' covers the last.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::sigv4::Verified;

/// SHA-256 of nothing: the line where headers of a chunk would be.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The place in the chain.
pub(super) struct Chain {
    verified: Verified,
    previous: [u8; 32],
}

impl Chain {
    pub(super) fn new(verified: &Verified) -> Self {
        Self { previous: verified.seed, verified: verified.clone() }
    }

    /// The signature of the next chunk, given the SHA-256 of its data.
    pub(super) fn chunk(&mut self, data_sha256: [u8; 32]) -> [u8; 32] {
        let tail = format!("{EMPTY}\n{}", hex::encode(data_sha256));
        self.advance("AWS4-HMAC-SHA256-PAYLOAD", &tail)
    }

    /// The signature of the trailers, names in lower case, in the order they are sent.
    pub(super) fn trailers<'a>(
        &mut self,
        trailers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for (name, value) in trailers {
            hasher.update([name, ":", value, "\n"].concat());
        }
        self.advance("AWS4-HMAC-SHA256-TRAILER", &hex::encode(hasher.finalize()))
    }

    fn advance(&mut self, algorithm: &str, tail: &str) -> [u8; 32] {
        let Verified { key, timestamp, scope, .. } = &self.verified;
        let text = format!(
            "{algorithm}\n{}\n{scope}\n{}\n{tail}",
            timestamp.as_str(),
            hex::encode(self.previous)
        );
        self.previous = key.sign(text.as_bytes());
        self.previous
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chain(..)")
    }
}

//! Signs requests by SigV4 with nothing allocated: what doesn't change from one request to the next is kept.
//!
//! `anode_net::sigv4::Signer` says what is right, and the test compares with it. It is general: it decodes, sorts and
//! copies. Here path and query are written in their canonical form in the first place, and the signed headers are always
//! the same three, so what is left of a signature are one SHA-256 and one HMAC.

use std::fmt;

use anode_net::sigv4::{ALGORITHM, Scope, SigningKey, Timestamp};
use sha2::{Digest as _, Sha256};

const SIGNED_HEADERS: &str = "host;x-amz-content-sha256;x-amz-date";
const PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Signs for one access key, region and host.
pub(crate) struct Signature {
    access_key: String,
    secret: String,
    region: String,
    host: String,
    moment: Option<Moment>,
    canonical: Vec<u8>,
    to_sign: Vec<u8>,
}

/// What holds for a second.
struct Moment {
    seconds: i64,
    timestamp: Timestamp,
    key: SigningKey,
    /// The canonical request from the headers on.
    canonical_tail: String,
    /// The string to sign up to the digest.
    to_sign_head: String,
    /// The headers up to the signature itself.
    headers: String,
}

impl Signature {
    pub(crate) fn new(access_key: &str, secret: &str, region: &str, host: &str) -> Self {
        Self {
            access_key: access_key.to_owned(),
            secret: secret.to_owned(),
            region: region.to_owned(),
            host: host.to_owned(),
            moment: None,
            canonical: Vec::with_capacity(1024),
            to_sign: Vec::with_capacity(256),
        }
    }

    /// Appends the headers that sign a request. `path` and `query` are canonical: encoded once, the query sorted and with
    /// a `=` in each parameter.
    pub(crate) fn write(
        &mut self,
        method: &str,
        (path, query): (&[u8], &[u8]),
        now_seconds: i64,
        head: &mut Vec<u8>,
    ) {
        self.renew(now_seconds);
        let moment = self.moment.as_ref().expect("it was just renewed");
        self.canonical.clear();
        for piece in [method.as_bytes(), b"\n", path, b"\n", query, b"\n"] {
            self.canonical.extend_from_slice(piece);
        }
        self.canonical.extend_from_slice(moment.canonical_tail.as_bytes());
        self.to_sign.clear();
        self.to_sign.extend_from_slice(moment.to_sign_head.as_bytes());
        push_hex(&mut self.to_sign, &Sha256::digest(&self.canonical).into());
        head.extend_from_slice(moment.headers.as_bytes());
        push_hex(head, &moment.key.sign(&self.to_sign));
        head.extend_from_slice(b"\r\n");
    }

    fn renew(&mut self, seconds: i64) {
        if self.moment.as_ref().is_some_and(|moment| moment.seconds == seconds) {
            return;
        }
        let timestamp = Timestamp::of(seconds).expect("the clock shows a year up to 9999");
        let scope = Scope::new(timestamp.date(), &self.region, "s3");
        let key = match self.moment.take() {
            Some(old) if old.timestamp.date() == timestamp.date() => old.key,
            _ => SigningKey::derive(&self.secret, &scope),
        };
        let (time, host) = (timestamp.as_str(), &self.host);
        self.moment = Some(Moment {
            seconds,
            key,
            canonical_tail: format!(
                "host:{host}\nx-amz-content-sha256:{PAYLOAD}\nx-amz-date:{time}\n\n{SIGNED_HEADERS}\n{PAYLOAD}"
            ),
            to_sign_head: format!("{ALGORITHM}\n{time}\n{scope}\n"),
            headers: format!(
                "x-amz-content-sha256: {PAYLOAD}\r\nx-amz-date: {time}\r\nauthorization: {ALGORITHM} \
                 Credential={}/{scope}, SignedHeaders={SIGNED_HEADERS}, Signature=",
                self.access_key
            ),
            timestamp,
        });
    }
}

impl fmt::Debug for Signature {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.access_key)
    }
}

fn push_hex(target: &mut Vec<u8>, digest: &[u8; 32]) {
    let mut digits = [0; 64];
    hex::encode_to_slice(digest, &mut digits).expect("two digits a byte");
    target.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use anode_net::sigv4::{PayloadMode, RequestParts, Signer};

    use super::Signature;

    #[test]
    fn signatures_are_those_of_the_general_signer() {
        let signer = Signer::new("AKID", "secret", "eu-west-3");
        let mut signature = Signature::new("AKID", "secret", "eu-west-3", "127.0.0.1:9000");
        // Seconds that follow, the same second again, another day, the day before.
        for now in [1_700_000_000, 1_700_000_001, 1_700_000_001, 1_700_090_000, 1_700_000_000] {
            for (method, path, query) in [
                ("PUT", "/bench/key-000000000001", ""),
                ("GET", "/bench", "list-type=2&start-after=a%2Fb%20c"),
                ("POST", "/bench/%C3%A9", "uploads="),
                ("PUT", "/bench/k", "partNumber=7&uploadId=a%2B%2F%3D"),
            ] {
                let headers = [("host", "127.0.0.1:9000")];
                let parts = RequestParts { method, path, query, headers: &headers };
                let signed = signer.sign(&parts, PayloadMode::Unsigned, now).unwrap();
                let expected: String = (signed.headers.iter())
                    .flat_map(|(name, value)| [name, ": ", value, "\r\n"])
                    .collect();
                let mut head = Vec::new();
                signature.write(method, (path.as_bytes(), query.as_bytes()), now, &mut head);
                let sorted = |text: &str| {
                    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                    lines.sort();
                    lines
                };
                assert_eq!(sorted(&String::from_utf8(head).unwrap()), sorted(&expected), "{path}");
            }
        }
        assert!(!format!("{signature:?}").contains("secret"));
    }
}

//! The scope of a signature, the key derived for it, and a bounded cache of such keys.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{Error, Expected, RequestParts, Signed, Verified, verify};

/// What a signing key is good for: a day, a region, a service. A clone costs no allocation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// `20130524/us-east-1/s3`.
    text: Arc<str>,
    /// Where the region ends in it.
    region_end: usize,
}

impl Scope {
    /// The scope of a day (`20130524`), a region and a service.
    pub fn new(date: &str, region: &str, service: &str) -> Self {
        let text = Arc::from(format!("{date}/{region}/{service}"));
        Self { text, region_end: date.len() + 1 + region.len() }
    }

    /// `20130524/us-east-1/s3` and its three parts, if it has no more.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (rest, service) = text.rsplit_once('/')?;
        let (date, region) = rest.split_once('/')?;
        let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
        if !is_date || region.is_empty() || region.contains('/') || service.is_empty() {
            return None;
        }
        Some(Self { text: Arc::from(text), region_end: rest.len() })
    }

    /// `20130524`.
    pub fn date(&self) -> &str {
        self.text.split_once('/').map_or("", |(date, _)| date)
    }

    /// `us-east-1`, ...
    pub fn region(&self) -> &str {
        self.text.get(self.date().len() + 1..self.region_end).unwrap_or_default()
    }

    /// `s3`.
    pub fn service(&self) -> &str {
        self.text.get(self.region_end + 1..).unwrap_or_default()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/aws4_request", self.text)
    }
}

/// The key that signs requests and chunks of one scope.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// Derives the key of a secret for a scope: four rounds of HMAC.
    pub fn derive(secret: &str, scope: &Scope) -> Self {
        let mut key = keyed(format!("AWS4{secret}").as_bytes());
        for part in [scope.date(), scope.region(), scope.service(), "aws4_request"] {
            key.update(part.as_bytes());
            key = keyed(&key.finalize().into_bytes());
        }
        Self(key)
    }

    /// The signature of a string to sign.
    pub fn sign(&self, text: &[u8]) -> [u8; 32] {
        let mut key = self.0.clone();
        key.update(text);
        key.finalize().into_bytes().into()
    }

    /// Whether `signature` is that of `text`, in constant time.
    pub fn is_signed(&self, text: &[u8], signature: &[u8; 32]) -> bool {
        self.sign(text).ct_eq(signature).into()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Signing keys that have verified a request, the least recently used dropped when it is full.
///
/// Only a right signature enters a key, so a stranger who knows an access key can't displace others. A changed secret
/// misses: each entry remembers the secret it was derived from.
pub struct KeyCache {
    entries: BTreeMap<(Arc<str>, Scope), Entry>,
    count_max: usize,
    uses: u64,
}

struct Entry {
    secret: String,
    key: SigningKey,
    used: u64,
}

impl KeyCache {
    /// An empty cache of at most `count_max` keys, each about half a KiB; 0 caches nothing.
    pub const fn new(count_max: usize) -> Self {
        Self { entries: BTreeMap::new(), count_max, uses: 0 }
    }

    /// [`verify()`] with the keys that are here already.
    pub fn verify(
        &mut self,
        signed: &Signed,
        parts: &RequestParts<'_>,
        secret: &str,
        expected: &Expected<'_>,
    ) -> Result<Verified, Error> {
        self.uses += 1;
        let place = (Arc::clone(&signed.access_key), signed.scope.clone());
        if let Some(entry) = self.entries.get_mut(&place)
            && bool::from(entry.secret.as_bytes().ct_eq(secret.as_bytes()))
        {
            entry.used = self.uses;
            return verify::verify_with(signed, parts, &entry.key, expected);
        }
        let verified = verify(signed, parts, secret, expected)?;
        self.insert(place, secret, &verified.key);
        Ok(verified)
    }

    /// Forgets an access key, because it was removed.
    pub fn forget(&mut self, access_key: &str) {
        self.entries.retain(|(held, _), _| **held != *access_key);
    }

    /// How many keys it holds.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    fn insert(&mut self, place: (Arc<str>, Scope), secret: &str, key: &SigningKey) {
        if self.count_max == 0 {
            return;
        }
        if self.entries.len() >= self.count_max && !self.entries.contains_key(&place) {
            let oldest = self
                .entries
                .iter()
                .min_by_key(|(_, entry)| entry.used)
                .map(|(place, _)| place.clone());
            oldest.and_then(|place| self.entries.remove(&place));
        }
        self.entries
            .insert(place, Entry { secret: secret.to_owned(), key: key.clone(), used: self.uses });
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyCache({} of {})", self.entries.len(), self.count_max)
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::{Scope, SigningKey};

    #[test]
    fn nothing_shows_a_key() {
        let scope = Scope::new("20150830", "us-east-1", "iam");
        assert_eq!(Scope::parse("20150830/us-east-1/iam"), Some(scope.clone()));
        let parts = (scope.date(), scope.region(), scope.service());
        assert_eq!(parts, ("20150830", "us-east-1", "iam"));
        assert_eq!(scope.to_string(), "20150830/us-east-1/iam/aws4_request");
        let key = SigningKey::derive("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &scope);
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
        // The string to sign and the signature of the IAM example in the AWS General Reference.
        let text = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                    f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
        let signature = key.sign(text.as_bytes());
        assert_eq!(
            hex::encode(signature),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
        assert!(key.is_signed(text.as_bytes(), &signature));
        assert!(!key.is_signed(b"", &signature));
    }
}

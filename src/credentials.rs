//! The root credentials: given, read from a file, or made at the first start.

use std::path::Path;

use crate::config::CredentialSource;

/// An access key id and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.access_key)
    }
}

/// Letters of a made access key id: no 0, 1, 8 and 9, so that none is taken for another.
const ACCESS_KEY_LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Letters of a made secret.
const SECRET_KEY_LETTERS: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";

impl Credentials {
    /// Makes new ones from 32-bit draws of a good random source: 100 bits of name, 240 bits of secret.
    pub fn make(mut random: impl FnMut() -> u64) -> Self {
        let mut letters = |set: &[u8], count: usize| -> String {
            (0..count)
                .map(|_| {
                    let nth = usize::try_from(random() % set.len() as u64).expect("below 64");
                    char::from(set[nth])
                })
                .collect()
        };
        let access_key = letters(ACCESS_KEY_LETTERS, 20);
        Self { access_key, secret_key: letters(SECRET_KEY_LETTERS, 40) }
    }

    /// What the settings say; `None` where they are to be made or were made before.
    pub fn configured(source: &CredentialSource) -> Result<Option<Self>, String> {
        match source {
            CredentialSource::Generated => Ok(None),
            CredentialSource::Given { access_key, secret_key } => {
                Ok(Some(Self { access_key: access_key.clone(), secret_key: secret_key.clone() }))
            }
            CredentialSource::File(path) => read(path).map(Some),
        }
    }
}

/// Whether a client could use this pair; says what is wrong otherwise.
pub fn check(access_key: &str, secret_key: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b',' && byte != b'=';
    if !(3..=128).contains(&access_key.len()) || !access_key.bytes().all(plain) {
        return Err(
            "the access key id must have 3 to 128 letters without '/', ',' and '='".to_owned()
        );
    }
    if !(8..=128).contains(&secret_key.len())
        || !secret_key.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err("the secret access key must have 8 to 128 visible letters".to_owned());
    }
    Ok(())
}

/// Reads a file of two lines: access key id, secret access key.
pub fn read(path: &Path) -> Result<Credentials, String> {
    let named = |problem: String| format!("credentials file {}: {problem}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (Some(access_key), Some(secret_key), None) = (lines.next(), lines.next(), lines.next())
    else {
        return Err(named("it must have two lines: access key id, secret access key".to_owned()));
    };
    check(access_key, secret_key).map_err(named)?;
    Ok(Credentials { access_key: access_key.to_owned(), secret_key: secret_key.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_credentials_are_usable_and_differ() {
        let mut state = 1_u64;
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 11
        };
        let (first, second) = (Credentials::make(&mut draw), Credentials::make(&mut draw));
        for made in [&first, &second] {
            check(&made.access_key, &made.secret_key).unwrap();
            assert_eq!((made.access_key.len(), made.secret_key.len()), (20, 40));
        }
        assert_ne!(first, second);
        assert!(!format!("{first:?}").contains(&first.secret_key));
    }

    #[test]
    fn unusable_pairs_are_refused() {
        for (access_key, secret_key) in
            [("ab", "longenough"), ("a/b/c", "longenough"), ("abc", "short"), ("abc", "with space")]
        {
            assert!(check(access_key, secret_key).is_err(), "{access_key} {secret_key}");
        }
    }
}

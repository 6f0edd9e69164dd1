//! MD5: the `ETag` of a single PUT, and `Content-MD5`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Digest as _;

use super::Error;

/// Computes an MD5; the bytes may come in any pieces.
#[derive(Clone, Debug, Default)]
pub struct Md5(md5::Md5);

impl Md5 {
    /// A hasher that has seen no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The MD5 of all bytes taken; in hex it is the `ETag`.
    pub fn finalize(self) -> [u8; 16] {
        self.0.finalize().into()
    }

    /// The MD5 of bytes that are all here.
    pub fn of(bytes: &[u8]) -> [u8; 16] {
        let mut hasher = Self::new();
        hasher.update(bytes);
        hasher.finalize()
    }

    /// Reads a `Content-MD5` header: `InvalidDigest` unless it is canonical base64 of 16 bytes.
    pub fn parse(content_md5: &str) -> Result<[u8; 16], Error> {
        let digest = STANDARD.decode(content_md5).ok().and_then(|digest| digest.try_into().ok());
        digest.ok_or_else(|| {
            Error::new("InvalidDigest", "The Content-MD5 you specified was invalid.")
        })
    }

    /// Whether the bytes received have the MD5 that `Content-MD5` states: `BadDigest` when not.
    pub fn check(stated: &[u8; 16], computed: &[u8; 16]) -> Result<(), Error> {
        if stated == computed {
            return Ok(());
        }
        Err(Error::new(
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::Md5;

    #[test]
    fn the_known_answers() {
        // RFC 1321, A.5.
        assert_eq!(hex::encode(Md5::of(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex::encode(Md5::of(b"message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
    }

    #[test]
    fn content_md5_is_strict() {
        let empty = Md5::parse("1B2M2Y8AsgTpgAmY7PhCfg==").unwrap();
        assert_eq!(Md5::check(&empty, &Md5::of(b"")), Ok(()));
        assert_eq!(
            Md5::check(&empty, &Md5::of(b"a")).map_err(|error| error.code),
            Err("BadDigest")
        );
        for wrong in [
            "",
            "1B2M2Y8AsgTpgAmY7PhCfg",
            "d41d8cd98f00b204e9800998ecf8427e",
            "1B2M2Y8AsgTpgAmY7PhC",
            "\u{0}",
        ] {
            assert_eq!(
                Md5::parse(wrong).map_err(|error| error.code),
                Err("InvalidDigest"),
                "{wrong}"
            );
        }
    }
}

//! The keys that a provider publishes.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::{Map, Value};

use super::{Algorithm, Error, KEY_COUNT_MAX, Token};
use crate::policy::json;

/// The keys of a provider that can verify something here.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    /// What it is for alone, where that is said.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// A point of P-256, uncompressed.
    P256(Vec<u8>),
    /// A point of P-384, uncompressed.
    P384(Vec<u8>),
}

impl Keys {
    /// Reads a set of keys. RFC 7517, 5: keys of unknown kinds are passed over.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let no_set = Error::Malformed("what the provider publishes is no set of keys");
        let text = std::str::from_utf8(body).map_err(|_not_utf8| no_set.clone())?;
        let set = json::read(text).map_err(|_no_json| no_set.clone())?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(no_set)?;
        if keys.len() > KEY_COUNT_MAX {
            return Err(Error::Malformed("the provider publishes too many keys"));
        }
        let objects = keys.iter().filter_map(Value::as_object);
        Ok(Self(objects.filter_map(Key::read).collect()))
    }

    /// Whether one of them has signed a token.
    pub fn verify(&self, token: &Token) -> Result<(), Error> {
        let is_named = |key: &&Key| token.key_id.is_none() || key.id == token.key_id;
        let mut verdict = Error::UnknownKey;
        for key in self.0.iter().filter(is_named) {
            if key.has_signed(token) {
                return Ok(());
            }
            verdict = Error::Signature;
        }
        Err(verdict)
    }
}

impl Key {
    fn read(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        // RFC 7517, 4.2.
        if text("use").is_some_and(|used| used != "sig") {
            return None;
        }
        let algorithm = match text("alg") {
            Some(name) => Some(Algorithm::of_name(name)?),
            None => None,
        };
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok();
        // RFC 7518, 6.2.1: both coordinates have the full size of the curve.
        let point = |length: usize| {
            let (x, y) = (bytes("x")?, bytes("y")?);
            let is_whole = x.len() == length && y.len() == length;
            is_whole.then(|| [&[4], x.as_slice(), y.as_slice()].concat())
        };
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let strip =
                    |bytes: Vec<u8>| bytes.into_iter().skip_while(|byte| *byte == 0).collect();
                Material::Rsa { modulus: strip(bytes("n")?), exponent: strip(bytes("e")?) }
            }
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            _ => return None,
        };
        Some(Self { id: text("kid").map(str::to_owned), algorithm, material })
    }

    fn has_signed(&self, token: &Token) -> bool {
        if self.algorithm.is_some_and(|algorithm| algorithm != token.algorithm) {
            return false;
        }
        let (signed, signature) = (token.signed.as_bytes(), token.signature.as_slice());
        let rsa = |parameters: &RsaParameters| match &self.material {
            Material::Rsa { modulus: n, exponent: e } => {
                RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok()
            }
            Material::P256(_) | Material::P384(_) => false,
        };
        let curve = |algorithm: &'static dyn VerificationAlgorithm, point: &[u8]| {
            UnparsedPublicKey::new(algorithm, point).verify(signed, signature).is_ok()
        };
        match (token.algorithm, &self.material) {
            (Algorithm::Rs256, _) => rsa(&RSA_PKCS1_2048_8192_SHA256),
            (Algorithm::Rs384, _) => rsa(&RSA_PKCS1_2048_8192_SHA384),
            (Algorithm::Rs512, _) => rsa(&RSA_PKCS1_2048_8192_SHA512),
            (Algorithm::Es256, Material::P256(point)) => curve(&ECDSA_P256_SHA256_FIXED, point),
            (Algorithm::Es384, Material::P384(point)) => curve(&ECDSA_P384_SHA384_FIXED, point),
            (Algorithm::Es256 | Algorithm::Es384, _) => false,
        }
    }
}

/// Where a provider publishes its keys, by its document for discovery. `OpenID` Connect Discovery 1.0, 4.3: the document must name
/// the provider as its tokens do.
pub fn keys_url(body: &[u8], issuer: &str) -> Result<String, Error> {
    let broken = || Error::Malformed("the provider's document for discovery can't be read");
    let text = std::str::from_utf8(body).map_err(|_not_utf8| broken())?;
    let document = json::read(text).map_err(|_no_json| broken())?;
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(Error::Malformed("the provider's document for discovery is of another issuer"));
    }
    document.get("jwks_uri").and_then(Value::as_str).map(str::to_owned).ok_or_else(broken)
}

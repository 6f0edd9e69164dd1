//! Master keys, and the data keys that are encrypted with them.
//!
//! A file of master keys has a line each: its name, white space, 256 bits in base64. Empty lines and those that begin with `#`
//! count for nothing. The first key encrypts what asks for no key by name. Of several with one name the first encrypts and all
//! decrypt: to rotate a key is to put a new one with its name before it.

use std::{fmt, path::Path, sync::Arc};

use anode_net::s3::encryption::CustomerKey;
use anode_shards::{
    encryption::{Encryption, Scheme},
    object::{self, BodyId, BucketId},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
    hmac,
};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::limits;

const KEY_BYTES: usize = 32;

/// The name of the key that the meta group has.
const MADE: &str = "made";

/// The bits of a key, wiped when they go.
pub(crate) type Bits = Zeroizing<[u8; KEY_BYTES]>;

/// A key that data keys are encrypted with.
pub struct MasterKey {
    name: String,
    bits: Bits,
}

/// The master keys of a file, in its order.
#[derive(Clone, Debug, Default)]
pub struct MasterKeys(Vec<Arc<MasterKey>>);

/// The key of one object.
pub(crate) struct DataKey(Bits);

/// What a data key is bound to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding<'a> {
    pub(crate) scheme: Scheme,
    pub(crate) bucket: BucketId,
    pub(crate) context: Option<&'a str>,
}

/// Why a data key can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locked {
    /// It is encrypted with another key.
    OtherKey,
    /// What is stored of it is not what was written.
    Damaged,
}

impl MasterKey {
    /// The key that the meta group has.
    pub(crate) fn made(stored: &object::MasterKey) -> Result<Self, String> {
        let mut bits = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(&stored.key.0, bits.as_mut_slice())
            .map_err(|error| format!("the master key of the node can't be read: {error}"))?;
        Ok(Self { name: MADE.to_owned(), bits })
    }

    /// A key of a key service, for one object.
    pub(crate) fn of_service(name: &str, bits: Bits) -> Self {
        Self { name: name.to_owned(), bits }
    }

    /// A key to be kept by the meta group, of a good random source.
    pub(crate) fn make(random: impl FnMut() -> u64, created_ms: u64) -> object::MasterKey {
        let key = hex::encode(draw::<KEY_BYTES>(random).as_slice());
        object::MasterKey { key: object::Secret(key), created_ms }
    }

    /// Makes a data key and encrypts it.
    pub(crate) fn new_data_key(
        &self,
        binding: Binding<'_>,
        random: impl FnMut() -> u64,
    ) -> (DataKey, Encryption) {
        lock((&self.name, &self.bits), binding, random)
    }

    /// The data key that was encrypted with it.
    pub(crate) fn unlock(
        &self,
        bucket: BucketId,
        encryption: &Encryption,
    ) -> Result<DataKey, Locked> {
        unlock(&self.bits, bucket, encryption)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({:?})", self.name)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

impl MasterKeys {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |problem: String| format!("master key file {}: {problem}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        Self::parse(&Zeroizing::new(text)).map_err(named)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let mut words = line.split_whitespace();
            let Some(name) = words.next().filter(|name| !name.starts_with('#')) else { continue };
            let (Some(key), None) = (words.next(), words.next()) else {
                return Err(format!("line {number} must have a name and a key in base64"));
            };
            if name.len() > limits::MASTER_KEY_NAME_BYTES_MAX || !name.is_ascii() {
                let most = limits::MASTER_KEY_NAME_BYTES_MAX;
                return Err(format!("line {number}: a name has up to {most} ASCII letters"));
            }
            let decoded = Zeroizing::new(STANDARD.decode(key).unwrap_or_default());
            let mut bits = Zeroizing::new([0; KEY_BYTES]);
            if decoded.len() != KEY_BYTES {
                return Err(format!(
                    "line {number}: a key is {KEY_BYTES} bytes in base64, as `openssl rand -base64 {KEY_BYTES}` makes it"
                ));
            }
            bits.copy_from_slice(&decoded);
            keys.push(Arc::new(MasterKey { name: name.to_owned(), bits }));
        }
        match keys.len() {
            0 => Err("it has no key; write a line with a name and a key in base64".to_owned()),
            1..=limits::MASTER_KEY_COUNT_MAX => Ok(Self(keys)),
            _ => Err(format!("it has more than {} keys", limits::MASTER_KEY_COUNT_MAX)),
        }
    }

    /// The key for what names none.
    pub(crate) fn first(&self) -> Option<&Arc<MasterKey>> {
        self.0.first()
    }

    /// The key that encrypts what asks for it by name, as it is or as the end of an ARN.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<MasterKey>> {
        let short = name.strip_prefix("arn:aws:kms:").map(|rest| {
            let rest = rest.rsplit(':').next().unwrap_or(rest);
            rest.strip_prefix("key/").unwrap_or(rest)
        });
        let short = short.unwrap_or(name);
        let short = short.strip_prefix("alias/").unwrap_or(short);
        let find = |wanted: &str| self.0.iter().find(|key| key.name == wanted);
        find(name).or_else(|| find(short))
    }

    /// The data key of an object, by these keys or the one that was made.
    pub(crate) fn unlock(
        &self,
        made: Option<&MasterKey>,
        bucket: BucketId,
        encryption: &Encryption,
    ) -> Result<DataKey, Locked> {
        let keys = self.0.iter().map(AsRef::as_ref).chain(made);
        let mut outcome = Err(Locked::OtherKey);
        debug_assert!(encryption.service.is_none(), "its service has the key");
        for key in keys.filter(|key| key.name == encryption.key) {
            outcome = key.unlock(bucket, encryption);
            if !matches!(outcome, Err(Locked::OtherKey)) {
                break;
            }
        }
        outcome
    }
}

impl DataKey {
    /// Makes one and encrypts it with a customer's key.
    pub(crate) fn new_of_customer(
        key: &CustomerKey,
        bucket: BucketId,
        random: impl FnMut() -> u64,
    ) -> (Self, Encryption) {
        let binding = Binding { scheme: Scheme::Customer, bucket, context: None };
        lock(("", key.bytes()), binding, random)
    }

    /// The one that was encrypted with a customer's key.
    pub(crate) fn of_customer(
        key: &CustomerKey,
        bucket: BucketId,
        encryption: &Encryption,
    ) -> Result<Self, Locked> {
        unlock(key.bytes(), bucket, encryption)
    }

    /// The key of a body that is an object by itself.
    pub(crate) fn of_whole(&self) -> LessSafeKey {
        cipher(&self.expander(), &[b"anode frames of an object 1"])
    }

    /// The key of a body that is a part of an object. No id is used twice, and so no key.
    pub(crate) fn of_part(&self, body: BodyId) -> LessSafeKey {
        cipher(&self.expander(), &[b"anode frames of a part 1", &body.0.to_le_bytes()])
    }

    /// An `ETag` that says nothing of the bytes to whom hasn't the key.
    pub(crate) fn etag(&self, md5: &[u8; 16]) -> [u8; 16] {
        let prk = self.expander();
        let okm = prk.expand(&[b"anode etag 1"], hmac::HMAC_SHA256);
        let key = hmac::Key::from(okm.expect("HKDF gives a key of this length"));
        let mut etag = [0; 16];
        let tag = hmac::sign(&key, md5);
        etag.copy_from_slice(tag.as_ref().split_at(16).0);
        etag
    }

    fn expander(&self) -> Prk {
        Prk::new_less_safe(HKDF_SHA256, self.0.as_slice())
    }
}

/// Makes a data key and encrypts it with a key that has a name.
fn lock(
    (name, bits): (&str, &[u8; KEY_BYTES]),
    binding: Binding<'_>,
    mut random: impl FnMut() -> u64,
) -> (DataKey, Encryption) {
    let mut encryption = Encryption {
        scheme: binding.scheme,
        key: name.to_owned(),
        salt: *draw::<32>(&mut random),
        check: [0; 16],
        data_key: Vec::with_capacity(KEY_BYTES + AES_256_GCM.tag_len()),
        context: binding.context.map(str::to_owned),
        bucket_key: false,
        service: None,
    };
    let key = DataKey(draw::<KEY_BYTES>(&mut random));
    let prk = Salt::new(HKDF_SHA256, &encryption.salt).extract(bits);
    encryption.check = check_of(&prk);
    encryption.data_key.extend_from_slice(key.0.as_slice());
    let bound = Aad::from(bound_to(binding.bucket, &encryption));
    let sealed = cipher(&prk, &[b"anode data key 1"]).seal_in_place_append_tag(
        first_nonce(),
        bound,
        &mut encryption.data_key,
    );
    sealed.expect("a key is far shorter than what the cipher takes");
    (key, encryption)
}

fn unlock(
    bits: &[u8; KEY_BYTES],
    bucket: BucketId,
    encryption: &Encryption,
) -> Result<DataKey, Locked> {
    let prk = Salt::new(HKDF_SHA256, &encryption.salt).extract(bits);
    if !bool::from(check_of(&prk).ct_eq(&encryption.check)) {
        return Err(Locked::OtherKey);
    }
    let mut sealed = Zeroizing::new(encryption.data_key.clone());
    let bound = Aad::from(bound_to(bucket, encryption));
    let opened = cipher(&prk, &[b"anode data key 1"]).open_in_place(
        first_nonce(),
        bound,
        sealed.as_mut_slice(),
    );
    let opened = opened.map_err(|_unspecified| Locked::Damaged)?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if opened.len() != KEY_BYTES {
        return Err(Locked::Damaged);
    }
    key.copy_from_slice(opened);
    Ok(DataKey(key))
}

/// What a data key opens with and nowhere else. Not the object's key: an object may be renamed.
fn bound_to(bucket: BucketId, encryption: &Encryption) -> Vec<u8> {
    let mut bound = bucket.to_le_bytes().to_vec();
    bound.push(encryption.scheme as u8);
    for text in [Some(encryption.key.as_str()), encryption.context.as_deref()] {
        let text = text.unwrap_or_default();
        bound.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bound.extend_from_slice(text.as_bytes());
    }
    bound
}

/// The salt makes the key another one each time, so it sees one nonce.
fn first_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn cipher(prk: &Prk, info: &[&[u8]]) -> LessSafeKey {
    let okm = prk.expand(info, &AES_256_GCM).expect("HKDF gives a key of this length");
    LessSafeKey::new(UnboundKey::from(okm))
}

/// How long a check is.
struct CheckLength;

impl KeyType for CheckLength {
    fn len(&self) -> usize {
        16
    }
}

fn check_of(prk: &Prk) -> [u8; 16] {
    let mut check = [0; 16];
    let okm = prk.expand(&[b"anode check 1"], CheckLength);
    let filled = okm.and_then(|okm| okm.fill(&mut check));
    filled.expect("HKDF gives this many bytes");
    check
}

fn draw<const COUNT: usize>(mut random: impl FnMut() -> u64) -> Zeroizing<[u8; COUNT]> {
    let mut bits = Zeroizing::new([0; COUNT]);
    for word in bits.chunks_exact_mut(size_of::<u64>()) {
        word.copy_from_slice(&random().to_le_bytes());
    }
    bits
}

#[cfg(test)]
pub(super) mod tests;

//! Server-side encryption: what requests ask for by header, and what responses say of it.
//!
//! A key that a customer sends is read here and nowhere else. It is wiped when it goes, never shown, and no error repeats it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::checksum::Md5;
use crate::s3::error::{Error, ErrorCode};
use crate::s3::limits::ENCRYPTION_CONTEXT_BYTES_MAX;
use crate::s3::request::Headers;

const ENCRYPTION: &str = "x-amz-server-side-encryption";
const KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CONTEXT: &str = "x-amz-server-side-encryption-context";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";

/// The headers that a customer's key comes in: its algorithm, itself, its MD5.
#[derive(Clone, Copy, Debug)]
struct KeyHeaders {
    algorithm: &'static str,
    key: &'static str,
    md5: &'static str,
}

const OF_OBJECT: KeyHeaders = KeyHeaders {
    algorithm: "x-amz-server-side-encryption-customer-algorithm",
    key: "x-amz-server-side-encryption-customer-key",
    md5: "x-amz-server-side-encryption-customer-key-md5",
};
const OF_SOURCE: KeyHeaders = KeyHeaders {
    algorithm: "x-amz-copy-source-server-side-encryption-customer-algorithm",
    key: "x-amz-copy-source-server-side-encryption-customer-key",
    md5: "x-amz-copy-source-server-side-encryption-customer-key-md5",
};

/// A key that a customer sent (SSE-C): 256 bits.
#[derive(Clone)]
pub struct CustomerKey(Zeroizing<[u8; 32]>);

/// What a write asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing: what the bucket does by default.
    #[default]
    Unsaid,
    /// SSE-S3.
    Managed,
    /// SSE-KMS.
    Named(Box<NamedKey>),
    /// SSE-C.
    Customer(Box<CustomerKey>),
}

/// What SSE-KMS is asked for with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedKey {
    /// Which key; that of S3 itself where none is named.
    pub key: Option<String>,
    /// The encryption context, as it was sent.
    pub context: Option<String>,
    /// Whether keys of the bucket are used; as the bucket has it where it isn't said.
    pub bucket_key: Option<bool>,
}

/// What a response says of how an object is encrypted.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// SSE-S3.
    Managed,
    /// SSE-KMS.
    Named {
        /// Its key.
        key: &'a str,
        /// Its encryption context.
        context: Option<&'a str>,
        /// Whether keys of the bucket are used.
        bucket_key: bool,
    },
    /// SSE-C.
    Customer(&'a CustomerKey),
}

/// A header of a response.
pub type Emitted = (&'static str, String);

impl Wanted {
    /// Reads what a write asks for.
    pub fn parse(headers: Headers<'_>) -> Result<Self, Error> {
        let customer = CustomerKey::parse(headers, OF_OBJECT)?;
        let Some(algorithm) = headers.get(ENCRYPTION) else {
            refuse_key_id(headers)?;
            return Ok(customer.map_or(Self::Unsaid, Self::Customer));
        };
        if customer.is_some() {
            let message = "Server Side Encryption with Customer provided key is incompatible with the encryption method \
                           specified";
            return Err(Error::argument(message, ENCRYPTION, algorithm));
        }
        match algorithm {
            "AES256" => {
                refuse_key_id(headers)?;
                Ok(Self::Managed)
            }
            "aws:kms" => Ok(Self::Named(Box::new(NamedKey::parse(headers)?))),
            "aws:kms:dsse" | "aws:fsx" => {
                let message = format!("Server side encryption by {algorithm} is not implemented.");
                Err(Error::with_message(ErrorCode::NotImplemented, message)
                    .field("Header", ENCRYPTION))
            }
            _ => Err(unknown_algorithm(ENCRYPTION, algorithm)),
        }
    }
}

impl Wanted {
    /// The customer's key, where that is it.
    pub fn customer_key(&self) -> Option<&CustomerKey> {
        match self {
            Self::Customer(key) => Some(key),
            Self::Unsaid | Self::Managed | Self::Named(_) => None,
        }
    }
}

impl NamedKey {
    fn parse(headers: Headers<'_>) -> Result<Self, Error> {
        let context = headers.filled(CONTEXT);
        context.map(check_context).transpose()?;
        let bucket_key = match headers.filled(BUCKET_KEY) {
            None => None,
            Some(value) if value.eq_ignore_ascii_case("true") => Some(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Some(false),
            Some(value) => {
                return Err(Error::argument("Expected true or false.", BUCKET_KEY, value));
            }
        };
        Ok(Self {
            key: headers.filled(KEY_ID).map(str::to_owned),
            context: context.map(str::to_owned),
            bucket_key,
        })
    }
}

impl CustomerKey {
    /// The key of the object that a read is about. What an object is encrypted with is not a read's to say.
    pub fn of_read(headers: Headers<'_>) -> Result<Option<Box<Self>>, Error> {
        for name in [ENCRYPTION, KEY_ID, CONTEXT, BUCKET_KEY] {
            if let Some(value) = headers.get(name) {
                let message = format!("{name} header is not supported for this operation.");
                return Err(Error::argument(message, name, value));
            }
        }
        Self::parse(headers, OF_OBJECT)
    }

    /// The key of the upload that a part or a completion is of. Other headers of encryption say nothing there: SDKs send those
    /// of the upload again.
    pub fn of_upload(headers: Headers<'_>) -> Result<Option<Box<Self>>, Error> {
        Self::parse(headers, OF_OBJECT)
    }

    /// The key of the source of a copy.
    pub fn of_source(headers: Headers<'_>) -> Result<Option<Box<Self>>, Error> {
        Self::parse(headers, OF_SOURCE)
    }

    /// Whether a request brings any.
    pub fn is_in(headers: Headers<'_>) -> bool {
        headers.iter().any(|(name, _)| name == OF_OBJECT.key || name == OF_SOURCE.key)
    }

    fn parse(headers: Headers<'_>, names: KeyHeaders) -> Result<Option<Box<Self>>, Error> {
        let (algorithm, key) = (headers.get(names.algorithm), headers.get(names.key));
        let md5 = headers.get(names.md5);
        if algorithm.is_none() && key.is_none() && md5.is_none() {
            return Ok(None);
        }
        let refused = |problem: &str, name: &'static str| {
            let message = format!(
                "Requests specifying Server Side Encryption with Customer provided keys must provide {problem}."
            );
            Error::with_message(ErrorCode::InvalidArgument, message).field("ArgumentName", name)
        };
        let algorithm =
            algorithm.ok_or_else(|| refused("a valid encryption algorithm", names.algorithm))?;
        if algorithm != "AES256" {
            return Err(unknown_algorithm(names.algorithm, algorithm));
        }
        let key = key.ok_or_else(|| refused("an appropriate secret key", names.key))?;
        let md5 =
            md5.ok_or_else(|| refused("the client calculated MD5 of the secret key", names.md5))?;
        let decoded = Zeroizing::new(STANDARD.decode(key).unwrap_or_default());
        let mut bytes = Zeroizing::new([0; 32]);
        if decoded.len() != bytes.len() {
            let message = "The secret key was invalid for the specified algorithm.";
            return Err(Error::with_message(ErrorCode::InvalidArgument, message)
                .field("ArgumentName", names.key));
        }
        bytes.copy_from_slice(&decoded);
        let key = Self(bytes);
        if key.md5() != md5 {
            let message =
                "The calculated MD5 hash of the key did not match the hash that was provided.";
            return Err(Error::argument(message, names.md5, md5));
        }
        Ok(Some(Box::new(key)))
    }

    /// The key itself.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its MD5 in base64, by which responses name it.
    pub fn md5(&self) -> String {
        let mut md5 = Md5::new();
        md5.update(self.0.as_slice());
        STANDARD.encode(md5.finalize())
    }
}

impl PartialEq for CustomerKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for CustomerKey {}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey(..)")
    }
}

impl Shown<'_> {
    /// The headers that say it.
    pub fn emit(&self) -> Vec<Emitted> {
        match *self {
            Self::Managed => vec![(ENCRYPTION, "AES256".to_owned())],
            Self::Named { key, context, bucket_key } => {
                let mut emitted =
                    vec![(ENCRYPTION, "aws:kms".to_owned()), (KEY_ID, key.to_owned())];
                if let Some(context) = context {
                    emitted.push((CONTEXT, context.to_owned()));
                }
                if bucket_key {
                    emitted.push((BUCKET_KEY, "true".to_owned()));
                }
                emitted
            }
            Self::Customer(key) => {
                let md5 = "x-amz-server-side-encryption-customer-key-MD5";
                vec![(OF_OBJECT.algorithm, "AES256".to_owned()), (md5, key.md5())]
            }
        }
    }
}

fn unknown_algorithm(name: &'static str, value: &str) -> Error {
    Error::new(ErrorCode::InvalidEncryptionAlgorithmError)
        .field("ArgumentName", name)
        .field("ArgumentValue", value)
}

/// A key's name without SSE-KMS would be passed over.
fn refuse_key_id(headers: Headers<'_>) -> Result<(), Error> {
    for name in [KEY_ID, CONTEXT] {
        if let Some(value) = headers.get(name) {
            let message = "Server Side Encryption with AWS KMS managed key requires HTTP header \
                           x-amz-server-side-encryption : aws:kms";
            return Err(Error::argument(message, name, value));
        }
    }
    Ok(())
}

/// S3: the context is a JSON object of strings, in base64.
fn check_context(context: &str) -> Result<(), Error> {
    let is_map = |bytes: Vec<u8>| {
        let map: Result<std::collections::BTreeMap<String, String>, _> =
            serde_json::from_slice(&bytes);
        map.is_ok()
    };
    let decoded = STANDARD.decode(context).ok();
    if context.len() <= ENCRYPTION_CONTEXT_BYTES_MAX && decoded.is_some_and(is_map) {
        return Ok(());
    }
    let message = format!(
        "The header '{CONTEXT}' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map, \
         of up to {ENCRYPTION_CONTEXT_BYTES_MAX} letters"
    );
    Err(Error::argument(message, CONTEXT, context))
}

#[cfg(test)]
mod tests;

//! S3: server-side encryption: which key a request is about, whether it is the right one, and what responses say of it.

use anode_net::{
    http::ResponseHead,
    s3::{
        self, ErrorCode, Headers,
        configuration::encryption::ByDefault,
        encryption::{CustomerKey, NamedKey, Shown, Wanted},
    },
};
use anode_shards::{
    encryption::{Encryption, Scheme, Wrapped},
    object::{BucketId, Upload},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{get::Found, payload::Proof};
use crate::{
    encryption::{
        KeyService, Opener,
        keys::{Binding, DataKey, Locked, MasterKey},
        service::{self, Context, Failure},
    },
    exchange::Exchange,
    host::Host,
    meta::BucketView,
    metrics::Exposure,
    shard::{Shard, address_of},
};

/// The key that AWS uses where none is named, by the name that it has there.
const KEY_DEFAULT: &str = "aws/s3";

/// What something new is encrypted with, and what is kept of that.
#[derive(Debug)]
pub(crate) struct Cipher {
    pub(crate) key: DataKey,
    pub(crate) record: Box<Encryption>,
}

impl Cipher {
    /// What [`etag`] asks for.
    pub(crate) fn etag_key(&self) -> (&DataKey, Scheme) {
        (&self.key, self.record.scheme)
    }
}

/// What an object or an upload that is written now is encrypted with: what its writer asks for, or the bucket's default.
pub(crate) async fn of_new<H: Host>(
    shard: &Shard<H>,
    (bucket, object): (&BucketView, &str),
    wanted: &Wanted,
) -> Result<Option<Cipher>, s3::Error> {
    let id = bucket.record.id;
    let rule = bucket.configurations.encryption.as_ref();
    let bucket_key = rule.is_some_and(|rule| rule.bucket_key);
    match (wanted, rule.and_then(|rule| rule.default.as_ref())) {
        (Wanted::Unsaid, None) => Ok(None),
        (Wanted::Unsaid, Some(ByDefault::Managed)) | (Wanted::Managed, _) => {
            managed(shard, id).map(Some)
        }
        (Wanted::Unsaid, Some(ByDefault::Named(key))) => {
            let asked = NamedKey { key: key.clone(), ..NamedKey::default() };
            named(shard, (bucket, object), (&asked, bucket_key)).await.map(Some)
        }
        // S3: whoever asks for it without a key means that of S3, whatever the default is.
        (Wanted::Named(asked), _) => {
            named(shard, (bucket, object), (asked, bucket_key)).await.map(Some)
        }
        (Wanted::Customer(key), _) => {
            if rule.is_some_and(|rule| rule.blocks_customer_keys == Some(true)) {
                return Err(s3::Error::with_message(
                    ErrorCode::AccessDenied,
                    "Server side encryption with customer provided keys is blocked for this bucket.",
                ));
            }
            let (key, record) = DataKey::new_of_customer(key, id, || shard.random_u64());
            Ok(Some(Cipher { key, record: Box::new(record) }))
        }
    }
}

fn managed<H: Host>(shard: &Shard<H>, bucket: BucketId) -> Result<Cipher, s3::Error> {
    let meta = shard.meta();
    let key = shard.settings().master_keys.first().or(meta.master_key.as_ref());
    let key = key.ok_or_else(|| unusable("The node has no master key."))?;
    Ok(cipher(shard, key, Binding { scheme: Scheme::Managed, bucket, context: None }))
}

async fn named<H: Host>(
    shard: &Shard<H>,
    (bucket, object): (&BucketView, &str),
    (asked, bucket_key): (&NamedKey, bool),
) -> Result<Cipher, s3::Error> {
    let name = asked.key.as_deref().unwrap_or(KEY_DEFAULT);
    let context = asked.context.as_deref();
    let binding = Binding { scheme: Scheme::Named, bucket: bucket.record.id, context };
    let settings = shard.settings();
    let mut cipher = match (settings.master_keys.named(name), &settings.key_service) {
        (Some(key), _) => cipher(shard, key, binding),
        (None, Some(service)) => {
            let name = asked.key.as_deref().unwrap_or(&service.key);
            let arn = format!("arn:aws:s3:::{}/{object}", bucket.record.name);
            of_service(shard, service, (name, arn), binding).await?
        }
        (None, None) => {
            let message =
                format!("There is no encryption key {name:?} in the node's file of master keys.");
            return Err(s3::Error::with_message(ErrorCode::KMSNotFoundException, message));
        }
    };
    cipher.record.bucket_key = asked.bucket_key.unwrap_or(bucket_key);
    Ok(cipher)
}

/// A data key under a key that a key service makes for it.
async fn of_service<H: Host>(
    shard: &Shard<H>,
    service: &KeyService,
    (name, arn): (&str, String),
    binding: Binding<'_>,
) -> Result<Cipher, s3::Error> {
    let context = service_context(binding.context, &arn)?;
    let made = service::generate(shard, service, name, &context).await;
    let made = made.map_err(|failure| not_given(&failure, name))?;
    let mut cipher = cipher(shard, &MasterKey::of_service(&made.name, made.bits), binding);
    let wrapped = Wrapped { endpoint: service.endpoint(), arn, key: made.wrapped };
    cipher.record.service = Some(Box::new(wrapped));
    Ok(cipher)
}

/// What a key of a service is bound to: the object, and what the request has named. S3: "Encryption context".
fn service_context(sent: Option<&str>, arn: &str) -> Result<Context, s3::Error> {
    let mut context = match sent {
        None => Context::new(),
        Some(sent) => {
            let json = STANDARD.decode(sent).ok();
            let read = json.and_then(|json| serde_json::from_slice(&json).ok());
            read.ok_or_else(|| {
                let message = "The encryption context must be base64 of a JSON object of texts.";
                s3::Error::with_message(ErrorCode::InvalidArgument, message)
            })?
        }
    };
    context.insert("aws:s3:arn".to_owned(), arn.to_owned());
    Ok(context)
}

/// What a request is told whose key a service doesn't give.
fn not_given(failure: &Failure, name: &str) -> s3::Error {
    let code = match failure {
        Failure::Away(_) => {
            return s3::Error::with_message(
                ErrorCode::ServiceUnavailable,
                "The key service can't be asked for the key of this object; the log of the node says why.",
            );
        }
        Failure::Refused(code) => code.as_str(),
    };
    let (known, says) = match code {
        "NotFoundException" => (ErrorCode::KMSNotFoundException, "has no such key"),
        "DisabledException" => (ErrorCode::KMSDisabledException, "has disabled the key"),
        "KMSInvalidStateException" => (
            ErrorCode::KMSKMSInvalidStateException,
            "has the key in a state in which it can't be used",
        ),
        "AccessDeniedException" => (ErrorCode::AccessDenied, "does not let the node use the key"),
        _ => (ErrorCode::ServiceUnavailable, "refuses to use the key"),
    };
    s3::Error::with_message(known, format!("The key service {says}: {name:?} ({code})."))
}

fn cipher<H: Host>(shard: &Shard<H>, key: &MasterKey, binding: Binding<'_>) -> Cipher {
    let (key, record) = key.new_data_key(binding, || shard.random_u64());
    Cipher { key, record: Box::new(record) }
}

/// The data key of an upload, for a part of it.
pub(crate) async fn of_upload<H: Host>(
    shard: &Shard<H>,
    (bucket, upload): (BucketId, &Upload),
    customer_key: Option<&CustomerKey>,
) -> Result<Option<DataKey>, s3::Error> {
    check_upload(bucket, upload, customer_key)?;
    let Some(record) = &upload.encryption else { return Ok(None) };
    match customer_key {
        Some(key) => {
            let opened = DataKey::of_customer(key, bucket, record);
            opened.map(Some).map_err(|locked| refused(record, locked))
        }
        None if record.scheme == Scheme::Customer => Err(s3::Error::with_message(
            ErrorCode::InvalidRequest,
            "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate \
             encryption parameters.",
        )),
        None => of_node(shard, bucket, record).await.map(Some),
    }
}

/// Refuses a customer's key that isn't the one of the upload. A completion may come without it.
pub(crate) fn check_upload(
    bucket: BucketId,
    upload: &Upload,
    customer_key: Option<&CustomerKey>,
) -> Result<(), s3::Error> {
    let Some(key) = customer_key else { return Ok(()) };
    let record = upload.encryption.as_ref();
    let Some(record) = record.filter(|record| record.scheme == Scheme::Customer) else {
        return Err(s3::Error::with_message(
            ErrorCode::InvalidRequest,
            "The multipart upload initiate did not request encryption. Please resend the request without sending \
             encryption parameters.",
        ));
    };
    match DataKey::of_customer(key, bucket, record) {
        Err(Locked::OtherKey) => Err(s3::Error::with_message(
            ErrorCode::InvalidRequest,
            "The provided encryption parameters did not match the ones used originally.",
        )),
        Err(Locked::Damaged) => Err(refused(record, Locked::Damaged)),
        Ok(_) => Ok(()),
    }
}

/// What opens the bytes of an object, where they are encrypted and the request has the key. A request with the wrong key, with
/// none or with one too many is refused.
pub(crate) async fn to_read<H: Host>(
    shard: &Shard<H>,
    found: &Found<H>,
    customer_key: Option<&CustomerKey>,
) -> Result<Option<Opener>, s3::Error> {
    let object = &found.object;
    let record = object.encryption.as_deref();
    check_read(record, customer_key)?;
    let Some(record) = record else { return Ok(None) };
    let key = match customer_key {
        None => of_node(shard, found.bucket, record).await?,
        Some(key) => DataKey::of_customer(key, found.bucket, record)
            .map_err(|locked| refused(record, locked))?,
    };
    Ok(Some(Opener::new(key, object)))
}

/// As [`to_read`], where the bytes are not wanted: only a customer has to show its key.
pub(crate) fn to_show<H: Host>(
    found: &Found<H>,
    customer_key: Option<&CustomerKey>,
) -> Result<(), s3::Error> {
    let record = found.object.encryption.as_deref();
    check_read(record, customer_key)?;
    let (Some(record), Some(key)) = (record, customer_key) else { return Ok(()) };
    let opened = DataKey::of_customer(key, found.bucket, record);
    opened.map(drop).map_err(|locked| refused(record, locked))
}

fn check_read(
    record: Option<&Encryption>,
    customer_key: Option<&CustomerKey>,
) -> Result<(), s3::Error> {
    let is_customers = record.is_some_and(|record| record.scheme == Scheme::Customer);
    let message = match (is_customers, customer_key) {
        (true, Some(_)) | (false, None) => return Ok(()),
        (true, None) => {
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to \
             retrieve the object."
        }
        (false, Some(_)) => "The encryption parameters are not applicable to this object.",
    };
    Err(s3::Error::with_message(ErrorCode::InvalidRequest, message))
}

/// The data key of what is encrypted with one of the node's keys, or of its key service.
async fn of_node<H: Host>(
    shard: &Shard<H>,
    bucket: BucketId,
    record: &Encryption,
) -> Result<DataKey, s3::Error> {
    if let Some(wrapped) = &record.service {
        let service = shard.settings().key_service.as_ref().ok_or_else(|| {
            let message = format!(
                "The key of this object is with the key service at {}, and the node has none in its settings.",
                wrapped.endpoint
            );
            s3::Error::with_message(ErrorCode::KMSNotFoundException, message)
        })?;
        let context = service_context(record.context.as_deref(), &wrapped.arn)?;
        let bits = service::decrypt(shard, service, &wrapped.key, &context).await;
        let bits = bits.map_err(|failure| not_given(&failure, &record.key))?;
        let opened = MasterKey::of_service(&record.key, bits).unlock(bucket, record);
        return opened.map_err(|locked| refused(record, locked));
    }
    let meta = shard.meta();
    let keys = &shard.settings().master_keys;
    let opened = keys.unlock(meta.master_key.as_deref(), bucket, record);
    opened.map_err(|locked| refused(record, locked))
}

fn refused(record: &Encryption, locked: Locked) -> s3::Error {
    match (locked, record.scheme) {
        (Locked::OtherKey, Scheme::Customer) => s3::Error::new(ErrorCode::AccessDenied),
        (Locked::OtherKey, Scheme::Managed | Scheme::Named) => {
            let name = &record.key;
            let message = format!(
                "The key {name:?} that this is encrypted with is not in the node's file of master keys."
            );
            match record.scheme {
                Scheme::Named => s3::Error::with_message(ErrorCode::KMSNotFoundException, message),
                Scheme::Managed | Scheme::Customer => unusable(message),
            }
        }
        (Locked::Damaged, _) => {
            unusable("What is stored of the key that this is encrypted with is damaged.")
        }
    }
}

fn unusable(message: impl Into<std::borrow::Cow<'static, str>>) -> s3::Error {
    s3::Error::with_message(ErrorCode::InternalError, message)
}

/// Refuses a customer's key that came in the clear, where the setting says so.
pub(crate) fn check_secure<H: Host>(
    exchange: &Exchange<'_, H>,
    headers: Headers<'_>,
) -> Result<(), s3::Error> {
    let settings = exchange.shard.settings();
    if settings.tls || !CustomerKey::is_in(headers) {
        return Ok(());
    }
    let is_taken = match settings.plain_customer_keys {
        Exposure::All => true,
        Exposure::Loopback => {
            let peer = address_of(&exchange.peer());
            peer.is_some_and(|address| address.is_loopback())
        }
        Exposure::Off => false,
    };
    if is_taken {
        return Ok(());
    }
    Err(s3::Error::with_message(
        ErrorCode::InvalidRequest,
        "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.",
    ))
}

/// The `ETag` of what was read: its MD5, but where that would tell who hasn't the key what it may be.
pub(crate) fn etag(proof: &Proof, encryption: Option<(&DataKey, Scheme)>) -> String {
    match encryption {
        None | Some((_, Scheme::Managed)) => hex::encode(proof.md5),
        Some((key, Scheme::Named | Scheme::Customer)) => hex::encode(key.etag(&proof.md5)),
    }
}

/// Says how something is encrypted, by which a customer's key is meant that the request has shown to have.
pub(crate) fn head_with(
    head: ResponseHead,
    record: Option<&Encryption>,
    customer_key: Option<&CustomerKey>,
) -> ResponseHead {
    let Some(record) = record else { return head };
    let shown = match (record.scheme, customer_key) {
        (Scheme::Managed, _) => Shown::Managed,
        (Scheme::Named, _) => Shown::Named {
            key: &record.key,
            context: record.context.as_deref(),
            bucket_key: record.bucket_key,
        },
        (Scheme::Customer, Some(key)) => Shown::Customer(key),
        (Scheme::Customer, None) => return head,
    };
    shown.emit().into_iter().fold(head, |head, (name, value)| head.header(name, &value))
}

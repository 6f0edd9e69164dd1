//! A key service outside the node, by AWS KMS's protocol: it makes a key for each object and gives it back to be read.
//!
//! "API reference" of AWS KMS, `GenerateDataKey`, `Decrypt`, "Common errors"; JSON 1.1, signed for `kms`. What comes takes the place
//! of a master key for one object ([`super::keys::MasterKey::of_service`]), so the object's bytes are bound to their bucket as
//! others are. The service is asked for each object that is written or read, a few times where it doesn't answer, and its keys are kept nowhere.

use std::{cell::RefCell, collections::BTreeMap, fmt};

use anode_net::sigv4::{PayloadMode, RequestParts, Signer};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::keys::Bits;
use crate::{
    authorize,
    config::kms::Kms,
    credentials::{self, Credentials},
    host::{Host, within},
    limits,
    outbound::{Client, Method, Request, Url, backoff},
    shard::Shard,
};

/// A key service, and who asks it.
#[derive(Clone, Debug)]
pub struct KeyService {
    endpoint: Url,
    region: String,
    /// The key where none is named.
    pub(crate) key: String,
    credentials: Credentials,
}

/// Connections to it that are idle.
pub(crate) struct Clients<H: Host>(RefCell<Vec<Client<H>>>);

/// What a key is bound to: names and values.
pub(crate) type Context = BTreeMap<String, String>;

/// A new key.
pub(crate) struct Made {
    /// In the clear.
    pub(crate) bits: Bits,
    /// As the service takes it back.
    pub(crate) wrapped: Vec<u8>,
    /// The name of the key that it was encrypted with.
    pub(crate) name: String,
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The service says no, by this code.
    Refused(String),
    /// It doesn't answer, or it can't.
    Away(String),
}

impl<H: Host> Default for Clients<H> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<H: Host> fmt::Debug for Clients<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clients({})", self.0.borrow().len())
    }
}

impl<H: Host> Clients<H> {
    fn take(&self) -> Option<Client<H>> {
        self.0.borrow_mut().pop()
    }

    fn keep(&self, client: Client<H>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < limits::KEY_SERVICE_CLIENTS_KEPT_MAX {
            kept.push(client);
        }
    }
}

impl KeyService {
    /// That of the settings, with its credentials read.
    pub fn read(settings: &Kms) -> Result<Self, String> {
        let named = |problem| format!("kms: {problem}");
        Ok(Self {
            endpoint: settings.endpoint.clone(),
            region: settings.region.clone(),
            key: settings.key.clone(),
            credentials: credentials::read(&settings.credentials_file).map_err(named)?,
        })
    }

    /// Where it is.
    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.to_string()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Generate<'a> {
    key_id: &'a str,
    key_spec: &'static str,
    encryption_context: &'a Context,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypt<'a> {
    ciphertext_blob: String,
    encryption_context: &'a Context,
}

// No Debug: it has the key.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    plaintext: String,
    #[serde(default)]
    ciphertext_blob: String,
    #[serde(default)]
    key_id: String,
}

/// Has a key made.
pub(crate) async fn generate<H: Host>(
    shard: &Shard<H>,
    service: &KeyService,
    name: &str,
    context: &Context,
) -> Result<Made, Failure> {
    let question = Generate { key_id: name, key_spec: "AES_256", encryption_context: context };
    let answer = ask(shard, service, "GenerateDataKey", &question).await?;
    let wrapped = STANDARD.decode(&answer.ciphertext_blob).unwrap_or_default();
    if wrapped.is_empty() || wrapped.len() > limits::WRAPPED_KEY_BYTES_MAX {
        return Err(Failure::Away("its answer has no encrypted key".to_owned()));
    }
    let of_answer = answer.key_id.clone();
    let is_name = (1..=limits::MASTER_KEY_NAME_BYTES_MAX).contains(&of_answer.len())
        && of_answer.bytes().all(|byte| byte.is_ascii_graphic());
    let name = if is_name { of_answer } else { name.to_owned() };
    Ok(Made { bits: bits_of(answer)?, wrapped, name })
}

/// Has a key decrypted.
pub(crate) async fn decrypt<H: Host>(
    shard: &Shard<H>,
    service: &KeyService,
    wrapped: &[u8],
    context: &Context,
) -> Result<Bits, Failure> {
    let question =
        Decrypt { ciphertext_blob: STANDARD.encode(wrapped), encryption_context: context };
    bits_of(ask(shard, service, "Decrypt", &question).await?)
}

fn bits_of(answer: Answer) -> Result<Bits, Failure> {
    let text = Zeroizing::new(answer.plaintext);
    let decoded = Zeroizing::new(STANDARD.decode(text.as_bytes()).unwrap_or_default());
    let mut bits = Bits::default();
    if decoded.len() != bits.len() {
        return Err(Failure::Away("its answer has no key of 256 bits".to_owned()));
    }
    bits.copy_from_slice(&decoded);
    Ok(bits)
}

async fn ask<H: Host>(
    shard: &Shard<H>,
    service: &KeyService,
    action: &'static str,
    question: &impl Serialize,
) -> Result<Answer, Failure> {
    let body = serde_json::to_vec(question).expect("texts are written as JSON");
    let body = Bytes::from(body);
    // Boxed, for requests that need no key would keep room for it.
    let asking = Box::pin(ask_again(shard, service, (action, &body)));
    let asked = within(shard.host(), limits::KEY_SERVICE_WAIT, asking).await;
    let answer = asked.unwrap_or_else(|| Err(Failure::Away("it takes too long".to_owned())));
    answer.inspect_err(|failure| {
        tracing::warn!(endpoint = %service.endpoint, action, ?failure, "a key service gives no key");
    })
}

async fn ask_again<H: Host>(
    shard: &Shard<H>,
    service: &KeyService,
    (action, body): (&str, &Bytes),
) -> Result<Answer, Failure> {
    let mut attempt = 0;
    loop {
        let kept = shard.key_clients().take();
        let trust = shard.settings().trust.clone();
        let mut client =
            kept.unwrap_or_else(|| Client::new(shard.host(), service.endpoint.clone(), trust));
        let answer = once(shard, service, &mut client, (action, body)).await;
        shard.key_clients().keep(client);
        attempt += 1;
        match answer {
            Err(Failure::Away(_)) if attempt < limits::KEY_SERVICE_ATTEMPTS_MAX => {
                shard.host().sleep(backoff(attempt - 1, shard.random_u64())).await;
            }
            answer => return answer,
        }
    }
}

async fn once<H: Host>(
    shard: &Shard<H>,
    service: &KeyService,
    client: &mut Client<H>,
    (action, body): (&str, &Bytes),
) -> Result<Answer, Failure> {
    let (target, host) = (format!("TrentService.{action}"), service.endpoint.authority());
    let plain = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
    let signed_headers: Vec<(&str, &str)> =
        plain.iter().copied().chain([("host", host.as_str())]).collect();
    let path = service.endpoint.target();
    let parts = RequestParts { method: "POST", path, query: "", headers: &signed_headers };
    let Credentials { access_key, secret_key } = &service.credentials;
    let signer = Signer::new(access_key, secret_key, &service.region).with_service("kms");
    let payload = PayloadMode::Signed(Sha256::digest(body).into());
    let signed = signer.sign(&parts, payload, authorize::now_seconds(shard));
    let signed = signed.map_err(|error| Failure::Away(format!("it can't be asked: {error:?}")))?;
    let added = signed.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let headers: Vec<(&str, &str)> = plain.iter().copied().chain(added).collect();
    let request = Request { method: Method::Post, headers: &headers, body };
    let reply = client.send(&request).await.map_err(|error| Failure::Away(error.to_string()))?;
    match reply.head.status {
        // What it says of an unreadable answer could have the key in it.
        200 => serde_json::from_slice(&reply.body)
            .map_err(|_unreadable| Failure::Away("its answer can't be read".to_owned())),
        status => Err(failure(status, &reply.body)),
    }
}

/// What an answer says that is none. "Common errors": a code in `__type`, behind the name of its model.
fn failure(status: u16, body: &[u8]) -> Failure {
    #[derive(Deserialize)]
    struct Fault {
        #[serde(rename = "__type")]
        code: String,
    }
    let code = serde_json::from_slice::<Fault>(body).map(|fault| fault.code).unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    let is_name = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let code = if is_name { code } else { "" };
    let may_pass = status >= 500 || status == 429 || code.starts_with("Throttling");
    if may_pass || code.is_empty() {
        return Failure::Away(format!("it answered {status} {code}").trim_end().to_owned());
    }
    Failure::Refused(code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_what_may_pass() {
        let refused = |code: &str| Failure::Refused(code.to_owned());
        for (status, body, expected) in [
            (400, r#"{"__type":"NotFoundException","message":"m"}"#, Some("NotFoundException")),
            (400, r#"{"__type":"com.amazonaws.kms#DisabledException"}"#, Some("DisabledException")),
            (400, r#"{"__type":"ThrottlingException"}"#, None),
            (500, r#"{"__type":"KMSInternalException"}"#, None),
            (400, "<html>", None),
            (400, r#"{"__type":"a b\n"}"#, None),
        ] {
            let found = failure(status, body.as_bytes());
            assert_eq!(
                Some(&found) == expected.map(refused).as_ref(),
                expected.is_some(),
                "{body}"
            );
        }
    }

    #[test]
    fn a_key_has_256_bits() {
        let answer = |bytes: &[u8]| Answer {
            plaintext: STANDARD.encode(bytes),
            ciphertext_blob: String::new(),
            key_id: String::new(),
        };
        assert_eq!(*bits_of(answer(&[7; 32])).unwrap(), [7; 32]);
        bits_of(answer(&[7; 31])).unwrap_err();
        bits_of(answer(&[])).unwrap_err();
    }
}

//! Sessions: temporary credentials that the node doesn't keep. The token has in it all that a session is, and a MAC by a secret
//! of the meta group; the secret key comes of the access key and that secret.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use anode_net::{
    policy::Policy,
    s3::{self, ErrorCode},
};
use anode_shards::object::Secret;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use minicbor::{Decode, Encode};
use sha2::Sha256;

use super::{
    Directory, Principal, Who,
    principal::{Session, SessionPolicies},
};
use crate::limits::SESSION_POLICIES_CACHED_MAX;

/// Policies of sessions that were read, by their documents: they come with each request of their session.
#[derive(Debug, Default)]
pub struct ReadPolicies(RefCell<BTreeMap<String, Arc<Policy>>>);

impl ReadPolicies {
    fn read(&self, document: &str) -> Result<Arc<Policy>, s3::Error> {
        if let Some(known) = self.0.borrow().get(document) {
            return Ok(Arc::clone(known));
        }
        let policy = Arc::new(Policy::parse_identity(document)?);
        let mut known = self.0.borrow_mut();
        if known.len() >= SESSION_POLICIES_CACHED_MAX {
            known.clear();
        }
        known.insert(document.to_owned(), Arc::clone(&policy));
        Ok(policy)
    }
}

const MAC_BYTES: usize = 32;
/// The longest token.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Claims {
    /// The access key that goes with it.
    #[n(0)]
    pub access_key: String,
    /// The account of the role.
    #[n(1)]
    pub account: String,
    /// The role's name.
    #[n(2)]
    pub role: String,
    /// The role's id: one that is made again under the same name is another.
    #[n(3)]
    pub role_id: String,
    /// What the session is called.
    #[n(4)]
    pub session: String,
    /// A policy that narrows what the role may do.
    #[n(5)]
    pub policy: Option<String>,
    /// ARNs of policies that narrow it likewise.
    #[n(6)]
    pub policy_arns: Vec<String>,
    /// When it ends, in milliseconds since 1970.
    #[n(7)]
    pub expires_ms: u64,
    /// Of a session that is no role's: the id of its user, empty where it is the account's root.
    #[n(8)]
    pub user_id: Option<String>,
}

impl Claims {
    /// The token.
    pub fn token(&self, secret: &Secret) -> String {
        let mut bytes = minicbor::to_vec(self).expect("writing into memory can't fail");
        let mac = keyed(secret, b"token").chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The secret half of its access key.
    pub fn secret_key(&self, secret: &Secret) -> Secret {
        let mac = keyed(secret, b"secret key").chain_update(&self.access_key).finalize();
        Secret(URL_SAFE_NO_PAD.encode(mac.into_bytes())[..40].to_owned())
    }

    fn read(token: &str, secret: &Secret) -> Option<Self> {
        let bytes =
            URL_SAFE_NO_PAD.decode(token).ok().filter(|_| token.len() <= TOKEN_BYTES_MAX)?;
        let (claims, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        keyed(secret, b"token").chain_update(claims).verify_slice(mac).ok()?;
        minicbor::decode(claims).ok()
    }
}

/// A MAC for one purpose.
fn keyed(secret: &Secret, purpose: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.0.as_bytes());
    mac.expect("a key of any length will do").chain_update(purpose).chain_update([0])
}

/// Who comes with a token and its access key. `InvalidToken` where it isn't one of ours or its role is gone, `ExpiredToken`
/// where it has ended.
pub fn principal(
    directory: &Directory,
    access_key: &str,
    token: &str,
    now_ms: u64,
    read: &ReadPolicies,
) -> Result<Arc<Principal>, s3::Error> {
    let invalid = || s3::Error::new(ErrorCode::InvalidToken);
    let secret = directory.session_secret.as_ref().ok_or_else(invalid)?;
    let claims = Claims::read(token, secret).filter(|claims| claims.access_key == access_key);
    let claims = claims.ok_or_else(invalid)?;
    if claims.expires_ms <= now_ms {
        return Err(s3::Error::new(ErrorCode::ExpiredToken));
    }
    let account = directory.accounts.get(&claims.account).cloned().ok_or_else(invalid)?;
    let who = match &claims.user_id {
        Some(id) if id.is_empty() => Who::Root,
        Some(id) => directory.user_of_id(id).ok_or_else(invalid)?,
        None => Who::Session(Arc::new(assumed(directory, &claims, read)?)),
    };
    let mut principal = Principal::new(access_key, claims.secret_key(secret), account, who);
    principal.expires_ms = Some(claims.expires_ms);
    principal.is_temporary = claims.user_id.is_some();
    Ok(Arc::new(principal))
}

/// The session of a role.
fn assumed(
    directory: &Directory,
    claims: &Claims,
    read: &ReadPolicies,
) -> Result<Session, s3::Error> {
    let invalid = || s3::Error::new(ErrorCode::InvalidToken);
    let assumed = directory.role(&claims.account, &claims.role);
    let assumed = assumed.filter(|assumed| assumed.role.named.id == claims.role_id);
    let assumed = assumed.ok_or_else(invalid)?;
    let attached = claims.policy_arns.iter();
    let attached = attached.map(|arn| directory.attached(arn).cloned().ok_or_else(invalid));
    let attached = attached.collect::<Result<_, _>>()?;
    let inline = claims.policy.as_deref().map(|document| read.read(document)).transpose()?;
    Ok(Session {
        role: assumed.role.named.clone(),
        name: claims.session.clone(),
        rights: assumed.rights,
        policies: SessionPolicies { inline, attached },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_once_while_there_is_room_for_it() {
        let read = ReadPolicies::default();
        let document = |bucket: usize| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::{bucket}"}}}}"#
            )
        };
        let first = read.read(&document(0)).unwrap();
        assert!(Arc::ptr_eq(&first, &read.read(&document(0)).unwrap()));
        for bucket in 0..=SESSION_POLICIES_CACHED_MAX {
            let policy = read.read(&document(bucket)).unwrap();
            assert_eq!(*policy, Policy::parse_identity(&document(bucket)).unwrap());
        }
        assert!(!Arc::ptr_eq(&first, &read.read(&document(0)).unwrap()), "it made room for others");
        assert!(read.0.borrow().len() <= SESSION_POLICIES_CACHED_MAX);
        read.read("{").unwrap_err();
    }

    // A token is trusted for what it says, so every bit of it must count.
    #[test]
    fn a_changed_token_is_no_token() {
        let secret = Secret("made by the meta group".to_owned());
        let claims = Claims { role: "r".to_owned(), expires_ms: 9, ..Claims::default() };
        let token = claims.token(&secret);
        assert_eq!(Claims::read(&token, &secret), Some(claims.clone()));
        assert_eq!(Claims::read(&token, &Secret("another".to_owned())), None);
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Claims::read(&URL_SAFE_NO_PAD.encode(changed), &secret), None, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(Claims::read(&URL_SAFE_NO_PAD.encode(&bytes[..cut]), &secret), None);
        }
        assert_eq!(claims.secret_key(&secret).0.len(), 40);
        assert!(!token.contains(&claims.secret_key(&secret).0));
    }
}

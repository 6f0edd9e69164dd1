//! Signing, for clients: the load generator, the tests, replication to another S3.

use std::cell::RefCell;
use std::fmt;

use super::canonical::{canonical_request, string_to_sign};
use super::encoding::encode;
use super::{
    ALGORITHM, Error, HeaderNames, PayloadMode, RequestParts, Scope, SigningKey, Timestamp,
    Verified,
};

/// Credentials and the place they are used at. Keeps the key of the last day it signed for.
#[derive(Clone)]
pub struct Signer {
    access_key: String,
    secret: String,
    session_token: Option<String>,
    region: String,
    service: String,
    key: RefCell<Option<(String, SigningKey)>>,
}

/// What a signed request sends besides the headers it was signed with.
#[derive(Clone)]
pub struct SignedHead {
    /// Names in lower case: `x-amz-date`, `x-amz-content-sha256`, `x-amz-security-token` with a token, `authorization`.
    pub headers: Vec<(&'static str, String)>,
    /// The start of its chunks' signatures.
    pub seed: Verified,
}

impl Signer {
    /// A signer for the service `s3`.
    pub fn new(
        access_key: impl Into<String>,
        secret: impl Into<String>,
        region: impl Into<String>,
    ) -> Self {
        Self {
            access_key: access_key.into(),
            secret: secret.into(),
            session_token: None,
            region: region.into(),
            service: "s3".to_owned(),
            key: RefCell::new(None),
        }
    }

    /// The same with the token of temporary credentials.
    #[must_use]
    pub fn with_session_token(self, session_token: impl Into<String>) -> Self {
        Self { session_token: Some(session_token.into()), ..self }
    }

    /// The same for another service.
    #[must_use]
    pub fn with_service(self, service: impl Into<String>) -> Self {
        Self { service: service.into(), key: RefCell::new(None), ..self }
    }

    /// Signs a request with all headers it is given, `host` among them, at `now_seconds` since the epoch.
    ///
    /// Fails only for a path or query that no URL can have, or a time outside the years 0 to 9999.
    pub fn sign(
        &self,
        parts: &RequestParts<'_>,
        payload: PayloadMode,
        now_seconds: i64,
    ) -> Result<SignedHead, Error> {
        let (timestamp, scope) = self.at(now_seconds)?;
        let payload = payload.value();
        let mut headers = vec![
            ("x-amz-date", timestamp.as_str().to_owned()),
            ("x-amz-content-sha256", payload.clone()),
        ];
        headers.extend(self.session_token.clone().map(|token| ("x-amz-security-token", token)));
        let added = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let all: Vec<(&str, &str)> = parts.headers.iter().copied().chain(added).collect();
        let names = HeaderNames::of(&all);
        let canonical =
            canonical_request(&RequestParts { headers: &all, ..*parts }, &names, &payload)?;
        let key = self.key(&scope);
        let signature = key.sign(string_to_sign(&timestamp, &scope, &canonical).as_bytes());
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={}",
            self.access_key,
            names.as_str(),
            hex::encode(signature)
        );
        headers.push(("authorization", authorization));
        Ok(SignedHead { headers, seed: Verified { key, seed: signature, timestamp, scope } })
    }

    /// The query of a presigned URL: that of `parts`, then the signature's parameters. The request must send the headers
    /// of `parts` as they are here, and no other `x-amz-*`; its body is not signed.
    pub fn presign(
        &self,
        parts: &RequestParts<'_>,
        expires_seconds: u32,
        now_seconds: i64,
    ) -> Result<String, Error> {
        let (timestamp, scope) = self.at(now_seconds)?;
        let names = HeaderNames::of(parts.headers);
        let mut query = parts.query.to_owned();
        let mut push = |name: &str, value: &str| {
            let separator = if query.is_empty() { "" } else { "&" };
            query.extend([separator, name, "=", &encode(value.as_bytes())]);
        };
        push("X-Amz-Algorithm", ALGORITHM);
        push("X-Amz-Credential", &format!("{}/{scope}", self.access_key));
        push("X-Amz-Date", timestamp.as_str());
        push("X-Amz-Expires", &expires_seconds.to_string());
        if let Some(token) = &self.session_token {
            push("X-Amz-Security-Token", token);
        }
        push("X-Amz-SignedHeaders", names.as_str());
        let payload = PayloadMode::Unsigned.value();
        let canonical =
            canonical_request(&RequestParts { query: &query, ..*parts }, &names, &payload)?;
        let signature =
            self.key(&scope).sign(string_to_sign(&timestamp, &scope, &canonical).as_bytes());
        query.push_str("&X-Amz-Signature=");
        query.push_str(&hex::encode(signature));
        Ok(query)
    }

    fn at(&self, now_seconds: i64) -> Result<(Timestamp, Scope), Error> {
        let timestamp = Timestamp::of(now_seconds).ok_or_else(|| {
            Error::new("InvalidRequest", "the time to sign at is outside the years 0 to 9999")
        })?;
        let scope = Scope::new(timestamp.date(), &self.region, &self.service);
        Ok((timestamp, scope))
    }

    fn key(&self, scope: &Scope) -> SigningKey {
        let mut held = self.key.borrow_mut();
        match &*held {
            Some((date, key)) if date == scope.date() => key.clone(),
            _ => {
                let key = SigningKey::derive(&self.secret, scope);
                *held = Some((scope.date().to_owned(), key.clone()));
                key
            }
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} {}/{})", self.access_key, self.region, self.service)
    }
}

impl fmt::Debug for SignedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedHead(..)")
    }
}

//! A token: header, claims, signature. Nothing of it is to be believed before [`super::Keys::verify`].

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{Algorithm, CLOCK_SECONDS_MAX, Error, TOKEN_BYTES_MAX};
use crate::policy::json;

/// A token as it was read.
#[derive(Clone, Debug)]
pub struct Token {
    /// What it says.
    pub claims: Claims,
    pub(super) algorithm: Algorithm,
    /// Which key is to verify it, where it says so.
    pub(super) key_id: Option<String>,
    /// What is signed.
    pub(super) signed: String,
    pub(super) signature: Vec<u8>,
}

/// What a token says. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `iss`: the provider, a URL.
    pub issuer: String,
    /// `sub`: of whom it is.
    pub subject: String,
    /// `aud`: whom it is for.
    pub audiences: Vec<String>,
    /// `azp`: to whom it was given, where that is said.
    pub party: Option<String>,
    /// `email`, where it is there.
    pub email: Option<String>,
    /// `amr`, where it is one.
    pub method: Option<String>,
    /// `exp`.
    pub expires: i64,
    /// `iat`.
    pub issued: i64,
    /// `nbf`, where it is there.
    pub not_before: Option<i64>,
}

impl Token {
    /// Reads a token. RFC 7515, 7.1: three parts in base64, between full stops.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Error::Malformed("the token is too long"));
        }
        let no_token = || Error::Malformed("it is no token of three parts in base64");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(no_token)?;
        let (header, claims) = signed.split_once('.').ok_or_else(no_token)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_broken| no_token())?;
        let header = object(header)?;
        // RFC 7515, 4.1.11: what must be understood and isn't.
        if header.contains_key("crit") {
            return Err(Error::Malformed("the token has critical extensions"));
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::of_name);
        let algorithm = algorithm.ok_or(Error::Malformed(
            "the token must be signed by RS256, RS384, RS512, ES256 or ES384",
        ))?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(Error::Malformed("the token's kid is no text")),
        };
        let claims = Claims::read(&object(claims)?)?;
        Ok(Self { claims, algorithm, key_id, signed: signed.to_owned(), signature })
    }
}

impl Claims {
    fn read(members: &Map<String, Value>) -> Result<Self, Error> {
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let audiences = match members.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(all)) => all
                .iter()
                .map(|one| one.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or(Error::Malformed("the token's aud is no text"))?,
            Some(_) | None => Vec::new(),
        };
        let filled = |name: &'static str| text(name).filter(|text| !text.is_empty());
        let missing = Error::Malformed("the token must have iss, sub, aud, exp and iat");
        let method = match members.get("amr") {
            Some(Value::Array(all)) if all.len() == 1 => all[0].as_str().map(str::to_owned),
            _ => text("amr"),
        };
        let claims = Self {
            issuer: filled("iss").ok_or_else(|| missing.clone())?,
            subject: filled("sub").ok_or_else(|| missing.clone())?,
            audiences,
            party: text("azp"),
            email: text("email"),
            method,
            expires: seconds(members, "exp")?.ok_or_else(|| missing.clone())?,
            issued: seconds(members, "iat")?.ok_or_else(|| missing.clone())?,
            not_before: seconds(members, "nbf")?,
        };
        if claims.audiences.is_empty() {
            return Err(missing);
        }
        Ok(claims)
    }

    /// Whether it is time for the token.
    pub fn check_time(&self, now: i64) -> Result<(), Error> {
        if self.expires <= now {
            return Err(Error::Expired { expires: self.expires, now });
        }
        let latest = now.saturating_add(CLOCK_SECONDS_MAX);
        if self.issued > latest || self.not_before.is_some_and(|first| first > latest) {
            return Err(Error::Early);
        }
        Ok(())
    }

    /// Whom of `known` it is for: the party that it was given to, or else its one audience. `OpenID` Connect Core 1.0, 3.1.3.7: of
    /// several audiences no one can be told without the party.
    pub fn audience(&self, known: &[String]) -> Result<&str, Error> {
        let audience = match (&self.party, self.audiences.as_slice()) {
            (Some(party), _) => party,
            (None, [one]) => one,
            (None, _) => return Err(Error::Audience),
        };
        if known.contains(audience) { Ok(audience) } else { Err(Error::Audience) }
    }
}

fn object(part: &str) -> Result<Map<String, Value>, Error> {
    let broken = || Error::Malformed("a part of the token is no JSON in base64");
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_broken| broken())?;
    let text = std::str::from_utf8(&bytes).map_err(|_not_utf8| broken())?;
    match json::read(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) | Err(_) => Err(broken()),
    }
}

/// A time. RFC 7519, 2, "NumericDate": it may have a fraction.
fn seconds(members: &Map<String, Value>, name: &str) -> Result<Option<i64>, Error> {
    let wrong = Error::Malformed("a time of the token is no number of seconds");
    let Some(value) = members.get(name) else { return Ok(None) };
    if let Some(whole) = value.as_i64() {
        return Ok(Some(whole));
    }
    let number = value
        .as_f64()
        .filter(|number| (0.0..1e15).contains(number))
        .ok_or_else(|| wrong.clone())?;
    // Cut at the text's point: no conversion of a float is exact by its type.
    let text = format!("{:.0}", number.floor());
    text.parse().map(Some).map_err(|_too_large| wrong)
}

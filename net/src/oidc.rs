//! Tokens of `OpenID` Connect: what a provider says of somebody, and whether one of its keys has signed that.
//!
//! RFC 7515 (signatures), 7517 (keys), 7518 (algorithms), 7519 (claims); `OpenID` Connect Core 1.0, 2 and 3.1.3.7, and Discovery
//! 1.0, 4. Signatures are by asymmetric keys alone: `none`, and what is signed with a secret, is no token here. The algorithm is
//! the token's to name, but a key verifies only what it is made for.

mod keys;
mod token;

pub use keys::{Keys, keys_url};
pub use token::{Claims, Token};

/// The longest token, in bytes. STS: `AssumeRoleWithWebIdentity`, `WebIdentityToken`.
pub const TOKEN_BYTES_MAX: usize = 20_000;
/// Keys of one provider.
pub const KEY_COUNT_MAX: usize = 100;
/// How far a provider's clock may be ahead, in seconds.
pub const CLOCK_SECONDS_MAX: i64 = 300;

/// Why a token, or what a provider publishes, was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It isn't what the standards say.
    #[error("{0}")]
    Malformed(&'static str),
    /// None of the provider's keys has the name that the token has.
    #[error("none of the provider's keys is the one that the token names")]
    UnknownKey,
    /// The signature isn't that of the key.
    #[error("the signature of the token is not that of the provider's key")]
    Signature,
    /// It isn't for any of those whom it may be for.
    #[error("the token is for another audience")]
    Audience,
    /// Its time is over.
    #[error("the token expired at {expires} and it is {now}, in seconds since 1970")]
    Expired {
        /// When it did, in seconds since 1970.
        expires: i64,
        /// The time, in seconds since 1970.
        now: i64,
    },
    /// Its time has not come.
    #[error("the token is not valid yet")]
    Early,
}

/// With what a token is signed. RFC 7518, 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Es256,
    Es384,
}

impl Algorithm {
    fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;

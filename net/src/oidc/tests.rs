use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};

use super::*;

const HEADER: &str = r#"{"alg":"ES256","kid":"one"}"#;
const CLAIMS: &str = r#"{"iss":"https://a/b","sub":"me","aud":"app","exp":2000,"iat":1000}"#;

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let document = document.unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random);
        Self(pair.unwrap())
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn keys(&self, more: &str) -> Keys {
        let point = self.0.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let set = format!(
            r#"{{"keys":[{{"kty":"oct","k":"AA"}},{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"{more}}}]}}"#
        );
        Keys::parse(set.as_bytes()).unwrap()
    }
}

#[test]
fn a_token_is_of_the_key_that_signed_it() {
    let (signer, other) = (Signer::new(), Signer::new());
    let keys = signer.keys(r#","kid":"one""#);
    let text = signer.sign(HEADER, CLAIMS);
    let token = Token::parse(&text).unwrap();
    assert_eq!(keys.verify(&token), Ok(()));
    assert_eq!(token.claims.subject, "me");
    let forged = Token::parse(&other.sign(HEADER, CLAIMS)).unwrap();
    assert_eq!(keys.verify(&forged), Err(Error::Signature));
    let renamed = Token::parse(&signer.sign(r#"{"alg":"ES256","kid":"two"}"#, CLAIMS)).unwrap();
    assert_eq!(keys.verify(&renamed), Err(Error::UnknownKey));
    let unnamed = Token::parse(&signer.sign(r#"{"alg":"ES256"}"#, CLAIMS)).unwrap();
    assert_eq!(keys.verify(&unnamed), Ok(()));
    // Every letter counts.
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        // The last letter of a part may have bits that say nothing, and then it isn't the encoding.
        if let Ok(token) = Token::parse(&changed) {
            assert!(keys.verify(&token).is_err(), "{at}");
        }
    }
}

#[test]
fn a_key_verifies_what_it_is_made_for() {
    let signer = Signer::new();
    let token = Token::parse(&signer.sign(HEADER, CLAIMS)).unwrap();
    for (more, verdict) in [
        (r#","kid":"one","alg":"ES256","use":"sig""#, Ok(())),
        (r#","kid":"one","alg":"RS256""#, Err(Error::Signature)),
        (r#","kid":"one","use":"enc""#, Err(Error::UnknownKey)),
        (r#","kid":"one","alg":"HS256""#, Err(Error::UnknownKey)),
    ] {
        assert_eq!(signer.keys(more).verify(&token), verdict, "{more}");
    }
    let rs256 = Token::parse(&signer.sign(r#"{"alg":"RS256","kid":"one"}"#, CLAIMS)).unwrap();
    assert_eq!(signer.keys(r#","kid":"one""#).verify(&rs256), Err(Error::Signature));
    for set in ["", "[]", "{}", r#"{"keys":1}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(Keys::parse(set.as_bytes()).is_err(), "{set}");
    }
    let many = format!(r#"{{"keys":[{}{{}}]}}"#, "{},".repeat(KEY_COUNT_MAX));
    Keys::parse(many.as_bytes()).unwrap_err();
}

#[test]
fn what_is_no_token_is_refused() {
    let signer = Signer::new();
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"kid":"one"}"#,
        r#"{"alg":"ES256","crit":["x"]}"#,
        r#"{"alg":"ES256","kid":1}"#,
        r#"{"alg":"ES256","alg":"none"}"#,
        "[]",
    ] {
        assert!(Token::parse(&signer.sign(header, CLAIMS)).is_err(), "{header}");
    }
    for claims in [
        r#"{"iss":"a","sub":"me","aud":"app","exp":2000}"#,
        r#"{"iss":"a","sub":"me","aud":"app","iat":1}"#,
        r#"{"iss":"a","sub":"me","exp":2000,"iat":1}"#,
        r#"{"iss":"a","sub":"me","aud":[],"exp":2000,"iat":1}"#,
        r#"{"iss":"a","sub":"me","aud":[1],"exp":2000,"iat":1}"#,
        r#"{"iss":"a","sub":"","aud":"app","exp":2000,"iat":1}"#,
        r#"{"sub":"me","aud":"app","exp":2000,"iat":1}"#,
        r#"{"iss":"a","sub":"me","aud":"app","exp":"2000","iat":1}"#,
        r#"{"iss":"a","sub":"me","sub":"you","aud":"app","exp":2000,"iat":1}"#,
        "{",
    ] {
        assert!(Token::parse(&signer.sign(HEADER, claims)).is_err(), "{claims}");
    }
    for text in ["", ".", "..", "a.b", "e30.e30", "e30.e30.!"] {
        assert!(Token::parse(text).is_err(), "{text}");
    }
    Token::parse(&"A".repeat(TOKEN_BYTES_MAX + 1)).unwrap_err();
}

#[test]
fn a_token_has_its_time_and_its_audience() {
    let signer = Signer::new();
    let claims = |text: &str| Token::parse(&signer.sign(HEADER, text)).unwrap().claims;
    let plain = claims(CLAIMS);
    assert_eq!(plain.check_time(1999), Ok(()));
    assert_eq!(plain.check_time(2000), Err(Error::Expired { expires: 2000, now: 2000 }));
    assert_eq!(plain.check_time(700), Ok(()));
    assert_eq!(plain.check_time(699), Err(Error::Early));
    let late = r#"{"iss":"a","sub":"me","aud":"app","exp":2000.9,"iat":1,"nbf":1500.5}"#;
    assert_eq!(claims(late).check_time(1199), Err(Error::Early));
    assert_eq!(claims(late).expires, 2000);
    let known = ["app".to_owned(), "other".to_owned()];
    assert_eq!(plain.audience(&known), Ok("app"));
    assert_eq!(plain.audience(&known[1..]), Err(Error::Audience));
    for (more, audience) in [
        (r#""aud":["app"]"#, Ok("app")),
        (r#""aud":["app","x"]"#, Err(Error::Audience)),
        (r#""aud":["app","x"],"azp":"other""#, Ok("other")),
        (r#""aud":"app","azp":"x""#, Err(Error::Audience)),
    ] {
        let text = format!(r#"{{"iss":"a","sub":"me","exp":2000,"iat":1,{more}}}"#);
        assert_eq!(claims(&text).audience(&known), audience, "{more}");
    }
}

#[test]
fn a_provider_says_where_its_keys_are() {
    let document = br#"{"issuer":"https://a/b","jwks_uri":"https://a/keys"}"#;
    assert_eq!(keys_url(document, "https://a/b"), Ok("https://a/keys".to_owned()));
    keys_url(document, "https://a").unwrap_err();
    keys_url(br#"{"issuer":"https://a/b"}"#, "https://a/b").unwrap_err();
    keys_url(b"<html>", "https://a/b").unwrap_err();
}

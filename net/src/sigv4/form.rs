//! Upload forms: the policy, in base64 as it was sent, is the string to sign.
//!
//! By Version 4, and by Version 2, which signs nothing but forms here: programs that make them by hand still do so.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use super::parse::{parse_credential, parse_signature};
use super::{ALGORITHM, Error, Expected, Scope, SigningKey, Timestamp};

/// The fields of a Version 4 signature, as messages name them.
const VERSION_4: [&str; 4] =
    ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature"];
/// Those of Version 2.
const VERSION_2: [&str; 2] = ["AWSAccessKeyId", "Signature"];

/// The signature of a form's policy, still to be verified.
#[derive(Clone)]
pub struct FormSignature {
    /// Whose secret signed it.
    pub access_key: String,
    version: Version,
}

#[derive(Clone)]
enum Version {
    Two { signature: String },
    Four { scope: Scope, credential: String, signature: [u8; 32] },
}

impl std::fmt::Debug for FormSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FormSignature({})", self.access_key)
    }
}

/// Reads the signature of a form, given a look-up of fields by names in lower case; `None` where it has none.
///
/// `InvalidArgument` where a field is missing or malformed, or both versions are there. The policy's expiration is its
/// time limit, so the date is only read.
pub fn parse_form<'a>(
    field: impl Fn(&str) -> Option<&'a str>,
) -> Result<Option<FormSignature>, Error> {
    let has = |name: &&str| field(&name.to_ascii_lowercase()).is_some();
    let required =
        |name: &'static str| field(&name.to_ascii_lowercase()).ok_or_else(|| missing_field(name));
    match (VERSION_4.iter().any(has), VERSION_2.iter().any(has)) {
        (false, false) => Ok(None),
        (true, true) => {
            let message = "Only one auth mechanism allowed; the form has fields of Signature Version 2 and of Version 4.";
            Err(invalid("AWSAccessKeyId", required("AWSAccessKeyId").unwrap_or(""), message))
        }
        (false, true) => {
            let access_key = required("AWSAccessKeyId")?.to_owned();
            let signature = required("Signature")?.to_owned();
            Ok(Some(FormSignature { access_key, version: Version::Two { signature } }))
        }
        (true, false) => {
            let [algorithm, credential, date, signature] = VERSION_4;
            let algorithm_value = required(algorithm)?;
            if algorithm_value != ALGORITHM {
                let message = format!("X-Amz-Algorithm only supports {ALGORITHM}");
                return Err(invalid(algorithm, algorithm_value, message));
            }
            version_four(required(credential)?, required(date)?, required(signature)?).map(Some)
        }
    }
}

/// `InvalidArgument`: a form without this field.
pub fn missing_field(name: &'static str) -> Error {
    let message = format!(
        "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
    );
    invalid(name, "", message)
}

fn version_four(credential: &str, date: &str, signature: &str) -> Result<FormSignature, Error> {
    let (access_key, scope) = parse_credential(credential).ok_or_else(|| {
        let message = "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
        invalid("X-Amz-Credential", credential, message)
    })?;
    let Some(timestamp) = Timestamp::parse(date) else {
        return Err(invalid(
            "X-Amz-Date",
            date,
            "X-Amz-Date must be formated via ISO8601 Long format",
        ));
    };
    if timestamp.date() != scope.date() {
        return Err(invalid("X-Amz-Date", date, "X-Amz-Date must be of the Credential's day"));
    }
    let signature = parse_signature(signature)?;
    let credential = credential.to_owned();
    Ok(FormSignature {
        access_key: access_key.to_string(),
        version: Version::Four { scope, credential, signature },
    })
}

/// Verifies the signature of a form's policy, exactly as it was sent: `InvalidArgument` for another region or service,
/// `SignatureDoesNotMatch`.
pub fn verify_form(
    form: &FormSignature,
    policy_base64: &str,
    secret: &str,
    expected: &Expected<'_>,
) -> Result<(), Error> {
    let (is_signed, provided) = match &form.version {
        Version::Two { signature } => {
            (is_signed_by_two(policy_base64, secret, signature), signature.clone())
        }
        Version::Four { scope, credential, signature } => {
            check_scope(scope, credential, expected)?;
            let key = SigningKey::derive(secret, scope);
            (key.is_signed(policy_base64.as_bytes(), signature), hex::encode(signature))
        }
    };
    if is_signed {
        return Ok(());
    }
    let bytes: Vec<String> = policy_base64.bytes().map(|byte| format!("{byte:02x}")).collect();
    Err(Error::mismatch().with([
        ("AWSAccessKeyId", form.access_key.clone()),
        ("StringToSign", policy_base64.to_owned()),
        ("SignatureProvided", provided),
        ("StringToSignBytes", bytes.join(" ")),
    ]))
}

fn check_scope(scope: &Scope, credential: &str, expected: &Expected<'_>) -> Result<(), Error> {
    if let Some(region) = expected.region
        && scope.region() != region
    {
        let message = format!("the region '{}' is wrong; expecting '{region}'", scope.region());
        let mut error = invalid("X-Amz-Credential", credential, message);
        error.fields =
            error.fields.iter().cloned().chain([("Region", region.to_owned())]).collect();
        return Err(error);
    }
    if scope.service() != expected.service {
        let message = format!(
            "incorrect service \"{}\". This endpoint belongs to \"{}\".",
            scope.service(),
            expected.service
        );
        return Err(invalid("X-Amz-Credential", credential, message));
    }
    Ok(())
}

/// The base64 of the HMAC-SHA1 of the policy, compared in constant time.
fn is_signed_by_two(policy_base64: &str, secret: &str, signature: &str) -> bool {
    let mut key = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    key.update(policy_base64.as_bytes());
    let computed = STANDARD.encode(key.finalize().into_bytes());
    computed.as_bytes().ct_eq(signature.as_bytes()).into()
}

fn invalid(name: &'static str, value: &str, message: impl Into<String>) -> Error {
    Error::new("InvalidArgument", message)
        .with([("ArgumentName", name.to_owned()), ("ArgumentValue", value.to_owned())])
}

#[cfg(test)]
mod tests {
    use super::{parse_form, verify_form};
    use crate::sigv4::Expected;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const POLICY: &str = "eyJjb25kaXRpb25zIjpbXX0=";
    const EXPECTED: Expected<'_> =
        Expected { now_seconds: 0, region: Some("us-east-1"), service: "s3" };
    const CREDENTIAL: &str = "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request";
    /// Computed independently: python3's hmac over the policy above.
    const FOUR: [(&str, &str); 4] = [
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", CREDENTIAL),
        ("x-amz-date", "20151229T000000Z"),
        ("x-amz-signature", "fe6b9fe28cec512bb68eb69fcc2618361a402ec04bfba5facb8ad851e82ee585"),
    ];
    const TWO: [(&str, &str); 2] =
        [("awsaccesskeyid", "AKIAIOSFODNN7EXAMPLE"), ("signature", "gMrwfreebYA3kuYKuHo5ds1C9HM=")];

    fn field<'a>(fields: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
        fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    #[test]
    fn a_policy_is_signed_as_sent_by_either_version() {
        for fields in [&FOUR[..], &TWO[..]] {
            let form = parse_form(|name| field(fields, name)).unwrap().unwrap();
            assert_eq!(form.access_key, "AKIAIOSFODNN7EXAMPLE");
            assert_eq!(verify_form(&form, POLICY, SECRET, &EXPECTED), Ok(()));
            for (policy, secret) in
                [("eyJjb25kaXRpb25zIjpbXX1=", SECRET), ("", SECRET), (POLICY, "other")]
            {
                let error = verify_form(&form, policy, secret, &EXPECTED).unwrap_err();
                assert_eq!(error.code, "SignatureDoesNotMatch");
                assert_eq!(error.fields[1], ("StringToSign", policy.to_owned()));
            }
        }
        assert!(parse_form(|_name| None).unwrap().is_none(), "not signed");
    }

    #[test]
    fn a_signature_is_good_for_its_region_and_service() {
        let form = parse_form(|name| field(&FOUR, name)).unwrap().unwrap();
        let any = Expected { region: None, ..EXPECTED };
        assert_eq!(verify_form(&form, POLICY, SECRET, &any), Ok(()));
        for expected in [
            Expected { region: Some("eu-west-1"), ..EXPECTED },
            Expected { service: "sts", ..EXPECTED },
        ] {
            let error = verify_form(&form, POLICY, SECRET, &expected).unwrap_err();
            assert_eq!(error.code, "InvalidArgument");
            assert_eq!(error.fields[1], ("ArgumentValue", CREDENTIAL.to_owned()));
        }
    }

    #[test]
    fn each_field_is_needed_and_checked() {
        for (fields, names) in [
            (
                &FOUR[..],
                &["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature"][..],
            ),
            (&TWO[..], &["AWSAccessKeyId", "Signature"][..]),
        ] {
            for name in names {
                let without = |asked: &str| {
                    field(fields, asked).filter(|_| !asked.eq_ignore_ascii_case(name))
                };
                let error = parse_form(without).unwrap_err();
                assert_eq!(error.code, "InvalidArgument", "{name}");
                assert_eq!(error.fields[0], ("ArgumentName", (*name).to_owned()));
            }
        }
        for (name, value) in [
            ("x-amz-algorithm", "AWS4-HMAC-SHA1"),
            ("x-amz-credential", "AKID"),
            ("x-amz-date", "2015-12-29"),
            ("x-amz-date", "20151230T000000Z"),
            ("x-amz-signature", "FE6B"),
        ] {
            let wrong = |asked: &str| if asked == name { Some(value) } else { field(&FOUR, asked) };
            assert!(parse_form(wrong).is_err(), "{name}");
        }
        let both = |asked: &str| field(&FOUR, asked).or_else(|| field(&TWO, asked));
        assert_eq!(parse_form(both).unwrap_err().code, "InvalidArgument");
    }
}

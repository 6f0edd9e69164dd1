//! POST forms: the policy, in base64, is the string to sign.

use super::parse::{parse_credential, parse_signature};
use super::{ALGORITHM, Error, Expected, Scope, SigningKey, Timestamp};

/// The signature of a POST form's policy.
#[derive(Clone)]
pub struct FormSignature {
    /// Whose secret signed it.
    pub access_key: String,
    /// The day, region and service of the signing key.
    pub scope: Scope,
    signature: [u8; 32],
}

impl std::fmt::Debug for FormSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FormSignature({} {})", self.access_key, self.scope)
    }
}

/// Reads the signature's fields of a POST form, given by a look-up that knows names in any case: `x-amz-algorithm`,
/// `x-amz-credential`, `x-amz-date`, `x-amz-signature`.
///
/// A Version 2 form is `InvalidRequest`, a missing or malformed field `InvalidArgument`. The policy's expiration is its
/// time limit, so the date is only read.
pub fn parse_form<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Result<FormSignature, Error> {
    if field("AWSAccessKeyId").is_some() {
        return Err(super::parse::version_two());
    }
    let required = |name: &'static str| {
        field(name).ok_or_else(|| {
            invalid(name, "", format!("Bucket POST must contain a field named '{name}'.  If it is specified, please check \
                the order of the fields."))
        })
    };
    let algorithm = required("x-amz-algorithm")?;
    if algorithm != ALGORITHM {
        return Err(invalid(
            "x-amz-algorithm",
            algorithm,
            format!("x-amz-algorithm only supports {ALGORITHM}"),
        ));
    }
    let credential = required("x-amz-credential")?;
    let (access_key, scope) = parse_credential(credential).ok_or_else(|| {
        let message = "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
        invalid("x-amz-credential", credential, message.to_owned())
    })?;
    let date = required("x-amz-date")?;
    if Timestamp::parse(date).is_none_or(|timestamp| timestamp.date() != scope.date) {
        let message = "x-amz-date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\", of the credential's day";
        return Err(invalid("x-amz-date", date, message.to_owned()));
    }
    let signature = parse_signature(required("x-amz-signature")?)?;
    Ok(FormSignature { access_key, scope, signature })
}

/// Verifies the signature of a form's policy, exactly as it was sent.
pub fn verify_form(
    form: &FormSignature,
    policy_base64: &str,
    secret: &str,
    expected: &Expected<'_>,
) -> Result<(), Error> {
    let is_here = expected.region.is_none_or(|region| region == form.scope.region);
    if !is_here || form.scope.service != expected.service {
        let place = format!("{}/{}", expected.region.unwrap_or("*"), expected.service);
        let message = format!("the Credential's scope {} is wrong; expecting {place}", form.scope);
        return Err(invalid("x-amz-credential", &form.scope.to_string(), message));
    }
    if SigningKey::derive(secret, &form.scope).is_signed(policy_base64.as_bytes(), &form.signature)
    {
        Ok(())
    } else {
        Err(Error::mismatch())
    }
}

fn invalid(name: &str, value: &str, message: String) -> Error {
    Error::new("InvalidArgument", message)
        .with([("ArgumentName", name.to_owned()), ("ArgumentValue", value.to_owned())])
}

#[cfg(test)]
mod tests {
    use super::{parse_form, verify_form};
    use crate::sigv4::Expected;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const EXPECTED: Expected<'_> =
        Expected { now_seconds: 0, region: Some("us-east-1"), service: "s3" };

    fn fields<'a>(name: &str) -> Option<&'a str> {
        match name {
            "x-amz-algorithm" => Some("AWS4-HMAC-SHA256"),
            "x-amz-credential" => Some("AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"),
            "x-amz-date" => Some("20151229T000000Z"),
            // Computed independently: python3's hmac over the policy below.
            "x-amz-signature" => {
                Some("fe6b9fe28cec512bb68eb69fcc2618361a402ec04bfba5facb8ad851e82ee585")
            }
            _ => None,
        }
    }

    #[test]
    fn a_policy_is_signed_as_sent() {
        let form = parse_form(fields).unwrap();
        assert_eq!(verify_form(&form, "eyJjb25kaXRpb25zIjpbXX0=", SECRET, &EXPECTED), Ok(()));
        let mismatch =
            |policy, secret| verify_form(&form, policy, secret, &EXPECTED).unwrap_err().code;
        assert_eq!(mismatch("eyJjb25kaXRpb25zIjpbXX1=", SECRET), "SignatureDoesNotMatch");
        assert_eq!(mismatch("eyJjb25kaXRpb25zIjpbXX0=", "other"), "SignatureDoesNotMatch");
        let elsewhere = Expected { region: Some("eu-west-1"), ..EXPECTED };
        assert_eq!(verify_form(&form, "", SECRET, &elsewhere).unwrap_err().code, "InvalidArgument");
    }

    #[test]
    fn each_field_is_needed_and_checked() {
        for name in ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"] {
            let without = |asked: &str| if asked == name { None } else { fields(asked) };
            assert_eq!(parse_form(without).unwrap_err().code, "InvalidArgument", "{name}");
            let wrong =
                |asked: &str| if asked == name { Some("20151230T000000Z") } else { fields(asked) };
            assert!(parse_form(wrong).is_err(), "{name}");
        }
        assert_eq!(
            parse_form(|_name| Some("AKID")).unwrap_err().code,
            "InvalidRequest",
            "version 2"
        );
    }
}

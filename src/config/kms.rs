//! A key service outside the node: where it is, and who asks it.

use std::path::PathBuf;

use super::{Error, cli, file};
use crate::outbound::Url;

/// What is set of a key service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kms {
    /// Where it is.
    pub endpoint: Url,
    /// The region that requests are signed for.
    pub region: String,
    /// The key where none is named.
    pub key: String,
    /// A file with credentials.
    pub credentials_file: PathBuf,
}

/// That of the command line and the environment, or else of the file, each setting by itself.
pub(super) fn merge(flags: &cli::Serve, file: file::Kms) -> Result<Option<Kms>, Error> {
    let refused = |problem: String| Error::Value { setting: "kms", problem };
    let endpoint = flags.kms_endpoint.clone().or(file.endpoint);
    let region = flags.kms_region.clone().or(file.region);
    let key = flags.kms_key.clone().or(file.key);
    let credentials_file = flags.kms_credentials_file.clone().or(file.credentials_file);
    let Some(endpoint) = endpoint else {
        if region.is_some() || key.is_some() || credentials_file.is_some() {
            return Err(refused("there is no endpoint; give --kms-endpoint URL".to_owned()));
        }
        return Ok(None);
    };
    let endpoint =
        Url::parse(&endpoint).map_err(|problem| refused(format!("the endpoint: {problem}")))?;
    let is_near = endpoint.address().is_some_and(|address| address.ip().is_loopback());
    if !endpoint.is_https() && !is_near {
        let problem = "keys are sent in the clear by http://; give an https:// endpoint, or one at a loopback address";
        return Err(refused(problem.to_owned()));
    }
    let credentials_file = credentials_file.ok_or_else(|| {
        refused("there are no credentials; give --kms-credentials-file FILE".to_owned())
    })?;
    Ok(Some(Kms {
        endpoint,
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        key: key.unwrap_or_else(|| "alias/aws/s3".to_owned()),
        credentials_file,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_travel_encrypted_or_not_far() {
        let merge = |endpoint: &str, credentials: Option<&str>| {
            let file = file::Kms {
                endpoint: Some(endpoint.to_owned()),
                credentials_file: credentials.map(PathBuf::from),
                ..file::Kms::default()
            };
            merge(&cli::Serve::default(), file)
        };
        let kms = merge("https://kms.example.com", Some("f")).unwrap().unwrap();
        assert_eq!((kms.region.as_str(), kms.key.as_str()), ("us-east-1", "alias/aws/s3"));
        merge("http://127.0.0.1:8080", Some("f")).unwrap();
        for (endpoint, credentials) in [
            ("http://kms.example.com", Some("f")),
            ("http://10.0.0.1", Some("f")),
            ("https://kms.example.com", None),
            ("kms.example.com", Some("f")),
        ] {
            assert!(merge(endpoint, credentials).is_err(), "{endpoint}");
        }
        let stray = cli::Serve { kms_key: Some("k".to_owned()), ..cli::Serve::default() };
        super::merge(&stray, file::Kms::default()).unwrap_err();
    }
}

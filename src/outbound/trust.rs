//! Whose certificates are trusted: those of the machine's bundle, and of a file of one's own.

use std::{path::Path, sync::Arc};

use anode_net::tls;
use rustls::ClientConfig;

/// Where distributions keep their bundle: Debian and Alpine, Fedora and its kin, SUSE, and what is left of others.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reads what servers by HTTPS are proven by: the machine's bundle, if it has one, and `own`, if it is named.
#[expect(clippy::disallowed_methods, reason = "it is read before the shards start")]
pub fn read_trust(own: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let bundle = BUNDLES.iter().find_map(|path| std::fs::read(path).ok());
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| format!("ca-file: {}: {error}", path.display()))
    };
    let own = own.map(read).transpose()?;
    if bundle.is_none() && own.is_none() {
        return Err(format!(
            "this machine has no bundle of certificates to trust (none of {}); install ca-certificates, or name a file \
             with --ca-file FILE",
            BUNDLES.join(", ")
        ));
    }
    tls::client_config_beside(bundle.as_deref(), own.as_deref())
        .map_err(|error| format!("ca-file: {error}"))
}

//! Where another server is: `http://` or `https://`, a host, perhaps a port, and what is asked for there.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// A URL that requests can be sent to. Shown without its query, which may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    is_https: bool,
    host: String,
    port: u16,
    target: String,
}

impl Url {
    /// Reads one; an error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (is_https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("it must begin with https:// or http://".to_owned()),
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('#') {
            return Err("it must be of visible ASCII letters, without a fragment".to_owned());
        }
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        if authority.contains('@') {
            return Err("it must not name a user; give a token instead".to_owned());
        }
        let (host, port) = split_port(authority)?;
        if host.is_empty() || !host.bytes().all(is_of_host) {
            return Err(format!("{host:?} is no host"));
        }
        let port = port.unwrap_or(if is_https { 443 } else { 80 });
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { is_https, host: host.to_owned(), port, target: format!("{slash}{target}") })
    }

    /// Whether it is asked by TLS.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// The host, an address of IPv6 without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path and the query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The address, where the host is one.
    pub fn address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse::<IpAddr>().ok()?, self.port))
    }

    /// What the header `Host` says.
    pub fn authority(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let usual = if self.is_https { 443 } else { 80 };
        if self.port == usual {
            format!("{open}{}{close}", self.host)
        } else {
            format!("{open}{}{close}:{}", self.host, self.port)
        }
    }
}

/// A host, and its port where there is one.
type Place<'a> = (&'a str, Option<u16>);

fn split_port(authority: &str) -> Result<Place<'_>, String> {
    let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or("its bracket isn't closed")?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(format!("{host:?} is no address of IPv6"));
        }
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').unwrap_or(rest)) })
    } else {
        authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
    };
    let Some(port) = port else { return Ok((host, None)) };
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let number = port.parse::<u16>().ok().filter(|number| is_number && *number > 0);
    Ok((host, Some(number.ok_or_else(|| format!("{port:?} is no port"))?)))
}

fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':')
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        for (text, shown, host, port, target) in [
            ("http://a", "http://a/", "a", 80, "/"),
            ("https://a.test/x/y", "https://a.test/x/y", "a.test", 443, "/x/y"),
            ("https://a:8443?q=secret", "https://a:8443/", "a", 8443, "/?q=secret"),
            ("http://[::1]:80/h", "http://[::1]/h", "::1", 80, "/h"),
            ("http://127.0.0.1:9", "http://127.0.0.1:9/", "127.0.0.1", 9, "/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.port(), url.target()), (host, port, target), "{text}");
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("secret"));
            assert_eq!(url.address().is_some(), host.contains(['1']), "{text}");
        }
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "a.test",
            "ftp://a",
            "http://",
            "http:///x",
            "http://a:0",
            "http://a:x",
            "http://a:",
            "http://a:70000",
            "http://a:+1",
            "http://u:p@a/",
            "http://a b/",
            "http://a/#x",
            "http://[::1",
            "http://[a]/",
            "http://a/\u{e9}",
            "http://a\r\nx:y/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}

//! The parts of an HTTP request that S3 looks at: plain slices, so that any HTTP parser will do.

/// A request as it came, nothing decoded.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path of the target, undecoded, from its first slash.
    pub path: &'a str,
    /// The query of the target, undecoded, without its question mark; empty where there is none.
    pub query: &'a str,
    /// The header fields.
    pub headers: Headers<'a>,
}

/// Header fields: names in lower case, values without the white space around them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a>(&'a [(&'a str, &'a str)]);

impl<'a> Headers<'a> {
    /// Wraps fields whose names are in lower case.
    pub fn new(fields: &'a [(&'a str, &'a str)]) -> Self {
        Self(fields)
    }

    /// The fields themselves.
    pub fn fields(self) -> &'a [(&'a str, &'a str)] {
        self.0
    }

    /// The first value under a name in lower case.
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
    }

    /// The first value under a name, where it isn't empty.
    pub fn filled(self, name: &str) -> Option<&'a str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Whether there is such a field.
    pub fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All values under a name, as one list. (RFC 9110, 5.3)
    pub fn list(self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.iter().filter(|(field, _)| *field == name).map(|(_, value)| value).collect();
        if values.is_empty() { None } else { Some(values.join(",")) }
    }

    /// Every field, in order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let fields = [("a", "1"), ("b", ""), ("a", "2")];
        let headers = Headers::new(&fields);
        assert_eq!(headers.get("a"), Some("1"));
        assert_eq!(headers.list("a").as_deref(), Some("1,2"));
        assert_eq!((headers.get("b"), headers.filled("b")), (Some(""), None));
        assert!(!headers.has("c"));
    }
}

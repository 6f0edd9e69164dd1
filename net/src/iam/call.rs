//! The form of a call.

use super::Error;
use crate::s3::query::Query;

/// The most entries of a list among the parameters.
const LIST_LENGTH_MAX: usize = 50;

/// Keys and values.
pub type Tags = Vec<(String, String)>;

/// An action and its parameters.
#[derive(Clone, Debug)]
pub struct Call {
    parameters: Query,
}

impl Call {
    /// Reads the body of a call.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let unreadable = || Error::new("MalformedInput", "The body is not a form of UTF-8.");
        let text = std::str::from_utf8(body).map_err(|_not_utf8| unreadable())?;
        let parameters = Query::parse(text.trim_end()).map_err(|_broken| unreadable())?;
        Ok(Self { parameters })
    }

    /// The action's name.
    pub fn action(&self) -> Result<&str, Error> {
        let missing = || Error::new("MissingAction", "The form names no Action.");
        self.parameters.filled("Action").ok_or_else(missing)
    }

    /// A parameter that is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.filled(name)
    }

    /// A parameter that has to be there.
    pub fn required(&self, name: &str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| Error::validation(format!("{name} must be given.")))
    }

    /// A number in bounds, where it is there.
    pub fn number(
        &self,
        name: &str,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Error> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        let wrong = || {
            let (least, most) = (bounds.start(), bounds.end());
            Error::validation(format!(
                "{name} must be a number from {least} to {most}, not {text}."
            ))
        };
        number.map(Some).ok_or_else(wrong)
    }

    /// The name of a user, group, role or policy: up to `length_max` letters, digits and `+=,.@_-`.
    pub fn name(&self, parameter: &str, length_max: usize) -> Result<&str, Error> {
        let name = self.required(parameter)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        if name.len() <= length_max && name.bytes().all(is_plain) {
            return Ok(name);
        }
        Err(Error::validation(format!(
            "The specified value for {parameter} is invalid. It must contain only alphanumeric characters and/or the \
             following: +=,.@_-, and be up to {length_max} long."
        )))
    }

    /// A path: it begins and ends with a slash.
    pub fn path(&self, parameter: &str) -> Result<&str, Error> {
        let Some(path) = self.get(parameter) else { return Ok("/") };
        let is_whole = path.starts_with('/') && path.ends_with('/');
        if is_whole && path.len() <= 512 && path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(path);
        }
        Err(Error::validation(format!(
            "The specified value for {parameter} is invalid. It must begin and end with / and contain only alphanumeric \
             characters and/or / characters."
        )))
    }

    /// The entries of a list, `prefix.member.1` and so on.
    pub fn list(&self, prefix: &str) -> Result<Vec<&str>, Error> {
        let entry = |place: usize| self.parameters.get(&format!("{prefix}.member.{place}"));
        let entries: Vec<&str> = (1..=LIST_LENGTH_MAX + 1).map_while(entry).collect();
        if entries.len() > LIST_LENGTH_MAX {
            return Err(Error::validation(format!(
                "{prefix} has up to {LIST_LENGTH_MAX} members."
            )));
        }
        Ok(entries)
    }

    /// The pairs of `Tags`.
    pub fn tags(&self) -> Result<Tags, Error> {
        let mut tags: Tags = Vec::new();
        for place in 1..=LIST_LENGTH_MAX + 1 {
            let Some(key) = self.get(&format!("Tags.member.{place}.Key")) else { break };
            let value = self.parameters.get(&format!("Tags.member.{place}.Value"));
            let value = value.unwrap_or_default();
            if place > LIST_LENGTH_MAX || key.len() > 128 || value.len() > 256 {
                return Err(Error::validation(
                    "Tags are up to 50, with keys up to 128 and values up to 256 bytes.",
                ));
            }
            if tags.iter().any(|(known, _)| known.eq_ignore_ascii_case(key)) {
                return Err(Error::new("InvalidInput", "Duplicate tag keys found."));
            }
            tags.push((key.to_owned(), value.to_owned()));
        }
        Ok(tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str) -> Call {
        Call::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn parameters_are_read_and_bounded() {
        let read =
            call("Action=CreateUser&UserName=a%2Bb&Path=%2Fx%2F&MaxItems=7&Tags.member.1.Key=k");
        assert_eq!(read.action(), Ok("CreateUser"));
        assert_eq!(read.name("UserName", 64), Ok("a+b"));
        assert_eq!(read.path("Path"), Ok("/x/"));
        assert_eq!(read.path("PathPrefix"), Ok("/"));
        assert_eq!(read.number("MaxItems", 1..=1000), Ok(Some(7)));
        assert_eq!(read.tags(), Ok(vec![("k".to_owned(), String::new())]));
        for (body, code) in [("UserName=a", "MissingAction"), ("Action=", "MissingAction")] {
            assert_eq!(call(body).action().unwrap_err().code(), code, "{body}");
        }
        assert_eq!(Call::parse(b"Action=%zz").unwrap_err().code(), "MalformedInput");
        assert_eq!(Call::parse(b"\xff").unwrap_err().code(), "MalformedInput");
        for name in ["", "a/b", "%C3%BC", &"x".repeat(65)] {
            let refused = call(&format!("UserName={name}"));
            assert_eq!(
                refused.name("UserName", 64).unwrap_err().code(),
                "ValidationError",
                "{name}"
            );
        }
        for path in ["x/", "/x", "/%C3%BC/"] {
            let refused = call(&format!("Path={path}"));
            assert_eq!(refused.path("Path").unwrap_err().code(), "ValidationError", "{path}");
        }
        for number in ["0", "1001", "x", "-1"] {
            let refused = call(&format!("MaxItems={number}"));
            assert_eq!(refused.number("MaxItems", 1..=1000).unwrap_err().code(), "ValidationError");
        }
    }

    #[test]
    fn lists_end() {
        let members = |count: usize| {
            let each = (1..=count).map(|place| format!("A.member.{place}=v"));
            each.collect::<Vec<_>>().join("&")
        };
        assert_eq!(call(&members(50)).list("A").unwrap().len(), 50);
        assert_eq!(call(&members(51)).list("A").unwrap_err().code(), "ValidationError");
        let twice = call("Tags.member.1.Key=a&Tags.member.2.Key=A");
        assert_eq!(twice.tags().unwrap_err().code(), "InvalidInput");
    }
}

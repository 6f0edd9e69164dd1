//! The fields of an upload form (S3: POST Object): what other requests have as headers, and who sends it.

use std::fmt;

use crate::http::FormField;
use crate::s3::error::{Error, ErrorCode};
use crate::s3::limits::FORM_VALUE_BYTES_MAX;

/// What stands in a field for the name of the file.
const FILENAME: &str = "${filename}";

/// The fields before the file, each name once.
#[derive(Clone, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Adds a field. The values of fields with the same name become a list, as with headers.
    pub fn add(&mut self, field: FormField) {
        match self.0.iter_mut().find(|(name, _)| *name == field.name) {
            Some((_, value)) => {
                value.push(',');
                value.push_str(&field.value);
            }
            None => self.0.push((field.name, field.value)),
        }
    }

    /// Puts the file's name for `${filename}` in every field: what follows the last slash or backslash of it. AWS does so
    /// before it looks at the policy, and leaves the variable where the file has no name.
    ///
    /// `InvalidArgument` where a field gets too long by that.
    pub fn expand(&mut self, filename: Option<&str>) -> Result<(), Error> {
        let Some(filename) = filename else { return Ok(()) };
        let filename = filename.rsplit(['/', '\\']).next().unwrap_or_default();
        for (name, value) in self.0.iter_mut().filter(|(_, value)| value.contains(FILENAME)) {
            let count = value.matches(FILENAME).count();
            if value.len() + count * filename.len() > FORM_VALUE_BYTES_MAX {
                let message = "A field is too long with the name of the file in it.";
                return Err(Error::with_message(ErrorCode::InvalidArgument, message)
                    .field("ArgumentName", name.clone())
                    .field("ArgumentValue", value.len().to_string()));
            }
            *value = value.replace(FILENAME, filename);
        }
        Ok(())
    }

    /// The value of a field, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Every field: name in lower case, value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The fields as headers of a request that asks for the same.
    pub fn headers(&self) -> Vec<(&str, &str)> {
        let header = |name| if name == "acl" { "x-amz-acl" } else { name };
        self.iter().map(|(name, value)| (header(name), value)).collect()
    }
}

impl fmt::Debug for Form {
    /// The names alone: a policy with its signature is a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Form {
        let mut form = Form::default();
        for (name, value) in fields {
            form.add(FormField { name: (*name).to_owned(), value: (*value).to_owned() });
        }
        form
    }

    #[test]
    fn fields_are_found_and_joined() {
        let form = form(&[("acl", "private"), ("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")]);
        assert_eq!(form.get("x-amz-meta-a"), Some("1,2"));
        assert_eq!(form.get("key"), None);
        assert_eq!(form.headers(), [("x-amz-acl", "private"), ("x-amz-meta-a", "1,2")]);
        assert_eq!(format!("{form:?}"), "[\"acl\", \"x-amz-meta-a\"]");
    }

    #[test]
    fn the_name_of_the_file_is_the_end_of_its_path() {
        for (filename, expected) in [
            (Some("a.txt"), "u/a.txt"),
            (Some("/tmp/a b.txt"), "u/a b.txt"),
            (Some("C:\\d\\a.txt"), "u/a.txt"),
            (Some("d/"), "u/"),
            (Some(""), "u/"),
            (Some("${filename}"), "u/${filename}"),
            (None, "u/${filename}"),
        ] {
            let mut form = form(&[("key", "u/${filename}"), ("x-amz-meta-n", "${filename}!")]);
            form.expand(filename).unwrap();
            assert_eq!(form.get("key"), Some(expected), "{filename:?}");
        }
        let mut many = form(&[("x-amz-meta-n", &FILENAME.repeat(1000))]);
        let error = many.expand(Some(&"x".repeat(1000))).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
    }
}

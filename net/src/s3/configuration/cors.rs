//! `CORSConfiguration`: which pages of other origins may use a bucket, as browsers ask. (Fetch standard, 3.2)

use bytes::Bytes;

use crate::s3::error::{Error, ErrorCode};
use crate::s3::request::Headers;
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

const RULES_MAX: usize = 100;
const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

/// Rules; the first that fits counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors(Vec<Rule>);

/// Who may ask for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// What it is called.
    pub id: Option<String>,
    /// Origins, each with up to one `*` for anything.
    pub origins: Vec<String>,
    /// Methods, in capitals.
    pub methods: Vec<String>,
    /// Request headers, each with up to one `*`.
    pub headers: Vec<String>,
    /// Response headers that a page may see.
    pub exposed: Vec<String>,
    /// For how long a browser may keep the answer to a preflight.
    pub max_age_seconds: Option<u32>,
}

/// What a browser asks: of a request, or before one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// `Origin`.
    pub origin: &'a str,
    /// The method of the request.
    pub method: &'a str,
    /// `Access-Control-Request-Headers`, of a preflight.
    pub headers: &'a str,
}

/// A header of a response.
pub type Said = (&'static str, String);

impl<'a> Question<'a> {
    /// What a preflight asks. (Fetch standard, 4.8)
    pub fn of_preflight(headers: Headers<'a>) -> Result<Self, Error> {
        let bad = |message: String| Error::with_message(ErrorCode::BadRequest, message);
        let origin = headers.filled("origin").ok_or_else(|| {
            bad("Insufficient information. Origin request header needed.".to_owned())
        })?;
        let method = headers.filled("access-control-request-method");
        let method = method.filter(|method| METHODS.contains(method)).ok_or_else(|| {
            bad(format!("Invalid Access-Control-Request-Method: {}", method.unwrap_or("null")))
        })?;
        let asked = headers.get("access-control-request-headers").unwrap_or_default();
        Ok(Self { origin, method, headers: asked })
    }
}

impl Cors {
    /// Reads the document.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let mut elements = Elements::open(body, "CORSConfiguration")?;
        let mut rules = Vec::new();
        while let Some(name) = elements.child()? {
            if name != "CORSRule" || rules.len() == RULES_MAX {
                return Err(malformed());
            }
            rules.push(Rule::read(&mut elements)?);
        }
        elements.finish()?;
        if rules.is_empty() { Err(malformed()) } else { Ok(Self(rules)) }
    }

    /// The document.
    pub fn document(&self) -> Bytes {
        let mut document = Document::with_root("CORSConfiguration");
        for rule in &self.0 {
            rule.write(&mut document);
        }
        document.close("CORSConfiguration");
        document.finish()
    }

    /// The headers that let a page have the answer; none where no rule fits.
    pub fn answer(&self, question: &Question<'_>) -> Option<Vec<Said>> {
        self.0.iter().find_map(|rule| rule.answer(question))
    }
}

impl Rule {
    fn read(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let mut rule = Self::default();
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "ID" => rule.id = Some(elements.text()?),
                "AllowedOrigin" => rule.origins.push(elements.word()?),
                "AllowedMethod" => rule.methods.push(elements.word()?),
                "AllowedHeader" => rule.headers.push(elements.word()?),
                "ExposeHeader" => rule.exposed.push(elements.word()?),
                "MaxAgeSeconds" => {
                    let seconds = elements.word()?.parse().map_err(|_no_number| malformed())?;
                    rule.max_age_seconds = Some(seconds);
                }
                _ => return Err(malformed()),
            }
        }
        rule.check()?;
        Ok(rule)
    }

    fn check(&self) -> Result<(), Error> {
        if self.origins.is_empty() || self.methods.is_empty() {
            return Err(malformed());
        }
        let invalid = |message| Err(Error::with_message(ErrorCode::InvalidRequest, message));
        if let Some(method) = self.methods.iter().find(|method| !METHODS.contains(&method.as_str()))
        {
            return invalid(format!(
                "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            ));
        }
        for (name, patterns) in [("AllowedOrigin", &self.origins), ("AllowedHeader", &self.headers)]
        {
            if let Some(pattern) = patterns.iter().find(|text| text.matches('*').count() > 1) {
                return invalid(format!(
                    "{name} \"{pattern}\" can not have more than one wildcard."
                ));
            }
        }
        if let Some(exposed) = self.exposed.iter().find(|name| name.contains('*')) {
            return invalid(format!(
                "ExposeHeader \"{exposed}\" contains wildcard. We currently do not support wildcard for ExposeHeader."
            ));
        }
        Ok(())
    }

    fn write(&self, document: &mut Document) {
        document.open("CORSRule");
        document.text_if("ID", self.id.as_deref());
        for (name, values) in [
            ("AllowedOrigin", &self.origins),
            ("AllowedMethod", &self.methods),
            ("AllowedHeader", &self.headers),
            ("ExposeHeader", &self.exposed),
        ] {
            for value in values {
                document.text(name, value);
            }
        }
        if let Some(seconds) = self.max_age_seconds {
            document.number("MaxAgeSeconds", u64::from(seconds));
        }
        document.close("CORSRule");
    }

    fn answer(&self, question: &Question<'_>) -> Option<Vec<Said>> {
        let origin = self.origins.iter().find(|pattern| fits(pattern, question.origin))?;
        if !self.methods.iter().any(|method| method == question.method) {
            return None;
        }
        let asked = question.headers.split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut allowed = Vec::new();
        for name in asked {
            let name = name.to_ascii_lowercase();
            let fits = |pattern: &String| fits(&pattern.to_ascii_lowercase(), &name);
            if !self.headers.iter().any(fits) {
                return None;
            }
            allowed.push(name);
        }
        let mut said = Vec::new();
        // To any origin at all the answer is the same, and it is sent without credentials.
        let is_any = origin == "*";
        let shown = if is_any { "*" } else { question.origin };
        said.push(("Access-Control-Allow-Origin", shown.to_owned()));
        said.push(("Access-Control-Allow-Methods", self.methods.join(", ")));
        if !allowed.is_empty() {
            said.push(("Access-Control-Allow-Headers", allowed.join(", ")));
        }
        if !self.exposed.is_empty() {
            said.push(("Access-Control-Expose-Headers", self.exposed.join(", ")));
        }
        if let Some(seconds) = self.max_age_seconds {
            said.push(("Access-Control-Max-Age", seconds.to_string()));
        }
        if !is_any {
            said.push(("Access-Control-Allow-Credentials", "true".to_owned()));
        }
        let varies = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";
        said.push(("Vary", varies.to_owned()));
        Some(said)
    }
}

/// Whether a text is what a pattern with up to one `*` stands for.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => {
            text.len() >= head.len() + tail.len() && text.starts_with(head) && text.ends_with(tail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(inside: &str) -> Result<Cors, Error> {
        let body = format!("<CORSConfiguration><CORSRule>{inside}</CORSRule></CORSConfiguration>");
        Cors::read(body.as_bytes())
    }

    fn element(name: &str, value: &str) -> String {
        format!("<{name}>{value}</{name}>")
    }

    fn simple(origin: &str, method: &str) -> String {
        element("AllowedOrigin", origin) + &element("AllowedMethod", method)
    }

    #[test]
    fn origins_are_matched_with_one_wildcard() {
        for (pattern, origin, fits) in [
            ("*suffix", "foo.suffix", true),
            ("*suffix", "foo.suffix.get", false),
            ("start*end", "startend", true),
            ("start*end", "start1end", true),
            ("start*end", "0start12end", false),
            ("ab*ba", "aba", false),
            ("prefix*", "prefix.suffix", true),
            ("*.put", "foo.put", true),
            ("http://a", "http://a", true),
            ("http://a", "http://A", false),
        ] {
            let cors = rule(&simple(pattern, "GET")).unwrap();
            let question = Question { origin, method: "GET", headers: "" };
            let said = cors.answer(&question);
            assert_eq!(said.is_some(), fits, "{pattern} {origin}");
            if let Some(said) = said {
                assert_eq!(said[0], ("Access-Control-Allow-Origin", origin.to_owned()));
            }
        }
    }

    #[test]
    fn any_origin_is_answered_without_credentials() {
        let cors = rule(&simple("*", "PUT")).unwrap();
        let question = Question { origin: "http://a", method: "PUT", headers: "" };
        let said = cors.answer(&question).unwrap();
        assert_eq!(said[0].1, "*");
        assert!(said.iter().all(|(name, _)| *name != "Access-Control-Allow-Credentials"));
        assert_eq!(cors.answer(&Question { method: "GET", ..question }), None);
    }

    #[test]
    fn headers_of_a_preflight_must_all_be_allowed() {
        let inside = simple("*", "PUT") + &element("AllowedHeader", "X-Amz-*");
        let cors = rule(&inside).unwrap();
        let question = |headers| Question { origin: "o", method: "PUT", headers };
        let said = cors.answer(&question("x-amz-date, X-AMZ-Meta-a")).unwrap();
        assert_eq!(
            said[2],
            ("Access-Control-Allow-Headers", "x-amz-date, x-amz-meta-a".to_owned())
        );
        assert_eq!(cors.answer(&question("x-amz-date, content-type")), None);
    }

    #[test]
    fn what_no_rule_is_is_refused() {
        for (inside, code) in [
            (String::new(), ErrorCode::MalformedXML),
            (element("AllowedOrigin", "*"), ErrorCode::MalformedXML),
            (simple("*", "PATCH"), ErrorCode::InvalidRequest),
            (simple("*.*", "GET"), ErrorCode::InvalidRequest),
            (simple("*", "GET") + &element("AllowedHeader", "**"), ErrorCode::InvalidRequest),
            (simple("*", "GET") + &element("ExposeHeader", "x-*"), ErrorCode::InvalidRequest),
            (simple("*", "GET") + &element("MaxAgeSeconds", "-1"), ErrorCode::MalformedXML),
        ] {
            assert_eq!(rule(&inside).map_err(|error| error.code()), Err(code), "{inside}");
        }
        Cors::read(b"<CORSConfiguration/>").unwrap_err();
    }

    #[test]
    fn a_preflight_must_say_what_it_is_about() {
        let read = |fields: &[(&str, &str)]| {
            Question::of_preflight(Headers::new(fields)).map(|_| ()).map_err(|error| error.code())
        };
        assert_eq!(read(&[]), Err(ErrorCode::BadRequest));
        assert_eq!(read(&[("origin", "o")]), Err(ErrorCode::BadRequest));
        let method = "access-control-request-method";
        assert_eq!(read(&[("origin", "o"), (method, "PATCH")]), Err(ErrorCode::BadRequest));
        assert_eq!(read(&[("origin", "o"), (method, "PUT")]), Ok(()));
    }
}

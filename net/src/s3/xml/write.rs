//! A writer of XML documents: elements in order, text escaped as AWS escapes it.
//!
//! XML 1.0 can't carry most control characters, but object keys may hold them. AWS writes them as
//! numeric references all the same, and so does this; clients that want them safe ask for
//! `encoding-type=url`.

use std::fmt::Write;

use bytes::Bytes;

use crate::http::date;
use crate::s3::xml::{ChecksumText, NAMESPACE, Owner};

/// A document being written.
#[derive(Debug)]
pub struct Document {
    text: String,
}

impl Document {
    /// A document with its XML declaration.
    pub fn new() -> Self {
        Self { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned() }
    }

    /// A page of HTML, as far as its elements are written as those of XML.
    pub fn html() -> Self {
        Self { text: String::new() }
    }

    /// A document whose root element is in S3's namespace.
    pub fn with_root(name: &str) -> Self {
        let mut document = Self::new();
        document.open_with(name, &[("xmlns", NAMESPACE)]);
        document
    }

    /// The bytes of a document whose root element has one child with text.
    pub fn of_one(root: &str, name: &str, value: &str) -> Bytes {
        let mut document = Self::with_root(root);
        document.text(name, value);
        document.close(root);
        document.finish()
    }

    /// Starts an element.
    pub fn open(&mut self, name: &str) {
        self.open_with(name, &[]);
    }

    /// Starts an element with attributes.
    pub fn open_with(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.text.push('<');
        self.text.push_str(name);
        for (attribute, value) in attributes {
            self.text.push(' ');
            self.text.push_str(attribute);
            self.text.push_str("=\"");
            self.escaped(value);
            self.text.push('"');
        }
        self.text.push('>');
    }

    /// Ends an element.
    pub fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    /// An element that holds text; `<name/>` when the text is empty.
    pub fn text(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.text.push('<');
            self.text.push_str(name);
            self.text.push_str("/>");
            return;
        }
        self.open(name);
        self.escaped(value);
        self.close(name);
    }

    /// Text inside the element that is open.
    pub fn content(&mut self, value: &str) {
        self.escaped(value);
    }

    /// An element that holds text, where there is one.
    pub fn text_if(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// An element that holds a number.
    pub fn number(&mut self, name: &str, value: u64) {
        self.open(name);
        write!(self.text, "{value}").expect("a string takes all that is written to it");
        self.close(name);
    }

    /// An element that holds `true` or `false`.
    pub fn flag(&mut self, name: &str, value: bool) {
        self.text(name, if value { "true" } else { "false" });
    }

    /// An element that holds a time, given in milliseconds since 1970.
    pub fn time(&mut self, name: &str, unix_ms: i64) {
        self.open(name);
        date::push_iso(&mut self.text, unix_ms);
        self.close(name);
    }

    /// An entity tag, given without its quotes and written with them.
    pub fn etag(&mut self, name: &str, etag: &str) {
        self.open(name);
        self.text.push_str("&quot;");
        self.escaped(etag);
        self.text.push_str("&quot;");
        self.close(name);
    }

    /// An `Owner` or `Initiator`.
    pub fn owner(&mut self, name: &str, owner: &Owner<'_>) {
        self.open(name);
        self.text("ID", owner.id);
        self.text("DisplayName", owner.name);
        self.close(name);
    }

    /// One element a checksum, for instance `ChecksumCRC32`.
    pub fn checksums(&mut self, checksums: &[ChecksumText]) {
        for checksum in checksums {
            self.text(checksum.algorithm.element(), &checksum.value);
        }
    }

    /// The document's bytes.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.text)
    }

    fn escaped(&mut self, value: &str) {
        let mut rest = value;
        while let Some(at) = rest.find(needs_escape) {
            let (plain, special) = rest.split_at(at);
            self.text.push_str(plain);
            let mut characters = special.chars();
            match characters.next() {
                Some('&') => self.text.push_str("&amp;"),
                Some('<') => self.text.push_str("&lt;"),
                Some('>') => self.text.push_str("&gt;"),
                Some('"') => self.text.push_str("&quot;"),
                Some(other) => {
                    write!(self.text, "&#x{:x};", u32::from(other))
                        .expect("a string takes all that is written to it");
                }
                None => {}
            }
            rest = characters.as_str();
        }
        self.text.push_str(rest);
    }
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

/// Markup, what XML 1.0 has no place for, and white space that a parser would change.
fn needs_escape(character: char) -> bool {
    matches!(
        character,
        '&' | '<' | '>' | '"' | '\0'
            ..='\x1f' | '\x7f' | '\u{85}' | '\u{2028}' | '\u{fffe}' | '\u{ffff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        for (value, expected) in [
            ("plain/key é 😀", "<K>plain/key é 😀</K>"),
            ("", "<K/>"),
            ("a<b>&\"c\"", "<K>a&lt;b&gt;&amp;&quot;c&quot;</K>"),
            ("\0\u{1}\t\r\n", "<K>&#x0;&#x1;&#x9;&#xd;&#xa;</K>"),
            (" lead", "<K> lead</K>"),
            ("\u{ffff}x", "<K>&#xffff;x</K>"),
        ] {
            let mut document = Document { text: String::new() };
            document.text("K", value);
            assert_eq!(document.text, expected);
        }
    }

    #[test]
    fn elements_have_their_forms() {
        let mut document = Document::with_root("R");
        document.number("N", u64::MAX);
        document.flag("F", false);
        document.etag("ETag", "abc-2");
        document.time("T", 1_255_369_830_007);
        document.text_if("None", None);
        document.owner("Owner", &Owner { id: "1", name: "root" });
        document.close("R");
        assert_eq!(
            document.finish(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <R xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><N>18446744073709551615</N>\
             <F>false</F><ETag>&quot;abc-2&quot;</ETag><T>2009-10-12T17:50:30.007Z</T>\
             <Owner><ID>1</ID><DisplayName>root</DisplayName></Owner></R>"
        );
    }
}

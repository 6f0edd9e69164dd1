//! A reader of XML documents from outside: one pass, nothing kept but what is asked for.
//!
//! Document types and entities are refused, so nothing can expand; size and depth are bounded;
//! prefixes and namespaces don't matter; elements that nobody asks for are skipped.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use crate::s3::error::{Error, ErrorCode};
use crate::s3::limits::{XML_BYTES_MAX, XML_DEPTH_MAX};

/// A document being read: after [`Elements::open`] inside the root element.
pub(in crate::s3) struct Elements<'a> {
    reader: Reader<&'a [u8]>,
    depth: usize,
}

impl<'a> Elements<'a> {
    /// Starts reading a document whose root element has this name.
    pub(in crate::s3) fn open(body: &'a [u8], root: &str) -> Result<Self, Error> {
        if body.len() > XML_BYTES_MAX {
            return Err(Error::new(ErrorCode::MaxMessageLengthExceeded)
                .field("MaxMessageLengthBytes", XML_BYTES_MAX.to_string()));
        }
        let text = std::str::from_utf8(body).map_err(|_not_utf8| malformed())?;
        let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        reader.config_mut().expand_empty_elements = true;
        let mut elements = Self { reader, depth: 0 };
        match elements.child()? {
            Some(name) if name == root => Ok(elements),
            Some(_) | None => Err(malformed()),
        }
    }

    /// Reads a document whose root element has one child with text: that text.
    pub(in crate::s3) fn only_word(
        body: &'a [u8],
        root: &str,
        child: &str,
    ) -> Result<String, Error> {
        let mut elements = Self::open(body, root)?;
        let mut word = None;
        while let Some(name) = elements.child()? {
            if name != child || word.is_some() {
                return Err(malformed());
            }
            word = Some(elements.word()?);
        }
        elements.finish()?;
        word.ok_or_else(malformed)
    }

    /// Goes into the next child of the current element and says its name; at the last child's
    /// end leaves the current element and says none. Each child must be left before the next:
    /// by [`Elements::text`], [`Elements::skip`] or by reading its children to their end.
    pub(in crate::s3) fn child(&mut self) -> Result<Option<String>, Error> {
        loop {
            match self.next()? {
                Event::Start(start) => {
                    let name = start.local_name().into_inner().to_owned();
                    self.depth += 1;
                    if self.depth > XML_DEPTH_MAX {
                        return Err(malformed());
                    }
                    return Ok(Some(name));
                }
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(None);
                }
                Event::Text(text) if is_blank(&text.xml10_content()) => {}
                Event::Comment(_) | Event::PI(_) => {}
                Event::Decl(_) if self.depth == 0 => {}
                Event::Text(_)
                | Event::CData(_)
                | Event::GeneralRef(_)
                | Event::Decl(_)
                | Event::DocType(_)
                | Event::Empty(_)
                | Event::Eof => return Err(malformed()),
            }
        }
    }

    /// The text of the current element, which has no children; leaves the element.
    pub(in crate::s3) fn text(&mut self) -> Result<String, Error> {
        let mut content = String::new();
        loop {
            match self.next()? {
                Event::Text(text) => content.push_str(&text.xml10_content()),
                Event::CData(data) => content.push_str(&data.xml10_content()),
                Event::GeneralRef(reference) => content.push(character(&reference)?),
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(content);
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::Start(_)
                | Event::Empty(_)
                | Event::Decl(_)
                | Event::DocType(_)
                | Event::Eof => return Err(malformed()),
            }
        }
    }

    /// The text without the white space around it.
    pub(in crate::s3) fn word(&mut self) -> Result<String, Error> {
        Ok(self.text()?.trim().to_owned())
    }

    /// Leaves the current element, whatever is in it.
    pub(in crate::s3) fn skip(&mut self) -> Result<(), Error> {
        let outside = self.depth - 1;
        while self.depth > outside {
            match self.next()? {
                Event::Start(_) => {
                    self.depth += 1;
                    if self.depth > XML_DEPTH_MAX {
                        return Err(malformed());
                    }
                }
                Event::End(_) => self.depth -= 1,
                Event::GeneralRef(reference) => {
                    character(&reference)?;
                }
                Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::Empty(_) | Event::Decl(_) | Event::DocType(_) | Event::Eof => {
                    return Err(malformed());
                }
            }
        }
        Ok(())
    }

    /// Ends the document: behind the root element there is nothing more.
    pub(in crate::s3) fn finish(mut self) -> Result<(), Error> {
        loop {
            match self.next()? {
                Event::Eof => return Ok(()),
                Event::Text(text) if is_blank(&text.xml10_content()) => {}
                Event::Comment(_) | Event::PI(_) => {}
                Event::Start(_)
                | Event::End(_)
                | Event::Empty(_)
                | Event::Text(_)
                | Event::CData(_)
                | Event::Decl(_)
                | Event::DocType(_)
                | Event::GeneralRef(_) => return Err(malformed()),
            }
        }
    }

    fn next(&mut self) -> Result<Event<'a>, Error> {
        self.reader.read_event().map_err(|_not_xml| malformed())
    }
}

/// `MalformedXML`.
pub(in crate::s3) fn malformed() -> Error {
    Error::new(ErrorCode::MalformedXML)
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|character| matches!(character, ' ' | '\t' | '\r' | '\n'))
}

/// A character reference or one of the five entities of XML itself.
fn character(reference: &BytesRef<'_>) -> Result<char, Error> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_bad| malformed())? {
        return Ok(character);
    }
    match reference.xml10_content().as_ref() {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(malformed()),
    }
}

/// Reads a flag.
pub(in crate::s3) fn flag(text: &str) -> Result<bool, Error> {
    match text {
        "true" | "True" | "TRUE" | "1" => Ok(true),
        "false" | "False" | "FALSE" | "0" | "" => Ok(false),
        _ => Err(malformed()),
    }
}

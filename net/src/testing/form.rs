//! What a form comes to when it arrives in pieces, and the target of `fuzz/` that compares two ways of cutting it.

use bytes::Bytes;

use crate::http::{FileDecoded, FormDecoded, FormDecoder, FormError, FormField};
use crate::s3::address::Address;
use crate::s3::parameters::{PostObject, Success, post};
use crate::s3::{Form, Headers, PostPolicy};
use crate::sigv4;

/// What came of a form.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Names, in lower case, and values of the fields before the file.
    pub fields: Vec<(String, String)>,
    /// The file, where there is one.
    pub file: Option<File>,
    /// Complete, incomplete, or refused.
    pub end: Result<bool, FormError>,
}

/// The file of a form.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct File {
    /// What it is called.
    pub filename: Option<String>,
    /// Its bytes, as far as they came.
    pub data: Vec<u8>,
}

/// Decodes a form that arrives in pieces of these sizes, in bytes; when they end, the rest comes at once.
///
/// # Panics
/// Where a decoder breaks its word.
pub fn decode_in_pieces(
    content_type: &str,
    body: &[u8],
    sizes: &mut dyn Iterator<Item = usize>,
) -> Outcome {
    let mut outcome = Outcome { fields: Vec::new(), file: None, end: Ok(false) };
    let mut decoder = match FormDecoder::new(Some(content_type)) {
        Ok(decoder) => decoder,
        Err(error) => return Outcome { end: Err(error), ..outcome },
    };
    let (mut input, mut rest) = (Bytes::new(), body);
    let mut more = |input: &mut Bytes| {
        assert!(input.is_empty(), "more is wanted when all is taken");
        let size = sizes.next().unwrap_or(usize::MAX).max(1).min(rest.len());
        *input = Bytes::copy_from_slice(&rest[..size]);
        rest = &rest[size..];
        size > 0
    };
    let mut file = loop {
        match decoder.decode(&mut input) {
            Ok(FormDecoded::Field(field)) => outcome.fields.push((field.name, field.value)),
            Ok(FormDecoded::File(file)) => break file,
            Ok(FormDecoded::NeedMore) if more(&mut input) => {}
            Ok(FormDecoded::NeedMore) => return outcome,
            Ok(FormDecoded::End) => return Outcome { end: Ok(true), ..outcome },
            Err(error) => return Outcome { end: Err(error), ..outcome },
        }
    };
    let mut data = Vec::new();
    outcome.end = loop {
        match file.decoder.decode(&mut input) {
            Ok(FileDecoded::Data(piece)) => {
                assert!(!piece.is_empty(), "data is never empty");
                data.extend_from_slice(&piece);
            }
            Ok(FileDecoded::NeedMore) if more(&mut input) => {}
            Ok(FileDecoded::NeedMore) => break Ok(false),
            Ok(FileDecoded::End) => break Ok(true),
            Err(error) => break Err(error),
        }
    };
    outcome.file = Some(File { filename: file.filename, data });
    outcome
}

/// Decodes a form with the boundary `xYz` whole and in pieces: for `fuzz/`. The first byte of the input chooses the
/// sizes of the pieces.
///
/// # Panics
/// If the two differ: then the target has found a bug.
pub fn run(input: &[u8]) {
    const TYPE: &str = "multipart/form-data; boundary=xYz";
    let Some((&first, body)) = input.split_first() else { return };
    let whole = decode_in_pieces(TYPE, body, &mut std::iter::empty());
    let mut size = usize::from(first);
    let mut sizes = std::iter::from_fn(|| {
        size = (size * 5 + 3) % 64;
        Some(size + 1)
    });
    assert_eq!(decode_in_pieces(TYPE, body, &mut sizes), whole, "in pieces and whole");
    read(whole);
}

/// Everybody who reads the fields of a form takes any.
fn read(outcome: Outcome) {
    let mut form = Form::default();
    for (name, value) in outcome.fields {
        form.add(FormField { name, value });
    }
    let filename = outcome.file.and_then(|file| file.filename);
    if form.expand(filename.as_deref()).is_err() {
        return;
    }
    let _signature = sigv4::parse_form(|name| form.get(name));
    if let Some(Ok(policy)) = form.get("policy").map(PostPolicy::parse) {
        let _length = policy.check(&form, "bucket", 0);
    }
    let address = Address::Bucket { bucket: "bucket".to_owned() };
    if let Ok(posted) = PostObject::parse(&address, Headers::new(&form.headers()))
        && let Success::Redirect(url) = &posted.success
    {
        let target = post::redirect_target(url, "bucket", &posted.put.key, "etag");
        assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{target}");
    }
}

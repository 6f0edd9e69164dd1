//! Forms as clients send them, forms that are refused, and that no split and no mutation changes what a form means.

use super::{FormDecoder, FormError};
use crate::http::limits::FORM_BYTES_MAX;
use crate::testing::form::{File, Outcome, decode_in_pieces};

const TYPE: &str = "multipart/form-data; boundary=xYz";

/// Forms that are complete.
pub(in crate::http) const FORMS: [&str; 6] = [
    "--xYz\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\na/${filename}\r\n--xYz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\d\\f.txt\"\r\nContent-Type: text/plain\r\n\r\nbytes\r\n--xY\r\n\r--xYz\r\n-\r\n--xYz--\r\n",
    "\r\n--xYz\r\ncontent-disposition: Form-Data; filename=policy; name=policy\r\n\r\ne30=\r\n--xYz \t\r\nContent-Transfer-Encoding: binary\r\nContent-Disposition: form-data; name=file\r\n\r\n\r\n--xYz\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nignored\r\n--xYz--",
    "--xYz\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n\r\n--xYz--",
    "--xYz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--xYz--\r\n",
    "--xYz--",
    "--xYz\r\nContent-Disposition: form-data; name=\"policy\"\r\n\r\neyJleHBpcmF0aW9uIjogIjIwMzAtMDEtMDFUMDA6MDA6MDBaIiwgImNvbmRpdGlvbnMiOiBbeyJidWNrZXQiOiAiYnVja2V0In0sIFsic3RhcnRzLXdpdGgiLCAiJGtleSIsICIiXSwgWyJjb250ZW50LWxlbmd0aC1yYW5nZSIsIDAsIDldXX0=\r\n--xYz\r\nContent-Disposition: form-data; name=key\r\n\r\nk\r\n--xYz\r\nContent-Disposition: form-data; name=redirect\r\n\r\nhttp://h/?a#b\r\n--xYz\r\nContent-Disposition: form-data; name=file; filename=\"a\"\r\n\r\nx\r\n--xYz--",
];

fn decode(body: &[u8]) -> Outcome {
    decode_in_pieces(TYPE, body, &mut std::iter::empty())
}

/// A form with one field of this head and value, and an empty file.
fn with_field(head: &str, value: &str) -> Outcome {
    let file = "--xYz\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n\r\n--xYz--";
    decode(format!("--xYz\r\n{head}\r\n\r\n{value}\r\n{file}").as_bytes())
}

#[test]
fn forms_of_clients_are_read() {
    let outcome = decode(FORMS[0].as_bytes());
    assert_eq!(outcome.fields, [("key".to_owned(), "a/${filename}".to_owned())]);
    let File { filename, data } = outcome.file.unwrap();
    assert_eq!(filename.as_deref(), Some("C:\\d\\f.txt"));
    assert_eq!(data, b"bytes\r\n--xY\r\n\r--xYz\r\n-");
    assert_eq!(outcome.end, Ok(true));
    let outcome = decode(FORMS[1].as_bytes());
    assert_eq!(outcome.fields, [("policy".to_owned(), "e30=".to_owned())]);
    assert_eq!((outcome.file, outcome.end), (Some(File::default()), Ok(true)));
    assert_eq!(decode(FORMS[2].as_bytes()).file, Some(File::default()));
    let outcome = decode(FORMS[3].as_bytes());
    assert_eq!(outcome.fields, [("a".to_owned(), String::new())]);
    assert_eq!((outcome.file, outcome.end), (None, Ok(true)));
    assert_eq!(decode(FORMS[4].as_bytes()).end, Ok(true));
}

#[test]
fn a_file_may_hold_anything_but_the_delimiter() {
    let head = "--xYz\r\nContent-Disposition: form-data; name=file\r\n\r\n";
    for data in
        ["\r", "\n", "\r\n", "\r\n-", "\r\n--", "\r\n--xY", "--xYz", "\n--xYz", "\r\r\n--x\r\n--xy"]
    {
        let outcome = decode(format!("{head}{data}\r\n--xYz--").as_bytes());
        assert_eq!((outcome.file.unwrap().data, outcome.end), (data.as_bytes().to_vec(), Ok(true)));
    }
    for behind in ["x", "-x", " x", "\rx", " -"] {
        let outcome = decode(format!("{head}data\r\n--xYz{behind}").as_bytes());
        assert!(matches!(outcome.end, Err(FormError::Malformed(_))), "{behind:?}");
    }
}

#[test]
fn what_is_no_form_is_told_from_a_broken_one() {
    for (content_type, expected) in [
        (None, Some(FormError::NotForm)),
        (Some("text/html; boundary=x"), Some(FormError::NotForm)),
        (Some("multipart/mixed; boundary=x"), Some(FormError::NotForm)),
        (Some("Multipart/Form-Data ; charset=utf-8; Boundary=\"a b'()+_,-./:=?\""), None),
    ] {
        assert_eq!(FormDecoder::new(content_type).err(), expected, "{content_type:?}");
    }
    let (longest, longer) = ("x".repeat(70), "x".repeat(71));
    for (boundary, is_valid) in [
        ("", false),
        ("\"a \"", false),
        ("a@", false),
        ("a;boundary=b", false),
        (&longest, true),
        (&longer, false),
    ] {
        let decoder = FormDecoder::new(Some(&format!("multipart/form-data; boundary={boundary}")));
        assert_eq!(decoder.is_ok(), is_valid, "{boundary}");
    }
    let without = FormDecoder::new(Some("multipart/form-data"));
    assert!(matches!(without, Err(FormError::Malformed(_))));
}

#[test]
fn fields_that_can_be_read_in_two_ways_are_refused() {
    let plain = "Content-Disposition: form-data; name=a";
    assert_eq!(with_field(plain, "1").end, Ok(true));
    assert_eq!(with_field("X: y\r\nContent-Disposition: form-data; name=a", "é").fields.len(), 1);
    for head in [
        "",
        "X: y",
        "Content-Disposition: form-data",
        "Content-Disposition: form-data; name=\"\"",
        "Content-Disposition: attachment; name=a",
        "Content-Disposition: file; name=\"file\"",
        "Content-Disposition: form-data; name=a; name=b",
        "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
        "Content-Disposition: form-data; name=a\n",
        "Content-Disposition : form-data; name=a",
        "Content-Disposition: form-data;\r\n name=a",
        "Content-Disposition: form-data; name=\"a\0\"",
        "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64",
    ] {
        assert!(matches!(with_field(head, "1").end, Err(FormError::Malformed(_))), "{head:?}");
    }
    let latin = [plain.as_bytes(), b"\r\n\r\n\xe9\r\n--xYz--"].concat();
    let outcome = decode(&[b"--xYz\r\n", latin.as_slice()].concat());
    assert!(matches!(outcome.end, Err(FormError::Malformed(_))));
    for start in ["x", "--xYy", "-", "\r\n\r\n--xYz", "preamble\r\n--xYz"] {
        let body = format!("{start}\r\n{plain}\r\n\r\n1\r\n--xYz--");
        assert!(matches!(decode(body.as_bytes()).end, Err(FormError::Malformed(_))), "{start:?}");
    }
}

#[test]
fn what_precedes_the_file_is_bounded_and_the_file_is_not() {
    let form = |value_bytes: usize, file_bytes: usize| {
        let mut form = b"--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\n".to_vec();
        form.extend(std::iter::repeat_n(b'v', value_bytes));
        form.extend(b"\r\n--xYz\r\nContent-Disposition: form-data; name=file\r\n\r\n");
        let before = form.len();
        form.extend(std::iter::repeat_n(b'f', file_bytes));
        form.extend(b"\r\n--xYz--");
        (before, form)
    };
    let overhead = form(0, 0).0;
    for size in [1, 7, 4096, usize::MAX] {
        let in_pieces = |form: &[u8]| decode_in_pieces(TYPE, form, &mut std::iter::repeat(size));
        let (before, fits) = form(FORM_BYTES_MAX - overhead, 100_000);
        assert_eq!(before, FORM_BYTES_MAX);
        let outcome = in_pieces(&fits);
        assert_eq!((outcome.file.unwrap().data.len(), outcome.end), (100_000, Ok(true)));
        let (_, too_large) = form(FORM_BYTES_MAX - overhead + 1, 0);
        assert_eq!(in_pieces(&too_large).end, Err(FormError::TooLarge));
    }
}

#[test]
fn no_split_changes_a_form() {
    for form in FORMS {
        let whole = decode(form.as_bytes());
        assert!(matches!(whole.end, Ok(true)), "{form}");
        for first in 1..form.len() {
            for second in [1, 2, 3, usize::MAX] {
                let mut sizes = [first, second].into_iter();
                let split = decode_in_pieces(TYPE, form.as_bytes(), &mut sizes);
                assert_eq!(split, whole, "{form:?} split after {first} and {second}");
            }
        }
        for size in 1..9 {
            let pieces = decode_in_pieces(TYPE, form.as_bytes(), &mut std::iter::repeat(size));
            assert_eq!(pieces, whole, "{form:?} in pieces of {size}");
        }
    }
}

#[test]
fn a_form_cut_short_is_never_complete() {
    for form in FORMS {
        // A form with a file is complete with the delimiter behind it.
        let body = form.rsplit_once("--xYz--").unwrap().0;
        let body =
            body.split("\r\n--xYz\r\nContent-Disposition: form-data; name=\"submit\"").next();
        let body = body.unwrap();
        for length in 0..body.len() {
            let outcome = decode(&body.as_bytes()[..length]);
            assert_eq!(outcome.end, Ok(false), "{form:?} cut after {length}");
        }
    }
}

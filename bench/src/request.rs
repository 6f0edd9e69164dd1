//! Writes the requests of jobs, into buffers that are used again.

use std::io::Write as _;

use anode_net::http::Method;

use crate::arguments::Arguments;
use crate::content::{Content, Span};
use crate::keys::{KeyNames, push_encoded};
use crate::listing::Listing;
use crate::operation::{Job, Operation, Step};
use crate::response::Sink;
use crate::signature::Signature;

/// A request to be sent, and what is to become of the response's body.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The head, and a body that isn't an object's bytes.
    pub(crate) head: Vec<u8>,
    /// An object's bytes.
    pub(crate) body: Span,
    pub(crate) sink: Sink,
}

impl Request {
    pub(crate) fn new() -> Self {
        let head = Vec::with_capacity(1024);
        Self { method: Method::Get, head, body: Span::default(), sink: Sink::Drop }
    }
}

/// Knows bucket, keys and credentials.
#[derive(Debug)]
pub(crate) struct Author {
    host: String,
    bucket_path: String,
    names: KeyNames,
    delimiter: Option<String>,
    page_size: Option<u16>,
    fixed_path: Option<String>,
    part_bytes: u64,
    verify: bool,
    signature: Option<Signature>,
    path: Vec<u8>,
    query: Vec<u8>,
    text: Vec<u8>,
}

impl Author {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let host = arguments.address.to_string();
        let credentials =
            arguments.access_key_id.as_ref().zip(arguments.secret_access_key.as_ref());
        let signature = credentials.map(|(access_key, secret)| {
            Signature::new(access_key, secret, &arguments.region, &host)
        });
        let bucket_path = format!("/{}", arguments.bucket);
        Self {
            names: KeyNames::new(arguments),
            delimiter: arguments.delimiter.clone(),
            page_size: arguments.page_size,
            bucket_path,
            host,
            fixed_path: arguments.path.clone(),
            part_bytes: arguments.part_size.as_u64(),
            verify: arguments.verify,
            signature,
            path: Vec::new(),
            query: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Writes the request of `job` over `request`.
    pub(crate) fn write(&mut self, job: &Job, content: &Content, now: i64, request: &mut Request) {
        request.method = job.method();
        request.sink = self.sink(job, content);
        request.body = self.body(job, content);
        self.set_target(job);
        self.set_text(job);
        let head = &mut request.head;
        head.clear();
        head.extend_from_slice(method_name(request.method).as_bytes());
        head.push(b' ');
        // The request line may have a query of its own in --path; it isn't signed there, which nobody asks for.
        head.extend_from_slice(&self.path);
        if !self.query.is_empty() {
            head.push(b'?');
            head.extend_from_slice(&self.query);
        }
        head.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        head.extend_from_slice(self.host.as_bytes());
        head.extend_from_slice(b"\r\n");
        if matches!(request.method, Method::Put | Method::Post) {
            let length = request.body.length + self.text.len() as u64;
            write!(head, "content-length: {length}\r\n").expect("a vector takes all bytes");
        }
        if let Some(signature) = &mut self.signature {
            signature.write(method_name(request.method), (&self.path, &self.query), now, head);
        }
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(&self.text);
    }

    fn sink(&self, job: &Job, content: &Content) -> Sink {
        match (&job.step, job.operation) {
            (Step::Create | Step::Complete(_) | Step::Page(_), _) => Sink::Keep,
            (Step::Only, Operation::Get) if self.verify => {
                Sink::Compare(content.span(job.number, 0, job.size))
            }
            (Step::Only, Operation::Head) if self.verify => Sink::Length(job.size),
            (Step::Only, Operation::List) if self.verify => Sink::Listing,
            _ => Sink::Drop,
        }
    }

    fn body(&self, job: &Job, content: &Content) -> Span {
        match (&job.step, job.operation) {
            (Step::Only, Operation::Put | Operation::Insert) => {
                content.span(job.number, 0, job.size)
            }
            (Step::Part(upload), _) => {
                let offset = upload.etags.len() as u64 * self.part_bytes;
                let length = self.part_bytes.min(job.size - offset);
                content.span(job.number, offset, length)
            }
            _ => Span::default(),
        }
    }

    fn set_target(&mut self, job: &Job) {
        let (path, query) = (&mut self.path, &mut self.query);
        path.clear();
        query.clear();
        let all_written = "a vector takes all bytes";
        match (&job.step, job.operation) {
            (Step::Bucket | Step::Page(_), _) | (Step::Only, Operation::List) => {
                path.extend_from_slice(self.bucket_path.as_bytes());
            }
            _ => {
                if let Some(fixed) = &self.fixed_path {
                    path.extend_from_slice(fixed.as_bytes());
                } else {
                    path.extend_from_slice(self.bucket_path.as_bytes());
                    path.push(b'/');
                    self.names.push_path(path, job.number);
                }
            }
        }
        // Canonical already, as the signature wants it: sorted, encoded, each with a `=`.
        match &job.step {
            Step::Only if job.operation == Operation::List => {
                self.set_listing(None);
                // A drawn key as the place to start spreads the pages over the bucket.
                self.query.extend_from_slice(b"&start-after=");
                self.names.push_query(&mut self.query, job.number);
            }
            Step::Page(listing) => self.set_listing(Some(listing)),
            Step::Create => query.extend_from_slice(b"uploads="),
            Step::Part(upload) => {
                write!(query, "partNumber={}&uploadId=", upload.etags.len() + 1)
                    .expect(all_written);
                push_encoded(query, &upload.id, b"");
            }
            Step::Complete(upload) => {
                query.extend_from_slice(b"uploadId=");
                push_encoded(query, &upload.id, b"");
            }
            Step::Bucket | Step::Only => {}
        }
    }

    /// The query of a listing but for `start-after`, which comes last: of a full one, or of one page.
    fn set_listing(&mut self, full: Option<&Listing>) {
        let query = &mut self.query;
        if let Some(token) = full.and_then(|listing| listing.token.as_deref()) {
            query.extend_from_slice(b"continuation-token=");
            push_encoded(query, token, b"");
            query.push(b'&');
        }
        if let Some(delimiter) = &self.delimiter {
            query.extend_from_slice(b"delimiter=");
            push_encoded(query, delimiter, b"");
            query.push(b'&');
        }
        query.extend_from_slice(b"list-type=2");
        if let Some(size) = self.page_size {
            write!(query, "&max-keys={size}").expect("a vector takes all bytes");
        }
        if full.is_some() || self.delimiter.is_some() {
            query.extend_from_slice(b"&prefix=");
            self.names.push_prefix_query(query);
        }
    }

    fn set_text(&mut self, job: &Job) {
        self.text.clear();
        let Step::Complete(upload) = &job.step else { return };
        self.text.extend_from_slice(b"<CompleteMultipartUpload>");
        for (index, etag) in upload.etags.iter().enumerate() {
            let part =
                format!("<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag></Part>", index + 1);
            self.text.extend_from_slice(part.as_bytes());
        }
        self.text.extend_from_slice(b"</CompleteMultipartUpload>");
    }
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Put => "PUT",
        Method::Post => "POST",
        Method::Delete => "DELETE",
        Method::Options | Method::Other => unreachable!("no job has this method"),
    }
}

#[cfg(test)]
mod tests {
    use anode_net::http::{Limits, parse_head};
    use anode_net::sigv4::{Authentication, Expected, RequestParts, parse, verify};
    use bytes::BytesMut;
    use clap::Parser as _;

    use super::{Author, Request};
    use crate::arguments::Arguments;
    use crate::content::Content;
    use crate::listing::Listing;
    use crate::operation::{Job, Operation, Step, Upload};

    const NOW: i64 = 1_700_000_000;

    fn written(line: &str, job: &Job) -> (Request, BytesMut) {
        let arguments = Arguments::parse_from(line.split(' '));
        let mut author = Author::new(&arguments);
        let mut request = Request::new();
        author.write(job, &Content::new(&arguments.prefix), NOW, &mut request);
        let bytes = BytesMut::from(&request.head[..]);
        (request, bytes)
    }

    #[test]
    fn a_server_understands_and_verifies_every_request() {
        let line = "bench mixed --prefix dir/\u{e9}+&x --access-key-id AKID --secret-access-key secret \
                    --part-size 5";
        let upload = || Upload { id: "a/b+c=".to_owned(), etags: vec!["\"e\"".to_owned()] };
        let mut listing = Listing::default();
        listing.token = Some("a+".to_owned());
        let steps = [
            (Operation::Put, Step::Bucket, "PUT /bench"),
            (Operation::Put, Step::Only, "PUT /bench/dir/%C3%A9%2B%26x000000000007"),
            (Operation::Get, Step::Only, "GET /bench/dir/%C3%A9%2B%26x000000000007"),
            (Operation::List, Step::Only, "GET /bench?list-type=2&start-after=dir%2F%C3%A9%2B%26x"),
            (
                Operation::ListAll,
                Step::Page(listing),
                "GET /bench?continuation-token=a%2B&list-type=2&prefix=dir%2F%C3%A9%2B%26x ",
            ),
            (
                Operation::Multipart,
                Step::Create,
                "POST /bench/dir/%C3%A9%2B%26x000000000007?uploads=",
            ),
            (
                Operation::Multipart,
                Step::Part(upload()),
                "PUT /bench/dir/%C3%A9%2B%26x000000000007?",
            ),
            (
                Operation::Multipart,
                Step::Complete(upload()),
                "POST /bench/dir/%C3%A9%2B%26x00000000",
            ),
        ];
        for (operation, step, start) in steps {
            let job = Job { operation, number: 7, size: 8, step };
            let (request, mut bytes) = written(line, &job);
            assert!(request.head.starts_with(start.as_bytes()), "{request:?}");
            let head = parse_head(&mut bytes, &Limits::default()).unwrap().unwrap();
            assert_eq!(head.header("content-length").is_some(), start.starts_with('P'));
            let headers: Vec<_> = head.headers().collect();
            let query = head.query().unwrap_or_default();
            let parts = RequestParts {
                method: head.method_name(),
                path: head.path(),
                query,
                headers: &headers,
            };
            let Authentication::Signed(signed) = parse(&parts).unwrap() else {
                unreachable!("{start} is not signed")
            };
            let expected = Expected { now_seconds: NOW, region: Some("us-east-1"), service: "s3" };
            verify(&signed, &parts, "secret", &expected).unwrap();
        }
    }

    #[test]
    fn parts_are_cut_from_the_object() {
        let etags = vec!["\"a\"".to_owned()];
        let step = Step::Part(Upload { id: "u".to_owned(), etags });
        let job = Job { operation: Operation::Multipart, number: 7, size: 8, step };
        let (request, _) = written("bench multipart --part-size 5", &job);
        let content = Content::new("key-");
        assert_eq!(request.body, content.span(7, 5, 3));
        let head = String::from_utf8(request.head).unwrap();
        assert!(
            head.contains("?partNumber=2&uploadId=u ") && head.contains("content-length: 3\r\n")
        );
        assert!(!head.contains("authorization"), "no credentials, no signature");
    }
}

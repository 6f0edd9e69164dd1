//! S3: `PostObject`, the upload of a browser's form.
//!
//! The fields of the form come first and are read before anybody knows who sends them: they are few. The file that
//! follows is stored as the body of a `PutObject` is, with the fields for its headers.

use anode_net::{
    http::{FormDecoded, FormDecoder, FormError},
    s3::{
        self, ErrorCode, Form, Headers,
        configuration::notification::Occurrence,
        encryption::Wanted,
        operation::{Answer, Kind, Route},
        parameters::{PostObject, Success, post},
        unsupported,
        xml::objects,
    },
};
use bytes::Bytes;

use super::{put, record};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response, Upload},
    host::Host,
};

/// Whether an operation comes as a form.
pub(super) fn is_asked(route: &Route) -> bool {
    route.answer == Answer::Served(Kind::PostObject)
}

/// Reads the fields of a form, as far as its file.
pub(super) async fn read_fields<H: Host>(
    exchange: &mut Exchange<'_, H>,
    headers: Headers<'_>,
) -> Result<Form, s3::Error> {
    let mut decoder = FormDecoder::new(headers.get("content-type"))?;
    // Headers that ask for what fields would have to ask for are not to be passed over.
    unsupported::check(headers)?;
    if Wanted::parse(headers)? != Wanted::Unsaid {
        return Err(s3::Error::with_message(
            ErrorCode::InvalidRequest,
            "The encryption of a form's file has to be asked for by fields of the form, not by headers.",
        ));
    }
    let (mut form, mut input) = (Form::default(), Bytes::new());
    loop {
        match decoder.decode(&mut input)? {
            FormDecoded::Field(field) => form.add(field),
            FormDecoded::NeedMore => {
                let more = exchange.next().await?;
                input = more.ok_or(FormError::Malformed("the body ends before the form does"))?;
            }
            FormDecoded::File(file) => {
                exchange.upload = Some(Upload { decoder: file.decoder, framed: input });
                form.expand(file.filename.as_deref())?;
                return Ok(form);
            }
            FormDecoded::End => {
                let message = "POST requires exactly one file upload per request.";
                return Err(s3::Error::argument(message, "file", "0"));
            }
        }
    }
}

/// Stores the file of a form and answers as the form asks.
pub async fn post<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    post: &PostObject,
) -> Result<Response<H>, s3::Error> {
    let written = put::store(exchange, caller, (&post.put, Occurrence::Post)).await?;
    let (bucket, key) = (&post.put.bucket, &post.put.key);
    let location = location(exchange, key);
    let (stored, head) = (&written.stored, |status| written.head(status, &post.put));
    Ok(match &post.success {
        Success::NoContent => Response::empty(head(204).header("Location", &location)),
        Success::Empty => Response::empty(head(200).header("Location", &location)),
        Success::Created => {
            let etag = record::quoted(&stored.etag);
            let result = objects::Posted { location: &location, bucket, key, etag: &etag };
            let head = head(201).header("Location", &location);
            Response::full(head, "application/xml", objects::posted(&result))
        }
        Success::Redirect(url) => {
            let target = post::redirect_target(url, bucket, key, &stored.etag);
            Response::empty(head(303).header("Location", &target))
        }
    })
}

/// The URL of what was stored, beside that of the bucket.
fn location<H: Host>(exchange: &Exchange<'_, H>, key: &str) -> String {
    let scheme = if exchange.shard.settings().tls { "https" } else { "http" };
    let (host, bucket) = (exchange.head.host(), exchange.head.path().trim_end_matches('/'));
    format!("{scheme}://{host}{bucket}/{}", post::escaped(key))
}

//! Cross-origin requests: what a browser asks before a request of a page (a preflight), and what it is told with each
//! response to one. (Fetch standard, 3.2)

use anode_net::{
    http::ResponseHead,
    s3::{
        self, ErrorCode, Headers,
        address::{self, Address},
        configuration::cors::{Question, Said},
    },
};

use super::find_bucket;
use crate::{
    exchange::{Exchange, Response},
    host::Host,
    shard::Shard,
};

/// S3: `OPTIONS object`. It carries no signature; what it is told is no secret.
pub fn preflight<H: Host>(
    shard: &Shard<H>,
    address: &Address,
    headers: Headers<'_>,
) -> Result<Response<H>, s3::Error> {
    let question = Question::of_preflight(headers)?;
    let bucket = find_bucket(shard, address.bucket().unwrap_or_default())?;
    let Some(cors) = &bucket.configurations.cors else {
        return Err(refused(&question, "CORSResponse: CORS is not enabled for this bucket."));
    };
    let said = cors.answer(&question).ok_or_else(|| {
        refused(
            &question,
            "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, \
             request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted \
             by the resource's CORS spec.",
        )
    })?;
    Ok(Response::empty(with(ResponseHead::new(200), said)))
}

fn refused(question: &Question<'_>, message: &'static str) -> s3::Error {
    s3::Error::with_message(ErrorCode::AccessForbidden, message)
        .field("Method", question.method)
        .field("ResourceType", "OBJECT")
}

/// Adds what the page of another origin may know of a response, whatever it is.
pub fn stamp<H: Host>(exchange: &Exchange<'_, H>, response: Response<H>) -> Response<H> {
    let head = &exchange.head;
    if head.header("origin").is_none() {
        return response;
    }
    let domain = exchange.shard.settings().domain.as_deref();
    let Ok(address) = address::resolve(head.header("host"), domain, head.path()) else {
        return response;
    };
    stamp_of(exchange, address.bucket().unwrap_or_default(), response)
}

/// Adds what the page of another origin may know of a response about a bucket.
pub fn stamp_of<H: Host>(
    exchange: &Exchange<'_, H>,
    bucket: &str,
    mut response: Response<H>,
) -> Response<H> {
    let head = &exchange.head;
    let Some(origin) = head.header("origin") else { return response };
    if head.method_name() == "OPTIONS" {
        return response;
    }
    let meta = exchange.shard.meta();
    let bucket = meta.buckets.get(bucket);
    let cors = bucket.and_then(|bucket| bucket.configurations.cors.as_ref());
    let question = Question { origin, method: head.method_name(), headers: "" };
    if let Some(said) = cors.and_then(|cors| cors.answer(&question)) {
        response.head = with(response.head, said);
    }
    response
}

fn with(head: ResponseHead, said: Vec<Said>) -> ResponseHead {
    said.into_iter().fold(head, |head, (name, value)| head.header(name, &value))
}

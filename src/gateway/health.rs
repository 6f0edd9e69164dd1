//! `/health/live` and `/health/ready`, for supervisors and load balancers; no signature, no secrets.

use anode_net::http::{Method, ResponseHead};
use bytes::Bytes;

use crate::{
    exchange::{Exchange, Response},
    host::Host,
};

/// The answer, where the request asks for one of them.
///
/// `live`: the process runs. `ready`: it serves; 503 while it starts or drains.
pub fn respond<H: Host>(exchange: &Exchange<'_, H>) -> Option<Response<H>> {
    let head = &exchange.head;
    if !matches!(head.method, Method::Get | Method::Head) {
        return None;
    }
    let (status, text) = match head.path() {
        "/health/live" => (200, "live\n"),
        "/health/ready" if exchange.shard.is_ready() => (200, "ready\n"),
        "/health/ready" => (503, "not ready\n"),
        _ => return None,
    };
    Some(Response::full(
        ResponseHead::new(status),
        "text/plain",
        Bytes::from_static(text.as_bytes()),
    ))
}

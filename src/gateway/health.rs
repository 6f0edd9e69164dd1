//! `/health/live` and `/health/ready`, for supervisors and load balancers; no signature, no secrets.

use anode_net::http::{Method, ResponseHead};
use bytes::Bytes;

use crate::{
    exchange::{Exchange, Response},
    host::Host,
    shard::Shard,
};

/// The answer, where the request asks for one of them.
///
/// `live`: the process runs. `ready`: it serves; 503 while it starts or drains. A node that goes on without a failed
/// volume is ready, for it serves all others: a line a failed volume says so, by its place among the data directories.
pub fn respond<H: Host>(exchange: &Exchange<'_, H>) -> Option<Response<H>> {
    let head = &exchange.head;
    if !matches!(head.method, Method::Get | Method::Head) {
        return None;
    }
    let (status, text) = match head.path() {
        "/health/live" => (200, "live\n".to_owned()),
        "/health/ready" if exchange.shard.is_ready() => (200, ready(&exchange.shard)),
        "/health/ready" => (503, "not ready\n".to_owned()),
        _ => return None,
    };
    Some(Response::full(ResponseHead::new(status), "text/plain", Bytes::from(text)))
}

fn ready<H: Host>(shard: &Shard<H>) -> String {
    let count = shard.settings().volumes.len();
    let failed = shard.volumes().failed().into_iter();
    let lines =
        failed.map(|volume| format!("data directory {} of {count} has failed\n", volume + 1));
    std::iter::once("ready\n".to_owned()).chain(lines).collect()
}

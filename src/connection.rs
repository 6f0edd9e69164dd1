//! One connection, from accept to close: heads in, responses out, in the order they came (RFC 9112, section 9.3).

use std::time::Duration;

use anode_net::{
    Stream as _,
    http::{Head, Limits, Method, Refusal, ResponseHead, Stamp, body_allowed, date, parse_head},
    s3::{self, error::ErrorContext},
};
use bytes::{Bytes, BytesMut};

use crate::{
    exchange::{Exchange, Response, ResponseBody, Wire},
    gateway::{self, get},
    host::{Host, within},
    limits,
    metrics::Counted,
    shard::Shard,
    transport::Transport,
};

/// Why no head was read.
enum NoHead {
    /// The client is gone, or was idle for too long.
    Closed,
    /// It began a request and didn't finish the head in time.
    TooSlow,
    /// It isn't HTTP as we accept it.
    Refused(Refusal),
}

/// Serves a connection until either side ends it.
pub async fn serve<H: Host>(shard: Shard<H>, stream: Transport<H::Stream>) {
    let mut wire = Wire { stream, buffer: BytesMut::new() };
    loop {
        let head = match read_head(&shard, &mut wire).await {
            Ok(head) => head,
            Err(NoHead::Closed) => break,
            Err(NoHead::TooSlow) => {
                let message = "The request's head took too long to arrive.".to_owned();
                let refusal = Refusal { status: 408, code: "RequestTimeout", message };
                refuse(&shard, &mut wire, &refusal).await;
                break;
            }
            Err(NoHead::Refused(refusal)) => {
                refuse(&shard, &mut wire, &refusal).await;
                break;
            }
        };
        if !respond(&shard, &mut wire, head).await {
            break;
        }
    }
    // The peer may be gone already; either way the connection ends here.
    drop(wire.stream.shutdown().await);
}

async fn read_head<H: Host>(shard: &Shard<H>, wire: &mut Wire<H>) -> Result<Head, NoHead> {
    let limits_of_head = Limits::default();
    let host = shard.host();
    let mut deadline = None;
    let idle_until = host.now().0 + limits::IDLE_SECONDS_MAX * 1_000_000_000;
    loop {
        match parse_head(&mut wire.buffer, &limits_of_head) {
            Ok(Some(head)) => return Ok(head),
            Ok(None) => {}
            Err(refusal) => return Err(NoHead::Refused(refusal)),
        }
        let now = host.now().0;
        // The clock of a head starts with its first byte.
        if deadline.is_none() && !wire.buffer.is_empty() {
            deadline = Some(now + limits::HEAD_SECONDS_MAX * 1_000_000_000);
        }
        let pause = match deadline {
            Some(deadline) => Duration::from_nanos(deadline.saturating_sub(now)),
            // An idle connection looks up now and then whether the node is to stop.
            None => limits::IDLE_POLL,
        };
        if deadline.is_none() && (shard.is_draining() || now >= idle_until) {
            return Err(NoHead::Closed);
        }
        let Wire { stream, buffer } = &mut *wire;
        match within(host, pause, stream.read(buffer, limits::READ_BYTES)).await {
            Some(Ok(0) | Err(_)) => return Err(NoHead::Closed),
            None if deadline.is_some() => return Err(NoHead::TooSlow),
            Some(Ok(count)) => shard.counts().received(count),
            None => {}
        }
    }
}

/// Answers one request; false where the connection must close.
async fn respond<H: Host>(shard: &Shard<H>, wire: &mut Wire<H>, head: Head) -> bool {
    let (method, keep_alive) = (head.method, head.keep_alive());
    let mut exchange = Exchange::new(shard.clone(), head, wire);
    let started = shard.host().now().0;
    let response = gateway::respond(&mut exchange).await;
    let status = response.head.status();
    // The second reading of the clock, and three additions; bytes are one more a read and a write.
    shard.counts().answered(exchange.counted, status, shard.host().now().0 - started);
    // A response that doesn't wait for the body closes the connection unless the rest is little.
    let usable = exchange.finish().await;
    let request_id = std::mem::take(&mut exchange.request_id);
    tracing::debug!(
        request_id,
        method = exchange.head.method_name(),
        path = exchange.head.path(),
        status,
        microseconds = (shard.host().now().0 - started) / 1000,
        "request"
    );
    drop(exchange);
    let keep = keep_alive && usable && !shard.is_draining();
    send(shard, wire, response, &Delivery { method, request_id: &request_id, keep }).await && keep
}

struct Delivery<'a> {
    method: Method,
    request_id: &'a str,
    keep: bool,
}

/// Sends a response; false where the client didn't get all of it.
async fn send<H: Host>(
    shard: &Shard<H>,
    wire: &mut Wire<H>,
    response: Response<H>,
    delivery: &Delivery<'_>,
) -> bool {
    let is_whole = send_parts(shard, wire, response, delivery).await;
    if !is_whole {
        shard.counts().cut();
    }
    is_whole
}

async fn send_parts<H: Host>(
    shard: &Shard<H>,
    wire: &mut Wire<H>,
    response: Response<H>,
    delivery: &Delivery<'_>,
) -> bool {
    let Response { head, body } = response;
    let status = head.status();
    let head = if delivery.keep { head } else { head.close() };
    let date = shard.date();
    let stamp = Stamp { request_id: delivery.request_id, host_id: shard.host_id(), date: &date };
    let head = head.encode(&stamp);
    let body = if body_allowed(delivery.method, status) { body } else { ResponseBody::Empty };
    match body {
        ResponseBody::Empty => write(shard, wire, vec![head]).await,
        ResponseBody::Full(body) => write(shard, wire, vec![head, body]).await,
        ResponseBody::Object(mut reader) => {
            let mut parts = vec![head];
            loop {
                match reader.next().await {
                    Ok(Some(data)) => parts.push(data),
                    Ok(None) => return parts.is_empty() || write(shard, wire, parts).await,
                    Err(error) => {
                        // The status is out already: ending the connection early is all that tells the client.
                        let (request_id, object) = (delivery.request_id, reader.subject());
                        tracing::warn!(request_id, object, "the response ends early");
                        get::tell(shard, object, &error);
                        return false;
                    }
                }
                if !write(shard, wire, std::mem::take(&mut parts)).await {
                    return false;
                }
            }
        }
    }
}

/// Writes to the client; false where it is gone.
async fn write<H: Host>(shard: &Shard<H>, wire: &mut Wire<H>, parts: Vec<Bytes>) -> bool {
    let bytes = parts.iter().map(Bytes::len).sum();
    let is_written = wire.stream.write(parts).await.is_ok();
    if is_written {
        shard.counts().sent(bytes);
    }
    is_written
}

/// Answers what isn't a request.
async fn refuse<H: Host>(shard: &Shard<H>, wire: &mut Wire<H>, refusal: &Refusal) {
    shard.counts().answered(Counted::Unknown, refusal.status, 0);
    let request_id = format!("{:016X}", shard.host().random());
    let context = ErrorContext { resource: "/", request_id: &request_id, host_id: shard.host_id() };
    let body = s3::Error::from(refusal.clone()).to_xml(&context);
    let response = Response::full(ResponseHead::new(refusal.status), "application/xml", body);
    tracing::debug!(request_id, code = refusal.code, message = refusal.message, "refused");
    let delivery = Delivery { method: Method::Get, request_id: &request_id, keep: false };
    send(shard, wire, response, &delivery).await;
}

/// The `Date` of now, as it goes on the wire.
pub(crate) fn date_of(wall_nanoseconds: u64) -> String {
    let seconds = i64::try_from(wall_nanoseconds / 1_000_000_000).expect("nanoseconds as seconds");
    date::format_http(seconds)
}

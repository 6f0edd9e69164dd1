//! `GET /metrics`, for Prometheus and whatever reads its text forms; who may is a setting.
//!
//! The path could be a bucket's. What makes it metrics is that nothing says otherwise: no query and no `Authorization`,
//! where S3 refuses whatever isn't signed. So a bucket `metrics` works like any other.

use anode_net::http::{Head, Method, ResponseHead};
use bytes::Bytes;

use crate::{
    exchange::{Exchange, Response},
    host::Host,
    metrics::{self, Exposure, Form},
    shard::address_of,
};

/// Headers by which proxies tell whom they ask for.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "via"];

/// Whether a request asks for metrics.
pub fn is_asked(head: &Head) -> bool {
    matches!(head.method, Method::Get | Method::Head)
        && head.path() == "/metrics"
        && head.query().is_none()
        && head.header("authorization").is_none()
}

/// The answer to such a request. A shard that is starting, or draining, answers too.
pub async fn respond<H: Host>(exchange: &Exchange<'_, H>) -> Response<H> {
    let (head, shard) = (&exchange.head, &exchange.shard);
    if let Err(reason) = check(shard.settings().metrics, head, &exchange.peer()) {
        let body = Bytes::from(format!("{reason}\n"));
        return Response::full(ResponseHead::new(403), "text/plain", body);
    }
    let turn = shard.surveys().turn().await;
    let figures = metrics::gather(shard).await;
    drop(turn);
    let form = Form::accepted(head.header("accept"));
    let body = Bytes::from(form.encode(figures));
    Response::full(ResponseHead::new(200), form.content_type(), body)
}

/// Refuses whom the setting leaves out, in a sentence that names it.
fn check(exposure: Exposure, head: &Head, peer: &str) -> Result<(), &'static str> {
    match exposure {
        Exposure::Off => Err("metrics are turned off: the setting metrics is off"),
        Exposure::Loopback if !address_of(peer).is_some_and(|address| address.is_loopback()) => {
            Err("metrics are for connections from the node's own machine: \
                 the setting metrics is loopback; all lets everybody read them")
        }
        // A proxy beside the node connects from the loopback address, for whoever asks it.
        Exposure::Loopback if FORWARDED.iter().any(|name| head.header(name).is_some()) => {
            Err("metrics are for the node's own machine, and a proxy has forwarded this request: \
                 the setting metrics is loopback; all lets everybody read them")
        }
        Exposure::Loopback | Exposure::All => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use anode_net::http::{Limits, parse_head};
    use bytes::BytesMut;

    use super::*;

    fn head(text: &str) -> Head {
        let text = format!("{text}\r\nHost: a\r\n\r\n");
        let mut buffer = BytesMut::from(text.as_str());
        parse_head(&mut buffer, &Limits::default()).unwrap().unwrap()
    }

    #[test]
    fn a_request_that_could_be_for_a_bucket_is_s3() {
        assert!(is_asked(&head("GET /metrics HTTP/1.1")));
        assert!(is_asked(&head("HEAD /metrics HTTP/1.1")));
        for other in [
            "GET /metrics?list-type=2 HTTP/1.1",
            "GET /metrics? HTTP/1.1",
            "GET /metrics HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 x",
            "GET /metrics/ HTTP/1.1",
            "GET /metrics/key HTTP/1.1",
            "PUT /metrics HTTP/1.1",
        ] {
            assert!(!is_asked(&head(other)), "{other}");
        }
    }

    #[test]
    fn the_setting_decides_who_may_read() {
        let plain = head("GET /metrics HTTP/1.1");
        for peer in ["127.0.0.1:5", "127.9.9.9:5", "[::1]:5", "[::ffff:127.0.0.1]:5"] {
            assert_eq!(check(Exposure::Loopback, &plain, peer), Ok(()), "{peer}");
        }
        for peer in ["10.0.0.1:5", "[2001:db8::1]:5", "[::ffff:10.0.0.1]:5", "no address", ""] {
            let refusal = check(Exposure::Loopback, &plain, peer).unwrap_err();
            assert!(refusal.contains("setting metrics"), "{refusal}");
            assert_eq!(check(Exposure::All, &plain, peer), Ok(()), "{peer}");
        }
        let off = check(Exposure::Off, &plain, "127.0.0.1:5").unwrap_err();
        assert!(off.contains("setting metrics is off"), "{off}");
    }

    #[test]
    fn what_a_proxy_forwards_is_not_from_this_machine() {
        for name in ["Forwarded: for=10.0.0.1", "X-Forwarded-For: 127.0.0.1", "Via: 1.1 proxy"] {
            let forwarded = head(&format!("GET /metrics HTTP/1.1\r\n{name}"));
            assert!(check(Exposure::Loopback, &forwarded, "127.0.0.1:5").is_err(), "{name}");
            assert_eq!(check(Exposure::All, &forwarded, "127.0.0.1:5"), Ok(()), "{name}");
        }
    }
}

use std::{cell::RefCell, rc::Rc};

use anode_disk::testing::SimDisk;

use super::*;
use crate::{
    host::Listener as _,
    sim::{Owner, World, host::SimHost, network::Network},
};

const ADDRESS: &str = "10.0.0.9:8080";

/// What a server does with one connection: what it answers to each request, and whether it closes then.
#[derive(Clone, Debug)]
struct Script {
    answers: Vec<&'static str>,
    closes: bool,
}

/// What a server was sent, by connection.
type Received = Rc<RefCell<Vec<Vec<String>>>>;

async fn play<S: anode_net::Stream>(mut stream: S, script: Script, nth: usize, received: Received) {
    received.borrow_mut().push(Vec::new());
    let mut buffer = BytesMut::new();
    for answer in script.answers {
        let request = loop {
            let text = String::from_utf8_lossy(&buffer).into_owned();
            if text.ends_with("body") {
                break text;
            }
            if stream.read(&mut buffer, 4096).await.unwrap_or(0) == 0 {
                return;
            }
        };
        buffer.clear();
        received.borrow_mut()[nth].push(request);
        let answer = Bytes::from_static(answer.as_bytes());
        if stream.write(vec![answer]).await.is_err() {
            return;
        }
    }
    if !script.closes {
        // Until the client leaves.
        while stream.read(&mut buffer, 4096).await.is_ok_and(|length| length > 0) {}
    }
}

/// A status and a body.
type Outcome = Result<(u16, String), Error>;

/// Sends requests to a server that takes a connection a script; what came of each, and what the server got.
fn exchange(scripts: Vec<Script>, count: usize) -> (Vec<Outcome>, Vec<Vec<String>>) {
    let world = World::new(5);
    let network = Network::new(&world);
    let host = SimHost::node(&world, &network, &SimDisk::new(5), 0, 1).remove(0);
    let received = Received::default();
    let replies = world.run(async {
        let owner = Owner { node: 1, shard: 0 };
        let listener = network.listen(owner, ADDRESS.parse().unwrap()).unwrap();
        let seen = Rc::clone(&received);
        let (server, tasks) = (world.clone(), world.clone());
        server.spawn(
            owner,
            Box::pin(async move {
                for (nth, script) in scripts.into_iter().enumerate() {
                    let stream = listener.accept().await.unwrap();
                    let seen = Rc::clone(&seen);
                    tasks.spawn(owner, Box::pin(play(stream, script, nth, seen)));
                }
                std::future::pending::<()>().await;
            }),
        );
        let url = Url::parse(&format!("http://{ADDRESS}/hook?x=1")).unwrap();
        let mut client = Client::new(&host, url, None);
        let mut replies = Vec::new();
        for _ in 0..count {
            let body = Bytes::from_static(b"body");
            let headers = [("X-Name", "value")];
            let request = Request { method: Method::Post, headers: &headers, body: &body };
            let reply = client.send(&request).await;
            replies.push(reply.map(|reply| {
                (reply.head.status, String::from_utf8_lossy(&reply.body).into_owned())
            }));
        }
        replies
    });
    let received = received.borrow().clone();
    (replies, received)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn answers(answers: &[&'static str], closes: bool) -> Script {
    Script { answers: answers.to_vec(), closes }
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let (replies, received) = exchange(vec![answers(&[OK, OK], false)], 2);
    assert_eq!(replies, vec![Ok((200, "ok".to_owned())); 2]);
    assert_eq!(received.len(), 1);
    let head = "POST /hook?x=1 HTTP/1.1\r\nHost: 10.0.0.9:8080\r\n";
    for request in &received[0] {
        assert!(request.starts_with(head), "{request}");
        assert!(
            request.contains("\r\nX-Name: value\r\nContent-Length: 4\r\n\r\nbody"),
            "{request}"
        );
    }
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced_once() {
    let (replies, received) = exchange(vec![answers(&[OK], true), answers(&[OK], true)], 2);
    assert_eq!(replies, vec![Ok((200, "ok".to_owned())); 2]);
    assert_eq!(received.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    let (replies, _) = exchange(vec![answers(&[OK], true), answers(&[], true)], 2);
    assert!(matches!(replies[1], Err(Error::Unanswered(_))), "{replies:?}");
}

#[test]
fn whatever_servers_answer_is_told_apart() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let until_closed = "HTTP/1.0 200 OK\r\n\r\nok";
    let interim = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let moved = "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n";
    for (answer, status, body) in [
        (chunked, 200, "ok"),
        (until_closed, 200, "ok"),
        (interim, 200, "ok"),
        (moved, 302, ""),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", 500, ""),
    ] {
        let (replies, _) = exchange(vec![answers(&[answer], true)], 1);
        assert_eq!(replies[0], Ok((status, body.to_owned())), "{answer}");
    }
    for unreadable in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let (replies, _) = exchange(vec![answers(&[unreadable], true)], 1);
        assert!(matches!(replies[0], Err(Error::Unreadable(_))), "{unreadable}: {replies:?}");
    }
}

#[test]
fn what_is_too_long_or_too_slow_is_given_up() {
    let long =
        format!("HTTP/1.0 200 OK\r\n\r\n{}", "x".repeat(limits::OUTBOUND_BODY_BYTES_MAX + 1));
    let (replies, _) = exchange(vec![answers(&[long.leak()], true)], 1);
    assert_eq!(replies[0], Err(Error::Unreadable("the body is too long".to_owned())));
    let (replies, _) = exchange(vec![answers(&[], false)], 1);
    assert_eq!(replies[0], Err(Error::TooSlow));
}

#[test]
fn nobody_there_is_said() {
    let world = World::new(6);
    let network = Network::new(&world);
    let host = SimHost::node(&world, &network, &SimDisk::new(6), 0, 1).remove(0);
    let ask = |url: &str| {
        let mut client = Client::new(&host, Url::parse(url).unwrap(), None);
        let body = Bytes::new();
        world.run(async {
            client
                .send(&Request { method: Method::Get, headers: &[], body: &body })
                .await
                .unwrap_err()
        })
    };
    assert!(matches!(ask("http://10.0.0.9:1/"), Error::Connect(_)));
    assert!(matches!(ask("http://nobody.test/"), Error::Name { .. }));
}

#[test]
fn retries_come_later_and_later() {
    let mut before = Duration::ZERO;
    for failed_count in 0..6 {
        let (least, most) = (backoff(failed_count, 0), backoff(failed_count, 1023));
        assert!(before <= least && least < most && most <= limits::OUTBOUND_RETRY_MAX);
        before = most;
    }
    assert_eq!(backoff(u32::MAX, 0), limits::OUTBOUND_RETRY_MAX / 2);
}

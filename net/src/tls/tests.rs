//! A client and a server of rustls over a pipe in memory.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::join;
use rustls::{ClientConfig, ServerConfig};

use super::{TlsStream, client_config, server_config};
use crate::stream::{Error, Stream};
use crate::testing::{PipeOptions, SimStream, pipe, pipe_with};

const NAME: &str = "anode.test";

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
    let certificate = made.cert.pem();
    let server = server_config(certificate.as_bytes(), made.signing_key.serialize_pem().as_bytes());
    let client = client_config(certificate.as_bytes());
    (server.expect("a server"), client.expect("a client"))
}

fn connected(options: &PipeOptions) -> (TlsStream<SimStream>, TlsStream<SimStream>) {
    let (server_config, client_config) = configs();
    let (near, far) = pipe_with(options);
    let (client, server) = block_on(join(
        TlsStream::connect(near, client_config, NAME),
        TlsStream::accept(far, server_config),
    ));
    (client.expect("the client's handshake"), server.expect("the server's handshake"))
}

async fn read_all(stream: &mut TlsStream<SimStream>, length_max: usize) -> Result<Vec<u8>, Error> {
    let mut all = BytesMut::new();
    while stream.read(&mut all, length_max).await? > 0 {}
    Ok(all.to_vec())
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|index| u8::try_from(index % 251).expect("below 251")).collect()
}

#[test]
fn bytes_cross_both_ways_through_small_buffers_and_short_reads() {
    let options =
        PipeOptions { capacity_bytes: 1000, read_bytes_max: 77, ..PipeOptions::default() };
    let (mut client, mut server) = connected(&options);
    assert_eq!(client.protocol(), Some(&b"http/1.1"[..]));
    let body = pattern(300_000);
    let parts = vec![Bytes::from_static(b"head"), Bytes::new(), body.clone()];
    let send = async {
        client.write(parts).await.expect("written");
        client.shutdown().await.expect("ended");
    };
    let ((), received) = block_on(join(send, read_all(&mut server, 999)));
    let received = received.expect("a clean end");
    assert_eq!(&received[..4], b"head");
    assert_eq!(&received[4..], &body[..]);

    // The client's half is closed, the server's is not.
    let answer = async {
        server.write(vec![body.clone()]).await.expect("written");
        server.shutdown().await.expect("ended");
    };
    let ((), received) = block_on(join(answer, read_all(&mut client, 1 << 20)));
    assert_eq!(received.expect("a clean end"), &body[..]);
    assert!(block_on(client.write(vec![Bytes::from_static(b"late")])).is_err());
}

#[test]
fn an_end_without_close_notify_is_an_error() {
    let (client, mut server) = connected(&PipeOptions::default());
    drop(client);
    let error = block_on(read_all(&mut server, 100)).expect_err("cut short");
    assert!(matches!(error, Error::Closed(_)), "{error}");
}

#[test]
fn a_stranger_is_told_before_the_connection_ends() {
    let (server_config, _) = configs();
    let (_, other_client_config) = configs(); // trusts another certificate
    let (near, far) = pipe();
    let (client, server) = block_on(join(
        TlsStream::connect(near, other_client_config, NAME),
        TlsStream::accept(far, server_config),
    ));
    assert!(matches!(client.expect_err("untrusted"), Error::Tls(_)));
    let error = server.expect_err("the client's alert arrives").to_string();
    assert!(error.contains("alert"), "{error}");
}

#[test]
fn a_client_of_http_2_alone_is_refused() {
    let (server_config, client_config) = configs();
    let mut client_config = Arc::unwrap_or_clone(client_config);
    client_config.alpn_protocols = vec![b"h2".to_vec()];
    let (near, far) = pipe();
    let (client, server) = block_on(join(
        TlsStream::connect(near, Arc::new(client_config), NAME),
        TlsStream::accept(far, server_config),
    ));
    assert!(matches!(server.expect_err("no protocol in common"), Error::Tls(_)));
    client.expect_err("told so");
}

#[test]
fn plain_http_on_a_tls_port_is_refused() {
    let (server_config, _) = configs();
    let (mut near, far) = pipe();
    let request = vec![Bytes::from_static(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")];
    let (sent, server) = block_on(join(near.write(request), TlsStream::accept(far, server_config)));
    sent.expect("sent");
    assert!(matches!(server.expect_err("not TLS"), Error::Tls(_)));
}

#[test]
fn a_peer_that_leaves_during_the_handshake_is_an_error() {
    let (server_config, _) = configs();
    let (near, far) = pipe();
    drop(near);
    let server = block_on(TlsStream::accept(far, server_config));
    assert!(matches!(server.expect_err("gone"), Error::Closed(_)));
}

#[test]
fn a_changed_byte_on_the_way_is_refused() {
    let (server_config, client_config) = configs();
    let (near, mut middle_near) = pipe();
    let (mut middle_far, far) = pipe();
    let exchange = join(
        async {
            let mut client = TlsStream::connect(near, client_config, NAME).await.expect("client");
            client.write(vec![pattern(100)]).await.expect("written");
            client
        },
        async {
            // Where the changed record comes together with the handshake's last, `accept` finds it.
            let mut server = TlsStream::accept(far, server_config).await?;
            server.read(&mut BytesMut::new(), 1000).await
        },
    );
    // Relays flights of the handshake in turn; flips a bit in the last byte of the client's data.
    let relay = async {
        let mut buffer = BytesMut::new();
        middle_near.read(&mut buffer, 1 << 20).await.expect("hello");
        middle_far.write(vec![buffer.split().freeze()]).await.expect("relayed");
        middle_far.read(&mut buffer, 1 << 20).await.expect("the server's flight");
        middle_near.write(vec![buffer.split().freeze()]).await.expect("relayed");
        middle_near.read(&mut buffer, 1 << 20).await.expect("finished");
        while buffer.len() < 180 {
            middle_near.read(&mut buffer, 1 << 20).await.expect("data");
        }
        let last = buffer.len() - 1;
        buffer[last] ^= 1;
        middle_far.write(vec![buffer.split().freeze()]).await.expect("relayed");
    };
    let ((client, read), ()) = block_on(join(exchange, relay));
    assert!(matches!(read.expect_err("changed"), Error::Tls(_)));
    drop(client);
}

#[test]
fn a_dropped_read_loses_nothing_and_a_dropped_write_ends_the_connection() {
    let options = PipeOptions { capacity_bytes: 8192, ..PipeOptions::default() };
    let (mut client, mut server) = connected(&options);
    let mut buffer = BytesMut::new();
    block_on(async {
        let waiting = server.read(&mut buffer, 10);
        futures::pin_mut!(waiting);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
    });
    block_on(client.write(vec![Bytes::from_static(b"here")])).expect("written");
    assert_eq!(block_on(server.read(&mut buffer, 10)), Ok(4));
    block_on(async {
        let waiting = client.write(vec![pattern(100_000)]);
        futures::pin_mut!(waiting);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
    });
    let error = client.write(vec![Bytes::from_static(b"torn")]).now_or_never();
    assert!(matches!(error, Some(Err(Error::Closed(_)))), "{error:?}");
}

#[test]
fn bad_certificates_are_named() {
    let first = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
    let second = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
    let certificate = first.cert.pem();
    let (key, other_key) = (first.signing_key.serialize_pem(), second.signing_key.serialize_pem());
    server_config(certificate.as_bytes(), key.as_bytes()).expect("they belong together");
    for (certificate, key, complaint) in [
        (certificate.as_str(), other_key.as_str(), "certificate and key"),
        (certificate.as_str(), "", "private key"),
        ("", key.as_str(), "no certificate"),
    ] {
        let error = server_config(certificate.as_bytes(), key.as_bytes()).expect_err(complaint);
        assert!(error.to_string().contains(complaint), "{error}");
    }
}

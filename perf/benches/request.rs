//! What a small request costs before it reaches a group: parsing its head, finding its operation, verifying its
//! signature, asking a policy; and the digests that its bytes go through.

use std::hint::black_box;

use anode_net::{
    checksum::{Algorithm, Hasher, Md5},
    http::{Limits, parse_head},
    policy::{Decision, Facts, Policy, Question},
    s3::{self, Headers},
    sigv4::{self, Authentication, Expected, KeyCache, RequestParts},
};
use anode_perf::{ACCESS_KEY, NOW_SECONDS, SECRET, large_policy, parsed, put_head};
use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn head(criterion: &mut Criterion) {
    let bytes = put_head();
    criterion.bench_function("parse a head", |bencher| {
        bencher.iter(|| {
            let mut buffer = BytesMut::from(&bytes[..]);
            black_box(parse_head(&mut buffer, &Limits::default()))
        });
    });
    let head = parsed(&bytes);
    let fields: Vec<(&str, &str)> = head.headers().collect();
    criterion.bench_function("find the operation", |bencher| {
        bencher.iter(|| {
            let request = s3::Request {
                method: head.method_name(),
                path: head.path(),
                query: "",
                headers: Headers::new(&fields),
            };
            black_box(s3::route(&request, None))
        });
    });
}

fn signature(criterion: &mut Criterion) {
    let head = parsed(&put_head());
    let fields: Vec<(&str, &str)> = head.headers().collect();
    let parts =
        RequestParts { method: head.method_name(), path: head.path(), query: "", headers: &fields };
    let mut keys = KeyCache::new(16);
    let expected = Expected { now_seconds: NOW_SECONDS, region: None, service: "s3" };
    criterion.bench_function("verify a signature", |bencher| {
        bencher.iter(|| {
            let Ok(Authentication::Signed(signed)) = sigv4::parse(&parts) else { return };
            assert_eq!(&*signed.access_key, ACCESS_KEY, "the sample is signed");
            black_box(keys.verify(&signed, &parts, SECRET, &expected)).expect("it is right");
        });
    });
}

/// The bar is 20 us for a policy of 20 KiB.
fn policy(criterion: &mut Criterion) {
    let text = large_policy();
    let policy = Policy::read(text.as_bytes(), "bucket").expect("a policy");
    let fields = [("host", "h"), ("referer", "http://www.example.com/page")];
    let (query, tags) = (s3::query::Query::default(), [("a".to_owned(), "1".to_owned())]);
    let facts = Facts {
        sender: None,
        federated: None,
        owner: "123456789012",
        source: "10.1.2.3".parse().ok(),
        is_secure: false,
        now_seconds: NOW_SECONDS,
        headers: Headers::new(&fields),
        query: &query,
        version: None,
        tags: &tags,
        new_tags: &[],
        context: &[],
    };
    let resource = "arn:aws:s3:::bucket/a/key/of/some/length";
    let question = Question { action: "s3:GetObject", resource, facts: &facts };
    assert_eq!(policy.decide(&question), Decision::Silent, "every statement is looked at");
    criterion.bench_function("evaluate a policy of 20 KiB", |bencher| {
        bencher.iter(|| black_box(policy.decide(black_box(&question))));
    });
}

fn digests(criterion: &mut Criterion) {
    let data = vec![7; 1 << 20];
    let mut group = criterion.benchmark_group("digest 1 MiB");
    group.throughput(Throughput::Bytes(1 << 20));
    group.bench_function("MD5", |bencher| bencher.iter(|| black_box(Md5::of(&data))));
    for algorithm in Algorithm::ALL {
        group.bench_function(algorithm.name(), |bencher| {
            bencher.iter(|| black_box(Hasher::of(algorithm, &data)));
        });
    }
    group.finish();
}

criterion_group!(benches, head, signature, policy, digests);
criterion_main!(benches);

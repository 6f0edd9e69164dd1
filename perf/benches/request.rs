//! What a small request costs before it reaches a group: parsing its head, finding its operation, verifying its
//! signature; and the digests that its bytes go through.

use std::hint::black_box;

use anode_net::{
    checksum::{Algorithm, Hasher, Md5},
    http::{Limits, parse_head},
    s3::{self, Headers},
    sigv4::{self, Authentication, Expected, KeyCache, RequestParts},
};
use anode_perf::{ACCESS_KEY, NOW_SECONDS, SECRET, parsed, put_head};
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
            assert_eq!(signed.access_key, ACCESS_KEY, "the sample is signed");
            black_box(keys.verify(&signed, &parts, SECRET, &expected)).expect("it is right");
        });
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

criterion_group!(benches, head, signature, digests);
criterion_main!(benches);

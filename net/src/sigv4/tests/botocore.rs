//! Requests for odd keys as the AWS SDK for Python signs and sends them: botocore 1.43.11, its clock at the examples' time.

use super::examples::request;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const HOST: (&str, &str) = ("host", "s3.amazonaws.com");

#[test]
fn signed_in_the_header() {
    let headers = [
        HOST,
        ("x-amz-meta-a", "  x   y "),
        ("content-type", "text/plain"),
        ("x-amz-content-sha256", EMPTY),
    ];
    let path = "/b/a%20b%2Bc/.././/%C3%A9%F0%9F%98%80~%2A%27%28%29%21%26%3D%24%40%2C%3B%3A%2541";
    let signature = "d6ae9ac397181fe43233df1d2e93e407bd9bfbffa76e12376e362ac0f3f11765";
    request("PUT", path, &headers, signature).assert_only_this(path);
    // The same key, escaped as other clients do: the signature covers the key, not its spelling.
    let path = "/b/a%20b+c/.././/%c3%a9\u{1F600}%7E*'()!&=$@,;:%2541";
    request("PUT", path, &headers, signature).check().unwrap();
    let target = "/b/k?uploadId=a%2Bb%20c%2F&partNumber=2";
    let signature = "be3828d41074e474b9140e7da7c5facb2ef6866ebae2c0f93cb7e630c6a4c777";
    request("PUT", target, &headers, signature).assert_only_this(target);
}

#[test]
fn presigned() {
    let scope = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F\
                 aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=";
    for (target, signature) in [
        (
            "/b/a%20b%2Bc/.././/%C3%A9%F0%9F%98%80~%2A%27%28%29%21%2541?",
            "a9b7acfea79270f4d4ab08529e37dd1e9b7b8ab9770c3886c274eaad3d48d317",
        ),
        (
            "/b/k?response-content-disposition=attachment%3B%20filename%3D%22a%2Bb.txt%22&versionId=x&",
            "3a3268b5204921ca8022997a8bb336a49668a995c43d2263ad38a96c44c9c5c1",
        ),
    ] {
        request("GET", &format!("{target}{scope}{signature}"), &[HOST], "")
            .assert_only_this(target);
    }
}

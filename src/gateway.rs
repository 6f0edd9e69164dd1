//! S3 on this node: which operation a request asks for, whether it may, and the operation itself.
//!
//! A file an operation, or a few that share their steps. None of them touches storage: they ask the group that
//! holds the key, wherever it lives ([`Shard::ask`]).

pub mod acl;
pub mod attributes;
pub mod bucket;
pub mod configuration;
pub mod copy;
pub mod cors;
pub mod delete;
pub mod encryption;
pub mod get;
pub mod health;
pub mod ingest;
pub mod list;
pub mod list_versions;
pub mod lock;
pub mod metrics;
pub mod multipart;
pub mod multipart_list;
pub(crate) mod ownership;
pub mod payload;
pub mod post;
pub mod put;
pub mod quota;
pub mod read;
pub mod record;
pub mod refusal;
pub mod tagging;
mod version;
pub mod versioning;
pub mod website;

use std::sync::Arc;

use anode_net::{
    http::ResponseHead,
    s3::{
        self, Form, Headers, Operation,
        error::ErrorContext,
        operation::{self, Kind},
        version::Version,
    },
};

use anode_shards::object::Object;

use crate::{
    authorize::{self, Caller},
    exchange::{Exchange, Response},
    host::Host,
    iam,
    mesh::{Access, Answer, Ask},
    meta::BucketView,
    metrics::Counted,
    permission,
    shard::Shard,
};

/// Answers a request, whatever it is: there is no other way out of it.
pub async fn respond<H: Host>(exchange: &mut Exchange<'_, H>) -> Response<H> {
    if let Some(response) = health::respond(exchange) {
        exchange.counted = Counted::Health;
        return response;
    }
    if metrics::is_asked(&exchange.head) {
        exchange.counted = Counted::Metrics;
        // Boxed, for else every connection would keep room for the figures.
        return Box::pin(metrics::respond(exchange)).await;
    }
    if let Some(bucket) = website::bucket_of(exchange) {
        exchange.counted = Counted::Website;
        // Boxed, for else every connection would keep room for it.
        let response = Box::pin(website::respond(exchange, &bucket)).await;
        return cors::stamp_of(exchange, &bucket, response);
    }
    if iam::api::is_asked(&exchange.head) {
        exchange.counted = Counted::Iam;
        return Box::pin(iam::api::respond(exchange)).await;
    }
    let response = match perform(exchange).await {
        Ok(response) => response,
        Err(error) => error_response(exchange, &error),
    };
    cors::stamp(exchange, response)
}

async fn perform<H: Host>(exchange: &mut Exchange<'_, H>) -> Result<Response<H>, s3::Error> {
    exchange.shard.check_serving()?;
    let head = exchange.head.clone();
    let fields: Vec<(&str, &str)> = head.headers().collect();
    let headers = Headers::new(&fields);
    let request = s3::Request {
        method: head.method_name(),
        path: head.path(),
        query: head.query().unwrap_or_default(),
        headers,
    };
    let routed = s3::route(&request, exchange.shard.settings().domain.as_deref())?;
    exchange.counted = Counted::of(routed.route.answer);
    if routed.route.answer == operation::Answer::Served(Kind::OptionsObject) {
        return cors::preflight(&exchange.shard, &routed.address, headers);
    }
    // Who sends a form, and what it asks for, is in its fields.
    let form = if post::is_asked(routed.route) {
        Some(Box::pin(post::read_fields(exchange, headers)).await?)
    } else {
        None
    };
    let caller = match &form {
        Some(form) => authorize::authorize_form(&exchange.shard, &request, form, &routed)?,
        None => authorize::authorize(&exchange.shard, &request, routed.route)?,
    };
    let fields = form.as_ref().map(Form::headers);
    let parameters = fields.as_deref().map_or(headers, Headers::new);
    permission::check(exchange, &caller, (&routed, parameters)).await?;
    encryption::check_secure(exchange, parameters)?;
    let operation = routed.operation(parameters)?;
    match dispatch(exchange, &caller, &operation).await {
        Err(error) => Err(permission::shown(exchange, &caller, &routed, error).await),
        done => done,
    }
}

async fn dispatch<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    operation: &Operation,
) -> Result<Response<H>, s3::Error> {
    let shard = exchange.shard.clone();
    match operation {
        Operation::ListBuckets(list) => Ok(bucket::list(&shard, caller, list)),
        Operation::CreateBucket(of) => bucket::create(exchange, caller, of).await,
        Operation::GetBucketAcl(of) => acl::get_of_bucket(&shard, &of.bucket),
        Operation::GetObjectAcl(of) => acl::get_of_object(&shard, caller, of).await,
        Operation::PutBucketAcl(acl) | Operation::PutObjectAcl(acl) => {
            acl::put(exchange, caller, acl).await
        }
        Operation::HeadBucket(of) => bucket::head(&shard, &of.bucket),
        Operation::DeleteBucket(of) => bucket::delete(&shard, &of.bucket).await,
        Operation::GetBucketLocation(of) => bucket::location(&shard, &of.bucket),
        Operation::GetBucketVersioning(of) => versioning::get(&shard, &of.bucket),
        Operation::PutBucketVersioning(put) => versioning::put(exchange, caller, put).await,
        Operation::GetBucketQuota(of) => quota::get(&shard, &of.bucket).await,
        Operation::GetBucketPolicyStatus(of) => configuration::policy_status(&shard, &of.bucket),
        Operation::ListObjects(query) => list::list_v1(&shard, query).await,
        Operation::ListObjectsV2(query) => list::list_v2(&shard, query).await,
        Operation::ListObjectVersions(query) => list_versions::list(&shard, query).await,
        Operation::ListMultipartUploads(query) => multipart_list::uploads(&shard, query).await,
        Operation::DeleteObjects(delete) => delete::many(exchange, caller, delete).await,
        Operation::PutObject(put) => put::put(exchange, caller, put).await,
        Operation::PostObject(post) => post::post(exchange, caller, post).await,
        Operation::GetObject(read) => get::get(&shard, caller, read, get::Want::Body).await,
        Operation::HeadObject(read) => get::get(&shard, caller, read, get::Want::Head).await,
        Operation::DeleteObject(delete) => delete::one(exchange, caller, delete).await,
        Operation::CopyObject(copy) => copy::object(exchange, caller, copy).await,
        Operation::GetObjectAttributes(query) => {
            attributes::attributes(&shard, caller, query).await
        }
        Operation::GetObjectTagging(of) => tagging::get(&shard, of).await,
        Operation::PutObjectTagging(put) => tagging::put(exchange, caller, put).await,
        Operation::DeleteObjectTagging(of) => tagging::delete(exchange, caller, of).await,
        Operation::GetObjectRetention(of) => lock::get_retention(&shard, of).await,
        Operation::PutObjectRetention(put) => lock::put_retention(exchange, caller, put).await,
        Operation::GetObjectLegalHold(of) => lock::get_legal_hold(&shard, of).await,
        Operation::PutObjectLegalHold(put) => lock::put_legal_hold(exchange, caller, put).await,
        Operation::CreateMultipartUpload(create) => multipart::create(&shard, caller, create).await,
        Operation::UploadPart(part) => multipart::upload_part(exchange, caller, part).await,
        Operation::UploadPartCopy(part) => copy::part(&shard, caller, part).await,
        Operation::ListParts(query) => multipart_list::parts(&shard, query).await,
        Operation::CompleteMultipartUpload(complete) => {
            multipart::complete(exchange, caller, complete).await
        }
        Operation::AbortMultipartUpload(abort) => multipart::abort(&shard, abort).await,
        Operation::Configuration(asked) => configuration::answer(exchange, caller, asked).await,
        // Answered before authorization.
        Operation::OptionsObject => Err(s3::ErrorCode::AccessForbidden.into()),
        Operation::NotConfigured(kind) => bucket::not_configured(exchange, *kind),
        Operation::NotImplemented(name) => Err(s3::Error::operation_not_implemented(name)),
    }
}

fn error_response<H: Host>(exchange: &Exchange<'_, H>, error: &s3::Error) -> Response<H> {
    let context = ErrorContext {
        resource: exchange.head.path(),
        request_id: &exchange.request_id,
        host_id: exchange.shard.host_id(),
    };
    let head = error_head(exchange, error);
    Response::full(head, "application/xml", error.to_xml(&context))
}

/// The head of an error's response. What is the node's fault is logged.
fn error_head<H: Host>(exchange: &Exchange<'_, H>, error: &s3::Error) -> ResponseHead {
    let (code, status) = (error.code().name(), error.status());
    if status >= 500 && status != 501 {
        let (request_id, path) = (&exchange.request_id, exchange.head.path());
        tracing::warn!(%request_id, path, code, message = error.message(), "refused");
    }
    let mut head = ResponseHead::new(status);
    for (name, value) in error.headers() {
        head = head.header(name, value);
    }
    if status == 503 {
        head = head.header("Retry-After", "1");
    }
    head
}

/// The tags of a version, where it is there.
pub(crate) async fn find_tags<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    key: &str,
    version: &Version,
) -> Result<Vec<(String, String)>, s3::Error> {
    let found = find_object(shard, bucket, key, version).await?;
    Ok(found.map(|object| object.tags).unwrap_or_default())
}

/// What is kept of a version, where it is there.
pub(crate) async fn find_object<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    key: &str,
    version: &Version,
) -> Result<Option<Object>, s3::Error> {
    let Some(version) = version::wanted(version) else { return Ok(None) };
    let group = shard.group_of(bucket.record.id, key);
    let (bucket, key) = (bucket.record.id, key.to_owned());
    let ask = Ask::Object { bucket, key, version, access: Access::Record };
    let Answer::Object(found) = shard.ask(group, ask).await? else { return Ok(None) };
    Ok(found.map(|found| found.object))
}

/// The bucket of this name.
pub(crate) fn find_bucket<H: Host>(
    shard: &Shard<H>,
    name: &str,
) -> Result<Arc<BucketView>, s3::Error> {
    let meta = shard.meta();
    meta.buckets.get(name).cloned().ok_or_else(|| s3::Error::no_such_bucket(name))
}

//! Which operation a request asks for, and with which parameters.
//!
//! The operations of S3 are one table, [`table::ROUTES`]: routing reads it, and so does whoever
//! authorizes. A sub-resource that S3 knows is never ignored, so that `DELETE /b/k?tagging` can't
//! delete the object; a parameter that S3 doesn't know always is.

pub mod table;

use crate::checksum::Declared;
use crate::s3::address::{self, Address};
use crate::s3::checksums;
use crate::s3::configuration::{ConfigurationKind, Verb};
use crate::s3::error::{Error, ErrorCode};
use crate::s3::not_configured::NotConfigured;
use crate::s3::parameters::{
    AbortMultipartUpload, BucketDocument, CompleteMultipartUpload, CopyObject, CreateBucket,
    CreateMultipartUpload, DeleteObject, DeleteObjects, GetObjectAttributes, ListBuckets,
    ListMultipartUploads, ListObjectVersions, ListObjects, ListObjectsV2, ListParts,
    ObjectDocument, OfBucket, OfObject, PostObject, PutAcl, PutObject, PutRetention, ReadObject,
    UploadPart, UploadPartCopy, content_md5, multipart,
};
use crate::s3::query::Query;
use crate::s3::request::{Headers, Request};
use crate::s3::unsupported;

pub use table::{Answer, Kind, ROUTES, Route, Scope, With};

/// A request whose operation is known; its parameters are not read yet.
#[derive(Clone, Debug)]
pub struct Routed {
    /// The row of the table: name, IAM actions, answer.
    pub route: &'static Route,
    /// What it is about.
    pub address: Address,
    /// The parameters of the query.
    pub query: Query,
}

/// A request about a configuration of a bucket; that of a PUT brings its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configure {
    /// Which configuration.
    pub kind: ConfigurationKind,
    /// What is done with it.
    pub verb: Verb,
    /// The bucket's name.
    pub bucket: String,
    /// The MD5 that the document must have.
    pub md5: Option<[u8; 16]>,
    /// The checksum that the document must have.
    pub checksum: Option<Declared>,
}

/// An operation with its parameters.
#[expect(missing_docs, reason = "the names are S3's; the parameters are documented")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    ListBuckets(ListBuckets),
    CreateBucket(CreateBucket),
    GetBucketAcl(OfBucket),
    PutBucketAcl(PutAcl),
    HeadBucket(OfBucket),
    DeleteBucket(OfBucket),
    GetBucketLocation(OfBucket),
    GetBucketVersioning(OfBucket),
    PutBucketVersioning(BucketDocument),
    GetBucketPolicyStatus(OfBucket),
    GetBucketQuota(OfBucket),
    ListObjects(ListObjects),
    ListObjectsV2(ListObjectsV2),
    ListObjectVersions(ListObjectVersions),
    ListMultipartUploads(ListMultipartUploads),
    DeleteObjects(DeleteObjects),
    PutObject(Box<PutObject>),
    PostObject(Box<PostObject>),
    GetObjectAcl(OfObject),
    PutObjectAcl(PutAcl),
    GetObject(Box<ReadObject>),
    HeadObject(Box<ReadObject>),
    DeleteObject(DeleteObject),
    CopyObject(Box<CopyObject>),
    GetObjectAttributes(GetObjectAttributes),
    GetObjectTagging(OfObject),
    PutObjectTagging(ObjectDocument),
    DeleteObjectTagging(OfObject),
    GetObjectRetention(OfObject),
    PutObjectRetention(PutRetention),
    GetObjectLegalHold(OfObject),
    PutObjectLegalHold(ObjectDocument),
    /// A browser asks before a request: answered without a signature.
    OptionsObject,
    CreateMultipartUpload(Box<CreateMultipartUpload>),
    UploadPart(UploadPart),
    UploadPartCopy(Box<UploadPartCopy>),
    ListParts(ListParts),
    CompleteMultipartUpload(CompleteMultipartUpload),
    AbortMultipartUpload(AbortMultipartUpload),
    /// A configuration of a bucket.
    Configuration(Configure),
    /// A configuration read: once bucket (and key) are known to exist, answer what is inside.
    NotConfigured(NotConfigured),
    /// An operation that AWS has and Anode hasn't, by its name: 501.
    NotImplemented(&'static str),
}

/// Finds the operation, bucket and key of a request. `domain` is as in [`address::resolve`].
pub fn route(request: &Request<'_>, domain: Option<&str>) -> Result<Routed, Error> {
    let address = address::resolve(request.headers.get("host"), domain, request.path)?;
    let query = Query::parse(request.query)?;
    let scope = match &address {
        Address::Service => Scope::Service,
        Address::Bucket { .. } => Scope::Bucket,
        Address::Object { .. } => Scope::Object,
    };
    // A preflight asks about another request, whose sub-resource its query has.
    let subresource = if request.method == "OPTIONS" { "" } else { subresource(&query)? };
    let found = ROUTES.iter().find(|route| {
        route.scope == scope
            && route.method == request.method
            && route.subresource == subresource
            && is_with(route.with, &query, request.headers)
    });
    match found {
        Some(route) => Ok(Routed { route, address, query }),
        None => Err(Error::new(ErrorCode::MethodNotAllowed)
            .field("Method", request.method)
            .field("ResourceType", resource_type(scope, subresource))),
    }
}

impl Routed {
    /// A GET of an object that was asked for in another way.
    pub fn get_object(bucket: &str, key: &str) -> Self {
        let is_it = |route: &&Route| route.answer == Answer::Served(Kind::GetObject);
        let route = ROUTES.iter().find(is_it).expect("every kind is in the table");
        let address = Address::Object { bucket: bucket.to_owned(), key: key.to_owned() };
        Self { route, address, query: Query::default() }
    }

    /// Reads the parameters. Asking for a feature that Anode hasn't is an error. Those of `PostObject` are the fields of
    /// its form: they stand for headers ([`Form::headers`](crate::s3::Form::headers)).
    pub fn operation(&self, headers: Headers<'_>) -> Result<Operation, Error> {
        match self.route.answer {
            Answer::Served(kind) => {
                unsupported::check(headers)?;
                self.served(kind, headers)
            }
            Answer::Configuration(kind, verb) => {
                let bucket = multipart::bucket(&self.address);
                let (md5, checksum) = (content_md5(headers)?, checksums::of_body(headers)?);
                Ok(Operation::Configuration(Configure { kind, verb, bucket, md5, checksum }))
            }
            Answer::NotConfigured(kind) => Ok(Operation::NotConfigured(kind)),
            Answer::NotImplemented => Ok(Operation::NotImplemented(self.route.name)),
        }
    }

    #[expect(clippy::too_many_lines, reason = "an arm an operation, and nothing else")]
    fn served(&self, kind: Kind, headers: Headers<'_>) -> Result<Operation, Error> {
        let (address, query) = (&self.address, &self.query);
        let bucket = || OfBucket { bucket: multipart::bucket(address) };
        Ok(match kind {
            Kind::ListBuckets => Operation::ListBuckets(ListBuckets::parse(query)?),
            Kind::CreateBucket => Operation::CreateBucket(CreateBucket::parse(address, headers)?),
            Kind::GetBucketAcl => Operation::GetBucketAcl(bucket()),
            Kind::PutBucketAcl => Operation::PutBucketAcl(PutAcl::parse(address, query, headers)?),
            Kind::HeadBucket => Operation::HeadBucket(bucket()),
            Kind::DeleteBucket => Operation::DeleteBucket(bucket()),
            Kind::GetBucketLocation => Operation::GetBucketLocation(bucket()),
            Kind::GetBucketVersioning => Operation::GetBucketVersioning(bucket()),
            Kind::GetBucketPolicyStatus => Operation::GetBucketPolicyStatus(bucket()),
            Kind::GetBucketQuota => Operation::GetBucketQuota(bucket()),
            Kind::PutBucketVersioning => {
                Operation::PutBucketVersioning(BucketDocument::parse(address, headers)?)
            }
            Kind::ListObjects => Operation::ListObjects(ListObjects::parse(address, query)?),
            Kind::ListObjectsV2 => Operation::ListObjectsV2(ListObjectsV2::parse(address, query)?),
            Kind::ListObjectVersions => {
                Operation::ListObjectVersions(ListObjectVersions::parse(address, query)?)
            }
            Kind::ListMultipartUploads => {
                Operation::ListMultipartUploads(ListMultipartUploads::parse(address, query)?)
            }
            Kind::DeleteObjects => {
                Operation::DeleteObjects(DeleteObjects::parse(address, headers)?)
            }
            Kind::PutObject => {
                refuse_stray_part(query)?;
                Operation::PutObject(Box::new(PutObject::parse(address, headers)?))
            }
            Kind::PostObject => {
                Operation::PostObject(Box::new(PostObject::parse(address, headers)?))
            }
            Kind::GetObjectAcl => Operation::GetObjectAcl(OfObject::parse(address, query)?),
            Kind::PutObjectAcl => Operation::PutObjectAcl(PutAcl::parse(address, query, headers)?),
            Kind::GetObject => {
                Operation::GetObject(Box::new(ReadObject::parse(address, query, headers)?))
            }
            Kind::HeadObject => {
                Operation::HeadObject(Box::new(ReadObject::parse(address, query, headers)?))
            }
            Kind::DeleteObject => {
                refuse_stray_part(query)?;
                Operation::DeleteObject(DeleteObject::parse(address, query, headers)?)
            }
            Kind::CopyObject => {
                refuse_stray_part(query)?;
                Operation::CopyObject(Box::new(CopyObject::parse(address, headers)?))
            }
            Kind::GetObjectAttributes => {
                Operation::GetObjectAttributes(GetObjectAttributes::parse(address, query, headers)?)
            }
            Kind::GetObjectTagging => Operation::GetObjectTagging(OfObject::parse(address, query)?),
            Kind::PutObjectTagging => {
                Operation::PutObjectTagging(ObjectDocument::parse(address, query, headers)?)
            }
            Kind::DeleteObjectTagging => {
                Operation::DeleteObjectTagging(OfObject::parse(address, query)?)
            }
            Kind::GetObjectRetention => {
                Operation::GetObjectRetention(OfObject::parse(address, query)?)
            }
            Kind::PutObjectRetention => {
                Operation::PutObjectRetention(PutRetention::parse(address, query, headers)?)
            }
            Kind::GetObjectLegalHold => {
                Operation::GetObjectLegalHold(OfObject::parse(address, query)?)
            }
            Kind::PutObjectLegalHold => {
                Operation::PutObjectLegalHold(ObjectDocument::parse(address, query, headers)?)
            }
            Kind::OptionsObject => Operation::OptionsObject,
            Kind::CreateMultipartUpload => Operation::CreateMultipartUpload(Box::new(
                CreateMultipartUpload::parse(address, headers)?,
            )),
            Kind::UploadPart => Operation::UploadPart(UploadPart::parse(address, query, headers)?),
            Kind::UploadPartCopy => {
                Operation::UploadPartCopy(Box::new(UploadPartCopy::parse(address, query, headers)?))
            }
            Kind::ListParts => Operation::ListParts(ListParts::parse(address, query)?),
            Kind::CompleteMultipartUpload => Operation::CompleteMultipartUpload(
                CompleteMultipartUpload::parse(address, query, headers)?,
            ),
            Kind::AbortMultipartUpload => {
                Operation::AbortMultipartUpload(AbortMultipartUpload::parse(address, query)?)
            }
        })
    }
}

/// The sub-resource that the query names, or nothing; two of them contradict each other.
fn subresource(query: &Query) -> Result<&'static str, Error> {
    let mut found = "";
    for (name, _) in query.iter() {
        let Ok(index) = table::SUBRESOURCES.binary_search(&name) else { continue };
        let name = table::SUBRESOURCES.get(index).copied().unwrap_or_default();
        if found.is_empty() || found == name {
            found = name;
        } else {
            let message = format!("Conflicting query string parameters: {found}, {name}");
            return Err(Error::argument(message, "ResourceType", found));
        }
    }
    Ok(found)
}

fn is_with(with: With, query: &Query, headers: Headers<'_>) -> bool {
    match with {
        With::Nothing => true,
        With::Header(name) => headers.has(name),
        With::Parameter(name) => query.has(name),
        With::ParameterValue(name, value) => query.get(name) == Some(value),
    }
}

/// A write with a part number and no upload was meant for an upload: it must not touch the object.
fn refuse_stray_part(query: &Query) -> Result<(), Error> {
    match query.get("partNumber") {
        Some(number) => Err(Error::argument(
            "This operation does not accept partNumber without uploadId",
            "partNumber",
            number,
        )),
        None => Ok(()),
    }
}

fn resource_type(scope: Scope, subresource: &str) -> String {
    match (scope, subresource) {
        (Scope::Service, "") => "SERVICE".to_owned(),
        (Scope::Bucket, "") => "BUCKET".to_owned(),
        (Scope::Object, "") => "OBJECT".to_owned(),
        (_, name) => name.to_uppercase(),
    }
}

#[cfg(test)]
mod tests;

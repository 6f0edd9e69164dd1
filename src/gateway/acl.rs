//! S3: `PutBucketAcl`, `PutObjectAcl`, as on a bucket that enforces its owner's ownership.
//!
//! Nothing is stored: the only ACL that is accepted is the one that everything has. Clients read an ACL, copy an object
//! and put the ACL back.

use anode_net::{
    http::ResponseHead,
    s3::{self, ErrorCode, parameters::PutAcl, xml},
};

use super::{find_bucket, get, payload};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response},
    host::Host,
};

/// Accepts the owner's full control, by name or as a document, on what exists.
pub async fn put<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    put: &PutAcl,
) -> Result<Response<H>, s3::Error> {
    let shard = exchange.shard.clone();
    let bucket = find_bucket(&shard, &put.bucket)?;
    if let Some(key) = &put.key {
        get::find(&shard, (&put.bucket, key), &put.version, get::Want::Head).await?;
    }
    let body = payload::document(exchange, caller, put.md5, put.checksum).await?;
    match (put.is_canned, body.is_empty()) {
        (true, true) => {}
        (false, false) => xml::acl::check(&body, &bucket.owner.owner())?,
        // S3: an ACL is named or written out, one of the two.
        (true, false) => return Err(s3::Error::new(ErrorCode::UnexpectedContent)),
        (false, true) => return Err(s3::Error::new(ErrorCode::MissingSecurityHeader)),
    }
    Ok(Response::empty(ResponseHead::new(200)))
}

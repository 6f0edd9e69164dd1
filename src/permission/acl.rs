//! What ACLs let do. S3: How Amazon S3 authorizes a request, where buckets and objects have owners of their own.

use anode_net::s3::{
    self,
    acl::{Acl, Need, Permission, Requester},
};

use super::Wanted;
use crate::{
    authorize::Caller,
    gateway::{find_object, ownership},
    host::Host,
    shard::Shard,
};

/// What the ACLs of a bucket and of an object say to what is wanted.
pub(super) struct Say {
    /// Whether they let do it.
    pub(super) is_given: bool,
    /// Whether a policy that lets do it counts: that of a bucket is its owner's word, for objects of that owner alone.
    pub(super) heeds_policy: bool,
}

/// Asks the ACLs; none where they have no say.
pub(super) async fn ask<H: Host>(
    shard: &Shard<H>,
    caller: &Caller,
    wanted: &Wanted<'_>,
) -> Result<Option<Say>, s3::Error> {
    let bucket = &wanted.bucket;
    let Some(need) = wanted.need.filter(|_| ownership::has_acls(shard, bucket)) else {
        return Ok(None);
    };
    let block = bucket.configurations.public_access_block.unwrap_or_default();
    let account = ownership::requester(caller);
    let requester = Requester { account, counts_public: !block.ignore_public_acls };
    let of_bucket = |permission| {
        let acl = bucket.configurations.acl.as_ref();
        match acl {
            Some(acl) => acl.gives(&requester, permission),
            None => account == Some(ownership::bucket_owner(bucket)),
        }
    };
    let permission = match need {
        Need::Bucket(permission) => {
            return Ok(Some(Say { is_given: of_bucket(permission), heeds_policy: true }));
        }
        Need::Object(permission) => permission,
    };
    let key = wanted.key.unwrap_or_default();
    let Some(object) = find_object(shard, bucket, key, &wanted.version).await? else {
        // There is nothing to be let at; that it isn't there is told to who may list the bucket.
        return Ok(Some(Say { is_given: of_bucket(Permission::Read), heeds_policy: true }));
    };
    let acl: Acl = ownership::object_acl(shard, bucket, &object);
    let heeds_policy = acl.owner == ownership::bucket_owner(bucket);
    Ok(Some(Say { is_given: acl.gives(&requester, permission), heeds_policy }))
}

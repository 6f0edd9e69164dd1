//! What ACLs let do. S3: How Amazon S3 authorizes a request, where buckets and objects have owners of their own.

use std::cell::RefCell;

use anode_net::s3::{
    self, ErrorCode,
    acl::{Acl, Need, Permission, Requester},
};
use anode_shards::{acl::Acl as StoredAcl, object::Object};

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

/// The object whose ACL was asked. Between the question and the answer another can be put in its place, which its caller may
/// not be let at.
#[derive(Debug, Default)]
pub(crate) struct Judged(RefCell<Option<Seen>>);

#[derive(Debug)]
enum Seen {
    Absent,
    Kept(Option<Box<StoredAcl>>),
}

impl Judged {
    /// Refuses an object whose ACL is another than the one that was asked.
    pub(crate) fn check(&self, found: &Object) -> Result<(), s3::Error> {
        let is_same = match &*self.0.borrow() {
            None => true,
            Some(Seen::Absent) => false,
            Some(Seen::Kept(acl)) => *acl == found.acl,
        };
        is_same.then_some(()).ok_or_else(|| s3::Error::new(ErrorCode::OperationAborted))
    }
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
    let found = find_object(shard, bucket, key, &wanted.version).await?;
    let seen = found.as_ref().map_or(Seen::Absent, |object| Seen::Kept(object.acl.clone()));
    caller.judged.0.replace(Some(seen));
    let Some(object) = found else {
        // There is nothing to be let at; that it isn't there is told to who may list the bucket.
        return Ok(Some(Say { is_given: of_bucket(Permission::Read), heeds_policy: true }));
    };
    let acl: Acl = ownership::object_acl(shard, bucket, &object);
    let heeds_policy = acl.owner == ownership::bucket_owner(bucket);
    Ok(Some(Say { is_given: acl.gives(&requester, permission), heeds_policy }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_the_place_of_an_object_is_not_what_was_asked_about() {
        let acl = |owner: &str| StoredAcl { owner: owner.to_owned(), grants: Vec::new() };
        let kept = |owner| Some(Box::new(acl(owner)));
        let object = |acl| Object { acl, ..Object::default() };
        for (seen, found, expected) in [
            (None, kept("a"), Ok(())),
            (Some(Seen::Absent), None, Err(ErrorCode::OperationAborted)),
            (Some(Seen::Kept(None)), None, Ok(())),
            (Some(Seen::Kept(kept("a"))), kept("a"), Ok(())),
            (Some(Seen::Kept(kept("a"))), kept("b"), Err(ErrorCode::OperationAborted)),
            (Some(Seen::Kept(kept("a"))), None, Err(ErrorCode::OperationAborted)),
        ] {
            let judged = Judged(RefCell::new(seen));
            let checked = judged.check(&object(found)).map_err(|error| error.code());
            assert_eq!(checked, expected, "{judged:?}");
        }
    }
}

//! Who owns buckets and objects, and by which ACL: S3's Object Ownership.
//!
//! Where a bucket enforces its owner's ownership, its owner owns all that is in it and ACLs say nothing. Else the ACL of an
//! object is kept with it, unless it is what an object without one has: all to the owner of the bucket.

use anode_net::s3::{
    self, ErrorCode,
    acl::{ANONYMOUS, Accounts, Acl, Asked, Canned, Scope},
    configuration::ownership::Ownership,
    xml::Owner,
};
use anode_shards::{acl::Acl as StoredAcl, object::Object};

use crate::{authorize::Caller, host::Host, iam::Directory, meta::BucketView, shard::Shard};

/// Who owns what is put into a bucket.
pub(crate) fn of_bucket<H: Host>(shard: &Shard<H>, bucket: &BucketView) -> Ownership {
    bucket.configurations.ownership.unwrap_or_else(|| shard.settings().object_ownership)
}

/// Whether the ACLs of a bucket and its objects say anything.
pub(crate) fn has_acls<H: Host>(shard: &Shard<H>, bucket: &BucketView) -> bool {
    of_bucket(shard, bucket) != Ownership::BucketOwnerEnforced
}

/// The canonical id of a bucket's owner.
pub(crate) fn bucket_owner(bucket: &BucketView) -> &str {
    &bucket.owner.canonical_id
}

/// The canonical id of who sends a request; none where nothing was signed.
pub(crate) fn requester(caller: &Caller) -> Option<&str> {
    caller.principal().map(|principal| principal.account.canonical_id.as_str())
}

/// What people call an account.
pub(crate) fn name<'a>(iam: &'a Directory, id: &str) -> Option<&'a str> {
    iam.account_of_canonical(id).map(|account| account.name.as_str())
}

/// The owners of what is in a bucket, as listings show them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owners<'a> {
    iam: &'a Directory,
    bucket: &'a BucketView,
    has_acls: bool,
}

impl<'a> Owners<'a> {
    /// Those of a bucket.
    pub(crate) fn new<H: Host>(
        shard: &Shard<H>,
        iam: &'a Directory,
        bucket: &'a BucketView,
    ) -> Self {
        Self { iam, bucket, has_acls: has_acls(shard, bucket) }
    }

    /// The owner of what this is kept of.
    pub(crate) fn of(&self, kept: Option<&'a StoredAcl>) -> Owner<'a> {
        let id = kept.filter(|_| self.has_acls).map(|acl| acl.owner.as_str());
        match id.filter(|id| *id != bucket_owner(self.bucket)) {
            Some(id) => Owner { id, name: name(self.iam, id).unwrap_or_default() },
            None => self.bucket.owner.owner(),
        }
    }
}

/// The ACL of a bucket.
pub(crate) fn bucket_acl<H: Host>(shard: &Shard<H>, bucket: &BucketView) -> Acl {
    let kept = bucket.configurations.acl.clone().filter(|_| has_acls(shard, bucket));
    kept.unwrap_or_else(|| Acl::private(bucket_owner(bucket)))
}

/// The ACL of an object.
pub(crate) fn object_acl<H: Host>(shard: &Shard<H>, bucket: &BucketView, object: &Object) -> Acl {
    match object.acl.as_ref().filter(|_| has_acls(shard, bucket)) {
        Some(acl) => Acl::of_pairs(&acl.owner, &acl.grants),
        None => Acl::private(bucket_owner(bucket)),
    }
}

/// What is kept of the owner and the ACL of a new object.
pub(crate) fn of_new<H: Host>(
    shard: &Shard<H>,
    caller: &Caller,
    bucket: &BucketView,
    asked: Option<&Asked>,
) -> Result<Option<Box<StoredAcl>>, s3::Error> {
    let bucket_owner = bucket_owner(bucket);
    let scope = Scope::Object { bucket_owner };
    let ownership = of_bucket(shard, bucket);
    if ownership == Ownership::BucketOwnerEnforced {
        return asked
            .map_or(Ok(()), |asked| check_enforced(shard, asked, (bucket_owner, scope)))
            .map(|()| None);
    }
    let is_given = ownership == Ownership::BucketOwnerPreferred
        && asked.is_some_and(|asked| asked.is(Canned::BucketOwnerFullControl));
    let writer = requester(caller).unwrap_or(ANONYMOUS);
    let owner = if is_given { bucket_owner } else { writer };
    let acl = match asked {
        Some(asked) => asked.resolve(owner, scope, &*shard.meta().iam)?,
        None if owner == bucket_owner => return Ok(None),
        None => Acl::private(owner),
    };
    check_public(bucket, &acl)?;
    Ok(stored(&acl, bucket_owner))
}

/// What is kept of an object's ACL.
pub(crate) fn stored(acl: &Acl, bucket_owner: &str) -> Option<Box<StoredAcl>> {
    let is_plain = acl.owner == bucket_owner && acl.is_private();
    (!is_plain).then(|| Box::new(StoredAcl { owner: acl.owner.clone(), grants: acl.pairs() }))
}

/// Refuses what an ACL can't say where ownership is enforced: anything but full control of the bucket's owner.
pub(crate) fn check_enforced<H: Host>(
    shard: &Shard<H>,
    asked: &Asked,
    (bucket_owner, scope): (&str, Scope<'_>),
) -> Result<(), s3::Error> {
    let says_nothing = match asked {
        Asked::Canned(canned) => {
            matches!(canned, Canned::Private | Canned::BucketOwnerFullControl)
        }
        Asked::Grants(_) => asked.resolve(bucket_owner, scope, &*shard.meta().iam)?.is_private(),
    };
    let refused = || s3::Error::new(ErrorCode::AccessControlListNotSupported);
    says_nothing.then_some(()).ok_or_else(refused)
}

/// S3: `BlockPublicAcls`.
pub(crate) fn check_public(bucket: &BucketView, acl: &Acl) -> Result<(), s3::Error> {
    let block = bucket.configurations.public_access_block.unwrap_or_default();
    if block.block_public_acls && acl.is_public() {
        return Err(s3::Error::with_message(
            ErrorCode::AccessDenied,
            "Public ACLs are blocked by the BlockPublicAcls block public access setting.",
        ));
    }
    Ok(())
}

impl Accounts for Directory {
    fn has(&self, canonical: &str) -> bool {
        canonical == ANONYMOUS || self.account_of_canonical(canonical).is_some()
    }

    fn of_email(&self, email: &str) -> Option<String> {
        self.account_of_email(email).map(|account| account.canonical_id.clone())
    }
}

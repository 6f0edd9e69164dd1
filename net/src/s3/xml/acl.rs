//! `AccessControlPolicy`: the one ACL that buckets and objects have, and clients put back after a copy.
//!
//! Buckets enforce that their owner owns all (S3: `BucketOwnerEnforced`), so the only ACL is the one that gives the owner
//! full control.

use crate::s3::error::{Error, ErrorCode};
use crate::s3::xml::Owner;
use crate::s3::xml::read::{Elements, malformed};

/// Accepts a document that gives the owner full control and nobody anything else.
pub fn check(body: &[u8], owner: &Owner<'_>) -> Result<(), Error> {
    let mut elements = Elements::open(body, "AccessControlPolicy")?;
    let (mut is_owned, mut grants) = (true, None);
    while let Some(name) = elements.child()? {
        match name.as_str() {
            "Owner" => is_owned &= id(&mut elements)?.is_none_or(|id| id == owner.id),
            "AccessControlList" if grants.is_none() => {
                grants = Some(self::grants(&mut elements, owner)?);
            }
            _ => return Err(malformed()),
        }
    }
    elements.finish()?;
    let grants = grants.ok_or_else(malformed)?;
    if is_owned && grants.owners == 1 && grants.others == 0 {
        Ok(())
    } else {
        Err(Error::new(ErrorCode::AccessControlListNotSupported))
    }
}

/// How many grants give the owner full control, and how many do anything else.
struct Grants {
    owners: usize,
    others: usize,
}

fn grants(elements: &mut Elements<'_>, owner: &Owner<'_>) -> Result<Grants, Error> {
    let mut grants = Grants { owners: 0, others: 0 };
    while let Some(name) = elements.child()? {
        if name != "Grant" {
            return Err(malformed());
        }
        let (mut grantee, mut permission) = (None, None);
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "Grantee" if grantee.is_none() => grantee = Some(id(elements)?),
                "Permission" if permission.is_none() => permission = Some(elements.word()?),
                _ => return Err(malformed()),
            }
        }
        let (grantee, permission) = grantee.zip(permission).ok_or_else(malformed)?;
        if grantee.as_deref() == Some(owner.id) && permission == "FULL_CONTROL" {
            grants.owners += 1;
        } else {
            grants.others += 1;
        }
    }
    Ok(grants)
}

/// The canonical id of an owner or grantee; none for a group or an address.
fn id(elements: &mut Elements<'_>) -> Result<Option<String>, Error> {
    let mut id = None;
    while let Some(name) = elements.child()? {
        match name.as_str() {
            "ID" if id.is_none() => id = Some(elements.word()?),
            "ID" => return Err(malformed()),
            _ => elements.skip()?,
        }
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'static> = Owner { id: "75aa57f0", name: "root" };

    fn grant(grantee: &str, permission: &str) -> String {
        format!("<Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant>")
    }

    fn checked(owner: &str, grants: &str) -> Result<(), ErrorCode> {
        let body = format!(
            "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList>{grants}\
             </AccessControlList></AccessControlPolicy>"
        );
        check(body.as_bytes(), &OWNER).map_err(|error| error.code())
    }

    #[test]
    fn only_full_control_of_the_owner_is_taken() {
        let own = grant("<ID>75aa57f0</ID><DisplayName>x</DisplayName>", "FULL_CONTROL");
        let everybody = grant("<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>", "READ");
        let refused = Err(ErrorCode::AccessControlListNotSupported);
        assert_eq!(checked("75aa57f0", &own), Ok(()));
        assert_eq!(checked("another", &own), refused);
        assert_eq!(checked("75aa57f0", ""), refused);
        assert_eq!(checked("75aa57f0", &format!("{own}{own}")), refused);
        assert_eq!(checked("75aa57f0", &format!("{own}{everybody}")), refused);
        assert_eq!(checked("75aa57f0", &everybody), refused);
        assert_eq!(checked("75aa57f0", &grant("<ID>75aa57f0</ID>", "READ")), refused);
        assert_eq!(checked("75aa57f0", &grant("<ID>another</ID>", "FULL_CONTROL")), refused);
    }

    #[test]
    fn what_is_no_acl_is_malformed() {
        let malformed = Err(ErrorCode::MalformedXML);
        assert_eq!(checked("75aa57f0", "<Grant></Grant>"), malformed);
        assert_eq!(checked("75aa57f0", "<Deny/>"), malformed);
        for body in ["", "<AccessControlPolicy/>", "<Acl/>", "<AccessControlPolicy><Owner/>"] {
            assert_eq!(check(body.as_bytes(), &OWNER).map_err(|error| error.code()), malformed);
        }
    }
}

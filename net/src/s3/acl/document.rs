//! `AccessControlPolicy`, both ways. A grantee is what its element has in it: an id, an address or a URI.

use bytes::Bytes;

use super::asked::{check_count, group};
use super::{Acl, AskedGrant, AskedGrantee, Grant, Grantee, Permission};
use crate::s3::error::{Error, ErrorCode};
use crate::s3::xml::read::Elements;
use crate::s3::xml::write::Document;

const SCHEMA: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// An ACL as a document has it; its grantees are not found yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The canonical id of the owner.
    pub owner: String,
    /// In the order sent.
    pub grants: Vec<AskedGrant>,
}

impl Written {
    /// Reads a document.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let mut elements = Elements::open(body, "AccessControlPolicy")?;
        let (mut owner, mut grants) = (None, None);
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "Owner" if owner.is_none() => owner = Some(read_owner(&mut elements)?),
                "AccessControlList" if grants.is_none() => {
                    grants = Some(read_grants(&mut elements)?);
                }
                _ => return Err(malformed()),
            }
        }
        elements.finish()?;
        let (owner, grants) = owner.zip(grants).ok_or_else(malformed)?;
        Ok(Self { owner, grants })
    }
}

impl Acl {
    /// Reads what [`Self::document`] wrote, where it is kept.
    pub fn read(document: &[u8]) -> Result<Self, Error> {
        let written = Written::read(document)?;
        let mut grants = Vec::with_capacity(written.grants.len());
        for AskedGrant { grantee, permission } in written.grants {
            let grantee = match grantee {
                AskedGrantee::Id(id) => Grantee::Account(id),
                AskedGrantee::Group(group) => Grantee::Group(group),
                AskedGrantee::Email(_) => return Err(malformed()),
            };
            grants.push(Grant { grantee, permission });
        }
        Ok(Self { owner: written.owner, grants })
    }

    /// The document. `name` tells what people call an account.
    pub fn document<'a>(&self, name: impl Fn(&str) -> Option<&'a str>) -> Bytes {
        let mut document = Document::with_root("AccessControlPolicy");
        document.open("Owner");
        document.text("ID", &self.owner);
        document.text_if("DisplayName", name(&self.owner));
        document.close("Owner");
        document.open("AccessControlList");
        for grant in &self.grants {
            document.open("Grant");
            let kind = match &grant.grantee {
                Grantee::Account(_) => "CanonicalUser",
                Grantee::Group(_) => "Group",
            };
            document.open_with("Grantee", &[("xmlns:xsi", SCHEMA), ("xsi:type", kind)]);
            match &grant.grantee {
                Grantee::Account(id) => {
                    document.text("ID", id);
                    document.text_if("DisplayName", name(id));
                }
                Grantee::Group(group) => document.text("URI", group.uri()),
            }
            document.close("Grantee");
            document.text("Permission", grant.permission.name());
            document.close("Grant");
        }
        document.close("AccessControlList");
        document.close("AccessControlPolicy");
        document.finish()
    }
}

fn read_owner(elements: &mut Elements<'_>) -> Result<String, Error> {
    let mut id = None;
    while let Some(name) = elements.child()? {
        match name.as_str() {
            "ID" if id.is_none() => id = Some(elements.word()?),
            "DisplayName" => elements.skip()?,
            _ => return Err(malformed()),
        }
    }
    id.ok_or_else(malformed)
}

fn read_grants(elements: &mut Elements<'_>) -> Result<Vec<AskedGrant>, Error> {
    let mut grants = Vec::new();
    while let Some(name) = elements.child()? {
        if name != "Grant" {
            return Err(malformed());
        }
        check_count(grants.len() + 1)?;
        let (mut grantee, mut permission) = (None, None);
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "Grantee" if grantee.is_none() => grantee = Some(read_grantee(elements)?),
                "Permission" if permission.is_none() => {
                    let permission_of = Permission::of_name(&elements.word()?);
                    permission = Some(permission_of.ok_or_else(malformed)?);
                }
                _ => return Err(malformed()),
            }
        }
        let (grantee, permission) = grantee.zip(permission).ok_or_else(malformed)?;
        grants.push(AskedGrant { grantee, permission });
    }
    Ok(grants)
}

fn read_grantee(elements: &mut Elements<'_>) -> Result<AskedGrantee, Error> {
    let mut grantee = None;
    while let Some(name) = elements.child()? {
        let found = match name.as_str() {
            "ID" => AskedGrantee::Id(elements.word()?),
            "EmailAddress" => AskedGrantee::Email(elements.word()?),
            "URI" => group(&elements.word()?)?,
            "DisplayName" => {
                elements.skip()?;
                continue;
            }
            _ => return Err(malformed()),
        };
        if grantee.replace(found).is_some() {
            return Err(malformed());
        }
    }
    grantee.ok_or_else(malformed)
}

fn malformed() -> Error {
    Error::new(ErrorCode::MalformedACLError)
}

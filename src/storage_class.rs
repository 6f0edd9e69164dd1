//! Storage classes: what S3 calls them, and which of them have directories of their own.
//!
//! Only those that are read like any other: archive classes promise a restore before the first read.

use anode_disk::segment::Class;
use anode_net::s3::{self, ErrorCode};

use crate::{host::Host, shard::Shard};

/// The names of classes that can have a directory. A name's place is its number on disk and never changes: 0 is the volumes'.
const NAMES: [&str; 5] =
    ["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "REDUCED_REDUNDANCY"];
/// What is said of the others.
const STANDARD: &str = "STANDARD";
/// Who asks for this one wants it no safer than others, which is as good as no wish.
const REDUCED: &str = "REDUCED_REDUNDANCY";

/// The directory of a storage class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassDirectory {
    /// The class of its segments.
    pub class: Class,
    /// Where it is.
    pub path: String,
}

/// The class of a name; none where it can have no directory.
pub fn class_of(name: &str) -> Option<Class> {
    let place = NAMES.iter().position(|known| *known == name)?;
    Class::new(u8::try_from(place + 1).ok()?)
}

/// What S3 calls a class.
pub fn name_of(class: Class) -> &'static str {
    let place = usize::from(class.number()).checked_sub(1);
    place.map_or(STANDARD, |place| NAMES.get(place).copied().unwrap_or("of a later release"))
}

/// The names that can be given a directory, for people.
pub fn known() -> String {
    NAMES.join(", ")
}

/// Where the bytes of a new object go whose request names this class.
///
/// # Errors
///
/// `InvalidStorageClass` where other classes have directories and this one has none: whoever set them up means something by a
/// class. Where none has one a class is a name that the object keeps, as ever.
pub(crate) fn place<H: Host>(shard: &Shard<H>, name: Option<&str>) -> Result<Class, s3::Error> {
    let Some(name) = name else { return Ok(Class::OWN) };
    let class = class_of(name);
    let directories = &shard.settings().classes;
    if let Some(found) = directories.iter().find(|directory| Some(directory.class) == class) {
        return Ok(found.class);
    }
    if directories.is_empty() || name == REDUCED {
        return Ok(Class::OWN);
    }
    Err(s3::Error::new(ErrorCode::InvalidStorageClass).field("StorageClassRequested", name))
}

/// Whether lifecycle can move bytes to a class.
///
/// # Errors
///
/// `InvalidStorageClass` where it has no directory: nothing would move.
pub(crate) fn check_target<H: Host>(shard: &Shard<H>, name: &str) -> Result<(), s3::Error> {
    if target(shard, name).is_some() {
        return Ok(());
    }
    let error = s3::Error::with_message(
        ErrorCode::InvalidStorageClass,
        format!("{name} has no directory on this node, so that nothing could go there."),
    );
    Err(error.field("StorageClassRequested", name))
}

/// The class of a name, if it has a directory.
pub(crate) fn target<H: Host>(shard: &Shard<H>, name: &str) -> Option<Class> {
    let class = class_of(name)?;
    let directories = &shard.settings().classes;
    directories.iter().any(|directory| directory.class == class).then_some(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_disk_are_golden() {
        let numbers = NAMES.map(|name| class_of(name).map(Class::number));
        assert_eq!(numbers, [Some(1), Some(2), Some(3), Some(4), Some(5)]);
        assert!(NAMES.iter().all(|name| class_of(name).map(name_of) == Some(*name)));
        assert_eq!((class_of(STANDARD), class_of("GLACIER"), class_of("")), (None, None, None));
        assert_eq!(name_of(Class::OWN), STANDARD);
    }
}

//! Directories of storage classes, by the names of these.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Error, cli, webhook::Named};
use crate::storage_class::{self, ClassDirectory};

/// Merges what flags and file say of them; `data` are the volumes.
pub(super) fn merge(
    flags: &cli::Serve,
    file: BTreeMap<String, PathBuf>,
    data: &[PathBuf],
) -> Result<Vec<ClassDirectory>, Error> {
    let in_file = file.into_iter().map(|(name, path)| (name, path.display().to_string()));
    let given = flags.data_class.iter().map(|named| (named.name.clone(), named.value.clone()));
    let given: Vec<_> =
        if flags.data_class.is_empty() { in_file.collect() } else { given.collect() };
    let refused = |problem| Error::Value { setting: "data-class", problem };
    let directories = read(given).map_err(refused)?;
    let twice = directories.iter().find(|one| data.iter().any(|path| path == Path::new(&one.path)));
    match twice {
        None => Ok(directories),
        Some(one) => Err(refused(format!("{} is a data directory, too; name another", one.path))),
    }
}

/// The directories of a command that looks at a stopped node.
///
/// # Errors
///
/// A sentence that says which class or directory can't be.
pub fn of_flags(flags: &[Named]) -> Result<Vec<ClassDirectory>, String> {
    let given = flags.iter().map(|named| (named.name.clone(), named.value.clone()));
    read(given.collect()).map_err(|problem| format!("data-class: {problem}"))
}

fn read(given: Vec<(String, String)>) -> Result<Vec<ClassDirectory>, String> {
    let mut directories: Vec<ClassDirectory> = Vec::with_capacity(given.len());
    for (name, path) in given {
        let Some(class) = storage_class::class_of(&name) else {
            let known = storage_class::known();
            return Err(format!(
                "{name} is no storage class that can have a directory; give one of {known}"
            ));
        };
        if path.is_empty() {
            return Err(format!("{name} has no directory; give {name}=DIR"));
        }
        if directories.iter().any(|known| known.class == class) {
            return Err(format!("{name} is given two directories; it can have one"));
        }
        if let Some(other) = directories.iter().find(|known| known.path == path) {
            let other = storage_class::name_of(other.class);
            return Err(format!("{path} is that of {other}, too; each class needs its own"));
        }
        directories.push(ClassDirectory { class, path });
    }
    Ok(directories)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Result<Vec<ClassDirectory>, String> {
        read(pairs.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect())
    }

    #[test]
    fn what_can_not_be_is_refused_by_name() {
        let two = given(&[("STANDARD_IA", "/a"), ("GLACIER_IR", "/b")]).unwrap();
        assert_eq!((two[1].class.number(), two[1].path.as_str()), (4, "/b"));
        for (pairs, said) in [
            (&[("GLACIER", "/a")][..], "GLACIER is no storage class"),
            (&[("STANDARD", "/a")][..], "STANDARD is no storage class"),
            (&[("STANDARD_IA", "")][..], "STANDARD_IA has no directory"),
            (&[("STANDARD_IA", "/a"), ("STANDARD_IA", "/b")][..], "STANDARD_IA is given two"),
            (&[("STANDARD_IA", "/a"), ("GLACIER_IR", "/a")][..], "/a is that of STANDARD_IA"),
        ] {
            let refused = given(pairs).unwrap_err();
            assert!(refused.starts_with(said), "{refused}");
        }
    }
}

//! Storage classes that have directories of their own: their space, and what lifecycle moved to them.

use std::fmt;

use anode_disk::segment::{Class, ClassFigures};

use super::{Family, Read, Samples, counter, gauge};
use crate::{lifecycle::Moved, metrics::figures::StorageFigures, storage_class::name_of};

/// Those of storage classes.
pub(super) const FAMILIES: [Family; 6] = [
    gauge(
        "class_held",
        "Bytes that the data segments of a storage class take in its directory.",
        Read::Storages(|storage, samples| each(storage, samples, |class| class.bytes)),
    )
    .in_bytes(),
    gauge(
        "class_live",
        "Bytes of them that tables refer to.",
        Read::Storages(|storage, samples| each(storage, samples, |class| class.live_bytes)),
    )
    .in_bytes(),
    gauge(
        "class_full",
        "1 where the directory of a storage class has no space for new bytes.",
        Read::Storages(|storage, samples| each(storage, samples, |class| u64::from(class.is_full))),
    ),
    gauge(
        "class_failed",
        "1 where a write or flush in the directory of a storage class has failed: nothing new is written there.",
        Read::Storages(|storage, samples| {
            each(storage, samples, |class| u64::from(class.has_failed))
        }),
    ),
    counter(
        "lifecycle_moved_objects",
        "Objects and versions whose bytes lifecycle moved to a storage class.",
        Read::Storages(|storage, samples| {
            each(storage, samples, |class| moved(storage, class).objects)
        }),
    ),
    counter(
        "lifecycle_moved",
        "Bytes that lifecycle moved to a storage class.",
        Read::Storages(|storage, samples| {
            each(storage, samples, |class| moved(storage, class).bytes)
        }),
    )
    .in_bytes(),
];

fn each(
    storage: &StorageFigures,
    samples: &mut Samples<'_>,
    value: impl Fn(&ClassFigures) -> u64,
) -> fmt::Result {
    let mut apart = storage.classes.iter().filter(|class| class.class != Class::OWN);
    apart.try_for_each(|class| samples.put(&[("class", name_of(class.class))], value(class)))
}

/// What lifecycle moved to a class.
fn moved(storage: &StorageFigures, class: &ClassFigures) -> Moved {
    storage.lifecycle.moved[usize::from(class.class.number())]
}

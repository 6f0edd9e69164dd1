//! What a shard counts as it takes connections and answers requests.
//!
//! The cost of a request, beside what it does anyway: one reading of the clock (its begin is read for the log too), one
//! search in [`BUCKETS`], and five additions to memory of this shard's own thread: its class, its bucket, its time, the
//! bytes of one read and of one write. Nothing is allocated and nothing is shared.

use std::cell::RefCell;

use anode_net::s3::operation::{Answer, Kind, ROUTES};

/// What a request was for: one of a fixed set, whatever clients send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// An operation that Anode does.
    Served(Kind),
    /// A configuration of a bucket.
    Configuration,
    /// Something that AWS answers and that can't be configured here.
    NotConfigured,
    /// An operation that Anode hasn't.
    NotImplemented,
    /// `/health/live` and `/health/ready`.
    Health,
    /// `/metrics`.
    Metrics,
    /// A page of a website.
    Website,
    /// The calls of IAM and STS.
    Iam,
    /// Nothing that S3 knows, or no HTTP.
    #[default]
    Unknown,
}

const KIND_COUNT: usize = Kind::AbortMultipartUpload as usize + 1;
/// How many values [`Counted`] has.
pub const OPERATION_COUNT: usize = KIND_COUNT + OTHERS.len();
/// What isn't a [`Kind`], in the order of its places, by name.
const OTHERS: [&str; 8] = [
    "Configuration",
    "NotConfigured",
    "NotImplemented",
    "Health",
    "Metrics",
    "Website",
    "Iam",
    "Unknown",
];

/// The classes of status that responses have, by name.
pub const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// The upper ends of the histogram's buckets, in nanoseconds; what is longer is in a last one without end.
pub const BUCKETS: [u64; 17] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

impl Counted {
    /// What a row of the table of operations is counted as.
    pub fn of(answer: Answer) -> Self {
        match answer {
            Answer::Served(kind) => Self::Served(kind),
            Answer::Configuration(..) => Self::Configuration,
            Answer::NotConfigured(_) => Self::NotConfigured,
            Answer::NotImplemented => Self::NotImplemented,
        }
    }

    /// Its place among all, below [`OPERATION_COUNT`].
    fn place(self) -> usize {
        match self {
            Self::Served(kind) => kind as usize,
            Self::Configuration => KIND_COUNT,
            Self::NotConfigured => KIND_COUNT + 1,
            Self::NotImplemented => KIND_COUNT + 2,
            Self::Health => KIND_COUNT + 3,
            Self::Metrics => KIND_COUNT + 4,
            Self::Website => KIND_COUNT + 5,
            Self::Iam => KIND_COUNT + 6,
            Self::Unknown => KIND_COUNT + 7,
        }
    }

    /// The names of all, by place: S3's where S3 has one.
    pub fn names() -> [&'static str; OPERATION_COUNT] {
        let mut names = [""; OPERATION_COUNT];
        for route in &ROUTES {
            if let Answer::Served(kind) = route.answer {
                names[kind as usize] = route.name;
            }
        }
        names[KIND_COUNT..].copy_from_slice(&OTHERS);
        names
    }
}

/// Requests of one operation since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationFigures {
    /// How many, by class of status as in [`CLASSES`].
    pub classes: [u64; CLASSES.len()],
    /// How many, by how long they took: as in [`BUCKETS`], and one more for those beyond.
    pub buckets: [u64; BUCKETS.len() + 1],
    /// How long they took together, in nanoseconds.
    pub nanoseconds: u64,
}

impl OperationFigures {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }
}

/// What a shard has done for its clients since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFigures {
    /// Requests, by place of what they were for: see [`Counted::names`].
    pub operations: Box<[OperationFigures; OPERATION_COUNT]>,
    /// Bytes read from connections, after decryption.
    pub received_bytes: u64,
    /// Bytes written to connections, before encryption.
    pub sent_bytes: u64,
    /// Responses that ended before their last byte.
    pub cut_count: u64,
    /// Connections taken.
    pub admitted_count: u64,
    /// Connections closed at once because there were too many.
    pub refused_count: u64,
}

impl Default for RequestFigures {
    fn default() -> Self {
        Self {
            operations: Box::new([OperationFigures::default(); OPERATION_COUNT]),
            received_bytes: 0,
            sent_bytes: 0,
            cut_count: 0,
            admitted_count: 0,
            refused_count: 0,
        }
    }
}

/// Counts for one shard; see the module for what that costs.
#[derive(Debug, Default)]
pub(crate) struct Counts(RefCell<RequestFigures>);

impl Counts {
    /// A response has begun, so many nanoseconds after the request's head was there.
    pub(crate) fn answered(&self, counted: Counted, status: u16, nanoseconds: u64) {
        let class = usize::from(status / 100).clamp(2, CLASSES.len() + 1) - 2;
        let bucket = BUCKETS.partition_point(|upper| *upper < nanoseconds);
        let operation = &mut self.0.borrow_mut().operations[counted.place()];
        operation.classes[class] += 1;
        operation.buckets[bucket] += 1;
        operation.nanoseconds += nanoseconds;
    }

    /// Bytes came from a connection.
    pub(crate) fn received(&self, bytes: usize) {
        self.0.borrow_mut().received_bytes += bytes as u64;
    }

    /// Bytes were handed to a connection.
    pub(crate) fn sent(&self, bytes: usize) {
        self.0.borrow_mut().sent_bytes += bytes as u64;
    }

    /// A response ended before its last byte.
    pub(crate) fn cut(&self) {
        self.0.borrow_mut().cut_count += 1;
    }

    /// A connection was taken.
    pub(crate) fn admitted(&self) {
        self.0.borrow_mut().admitted_count += 1;
    }

    /// A connection was one too many.
    pub(crate) fn refused(&self) {
        self.0.borrow_mut().refused_count += 1;
    }

    /// All of it, now.
    pub(crate) fn figures(&self) -> RequestFigures {
        self.0.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_has_a_place_and_a_name_of_its_own() {
        let names = Counted::names();
        assert!(names.iter().all(|name| !name.is_empty()), "{names:?}");
        assert_eq!(BTreeSet::from(names).len(), OPERATION_COUNT);
        for route in &ROUTES {
            let counted = Counted::of(route.answer);
            if matches!(counted, Counted::Served(_)) {
                assert_eq!(names[counted.place()], route.name);
            }
        }
        assert_eq!(names[Counted::Health.place()], "Health");
        assert_eq!(names[Counted::default().place()], "Unknown");
    }

    #[test]
    fn a_request_is_counted_once_in_its_class_and_bucket() {
        let counts = Counts::default();
        let put = Counted::Served(Kind::PutObject);
        // On an end, just beyond it, and beyond all.
        for (status, nanoseconds) in [(200, 100_000), (204, 100_001), (404, 31_000_000_000)] {
            counts.answered(put, status, nanoseconds);
        }
        counts.answered(put, 507, 0);
        let figures = counts.figures();
        let operation = figures.operations[put.place()];
        assert_eq!(operation.classes, [2, 0, 1, 1]);
        assert_eq!((operation.buckets[0], operation.buckets[1]), (2, 1));
        assert_eq!(operation.buckets[BUCKETS.len()], 1);
        assert_eq!(operation.count(), operation.buckets.iter().sum::<u64>());
        assert_eq!(operation.nanoseconds, 31_000_200_001);
        let others = figures.operations.iter().map(OperationFigures::count).sum::<u64>();
        assert_eq!(others, 4, "and nowhere else");
    }

    #[test]
    fn buckets_go_up() {
        assert!(BUCKETS.is_sorted_by(|one, next| one < next));
    }
}

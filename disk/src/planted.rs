//! Bugs that tests plant on purpose, to see that a stage catches them. Each is one hazard of a storage engine.
//!
//! Where the engine would be wrong it asks [`is`]. Outside this crate's own tests the answer is a constant `false`,
//! and nothing of a bug is compiled.

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A batch's completions are called before its write has completed.
    AcknowledgeBeforeFlush,
    /// A vote waits for company, like a lazy value, and is acknowledged at once.
    VoteNotFlushed,
    /// A record of the WAL counts whatever its checksum says.
    RecordChecksumSkipped,
    /// A block of an extent counts whatever its checksum says.
    BlockChecksumSkipped,
    /// A block of a table counts wherever it lies.
    FrameIdentityIgnored,
    /// A batch of an earlier life of a segment counts.
    StaleBatchAccepted,
    /// What is missing in the midst of the log is taken for its end.
    DamageTakenForTail,
    /// A compaction drops tombstones that still hide something.
    TombstoneDroppedEarly,
    /// A segment is removed though memory refers to it.
    SegmentRemovedWhilePinned,
    /// A segment gets a number that the log still remembers.
    SegmentNumberReused,
    /// The name of a WAL segment isn't flushed before it is used.
    WalNameNotSynced,
    /// The name of a data segment isn't flushed.
    SegmentNameNotSynced,
    /// The name of a table isn't flushed before the manifest has it.
    TableNameNotSynced,
    /// A table isn't flushed before the manifest has it.
    TableNotSynced,
    /// Payloads that moved to a segment aren't flushed before a table refers to them.
    PayloadNotSynced,
    /// A failed flush of a segment is taken for a good one.
    FlushErrorIgnored,
    /// A truncation leaves the first record that it should drop.
    TruncateOffByOne,
    /// The owner purges its log up to what it has applied, not to what is flushed. (Asked by the test's own owner.)
    #[cfg(test)]
    PurgePastState,
}

/// Whether the bug is planted: never, outside the tests of this crate.
#[cfg(not(test))]
#[inline]
pub(crate) const fn is(_bug: Bug) -> bool {
    false
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Whether the bug is planted on this thread.
#[cfg(test)]
pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Keeps a bug planted on this thread while it exists.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Planted(());

/// Plants a bug on this thread.
#[cfg(test)]
pub(crate) fn plant(bug: Bug) -> Planted {
    PLANTED.set(Some(bug));
    Planted(())
}

#[cfg(test)]
impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.set(None);
    }
}

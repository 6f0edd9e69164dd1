//! Where tests cut setting aside off: before an operation on an ordinary file. The files of the volume have their own
//! ([`anode_disk::testing`]). Outside tests nothing of this is compiled.

use std::io;

/// Comes before every operation that changes an ordinary file.
#[cfg(not(test))]
#[inline]
#[expect(clippy::unnecessary_wraps, reason = "its twin fails")]
pub(super) const fn point() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
thread_local! {
    /// How many points are passed before the cut; none where nothing is cut off.
    static LEFT: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
}

/// The same, which fails from the planned one on, as after the end of the process nothing is done any more.
#[cfg(test)]
pub(super) fn point() -> io::Result<()> {
    match LEFT.get() {
        Some(0) => Err(io::Error::other("the test has cut it off here")),
        left => {
            LEFT.set(left.map(|left| left - 1));
            Ok(())
        }
    }
}

/// Cuts off behind so many points, until that is taken back by `None`. Says how many were left.
#[cfg(test)]
pub(super) fn after(points: Option<u64>) -> Option<u64> {
    LEFT.replace(points)
}

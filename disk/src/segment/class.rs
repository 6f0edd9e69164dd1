//! Classes: segments that lie in directories of their own, on other devices than the shard's.
//!
//! ```text
//!   bits of a segment number   what
//!          29..32              class: 0 is the shard's own directory
//!           0..29              what tells it from every other segment of the shard, of whatever class
//! ```
//!
//! So whoever knows an extent knows which directory it is in, and nothing else that is stored says it.

use std::fmt;

/// How many bits of a segment number tell segments of a class apart.
const SEQUENCE_BITS: u32 = 29;
/// The first number that is none of them.
pub(super) const SEQUENCE_END: u32 = 1 << SEQUENCE_BITS;

/// Which of the directories of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class(u8);

impl Class {
    /// The shard's own, on its volume.
    pub const OWN: Self = Self(0);
    /// How many there are.
    pub const COUNT: u8 = 1 << (u32::BITS - SEQUENCE_BITS);

    /// The class of a number below [`Self::COUNT`].
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The class of a segment.
    pub fn of_segment(segment: u32) -> Self {
        let number = segment >> SEQUENCE_BITS;
        Self(u8::try_from(number).expect("three bits are left"))
    }

    /// The number of a segment of it.
    pub(super) fn segment(self, sequence: u32) -> u32 {
        assert!(sequence < SEQUENCE_END, "{sequence} is no number within a class");
        u32::from(self.0) << SEQUENCE_BITS | sequence
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What tells a segment from all others of its shard.
pub(super) fn sequence(segment: u32) -> u32 {
    segment % SEQUENCE_END
}

#[cfg(test)]
mod tests {
    use super::{Class, SEQUENCE_END, sequence};

    #[test]
    fn numbers_are_golden() {
        let class = Class::new(5).unwrap();
        assert_eq!(class.segment(0x0123_4567), 0xa123_4567);
        assert_eq!(Class::of_segment(0xa123_4567), class);
        assert_eq!(sequence(0xa123_4567), 0x0123_4567);
        assert_eq!(Class::OWN.segment(SEQUENCE_END - 1), 0x1fff_ffff);
        assert_eq!((Class::new(7).is_some(), Class::new(8)), (true, None));
    }
}

//! Choices with weights: sizes of objects, operations of a mixed load.

use bytesize::ByteSize;
use clap::ValueEnum as _;

use crate::operation::Operation;

/// Choices with their weights; the weights' sum is above 0.
#[derive(Clone, Debug)]
pub(crate) struct Shares<T> {
    choices: Vec<(T, u64)>,
    total: u64,
}

impl<T> Shares<T> {
    /// The same choice always.
    pub(crate) fn one(choice: T) -> Self {
        Self { choices: vec![(choice, 1)], total: 1 }
    }

    fn new(choices: Vec<(T, u64)>) -> Result<Self, String> {
        let total = choices
            .iter()
            .try_fold(0_u64, |sum, (_, weight)| sum.checked_add(*weight))
            .ok_or("the weights are too large")?;
        if total == 0 {
            return Err("at least one weight must be above 0".to_owned());
        }
        Ok(Self { choices, total })
    }

    /// The choices that can be drawn.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.choices.iter().filter(|(_, weight)| *weight > 0).map(|(choice, _)| choice)
    }

    /// Draws by weight; `draw` is any number.
    pub(crate) fn draw(&self, draw: u64) -> &T {
        let mut left = draw % self.total;
        let found = self.choices.iter().find(|(_, weight)| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        });
        &found.expect("the draw is below the weights' sum").0
    }
}

/// Reads `1KiB` or `1KiB=9,8MiB=1`, in bytes.
pub(crate) fn parse_sizes(text: &str) -> Result<Shares<u64>, String> {
    let one = |item: &str| {
        let (size, weight) = item.split_once('=').unwrap_or((item, "1"));
        let size: ByteSize = size.trim().parse()?;
        Ok((size.as_u64(), parse_weight(weight)?))
    };
    Shares::new(text.split(',').map(one).collect::<Result<_, String>>()?)
}

/// Reads `get=70,put=30`.
pub(crate) fn parse_mix(text: &str) -> Result<Shares<Operation>, String> {
    let one = |item: &str| {
        let (name, weight) = item.split_once('=').ok_or("write NAME=WEIGHT,NAME=WEIGHT")?;
        Ok((Operation::from_str(name.trim(), true)?, parse_weight(weight)?))
    };
    Shares::new(text.split(',').map(one).collect::<Result<_, String>>()?)
}

fn parse_weight(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|error| format!("{text}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::{Operation, Shares, parse_mix, parse_sizes};

    #[test]
    fn sizes_and_mixes_are_parsed_or_refused() {
        assert_eq!(parse_sizes("1024").unwrap().choices, [(1024, 1)]);
        assert_eq!(parse_sizes("4KiB=3, 1MiB=1").unwrap().choices, [(4096, 3), (1 << 20, 1)]);
        let mix = parse_mix("get=1,put=2").unwrap();
        assert_eq!(mix.choices, [(Operation::Get, 1), (Operation::Put, 2)]);
        for wrong in ["", "x", "1=0", "1=x", "1,", "-1", "1=18446744073709551615,2=1"] {
            assert!(parse_sizes(wrong).is_err(), "{wrong}");
        }
        for wrong in ["get", "mixed=1", "get=0", "x=1"] {
            assert!(parse_mix(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn weights_are_kept() {
        let shares = Shares::new(vec![('a', 1), ('n', 0), ('b', 3)]).unwrap();
        let drawn: String = (0..8).map(|draw| *shares.draw(draw)).collect();
        assert_eq!(drawn, "abbbabbb");
        assert_eq!(shares.values().collect::<String>(), "ab");
    }
}

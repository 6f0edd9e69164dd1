//! Which of many keys a request is for: all alike, a few far more often than others, or mostly the newest.
//!
//! Zipf's law with the exponent that YCSB uses, drawn by rejection-inversion (Hörmann and Derflinger 1996, "Rejection-inversion
//! to generate variates from monotone discrete distributions"): exact, no table, and the count of keys may grow between draws.
//! Popular keys are spread over all of them by a stride that visits each key once, so that they share no page or table.

use rand::{RngExt as _, rngs::StdRng};

/// The exponent: YCSB's `zipfian constant`. The most popular of a million keys gets 6.5 % of the requests.
const EXPONENT: f64 = 0.99;
/// The golden ratio's fraction: multiples of it spread most evenly.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// How often keys are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Distribution {
    /// All alike
    Uniform,
    /// By Zipf's law with exponent 0.99, popular keys spread over all
    Zipfian,
    /// By the same law, the newest the most popular
    Latest,
}

/// Draws keys.
#[derive(Debug)]
pub(crate) struct Draw {
    distribution: Distribution,
    zipf: Zipf,
    /// Of keys that a rank is apart from the next one; no common divisor with `key_count`.
    stride: u64,
    /// How many keys there were at first: those that a stride visits.
    key_count: u64,
}

impl Draw {
    /// `key_count` is above 0.
    pub(crate) fn new(distribution: Distribution, key_count: u64) -> Self {
        assert!(key_count > 0, "a key to draw");
        Self { distribution, zipf: Zipf::new(), stride: stride(key_count), key_count }
    }

    /// Any of the keys below `readable`, which never shrinks.
    pub(crate) fn next(&self, random: &mut StdRng, readable: u64) -> u64 {
        match self.distribution {
            Distribution::Uniform => random.random_range(0..readable),
            Distribution::Zipfian => {
                let rank = self.zipf.draw(random, self.key_count);
                let spread =
                    u128::from(rank) * u128::from(self.stride) % u128::from(self.key_count);
                u64::try_from(spread).expect("below the count of keys")
            }
            Distribution::Latest => readable - 1 - self.zipf.draw(random, readable),
        }
    }
}

/// Near the golden part of the count, and without a common divisor.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "any number near it will do"
)]
fn stride(key_count: u64) -> u64 {
    let from = (key_count as f64 * GOLDEN) as u64;
    let mut strides = from.max(1)..=key_count;
    let found = strides.find(|stride| divisor(*stride, key_count) == 1);
    found.expect("the number before the count is one")
}

/// The greatest common one, by Euclid.
fn divisor(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { divisor(other, one % other) }
}

/// Ranks by Zipf's law. The names are those of the paper: `integral` is H, its derivative the law's density.
#[derive(Debug)]
struct Zipf {
    integral_first: f64,
    shortcut: f64,
}

impl Zipf {
    fn new() -> Self {
        let shortcut = 2.0 - inverse(integral(2.5) - density(2.0));
        Self { integral_first: integral(1.5) - 1.0, shortcut }
    }

    /// A rank below `count`, 0 the most frequent.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks are below 2^52"
    )]
    fn draw(&self, random: &mut StdRng, count: u64) -> u64 {
        let integral_last = integral(count as f64 + 0.5);
        loop {
            let share: f64 = random.random();
            let under = integral_last + share * (self.integral_first - integral_last);
            let exact = inverse(under);
            let rank = exact.round().clamp(1.0, count as f64);
            // Fewer than one draw in ten is refused, so this ends.
            if rank - exact <= self.shortcut || under >= integral(rank + 0.5) - density(rank) {
                return rank as u64 - 1;
            }
        }
    }
}

fn density(rank: f64) -> f64 {
    rank.powf(-EXPONENT)
}

fn integral(rank: f64) -> f64 {
    let power = 1.0 - EXPONENT;
    (power * rank.ln()).exp_m1() / power
}

fn inverse(area: f64) -> f64 {
    let power = 1.0 - EXPONENT;
    ((area * power).max(-1.0).ln_1p() / power).exp()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::{Distribution, Draw, EXPONENT};

    const DRAWS: u32 = 200_000;

    fn counts(distribution: Distribution, key_count: u64, readable: u64) -> Vec<u32> {
        let (draw, mut random) = (Draw::new(distribution, key_count), StdRng::seed_from_u64(5));
        let mut counts = vec![0; usize::try_from(readable).unwrap()];
        for _ in 0..DRAWS {
            counts[usize::try_from(draw.next(&mut random, readable)).unwrap()] += 1;
        }
        counts
    }

    /// How often the key of that rank should come, from the law itself.
    fn expected(rank: u32, key_count: u32) -> f64 {
        let sum: f64 = (1..=key_count).map(|rank| f64::from(rank).powf(-EXPONENT)).sum();
        f64::from(DRAWS) * f64::from(rank + 1).powf(-EXPONENT) / sum
    }

    /// Within five standard deviations of what the law says.
    fn assert_near(found: u32, expected: f64) {
        let tolerance = 5.0 * expected.sqrt();
        assert!((f64::from(found) - expected).abs() < tolerance, "{found}, not {expected}");
    }

    #[test]
    fn the_newest_keys_follow_the_law_while_their_count_grows() {
        for count in [1000_u32, 1500] {
            let counts = counts(Distribution::Latest, 1000, u64::from(count));
            for rank in [0, 1, 2, 3, 9, 99, 500] {
                let index = usize::try_from(count - 1 - rank).unwrap();
                assert_near(counts[index], expected(rank, count));
            }
        }
    }

    #[test]
    fn popular_keys_follow_the_law_and_are_spread() {
        for count in [1_u32, 2, 10, 1000, 1024] {
            let mut counts = counts(Distribution::Zipfian, u64::from(count), u64::from(count));
            let first = counts.iter().position(|found| *found == *counts.iter().max().unwrap());
            assert_eq!(first, Some(0));
            if count == 1000 {
                let second = counts.iter().skip(1).max().unwrap();
                let at = counts.iter().position(|found| found == second).unwrap();
                assert!((300..700).contains(&at), "the next popular is far away: {at}");
                assert!(counts.iter().filter(|found| **found == 0).count() < 10, "all are drawn");
            }
            counts.sort_unstable_by(|one, other| other.cmp(one));
            assert_near(counts[0], expected(0, count));
        }
    }

    #[test]
    fn alike_is_alike() {
        let counts = counts(Distribution::Uniform, 100, 100);
        for found in counts {
            assert_near(found, f64::from(DRAWS) / 100.0);
        }
    }
}

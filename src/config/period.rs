//! A span of time as people write it: `7d`, `12h`, `30m`, `90s`; or `off`.

use std::{fmt, str::FromStr, time::Duration};

/// How often something is done; never where it is `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Period(pub Option<Duration>);

const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let refused = || format!("{text:?} is no span of time; write 7d, 12h, 30m or off");
        let seconds = UNITS.iter().find_map(|(unit, seconds)| {
            let count: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
            count.checked_mul(*seconds)
        });
        let seconds = seconds.filter(|seconds| *seconds > 0).ok_or_else(refused)?;
        Ok(Self(Some(Duration::from_secs(seconds))))
    }
}

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(period) = self.0 else { return f.write_str("off") };
        let whole = |unit: &&(&str, u64)| period.as_secs().is_multiple_of(unit.1);
        let (unit, seconds) = UNITS.iter().find(whole).expect("seconds always divide");
        write!(f, "{}{unit}", period.as_secs() / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::Period;

    #[test]
    fn spans_come_back_as_they_were_written() {
        for text in ["7d", "36h", "90m", "61s", "off"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        for refused in ["", "7", "d", "0d", "-1d", "7w", "1.5d", "Off", "99999999999999999999d"] {
            refused.parse::<Period>().unwrap_err();
        }
    }
}

//! Numbers for people, and the few statistics of a report.

/// The middle of them, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// With three digits at least, and separated thousands.
#[expect(clippy::cast_possible_truncation, reason = "rounded figures of a report")]
pub(crate) fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 1000.0 {
        return format!("{value:.1}");
    }
    let digits = (value.round() as i64).to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let follows_digit = text.ends_with(|last: char| last.is_ascii_digit());
        if follows_digit && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The number, or a dash.
pub(crate) fn number_or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

/// How much it has changed: `+3 %`.
pub(crate) fn change(before: f64, now: f64) -> String {
    if before == 0.0 { "–".to_owned() } else { format!("{:+.0} %", (now / before - 1.0) * 100.0) }
}

#[cfg(test)]
mod tests {
    use super::{change, median, number};

    #[test]
    fn numbers_are_short_and_exact() {
        for (value, text) in [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (45.67, "45.7"),
            (999.96, "1000.0"),
            (1000.0, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-12_345.0, "-12,345"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!((change(100.0, 97.0), change(0.0, 1.0)), ("-3 %".to_owned(), "–".to_owned()));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }
}

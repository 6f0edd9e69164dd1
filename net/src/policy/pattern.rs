//! Wildcards: `*` for any characters, `?` for one. Costs at most the pattern's length for each character of the text, for
//! texts come from clients.

/// One sign of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Any characters, or none.
    Any,
    /// One character.
    One,
    /// This character.
    Literal(char),
}

impl Sign {
    /// What a character of a pattern means.
    pub(super) fn of_pattern(character: char) -> Self {
        match character {
            '*' => Self::Any,
            '?' => Self::One,
            other => Self::Literal(other),
        }
    }

    /// As text.
    pub(super) fn character(self) -> char {
        match self {
            Self::Any => '*',
            Self::One => '?',
            Self::Literal(character) => character,
        }
    }
}

/// Whether a text fits a pattern. Allocates nothing: a policy has hundreds, and most don't fit.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    fits_by(pattern.chars().map(Sign::of_pattern), text, |one, other| one == other)
}

/// As [`fits`], for texts whose case doesn't matter.
pub(super) fn fits_any_case(pattern: &str, text: &str) -> bool {
    let signs = pattern.chars().map(Sign::of_pattern);
    fits_by(signs, text, |one, other| one.eq_ignore_ascii_case(&other))
}

/// As [`fits`], for a pattern whose signs are known.
pub(super) fn fits_signs(pattern: &[Sign], text: &str) -> bool {
    fits_by(pattern.iter().copied(), text, |one, other| one == other)
}

fn fits_by(
    mut signs: impl Iterator<Item = Sign> + Clone,
    text: &str,
    same: impl Fn(char, char) -> bool,
) -> bool {
    let mut rest = text.chars();
    // What follows the last star, and the text behind what that star has taken.
    let mut star = None;
    loop {
        let before = rest.clone();
        match (signs.next(), rest.next()) {
            (Some(Sign::Any), _) => {
                rest = before;
                star = Some((signs.clone(), rest.clone()));
            }
            (Some(Sign::One), Some(_)) => {}
            (Some(Sign::Literal(sign)), Some(character)) if same(sign, character) => {}
            (None, None) => return true,
            (_, None) => return false,
            (_, Some(_)) => {
                let Some((behind, taken)) = &mut star else { return false };
                taken.next();
                (signs, rest) = (behind.clone(), taken.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("a*b*c", "aXbYbZc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "ü", true),
            ("**a", "ba", true),
            ("*??", "€", false),
            ("a*", "a", true),
            ("a*b", "a", false),
            ("*", "abc", true),
            ("*ab", "aab", true),
            ("s3:Get*", "s3:GetObject", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a/b", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
            let signs: Vec<Sign> = pattern.chars().map(Sign::of_pattern).collect();
            assert_eq!(fits_signs(&signs, text), expected, "{pattern} {text}");
        }
        assert!(fits_any_case("S3:getobject", "s3:GetObject"));
    }

    #[test]
    fn many_stars_cost_little() {
        let (pattern, text) = ("*a".repeat(100) + "b", "a".repeat(10_000));
        assert!(!fits(&pattern, &text));
    }
}

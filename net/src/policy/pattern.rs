//! Wildcards: `*` for any characters, `?` for one. Linear in text times stars at most, for texts come from clients.

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

/// Whether a text fits a pattern. Allocates nothing: a policy has hundreds, and most fit not.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    fits_by(pattern, text, |one, other| one == other)
}

/// As [`fits`], for texts whose case doesn't matter.
pub(super) fn fits_any_case(pattern: &str, text: &str) -> bool {
    fits_by(pattern, text, |one, other| one.eq_ignore_ascii_case(&other))
}

fn fits_by(pattern: &str, text: &str, same: impl Fn(char, char) -> bool) -> bool {
    let (mut signs, mut rest) = (pattern.chars(), text.chars());
    // What follows the last star, and the text behind what that star has taken.
    let mut star = None;
    loop {
        let (before, sign) = (rest.clone(), signs.next());
        match (sign, rest.next()) {
            (Some('*'), _) => {
                rest = before;
                star = Some((signs.clone(), rest.clone()));
            }
            (Some(sign), Some(character)) if sign == '?' || same(sign, character) => {}
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

/// The same for a pattern whose signs are known.
pub(super) fn fits_signs(pattern: &[Sign], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut from) = (0, 0);
    // Where the last star stood, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while let Some(character) = text.get(from) {
        match pattern.get(at) {
            Some(Sign::Any) => {
                star = Some((at, from));
                at += 1;
            }
            Some(sign) if *sign == Sign::One || *sign == Sign::Literal(*character) => {
                at += 1;
                from += 1;
            }
            Some(_) | None => {
                let Some((stood, taken)) = star else { return false };
                star = Some((stood, taken + 1));
                at = stood + 1;
                from = taken + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|sign| *sign == Sign::Any)
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

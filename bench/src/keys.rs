//! What the keys of a load are called: a prefix, a folder where folders were asked for, a number of twelve digits. Their
//! byte order is that of their numbers.

use std::io::Write as _;

use crate::arguments::Arguments;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Names keys by their numbers.
#[derive(Clone, Debug)]
pub(crate) struct KeyNames {
    /// Encoded as a path has it, with `/`.
    prefix: Vec<u8>,
    /// Keys of a folder; all are in one where this is absent.
    folder_keys: Option<u64>,
}

impl KeyNames {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let mut prefix = Vec::new();
        push_encoded(&mut prefix, &arguments.prefix, b"/");
        Self { prefix, folder_keys: arguments.folder_keys.map(std::num::NonZero::get) }
    }

    /// Appends the name as it is in a path.
    pub(crate) fn push_path(&self, target: &mut Vec<u8>, number: u64) {
        target.extend_from_slice(&self.prefix);
        self.push_number(target, number, "/");
    }

    /// Appends the name as it is in a query.
    pub(crate) fn push_query(&self, target: &mut Vec<u8>, number: u64) {
        self.push_prefix_query(target);
        self.push_number(target, number, "%2F");
    }

    /// Appends the prefix as it is in a query.
    pub(crate) fn push_prefix_query(&self, target: &mut Vec<u8>) {
        for byte in &self.prefix {
            match byte {
                b'/' => target.extend_from_slice(b"%2F"),
                other => target.push(*other),
            }
        }
    }

    fn push_number(&self, target: &mut Vec<u8>, number: u64, slash: &str) {
        let written = match self.folder_keys {
            Some(count) => write!(target, "{:09}{slash}{number:012}", number / count),
            None => write!(target, "{number:012}"),
        };
        written.expect("a vector takes all bytes");
    }
}

/// Percent-encodes all but the unreserved and `kept`, as a canonical request has it.
pub(crate) fn push_encoded(target: &mut Vec<u8>, text: &str, kept: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            target.push(byte);
        } else {
            let digit = |nibble: u8| HEX[usize::from(nibble)];
            target.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::KeyNames;
    use crate::arguments::Arguments;

    #[test]
    fn names_are_encoded_and_in_the_order_of_their_numbers() {
        let names = |line: &str| KeyNames::new(&Arguments::parse_from(line.split(' ')));
        let plain = names("bench put --prefix a/&");
        let (mut path, mut query) = (Vec::new(), Vec::new());
        plain.push_path(&mut path, 7);
        plain.push_query(&mut query, 7);
        assert_eq!(path, b"a/%26000000000007");
        assert_eq!(query, b"a%2F%26000000000007");
        let folders = names("bench put --prefix p --folder-keys 10");
        let written: Vec<Vec<u8>> = [0, 9, 10, 99, 100, 12_345]
            .into_iter()
            .map(|number| {
                let mut path = Vec::new();
                folders.push_path(&mut path, number);
                path
            })
            .collect();
        assert!(written.is_sorted());
        assert_eq!(written[2], b"p000000001/000000000010");
    }
}

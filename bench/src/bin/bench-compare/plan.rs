//! What is measured: a table of cases, each a named workload of `anode-bench` with options of its own.

use bench_shared::named::{self, Named, Role};

use crate::arguments::Set;

/// How long a case takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// As long as is asked for.
    Timed,
    /// As long as open loops are asked for.
    Open,
    /// To its last key.
    Whole,
}

/// What the server has in memory before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// What it happens to have.
    Warm,
    /// Nothing: it is restarted, and the kernel's cache of its files dropped.
    Cold,
}

/// Something to be measured. Options may name `{keys}`, the keys of listings; `{late}`, nine tenths of them; and
/// `{half:LABEL}`, half the rate of an earlier case of the same server and round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// What it is called in the results.
    pub(crate) label: &'static str,
    pub(crate) workload: &'static str,
    pub(crate) options: &'static str,
    /// Options of the lines that fill the bucket.
    pub(crate) fill_options: &'static str,
    pub(crate) length: Length,
    pub(crate) start: Start,
    pub(crate) set: Set,
}

/// Most cases are like this.
const fn case(label: &'static str, workload: &'static str, options: &'static str) -> Case {
    let (length, start, set) = (Length::Timed, Start::Warm, Set::Bars);
    Case { label, workload, options, fill_options: "", length, start, set }
}

const fn listing(label: &'static str, workload: &'static str, options: &'static str) -> Case {
    Case { fill_options: "--keys {keys}", ..case(label, workload, options) }
}

const fn more(workload: &'static str) -> Case {
    Case { set: Set::Full, ..case(workload, workload, "") }
}

/// All cases, in the order of a round.
pub(crate) const CASES: &[Case] = &[
    case("put-1k-c1", "put-1k", "--concurrency 1"),
    case("put-1k-c64", "put-1k", ""),
    case("get-1k-c1", "get-1k", "--concurrency 1"),
    case("get-1k-c16", "get-1k", "--concurrency 16"),
    case("get-1k-c64", "get-1k", ""),
    case("head-1k-c16", "head-1k", ""),
    Case { length: Length::Whole, ..case("delete-1k-c16", "delete-1k", "") },
    case("get-1m-c16", "get-1m", ""),
    case("put-1m-c16", "put-1m", ""),
    case("put-100m-c4", "put-100m", ""),
    listing("list-full-c1", "list-full", "--keys {keys}"),
    listing("list-first-c1", "list-pages", "--concurrency 1 --keys 1000"),
    listing("list-late-c1", "list-pages", "--concurrency 1 --keys 1000 --first {late}"),
    listing("list-pages-c16", "list-pages", "--keys {keys}"),
    listing("list-folders-c1", "list-folders", "--keys {keys}"),
    Case { length: Length::Open, ..case("open-put-1k", "open-put", "--rate {half:put-1k-c64}") },
    Case { length: Length::Open, ..case("open-get-1k", "open-get", "--rate {half:get-1k-c64}") },
    Case { start: Start::Cold, ..case("get-1k-cold-c1", "get-1k-cold", "") },
    Case {
        start: Start::Cold,
        length: Length::Whole,
        ..case("get-1m-cold-c16", "get-1m-cold", "")
    },
    more("put-4k"),
    more("put-64k"),
    more("get-4k"),
    more("get-64k"),
    more("put-10m"),
    more("get-10m"),
    more("get-100m"),
    more("mixed"),
    more("ycsb-a"),
    more("ycsb-b"),
    more("ycsb-c"),
    more("ycsb-d"),
    more("write-heavy"),
    more("read-heavy"),
    Case { length: Length::Whole, ..more("small-objects") },
];

impl Case {
    /// The named workload that it runs.
    pub(crate) fn named(&self) -> &'static Named {
        named::find(self.workload).expect("a test has looked all of them up")
    }

    /// What was written for it: cases with the same text share it.
    pub(crate) fn fill(&self) -> Option<String> {
        let lines: Vec<&str> = self.named().lines(Role::Fill).collect();
        (!lines.is_empty()).then(|| format!("{} {}", lines.join("; "), self.fill_options))
    }

    /// Its label of one of the lines that the workload printed.
    pub(crate) fn line_label(&self, printed: &str) -> String {
        match printed.split_once('/') {
            Some((_, operation)) => format!("{}/{operation}", self.label),
            None => self.label.to_owned(),
        }
    }
}

/// The options as words, with numbers for names. `rate` knows the rate of an earlier case.
pub(crate) fn words(
    options: &str,
    list_keys: u64,
    rate: impl Fn(&str) -> Option<f64>,
) -> Result<Vec<String>, String> {
    let word = |word: &str| match word.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
        None => Ok(word.to_owned()),
        Some("keys") => Ok(list_keys.to_string()),
        Some("late") => Ok((list_keys / 10 * 9).to_string()),
        Some(name) => {
            let label = name.strip_prefix("half:").unwrap_or(name);
            let rate = rate(label).ok_or_else(|| format!("{label} was not measured before it"))?;
            Ok(format!("{:.0}", (rate / 2.0).max(1.0)))
        }
    };
    options.split_whitespace().map(word).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bench_shared::named::NAMED;

    use super::{CASES, words};

    #[test]
    fn cases_run_what_there_is_under_labels_of_their_own() {
        let labels: BTreeSet<&str> = CASES.iter().map(|case| case.label).collect();
        assert_eq!(labels.len(), CASES.len());
        for case in CASES {
            assert_eq!(case.named().name, case.workload);
            let known = |label: &str| labels.contains(label).then_some(100.0);
            words(case.options, 10_000, known).unwrap();
        }
        let used: BTreeSet<&str> = CASES.iter().map(|case| case.workload).collect();
        let unused: Vec<&str> =
            NAMED.iter().map(|named| named.name).filter(|name| !used.contains(name)).collect();
        assert!(unused.is_empty(), "the full set has every named workload: {unused:?}");
    }

    #[test]
    fn names_in_options_become_numbers() {
        let rate = |label: &str| (label == "a").then_some(5001.0);
        let found = words("--keys {keys} --first {late} --rate {half:a}", 20_000, rate).unwrap();
        assert_eq!(found, ["--keys", "20000", "--first", "18000", "--rate", "2500"]);
        words("{half:b}", 1, rate).unwrap_err();
    }

    #[test]
    fn lines_of_a_case_are_told_apart() {
        let case = CASES.iter().find(|case| case.label == "delete-1k-c16").unwrap();
        assert_eq!(case.line_label("delete-1k/put"), "delete-1k-c16/put");
        assert_eq!(CASES[0].line_label("put-1k"), "put-1k-c1");
        assert_eq!((case.fill(), CASES[0].fill()), (None, None));
    }
}

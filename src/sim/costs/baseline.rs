//! What operations may cost: figures written down, as TOML, a table an operation; and what has changed since.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Cost, FIGURE_NAMES, Operation};

/// A figure has grown or shrunk when it differs by more than this part of the baseline.
const TOLERANCE: f64 = 0.05;
/// And by at least so much: below it is what upkeep happens to do meanwhile.
const DIFFERENCE_MIN: f64 = 0.05;

const HEADER: &str = "\
# What one operation costs a node, as tests/costs counts it; src/sim/costs.rs says how.
# Written by `make costs-update`, and committed with the change that explains the difference.
";

/// Costs by the names of their operations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline(BTreeMap<String, BTreeMap<String, f64>>);

/// How a figure has changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// From the baseline up to now's: to be explained or undone.
    Grown(f64, f64),
    /// From the baseline down to now's: the baseline is to be lowered, so that it can't grow back unseen.
    Shrunk(f64, f64),
    /// The baseline says nothing of it.
    New(f64),
}

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The operation's name.
    pub operation: &'static str,
    /// The figure's name.
    pub figure: &'static str,
    /// What of it has changed.
    pub change: Change,
}

impl Baseline {
    /// Reads a baseline.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map(Self).map_err(|error| error.to_string())
    }

    /// Takes in a cost, instead of what was said of it before.
    pub fn set(&mut self, operation: Operation, cost: &Cost) {
        let figures = FIGURE_NAMES.iter().zip(cost).map(|(name, figure)| {
            // As it is written: so that what is compared is what can be read.
            ((*name).to_owned(), (figure * 100.0).round() / 100.0)
        });
        self.0.insert(operation.name().to_owned(), figures.collect());
    }

    /// The text that [`Self::parse`] reads.
    pub fn text(&self) -> String {
        let mut text = HEADER.to_owned();
        for operation in Operation::ALL {
            let Some(figures) = self.0.get(operation.name()) else { continue };
            write!(text, "\n[{}]\n", operation.name()).expect("a string takes all");
            for name in FIGURE_NAMES {
                let figure = figures.get(name).copied().unwrap_or_default();
                writeln!(text, "{name} = {figure:.2}").expect("a string takes all");
            }
        }
        text
    }

    /// What has changed from this baseline to `now`, of the operations that `now` has.
    pub fn compare(&self, now: &Self) -> Vec<Finding> {
        self.compare_with(now, change)
    }

    /// The same for costs that must be equal.
    pub fn compare_exactly(&self, now: &Self) -> Vec<Finding> {
        self.compare_with(now, |before, now| match before {
            Some(before) if before < now => Some(Change::Grown(before, now)),
            Some(before) if before > now => Some(Change::Shrunk(before, now)),
            Some(_) => None,
            None => Some(Change::New(now)),
        })
    }

    fn compare_with(
        &self,
        now: &Self,
        change: impl Fn(Option<f64>, f64) -> Option<Change>,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        for operation in Operation::ALL.map(Operation::name) {
            let Some(figures) = now.0.get(operation) else { continue };
            for figure in FIGURE_NAMES {
                let now = figures.get(figure).copied().unwrap_or_default();
                let before = self.0.get(operation).and_then(|known| known.get(figure)).copied();
                if let Some(change) = change(before, now) {
                    findings.push(Finding { operation, figure, change });
                }
            }
        }
        findings
    }

    /// The names of operations that it has and nobody counts.
    pub fn strangers(&self) -> Vec<&str> {
        let is_known = |name: &str| Operation::ALL.iter().any(|known| known.name() == name);
        self.0.keys().map(String::as_str).filter(|name| !is_known(name)).collect()
    }

    /// All of it, a line an operation, as a table of Markdown.
    pub fn table(&self) -> String {
        let head = format!("| operation | {} |", FIGURE_NAMES.map(spaced).join(" | "));
        let rule = format!("| --- |{}", " ---: |".repeat(FIGURE_NAMES.len()));
        let rows = Operation::ALL.map(Operation::name).into_iter().filter_map(|operation| {
            let figures = self.0.get(operation)?;
            let row =
                FIGURE_NAMES.map(|name| short(figures.get(name).copied().unwrap_or_default()));
            Some(format!("| {} | {} |", spaced(operation), row.join(" | ")))
        });
        let lines: Vec<String> = [head, rule].into_iter().chain(rows).collect();
        lines.join("\n") + "\n"
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { operation, figure, change } = self;
        let (before, now) = match change {
            Change::Grown(before, now) | Change::Shrunk(before, now) => (*before, *now),
            Change::New(now) => {
                return write!(f, "{operation:26} {figure:22} {:>14} {now:14.2}", "none");
            }
        };
        write!(f, "{operation:26} {figure:22} {before:14.2} {now:14.2}")?;
        if before > 0.0 { write!(f, " {:+8.1} %", (now / before - 1.0) * 100.0) } else { Ok(()) }
    }
}

fn change(before: Option<f64>, now: f64) -> Option<Change> {
    let Some(before) = before else { return Some(Change::New(now)) };
    let difference = (now - before).abs();
    if difference < DIFFERENCE_MIN || difference <= before * TOLERANCE {
        return None;
    }
    Some(if now > before { Change::Grown(before, now) } else { Change::Shrunk(before, now) })
}

fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

/// Whole numbers from a hundred on, two digits behind the point below, nothing for nothing.
fn short(figure: f64) -> String {
    if figure >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(allocations: f64, flushes: f64) -> Baseline {
        let mut baseline = Baseline::default();
        let mut cost = [7.0; FIGURE_NAMES.len()];
        (cost[0], cost[FIGURE_NAMES.len() - 1]) = (allocations, flushes);
        baseline.set(Operation::PutSmall, &cost);
        baseline
    }

    #[test]
    fn what_grows_or_shrinks_by_more_than_a_twentieth_is_found() {
        let before = baseline(100.0, 0.0);
        assert_eq!(before.compare(&baseline(105.0, 0.04)), []);
        assert_eq!(before.compare(&baseline(95.0, 0.0)), []);
        let found = |now: &Baseline| -> Vec<_> {
            before.compare(now).iter().map(|finding| (finding.figure, finding.change)).collect()
        };
        let grown = baseline(105.5, 0.05);
        assert_eq!(
            found(&grown),
            [("allocations", Change::Grown(100.0, 105.5)), ("flushes", Change::Grown(0.0, 0.05)),]
        );
        assert_eq!(found(&baseline(94.5, 0.0)), [("allocations", Change::Shrunk(100.0, 94.5))]);
        let line = before.compare(&grown)[0].to_string();
        assert!(line.contains("put_1_kib ") && line.ends_with("+5.5 %"), "{line}");
    }

    #[test]
    fn what_nobody_knows_is_found_on_either_side() {
        let now = baseline(1.0, 1.0);
        let findings = Baseline::default().compare(&now);
        assert_eq!(findings.len(), FIGURE_NAMES.len());
        assert_eq!(findings[0].change, Change::New(1.0));
        assert_eq!(now.strangers(), Vec::<&str>::new());
        assert_eq!(Baseline::parse("[copy]\npolls = 1.0").unwrap().strangers(), ["copy"]);
    }

    #[test]
    fn a_baseline_reads_what_it_wrote() {
        let written = baseline(12.345, 3.0);
        assert_eq!(Baseline::parse(&written.text()).unwrap(), written);
        assert!(
            written.text().contains("[put_1_kib]\nallocations = 12.35\n"),
            "{}",
            written.text()
        );
        assert!(written.table().contains("| put 1 kib | 12.35 |"), "{}", written.table());
    }
}

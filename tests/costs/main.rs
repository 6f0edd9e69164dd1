//! Operations cost what `perf/costs.toml` says, or less; the same in every process.
//!
//! A program of its own, without the test harness, whose threads would allocate beside the node. Without arguments, or
//! with `--check`, it counts in two processes and compares. `--update` writes the baseline, `--table` prints it for
//! people, `--print` counts and prints. A word chooses the operations that have it in their names.

use std::{
    alloc::System,
    process::{Child, Command, ExitCode, Stdio},
};

use anode::sim::costs::{Baseline, Change, Finding, Operation, measure};
use anode_disk::testing::apart::{self, Allocated};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BASELINE: &str = "perf/costs.toml";
/// Where people read it, between two marks.
const DOCUMENT: &str = "docs/costs.md";
const MARKS: [&str; 2] = ["<!-- begin: written by make costs-update -->\n", "<!-- end -->\n"];

fn allocated() -> Allocated {
    let stats = ALLOCATOR.stats();
    let count = stats.allocations + stats.reallocations;
    Allocated { count: count as u64, bytes: stats.bytes_allocated as u64 }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the program's output")]
fn main() -> ExitCode {
    apart::install(allocated);
    // Unknown flags are the test harness's: `cargo test` gives them to every test program.
    let (flags, words): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let is_chosen = |operation: &Operation| {
        words.is_empty() || words.iter().any(|word| operation.name().contains(word.as_str()))
    };
    let chosen: Vec<Operation> = Operation::ALL.into_iter().filter(is_chosen).collect();
    let done = if has("--print") {
        Ok(count(&chosen, Baseline::default()).text())
    } else if has("--table") {
        read_baseline().map(|baseline| baseline.table())
    } else if has("--update") {
        update(&chosen)
    } else {
        check(&chosen, &words)
    };
    match done {
        Ok(said) => {
            print!("{said}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn count(chosen: &[Operation], mut costs: Baseline) -> Baseline {
    for operation in chosen {
        costs.set(*operation, &measure(*operation));
    }
    costs
}

/// Compares with a second process, then with the baseline.
fn check(chosen: &[Operation], words: &[String]) -> Result<String, String> {
    if chosen.is_empty() {
        return Ok("costs: no operation has this name\n".to_owned());
    }
    let other = start_other(words)?;
    let now = count(chosen, Baseline::default());
    let other = end_other(other)?;
    let differing = table(&now.compare_exactly(&other), ["one process", "the other"]);
    if !differing.is_empty() {
        return Err(format!("costs: two processes count differently\n\n{differing}"));
    }
    let baseline = read_baseline()?;
    if document(&baseline)? != read(DOCUMENT)? {
        return Err(format!(
            "costs: {DOCUMENT} says something else than {BASELINE}; run `make costs-update`"
        ));
    }
    let (shrunk, grown): (Vec<Finding>, Vec<Finding>) = baseline
        .compare(&now)
        .into_iter()
        .partition(|finding| matches!(finding.change, Change::Shrunk(..)));
    let mut said: Vec<String> = Vec::new();
    if !shrunk.is_empty() {
        let lines = table(&shrunk, ["baseline", "now"]);
        said.push(format!(
            "costs: less than before; lower the baseline by `make costs-update`\n\n{lines}\n"
        ));
    }
    let strangers = baseline.strangers();
    said.extend(
        strangers.iter().map(|name| format!("costs: {BASELINE} has {name}, which nobody counts\n")),
    );
    let said = said.concat();
    if grown.is_empty() {
        return Ok(format!(
            "{said}costs: {} operations, none costs more than {BASELINE} says\n",
            chosen.len()
        ));
    }
    let lines = table(&grown, ["baseline", "now"]);
    Err(format!(
        "{said}costs: more than {BASELINE} says. Undo what makes it so, or run `make costs-update` and say why in the commit\n\n{lines}"
    ))
}

fn update(chosen: &[Operation]) -> Result<String, String> {
    let is_whole = chosen.len() == Operation::ALL.len();
    let before = if is_whole { Baseline::default() } else { read_baseline()? };
    let baseline = count(chosen, before);
    write(BASELINE, &baseline.text())?;
    write(DOCUMENT, &document(&baseline)?)?;
    Ok(baseline.table())
}

/// The document with the table of this baseline.
fn document(baseline: &Baseline) -> Result<String, String> {
    let text = read(DOCUMENT)?;
    let [begin, end] = MARKS;
    let parts = text.split_once(begin).and_then(|(head, rest)| Some((head, rest.split_once(end)?)));
    let (head, (_, tail)) = parts.ok_or_else(|| format!("{DOCUMENT} has lost its marks"))?;
    Ok(format!("{head}{begin}\n{}\n{end}{tail}", baseline.table()))
}

fn read_baseline() -> Result<Baseline, String> {
    Baseline::parse(&read(BASELINE)?)
}

fn read(path: &str) -> Result<String, String> {
    let whole = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(whole).map_err(|error| format!("{path} can't be read: {error}"))
}

#[expect(clippy::disallowed_methods, reason = "no shard runs here")]
fn write(path: &str, text: &str) -> Result<(), String> {
    let whole = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(whole, text).map_err(|error| format!("{path} can't be written: {error}"))
}

/// Counts the same in a process of its own, with addresses and seeds of its own.
fn start_other(words: &[String]) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let child = Command::new(program).arg("--print").args(words).stdout(Stdio::piped()).spawn();
    child.map_err(|error| format!("the second process can't be started: {error}"))
}

fn end_other(other: Child) -> Result<Baseline, String> {
    let output = other.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("the second process failed: {}", output.status));
    }
    Baseline::parse(&String::from_utf8_lossy(&output.stdout))
}

fn table(findings: &[Finding], [before, now]: [&str; 2]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let head = format!("{:26} {:22} {before:>14} {now:>14}\n", "operation", "figure");
    findings.iter().fold(head, |table, finding| format!("{table}{finding}\n"))
}

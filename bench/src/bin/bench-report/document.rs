//! BENCHMARKS.md: the summary of the bars, the causes of the missed ones, pictures, details, explanations.

use std::fmt::{Result, Write};

use crate::bars::{BARS, Bar, Sense, Status};
use crate::notes::Notes;
use crate::numbers::{change, number, number_or_dash};
use crate::picture::Picture;
use crate::run::{Field, Run};

const EXPLANATIONS: &str = include_str!("explanations.md");

/// The whole text.
pub(crate) fn write(
    run: &Run,
    previous: Option<&Run>,
    notes: &Notes,
    pictures: &[Picture],
) -> String {
    let mut text = String::new();
    let written = introduction(&mut text, run, previous)
        .and_then(|()| servers(&mut text, run))
        .and_then(|()| summary(&mut text, run, previous))
        .and_then(|()| causes(&mut text, run, notes))
        .and_then(|()| show(&mut text, pictures))
        .and_then(|()| latencies(&mut text, run))
        .and_then(|()| costs(&mut text, run))
        .and_then(|()| limits(&mut text, run));
    written.expect("a string takes all text");
    text.push_str(EXPLANATIONS);
    text
}

fn introduction(text: &mut String, run: &Run, previous: Option<&Run>) -> Result {
    writeln!(text, "# Benchmarks\n")?;
    writeln!(
        text,
        "<!-- Written by bench-report; change bench/results, bench/notes.toml or its source instead. -->\n"
    )?;
    let cores = run.told("cores");
    writeln!(text, "| | |\n| --- | --- |")?;
    writeln!(text, "| machine | {}, {cores} cores, {} |", run.told("cpu"), run.told("memory"))?;
    writeln!(text, "| kernel | Linux {}, {} |", run.told("kernel"), run.told("file_system"))?;
    writeln!(text, "| commit | {} |", run.told("commit"))?;
    writeln!(text, "| date | {} |", run.told("date"))?;
    let (rounds, seconds) = (run.told("rounds"), run.told("seconds"));
    let budget = run.told_number("memory_budget_bytes").map(|bytes| bytes / 1_048_576.0);
    writeln!(
        text,
        "| run | medians of {rounds} alternating rounds of {seconds} s a case, open loops {} s; client on the \
         same cores; {} keys in listings; memory budget {} MiB |",
        run.told("open_seconds"),
        run.told_number("list_keys").map_or_else(String::new, number),
        number_or_dash(budget)
    )?;
    writeln!(text, "| results | [{0}](bench/results/{0}.jsonl) |", run.name())?;
    if let Some(previous) = previous {
        let (date, cpu) = (previous.date(), previous.told("cpu"));
        writeln!(text, "| previous run | {date}, commit {}, {cpu} |", previous.told("commit"))?;
    }
    writeln!(
        text,
        "\nFigures from before these reports, and of what one run can't show, are in \
         [docs/measurements.md](docs/measurements.md).\n"
    )
}

fn servers(text: &mut String, run: &Run) -> Result {
    writeln!(text, "| server | version | durability | |\n| --- | --- | --- | --- |")?;
    for server in &run.servers {
        let status = match &server.problem {
            Some(problem) => format!("not measured: {problem}"),
            None => "measured".to_owned(),
        };
        let (name, version) = (&server.name, &server.version);
        writeln!(text, "| {name} | {version} | {} | {status} |", server.durability)?;
    }
    writeln!(text)
}

fn summary(text: &mut String, run: &Run, previous: Option<&Run>) -> Result {
    let peers: Vec<&str> = run.measured().map(|server| server.name.as_str()).collect();
    let peers: Vec<&str> = peers.into_iter().filter(|name| *name != "anode").collect();
    writeln!(text, "## Summary\n")?;
    let heads: Vec<String> = peers.iter().map(|peer| format!(" {peer} |")).collect();
    let heads = heads.concat();
    writeln!(
        text,
        "| figure | anode | limit | ratio | wanted |{heads} against the previous run | status |"
    )?;
    let rules: String = peers.iter().map(|_| " --- |").collect();
    writeln!(text, "| --- | --- | --- | --- | --- |{rules} --- | --- |")?;
    for bar in BARS {
        let (scale, unit) = bar.unit.scale();
        let (value, limit) = (bar.value(run, "anode"), bar.limit(run));
        let ratio = value.zip(limit).map(|(value, limit)| value / limit);
        let others: Vec<String> =
            peers.iter().map(|peer| format!(" {} |", other(bar, run, peer))).collect();
        let others = others.concat();
        let before = previous.and_then(|previous| bar.value(previous, "anode"));
        let before = before.zip(value).map(|(before, value)| change(before, value));
        writeln!(
            text,
            "| {} | {} {unit} | {} | {} | {} |{others} {} | {} |",
            bar.what,
            number_or_dash(value.map(|value| value * scale)),
            number_or_dash(limit.map(|limit| limit * scale)),
            number_or_dash(ratio),
            wanted(bar, run),
            before.unwrap_or_else(|| "–".to_owned()),
            bar.status(run).name()
        )?;
    }
    writeln!(
        text,
        "\nA peer's cell has its figure and how many times Anode is better. A bar is met if the limit's part is, and \
         that of every peer that was measured.\n"
    )
}

/// A peer's figure and the advantage over it.
fn other(bar: &Bar, run: &Run, peer: &str) -> String {
    let Some(value) = bar.value(run, peer) else { return "–".to_owned() };
    let (scale, _) = bar.unit.scale();
    let advantage = bar.advantage(run, peer).map(|times| format!(" ({} x)", number(times)));
    format!("{}{}", number(value * scale), advantage.unwrap_or_default())
}

fn wanted(bar: &Bar, run: &Run) -> String {
    let word = if bar.sense == Sense::AtMost { "at most" } else { "at least" };
    let (scale, unit) = bar.unit.scale();
    let mut text = format!("{word} {} x", bar.factor);
    if bar.plus != 0.0 {
        text = format!("{word} limit + {} {unit}", bar.plus * scale);
    }
    for (peer, factor) in bar.peers {
        let measured = run.measured().any(|server| server.name == *peer);
        let note = if measured { "" } else { ", not measured" };
        text = format!("{text}; {factor} x {peer}{note}");
    }
    text
}

fn causes(text: &mut String, run: &Run, notes: &Notes) -> Result {
    writeln!(text, "## Missed, and what is known of it\n")?;
    for bar in BARS {
        let status = bar.status(run);
        let known: Vec<&str> = notes.on(bar.key).collect();
        if status != Status::Missed {
            continue;
        }
        let known =
            if known.is_empty() { "no cause is known yet".to_owned() } else { known.join("\n  ") };
        writeln!(text, "- `{}`: {known}", bar.key)?;
    }
    for problem in &run.problems {
        writeln!(text, "- not measured: {problem}")?;
    }
    writeln!(text)
}

fn show(text: &mut String, pictures: &[Picture]) -> Result {
    writeln!(text, "## Pictures\n")?;
    for picture in pictures {
        writeln!(text, "![{}]({})\n", picture.title, picture.path().display())?;
    }
    Ok(())
}

/// The labels and servers that a table has rows for.
fn rows(run: &Run) -> impl Iterator<Item = (&str, &str)> {
    let loads = run.labels.iter().filter(|label| *label != "idle");
    loads.flat_map(|label| {
        let servers = run.measured().map(|server| server.name.as_str());
        let measured = servers.filter(|server| run.spread(server, label, Field::P50).is_some());
        measured.map(|server| (label.as_str(), server))
    })
}

fn latencies(text: &mut String, run: &Run) -> Result {
    writeln!(text, "## Details\n\n### Rates and latencies\n")?;
    writeln!(
        text,
        "| case | server | per s | least to most | MB/s | p50 us | p99 us | p99.9 us | max us |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )?;
    for (label, server) in rows(run) {
        let figure = |field| number_or_dash(run.figure(server, label, field));
        let spread = run.spread(server, label, Field::PerSecond);
        let spread = spread.map_or_else(String::new, |[least, most]| {
            format!("{} to {}", number(least), number(most))
        });
        let bytes = run.figure(server, label, Field::BytesPerSecond).map(|bytes| bytes / 1e6);
        writeln!(
            text,
            "| {label} | {server} | {} | {spread} | {} | {} | {} | {} | {} |",
            figure(Field::PerSecond),
            number_or_dash(bytes),
            figure(Field::P50),
            figure(Field::P99),
            figure(Field::P999),
            figure(Field::Max)
        )?;
    }
    writeln!(text)
}

fn costs(text: &mut String, run: &Run) -> Result {
    writeln!(text, "### What an operation costs\n")?;
    writeln!(
        text,
        "| case | server | server us | client us | bytes read | bytes written | MiB at most |\n\
         | --- | --- | --- | --- | --- | --- | --- |"
    )?;
    for (label, server) in rows(run) {
        let figure = |field| number_or_dash(run.figure(server, label, field));
        let peak = run.figure(server, label, Field::ResidentPeak).map(|bytes| bytes / 1_048_576.0);
        writeln!(
            text,
            "| {label} | {server} | {} | {} | {} | {} | {} |",
            figure(Field::ServerCpu),
            figure(Field::ClientCpu),
            figure(Field::BytesRead),
            figure(Field::BytesWritten),
            number_or_dash(peak)
        )?;
    }
    for server in run.measured() {
        let share = run.figure(&server.name, "idle", Field::CpuShare);
        let resident = run.figure(&server.name, "idle", Field::Resident);
        let (share, resident) =
            (share.map(|share| share * 100.0), resident.map(|bytes| bytes / 1_048_576.0));
        writeln!(
            text,
            "\n{} idle after its start: {} % of a core, {} MiB.",
            server.name,
            number_or_dash(share),
            number_or_dash(resident)
        )?;
    }
    writeln!(text)
}

fn limits(text: &mut String, run: &Run) -> Result {
    writeln!(text, "### What the machine can do\n")?;
    writeln!(
        text,
        "| limit | per s | MB/s | p50 us | p99 us | p99.9 us | max us | server us |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    )?;
    for label in &run.labels {
        let figure = |field| run.figure("", label, field);
        let bytes = figure(Field::BytesPerSecond).map(|bytes| bytes / 1e6);
        let (rate, middle) = (figure(Field::PerSecond), figure(Field::P50));
        if bytes.is_none() && rate.is_none() {
            continue;
        }
        writeln!(
            text,
            "| {label} | {} | {} | {} | {} | {} | {} | {} |",
            number_or_dash(rate),
            number_or_dash(bytes),
            number_or_dash(middle),
            number_or_dash(figure(Field::P99)),
            number_or_dash(figure(Field::P999)),
            number_or_dash(figure(Field::Max)),
            number_or_dash(figure(Field::ServerCpu))
        )?;
    }
    writeln!(text)
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::notes::Notes;
    use crate::pictures;
    use crate::run::Run;
    use crate::run::tests::TEXT;

    #[test]
    fn a_report_says_what_was_met_missed_and_not_measured() {
        let before = Run::parse(&TEXT.replace("130.0", "50.0")).unwrap();
        let run = Run::parse(TEXT).unwrap();
        let pictures = pictures::draw(&run);
        let text = write(&run, Some(&before), &Notes::default(), &pictures);
        for part in [
            "| 120.0 us | 90.0 | 1.33 | at most 1.3 x; 5 x garage-fsync, not measured | +50 % | **missed** |",
            "| garage-fsync |  | on | not measured: not installed |",
            "- `put-1k-c1`: no cause is known yet",
            "- not measured: anode get-1k-c1: it broke",
            "| put-1k-c1 | anode | 15.0 | 10.0 to 20.0 |",
            "(bench/results/ratios.svg)",
            "(bench/results/latency-put-1k-c1.svg)",
            "## How to run",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}

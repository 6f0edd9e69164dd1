//! Which pictures a report has.

use crate::bars::BARS;
use crate::picture::{Length, Line, Picture, bars, distributions};
use crate::run::Run;

/// Cases whose latency distribution is drawn, each with the limit drawn beside it.
const DRAWN: [(&str, &str); 6] = [
    ("put-1k-c1", ""),
    ("put-1k-c64", ""),
    ("get-1k-c1", "nginx-get-1k-c1"),
    ("get-1k-c64", "nginx-get-1k-c64"),
    ("open-put-1k", ""),
    ("open-get-1k", ""),
];

/// Draws all that the run has figures for.
pub(crate) fn draw(run: &Run) -> Vec<Picture> {
    let scores = BARS.iter().filter_map(|bar| {
        let value = bar.score(run).filter(|score| score.is_finite())?;
        Some(Length { name: bar.key.to_owned(), value })
    });
    let lengths: Vec<Length> = scores.collect();
    let title = "What was reached, as a multiple of what is wanted (1 and more: met)".to_owned();
    let ratios = Picture { name: "ratios".to_owned(), text: bars(&title, &lengths), title };
    let distributions = DRAWN.iter().filter_map(|(label, limit)| distribution(run, label, limit));
    [ratios].into_iter().chain(distributions).collect()
}

fn distribution(run: &Run, label: &str, limit: &str) -> Option<Picture> {
    let servers = run.measured().map(|server| (server.name.as_str(), label));
    let shown = servers.chain([("", limit)]).map(|(server, label)| Line {
        name: if server.is_empty() { "nginx".to_owned() } else { server.to_owned() },
        points: run.distribution(server, label),
    });
    let lines: Vec<Line> = shown.filter(|line| !line.points.is_empty()).collect();
    let title = format!("Latency of {label}: median of the rounds, by share of the requests");
    (!lines.is_empty()).then(|| Picture {
        name: format!("latency-{label}"),
        text: distributions(&title, &lines),
        title,
    })
}

//! The run: rounds, in each the limits and then every server with every case.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bench_shared::process;
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::limits::{self, Found};
use crate::load::{self, Signing};
use crate::machine;
use crate::plan::{self, CASES, Case, Length, Start};
use crate::products::{Product, Server};
use crate::results::{About, Results};
use crate::running::{Patience, Running};
use crate::say;

/// Over the time that a case is asked for, or to its last key.
const SPARE_SECONDS: f64 = 600.0;
/// How long a server is watched that does nothing: CPU time comes in ticks of 10 ms, a thousandth of this.
const IDLE_SECONDS: f64 = 10.0;

/// What everything needs to know.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) patience: Patience,
    pub(crate) credentials: Credentials,
    pub(crate) work: Work,
}

/// The key of the run, in the form that Garage asks for.
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.id)
    }
}

/// The folder of the run, removed with it.
#[derive(Debug)]
pub(crate) struct Work(PathBuf);

impl Work {
    fn create(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(format!("compare-{}", std::process::id()));
        let made = std::fs::create_dir_all(&path).and_then(|()| std::fs::canonicalize(&path));
        made.map(Self).map_err(Failure::system(format!("making {}", path.display())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            say(&format!("{} is left: {error}", self.0.display()));
        }
    }
}

impl Site<'_> {
    /// Where a program of ours is.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let own = || {
            let program = std::env::current_exe().unwrap_or_default();
            program.parent().map(Path::to_owned).unwrap_or_default()
        };
        self.arguments.programs.clone().unwrap_or_else(own).join(name)
    }
}

/// The cases asked for by label, or all of the set.
fn wanted(arguments: &Arguments) -> Vec<&'static Case> {
    let is_wanted = |case: &&Case| {
        let named = arguments.only.iter().any(|label| label == case.label);
        if arguments.only.is_empty() { case.set <= arguments.set } else { named }
    };
    CASES.iter().filter(is_wanted).collect()
}

/// Measures everything.
pub(crate) fn run(arguments: &Arguments, patience: &Patience) -> Result<(), Failure> {
    let credentials = credentials().map_err(Failure::system("drawing a key"))?;
    let work = Work::create(&arguments.directory)?;
    let site = Site { arguments, patience: patience.clone(), credentials, work };
    let mut results = Results::create(&arguments.output)?;
    let about = About { kind: "machine", server: "", label: "machine", round: 0 };
    results.write(&about, machine::describe(&site))?;
    let products = present(&site, &mut results)?;
    let nginx = match limits::start_nginx(&site) {
        Err(error) if error.is_final() => return Err(error),
        started => started,
    };
    let mut comparison = Comparison {
        site: &site,
        results,
        cases: wanted(arguments),
        filled: BTreeSet::new(),
        missed: BTreeSet::new(),
    };
    for round in 1..=arguments.rounds {
        say(&format!("round {round} of {}", arguments.rounds));
        comparison.limits(round, &nginx)?;
        for product in &products {
            comparison.server(*product, round)?;
        }
    }
    say(&format!("the results are in {}", arguments.output.display()));
    if comparison.missed.contains(&Product::Anode) { Err(Failure::Incomplete) } else { Ok(()) }
}

fn credentials() -> std::io::Result<Credentials> {
    let mut bytes = [0; 44];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    let (id, secret) = bytes.split_at(12);
    Ok(Credentials { id: format!("GK{}", hex::encode(id)), secret: hex::encode(secret) })
}

/// The servers that can be measured; all are named in the results.
fn present(site: &Site<'_>, results: &mut Results) -> Result<Vec<Product>, Failure> {
    let mut found = Vec::new();
    for product in site.arguments.products() {
        let about = About { kind: "server", server: product.name(), label: "server", round: 0 };
        let durability = product.durability();
        match product.program(site) {
            Ok(program) => {
                let version = product.version(&program);
                results.write(&about, json!({"version": version, "durability": durability}))?;
                found.push(product);
            }
            Err(error) => {
                say(&format!("{} is not measured: {error}", product.name()));
                let problem = json!({"problem": error.to_string(), "durability": durability});
                results.write(&about, problem)?;
            }
        }
    }
    Ok(found)
}

/// A run under way.
struct Comparison<'a> {
    site: &'a Site<'a>,
    results: Results,
    cases: Vec<&'static Case>,
    /// What has been written to which server.
    filled: BTreeSet<(Product, String)>,
    /// Servers of which something could not be measured.
    missed: BTreeSet<Product>,
}

/// Where a server is in its round.
struct Turn {
    server: Server,
    round: u32,
    /// Operations a second of the cases so far.
    rates: BTreeMap<String, f64>,
}

impl Comparison<'_> {
    fn limits(
        &mut self,
        round: u32,
        nginx: &Result<(Running, SocketAddr), Failure>,
    ) -> Result<(), Failure> {
        say("  limits");
        let mut found: Vec<Found> = limits::disk(self.site);
        found.extend(limits::http(self.site, nginx));
        found.extend(limits::machine(self.site));
        for (label, figures) in found {
            let figures = match figures {
                Ok(figures) => figures,
                Err(error @ Failure::Interrupted) => return Err(error),
                Err(error) => {
                    say(&format!("  {label} is not measured: {error}"));
                    json!({"problem": error.to_string()})
                }
            };
            self.results.write(&About { kind: "limit", server: "", label, round }, figures)?;
        }
        Ok(())
    }

    fn server(&mut self, product: Product, round: u32) -> Result<(), Failure> {
        say(&format!("  {}", product.name()));
        let server = match Server::start(self.site, product) {
            Ok(server) => server,
            Err(error) => return self.missing(product, "server", round, error),
        };
        let mut turn = Turn { server, round, rates: BTreeMap::new() };
        self.idle(&turn)?;
        for case in self.cases.clone() {
            if case.start == Start::Cold {
                // It has to be filled before it is restarted.
                if let Err(error) = self.fill(&turn, case) {
                    self.missing(product, case.label, round, error)?;
                    continue;
                }
                match turn.server.restart_cold(self.site) {
                    Ok(server) => turn.server = server,
                    Err(error) => return self.missing(product, case.label, round, error),
                }
            }
            if let Err(error) = self.case(&mut turn, case) {
                self.missing(product, case.label, round, error)?;
            }
        }
        Ok(())
    }

    /// Names what was not measured, and goes on if that makes sense.
    fn missing(
        &mut self,
        product: Product,
        label: &str,
        round: u32,
        error: Failure,
    ) -> Result<(), Failure> {
        if error.is_final() {
            return Err(error);
        }
        say(&format!("  {label} of {} is not measured: {error}", product.name()));
        self.missed.insert(product);
        let about = About { kind: "problem", server: product.name(), label, round };
        self.results.write(&about, json!({"problem": error.to_string()}))
    }

    /// What a server costs that nobody asks for anything.
    fn idle(&mut self, turn: &Turn) -> Result<(), Failure> {
        let (ids, seconds) = (turn.server.ids(), IDLE_SECONDS);
        // What it does at its start is no idling.
        self.site.patience.pause(1.0)?;
        let begin = process::usage(&ids);
        self.site.patience.pause(seconds)?;
        let Some((begin, end)) = begin.zip(process::usage(&ids)) else { return Ok(()) };
        let figures = json!({
            "cpu_share": end.cpu_seconds_since(&begin) / seconds,
            "resident_bytes": end.resident_bytes,
        });
        let server = turn.server.product.name();
        self.results
            .write(&About { kind: "idle", server, label: "idle", round: turn.round }, figures)
    }

    fn fill(&mut self, turn: &Turn, case: &Case) -> Result<(), Failure> {
        let Some(fill) = case.fill() else { return Ok(()) };
        let key = (turn.server.product, fill);
        if self.filled.contains(&key) {
            return Ok(());
        }
        say(&format!("    filling for {}", case.label));
        let mut words = words(turn, case, "--only-fill");
        words.extend(self.options(turn, case.fill_options)?);
        load::run(self.site, &words, Signing::Signed, self.site.arguments.fill_seconds)?;
        self.filled.insert(key);
        Ok(())
    }

    fn case(&mut self, turn: &mut Turn, case: &Case) -> Result<(), Failure> {
        self.fill(turn, case)?;
        say(&format!("    {}", case.label));
        let arguments = self.site.arguments;
        let seconds = match case.length {
            Length::Timed => Some(arguments.seconds),
            Length::Open => Some(arguments.open_seconds.unwrap_or(arguments.seconds)),
            Length::Whole => None,
        };
        let mut words = words(turn, case, "--filled");
        words.extend(seconds.map(|seconds| format!("--seconds={seconds}")));
        words.extend(turn.server.ids().iter().map(|id| format!("--server={id}")));
        words.extend(self.options(turn, case.options)?);
        words.push("--json".to_owned());
        let seconds_max = seconds.unwrap_or_default() + SPARE_SECONDS;
        for line in load::run(self.site, &words, Signing::Signed, seconds_max)? {
            let label = case.line_label(line["label"].as_str().unwrap_or_default());
            if let Some(rate) = line["total"]["per_second"].as_f64() {
                turn.rates.insert(label.clone(), rate);
            }
            self.record(turn, &label, line)?;
        }
        Ok(())
    }

    fn record(&mut self, turn: &Turn, label: &str, figures: Value) -> Result<(), Failure> {
        let server = turn.server.product.name();
        self.results.write(&About { kind: "load", server, label, round: turn.round }, figures)
    }

    fn options(&self, turn: &Turn, options: &str) -> Result<Vec<String>, Failure> {
        let rate = |label: &str| turn.rates.get(label).copied();
        plan::words(options, self.site.arguments.list_keys, rate).map_err(Failure::Case)
    }
}

/// The beginning of a command line. `part` says which of the workload's lines are run.
fn words(turn: &Turn, case: &Case, part: &str) -> Vec<String> {
    let address = format!("--address={}", turn.server.address);
    vec!["run".to_owned(), case.workload.to_owned(), part.to_owned(), address]
}

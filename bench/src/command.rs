//! Which loads a command line asks for: one, those of a named workload, or only the names.

use bench_shared::named::{self, Role};
use clap::Parser;

use crate::arguments::Arguments;
use crate::failure::Failure;

/// What the program is to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run these, one after the other.
    Loads(Vec<Load>),
    /// Print the named workloads.
    Workloads,
}

/// A load, and whether anybody wants its figures.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) arguments: Arguments,
    pub(crate) role: Role,
}

/// Runs a named workload; `anode-bench workloads` lists them.
#[derive(Debug, Parser)]
#[command(name = "anode-bench run")]
struct Run {
    /// Which one
    name: String,
    /// The bucket is filled already: only measure
    #[arg(long, conflicts_with = "only_fill")]
    filled: bool,
    /// Only fill the bucket
    #[arg(long)]
    only_fill: bool,
    /// Options of `anode-bench`, which win over those of the workload's lines
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Understands the words after the program's name. What clap refuses or answers by itself ends the process.
pub(crate) fn parse(words: &[String]) -> Result<Command, Failure> {
    match words.first().map(String::as_str) {
        Some("workloads") => Ok(Command::Workloads),
        Some("run") => named_loads(&Run::parse_from(words)),
        _ => {
            let program = "anode-bench".to_owned();
            let arguments = Arguments::parse_from([&program].into_iter().chain(words));
            Ok(Command::Loads(vec![Load { arguments, role: Role::Measured }]))
        }
    }
}

fn named_loads(run: &Run) -> Result<Command, Failure> {
    let unknown = || {
        let name = &run.name;
        Failure::Arguments(format!("no workload is called {name}; see `anode-bench workloads`"))
    };
    let named = named::find(&run.name).ok_or_else(unknown)?;
    let wanted = |role| match role {
        Role::Fill => !run.filled,
        Role::Warm | Role::Measured => !run.only_fill,
    };
    let phases = named.phases.iter().filter(|phase| wanted(phase.role));
    let loads = phases.map(|phase| {
        let words = ["anode-bench"].into_iter().chain(phase.line.split_whitespace());
        let words = words.chain(run.options.iter().map(String::as_str));
        let mut arguments = Arguments::parse_from(words);
        if arguments.label.is_empty() {
            arguments.label = named.label(phase.line);
        }
        if phase.role != Role::Measured {
            // These go to their last key, as fast as that is possible.
            (arguments.seconds, arguments.rate, arguments.warm_up) = (None, None, None);
        }
        Load { arguments, role: phase.role }
    });
    Ok(Command::Loads(loads.collect()))
}

#[cfg(test)]
mod tests {
    use bench_shared::named::{NAMED, Role};

    use super::{Command, Load, parse};

    fn loads(line: &str) -> Vec<Load> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        match parse(&words) {
            Ok(Command::Loads(loads)) => loads,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn every_named_workload_is_a_load_that_can_be_run() {
        for named in NAMED {
            let loads = loads(&format!("run {} --seconds 1", named.name));
            assert!(loads.iter().any(|load| load.role == Role::Measured), "{}", named.name);
            for load in &loads {
                load.arguments.check().unwrap();
                let seconds = (load.role == Role::Measured).then_some(1.0);
                assert_eq!(load.arguments.seconds, seconds, "{}", named.name);
                let first = &loads[0].arguments;
                assert_eq!(load.arguments.prefix, first.prefix, "{}: the filled keys", named.name);
                assert!(load.arguments.keys <= first.keys, "{}", named.name);
            }
        }
    }

    #[test]
    fn options_after_the_name_win_and_fills_can_be_left_out() {
        let both = loads("run list-full --keys 10000 --concurrency 3 --server 1 --server 2");
        assert_eq!(both.len(), 2);
        for load in &both {
            assert_eq!((load.arguments.keys.get(), load.arguments.concurrency), (10_000, 3));
            assert_eq!(load.arguments.server, [1, 2]);
            assert_eq!(load.arguments.label, "list-full");
        }
        assert_eq!(loads("run list-full --filled --json").len(), 1);
        let cached = loads("run get-1k --filled --seconds 60");
        let roles: Vec<Role> = cached.iter().map(|load| load.role).collect();
        assert_eq!(roles, [Role::Warm, Role::Measured]);
        let fills = loads("run list-full --only-fill --keys 5");
        assert!(fills.iter().all(|load| load.role == Role::Fill));
        let labels: Vec<String> = loads("run small-objects --seed 3")
            .into_iter()
            .map(|load| load.arguments.label)
            .collect();
        assert_eq!(labels, ["small-objects/put", "small-objects/get", "small-objects/delete"]);
        parse(&["run".to_owned(), "nothing".to_owned()]).unwrap_err();
    }
}

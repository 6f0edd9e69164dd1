//! What the figures were measured on.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::compare::Site;

/// The machine, the commit and how it was measured.
pub(crate) fn describe(site: &Site<'_>) -> Value {
    let arguments = site.arguments;
    json!({
        "cpu": field("/proc/cpuinfo", "model name"),
        "cores": cores(),
        "memory": field("/proc/meminfo", "MemTotal"),
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "file_system": file_system(site.work.path()),
        "commit": said("git", &["describe", "--always", "--dirty"]),
        "date": said("date", &["--utc", "+%FT%TZ"]),
        "set": arguments.set,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "open_seconds": arguments.open_seconds.unwrap_or(arguments.seconds),
        "list_keys": arguments.list_keys,
        "memory_budget_bytes": arguments.memory.as_u64(),
        "fio": said("fio", &["--version"]),
    })
}

/// CPUs that programs may run on.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The value of the first line with that name.
fn field(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// The kind of the file system that holds `path`: of the mounts above it the lowest, of equal ones the last.
fn file_system(path: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let path = std::fs::canonicalize(path).unwrap_or_default();
    let above = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (at, kind) = (fields.next()?, fields.next()?);
        path.starts_with(at).then_some((at.len(), kind))
    });
    above.max_by_key(|(length, _)| *length).map(|(_, kind)| kind.to_owned()).unwrap_or_default()
}

fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{cores, field, file_system, said};

    #[test]
    fn this_machine_can_be_described() {
        assert!(field("/proc/meminfo", "MemTotal").ends_with(" kB"));
        assert_eq!(file_system("/proc/self".as_ref()), "proc");
        assert!(cores() > 0 && said("nothing-of-this-name", &[]).is_empty());
    }
}

//! Rules of the source tree that no compiler sees: crate directions, where glommio may be named, file headers,
//! words. A rule that matters is a test.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anode_net::s3::operation::{Answer, Kind, ROUTES};

/// Which of our crates each of our crates may depend on.
const DIRECTIONS: [(&str, &[&str]); 5] = [
    ("disk", &[]),
    ("net", &[]),
    ("shards", &["disk"]),
    ("bench", &["net"]),
    ("perf", &["disk", "net", "shards"]),
];

/// Words that say nothing, in names of types and files; `style.md` has the ones to use.
const EMPTY_WORDS: [&str; 6] = ["Manager", "Handler", "Helper", "Util", "Impl", "Wrapper"];

/// Lines a file may have before its one idea is in doubt; tests stand in files of their own.
const FILE_LINE_COUNT_MAX: usize = 700;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder of sources")
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file of the workspace, by its path from the root, with its text.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["src", "disk/src", "net/src", "shards/src", "bench/src", "perf/src"] {
        sources(&root().join(folder), &mut found);
    }
    let named = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a readable source");
        (path.strip_prefix(root()).expect("below the root").display().to_string(), text)
    };
    found.into_iter().map(named).collect()
}

/// Asserts that no file breaks a rule; `broken` says what a line does wrong.
fn assert_none(what: &str, broken: impl Fn(&str, &str) -> Vec<String>) {
    let found: Vec<String> = files()
        .iter()
        .flat_map(|(name, text)| {
            broken(name, text)
                .into_iter()
                .map(|finding| format!("{name}: {finding}"))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn crates_depend_only_in_the_designed_directions() {
    for (name, allowed) in DIRECTIONS {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        for (other, _) in DIRECTIONS {
            let depends = manifest.lines().any(|line| line.starts_with(&format!("anode-{other}")));
            assert!(!depends || allowed.contains(&other), "{name} may not depend on {other}");
        }
        assert!(!manifest.contains("glommio"), "{name} may not depend on glommio");
    }
}

#[test]
fn glommio_is_named_in_its_host_only() {
    assert_none("glommio belongs to src/host/glommio.rs and its folder", |name, text| {
        if name.starts_with("src/host/glommio") || name == "src/tidy.rs" {
            return Vec::new();
        }
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.filter(|line| line.contains("glommio::") && !line.contains("host::glommio"))
            .map(str::to_owned)
            .collect()
    });
}

#[test]
fn unsafe_code_is_in_one_file_only() {
    assert_none("unsafe code belongs to src/host/glommio/uring.rs", |name, text| {
        if name == "src/host/glommio/uring.rs" || name == "src/tidy.rs" {
            return Vec::new();
        }
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.filter(|line| line.contains("unsafe ") || line.contains("(unsafe_code"))
            .filter(|line| !line.contains("forbid(unsafe_code)"))
            .map(str::to_owned)
            .collect()
    });
    for name in ["disk", "net", "shards", "bench", "perf"] {
        let folder = root().join(name).join("src");
        let root = ["lib.rs", "main.rs"]
            .iter()
            .find_map(|root| fs::read_to_string(folder.join(root)).ok());
        assert!(
            root.is_some_and(|text| text.contains("#![forbid(unsafe_code)]")),
            "{name} forbids unsafe code"
        );
    }
}

#[test]
fn every_file_opens_with_its_purpose() {
    assert_none("a file opens with `//!`", |name, text| {
        let header = text.starts_with("//! ") && !text.starts_with("//! (in work)");
        let is_test = name.ends_with("tests.rs") || name.contains("/tests/");
        if header || is_test { Vec::new() } else { vec!["has no header".to_owned()] }
    });
}

#[test]
fn no_type_has_a_name_that_says_nothing() {
    assert_none("names say what a thing is", |name, text| {
        if name == "src/tidy.rs" {
            return Vec::new();
        }
        let declared = text.lines().map(str::trim_start).filter(|line| {
            let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            ["struct ", "enum ", "trait ", "mod "].iter().any(|start| line.starts_with(start))
        });
        declared
            .filter(|line| EMPTY_WORDS.iter().any(|word| line.contains(word)))
            .map(str::to_owned)
            .collect()
    });
}

#[test]
fn no_file_outgrows_its_idea() {
    assert_none("split it", |name, text| {
        let lines = text.lines().count();
        let is_test = name.ends_with("tests.rs") || name.contains("/tests/");
        if lines > FILE_LINE_COUNT_MAX && !is_test {
            vec![format!("{lines} lines")]
        } else {
            Vec::new()
        }
    });
}

#[test]
fn nothing_unfinished_is_left() {
    assert_none("finish it or leave it out", |name, text| {
        if name == "src/tidy.rs" {
            return Vec::new();
        }
        let marks = ["TODO", "FIXME", "XXX", "(in work)", "simplified for now"];
        let found = text.lines().filter(|line| marks.iter().any(|mark| line.contains(mark)));
        found.map(str::to_owned).collect()
    });
}

/// The part of docs/api.md under a heading.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let (_, rest) = document.split_once(&format!("\n## {heading}\n")).expect("docs/api.md has it");
    rest.split("\n## ").next().unwrap_or(rest)
}

#[test]
fn the_documents_say_of_every_operation_what_the_table_does() {
    let document = fs::read_to_string(root().join("docs/api.md")).unwrap();
    let sections = [
        section(&document, "Operations that are served"),
        section(&document, "Configurations of buckets"),
        section(&document, "Configuration that is not there"),
        section(&document, "501 NotImplemented"),
    ];
    let words: Vec<BTreeSet<&str>> = sections
        .iter()
        .map(|text| text.split(|letter: char| !letter.is_alphanumeric()).collect())
        .collect();
    for route in &ROUTES {
        let place = match route.answer {
            Answer::Served(Kind::GetBucketPolicyStatus) | Answer::Configuration(..) => 1,
            Answer::Served(_) => 0,
            Answer::NotConfigured(_) => 2,
            Answer::NotImplemented => 3,
        };
        let told: Vec<usize> = (0..4).filter(|nth| words[*nth].contains(route.name)).collect();
        assert_eq!(told, [place], "{}: where docs/api.md tells of it", route.name);
    }
}

//! The tree keeps its own rules: who may use whom, and that docs, help and example agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::lippycat;

/// The stages in the order in which a packet meets them. Each may use those before it.
const ORDER: [&str; 16] = [
    "time",
    "counters",
    "flow",
    "capture",
    "decode",
    "defrag",
    "reassembly",
    "sip",
    "media",
    "call",
    "sink",
    "pipeline",
    "exit_code",
    "config",
    "inspect",
    "cli",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.iter().next().unwrap().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn a_stage_knows_nothing_above_it() {
    let rank = |module: &str| ORDER.iter().position(|known| *known == module);
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), "rs") {
        let module = module_of(&path);
        let Some(own) = rank(&module) else { continue };
        let text = fs::read_to_string(&path).unwrap();
        // Tests of a stage may use whatever they need.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(&text);
        if path.ends_with("tests.rs") || path.to_string_lossy().contains("_tests") {
            continue;
        }
        for line in code.lines().filter(|line| line.trim_start().starts_with("use crate::")) {
            let used = line.trim_start().trim_start_matches("use crate::");
            let used: String = used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            // The pipeline's words for a batch's bytes belong to every stage.
            let is_view = used == "pipeline"
                && ["Bytes", "Place", "View", "FragmentFrames"].iter().any(|word| line.contains(word));
            if rank(&used).is_some_and(|other| other > own) && !is_view {
                wrong.push(format!("{}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    for path in files(&root().join("src"), "rs") {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{} begins without `//!`", path.display());
    }
}

#[test]
fn nothing_is_left_unfinished_or_tied_to_a_machine() {
    for path in files(&root().join("src"), "rs") {
        let text = fs::read_to_string(&path).unwrap();
        for mark in ["TODO", "FIXME", "XXX", "todo!", "unimplemented!", "dbg!", "/work/", "/root/"] {
            assert!(!text.contains(mark), "{}: {mark}", path.display());
        }
    }
}

#[test]
fn every_flag_of_the_help_is_in_the_documents() {
    let help = lippycat().args(["sniff", "voip", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut documents = String::new();
    for path in
        [root().join("README.md"), root().join("docs/configuration.md"), root().join("docs/records.md")]
    {
        documents += &fs::read_to_string(path).unwrap();
    }
    let flags: BTreeSet<String> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"))
        .map(|word| word.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect())
        .collect();
    assert!(flags.len() > 20, "{flags:?}");
    let missing: Vec<_> = flags
        .iter()
        .filter(|flag| {
            !matches!(flag.as_str(), "--help" | "--version" | "--") && !documents.contains(flag.as_str())
        })
        .collect();
    assert!(missing.is_empty(), "in the help and in no document: {missing:?}");
}

#[test]
fn every_capture_has_its_origin_and_all_are_small() {
    let mut bytes = 0;
    for path in files(&root().join("testdata/corpus"), "md") {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("| origin |") && text.contains("| licence |"), "{}", path.display());
    }
    let mut directories = vec![root().join("testdata")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                directories.push(entry.path());
            } else {
                bytes += metadata.len();
            }
        }
    }
    assert!(bytes < 20 << 20, "{bytes} bytes of test data");
}

//! Rules of the source tree that no compiler knows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::lippycat;

/// What a module may use: itself and what stands before it. The last six are what a user meets and know each other.
const ORDER: [&str; 20] = [
    "time",
    "counters",
    "near",
    "slots",
    "escape",
    "flow",
    "capture",
    "decode",
    "defrag",
    "reassembly",
    "tls",
    "sip",
    "quality",
    "media",
    "call",
    "privacy",
    "sink",
    "pipeline",
    "monitor",
    "control",
];
const EDGE: [&str; 6] = ["inspect", "report", "config", "cli", "app", "exit_code"];

/// Names for bytes of a batch, which every stage may use.
const BYTES: [&str; 4] = ["Bytes", "Place", "View", "FragmentFrames"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The Rust files below `src`, each with its path from there and its text.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let rust = files(&src).into_iter().filter(|path| path.extension().is_some_and(|it| it == "rs"));
    rust.map(|path| {
        let name = path.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(&path).unwrap())
    })
    .collect()
}

/// A file without its unit tests.
fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {").map_or(text, |end| &text[..end])
}

/// Files that are modules for tests only.
fn test_modules(sources: &[(String, String)]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, text) in sources {
        let parent = Path::new(name);
        let inside = match parent.file_stem().unwrap().to_str().unwrap() {
            "mod" | "lib" | "main" => parent.parent().unwrap().to_path_buf(),
            stem => parent.with_file_name(stem),
        };
        for rest in text.split("#[cfg(test)]\n").skip(1) {
            let line = rest.lines().find(|line| !line.starts_with('#')).unwrap_or("");
            let module = line.trim_start_matches("pub(crate) ").strip_prefix("mod ");
            if let Some(module) = module.and_then(|it| it.strip_suffix(';')) {
                found.insert(inside.join(format!("{module}.rs")).to_string_lossy().into_owned());
            }
        }
    }
    found
}

/// What a text uses of the crate: module and the name behind it, if one stands there.
fn uses(text: &str) -> Vec<(String, String)> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, " "])
        .collect::<String>()
        .split_whitespace()
        .collect();
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => found.extend(members(group)),
            None => found.extend(members(rest).into_iter().take(members(rest).len().min(1))),
        }
        if let Some((module, group)) = rest.split_once("::{").filter(|(module, _)| is_name(module)) {
            found.pop();
            found.extend(members(group).into_iter().map(|(name, _)| (module.to_owned(), name)));
        }
    }
    found
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
}

/// The members of a group `a::B, c, d::{E, F}}`, up to its end, each with the name behind it; outside of a group the
/// first is what is meant.
fn members(group: &str) -> Vec<(String, String)> {
    let mut depth = 0;
    let mut members = vec![String::new()];
    for it in group.chars() {
        match it {
            '}' if depth == 0 => break,
            ';' | '(' | ')' | '<' | '>' | '=' | '&' | '.' | '|' | '+' | '!' | '?' | '[' | ']' => break,
            ',' if depth == 0 => {
                members.push(String::new());
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        members.last_mut().unwrap().push(it);
    }
    members
        .iter()
        .map(|member| {
            let mut names = member.split("::");
            let first = names.next().unwrap_or("").to_owned();
            (first, names.next().unwrap_or("").trim_matches(['{', '}']).to_owned())
        })
        .filter(|(name, _)| is_name(name))
        .collect()
}

#[test]
fn uses_are_found() {
    let found = |text: &str| -> Vec<String> {
        uses(text).into_iter().map(|(module, name)| format!("{module}/{name}")).collect()
    };
    assert_eq!(found("use crate::time::Timestamp;"), ["time/Timestamp"]);
    assert_eq!(
        found("use crate::pipeline::{\n    Bytes,\n    Place,\n};"),
        ["pipeline/Bytes", "pipeline/Place"]
    );
    assert_eq!(found("use crate::{defrag, sip::Head};"), ["defrag/", "sip/Head"]);
    assert_eq!(found("fn f(a: crate::call::Record, b: u8) {}"), ["call/Record"]);
    assert_eq!(found("/// See [`crate::call`]."), Vec::<String>::new());
}

#[test]
fn a_stage_knows_nothing_above_it() {
    let sources = sources();
    let tests = test_modules(&sources);
    assert!(tests.contains("reassembly/tests.rs") && tests.len() >= 5, "{tests:?}");
    let mut wrong = Vec::new();
    let mut looked = BTreeSet::new();
    for (name, text) in sources.iter().filter(|(name, _)| !tests.contains(name)) {
        let module = name.split('/').next().unwrap().trim_end_matches(".rs");
        if ["lib", "main"].contains(&module) || EDGE.contains(&module) {
            continue;
        }
        let Some(rank) = ORDER.iter().position(|it| *it == module) else {
            wrong.push(format!("src/{name}: {module} has no place in the order of modules"));
            continue;
        };
        looked.insert(module);
        for (used, item) in uses(without_tests(text)) {
            let below = ORDER.iter().position(|it| *it == used).is_some_and(|it| it <= rank);
            let is_bytes = used == "pipeline" && BYTES.contains(&item.as_str());
            if !below && !is_bytes {
                wrong.push(format!("src/{name}: {module} uses {used}::{item}"));
            }
        }
    }
    assert_eq!(looked.len(), ORDER.len(), "{looked:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn modules_say_what_they_are_for() {
    for (name, text) in sources() {
        if name.ends_with("/mod.rs") || !name.contains('/') && name != "main.rs" {
            assert!(text.starts_with("//! "), "src/{name} opens without saying what it is for");
        }
    }
}

#[test]
fn nothing_is_left_over() {
    // Put together here, so that this file may be looked at too.
    let words = ["TODO", "FIXME", "XXX"].map(|word| format!("{word}{}", ':'));
    let places = ["tmp", "work", "home", "root"].map(|place| format!("\"/{place}"));
    for (name, text) in sources() {
        for word in &words {
            assert!(!text.contains(word.as_str()), "src/{name}: {word}");
        }
        for place in &places {
            assert!(!without_tests(&text).contains(place.as_str()), "src/{name}: {place}");
        }
    }
}

/// The flags that a command's help names.
fn flags(command: &[&str]) -> BTreeSet<String> {
    let output = lippycat().args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{command:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines
        .flat_map(|line| line.split([' ', ',', '=', '[', ']']).take_while(|word| !word.starts_with('<')));
    words.filter(|word| word.starts_with("--")).map(str::to_owned).collect()
}

#[test]
fn every_flag_is_in_the_documents() {
    let documents: String = files(&root().join("docs"))
        .into_iter()
        .chain([root().join("README.md")])
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    let words: BTreeSet<&str> =
        documents.split(|it: char| !it.is_ascii_alphanumeric() && it != '-').collect();
    let mut missing = BTreeSet::new();
    for command in [
        &["sniff", "voip"][..],
        &["debug", "metrics"],
        &["debug", "alerts"],
        &["inspect", "call"],
        &["inspect", "calls"],
        &["config", "show"],
        &["man"],
    ] {
        let flags = flags(command);
        assert!(flags.contains("--config"), "{command:?}: {flags:?}");
        missing.extend(flags.into_iter().filter(|flag| !words.contains(flag.as_str())));
    }
    assert!(missing.is_empty(), "neither in README.md nor below docs: {missing:?}");
}

#[test]
fn every_key_is_in_the_example_and_in_the_manual() {
    let output = lippycat().args(["config", "show"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let keys: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|key| key.contains('.'))
        .collect();
    assert!(keys.len() >= 20, "{shown}");
    let example = fs::read_to_string(root().join("lippycat.yaml.example")).unwrap();
    let manual = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    for key in keys {
        let (above, name) = key.rsplit_once('.').unwrap();
        let mut text = example.as_str();
        for (depth, section) in above.split('.').enumerate() {
            let line = format!("\n{}#{section}:\n", "  ".repeat(depth));
            text = text.split_once(&line).map_or("", |(_, text)| text);
        }
        let depth = above.split('.').count();
        // The first key of a group stands right behind its name.
        let line = format!("{}#{name}: ", "  ".repeat(depth));
        assert!(text.lines().any(|it| it.starts_with(&line)), "lippycat.yaml.example: {key}");
        assert!(manual.contains(&format!("| `{key}` |")), "docs/configuration.md: {key}");
    }
}

#[test]
fn dependencies_are_those_of_the_table() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, section) = architecture.split_once("\n## Dependencies\n").unwrap();
    let (table, tests) = section.split_once("\nFor tests: ").unwrap();
    let named = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    let crates = table.lines().filter_map(|line| line.split('|').nth(1)).flat_map(named).collect();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let keys = |heading: &str| -> BTreeSet<String> {
        let (_, section) = manifest.split_once(&format!("\n[{heading}]\n")).unwrap();
        let lines = section.lines().take_while(|line| !line.is_empty());
        lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.to_owned()).collect()
    };
    assert_eq!(keys("dependencies"), crates);
    assert_eq!(keys("dev-dependencies"), named(tests));
}

#[test]
fn test_data_is_small_and_has_an_origin() {
    let testdata = root().join("testdata");
    let size: u64 = files(&testdata).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(size < 20 << 20, "{size} bytes of test data");
    let cases: Vec<PathBuf> =
        fs::read_dir(testdata.join("corpus")).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(cases.len() >= 32);
    for case in cases {
        let readme = fs::read_to_string(case.join("README.md")).unwrap_or_default();
        for row in ["| origin | ", "| licence | ", "| truth | "] {
            assert!(readme.contains(row), "{}: README.md without {row}", case.display());
        }
    }
}

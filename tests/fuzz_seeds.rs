//! Hostile inputs, kept below `testdata/fuzz`, through the same functions as the fuzz targets.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::testdata;

#[path = "../fuzz/src/lib.rs"]
mod targets;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 8] = [
    ("decode", targets::decode),
    ("framer", targets::framer),
    ("head", targets::head),
    ("sdp", targets::sdp),
    ("stream", targets::stream),
    ("pcap", targets::pcap),
    ("pcapng", targets::pcapng),
    ("websocket", targets::websocket),
];

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = testdata(&format!("fuzz/{target}"));
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let seed = |entry: fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
    };
    entries.map(|entry| seed(entry.unwrap())).collect()
}

#[test]
fn every_seed_keeps_every_promise() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() >= 4, "{name} has {} seeds", seeds.len());
        for (seed, bytes) in seeds {
            assert!(bytes.len() < 64 << 10, "{name}/{seed} is large");
            eprintln!("{name}/{seed}");
            target(&bytes);
            // Cut everywhere: what was captured may end anywhere.
            let step = (bytes.len() / 64).max(1);
            (0..bytes.len()).step_by(step).for_each(|end| target(&bytes[..end]));
        }
    }
}

#[test]
fn every_target_has_a_program_and_is_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let mut programs = BTreeSet::new();
    for entry in fs::read_dir(root.join("targets")).unwrap() {
        programs.insert(entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned());
    }
    assert_eq!(programs, TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect());
    for name in programs {
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"targets/{name}.rs\"")), "{name}");
        let program = fs::read_to_string(root.join(format!("targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("lippycat_fuzz::{name}(data)")), "{name}");
    }
}

//! The traffic generator as a program: `cargo bench --bench traffic -- generate udp --out udp.pcap --ledger udp.json`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::ExitCode;

#[path = "mod.rs"]
mod traffic;

use traffic::{PRESETS, Profile};

const USAGE: &str = "\
usage: generate PRESET --out FILE [--ledger FILE] [--scale FACTOR] [--KNOB VALUE]...
       knobs [PRESET]
       presets
";

fn main() -> ExitCode {
    // `cargo bench` adds `--bench` when it runs every target.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["generate", preset, options @ ..] => generate(preset, options),
        ["knobs"] => knobs("plain"),
        ["knobs", preset] => knobs(preset),
        ["presets"] => presets(),
        // Nothing to measure here: `cargo bench` without arguments passes over.
        [] => Ok(()),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "{message}");
            ExitCode::from(2)
        }
    }
}

fn generate(preset: &str, options: &[&str]) -> Result<(), String> {
    let mut profile = find(preset)?;
    let (mut out, mut ledger) = (None, None);
    for pair in options.chunks(2) {
        let &[name, value] = pair else {
            return Err(format!("{}: a value is missing", pair.concat()));
        };
        match name {
            "--out" => out = Some(value),
            "--ledger" => ledger = Some(value),
            "--scale" => profile.scale(value.parse().map_err(|error| format!("--scale {value}: {error}"))?),
            name => profile.set(&name.trim_start_matches('-').replace('-', "_"), value)?,
        }
    }
    let out = out.ok_or("--out FILE is missing")?;
    let mut file = File::create(out).map_err(|error| format!("{out}: {error}"))?;
    let truth = traffic::generate(&profile, &mut file).map_err(|error| format!("{out}: {error}"))?;
    let text = serde_json::to_string_pretty(&truth).map_err(|error| error.to_string())?;
    match ledger {
        Some(path) => fs::write(path, text + "\n").map_err(|error| format!("{path}: {error}")),
        None => print(&text),
    }
}

fn knobs(preset: &str) -> Result<(), String> {
    let lines: Vec<String> = find(preset)?
        .knobs()
        .iter()
        .map(|(name, value)| format!("--{} {value}", name.replace('_', "-")))
        .collect();
    print(&lines.join("\n"))
}

fn presets() -> Result<(), String> {
    let lines: Vec<String> = PRESETS.iter().map(|(row, name)| format!("{row} {name}")).collect();
    print(&lines.join("\n"))
}

fn find(preset: &str) -> Result<Profile, String> {
    Profile::preset(preset).ok_or_else(|| {
        let names: Vec<&str> = PRESETS.iter().map(|(_, name)| *name).collect();
        format!("no preset is called {preset}; there are plain, faults, all-faults, {}", names.join(", "))
    })
}

fn print(text: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{text}").map_err(|error| error.to_string())
}

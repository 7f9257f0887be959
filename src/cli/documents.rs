//! Completions and manual pages, made from the definition of the command line.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use clap_complete::Shell;
use clap_mangen::Man;

/// Writes the completions of `shell`.
///
/// # Errors
/// When `out` cannot be written to.
pub fn completions(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "lippycat", &mut script);
    out.write_all(&script)
}

/// Writes the manual page of every command: into `directory`, one file each, or else one after the other to `out`.
///
/// # Errors
/// When the directory cannot be made or a page cannot be written.
pub fn man(directory: Option<&Path>, out: &mut impl Write) -> Result<()> {
    let mut command = super::command();
    command.build();
    if let Some(directory) = directory {
        fs::create_dir_all(directory).with_context(|| format!("{}: cannot be made", directory.display()))?;
    }
    for command in with_those_below(command) {
        let (name, text) = page(command)?;
        match directory.map(|directory| directory.join(name)) {
            Some(path) => {
                fs::write(&path, text).with_context(|| format!("{}: cannot be written", path.display()))?;
            }
            None => out.write_all(&text)?,
        }
    }
    Ok(())
}

fn with_those_below(command: clap::Command) -> Vec<clap::Command> {
    let below: Vec<clap::Command> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .flat_map(|command| with_those_below(command.clone()))
        .collect();
    std::iter::once(command).chain(below).collect()
}

/// The name of a command's page, and the page.
fn page(mut command: clap::Command) -> io::Result<(String, Vec<u8>)> {
    let usage = command.render_usage().to_string();
    let more = command.get_after_help().map(ToString::to_string);
    let has_commands = command.get_subcommands().any(|command| !command.is_hide_set());
    let man = Man::new(command).source(concat!("lippycat ", env!("CARGO_PKG_VERSION"))).manual("lippycat");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    as_they_are("SYNOPSIS", usage.trim_start_matches("Usage: ").lines(), &mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(more) = &more {
        let (examples, notes) = more.split_once("\n\n").unwrap_or((more, ""));
        as_they_are("EXAMPLES", examples.lines().skip(1), &mut page)?;
        if !notes.is_empty() {
            as_they_are("NOTES", notes.lines(), &mut page)?;
        }
    }
    man.render_version_section(&mut page)?;
    Ok((man.get_filename(), page))
}

/// A section whose lines are not filled: a command and what it does stay as they stand.
fn as_they_are<'a>(
    heading: &str,
    lines: impl Iterator<Item = &'a str>,
    page: &mut Vec<u8>,
) -> io::Result<()> {
    writeln!(page, ".SH {heading}\n.nf")?;
    for line in lines {
        // A dot in front would be a request.
        page.extend(b"\\&");
        for c in line.trim().chars() {
            // Else they become hyphens, quotation marks and accents that no shell takes: groff_char(7).
            match c {
                '\\' => page.extend(b"\\e"),
                '-' => page.extend(b"\\-"),
                '\'' => page.extend(b"\\(aq"),
                '`' => page.extend(b"\\(ga"),
                '^' => page.extend(b"\\(ha"),
                '~' => page.extend(b"\\(ti"),
                c => write!(page, "{c}")?,
            }
        }
        writeln!(page)?;
    }
    writeln!(page, ".fi")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        man(Some(directory.path()), &mut io::sink()).unwrap();
        let mut names: Vec<String> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let commands =
            ["", "-completions", "-config", "-config-generate", "-config-show", "-config-validate"];
        let debug = [
            "",
            "-alerts",
            "-buffers",
            "-calls",
            "-config",
            "-health",
            "-metrics",
            "-registrations",
            "-streams",
            "-summary",
        ];
        let debug: Vec<String> = debug.iter().map(|command| format!("lippycat-debug{command}.1")).collect();
        let more =
            ["-inspect", "-inspect-call", "-inspect-calls", "-interfaces", "-man", "-sniff", "-sniff-voip"];
        let report = ["", "-call", "-calls", "-carriers", "-targets"];
        let report: Vec<String> =
            report.iter().map(|command| format!("lippycat-report{command}.1")).collect();
        let mut wanted: Vec<String> = commands
            .iter()
            .chain(&more)
            .map(|command| format!("lippycat{command}.1"))
            .chain(debug)
            .chain(report)
            .collect();
        wanted.sort();
        assert_eq!(names, wanted);
    }

    /// groff_man(7): between `.nf` and `.fi` lines are printed as they are, `\&` is nothing and `\-` a hyphen.
    #[test]
    fn lines_of_examples_stay_lines() {
        let directory = tempfile::tempdir().unwrap();
        man(Some(directory.path()), &mut io::sink()).unwrap();
        let page = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        for (name, lines) in [
            (
                "lippycat-sniff-voip.1",
                ".SH EXAMPLES\n.nf\n\
                 \\&lippycat sniff voip \\-r monday.pcap tuesday.pcap.gz      several files, merged by packet time\n\\&",
            ),
            (
                "lippycat-inspect-call.1",
                ".SH SYNOPSIS\n.nf\n\\&lippycat inspect call <CALL\\-ID> \\-r <FILE>... [OPTIONS]\n.fi\n",
            ),
            ("lippycat.1", "\\-u \\(aq+4930*\\(aq         only"),
            ("lippycat.1", ".SH NOTES\n.nf\n\\&Exit codes: 0 good"),
        ] {
            let page = page(name);
            assert!(page.contains(lines) && !page.contains("EXTRA"), "{page}");
            assert_eq!(page.matches(".nf").count(), page.matches(".fi").count());
        }
    }

    #[test]
    fn completions_know_the_words_of_choices() {
        let mut script = Vec::new();
        completions(Shell::Bash, &mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("memory balanced throughput latency"), "possible values are completed");
        assert!(!script.contains("hep-listen"));
    }
}

//! Completions and manual pages, made from the definition of the command line.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

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
pub fn man(directory: Option<&Path>, out: &mut impl Write) -> io::Result<()> {
    let mut command = super::command();
    command.build();
    if let Some(directory) = directory {
        fs::create_dir_all(directory)?;
    }
    pages(command).into_iter().try_for_each(|page| match directory {
        Some(directory) => page.generate_to(directory).map(drop),
        None => page.render(out),
    })
}

fn pages(command: clap::Command) -> Vec<Man> {
    let below: Vec<Man> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .flat_map(|command| pages(command.clone()))
        .collect();
    let page = Man::new(command).source(concat!("lippycat ", env!("CARGO_PKG_VERSION"))).manual("lippycat");
    std::iter::once(page).chain(below).collect()
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

    #[test]
    fn completions_know_the_words_of_choices() {
        let mut script = Vec::new();
        completions(Shell::Bash, &mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("memory balanced throughput latency"), "possible values are completed");
        assert!(!script.contains("hep-listen"));
    }
}

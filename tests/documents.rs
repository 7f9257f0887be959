//! What the documents show on a console is what the program prints.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The README, and every document.
fn documents(root: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    below
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .chain([root.join("README.md")])
        .collect()
}

/// The commands between "```console" and "```", each with what it prints.
fn commands(text: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (false, _) => {}
            (true, "```") => inside = false,
            (true, line) => match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), String::new())),
                (None, Some((_, printed))) => *printed += &format!("{line}\n"),
                (None, None) => panic!("{line}: printed by nothing"),
            },
        }
    }
    commands
}

#[test]
fn consoles_show_what_is_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_BIN_EXE_lippycat")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let has_jq = Command::new("jq").arg("--version").output().is_ok();
    let mut shown = 0;
    for document in documents(root) {
        let home = tempfile::tempdir().unwrap();
        symlink(root.join("testdata"), home.path().join("testdata")).unwrap();
        for (command, wanted) in commands(&fs::read_to_string(&document).unwrap()) {
            if command.contains("jq ") && !has_jq {
                continue;
            }
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("exec 2>&1; {command}")).current_dir(home.path());
            // Arrows are shown where the language has them.
            shell.env_clear().env("LANG", "C.UTF-8").env("HOME", home.path()).env("PATH", &path);
            let printed = shell.output().unwrap();
            assert_eq!(String::from_utf8_lossy(&printed.stdout), wanted, "{}: {command}", document.display());
            shown += 1;
        }
    }
    assert!(shown >= 6, "{shown}");
}

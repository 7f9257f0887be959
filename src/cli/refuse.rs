//! Answers for what the parser does not know: flags and commands of what is not built yet, files without `-r`.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Flags of `sniff voip` that later versions have.
const FLAGS: [(&str, &str); 12] = [
    ("--autostop", "--count and --duration stop a run"),
    ("--hep-listen", "there is no HEP"),
    ("--hep-send", "there is no HEP"),
    (
        "--tcp-cleanup-interval",
        "time-outs are kept to 100 ms; see --tcp-stream-timeout and --tcp-buffer-max-age",
    ),
    ("--tcp-assembler-max-pages", "use --max-tcp-buffers"),
    ("--tcp-buffer-strategy", "use --enable-backpressure: it says who yields"),
    ("--memory-optimization", "use --tcp-performance-mode memory"),
    ("--tcp-latency-optimization", "use --tcp-performance-mode latency"),
    ("--tcp-batch-size", "the performance mode sets it, or voip.tcp_batch_size in the configuration"),
    ("--tcp-io-threads", "use voip.tcp_io_threads in the configuration"),
    ("--tcp-memory-limit", "use voip.tcp_memory_limit in the configuration"),
    ("--stream-queue-buffer", "use voip.stream_queue_buffer in the configuration"),
];

/// Commands that later versions have.
const COMMANDS: [(&str, &str); 2] =
    [("parsers", "there is no store of signalling"), ("flush", "there is no store of signalling")];

/// Our words for an error of the parser, in one line; none when its own are good.
#[must_use]
pub fn explain(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let argument = context(ContextKind::InvalidArg)?;
            if argument.starts_with('-') {
                absent(&FLAGS, flag_name(argument)).or_else(|| dashed(argument, arguments))
            } else {
                stray(argument, arguments)
            }
        }
        ErrorKind::MissingRequiredArgument => missing(error, arguments),
        ErrorKind::InvalidSubcommand => absent(&COMMANDS, context(ContextKind::InvalidSubcommand)?),
        _ => None,
    }
}

fn absent(table: &[(&str, &str)], name: &str) -> Option<String> {
    let (name, text) = table.iter().find(|(known, _)| *known == name)?;
    Some(format!("{name} is not in this version: {text}"))
}

/// What is missing, where the parser's list of it would not help.
fn missing(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let Some(ContextValue::Strings(names)) = error.get(ContextKind::InvalidArg) else { return None };
    if names.iter().any(|name| name == "<CALL-ID>") {
        return Some(no_call_id(arguments));
    }
    let inverts = arguments.iter().any(|argument| argument == "--invert");
    inverts.then(|| "--invert needs one of --sipuser, --from, --to, --method, --match".to_owned())
}

/// Says where the Call-ID goes, for a flag that takes several files takes all that follows it.
fn no_call_id(arguments: &[OsString]) -> String {
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    let command = if given("report") { "report" } else { "inspect" };
    let flag = ["--records", "-r", "--read-file"].into_iter().find(|flag| given(flag));
    match flag {
        Some(flag) => format!("no Call-ID: it goes before {flag}, as in {command} call CALL-ID {flag} FILE"),
        None => format!("no Call-ID: want one, as in {command} call CALL-ID -r FILE"),
    }
}

/// Says where a Call-ID goes that looks like flags.
fn dashed(argument: &str, arguments: &[OsString]) -> Option<String> {
    let is_asked = |command: &&str| arguments.windows(2).any(|pair| pair == [*command, "call"]);
    let command = ["inspect", "report"].into_iter().find(is_asked)?;
    (!argument.starts_with("--")).then(|| {
        format!(
            "unexpected '{argument}': a Call-ID that begins with - goes last, as in {command} call -r FILE -- CALL-ID"
        )
    })
}

/// `--flag=value` and `-fvalue` without their values.
fn flag_name(argument: &str) -> &str {
    if argument.starts_with("--") {
        argument.split('=').next().unwrap_or(argument)
    } else {
        argument.char_indices().nth(2).and_then(|(end, _)| argument.get(..end)).unwrap_or(argument)
    }
}

/// Whether a word is, or begins, a filter as in pcap-filter(7), which tcpdump takes behind its flags.
fn begins_filter(word: &str) -> bool {
    const FIRST: &[&str] = &[
        "dst",
        "ether",
        "host",
        "icmp",
        "ip",
        "ip6",
        "net",
        "not",
        "port",
        "portrange",
        "proto",
        "sctp",
        "src",
        "tcp",
        "udp",
        "vlan",
    ];
    word.split_whitespace().next().is_some_and(|first| FIRST.contains(&first))
}

/// A word where none belongs, most likely a file.
fn stray(word: &str, arguments: &[OsString]) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == word)?;
    let before = arguments.get(at.checked_sub(1)?)?.to_str()?;
    if matches!(before, "-w" | "--write-file") {
        return Some(format!(
            "unexpected '{word}': {before} writes one file for each call, into the directory of --pcap-dir; \
             what their names are to begin with goes after =, as in {before}=PREFIX"
        ));
    }
    let is_file = |word: &str| Path::new(word).is_file();
    let asks = |command: &str| arguments.windows(3).any(|three| three == [command, "call", before]);
    if let Some(command) = ["inspect", "report"].into_iter().find(|command| asks(command))
        && is_file(before)
        && !is_file(word)
    {
        return Some(format!(
            "unexpected '{word}': the Call-ID comes first, and files behind a flag, as in {command} call {word} -r {before}"
        ));
    }
    let is_below = |command: &str| arguments.iter().take(at).any(|argument| argument == command);
    if is_below("report") {
        return Some(format!(
            "unexpected '{word}': records are read with --records, captures with -r, as in -r {word}"
        ));
    }
    let sniffs = arguments.windows(2).any(|pair| pair == ["sniff", "voip"]);
    if !sniffs && !is_below("inspect") {
        return None;
    }
    if sniffs && begins_filter(word) {
        return Some(format!(
            "unexpected '{word}': a capture filter is one argument behind -f, as in -f 'udp port 5060'"
        ));
    }
    Some(format!("unexpected '{word}': capture files are read with -r, as in -r {word}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The text of a refused command line, up to its first newline.
    fn refusal(line: &str) -> String {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        match crate::cli::parse(&arguments).unwrap_err() {
            crate::cli::Refusal::Explained(text) => text,
            crate::cli::Refusal::Clap(error) => {
                error.to_string().lines().next().unwrap_or_default().to_owned()
            }
        }
    }

    /// A command line, and the first line of its refusal.
    const ROWS: &[(&str, &str)] = &[
        (
            "l sniff voip -i eth0 udp port 5060",
            "unexpected 'udp': a capture filter is one argument behind -f, as in -f 'udp port 5060'",
        ),
        ("l sniff voip x.pcap", "unexpected 'x.pcap': capture files are read with -r, as in -r x.pcap"),
        ("l inspect calls x.pcap", "unexpected 'x.pcap': capture files are read with -r, as in -r x.pcap"),
        ("l inspect call a x.pcap", "unexpected 'x.pcap': capture files are read with -r, as in -r x.pcap"),
        (
            "l report calls x.jsonl",
            "unexpected 'x.jsonl': records are read with --records, captures with -r, as in -r x.jsonl",
        ),
        (
            "l inspect call Cargo.toml a84b",
            "unexpected 'a84b': the Call-ID comes first, and files behind a flag, as in inspect call a84b -r Cargo.toml",
        ),
        (
            "l report call Cargo.toml a84b",
            "unexpected 'a84b': the Call-ID comes first, and files behind a flag, as in report call a84b -r Cargo.toml",
        ),
        (
            "l inspect call Cargo.toml Cargo.lock",
            "unexpected 'Cargo.lock': capture files are read with -r, as in -r Cargo.lock",
        ),
        (
            "l sniff voip -r a -w out.pcap",
            "unexpected 'out.pcap': -w writes one file for each call, into the directory of --pcap-dir; what their names \
             are to begin with goes after =, as in -w=PREFIX",
        ),
        (
            "l sniff voip -r a --write-file out",
            "unexpected 'out': --write-file writes one file for each call, into the directory of --pcap-dir; what their \
             names are to begin with goes after =, as in --write-file=PREFIX",
        ),
        (
            "l sniff voip -i eth0 -r a",
            "error: the argument '--interface <IF[,IF]>' cannot be used with '--read-file <FILE>...'",
        ),
        (
            "l sniff voip -i eth0,,",
            "error: invalid value '' for '--interface <IF[,IF]>': want an interface such as eth0, or several: eth0,eth1",
        ),
        ("l sniff voip --hep-listen udp://[::]:9060", "--hep-listen is not in this version: there is no HEP"),
        (
            "l sniff voip --tcp-buffer-strategy ring",
            "--tcp-buffer-strategy is not in this version: use --enable-backpressure: it says who yields",
        ),
        ("l inspect parsers", "parsers is not in this version: there is no store of signalling"),
        ("l inspect call -r a b", "no Call-ID: it goes before -r, as in inspect call CALL-ID -r FILE"),
        (
            "l report call --records a b",
            "no Call-ID: it goes before --records, as in report call CALL-ID --records FILE",
        ),
        (
            "l report call --read-file a b",
            "no Call-ID: it goes before --read-file, as in report call CALL-ID --read-file FILE",
        ),
        (
            "l inspect call -x1 -r a",
            "unexpected '-x': a Call-ID that begins with - goes last, as in inspect call -r FILE -- CALL-ID",
        ),
        (
            "l report call -r a -qmk",
            "unexpected '-m': a Call-ID that begins with - goes last, as in report call -r FILE -- CALL-ID",
        ),
        ("l report call", "no Call-ID: want one, as in report call CALL-ID -r FILE"),
        ("l sniff voip -r a --invert", "--invert needs one of --sipuser, --from, --to, --method, --match"),
        ("l sniff voip -r a --nonsense", "error: unexpected argument '--nonsense' found"),
        ("l sniff voip -r a -M fast", "error: invalid value 'fast' for '--tcp-performance-mode <MODE>'"),
        (
            "l sniff voip -r a --workers -1",
            "error: invalid value '-1' for '--workers <N>': want a whole number from 0 to 256",
        ),
        (
            "l sniff voip -r a --max-goroutines 0",
            "error: invalid value '0' for '--max-goroutines <N>': want a whole number from 1 to 10000000",
        ),
        (
            "l sniff voip -r a --count NaN",
            "error: invalid value 'NaN' for '--count <N>': want a whole number from 1 to 18446744073709551615",
        ),
        (
            "l sniff voip -r a --duration 5",
            "error: invalid value '5' for '--duration <DURATION>': want a duration such as 30s, 5m or 1h30m",
        ),
        (
            "l sniff voip -r a --match (",
            "error: invalid value '(' for '--match <REGEX>': want a regular expression: unclosed group",
        ),
        (
            "l sniff voip -r a -f prot",
            "error: invalid value 'prot' for '--filter <BPF>': want a filter as in pcap-filter(7): syntax error",
        ),
        (
            "l sniff voip -r a --method a@b",
            "error: invalid value 'a@b' for '--method <METHOD[,METHOD]>': want a method such as INVITE",
        ),
        (
            "l sniff voip -r a -u ,",
            "error: invalid value '' for '--sipuser <USER[,USER]>': want a user such as alice or +4930*",
        ),
        (
            "l sniff voip -r a --pcap-name {x}",
            "error: invalid value '{x}' for '--pcap-name <TEMPLATE>': unknown field {x}: want {call_id}, {from}, {to}, {start} or {hash}",
        ),
        (
            "l sniff voip -r a --enable-backpressure=perhaps",
            "error: invalid value 'perhaps' for '--enable-backpressure[=<BOOL>]': want true or false",
        ),
    ];

    #[test]
    fn what_is_refused_is_refused_in_one_line() {
        for (line, wanted) in ROWS {
            assert_eq!(refusal(line), *wanted, "{line}");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        crate::cli::Cli::command().debug_assert();
    }

    #[test]
    fn what_is_refused_is_not_in_help() {
        let mut command = crate::cli::command();
        command.build();
        let help = |name: &str| {
            command.find_subcommand(name).cloned().map(|it| it.to_owned().render_long_help().to_string())
        };
        let sniff = command.find_subcommand("sniff").and_then(|it| it.find_subcommand("voip")).cloned();
        let sniff = sniff.unwrap().render_long_help().to_string();
        // An example shows another program's -i.
        let (flags, _) = sniff.split_once("Examples:").unwrap();
        let words: Vec<&str> = flags.split(|c: char| c.is_whitespace() || ",[]=.;".contains(c)).collect();
        assert!(FLAGS.iter().all(|(flag, _)| !words.contains(flag)));
        assert!(COMMANDS.iter().all(|(name, _)| help(name).is_none()));
        assert!(!sniff.contains("batch-size"));
    }

    #[test]
    fn usage_shows_an_order_that_is_taken() {
        for name in ["inspect", "report"] {
            let mut command = crate::cli::command();
            command.build();
            let call = command.find_subcommand_mut(name).unwrap().find_subcommand_mut("call").unwrap();
            let usage = call.render_usage().to_string();
            let (call_id, files) = (usage.find("<CALL-ID>").unwrap(), usage.find("-r <FILE>...").unwrap());
            assert!(call_id < files, "{usage}");
            let line = format!("lippycat {name} call ID -r a b --numbers masked");
            assert!(crate::cli::parse(&line.split(' ').map(OsString::from).collect::<Vec<_>>()).is_ok());
        }
    }

    #[test]
    fn flags_stand_under_the_heading_that_is_theirs() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                let is_privacy = ["numbers", "dtmf"].contains(&argument.get_id().as_str());
                let heading = argument.get_help_heading().unwrap_or_default();
                assert_eq!(heading == "Privacy", is_privacy, "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&crate::cli::command());
    }

    #[test]
    fn every_flag_has_one_line_of_meaning() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments().filter(|it| !it.is_hide_set()) {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(
                    !help.is_empty() && !help.ends_with('.'),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&crate::cli::command());
    }
}

//! The operations document, command by command and word for word, against a live service under a real systemd.
//!
//! Its text is `testdata/operations/procedures.md`; what each block has to show is what the document says about it. Real
//! programs run wherever Debian has them; `tests/machine/shims` has the four that stand in for what is not there: `sudo`,
//! `wget` (no network), `go`, and a `sleep` that takes a tenth of the time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::machine::{Done, Machine};
use crate::support::testdata;

/// Where the operator works, with `./lippycat` and a capture at hand.
const DIRECTORY: &str = "/root";

/// What the operator deploys.
const CONFIGURATION: &str = "\
voip:
  tcp_performance_mode: balanced
  max_goroutines: 1000
pcap:
  write: true
  directory: /var/lib/lippycat/pcap
log:
  file: /var/log/lippycat/lippycat.log
";

/// Every command that fails in a script leaves a line: its exit code and itself.
const TELL_FAILURES: &str = "set -E; trap 'echo \"$? $BASH_COMMAND\" >>/srv/failed' ERR\n";

/// The document, and which of its blocks were run.
struct Document {
    blocks: Vec<String>,
    used: RefCell<BTreeSet<usize>>,
}

impl Document {
    fn read() -> Self {
        let text = fs::read_to_string(testdata("operations/procedures.md")).unwrap();
        Self { blocks: blocks(&text), used: RefCell::default() }
    }

    /// The one block with this text in it.
    fn block(&self, phrase: &str) -> &str {
        let mut found = self.blocks.iter().enumerate().filter(|(_, block)| block.contains(phrase));
        let (number, block) = found.next().unwrap_or_else(|| panic!("no block has {phrase}"));
        assert!(found.next().is_none(), "more than one block has {phrase}");
        self.used.borrow_mut().insert(number);
        block
    }

    /// The one block that is exactly these commands.
    fn commands(&self, text: &str) -> &str {
        let number = self.blocks.iter().position(|block| block.trim_end() == text);
        let number = number.unwrap_or_else(|| panic!("no block is {text}"));
        self.used.borrow_mut().insert(number);
        &self.blocks[number]
    }

    fn assert_all_were_run(&self) {
        let used = self.used.borrow();
        let left: Vec<&String> =
            self.blocks.iter().enumerate().filter(|(it, _)| !used.contains(it)).map(|(_, it)| it).collect();
        assert!(left.is_empty(), "not run: {left:#?}");
    }
}

/// The text between "```bash" and "```", without the indentation of the fence.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(fence) = lines.next() {
        let Some(indentation) = fence.strip_suffix("```bash") else { continue };
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        let inside = inside.map(|line| line.strip_prefix(indentation).unwrap_or(line));
        blocks.push(inside.flat_map(|line| [line, "\n"]).collect());
    }
    blocks
}

#[test]
fn blocks_are_found_with_their_indentation_taken_off() {
    let text =
        "a\n```bash\none\n  two\n```\n1. b\n   ```bash\n   three\n\n     four\n   ```\n```text\nno\n```\n";
    assert_eq!(blocks(text), ["one\n  two\n", "three\n\n  four\n"]);
    assert_eq!(Document::read().blocks.len(), 31);
}

/// The document on a machine.
struct Site {
    document: Document,
    machine: Machine,
    /// The next caller's port: one that was just used waits for late segments.
    port: Cell<u16>,
}

/// What a block did: output, and the commands that failed.
struct Ran {
    done: Done,
    failed: Vec<String>,
}

impl Ran {
    fn out(&self) -> &str {
        &self.done.out
    }

    /// Every command of it worked, and it said nothing on stderr.
    fn clean(self, what: &str) -> String {
        assert!(
            self.failed.is_empty() && self.done.code == 0 && self.done.err.is_empty(),
            "{what}: {:?}\nexit code {}\n{}\n{}",
            self.failed,
            self.done.code,
            self.done.out,
            self.done.err
        );
        self.done.out
    }
}

impl Site {
    fn open() -> Option<Self> {
        let machine = Machine::boot()?;
        fs::write(machine.shared("tell-failures"), TELL_FAILURES).unwrap();
        fs::write(machine.shared("lippycat.yaml"), CONFIGURATION).unwrap();
        fs::copy(testdata("corpus/sip-over-tcp/input.pcap"), machine.shared("test-sip-tcp.pcap")).unwrap();
        machine.good("cp /srv/lippycat /srv/lippycat.yaml /srv/test-sip-tcp.pcap .");
        Some(Self { document: Document::read(), machine, port: Cell::new(6060) })
    }

    /// Runs a block as it stands, as the script that it is.
    fn run(&self, block: &str) -> Ran {
        fs::write(self.machine.shared("block"), block).unwrap();
        let _ = fs::remove_file(self.machine.shared("failed"));
        let done = self.machine.run("BASH_ENV=/srv/tell-failures bash /srv/block");
        let failed = fs::read_to_string(self.machine.shared("failed")).unwrap_or_default();
        Ran { done, failed: failed.lines().map(str::to_owned).collect() }
    }

    /// Runs a block of which every command has to work.
    fn clean(&self, phrase: &str) -> String {
        self.run(self.document.block(phrase)).clean(phrase)
    }

    /// The text of a file of the machine.
    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.machine.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Calls over one TCP connection, each with an INVITE, an ACK and a BYE, between two sipp on the loopback.
    fn calls_over_tcp(&self, calls: u32) {
        let port = self.port.replace(self.port.get() + 1);
        self.machine.good(&format!(
            "cd /tmp && sipp -sn uac 127.0.0.1:5060 -i 127.0.0.1 -p {port} -t t1 -m {calls} -r 20 -d 200 -nostdin -timeout 20 >/tmp/uac.screen 2>&1"
        ));
    }
}

#[test]
#[ignore = "boots a machine, and takes minutes: make test-machine"]
fn the_operations_document_works_as_written() {
    let Some(site) = Site::open() else { return };
    site.machine.good("systemd-run --quiet --unit=uas -p WorkingDirectory=/tmp -p StandardOutput=null -p StandardError=null \
        sipp -sn uas -i 127.0.0.1 -p 5060 -t t1 -nostdin");
    deploy(&site);
    before_deployment(&site);
    daily(&site);
    log_rotation(&site);
    performance(&site);
    incidents(&site);
    service_down(&site);
    diagnostics(&site);
    weekly(&site);
    monthly(&site);
    recovery(&site);
    reinstallation(&site);
    site.document.assert_all_were_run();
}

/// "Deployment Procedure": binary, configuration, unit, start.
fn deploy(site: &Site) {
    site.clean("sudo cp lippycat /usr/local/bin/");
    assert!(site.machine.good("getcap /usr/local/bin/lippycat").contains("cap_net_admin,cap_net_raw=eip"));

    site.clean("sudo cp lippycat.yaml /etc/lippycat/");
    assert_eq!(site.machine.good("stat -c '%a %U:%G' /etc/lippycat/lippycat.yaml"), "600 root:root\n");

    let ran = site.run(site.document.block("sudo tee /etc/systemd/system/lippycat.service"));
    assert!(ran.failed.is_empty(), "{:?}", ran.failed);
    let verdict = site.machine.run("systemd-analyze verify lippycat.service");
    assert_eq!((verdict.code, verdict.err.as_str()), (0, ""), "{}", verdict.out);

    let out = site.clean("# Wait 30 seconds, then check health");
    assert!(out.contains("Active: active (running)"), "{out}");
    assert!(out.contains("Status: HEALTHY"), "{out}");
}

/// "Pre-Deployment Checklist". Its baseline is taken from a live sniffer; what it starts then, it starts alone.
fn before_deployment(site: &Site) {
    let ran = site.run(site.document.block("# Test configuration syntax"));
    assert!(ran.failed.is_empty(), "{:?}: {}", ran.failed, ran.done.err);
    assert!(ran.out().contains("balanced"), "the effective settings are shown: {}", ran.out());

    let baseline = site.document.block("> baseline-metrics.txt");
    let ran = site.run(baseline);
    assert!(!site.read(&format!("{DIRECTORY}/baseline-metrics.txt")).trim().is_empty());
    assert_eq!(ran.failed.len(), 2, "a second sniffer does not push a living one aside: {:?}", ran.failed);
    assert!(ran.failed.iter().all(|it| it.starts_with("1 ./lippycat sniff")), "{:?}", ran.failed);
    assert_eq!(ran.done.err.matches("--name").count(), 2, "it says how two can run: {}", ran.done.err);

    site.machine.good("systemctl stop lippycat");
    fs::write(site.machine.shared("block"), baseline).unwrap();
    let _ = fs::remove_file(site.machine.shared("failed"));
    let script = "BASH_ENV=/srv/tell-failures bash /srv/block";
    let child = site.machine.command(script).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for goroutines in [100, 2000] {
        let sniffer = format!("pgrep -fx '[.]/lippycat sniff voip .*max-goroutines {goroutines}'");
        site.machine.until(&format!("{sniffer} && ./lippycat debug health"));
        let metrics: Value =
            serde_json::from_str(&site.machine.good("./lippycat debug metrics --json")).unwrap();
        assert_eq!(metrics["health"]["max_goroutines"], goroutines, "{metrics}");
        site.machine.good(&format!("kill -INT $({sniffer})"));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let failed = fs::read_to_string(site.machine.shared("failed")).unwrap();
    assert_eq!(failed, "3 ./lippycat debug summary > baseline-metrics.txt\n", "nothing was running yet");
    site.machine.good("systemctl start lippycat && sleep 5");
}

/// "Daily Operations": the health check, metrics for other systems, what the log has.
fn daily(site: &Site) {
    site.calls_over_tcp(5);
    let out = site.clean("# daily-health-check.sh");
    for wanted in
        ["\nactive\nenabled\n", "No active alerts", "/usr/local/bin/lippycat sniff voip", "Filesystem"]
    {
        assert!(out.contains(wanted), "{wanted}: {out}");
    }

    let metrics = site.clean("# lippycat-metrics.sh");
    assert!(metrics.contains("\nlippycat_tcp_healthy 1\n"), "{metrics}");
    let created = value(&metrics, "lippycat_tcp_streams_total_streams_created");
    assert!(created >= 1.0, "{metrics}");
    assert_eq!(findings(&metrics), BTreeSet::from(["no help text".to_owned()]), "{metrics}");

    let out = site.clean("# error-analysis.sh");
    for heading in ["TCP Errors:", "SIP Errors:", "Memory Warnings:", "Error Summary:"] {
        assert!(out.contains(heading), "{out}");
    }
}

/// A sample of a metrics text.
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}: {metrics}")).parse().unwrap()
}

/// What promtool has to say about a metrics text, without the names.
fn findings(metrics: &str) -> BTreeSet<String> {
    let mut promtool = std::process::Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool is installed with prometheus");
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    text.lines().map(|line| line.split_once(' ').map_or(line, |(_, finding)| finding).to_owned()).collect()
}

/// "Log Rotation": the document's configuration, run by logrotate, with the service told.
fn log_rotation(site: &Site) {
    let log = "/var/log/lippycat/lippycat.log";
    let before = site.read(log);
    assert!(!before.is_empty());
    fs::write(
        site.machine.path("/etc/logrotate.d/lippycat"),
        site.document.block("# /etc/logrotate.d/lippycat"),
    )
    .unwrap();
    let ran = site.machine.run("logrotate --force /etc/logrotate.d/lippycat");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(site.read(&format!("{log}.1")).starts_with(&before), "what was written is kept");
    assert_eq!(site.machine.good(&format!("stat -c '%a %U:%G' {log}")), "644 root:root\n");
    // systemd reloads no unit that does not say how, and the document's does not: the new file is noticed all the same.
    sleep(Duration::from_secs(3));
    site.calls_over_tcp(1);
    site.machine.until(&format!("grep -q 'Stream completed' {log}"));
    site.machine.good("lippycat debug health");
}

/// "Performance Monitoring": one round of the dashboard.
fn performance(site: &Site) {
    fs::write(site.machine.shared("one-round"), "").unwrap();
    let ran = site.run(site.document.block("# performance-dashboard.sh"));
    fs::remove_file(site.machine.shared("one-round")).unwrap();
    assert!(ran.failed.is_empty(), "{:?}: {}", ran.failed, ran.done.err);
    for wanted in ["lippycat Performance Dashboard", "Mem:", " lippycat\n", "=== Refresh in 10 seconds"] {
        assert!(ran.out().contains(wanted), "{wanted}: {}", ran.out());
    }
    // What `clear` sends is the script's.
    let screen = ran.out().trim_start_matches("\u{1b}[H\u{1b}[2J\u{1b}[3J");
    assert!(!screen.contains('\u{1b}'), "no colours through a pipe: {screen:?}");
    assert!(screen.contains("Calls:") && screen.contains("status: HEALTHY"), "{screen}");
}

/// "Critical Alerts Response".
fn incidents(site: &Site) {
    let out = site.clean("lippycat debug buffers\nps aux");
    assert!(out.contains("uffers") && out.contains("/usr/local/bin/lippycat sniff voip"), "{out}");
    let main = || site.machine.good("systemctl show --value -p MainPID lippycat");
    let first = main();
    site.clean("# Switch to memory optimization mode");
    let second = main();
    site.clean("# Emergency restart");
    assert!(first != second && second != main());
    site.machine.until("lippycat debug health");

    let out = site.clean("lippycat debug streams");
    assert!(out.contains("Total created:") && out.contains("No a"), "{out}");
    site.clean("--since \"1 hour ago\" --priority=err");
    let block = site.document.block("tcpdump -i any -c 100 port 5060").to_owned();
    let script = "bash /srv/block";
    fs::write(site.machine.shared("block"), block).unwrap();
    let child = site.machine.command(script).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    site.machine.until("pgrep -x tcpdump");
    sleep(Duration::from_secs(1));
    site.calls_over_tcp(20);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // With names where the machine has some: only the number of packets is certain.
    let packets = text.lines().filter(|line| line.contains(" IP ")).count();
    assert!(text.contains("Iface") && packets == 100, "{text}");
}

/// "Service Down": status, restart, safe mode.
fn service_down(site: &Site) {
    let ran = site.run(site.document.block("journalctl -u lippycat --lines=50"));
    assert!(ran.failed.is_empty() && ran.out().contains("Active: active (running)"), "{}", ran.out());
    let out = site.clean("sudo systemctl restart lippycat\nsleep 30");
    assert!(out.contains("Status: HEALTHY"), "{out}");

    // What made the service fail must not hinder safe mode.
    site.machine.good("systemctl stop lippycat && cp -a /etc/lippycat/lippycat.yaml /srv/good.yaml");
    site.machine.good("echo 'voip: {max_gorutines: 1}' >/etc/lippycat/lippycat.yaml");
    assert_ne!(site.machine.run("systemctl start lippycat && /bin/sleep 1 && lippycat debug health").code, 0);
    site.machine.good("systemctl stop lippycat");
    let block = site.document.block("# Start with minimal configuration");
    let told = run_until_healthy(site, block, "voip --tcp-performance-mode memory --max-goroutines 100");
    assert!(told.contains("did you mean") && told.contains("max_goroutines"), "{told}");
    site.machine.good("cp -a /srv/good.yaml /etc/lippycat/lippycat.yaml && systemctl reset-failed lippycat; systemctl start lippycat");
    site.machine.until("lippycat debug health");
}

/// Runs a block that starts a sniffer in the foreground, until it is healthy; then Ctrl-C. Gives what it said.
fn run_until_healthy(site: &Site, block: &str, arguments: &str) -> String {
    fs::write(site.machine.shared("block"), block).unwrap();
    let mut command = site.machine.command("exec bash /srv/block 2>&1");
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    // The brackets keep the shell that asks from finding itself.
    let sniffer = format!("pgrep -f '[l]ippycat sniff {arguments}'");
    site.machine.until(&format!("{sniffer} && lippycat debug health"));
    site.machine.good(&format!("kill -INT $({sniffer})"));
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    text
}

/// "Diagnostic Data Collection": an archive that an engineer can work with.
fn diagnostics(site: &Site) {
    let ran = site.run(site.document.block("# collect-diagnostics.sh"));
    // Nobody listens on 5060 at times, and then grep says no.
    assert!(ran.failed.iter().all(|it| it.contains("grep 5060")), "{:?}", ran.failed);
    let name = ran.out().trim_end().rsplit_once(": ").unwrap().1.to_owned();
    let archive =
        format!("mkdir -p /srv/diagnostics && tar -xzf {name} -C /srv/diagnostics --strip-components=1");
    site.machine.good(&archive);
    let read = |file: &str| fs::read_to_string(site.machine.shared("diagnostics").join(file)).unwrap();
    let metrics: Value = serde_json::from_str(&read("metrics.json")).unwrap();
    assert_eq!(metrics["health"]["healthy"], true, "{metrics}");
    let effective: Value = serde_json::from_str(&read("effective_config.json")).unwrap();
    assert_eq!(effective["tcp_performance_mode"], "balanced", "{effective}");
    assert_eq!(read("config.yaml"), CONFIGURATION);
    assert!(read("health.txt").contains("Status: HEALTHY"));
    for file in [
        "system_info.txt",
        "service_status.txt",
        "recent_logs.txt",
        "debug_summary.txt",
        "process_info.txt",
        "memory_info.txt",
        "disk_info.txt",
        "interfaces.txt",
    ] {
        assert!(!read(file).trim().is_empty(), "{file}");
    }
}

/// "Weekly Maintenance": completed streams are counted out of the journal; old files go, and only those.
fn weekly(site: &Site) {
    site.calls_over_tcp(3);
    site.machine.until("journalctl -u lippycat | grep -q 'Stream completed'");
    let out = site.clean("# weekly-performance-review.sh");
    let (_, rest) = out.split_once("(Last 7 days):\n").unwrap();
    assert!(rest.lines().next().unwrap().trim().parse::<u32>().unwrap() >= 1, "streams are counted: {out}");
    assert!(out.contains("Current performance mode: balanced"), "{out}");

    let pcaps = || {
        site.machine.good("find /var/lib/lippycat/pcap -name '*.pcap' | wc -l").trim().parse::<u32>().unwrap()
    };
    site.machine.until("ls /var/lib/lippycat/pcap/*.pcap");
    let young = pcaps();
    site.machine.good(
        "cd /var/log/lippycat && echo old >ancient.log && echo old >week.log && touch -d '100 days ago' ancient.log \
         && touch -d '10 days ago' week.log && cd /var/lib/lippycat/pcap && cp \"$(ls *.pcap | head -n 1)\" month.pcap \
         && touch -d '40 days ago' month.pcap",
    );
    let out = site.clean("# log-cleanup.sh");
    assert!(out.contains("Cleaned up old PCAP files"), "{out}");
    let left = site.machine.good("ls /var/log/lippycat");
    assert!(
        !left.contains("ancient") && left.contains("week.log.gz") && left.contains("lippycat.log\n"),
        "{left}"
    );
    assert_eq!(pcaps(), young);
    site.machine.good("lippycat debug health");
}

/// "Monthly Maintenance".
fn monthly(site: &Site) {
    let out = site.run(site.document.block("# monthly-config-review.sh"));
    assert_eq!(out.done.err, "", "jq and bc can work with it");
    assert!(out.out().contains("balanced"), "{}", out.out());
    assert!(out.out().contains("- Consider decreasing max_goroutines to save memory"), "{}", out.out());
    assert!(!out.out().contains("increasing"), "{}", out.out());

    let out = site.clean("# security-review.sh");
    for wanted in ["cap_net_admin,cap_net_raw=eip", "-rw------- 1 root root", "User=root", "go version"] {
        assert!(out.contains(wanted), "{wanted}: {out}");
    }
}

/// "Service Won't Start" and "Data Recovery".
fn recovery(site: &Site) {
    let validate = "lippycat sniff voip --config /etc/lippycat/lippycat.yaml --validate-config";
    site.run(site.document.commands(validate)).clean(validate);
    site.clean("lippycat.yaml.minimal << EOF");
    site.machine.until("lippycat debug health");
    assert_eq!(site.read("/etc/lippycat/lippycat.yaml.backup"), CONFIGURATION);
    let block = site.document.block("--config /etc/lippycat/lippycat.yaml.minimal");
    let told = run_until_healthy(site, block, "voip --config /etc/lippycat/lippycat.yaml.minimal");
    assert!(!told.contains("warning: /etc"), "{told}");
    site.machine.good("systemctl start lippycat");

    // A file that was cut in the middle of a packet.
    site.machine.good("f=$(ls -S /var/lib/lippycat/pcap/*.pcap | head -n 1); head -c $(( $(stat -c %s \"$f\") - 7 )) \"$f\" >corrupted.pcap; \
        echo no capture >/var/lib/lippycat/pcap/broken.pcap");
    let ran = site.run(site.document.block("# Check for corrupted PCAP files"));
    // Newer versions of `file` say "pcap capture file", and then good ones are listed, too.
    assert!(ran.out().contains("broken.pcap: ASCII text"), "{}", ran.out());
    assert!(site.machine.good("tcpdump -r recovered.pcap 2>/dev/null | wc -l").trim() != "0");
    site.machine.good("rm /var/lib/lippycat/pcap/broken.pcap");

    site.clean("lippycat config generate > /tmp/default-config.yaml");
    assert_eq!(site.read("/etc/lippycat/lippycat.yaml"), CONFIGURATION);
    site.machine.good("lippycat config validate /tmp/default-config.yaml");
}

/// "Complete Reinstallation".
fn reinstallation(site: &Site) {
    site.machine.good("rm -rf /tmp/lippycat-backup");
    let ran = site.run(site.document.block("# disaster-recovery.sh"));
    // On stderr systemctl tells of its links, and we that nothing is running at that moment.
    assert!(ran.failed.is_empty(), "{:?}: {}", ran.failed, ran.done.err);
    assert!(ran.out().contains("Disaster recovery complete"), "{}", ran.out());
    assert!(!ran.done.err.contains("error"), "{}", ran.done.err);
    site.machine.until("lippycat debug health");
    assert_eq!(site.machine.good("systemctl is-enabled lippycat"), "enabled\n");
    assert!(
        site.read("/srv/calls.log")
            .contains("wget -O /tmp/lippycat https://github.com/endorses/lippycat/releases/")
    );
    let errors = site.machine.good("journalctl -u lippycat --no-pager -q -p err -o cat");
    assert!(!errors.contains("panicked"), "{errors}");
}

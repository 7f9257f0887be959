//! `report call`: everything about one call, in plain words.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::condition::instant;
use super::field;
use super::proof::{Told, proven, recorded};
use super::records::{Go, Record, Taker};
use crate::escape::json_line;
use crate::inspect::trace::{Call, Line, Traced};
use crate::inspect::wanted::{Search, Verdict, shown};
use crate::inspect::{Before, Screen, Wanted, count, elsewhere, seconds};
use crate::sip::asks_again;

/// Bytes kept of a message: its first line is shown.
pub(crate) const FIRST_LINE: usize = 1 << 10;

/// Calls told of that share a Call-ID.
const MAX_CALLS: usize = 256;

/// Messages named as proof of one finding.
const MAX_PROOF: usize = 6;

/// Hops told of.
const MAX_HOPS: usize = 32;

/// What is known of one call.
pub struct Story {
    record: Value,
    /// Of a call in a capture: its messages.
    messages: Vec<Message>,
    left_out: u64,
    findings: Vec<Told>,
}

/// A message of the call.
struct Message {
    time: String,
    source: String,
    destination: String,
    transport: &'static str,
    line: String,
    again: bool,
}

impl Story {
    /// That of a record.
    #[must_use]
    pub fn of_record(record: Value) -> Self {
        let findings = recorded(&record);
        Self { record, messages: Vec::new(), left_out: 0, findings }
    }

    /// That of a call in a capture.
    ///
    /// # Errors
    /// Its record cannot be told in JSON.
    pub(crate) fn of_call(call: &Call) -> io::Result<Self> {
        let record = serde_json::to_value(&call.record)?;
        let findings = proven(call, &record);
        let messages = call.trace.messages.iter().map(Message::new).collect();
        Ok(Self { record, messages, left_out: call.trace.left_out, findings })
    }

    /// As one line of JSON: the record, and what proves it.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn json(&self, ladder: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
        let messages = self.messages.iter().zip(1..).map(|(message, number)| {
            json!({"number": number, "time": message.time, "source": message.source, "destination": message.destination,
                "transport": message.transport, "first_line": message.line, "again": message.again})
        });
        let findings = self.findings.iter().map(|finding| {
            let (time, message) = finding.shown.clone().unzip();
            json!({"code": finding.code, "text": finding.text, "time": time, "message": message, "messages": finding.messages})
        });
        let told = json!({
            "call": self.record, "messages": messages.collect::<Vec<_>>(), "messages_left_out": self.left_out,
            "findings": findings.collect::<Vec<_>>(), "ladder": ladder,
        });
        json_line(out, &told)
    }

    /// In words.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn text(&self, ladder: Option<&str>, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", screen.text(&self.sentence()))?;
        let mut rows = vec![("Call-ID", self.get("call_id"))];
        rows.push(("Parties", self.parties(screen)));
        rows.push(("Times", self.times()));
        rows.push(("Result", self.result()));
        rows.extend(self.hops(screen).into_iter().map(|hop| ("Hop", hop)));
        rows.extend(super::legs::rows(&self.record, screen));
        rows.push(("Messages", self.counts()));
        rows.extend(super::signalling::rows(&self.record, screen));
        rows.extend([("Agents", self.list("user_agents")), ("Codecs", self.list("codecs"))]);
        rows.extend([("Capture file", self.get("pcap")), ("Ladder", ladder.unwrap_or_default().to_owned())]);
        let mut before = "";
        for (title, text) in rows.into_iter().filter(|(_, text)| !text.is_empty()) {
            let shown = if title == before { "" } else { title };
            before = title;
            writeln!(out, "  {shown:<13} {}", screen.text(&text))?;
        }
        self.media(screen, out)?;
        self.told(screen, out)
    }

    fn get(&self, key: &str) -> String {
        self.record.get(key).filter(|value| !value.is_null()).map(field::text).unwrap_or_default()
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.record.get(key).and_then(Value::as_f64)
    }

    fn list(&self, key: &str) -> String {
        let items = self.record.get(key).and_then(Value::as_array).into_iter().flatten();
        items.map(field::text).collect::<Vec<_>>().join(", ")
    }

    /// Seconds from the first message to another time of the record.
    fn elapsed(&self, key: &str) -> Option<f64> {
        let (start, time) = (instant(&self.get("start"))?, instant(&self.get(key))?);
        Some(time.since(start).as_secs_f64())
    }

    /// The same, in words.
    fn after(&self, key: &str) -> Option<String> {
        self.elapsed(key).map(seconds)
    }

    fn sentence(&self) -> String {
        let (from, to) = (self.get("from"), self.get("to"));
        let answer = [self.get("status_code"), self.get("reason")].join(" ").trim().to_owned();
        let long = self.number("duration_seconds").map(seconds).unwrap_or_default();
        if self.get("kind") != "call" {
            let answer = if answer.is_empty() { "no final answer".to_owned() } else { answer };
            return format!("{} from {from} to {to}: {answer}", self.get("method"));
        }
        if let Some(sentence) = self.begun_before() {
            return sentence;
        }
        let by = match self.get("ended_by").as_str() {
            "caller" => format!(", {from} (the caller) hung up"),
            "callee" => format!(", {to} (the called party) hung up"),
            "network" => ", no BYE seen".to_owned(),
            _ => String::new(),
        };
        let with = if answer.is_empty() { String::new() } else { format!(" with {answer}") };
        let outcome = match (self.answered(), self.get("result").as_str()) {
            (Some(answered), "open") => format!("{answered}, still up {long} later"),
            (Some(answered), _) => format!("{answered}, {long} long{by}"),
            (None, "cancelled") => self.elsewhere().unwrap_or("cancelled by the caller").to_owned(),
            (None, "busy") if self.get("status_code") == "603" => format!("declined{with}"),
            (None, "busy") => format!("busy, {answer}"),
            (None, "redirected") => format!("redirected{with}"),
            (None, "timeout") if answer.is_empty() => "no final answer".to_owned(),
            (None, "open") if self.get("status_code").parse().is_ok_and(asks_again) => {
                format!("{answer}, and no other try yet")
            }
            (None, "open") => "not answered yet".to_owned(),
            (None, result) => format!("{result}{with}"),
        };
        format!("{from} called {to}: {outcome}")
    }

    /// That it was answered, and after how long if its INVITE is in the capture.
    fn answered(&self) -> Option<String> {
        let after = self.number("setup_seconds").map(|setup| format!(" after {}", seconds(setup)));
        (!self.get("answered").is_empty()).then(|| format!("answered{}", after.unwrap_or_default()))
    }

    /// Of a call that was cancelled, who else took it.
    fn elsewhere(&self) -> Option<&'static str> {
        let causes = self.record.get("end_causes").and_then(Value::as_array).into_iter().flatten();
        let causes = causes
            .filter_map(|it| Some((it.get("protocol")?.as_str()?, it.get("cause").and_then(Value::as_u64))));
        elsewhere(!self.get("replaced_by").is_empty(), causes)
    }

    /// Of a call that was up before the capture, how it went on.
    fn begun_before(&self) -> Option<String> {
        let before = Before {
            from: &self.get("from"),
            to: &self.get("to"),
            method: &self.get("method"),
            result: &self.get("result"),
            is_answered: !self.get("answered").is_empty(),
            has_reinvites: self.number("reinvites") > Some(0.0),
            ended_by: &self.get("ended_by"),
            seconds: self.elapsed("end"),
        };
        before.sentence()
    }

    fn parties(&self, screen: &Screen) -> String {
        let uri = self.get("request_uri");
        let asked = if uri.is_empty() { uri } else { format!(", request URI {uri}") };
        format!("{} {} {}{asked}", self.get("from"), screen.pick("→", "->"), self.get("to"))
    }

    fn times(&self) -> String {
        // The first message is the answer itself where the INVITE is not in the capture.
        let is_timed = |key| key != "answered" || self.number("setup_seconds").is_some();
        let steps = [("ringing", "rang"), ("answered", "answered"), ("end", "ended")];
        let steps = steps.into_iter().filter(|(key, _)| is_timed(*key));
        let steps = steps.filter_map(|(key, word)| Some(format!("{word} after {}", self.after(key)?)));
        std::iter::once(self.get("start")).chain(steps).collect::<Vec<_>>().join(", ")
    }

    fn result(&self) -> String {
        let by = self.get("ended_by");
        let parts = [
            format!("{} {} {}", self.get("result"), self.get("status_code"), self.get("reason"))
                .trim()
                .to_owned(),
            if by.is_empty() { by } else { format!("ended by {by}") },
            self.get("end_reason"),
        ];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }

    /// Who sent to whom, each once, in the order of the first message.
    fn hops(&self, screen: &Screen) -> Vec<String> {
        let arrow = screen.pick("→", "->");
        let mut hops: Vec<String> = Vec::new();
        let mut known: Vec<(&str, &str)> = Vec::new();
        for message in &self.messages {
            let (source, destination) = (message.source.as_str(), message.destination.as_str());
            let is_known = known.contains(&(source, destination)) || known.contains(&(destination, source));
            if !is_known && hops.len() < MAX_HOPS {
                known.push((source, destination));
                hops.push(format!("{source} {arrow} {destination}  {}", message.transport));
            }
        }
        if hops.is_empty() {
            let transports = self.list("transports");
            hops.push(format!("{} {arrow} {}  {transports}", self.get("source"), self.get("destination")));
        }
        hops
    }

    fn counts(&self) -> String {
        let count = |key: &str, word: &str| {
            self.number(key).filter(|count| *count > 0.0).map(|count| format!("{count} {word}"))
        };
        let counts = [
            count("messages", "in all"),
            count("retransmissions", "sent again"),
            count("duplicates", "captured again"),
            count("reinvites", "re-INVITE"),
            count("updates", "UPDATE"),
            self.number("forks").filter(|count| *count > 1.0).map(|count| format!("{count} To-tags")),
        ];
        counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn media(&self, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
        let streams = self.record.get("media").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if streams.is_empty() {
            return Ok(());
        }
        writeln!(out, "Media")?;
        streams.iter().try_for_each(|it| writeln!(out, "  {}", screen.text(&stream(it, screen))))
    }

    fn told(&self, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
        if self.findings.is_empty() {
            return Ok(());
        }
        writeln!(out, "Findings")?;
        for finding in &self.findings {
            let code =
                finding.code.as_deref().map(|code| format!(" ({})", screen.text(code))).unwrap_or_default();
            writeln!(out, "  {} {}{code}", screen.pick("▸", "*"), screen.text(&finding.text))?;
            let shown = finding.shown.as_ref().filter(|_| finding.messages.is_empty());
            if let Some((time, message)) = shown {
                writeln!(out, "      {time}  {}", screen.text(message))?;
            }
            for number in finding.messages.iter().take(MAX_PROOF) {
                let Some(message) = number.checked_sub(1).and_then(|at| self.messages.get(at)) else {
                    continue;
                };
                writeln!(out, "      #{number}  {}  {}", message.time, screen.text(&message.line))?;
            }
            let more = finding.messages.len().saturating_sub(MAX_PROOF);
            if more > 0 {
                writeln!(out, "      and {more} more")?;
            }
        }
        Ok(())
    }
}

impl Message {
    fn new(message: &Traced) -> Self {
        let first = message.text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(first).trim_end().to_owned();
        let line = match &message.line {
            _ if !line.is_empty() => line,
            // Of more messages than are kept whole, what is known of all.
            Line::Request(method) => method.clone(),
            Line::Response(status, reason) => format!("{status} {reason}"),
        };
        Self {
            time: message.at.rfc3339(),
            source: message.source.to_string(),
            destination: message.destination.to_string(),
            transport: message.transport.name(),
            line,
            again: message.again != crate::inspect::trace::Again::No,
        }
    }
}

/// One stream in a line.
fn stream(stream: &Value, screen: &Screen) -> String {
    let text = |key: &str| stream.get(key).filter(|it| !it.is_null()).map(field::text).unwrap_or_default();
    let number = |key: &str| stream.get(key).and_then(Value::as_f64);
    let codec = match text("codec") {
        codec if codec.is_empty() => format!("payload type {}", text("payload_type")),
        codec => codec,
    };
    let count =
        |key: &str, noun: &str| count(stream.get(key).and_then(Value::as_u64).unwrap_or_default(), noun);
    let mut parts = vec![count("packets", "packet")];
    let (lost, expected) = (number("missing").unwrap_or_default(), number("expected").unwrap_or_default());
    parts.push(format!("{lost} missing ({:.1} %)", 100.0 * lost / expected.max(1.0)));
    let counted = [("discarded", "too late"), ("duplicates", "twice"), ("reordered", "out of order")];
    let counted =
        counted.into_iter().filter_map(|(key, word)| Some((number(key).filter(|it| *it > 0.0)?, word)));
    parts.extend(counted.map(|(count, word)| format!("{count} {word}")));
    parts.extend(number("digits").filter(|keys| *keys > 0.0).map(|_| count("digits", "key")));
    parts.extend(Some(text("dtmf")).filter(|keys| !keys.is_empty()).map(|keys| format!("pressed {keys}")));
    if let (Some(mean), Some(most)) = (number("jitter_ms"), number("max_jitter_ms")) {
        parts.push(format!("jitter {mean:.1} ms (at most {most:.1})"));
    }
    parts.push(match number("mos") {
        Some(mos) => format!(
            "MOS {mos:.2} (R {}, delay {} ms, {})",
            text("r_factor"),
            text("delay_ms"),
            text("delay_source")
        ),
        None => format!("no MOS: {}", text("mos_missing")),
    });
    if let Some(lost) = number("lost_by_capture").filter(|lost| *lost > 0.0) {
        parts.push(format!("what was heard was better: {lost} of those missing were lost by the capture"));
    }
    if stream.get("encrypted") == Some(&Value::Bool(true)) {
        parts.push("SRTP".to_owned());
    }
    let far = |key: &str| stream.pointer(&format!("/far_end/{key}")).and_then(Value::as_f64);
    if let Some(trip) = far("round_trip_ms") {
        parts.push(format!("round trip {trip:.0} ms"));
    }
    format!(
        "{} {} {}  {codec}  {}",
        text("source"),
        screen.pick("→", "->"),
        text("destination"),
        parts.join(", ")
    )
}

/// Keeps the records of one Call-ID.
pub struct Finder {
    search: Search,
    found: Vec<Value>,
}

impl Finder {
    /// Looks for this one.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self { search: Search::new(wanted), found: Vec::new() }
    }

    /// The calls.
    ///
    /// # Errors
    /// What to tell a person when there is none.
    pub fn finish(self, is_whole: bool) -> Result<Vec<Story>, String> {
        if self.found.is_empty() {
            return Err(self.search.missing(is_whole, "report calls lists them"));
        }
        Ok(self.found.into_iter().map(Story::of_record).collect())
    }
}

impl Taker for Finder {
    fn take(&mut self, record: &Record) -> io::Result<Go> {
        let verdict = self.search.consider(shown(record.text("call_id").as_bytes()));
        if matches!(verdict, Verdict::Instead | Verdict::Several) {
            self.found.clear();
        }
        if matches!(verdict, Verdict::Instead | Verdict::Keep) && self.found.len() < MAX_CALLS {
            self.found.push(record.value.clone());
        }
        Ok(Go::On)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Color;
    use crate::escape::assert_harmless;
    use crate::privacy::Privacy;

    fn record(call_id: &str) -> Record {
        let value = json!({"call_id": call_id, "kind": "call", "from": "alice\u{1b}[2J", "to": "bob", "result": "success", "status_code": 200,
            "reason": "OK", "start": "2026-01-31T12:00:00.000000Z", "ringing": "2026-01-31T12:00:00.500000Z",
            "answered": "2026-01-31T12:00:02.000000Z", "setup_seconds": 2.0, "end": "2026-01-31T12:02:32.000000Z", "duration_seconds": 150.0,
            "ended_by": "callee", "source": "192.0.2.1:5060", "destination": "192.0.2.2:5060", "transports": ["udp"], "messages": 7,
            "media": [{"source": "192.0.2.1:4000", "destination": "192.0.2.2:4000", "codec": "opus", "packets": 98, "expected": 100,
                "missing": 2, "mos": null, "mos_missing": "no published figures"},
                {"source": "192.0.2.2:4000", "destination": "192.0.2.1:4000", "codec": "opus", "packets": 1, "expected": 1,
                "missing": 0, "digits": 1, "mos": null, "mos_missing": "too short"}],
            "findings": [{"code": "packet_loss", "text": "2.0 % of RTP lost"}]});
        Record::new(value, Privacy::default())
    }

    fn told(stories: &[Story]) -> String {
        let screen = Screen::new(Color::Never, false, None, |_| None);
        let mut out = Vec::new();
        stories.iter().for_each(|story| story.text(None, &screen, &mut out).unwrap());
        String::from_utf8(out).unwrap()
    }

    /// A file of records may be anybody's.
    #[test]
    fn what_a_record_says_does_not_act() {
        let mut value = record("a@b").value;
        value["findings"] = json!([{"code": "packet\u{1b}[31m_loss", "text": "lost\u{9b}2J"}]);
        let text = told(&[Story::of_record(value)]);
        assert!(text.contains("  * lost\\u{9b}2J (packet\\u{1b}[31m_loss)"), "{text}");
        assert_harmless(&text);
    }

    #[test]
    fn a_record_is_told_in_words() {
        let mut finder = Finder::new(Wanted::new("a@b"));
        ["a@bc", "a@b", "x"].iter().for_each(|id| assert_eq!(finder.take(&record(id)).unwrap(), Go::On));
        let text = told(&finder.finish(true).unwrap());
        for line in [
            "alice\\u{1b}[2J called bob: answered after 2.0 s, 2 min 30 s long, bob (the called party) hung up",
            "  Times         2026-01-31T12:00:00.000000Z, rang after 500 ms, answered after 2.0 s, ended after 2 min 32 s",
            "  Hop           192.0.2.1:5060 -> 192.0.2.2:5060  udp",
            "  192.0.2.1:4000 -> 192.0.2.2:4000  opus  98 packets, 2 missing (2.0 %), no MOS: no published figures",
            "  192.0.2.2:4000 -> 192.0.2.1:4000  opus  1 packet, 0 missing (0.0 %), 1 key, no MOS: too short",
            "  * 2.0 % of RTP lost (packet_loss)",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
        assert_eq!(text.matches("Call-ID").count(), 1, "{text}");
    }

    /// Inside a dialog (RFC 3261 12.2) nobody sees who called; a 401 that nobody met yet is no answer either.
    #[test]
    fn what_was_not_answered_is_told_for_what_it_was() {
        for (method, result, by, status, expected) in [
            (
                "BYE",
                "success",
                json!("callee"),
                json!(null),
                "alice and bob: up before the capture, bob hung up 2 min 32 s into it",
            ),
            ("INFO", "open", json!(null), json!(null), "alice and bob: up before the capture, and still up"),
            ("INVITE", "open", json!(null), json!(null), "alice called bob: not answered yet"),
            ("INVITE", "open", json!(null), json!(401), "alice called bob: 401 OK, and no other try yet"),
            ("INVITE", "busy", json!("callee"), json!(600), "alice called bob: busy, 600 OK"),
            ("INVITE", "busy", json!("callee"), json!(603), "alice called bob: declined with 603 OK"),
        ] {
            let mut value = record("x").value;
            let changes = [
                ("from", json!("alice")),
                ("answered", json!(null)),
                ("method", json!(method)),
                ("result", json!(result)),
            ];
            let changes = changes.into_iter().chain([("ended_by", by), ("status_code", status)]);
            changes.for_each(|(key, it)| value[key] = it);
            assert_eq!(told(&[Story::of_record(value)]).lines().next().unwrap(), expected);
        }
    }

    /// When a call was set up is not known where its INVITE is not in the capture.
    #[test]
    fn an_answer_without_its_invite_is_told_without_a_delay() {
        let mut value = record("x").value;
        (value["from"], value["setup_seconds"]) = (json!("alice"), json!(null));
        let text = told(&[Story::of_record(value)]);
        for line in [
            "alice called bob: answered, 2 min 30 s long, bob (the called party) hung up",
            "  Times         2026-01-31T12:00:00.000000Z, rang after 500 ms, ended after 2 min 32 s",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
    }

    /// RFC 3891 3: who takes a call has its early dialog given up; RFC 3326 2: `SIP;cause=200`, a call completed elsewhere.
    #[test]
    fn who_took_a_call_that_was_cancelled_is_told() {
        let elsewhere =
            |cause| json!([{"protocol": "Q.850", "cause": 16}, {"protocol": "SIP", "cause": cause}]);
        for (replaced_by, causes, expected) in [
            (json!(null), json!(null), "alice called bob: cancelled by the caller"),
            (json!(null), elsewhere(487), "alice called bob: cancelled by the caller"),
            (json!(null), elsewhere(200), "alice called bob: answered elsewhere"),
            (json!("c2"), elsewhere(200), "alice called bob: picked up elsewhere"),
        ] {
            let mut value = record("x").value;
            let changes =
                [("from", json!("alice")), ("answered", json!(null)), ("result", json!("cancelled"))];
            let changes = changes.into_iter().chain([("replaced_by", replaced_by), ("end_causes", causes)]);
            changes.for_each(|(key, it)| value[key] = it);
            assert_eq!(told(&[Story::of_record(value)]).lines().next().unwrap(), expected);
        }
    }

    #[test]
    fn who_is_not_there_is_told_with_those_that_come_close() {
        let missing = |wanted: &str| {
            let mut finder = Finder::new(Wanted::new(wanted));
            ["abcd1@h", "abcd2@h"]
                .iter()
                .for_each(|id| assert_eq!(finder.take(&record(id)).unwrap(), Go::On));
            finder.finish(true).err().unwrap()
        };
        assert_eq!(missing("abcd"), "several Call-IDs begin like abcd; which one?\n  abcd1@h\n  abcd2@h");
        assert_eq!(missing("bcd1"), "no call bcd1; report calls lists them; these come close:\n  abcd1@h");
        assert_eq!(missing("zz"), "no call zz; report calls lists them");
    }
}

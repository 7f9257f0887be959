//! Text becomes values: one parser per kind of value, shared by flags, environment and file.
//!
//! Every parser answers with what it wants (`want a duration such as 30s`); the caller says where.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::ValueEnum;

/// How a key's text becomes its value, or what was wanted instead.
pub type Parse<T> = fn(&str) -> Result<T, String>;

/// A value that a key can have.
pub trait Value: Clone + PartialEq {
    /// Whether the file may have a list for it; its items come to the parser with commas between them.
    const LIST: bool = false;

    /// As it would be written in the file.
    fn text(&self) -> String;

    /// As `config show --json` prints it.
    fn json(&self) -> serde_json::Value {
        self.text().into()
    }

    /// Reads a list of mappings, for keys that may have one in the file; none for all others.
    fn of_items(_: &[Item]) -> Option<Result<Self, Vec<Wrong>>> {
        None
    }
}

/// One mapping of a list in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its keys, in their order.
    pub keys: Vec<ItemKey>,
}

/// One key of an [`Item`].
#[derive(Clone, Debug, PartialEq)]
pub struct ItemKey {
    /// Its name.
    pub name: String,
    /// Line and column, from 1.
    pub place: (u64, u64),
    /// Its value, a list with commas between its values; none when it is something else.
    pub text: Option<String>,
}

/// What is wrong with a key of an [`Item`], or with the whole when `key` is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    /// Line and column, from 1.
    pub place: Option<(u64, u64)>,
    /// The key's name.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl Value for usize {
    fn text(&self) -> String {
        self.to_string()
    }

    fn json(&self) -> serde_json::Value {
        (*self).into()
    }
}

impl Value for String {
    fn text(&self) -> String {
        self.clone()
    }
}

impl Value for SocketAddr {
    fn text(&self) -> String {
        self.to_string()
    }
}

/// A percentage, 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Percent(pub f64);

impl Value for Percent {
    fn text(&self) -> String {
        format!("{}%", self.0)
    }

    fn json(&self) -> serde_json::Value {
        self.0.into()
    }
}

impl Value for bool {
    fn text(&self) -> String {
        self.to_string()
    }

    fn json(&self) -> serde_json::Value {
        (*self).into()
    }
}

impl Value for Duration {
    fn text(&self) -> String {
        humantime::format_duration(*self).to_string().replace(' ', "")
    }
}

/// Names of interfaces, in the order given, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl Value for Names {
    const LIST: bool = true;

    fn text(&self) -> String {
        self.0.join(",")
    }

    fn json(&self) -> serde_json::Value {
        self.0.clone().into()
    }
}

/// A port, or a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Ports and ranges of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRanges(pub Vec<PortRange>);

impl Value for PortRanges {
    fn text(&self) -> String {
        let ranges: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        ranges.join(",")
    }
}

impl Value for PathBuf {
    fn text(&self) -> String {
        self.display().to_string()
    }
}

impl Value for ByteSize {
    /// The largest unit that divides it; JSON gives bytes.
    fn text(&self) -> String {
        let bytes = self.as_u64();
        [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000)]
            .iter()
            .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit))
            .map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
    }

    fn json(&self) -> serde_json::Value {
        self.as_u64().into()
    }
}

/// The name of a choice, as it is written on the command line.
#[must_use]
pub fn name_of<T: ValueEnum>(choice: &T) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// One of a few words. The case does not matter.
///
/// # Errors
/// Lists the words, and the one that was probably meant.
pub fn choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text.trim(), true).map_err(|_| {
        let names: Vec<String> = T::value_variants().iter().map(name_of).collect();
        let hint = did_you_mean(text, names.iter().map(String::as_str));
        format!("want {}{hint}", listed(&names))
    })
}

/// `true` or `false`, or YAML 1.1's words for them.
///
/// # Errors
/// When it is another word.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("want true or false".to_owned()),
    }
}

/// A number of streams or segments.
///
/// # Errors
/// Outside 1 to 10,000,000.
pub fn quantity(text: &str) -> Result<usize, String> {
    whole(text, 1..=10_000_000)
}

/// Digits of a number that a group is named by.
///
/// # Errors
/// Outside 1 to 15, the longest number of E.164.
pub fn digits(text: &str) -> Result<u8, String> {
    whole(text, 1..=15)
}

/// A length of a queue; 0 is none.
///
/// # Errors
/// Above 1,000,000.
pub fn queue(text: &str) -> Result<usize, String> {
    whole(text, 0..=1_000_000)
}

/// A number of threads; 0 is inline.
///
/// # Errors
/// Above 256.
pub fn workers(text: &str) -> Result<usize, String> {
    whole(text, 0..=256)
}

/// A number of packets in a batch.
///
/// # Errors
/// Outside 1 to 65,536.
pub fn batch(text: &str) -> Result<usize, String> {
    whole(text, 1..=65_536)
}

/// A length of file names in bytes: room for a hash and an extension, and what file systems take.
///
/// # Errors
/// Outside 16 to 240: room is left for `~N` and `.part`.
pub fn file_name_length(text: &str) -> Result<usize, String> {
    whole(text, 16..=240)
}

/// A number of packets, at least one.
///
/// # Errors
/// When it is 0 or not a number.
pub fn packets(text: &str) -> Result<u64, String> {
    whole(text, 1..=u64::MAX)
}

/// A time such as `30s` or `1h30m`, more than nothing and at most a year.
///
/// # Errors
/// When it is not a time or outside that range.
pub fn duration(text: &str) -> Result<Duration, String> {
    const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
    match humantime::parse_duration(text.trim()) {
        Ok(Duration::ZERO) => Err("want more than 0".to_owned()),
        Ok(time) if time > YEAR => Err("want at most a year".to_owned()),
        Ok(time) => Ok(time),
        Err(_) => Err("want a duration such as 30s, 5m or 1h30m".to_owned()),
    }
}

/// An amount of memory such as `50MiB`, or plain bytes: 1 MiB to 1 TiB.
///
/// # Errors
/// When it is not a size or outside that range.
pub fn memory(text: &str) -> Result<ByteSize, String> {
    match text.trim().parse::<ByteSize>() {
        Ok(size) if (ByteSize::mib(1)..=ByteSize::tib(1)).contains(&size) => Ok(size),
        Ok(_) => Err("want 1MiB to 1TiB".to_owned()),
        Err(_) => Err("want a size such as 50MiB, or bytes".to_owned()),
    }
}

/// Names of interfaces, with commas between them.
///
/// # Errors
/// When there is none, or something that no interface is called.
pub fn interfaces(text: &str) -> Result<Names, String> {
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim) {
        let is_name =
            !name.is_empty() && name.len() < 128 && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_name || name.contains('/') || name.starts_with('-') {
            return Err("want an interface such as eth0, or several: eth0,eth1".to_owned());
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(Names(names))
}

/// A port or a range of ports.
///
/// # Errors
/// When it is neither, or a range runs backwards.
pub fn port_range(text: &str) -> Result<PortRange, String> {
    let (first, last) = text.trim().split_once('-').unwrap_or((text, text));
    match (whole(first, 1..=65_535), whole(last, 1..=65_535)) {
        (Ok(first), Ok(last)) if first <= last => Ok(PortRange { first, last }),
        _ => Err("want a port such as 5060, or a range such as 10000-32768".to_owned()),
    }
}

/// Ports and ranges, with commas between them; at most 32, for the kernel looks at each of them.
///
/// # Errors
/// When one is not a port.
pub fn port_ranges(text: &str) -> Result<PortRanges, String> {
    let ranges: Vec<PortRange> = text.split(',').map(port_range).collect::<Result<_, _>>()?;
    if ranges.len() > 32 { Err("want at most 32 ports".to_owned()) } else { Ok(PortRanges(ranges)) }
}

/// Bytes that are kept of a packet.
///
/// # Errors
/// Outside 64 to 262,144: less holds no headers, more is no packet.
pub fn snaplen(text: &str) -> Result<usize, String> {
    whole(text, 64..=262_144)
}

/// A ring of the kernel: 1 MiB to 2047 MiB, which is what libpcap can ask for.
///
/// # Errors
/// When it is not a size or outside that range.
pub fn ring(text: &str) -> Result<ByteSize, String> {
    match text.trim().parse::<ByteSize>() {
        Ok(size) if (ByteSize::mib(1)..=ByteSize::mib(2047)).contains(&size) => Ok(size),
        Ok(_) => Err("want 1MiB to 2047MiB".to_owned()),
        Err(_) => Err("want a size such as 32MiB, or bytes".to_owned()),
    }
}

/// A time, which may be none: for how long something has to hold.
///
/// # Errors
/// When it is not a time, or longer than a day.
pub fn hold(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text.trim()) {
        Ok(time) if time > Duration::from_secs(24 * 3600) => Err("want at most 1day".to_owned()),
        Ok(time) => Ok(time),
        Err(_) => Err("want a duration such as 0s, 10s or 1m".to_owned()),
    }
}

/// A sliding window: as much as is remembered.
///
/// # Errors
/// When it is not a time, or outside 1 s to 5 min.
pub fn window(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let range = Duration::from_secs(1)..=Duration::from_secs(300);
    if range.contains(&time) { Ok(time) } else { Err("want 1s to 5m".to_owned()) }
}

/// A percentage such as `0.1%` or `80`.
///
/// # Errors
/// When it is not a number from 0 to 100.
pub fn percent(text: &str) -> Result<Percent, String> {
    let text = text.trim();
    let number = text.strip_suffix('%').unwrap_or(text).trim_end().parse::<f64>().ok();
    let number = number.filter(|number| (0.0..=100.0).contains(number));
    number.map(Percent).ok_or_else(|| "want a percentage from 0% to 100%".to_owned())
}

/// An amount of disk space, which may be none.
///
/// # Errors
/// When it is not a size.
pub fn space(text: &str) -> Result<ByteSize, String> {
    text.trim().parse::<ByteSize>().map_err(|_| "want a size such as 1GiB, or bytes".to_owned())
}

/// An address and a port to listen on.
///
/// # Errors
/// When it is not one; names are not looked up.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| "want an address such as 127.0.0.1:9123 or [::1]:9123".to_owned())
}

/// The name of a group, or its number.
///
/// # Errors
/// When it cannot be one.
pub fn group(text: &str) -> Result<String, String> {
    let may = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_name = (1..=32).contains(&text.len()) && text.chars().all(may) && !text.starts_with('-');
    if is_name { Ok(text.to_owned()) } else { Err("want the name of a group".to_owned()) }
}

/// The name of an instance; it becomes part of a file name.
///
/// # Errors
/// When it has anything but letters, digits, `_`, `-` and `.`.
pub fn instance(text: &str) -> Result<String, String> {
    let may = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (1..=32).contains(&text.len()) && text.chars().all(may) {
        Ok(text.to_owned())
    } else {
        Err("want 1 to 32 letters, digits, '_', '-' or '.'".to_owned())
    }
}

/// A number of seconds between two looks.
///
/// # Errors
/// Outside 1 to 86,400.
pub fn seconds(text: &str) -> Result<u64, String> {
    whole(text.strip_suffix('s').unwrap_or(text), 1..=86_400)
}

/// Names of header fields, with commas between them.
///
/// # Errors
/// When one of them is no name, or there are more than 16.
pub fn header_names(text: &str) -> Result<Names, String> {
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',').map(header_name) {
        let name = name?;
        if !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            names.push(name);
        }
    }
    if names.len() > 16 { Err("want at most 16 header fields".to_owned()) } else { Ok(Names(names)) }
}

/// The name of a header field: a token of RFC 3261 25.1.
///
/// # Errors
/// When it is none.
pub fn header_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if !name.is_empty() && name.len() <= 64 && name.bytes().all(crate::sip::header::is_token) {
        Ok(name.to_owned())
    } else {
        Err("want the name of a header field such as X-Trace-ID".to_owned())
    }
}

/// How long files are kept: more than nothing and at most twenty years.
///
/// # Errors
/// When it is not a time or outside that range.
pub fn age(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_secs(20 * 366 * 24 * 3600);
    match humantime::parse_duration(text.trim()) {
        Ok(Duration::ZERO) => Err("want more than 0".to_owned()),
        Ok(time) if time > MOST => Err("want at most 20 years".to_owned()),
        Ok(time) => Ok(time),
        Err(_) => Err("want an age such as 30d or 12h".to_owned()),
    }
}

/// An amount of disk such as `50GiB`, or plain bytes: 1 MiB to 1 EiB.
///
/// # Errors
/// When it is not a size or outside that range.
pub fn disk(text: &str) -> Result<ByteSize, String> {
    match text.trim().parse::<ByteSize>() {
        Ok(size) if (ByteSize::mib(1)..=ByteSize::pib(1024)).contains(&size) => Ok(size),
        Ok(_) => Err("want 1MiB to 1EiB".to_owned()),
        Err(_) => Err("want a size such as 50GiB, or bytes".to_owned()),
    }
}

/// A number of threads that write; 0: nobody but who follows the calls.
///
/// # Errors
/// Above 16.
pub fn writers(text: &str) -> Result<usize, String> {
    whole(text, 0..=16)
}

/// A path.
///
/// # Errors
/// When it is empty or has a NUL in it.
pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        Err("want a path".to_owned())
    } else {
        Ok(PathBuf::from(text))
    }
}

/// The word of `candidates` that was probably meant, as ` (did you mean …?)`; empty when none is near.
pub fn did_you_mean<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

/// The nearest of `candidates`, if it is near at all.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR: f64 = 0.85;
    /// Who leaves out or adds more letters meant another word, however alike the beginnings are.
    const LENGTHS: usize = 3;
    // The distance costs time in both lengths, and nobody mistypes this much.
    if word.len() > 64 {
        return None;
    }
    candidates
        .filter(|name| name.len().abs_diff(word.len()) <= LENGTHS)
        .map(|name| (strsim::jaro_winkler(&word.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn whole<N>(text: &str, range: RangeInclusive<N>) -> Result<N, String>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    text.trim()
        .parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("want a whole number from {} to {}", range.start(), range.end()))
}

/// `a, b or c`.
fn listed(names: &[String]) -> String {
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((only, _)) => only.clone(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_are_refused_with_the_range() {
        for text in ["-1", "0", "10000001", "99999999999999999999999", "1.5", "NaN", ".inf", "", "1k", "0x10"]
        {
            assert_eq!(quantity(text).unwrap_err(), "want a whole number from 1 to 10000000", "{text}");
        }
        assert_eq!(quantity(" 7 "), Ok(7));
        assert_eq!(workers("0"), Ok(0));
    }

    #[test]
    fn durations_and_sizes_have_units() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("0s").unwrap_err(), "want more than 0");
        assert_eq!(duration("300y").unwrap_err(), "want at most a year");
        for text in ["30", "-5s", "nan", "s", "", "99999999999999999999s"] {
            assert_eq!(duration(text).unwrap_err(), "want a duration such as 30s, 5m or 1h30m", "{text}");
        }
        assert_eq!(memory("50MiB").map(|size| size.as_u64()), Ok(50 << 20));
        assert_eq!(memory("52428800").map(|size| size.as_u64()), Ok(52_428_800));
        assert_eq!(memory("1").unwrap_err(), "want 1MiB to 1TiB");
        assert_eq!(memory("1e300 PiB").unwrap_err(), "want a size such as 50MiB, or bytes");
        assert_eq!(memory("-1MiB").unwrap_err(), "want a size such as 50MiB, or bytes");
    }

    #[test]
    fn names_and_disk_sizes_are_checked() {
        let names = header_names("X-A, x-b,X-a").unwrap();
        assert_eq!((names.text().as_str(), names.json()), ("X-A,x-b", serde_json::json!(["X-A", "x-b"])));
        for text in ["", "a b", "X:", "x,,y", "X-\u{e9}"] {
            assert_eq!(header_names(text).unwrap_err(), "want the name of a header field such as X-Trace-ID");
        }
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 24 * 3600)));
        assert_eq!(age("30y").unwrap_err(), "want at most 20 years");
        assert_eq!(disk("50GiB").map(|size| size.text()), Ok("50GiB".to_owned()));
        assert_eq!(disk("1KiB").unwrap_err(), "want 1MiB to 1EiB");
    }

    #[test]
    fn values_print_as_they_are_written() {
        assert_eq!(Duration::from_secs(5400).text(), "1h30m");
        assert_eq!(ByteSize::mib(100).text(), "100MiB");
        assert_eq!(ByteSize::b(1_500_000).text(), "1500000");
        assert_eq!(ByteSize::mb(500).text(), "500MB");
        assert_eq!(percent("0.1 %").unwrap().text(), "0.1%");
        assert_eq!(memory(&ByteSize::gib(2).text()), Ok(ByteSize::gib(2)));
    }
}

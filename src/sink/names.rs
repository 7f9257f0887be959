//! Names of call files: from a template and what the wire says, never a path that the wire chose.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::hash::BuildHasher as _;

use crate::sink::directory::{Directories, numbered};
use crate::sink::encoder::FileFormat;
use crate::sink::template::{NameFields, NameTemplate};

/// What names are made of, besides the calls.
#[derive(Clone, Debug)]
pub struct NameSettings {
    /// The directory of the files; see [`crate::sink::FileSettings::directory`].
    pub directory: PathBuf,
    /// The user's text before each name; may lead into directories.
    pub prefix: String,
    /// How names are made.
    pub template: NameTemplate,
    /// Decides the extension.
    pub format: FileFormat,
    /// The most bytes of a file name, extension included; taken to be 16 to 240 (room for `~N` and `.part`).
    pub max_filename_length: usize,
}

impl Default for NameSettings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("."),
            prefix: String::new(),
            template: NameTemplate::default(),
            format: FileFormat::Pcap,
            max_filename_length: 100,
        }
    }
}

/// The most names that are remembered; of those before, the disk knows.
const MAX_REMEMBERED: usize = 1 << 18;

/// Gives each call a file name that no other call of the run and no file on disk has, when the call starts, so that
/// its record can tell it.
#[derive(Debug)]
pub struct NameBook {
    settings: NameSettings,
    directories: Directories,
    /// How often a name was given, by its hash.
    given: HashMap<u64, u32, RandomState>,
    order: VecDeque<u64>,
    /// The directory was empty when the book was begun, and no name was forgotten since: what is not among those
    /// given is free.
    knows_all: bool,
}

impl NameBook {
    /// A book of names for `settings`' directory.
    ///
    /// # Errors
    /// The directory cannot be opened or made.
    pub fn new(settings: NameSettings) -> io::Result<Self> {
        let directories = Directories::open(&settings.directory)?;
        // In a directory below it there may be anything.
        let knows_all = directories.is_empty() && !settings.prefix.contains('/');
        Ok(Self { settings, directories, given: HashMap::default(), order: VecDeque::new(), knows_all })
    }

    /// Writes the name into `out` that the call's file would have, and gives it to nobody: what gets a file after all
    /// has the name's next free number then, by whoever creates it.
    pub fn propose(&self, fields: &NameFields<'_>, out: &mut String) {
        self.render(fields, out);
    }

    /// Writes the next call's file name into `out`: prefix, name, `~N` where that is taken, extension.
    pub fn assign(&mut self, fields: &NameFields<'_>, out: &mut String) {
        self.render(fields, out);
        let times = self.count(out);
        if times == 1 && (self.knows_all || !self.directories.holds(out)) {
            return;
        }
        let wanted = out.clone();
        let mut number = times.max(2);
        // Beyond some tries whoever creates the file finds a free name; the record then misses the number.
        for _ in 0..100 {
            numbered(out, &wanted, number, "");
            if !self.directories.holds(out) {
                break;
            }
            number = number.saturating_add(1);
        }
        if let Some(given) = self.given.get_mut(&self.given.hasher().hash_one(&wanted)) {
            *given = number;
        }
    }

    /// Is told that no file of that name will be: the next call may have it.
    pub fn release(&mut self, name: &str) {
        let hash = self.given.hasher().hash_one(name);
        if self.given.get(&hash) == Some(&1) {
            self.given.remove(&hash);
        }
    }

    fn render(&self, fields: &NameFields<'_>, out: &mut String) {
        let extension = self.settings.format.extension();
        let prefix = &self.settings.prefix;
        let before = prefix.len() - prefix.rfind('/').map_or(0, |slash| slash + 1);
        let limit = self.settings.max_filename_length.clamp(16, 240);
        // At least the hash has room, however long the user's prefix is.
        let limit = limit.saturating_sub(extension.len() + 1 + before).max(8);
        out.clear();
        out.push_str(prefix);
        self.settings.template.render(fields, limit, out);
        out.push('.');
        out.push_str(extension);
    }

    /// How often `name` was given, this time included.
    fn count(&mut self, name: &str) -> u32 {
        let hash = self.given.hasher().hash_one(name);
        let given = self.given.entry(hash).or_insert(0);
        *given = given.saturating_add(1);
        let times = *given;
        if times == 1 {
            self.order.push_back(hash);
            if self.order.len() > MAX_REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.given.remove(&oldest);
                self.knows_all = false;
            }
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::template::fnv;
    use crate::time::Timestamp;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn book(directory: &std::path::Path, template: &str, max: usize) -> NameBook {
        let template = NameTemplate::parse(template).unwrap();
        let directory = directory.to_owned();
        NameBook::new(NameSettings {
            directory,
            template,
            max_filename_length: max,
            ..NameSettings::default()
        })
        .unwrap()
    }

    fn named(book: &mut NameBook, call_id: &[u8]) -> String {
        let start = Timestamp::new(482_196_050, 0);
        let mut out = String::new();
        book.assign(&NameFields { call_id, from: b"alice", to: b"", start }, &mut out);
        out
    }

    #[test]
    fn hostile_call_ids_become_plain_names() {
        let directory = tempfile::tempdir().unwrap();
        let mut book = book(directory.path(), "{call_id}", 100);
        let rows: [(&[u8], &str); 12] = [
            (b"a84b4c76e66710@pc33.atlanta.com", "a84b4c76e66710@pc33.atlanta.com.pcap"),
            (b"", "unnamed.pcap"),
            (b"../../etc/passwd", "_._.__etc_passwd-"),
            (b"..", "_.-"),
            (b".hidden", "_hidden-"),
            (b"-rf", "_rf-"),
            (b"a..b", "a._b-"),
            (b"/dev/null", "_dev_null-"),
            (b"a\0b\nc\x1b[2J", "a_b_c__2J-"),
            (b"\xff\xfe", "__-"),
            (b"$(reboot)", "__reboot_-"),
            ("ü".as_bytes(), "__-"),
        ];
        for (call_id, expected) in rows {
            let name = named(&mut book, call_id);
            assert!(name.starts_with(expected) && name.ends_with(".pcap"), "{name} for {expected}");
            assert!(expected.ends_with(".pcap") || name.len() == expected.len() + 13, "{name}");
        }
    }

    #[test]
    fn the_hash_is_stable_and_keeps_long_ids_apart() {
        // FNV-1a 64 of "a" is af63dc4c8601ec8c (the authors' test vectors).
        assert_eq!(fnv([&b"a"[..]]), 0xaf63_dc4c ^ 0x8601_ec8c);
        let directory = tempfile::tempdir().unwrap();
        let mut book = book(directory.path(), "{call_id}", 30);
        let names: HashSet<String> =
            (0..500).map(|n| named(&mut book, format!("{}{n}", "x".repeat(90)).as_bytes())).collect();
        assert_eq!(names.len(), 500);
        assert!(names.iter().all(|name| name.len() == 30 && !name.contains('~')), "{names:?}");
    }

    #[test]
    fn every_field_of_a_template_is_filled_in() {
        let directory = tempfile::tempdir().unwrap();
        let mut all = book(directory.path(), "{start:%Y%m%d_%H%M%S}_{from}-{to}_other_{hash}", 100);
        let hash = format!("{:08x}", fnv([&b"x"[..]]));
        assert_eq!(named(&mut all, b"x"), format!("19850412_232050_alice-unnamed_other_{hash}.pcap"));
    }

    #[test]
    fn a_taken_name_is_numbered() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("b.pcap"), "").unwrap();
        std::fs::write(directory.path().join("a~2.pcap"), "").unwrap();
        let mut book = book(directory.path(), "{call_id}", 100);
        let names: Vec<String> =
            [b"a", b"a", b"b", b"a", b"b"].iter().map(|id| named(&mut book, *id)).collect();
        assert_eq!(names, ["a.pcap", "a~3.pcap", "b~2.pcap", "a~4.pcap", "b~3.pcap"]);
        assert_eq!(named(&mut book, b"c"), "c.pcap");
        book.release("c.pcap");
        assert_eq!(named(&mut book, b"c"), "c.pcap");
    }

    #[test]
    fn the_disk_is_asked_unless_the_directory_was_empty() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = book(directory.path(), "{call_id}", 100);
        assert!(first.knows_all);
        // Whoever creates the file finds that the name was taken since.
        std::fs::write(directory.path().join("a.pcap"), "").unwrap();
        assert_eq!(named(&mut first, b"a"), "a.pcap");
        assert_eq!(named(&mut first, b"a"), "a~2.pcap");
        let mut second = book(directory.path(), "{call_id}", 100);
        assert!(!second.knows_all);
        assert_eq!(named(&mut second, b"a"), "a~2.pcap");
        first.order.extend(0..MAX_REMEMBERED as u64);
        named(&mut first, b"b");
        assert!(!first.knows_all, "names were forgotten");
    }

    #[test]
    fn a_prefix_leads_where_the_user_said() {
        let directory = tempfile::tempdir().unwrap();
        let mut book = book(directory.path(), "{call_id}", 24);
        book.settings.prefix = "today/run1-".to_owned();
        assert_eq!(named(&mut book, b"abc"), "today/run1-abc.pcap");
        let long = named(&mut book, &[b'x'; 60]);
        assert!(long.starts_with("today/run1-xxxxx-") && long.len() == 6 + 24, "{long}");
    }

    proptest! {
        #[test]
        fn every_name_is_one_safe_component(call_id: Vec<u8>, from: Vec<u8>, max in 0usize..300) {
            let directory = tempfile::tempdir().unwrap();
            let mut book = book(directory.path(), "{call_id}_{from}", max);
            let mut name = String::new();
            let fields = NameFields { call_id: &call_id, from: &from, ..NameFields::default() };
            book.assign(&fields, &mut name);
            prop_assert!(name.len() <= max.clamp(16, 240));
            prop_assert!(!name.starts_with(['.', '-']) && !name.contains("..") && name.ends_with(".pcap"));
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@+=-".contains(&byte)));
        }
    }
}

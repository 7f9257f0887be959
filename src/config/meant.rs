//! Which key was probably meant by one that there is not.

use super::units::nearest;

/// So many keys of one name are told; more are no help.
const MAX_NAMED: usize = 3;

/// Shortest beginning of a name that stands for it.
const MIN_BEGINNING: usize = 4;

/// The keys, sections and groups of `keys` that `key` probably meant, by their dotted names: what is beside it and spelled much
/// alike; else what has its name elsewhere; else the only one with it as a word or a beginning, beside it or elsewhere; else what is
/// spelled much alike elsewhere.
pub(super) fn meant<'a>(key: &str, keys: &[&'a str]) -> Vec<&'a str> {
    let (above, word) = parted(key);
    let all = with_groups(keys);
    let beside: Vec<&str> = all.iter().copied().filter(|it| parted(it).0 == above).collect();
    let spelled = |within: &[&'a str]| {
        let near = nearest(word, within.iter().map(|it| parted(it).1))?;
        within.iter().copied().find(|it| parted(it).1 == near).map(|it| vec![it])
    };
    let named = || {
        let is = |it: &&&str| parted(it).1 == word || it.replace('.', "_") == word;
        some(keys.iter().filter(is).copied().take(MAX_NAMED + 1).collect(), MAX_NAMED)
    };
    let part = |within: &[&'a str]| {
        let is = |it: &&&str| is_part(word, parted(it).1);
        some(within.iter().filter(is).copied().take(2).collect(), 1)
    };
    spelled(&beside)
        .or_else(named)
        .or_else(|| part(&beside))
        .or_else(|| part(keys))
        .or_else(|| spelled(keys))
        .unwrap_or_default()
}

/// As [`meant`], as ` (did you mean …?)`; empty when nothing is near.
pub(super) fn did_you_mean(key: &str, keys: &[&str]) -> String {
    match meant(key, keys).as_slice() {
        [] => String::new(),
        near => format!(" (did you mean {}?)", near.join(" or ")),
    }
}

fn some<T>(found: Vec<T>, most: usize) -> Option<Vec<T>> {
    Some(found).filter(|found| !found.is_empty() && found.len() <= most)
}

/// Where a key stands, empty at the top, and its name there.
fn parted(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

/// The keys, and the sections and groups that they are in, each once.
fn with_groups<'a>(keys: &[&'a str]) -> Vec<&'a str> {
    let mut all = Vec::new();
    for key in keys {
        let groups = key.match_indices('.').filter_map(|(dot, _)| key.get(..dot));
        for name in groups.chain([*key]) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}

/// Whether a word is one of those of a name, or its beginning: `mode` in `tcp_performance_mode`, `promisc`.
fn is_part(word: &str, name: &str) -> bool {
    let begins = word.len() >= MIN_BEGINNING && name.starts_with(word);
    begins || (name.contains('_') && nearest(word, name.split('_')).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_named_by_its_whole_path() {
        let keys = [
            "net.promiscuous",
            "net.buffer_size",
            "voip.performance_mode",
            "voip.workers",
            "pcap.format",
            "a.file",
            "b.file",
            "log.level",
            "log.format",
            "log.file",
            "c.headers",
            "alerts.MemoryHigh.for",
            "alerts.DiskLow.clear",
            "alerts.MemoryHigh.clear",
        ];
        let rows: [(&str, &[&str]); 16] = [
            ("vopi", &["voip"]),
            ("voip.worker", &["voip.workers"]),
            ("log.fromat", &["log.format"]),
            ("b.fille", &["b.file"]),
            ("format", &["pcap.format", "log.format"]),
            ("net.file", &["a.file", "b.file", "log.file"]),
            ("voip.level", &["log.level"]),
            ("voip.log_level", &["log.level"]),
            ("voip.mode", &["voip.performance_mode"]),
            ("voip.modee", &["voip.performance_mode"]),
            ("mode", &["voip.performance_mode"]),
            ("net.promisc", &["net.promiscuous"]),
            ("alerts.MemoryHi", &["alerts.MemoryHigh"]),
            ("alerts.memoryhigh", &["alerts.MemoryHigh"]),
            ("alerts.MemoryHigh.clera", &["alerts.MemoryHigh.clear"]),
            ("zzz", &[]),
        ];
        for (key, wanted) in rows {
            assert_eq!(meant(key, &keys), wanted, "{key}");
        }
    }
}

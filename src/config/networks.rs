//! Carriers and targets: names for networks and domains, so that reports can tell calls apart by them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::units::{Item, Value, Wrong, did_you_mean};

/// Longest name of a carrier or target: it stands in tables.
const MAX_NAME: usize = 64;

/// A range of addresses (RFC 4632, RFC 4291 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

/// A carrier or a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// Its name in reports.
    pub name: String,
    /// Its addresses.
    pub cidrs: Vec<Cidr>,
    /// Of a carrier: its domains, in lower case.
    pub domains: Vec<String>,
    /// Of a target: each address that is seen is told apart.
    pub each: bool,
}

/// The key `carriers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carriers(pub Vec<Party>);

/// The key `targets`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets(pub Vec<Party>);

impl Party {
    /// Whether the address is one of its own.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.cidrs.iter().any(|cidr| cidr.contains(address))
    }

    /// Whether the host is one of its domains, or lies below one.
    #[must_use]
    pub fn has_host(&self, host: &str) -> bool {
        // A trailing dot says that nothing is missing (RFC 1034 3.1).
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_below =
            |domain: &String| host.strip_suffix(domain.as_str()).is_some_and(|it| it.ends_with('.'));
        self.domains.iter().any(|domain| host == *domain || is_below(domain))
    }

    fn text(&self) -> String {
        let auto = self.each.then(|| AUTO.to_owned());
        let members =
            self.cidrs.iter().map(ToString::to_string).chain(self.domains.iter().cloned()).chain(auto);
        format!("{}={}", self.name, members.collect::<Vec<_>>().join("+"))
    }

    fn json(&self) -> serde_json::Value {
        let cidrs: Vec<String> = self.cidrs.iter().map(ToString::to_string).collect();
        let mut object = serde_json::json!({"name": self.name, "cidrs": cidrs});
        if let Some(object) = object.as_object_mut() {
            if !self.domains.is_empty() {
                object.insert("domains".to_owned(), self.domains.clone().into());
            }
            if self.each {
                object.insert("members".to_owned(), AUTO.into());
            }
        }
        object
    }
}

/// The one way in which a target names its members.
const AUTO: &str = "auto";

/// Which keys an item has besides its name and networks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Carrier,
    Target,
}

impl Kind {
    const fn keys(self) -> [&'static str; 3] {
        match self {
            Self::Carrier => ["name", "cidrs", "domains"],
            Self::Target => ["name", "cidrs", "members"],
        }
    }

    const fn wanted(self) -> &'static str {
        match self {
            Self::Carrier => "want NAME=NETWORK or NAME=DOMAIN, several with + between them",
            Self::Target => "want NAME=NETWORK, several with + between them, +auto to tell addresses apart",
        }
    }

    /// Adds a network, a domain, or the word for members.
    fn add(self, party: &mut Party, member: &str) -> Result<(), String> {
        let is_network = member.contains('/') || member.parse::<IpAddr>().is_ok();
        match self {
            _ if is_network => party.cidrs.push(member.parse()?),
            Self::Target if member == AUTO => party.each = true,
            Self::Carrier => party.domains.push(domain(member)?),
            Self::Target => return Err("want a network such as 10.0.1.0/24".to_owned()),
        }
        Ok(())
    }

    /// Lays one key of an item over `party`.
    fn set(self, party: &mut Party, key: &str, text: &str) -> Result<(), String> {
        let each = || text.split(',').map(str::trim).filter(|text| !text.is_empty());
        match key {
            "name" => party.name = name(text)?,
            "cidrs" => party.cidrs = each().map(str::parse).collect::<Result<_, _>>()?,
            "domains" => party.domains = each().map(domain).collect::<Result<_, _>>()?,
            "members" if text == AUTO => party.each = true,
            "members" => return Err("want auto".to_owned()),
            // There is no other: `Kind::keys`.
            _ => {}
        }
        Ok(())
    }

    /// Reads `NAME=MEMBER+MEMBER,NAME=MEMBER`.
    fn read(self, text: &str) -> Result<Vec<Party>, String> {
        let mut parties: Vec<Party> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (named, members) = part.split_once('=').ok_or_else(|| self.wanted().to_owned())?;
            let mut party = Party { name: name(named)?, ..Party::default() };
            members.split('+').try_for_each(|member| self.add(&mut party, member.trim()))?;
            admit(&mut parties, party)?;
        }
        Ok(parties)
    }

    /// Reads the list in the file.
    fn items(self, items: &[Item]) -> Result<Vec<Party>, Vec<Wrong>> {
        let (mut parties, mut wrong) = (Vec::new(), Vec::new());
        for item in items {
            let mut party = Party::default();
            let before = wrong.len();
            for key in &item.keys {
                let text = key.text.as_deref().ok_or_else(|| "want a value, or a list of them".to_owned());
                let set = |text: &str| {
                    self.set(&mut party, &key.name, text).map_err(|wanted| format!("'{text}': {wanted}"))
                };
                let taken = if self.keys().contains(&key.name.as_str()) {
                    text.and_then(set)
                } else {
                    Err(format!("unknown key{}", did_you_mean(&key.name, self.keys().into_iter())))
                };
                if let Err(message) = taken {
                    wrong.push(Wrong { place: Some(key.place), key: key.name.clone(), message });
                }
            }
            let place = item.keys.first().map(|key| key.place);
            if wrong.len() == before
                && let Err(message) = admit(&mut parties, party)
            {
                wrong.push(Wrong { place, key: String::new(), message });
            }
        }
        if wrong.is_empty() { Ok(parties) } else { Err(wrong) }
    }
}

/// Takes a party whose name is new and that has members.
fn admit(parties: &mut Vec<Party>, party: Party) -> Result<(), String> {
    if party.name.is_empty() {
        return Err("want a name".to_owned());
    }
    if party.cidrs.is_empty() && party.domains.is_empty() {
        return Err(format!("{} has no network and no domain", party.name));
    }
    if parties.iter().any(|known| known.name == party.name) {
        return Err(format!("{} is there twice", party.name));
    }
    parties.push(party);
    Ok(())
}

fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(is_plain) {
        return Err(format!("want a name of at most {MAX_NAME} letters, digits and ._-"));
    }
    if text == OTHER {
        return Err(format!("{OTHER} is the name of what is none of them"));
    }
    Ok(text.to_owned())
}

/// What stands in reports for all that has no name.
pub const OTHER: &str = "other";

fn domain(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let text = text.trim_end_matches('.');
    if text.len() > 253 || !text.split('.').all(is_label) {
        return Err("want a domain such as sip.example.net".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}

impl Cidr {
    /// Whether `address` lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Self { address, ..*self }.first() == self.address
    }

    const fn most(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }

    /// Its first address.
    fn first(self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || "want a network such as 10.0.1.0/24 or 2001:db8::/32".to_owned();
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| wanted())?;
        let most = Self::most(address);
        let bits = bits.map_or(Ok(most), |bits| bits.trim().parse().map_err(|_| wanted()))?;
        if bits > most {
            return Err(format!("want at most /{most}"));
        }
        let cidr = Self { address, bits };
        if cidr.first() != address {
            // Whoever writes 10.0.1.7/24 means one of two things.
            return Err(format!("want {}/{bits}, or {address}/{most} for one address", cidr.first()));
        }
        Ok(cidr)
    }
}

/// Reads carriers as a variable has them.
///
/// # Errors
/// Says what is wanted.
pub(super) fn carriers(text: &str) -> Result<Carriers, String> {
    Kind::Carrier.read(text).map(Carriers)
}

/// Reads targets as a variable has them.
///
/// # Errors
/// Says what is wanted.
pub(super) fn targets(text: &str) -> Result<Targets, String> {
    Kind::Target.read(text).map(Targets)
}

impl Value for Carriers {
    fn text(&self) -> String {
        self.0.iter().map(Party::text).collect::<Vec<_>>().join(",")
    }

    fn json(&self) -> serde_json::Value {
        self.0.iter().map(Party::json).collect()
    }

    fn of_items(items: &[Item]) -> Option<Result<Self, Vec<Wrong>>> {
        Some(Kind::Carrier.items(items).map(Self))
    }
}

impl Value for Targets {
    fn text(&self) -> String {
        self.0.iter().map(Party::text).collect::<Vec<_>>().join(",")
    }

    fn json(&self) -> serde_json::Value {
        self.0.iter().map(Party::json).collect()
    }

    fn of_items(items: &[Item]) -> Option<Result<Self, Vec<Wrong>>> {
        Some(Kind::Target.items(items).map(Self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Settings, apply};
    use std::path::Path;

    #[test]
    fn networks_hold_their_addresses() {
        let rows = [
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
        ];
        for (cidr, address, inside) in rows {
            let cidr: Cidr = cidr.parse().unwrap();
            assert_eq!(cidr.contains(address.parse().unwrap()), inside, "{cidr} {address}");
        }
        let wrong = |text: &str| text.parse::<Cidr>().unwrap_err();
        assert_eq!(wrong("10.0.1.7/24"), "want 10.0.1.0/24, or 10.0.1.7/32 for one address");
        assert_eq!(wrong("10.0.1.0/33"), "want at most /32");
        for text in ["", "/", "10.0.1/24", "10.0.1.0/", "10.0.1.0/-1", "example.net"] {
            assert!(wrong(text).starts_with("want a network"), "{text}");
        }
    }

    #[test]
    fn domains_hold_what_lies_below_them() {
        let carriers = carriers("a=sip.Example.net").unwrap().0;
        let rows = [
            ("sip.example.net", true),
            ("EDGE.sip.example.net", true),
            ("xsip.example.net", false),
            ("net", false),
            ("edge.sip.example.net.", true),
            ("sip.example.net..", false),
        ];
        for (host, inside) in rows {
            assert_eq!(carriers[0].has_host(host), inside, "{host}");
        }
    }

    #[test]
    fn the_file_and_the_variable_say_the_same() {
        let text = "carriers:\n  - name: twilio\n    cidrs: [203.0.113.0/24, 198.51.100.7]\n    domains: [sip.example.net]\n  - {name: b, domains: b.example}\ntargets:\n  - name: kamailio\n    cidrs: [10.0.1.0/24]\n    members: auto\n  - {name: db, cidrs: 10.0.2.1}\n";
        let mut settings = Settings::default();
        assert_eq!(apply(text, Path::new("f"), &mut settings), []);
        let (found, aims) = (settings.carriers.get().unwrap(), settings.targets.get().unwrap());
        assert_eq!(found.text(), "twilio=203.0.113.0/24+198.51.100.7/32+sip.example.net,b=b.example");
        assert_eq!(aims.text(), "kamailio=10.0.1.0/24+auto,db=10.0.2.1/32");
        assert_eq!((carriers(&found.text()).unwrap(), targets(&aims.text()).unwrap()), (found, aims));
    }

    #[test]
    fn what_is_wrong_with_a_list_is_told_with_its_place() {
        let rows = [
            (
                "carriers: 5",
                "f:1:11: carriers: '5': want NAME=NETWORK or NAME=DOMAIN, several with + between them",
            ),
            ("carriers: {name: a}", "f:1:11: carriers: want a list, each with name, cidrs, …"),
            ("carriers: [{name: a}]", "f:1:13: carriers: a has no network and no domain"),
            ("carriers: [{cidrs: 10.0.0.0/8}]", "f:1:13: carriers: want a name"),
            (
                "carriers: [{name: other, cidrs: 10.0.0.0/8}]",
                "f:1:13: carriers.name: 'other': other is the name of what is none of them",
            ),
            (
                "carriers: [{name: a, cidr: 10.0.0.0/8}]",
                "f:1:22: carriers.cidr: unknown key (did you mean cidrs?)",
            ),
            (
                "carriers: [{name: a, cidrs: [10.0.0.0/99]}]",
                "f:1:22: carriers.cidrs: '10.0.0.0/99': want at most /32",
            ),
            (
                "carriers: [{name: a, cidrs: {b: c}}]",
                "f:1:22: carriers.cidrs: want a value, or a list of them",
            ),
            (
                "targets: [{name: a, cidrs: 10.0.0.0/8, members: all}]",
                "f:1:40: targets.members: 'all': want auto",
            ),
            (
                "targets: [{name: a, cidrs: 10.0.0.0/8}, {name: a, cidrs: 10.0.0.0/8}]",
                "f:1:42: targets: a is there twice",
            ),
            ("voip: {workers: [{a: 1}]}", "f:1:17: voip.workers: want a single value, not a list"),
        ];
        for (text, wrong) in rows {
            let told: Vec<String> = apply(text, Path::new("f"), &mut Settings::default())
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(told, [wrong], "{text}");
        }
    }
}

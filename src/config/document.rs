//! YAML text becomes a flat list of keys with their places.
//!
//! In: text. Out: one [`Entry`] per `section.key`. Nothing is known here of which keys exist, so one wrong value
//! hides no other. Bounded: the caller refuses large files, depth and alias expansion are limited below.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;

use super::units::{Item, ItemKey};

/// A node of the document. Scalars are text: their key knows how to read them.
#[derive(Debug, PartialEq)]
pub(super) enum Node {
    /// `null`, `~` or nothing.
    Null,
    /// A number, a truth value or a string.
    Scalar(String),
    /// A sequence of scalars, joined by commas as a flag takes them; none when it holds anything else.
    List(Option<String>),
    /// A sequence of mappings.
    Items(Vec<Item>),
    /// A mapping.
    Map(Vec<Entry>),
}

/// Line and column, from 1.
pub(super) type Position = (u64, u64);

/// One key and its value.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    /// Its name.
    pub(super) key: String,
    /// Where it stands.
    pub(super) key_at: Position,
    /// Where its value stands.
    pub(super) value_at: Position,
    /// Its value.
    pub(super) value: Node,
}

/// Text that is not YAML.
#[derive(Debug)]
pub(super) struct Broken {
    /// Where.
    pub(super) at: Option<Position>,
    /// Why.
    pub(super) message: String,
}

/// The top level of a document, in its order; repeated keys are all there.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Broken> {
    let root: Spanned<Node> =
        serde_yaml::from_str_with_options(text, options()).map_err(|error| broken(&error))?;
    match root.value {
        Node::Null => Ok(Vec::new()),
        Node::Map(sections) => Ok(sections),
        Node::Scalar(_) | Node::List(_) | Node::Items(_) => {
            Err(Broken { at: Some(position(&root)), message: "want sections, such as voip:".to_owned() })
        }
    }
}

/// Repeated keys are found by the caller, which can name both places; merge keys are keys like others.
fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! { max_depth: 16, max_nodes: 200_000, max_aliases: 1_000 },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 10_000 },
        // However many there are between a key and what it holds.
        emit_comments: false,
        duplicate_keys: serde_yaml::DuplicateKeyPolicy::LastWins,
        merge_keys: serde_yaml::MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: serde_yaml::NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        with_snippet: false,
    }
}

fn position<T>(node: &Spanned<T>) -> Position {
    (node.referenced.line(), node.referenced.column())
}

fn broken(error: &serde_yaml::Error) -> Broken {
    let at = error.location().map(|place| (place.line(), place.column())).filter(|(line, _)| *line > 0);
    let text = error.to_string();
    // The place stands before the message; its repetition in the library's sentence would only lengthen it.
    let message = at
        .and_then(|(line, column)| text.strip_suffix(&format!(" at line {line}, column {column}")))
        .unwrap_or(&text);
    let message = if message.starts_with("multiple YAML documents") { "want one document" } else { message };
    Broken { at, message: format!("broken YAML: {message}") }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

impl Node {
    /// What to call a key that is this node.
    fn name(self) -> String {
        match self {
            Self::Scalar(text) => text,
            Self::Null => "null".to_owned(),
            Self::List(_) | Self::Items(_) => "[…]".to_owned(),
            Self::Map(_) => "{…}".to_owned(),
        }
    }
}

fn item_key(entry: Entry) -> ItemKey {
    let text = match entry.value {
        Node::Scalar(text) => Some(text),
        Node::Null => Some(String::new()),
        Node::List(joined) => joined,
        Node::Items(_) | Node::Map(_) => None,
    };
    ItemKey { name: entry.key, place: entry.key_at, text }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut joined = Some(String::new());
        let mut mappings = Some(Vec::new());
        let mut count = 0;
        while let Some(item) = items.next_element::<Node>()? {
            let item = match item {
                Node::Map(keys) => {
                    mappings = mappings.map(|mut all| {
                        all.push(Item { keys: keys.into_iter().map(item_key).collect() });
                        all
                    });
                    joined = None;
                    continue;
                }
                item => item,
            };
            mappings = None;
            joined = joined.zip(if let Node::Scalar(text) = item { Some(text) } else { None }).map(
                |(mut all, text)| {
                    if count > 0 {
                        all.push(',');
                    }
                    all.push_str(&text);
                    all
                },
            );
            count += 1;
        }
        Ok(mappings.filter(|all| !all.is_empty()).map_or(Node::List(joined), Node::Items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut keys: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = keys.next_entry::<Spanned<Node>, Spanned<Node>>()? {
            let (key_at, value_at) = (position(&key), position(&value));
            map.push(Entry { key: key.value.name(), key_at, value_at, value: value.value });
        }
        Ok(Node::Map(map))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Node, E> {
        Err(E::custom("binary values are of no use here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(key: &str, key_at: Position, value_at: Position, text: &str) -> Entry {
        Entry { key: key.to_owned(), key_at, value_at, value: Node::Scalar(text.to_owned()) }
    }

    #[test]
    fn every_key_has_its_place_and_its_text() {
        let text = "\u{feff}# comment\nlog: {level: 0x10}\nvoip:\n  a: .nan\n  b: yes\n  a: \"30s\"\n";
        let entries = parse(text).unwrap();
        assert_eq!(entries[0].value, Node::Map(vec![scalar("level", (2, 7), (2, 14), "16")]));
        let voip = vec![
            scalar("a", (4, 3), (4, 6), ".nan"),
            scalar("b", (5, 3), (5, 6), "yes"),
            scalar("a", (6, 3), (6, 6), "30s"),
        ];
        assert_eq!((entries[1].key.as_str(), entries[1].key_at), ("voip", (3, 1)));
        assert_eq!(entries[1].value, Node::Map(voip));
    }

    #[test]
    fn comments_may_be_many() {
        let text = format!("alerts:\n{}  CaptureDrops: 1\n", "  # a comment\n".repeat(1_000));
        let entries = parse(&text).unwrap();
        assert_eq!(entries[0].value, Node::Map(vec![scalar("CaptureDrops", (1_002, 3), (1_002, 17), "1")]));
    }

    #[test]
    fn broken_text_has_a_place_and_one_reason() {
        let rows = [
            (
                "voip:\n\ta: 1\n",
                (2, 2),
                "broken YAML: tabs disallowed within this context (block indentation)",
            ),
            ("voip: [1\n", (1, 7), "broken YAML: unclosed bracket '['"),
            ("a: 1\n---\nb: 2\n", (3, 1), "broken YAML: want one document"),
            ("a: *nope\n", (1, 4), "broken YAML: alias references unknown anchor"),
            ("- 1\n", (1, 1), "want sections, such as voip:"),
        ];
        for (text, at, message) in rows {
            let broken = parse(text).unwrap_err();
            assert_eq!((broken.at, broken.message.as_str()), (Some(at), message), "{text:?}");
        }
    }

    /// A billion laughs: nine levels of nine aliases each.
    #[test]
    fn a_bomb_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let alias = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![alias; 9].join(", ")));
        }
        assert!(parse(&text).unwrap_err().message.starts_with("broken YAML: "));
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"{a: ".repeat(100)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-a:{}\\[\\]&*!|>'\"#%@\\n\\t ,0-9~<]{0,60}") {
            let _ = parse(&text);
        }
    }
}

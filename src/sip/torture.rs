//! The parser against the torture messages of RFC 4475 and RFC 5118.
//!
//! A sniffer shows what was sent, so most of what an element would have to answer with 400 is taken with a fault.
//! What it does not look into (dates, the URI in Contact, required extensions) cannot be a fault.

use super::{
    ContentLength, Faults, Frame, Framer, Head, Method, Probe, StartLine, is_sip_datagram, probe, sdp, uri,
};
use crate::sip::Span;
use crate::sip::sdp::Sections;

/// What becomes of a message.
enum Expected {
    /// It is no SIP/2.0 message.
    Refused,
    /// It is taken, with these faults and no others.
    Taken(&'static [Faults]),
}
use Expected::{Refused, Taken};

/// File, title of its section, what that says.
const MESSAGES: [(&str, &str, Expected); 49] = [
    ("wsinv", "3.1.1.1 A Short Tortuous INVITE", Taken(&[])),
    ("intmeth", "3.1.1.2 Wide Range of Valid Characters", Taken(&[])),
    ("esc01", "3.1.1.3 Valid Use of the % Escaping Mechanism", Taken(&[])),
    ("escnull", "3.1.1.4 Escaped Nulls in URIs", Taken(&[])),
    ("esc02", "3.1.1.5 Use of % When It Is Not an Escape", Taken(&[])),
    ("lwsdisp", "3.1.1.6 Message with No LWS between Display Name and <", Taken(&[])),
    ("longreq", "3.1.1.7 Long Values in Header Fields", Taken(&[])),
    ("dblreq", "3.1.1.8 Extra Trailing Octets in a UDP Datagram", Taken(&[Faults::EXTRA_BYTES])),
    ("semiuri", "3.1.1.9 Semicolon-Separated Parameters in URI User Part", Taken(&[])),
    ("transports", "3.1.1.10 Varied and Unknown Transport Types", Taken(&[])),
    ("mpart01", "3.1.1.11 Multipart MIME Message", Taken(&[])),
    ("unreason", "3.1.1.12 Unusual Reason Phrase", Taken(&[])),
    ("noreason", "3.1.1.13 Empty Reason Phrase", Taken(&[])),
    ("badinv01", "3.1.2.1 Extraneous Header Field Separators", Taken(&[Faults::HEADER])),
    ("clerr", "3.1.2.2 Content Length Larger Than Message", Taken(&[Faults::TRUNCATED])),
    ("ncl", "3.1.2.3 Negative Content-Length", Taken(&[Faults::CONTENT_LENGTH])),
    ("scalar02", "3.1.2.4 Request Scalar Fields with Overlarge Values", Taken(&[Faults::CSEQ])),
    ("scalarlg", "3.1.2.5 Response Scalar Fields with Overlarge Values", Taken(&[Faults::CSEQ])),
    ("quotbal", "3.1.2.6 Unterminated Quoted String in Display Name", Taken(&[Faults::HEADER])),
    ("ltgtruri", "3.1.2.7 <> Enclosing Request-URI", Taken(&[Faults::START_LINE])),
    ("lwsruri", "3.1.2.8 Malformed SIP Request-URI (embedded LWS)", Taken(&[Faults::START_LINE])),
    ("lwsstart", "3.1.2.9 Multiple SP Separating Request-Line Elements", Taken(&[Faults::START_LINE])),
    ("trws", "3.1.2.10 SP Characters at End of Request-Line", Taken(&[Faults::START_LINE])),
    // Header fields in the request URI, a date, the URI in Contact: not looked into.
    ("escruri", "3.1.2.11 Escaped Headers in SIP Request-URI", Taken(&[])),
    ("baddate", "3.1.2.12 Invalid Time Zone in Date Header Field", Taken(&[])),
    ("regbadct", "3.1.2.13 Failure to Enclose name-addr URI in <>", Taken(&[])),
    ("badaspec", "3.1.2.14 Spaces within addr-spec", Taken(&[Faults::HEADER])),
    ("baddn", "3.1.2.15 Non-token Characters in Display Name", Taken(&[Faults::HEADER])),
    ("badvers", "3.1.2.16 Unknown Protocol Version", Refused),
    ("mismatch01", "3.1.2.17 Start Line and CSeq Method Mismatch", Taken(&[Faults::CSEQ_METHOD])),
    ("mismatch02", "3.1.2.18 Unknown Method with CSeq Method Mismatch", Taken(&[Faults::CSEQ_METHOD])),
    ("bigcode", "3.1.2.19 Overlarge Response Code", Refused),
    // Transactions and applications: the messages as such are fine but for what is missing, repeated or at odds.
    ("badbranch", "3.2.1 Missing Transaction Identifier", Taken(&[])),
    ("insuf", "3.3.1 Missing Required Header Fields", Taken(&[Faults::NO_CALL_ID, Faults::MISSING_HEADER])),
    ("unkscm", "3.3.2 Request-URI with Unknown Scheme", Taken(&[])),
    ("novelsc", "3.3.3 Request-URI with Known but Atypical Scheme", Taken(&[])),
    ("unksm2", "3.3.4 Unknown URI Schemes in Header Fields", Taken(&[])),
    ("bext01", "3.3.5 Proxy-Require and Require", Taken(&[])),
    ("invut", "3.3.6 Unknown Content-Type", Taken(&[])),
    ("regaut01", "3.3.7 Unknown Authorization Scheme", Taken(&[])),
    ("multi01", "3.3.8 Multiple Values in Single Value Required Fields", Taken(&[Faults::HEADER])),
    ("mcl01", "3.3.9 Multiple Content-Length Values", Taken(&[Faults::CONTENT_LENGTH])),
    ("bcast", "3.3.10 200 OK Response with Broadcast Via Header Field Value", Taken(&[])),
    ("zeromf", "3.3.11 Max-Forwards of Zero", Taken(&[])),
    ("cparam01", "3.3.12 REGISTER with a Contact Header Parameter", Taken(&[])),
    ("cparam02", "3.3.13 REGISTER with a url-parameter", Taken(&[])),
    ("regescrt", "3.3.14 REGISTER with a URL Escaped Header", Taken(&[])),
    ("sdp01", "3.3.15 Unacceptable Accept Offering", Taken(&[])),
    ("inv2543", "3.4.1 INVITE with RFC 2543 Syntax", Taken(&[])),
];

fn directory() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/torture/rfc4475/input")
}

fn message(name: &str) -> Vec<u8> {
    std::fs::read(directory().join(name).with_extension("dat")).unwrap()
}

fn taken(name: &str) -> (Vec<u8>, Head) {
    let bytes = message(name);
    let head = Head::parse(&bytes, true).unwrap();
    (bytes, head)
}

fn text(bytes: &[u8], span: Span) -> &str {
    std::str::from_utf8(span.of(bytes)).unwrap()
}

#[test]
fn every_message_is_as_rfc_4475_says() {
    for (name, section, expected) in &MESSAGES {
        let head = Head::parse(&message(name), true);
        let faults = match expected {
            Refused => None,
            Taken(faults) => Some(faults.iter().fold(Faults::default(), |mut all, &fault| {
                all.add(fault);
                all
            })),
        };
        assert_eq!(head.map(|head| head.faults), faults, "{name}: {section}");
    }
}

#[test]
fn no_message_is_forgotten() {
    let mut files: Vec<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut names: Vec<&str> = MESSAGES.iter().map(|(name, ..)| *name).collect();
    files.sort_unstable();
    names.sort_unstable();
    assert_eq!(files, names);
}

/// The framer and the datagram check look at the same start lines with other eyes.
#[test]
fn framer_and_parser_agree() {
    for (name, section, expected) in &MESSAGES {
        let bytes = message(name);
        let is_taken = !matches!(expected, Refused);
        assert_eq!(is_sip_datagram(&bytes), is_taken, "{name}: {section}");
        assert_eq!(probe(&bytes) == Probe::Sip, is_taken, "{name}: {section}");
        match Framer::new(1 << 20).next(&bytes) {
            Frame::Message { head, length } => {
                let parsed = Head::parse(&bytes[..length], false).unwrap();
                assert_eq!((parsed.body.start as usize, parsed.body.length as usize), (head, length - head));
                assert!(is_taken, "{name}: {section}");
            }
            // clerr announces more than there is.
            Frame::Incomplete { need } => {
                let there = Head::parse(&bytes, true).unwrap().body.length as usize;
                assert_eq!((*name, need), ("clerr", 9999 - there));
            }
            Frame::NotSip { .. } => assert!(!is_taken, "{name}: {section}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn wsinv_is_read_through_its_folds() {
    let (bytes, head) = taken("wsinv");
    let StartLine::Request { method, uri, .. } = head.start else { panic!() };
    assert_eq!(
        (method, text(&bytes, uri)),
        (Method::Invite, "sip:vivekg@chair-dnrc.example.com;unknownparam")
    );
    assert_eq!(text(&bytes, head.to_uri), "sip:vivekg@chair-dnrc.example.com");
    assert_eq!(text(&bytes, head.to_tag), "1918181833n");
    assert_eq!(text(&bytes, head.from_uri), "sip:jdrosen@example.com");
    assert_eq!(text(&bytes, head.from_tag), "98asjd8");
    assert_eq!(text(&bytes, head.branch), "390skdjuw");
    assert_eq!((head.cseq, head.cseq_method), (9, Method::Invite));
    assert_eq!(text(&bytes, head.call_id), "wsinv.ndaksdj@192.0.2.1");
    assert_eq!(head.content_length, ContentLength::Given(150));
    assert_eq!(uri::addr_spec(head.contact.of(&bytes)), b"sip:jdrosen@example.com");
    let mut media = Vec::new();
    sdp::parse(&bytes, &head, &mut Sections::default(), &mut media);
    assert_eq!(
        media.iter().map(|media| media.endpoint.to_string()).collect::<Vec<_>>(),
        ["192.0.2.4:49217", "192.0.2.4:3227"]
    );
    // 31 is H261 in RFC 3551; the description gives it another name, and no clock rate.
    assert_eq!((media[1].formats[0].name.as_str(), media[1].formats[0].clock), ("LPC", 0));
}

#[test]
fn strange_values_come_out_whole() {
    let (bytes, head) = taken("intmeth");
    let StartLine::Request { method, token, .. } = head.start else { panic!() };
    assert_eq!((method, head.cseq_method), (Method::Other, Method::Other));
    assert_eq!(text(&bytes, token), "!interesting-Method0123456789_*+`.%indeed'~");
    assert_eq!(text(&bytes, head.cseq_token), text(&bytes, token));
    assert_eq!(text(&bytes, head.from_uri), "sip:mundane@example.com");
    assert_eq!(text(&bytes, head.from_tag), "_token~1'+`*%!-.");
    assert_eq!(text(&bytes, head.call_id), "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");

    let (bytes, head) = taken("esc02");
    let StartLine::Request { method, token, .. } = head.start else { panic!() };
    // The method is RE%47IST%45R; it is not REGISTER.
    assert_eq!((method, text(&bytes, token)), (Method::Other, "RE%47IST%45R"));

    let (bytes, head) = taken("esc01");
    assert_eq!(uri::user_part(head.from_uri.of(&bytes)), Some(&b"I%20have%20spaces"[..]));
    assert_eq!(text(&bytes, head.content_type), "application/sdp");

    let (bytes, head) = taken("longreq");
    assert_eq!(text(&bytes, head.via).get(..29), Some("SIP/2.0/TCP sip33.example.com"));
}

#[test]
fn bodies_end_where_the_message_does() {
    // The second request in the datagram is ignored (3.1.1.8).
    let (bytes, head) = taken("dblreq");
    assert_eq!((head.body.length, text(&bytes, head.call_id)), (0, "dblreq.0ha0isndaksdj99sdfafnl3lk233412"));
    // RFC 2543 had no Content-Length: the body goes on to the end (3.4.1).
    let (bytes, head) = taken("inv2543");
    let mut media = Vec::new();
    sdp::parse(&bytes, &head, &mut Sections::default(), &mut media);
    assert_eq!((head.content_length, media.len()), (ContentLength::Missing, 1));
    // Text and a signature, no description (3.1.1.11).
    let (bytes, head) = taken("mpart01");
    sdp::parse(&bytes, &head, &mut Sections::default(), &mut media);
    assert_eq!((head.body.length, media.len()), (553, 1));
    let (_, head) = taken("noreason");
    assert!(matches!(head.start, StartLine::Response { status: 100, reason } if reason.is_empty()));
}

/// Messages of RFC 5118 section 4, cut down to what matters: request URI, Via, Contact, body.
fn ipv6(request_uri: &str, via: &str, body: &str) -> (Vec<u8>, Head, Vec<sdp::Media>) {
    let text = format!(
        "INVITE {request_uri} SIP/2.0\r\nTo: sip:user@example.com\r\nFrom: sip:user@example.com;tag=81x2\r\nVia: {via}\r\n\
         Call-ID: SSG9559905523997077@hlau_4100\r\nMax-Forwards: 70\r\nContact: \"Caller\" <sip:caller@[2001:db8::1]>\r\n\
         CSeq: 98176 INVITE\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let bytes = text.into_bytes();
    assert!(is_sip_datagram(&bytes));
    let head = Head::parse(&bytes, true).unwrap();
    assert!(head.faults.is_empty());
    let mut media = Vec::new();
    sdp::parse(&bytes, &head, &mut Sections::default(), &mut media);
    (bytes, head, media)
}

#[test]
fn ipv6_references_in_uris() {
    for (request_uri, host, port) in [
        ("sip:[2001:db8::10]", "2001:db8::10", None),
        // 4.3: the port is ambiguous to people only.
        ("sip:[2001:db8::10:5070]", "2001:db8::10:5070", None),
        ("sip:[2001:db8::10]:5070", "2001:db8::10", Some(5070)),
        // 4.10: the ABNF of RFC 3261 allowed three colons.
        ("sip:user@[2001:db8:::192.0.2.1]", "2001:db8:::192.0.2.1", None),
        // 4.2: without brackets it is not valid, and what the host is nobody can tell.
        ("sip:2001:db8::10", "2001", None),
    ] {
        let (bytes, head, _) = ipv6(request_uri, "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111", "");
        let StartLine::Request { uri: sent, .. } = head.start else { panic!() };
        assert_eq!(text(&bytes, sent), request_uri);
        if request_uri.contains('[') {
            assert_eq!(uri::host(sent.of(&bytes)), Some(host.as_bytes()));
            assert_eq!(uri::port(sent.of(&bytes)), port);
        }
        assert_eq!(uri::host(uri::addr_spec(head.contact.of(&bytes))), Some(&b"2001:db8::1"[..]));
    }
}

/// 4.5: `received` with and without brackets; 4.7: several Via values of both families.
#[test]
fn ipv6_addresses_in_via() {
    for via in [
        "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111",
        "SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3-111",
        "SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111, SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144",
    ] {
        let (bytes, head, _) = ipv6("sip:user@example.com", via, "");
        assert_eq!(text(&bytes, head.branch), "z9hG4bKas3-111");
        assert!(text(&bytes, head.via).starts_with("SIP/2.0/UDP [2001:db8::9:1]"));
    }
}

/// 4.6 and 4.8: IPv6 and IPv4 in one description; 4.9: an IPv4-mapped address is the IPv4 address.
#[test]
fn ipv6_addresses_in_descriptions() {
    let body = "v=0\r\no=assistant 971731711378798081 0 IN IP6 2001:db8::20\r\ns=Live video feed for today's meeting\r\n\
                c=IN IP6 2001:db8::20\r\nt=3338481189 3370017201\r\nm=audio 6000 RTP/AVP 2\r\na=rtpmap:2 G726-32/8000\r\n\
                m=video 6024 RTP/AVP 107\r\nc=IN IP4 192.0.2.9\r\na=rtpmap:107 H263-1998/90000\r\n\
                m=audio 49170 RTP/AVP 0\r\nc=IN IP6 ::ffff:192.0.2.2\r\n";
    let (_, _, media) =
        ipv6("sip:user@[2001:db8::10]", "SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-111", body);
    let endpoints: Vec<String> = media.iter().map(|media| media.endpoint.to_string()).collect();
    assert_eq!(endpoints, ["[2001:db8::20]:6000", "192.0.2.9:6024", "192.0.2.2:49170"]);
    assert_eq!(media[0].formats[0].name.as_str(), "G726-32");
}

mod mutations {
    use super::*;
    use proptest::prelude::*;

    /// A torture message with some bytes replaced, some cut out and its end cut off.
    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n \t:;,<>\"\\=@/0"[..])];
        let edits = prop::collection::vec((any::<prop::sample::Index>(), byte, 0usize..3), 0..8);
        (0..MESSAGES.len(), edits, any::<prop::sample::Index>(), any::<bool>()).prop_map(
            |(which, edits, end, cut)| {
                let mut bytes = message(MESSAGES[which].0);
                for (at, byte, length) in edits {
                    let at = at.index(bytes.len());
                    let end = (at + length).min(bytes.len());
                    bytes.splice(at..end, [byte]);
                }
                if cut {
                    bytes.truncate(end.index(bytes.len()));
                }
                bytes
            },
        )
    }

    const PIECES: &[&[u8]] = &[
        b"INVITE", b"x", b"sip:a", b"<sip:a>", b"tel:1", b"SIP/2.0", b"sip/2.0", b"SIP/", b"2.0", b"200",
        b" ", b" ", b" ", b"\t", b"\r", b"\n", b"\x0b", b"\0", b"\xff", b":", b"/", b"1", b"+", b"[",
    ];

    fn spans(head: &Head) -> [Span; 18] {
        let (one, other) = match head.start {
            StartLine::Request { token, uri, .. } => (token, uri),
            StartLine::Response { reason, .. } => (reason, reason),
        };
        [
            one,
            other,
            head.call_id,
            head.from,
            head.from_uri,
            head.from_tag,
            head.to,
            head.to_uri,
            head.to_tag,
            head.via,
            head.branch,
            head.cseq_token,
            head.contact,
            head.agent,
            head.reason,
            head.asserted,
            head.content_type,
            head.body,
        ]
    }

    proptest! {
        /// Whatever the bytes: spans lie in the message, and what looks like SIP to one looks so to the other.
        #[test]
        fn any_message_is_survived(bytes in mutated(), datagram: bool) {
            let head = Head::parse(&bytes, datagram);
            prop_assert_eq!(head.is_some(), is_sip_datagram(&bytes));
            prop_assert!(head.is_some() || probe(&bytes) != Probe::Sip);
            if let Some(head) = head {
                for span in spans(&head) {
                    prop_assert_eq!(span.of(&bytes).len(), span.length as usize);
                }
                let mut media = Vec::new();
                sdp::parse(&bytes, &head, &mut Sections::default(), &mut media);
                let _ = uri::host(head.from_uri.of(&bytes));
                let _ = uri::display(head.to_uri.of(&bytes));
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), start: bool) {
            let mut message = if start { b"SIP/2.0 200 OK\r\n".to_vec() } else { Vec::new() };
            message.extend(&bytes);
            let head = Head::parse(&message, true);
            prop_assert!(head.is_some() || !start);
        }

        /// The byte-by-byte reader of streams and the reader of whole lines know the same start lines.
        #[test]
        fn start_lines_are_the_same_to_both(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..9)) {
            let bytes = [pieces.concat(), b"\r\n".to_vec()].concat();
            prop_assert!(probe(&bytes) != Probe::Sip || Head::parse(&bytes, false).is_some());
        }

        /// What the framer cuts out of a stream, the parser reads, and both see the same body.
        #[test]
        fn frames_are_messages(bytes in mutated()) {
            let mut on_the_way = None;
            if let Frame::Message { head, length } = Framer::new(1 << 20).next_with_head(&bytes, &mut on_the_way) {
                let message = &bytes[..length];
                let parsed = Head::parse(message, false);
                prop_assert!(parsed.is_some());
                if let Some(mut on_the_way) = on_the_way {
                    on_the_way.close(message, false);
                    prop_assert_eq!(Some(on_the_way), parsed);
                }
                let body = parsed.unwrap().body;
                prop_assert_eq!((body.start as usize, body.length as usize), (head, length - head));
            }
        }
    }
}

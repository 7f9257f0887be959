//! What a `ClientHello` says that matters here.

use tls_parser::{TlsClientHelloContents, TlsExtension, parse_tls_client_hello_extensions};

/// The longest name that is kept.
const MAX_NAME: usize = 255;

/// What a client wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hello {
    /// The server it asks for (RFC 6066 3).
    pub(super) server_name: Option<String>,
    /// It wants to speak SIP (`sip/2` in the registry of RFC 7301).
    pub(super) sip: bool,
}

pub(super) fn read(hello: &TlsClientHelloContents<'_>) -> Hello {
    let mut found = Hello::default();
    let Ok((_, extensions)) = parse_tls_client_hello_extensions(hello.ext.unwrap_or_default()) else {
        return found;
    };
    for extension in extensions {
        match extension {
            TlsExtension::SNI(names) => {
                found.server_name = names.first().map(|(_, name)| printable(name));
            }
            TlsExtension::ALPN(protocols) => {
                found.sip = protocols.iter().any(|protocol| protocol.starts_with(b"sip"));
            }
            _ => {}
        }
    }
    found
}

/// Text of a certificate or a hello that is safe to show: what is not printable ASCII becomes `?`.
pub(super) fn printable(text: &[u8]) -> String {
    let plain = |&byte: &u8| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '?' };
    text.iter().take(MAX_NAME).map(plain).collect()
}

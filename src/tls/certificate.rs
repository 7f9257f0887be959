//! The server's own certificate: whose it is and until when.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::hello::printable;
use super::report::Certificate;
use crate::time::Timestamp;

/// Reads a certificate in DER; none when it is none.
pub(super) fn read(der: &[u8]) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let not_after = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    Some(Certificate { subject: subject(&certificate), not_after: Timestamp::new(not_after, 0) })
}

fn subject(certificate: &X509Certificate<'_>) -> String {
    let common = certificate.subject().iter_common_name().next().map(|name| printable(name.as_slice()));
    let alternative = || {
        let names = certificate.subject_alternative_name().ok()??;
        names.value.general_names.iter().find_map(|name| match name {
            GeneralName::DNSName(name) => Some(printable(name.as_bytes())),
            _ => None,
        })
    };
    common.filter(|name| !name.is_empty()).or_else(alternative).unwrap_or_default()
}

//! Response status codes.

/// The reason phrase that the IANA registry "SIP Response Codes" gives `code`; none for codes not in it.
#[must_use]
pub const fn reason_phrase(code: u16) -> Option<&'static str> {
    match code {
        100..=399 => successful(code),
        400..=449 => client_error(code),
        450..=499 => client_error_of_extensions(code),
        500..=699 => server_or_global_error(code),
        _ => None,
    }
}

const fn successful(code: u16) -> Option<&'static str> {
    Some(match code {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        _ => return None,
    })
}

const fn client_error(code: u16) -> Option<&'static str> {
    Some(match code {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        417 => "Unknown Resource-Priority",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        424 => "Bad Location Information",
        425 => "Bad Alert Message",
        428 => "Use Identity Header",
        429 => "Provide Referrer Identity",
        430 => "Flow Failed",
        433 => "Anonymity Disallowed",
        436 => "Bad Identity Info",
        437 => "Unsupported Credential",
        438 => "Invalid Identity Header",
        439 => "First Hop Lacks Outbound Support",
        440 => "Max-Breadth Exceeded",
        _ => return None,
    })
}

const fn client_error_of_extensions(code: u16) -> Option<&'static str> {
    Some(match code {
        469 => "Bad Info Package",
        470 => "Consent Needed",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        494 => "Security Agreement Required",
        _ => return None,
    })
}

const fn server_or_global_error(code: u16) -> Option<&'static str> {
    Some(match code {
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        555 => "Push Notification Service Not Supported",
        580 => "Precondition Failure",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        608 => "Rejected",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3261 21 and, for 199, 607 and 608, RFC 6228, 8197 and 8688.
    #[test]
    fn knows_the_registry() {
        assert_eq!(reason_phrase(180), Some("Ringing"));
        assert_eq!(reason_phrase(487), Some("Request Terminated"));
        assert_eq!(reason_phrase(504), Some("Server Time-out"));
        assert_eq!(reason_phrase(607), Some("Unwanted"));
        for code in [0, 99, 299, 450, 599, 700, u16::MAX] {
            assert_eq!(reason_phrase(code), None);
        }
        assert_eq!((0..1000).filter(|&code| reason_phrase(code).is_some()).count(), 75);
    }
}

//! Stream errors as values (RFC 6120, section 4.9).

use std::fmt;

use thiserror::Error;

use super::StreamCondition;
use crate::xml::{Element, ReadError};
use crate::{Domainpart, namespace};

/// A stream error (RFC 6120, section 4.9): fatal for the stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("stream error {condition}{}{}", other_host.as_ref().map(|host| format!(" {host}")).unwrap_or_default(),
    text.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
pub struct StreamError {
    /// What is wrong.
    pub condition: StreamCondition,
    /// Where to connect instead: the content of `see-other-host`, if it can be read.
    pub other_host: Option<OtherHost>,
    /// A description for people; never parsed.
    pub text: Option<String>,
    /// The application-specific condition, if any.
    pub application: Option<Box<Element>>,
}

/// Where `see-other-host` sends the initiating entity (RFC 6120, section 4.9.3.19).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OtherHost {
    /// A host name or an IP address, an IPv6 address in brackets.
    pub host: Domainpart,
    /// The TCP port, if one is named; without one, and with a host name, DNS is asked for its services.
    pub port: Option<u16>,
}

impl StreamError {
    /// An error without a text.
    pub fn new(condition: StreamCondition) -> Self {
        Self { condition, other_host: None, text: None, application: None }
    }

    /// Sends the peer to another host; never before TLS, where anybody could (RFC 6120, section 4.9.3.19).
    pub fn see_other_host(host: OtherHost) -> Self {
        Self { other_host: Some(host), ..Self::new(StreamCondition::SeeOtherHost) }
    }

    /// With a description for people.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The `stream:error` element.
    pub fn to_element(&self) -> Element {
        let mut condition = Element::new(self.condition.as_str(), namespace::STREAM_ERRORS);
        if let Some(host) = &self.other_host {
            condition = condition.text(host.to_string());
        }
        let mut error = Element::new("error", namespace::STREAM).child(condition);
        if let Some(text) = &self.text {
            error.push(Element::new("text", namespace::STREAM_ERRORS).with_lang("en").text(text.clone()));
        }
        if let Some(application) = &self.application {
            error.push((**application).clone());
        }
        error
    }

    /// Reads a `stream:error`; an unknown condition is undefined (RFC 6120, section 4.9.2). `None` for other elements.
    pub fn from_element(element: &Element) -> Option<Self> {
        if !element.is("error", namespace::STREAM) {
            return None;
        }
        let is_standard = |e: &&Element| e.namespace() == namespace::STREAM_ERRORS;
        let named = |e: &'_ Element| StreamCondition::parse(e.name()).map(|condition| (condition, e.content()));
        let found = element.children().filter(is_standard).find_map(named);
        let (condition, content) = found.unwrap_or((StreamCondition::UndefinedCondition, String::new()));
        let redirects = condition == StreamCondition::SeeOtherHost;
        Some(Self {
            condition,
            other_host: redirects.then(|| OtherHost::parse(&content)).flatten(),
            text: element.find("text", namespace::STREAM_ERRORS).map(Element::content),
            application: element.children().find(|e| !is_standard(e)).map(|e| Box::new(e.clone())),
        })
    }
}

impl From<StreamCondition> for StreamError {
    fn from(condition: StreamCondition) -> Self {
        Self::new(condition)
    }
}

impl From<ReadError> for StreamError {
    fn from(error: ReadError) -> Self {
        Self::new(error.condition()).with_text(error.to_string())
    }
}

impl OtherHost {
    /// Reads `domainpart` or `domainpart:port`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // The colons of an IPv6 address lie within its brackets.
        let end = text.find(']').map_or(0, |bracket| bracket + 1);
        let colon = text[end..].rfind(':').map(|at| end + at);
        let (host, port) = match colon {
            Some(colon) => (&text[..colon], Some(parse_port(&text[colon + 1..])?)),
            None => (text, None),
        };
        Some(Self { host: Domainpart::new(host).ok()?, port })
    }
}

fn parse_port(digits: &str) -> Option<u16> {
    // A number alone would take a sign.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| is_number && *port != 0)
}

impl fmt::Display for OtherHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => fmt::Display::fmt(&self.host, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other_host(text: &str) -> Option<(String, Option<u16>)> {
        OtherHost::parse(text).map(|found| (found.host.to_string(), found.port))
    }

    #[test]
    fn every_stream_error_survives_the_wire() {
        for &condition in StreamCondition::ALL {
            let error = StreamError::new(condition).with_text("why");
            let text = error.to_element().to_string();
            assert_eq!(StreamError::from_element(&Element::parse(&text).unwrap()), Some(error));
        }
    }

    #[test]
    fn another_host_is_a_domainpart_and_may_have_a_port() {
        let named = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(other_host("Other.Example"), named("other.example", None));
        assert_eq!(other_host("\n  other.example:5270\n"), named("other.example", Some(5270)));
        assert_eq!(other_host("192.0.2.1:5269"), named("192.0.2.1", Some(5269)));
        assert_eq!(other_host("bücher.example:1"), named("bücher.example", Some(1)));
        let (host, port) = other_host("[2001:41D0:1:A49b::1]:9222").unwrap();
        assert_eq!((host.to_ascii_lowercase().as_str(), port), ("[2001:41d0:1:a49b::1]", Some(9222)));
        assert_eq!(other_host("[::1]").unwrap().1, None);
        for bad in ["", ":", "a.example:", "a.example:0", "a.example:+1", "a.example:65536", "x@a.example", "a b"] {
            assert_eq!(other_host(bad), None, "{bad}");
        }
    }

    /// The example of RFC 6120, section 4.9.3.19, and one whose host cannot be read.
    #[test]
    fn a_redirection_keeps_its_host() {
        let redirection = |host: &str| {
            let condition = Element::new("see-other-host", namespace::STREAM_ERRORS).text(host);
            StreamError::from_element(&Element::new("error", namespace::STREAM).child(condition)).unwrap()
        };
        let error = redirection("\n   [2001:41D0:1:A49b::1]:9222\n  ");
        let host = error.other_host.clone().unwrap();
        assert_eq!(host.port, Some(9222));
        assert_eq!(StreamError::from_element(&error.to_element()), Some(StreamError::see_other_host(host)));
        assert!(error.to_string().ends_with(":9222"), "{error}");
        let unreadable = redirection("no host");
        assert_eq!((unreadable.condition, unreadable.other_host), (StreamCondition::SeeOtherHost, None));
    }

    #[test]
    fn the_content_of_another_condition_is_no_host() {
        let condition = Element::new("host-gone", namespace::STREAM_ERRORS).text("other.example");
        let error = StreamError::from_element(&Element::new("error", namespace::STREAM).child(condition)).unwrap();
        assert_eq!(error, StreamError::new(StreamCondition::HostGone));
    }
}

//! The elements of stream management that are no stanzas (XEP-0198).

use crate::stream::{StreamCondition, StreamError};
use crate::xml::{Element, escape_into};
use crate::{Condition, namespace};

/// One first-level element of stream management. Its numbers are counts of stanzas, modulo 2^32.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nonza {
    /// `<enable/>`: acknowledge from here on.
    Enable {
        /// Whether the session shall be resumable.
        resume: bool,
    },
    /// `<enabled/>`: stanzas are acknowledged from here on.
    Enabled {
        /// By what the session can be resumed; `None` if it cannot.
        id: Option<String>,
        /// For how many seconds after a loss.
        max: Option<u32>,
    },
    /// `<r/>`: how many have been handled?
    Request,
    /// `<a/>`: so many have been handled.
    Answer(u32),
    /// `<resume/>`: go on with an earlier session.
    Resume {
        /// Which.
        previd: String,
        /// How many of the peer's stanzas have been handled in it.
        h: u32,
    },
    /// `<resumed/>`: the session goes on.
    Resumed {
        /// Which.
        previd: String,
        /// How many of the peer's stanzas have been handled in it.
        h: u32,
    },
    /// `<failed/>`: it cannot be had.
    Failed {
        /// Why.
        condition: Condition,
        /// How many stanzas had been handled in the session that cannot be resumed, where that is still known.
        h: Option<u32>,
    },
}

impl Nonza {
    /// Reads an element; `None` if it is none of these or lacks what it needs.
    pub fn from_element(element: &Element) -> Option<Self> {
        if element.namespace() != namespace::STREAM_MANAGEMENT {
            return None;
        }
        let text = |name| element.attribute(name);
        let number = |name| text(name)?.parse::<u32>().ok();
        let is_true = |name| matches!(text(name), Some("true" | "1"));
        let previd = || text("previd").map(str::to_owned);
        Some(match element.name() {
            "enable" => Self::Enable { resume: is_true("resume") },
            "enabled" => {
                let id = text("id").filter(|id| is_true("resume") && !id.is_empty()).map(str::to_owned);
                Self::Enabled { id, max: number("max") }
            }
            "r" => Self::Request,
            "a" => Self::Answer(number("h")?),
            "resume" => Self::Resume { previd: previd()?, h: number("h")? },
            "resumed" => Self::Resumed { previd: previd()?, h: number("h")? },
            "failed" => {
                let standard = element.children().filter(|child| child.namespace() == namespace::STANZA_ERRORS);
                let condition = standard.filter_map(|child| Condition::parse(child.name())).next();
                Self::Failed { condition: condition.unwrap_or(Condition::UndefinedCondition), h: number("h") }
            }
            _ => return None,
        })
    }

    /// Appends the element as it goes to the wire.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Enable { resume } => tag(out, "enable", &[("resume", resume.then_some("true"))]),
            Self::Enabled { id, max } => {
                let (resume, max) = (id.as_ref().map(|_| "true"), max.map(|max| max.to_string()));
                tag(out, "enabled", &[("resume", resume), ("id", id.as_deref()), ("max", max.as_deref())]);
            }
            Self::Request => tag(out, "r", &[]),
            Self::Answer(h) => tag(out, "a", &[("h", Some(&h.to_string()))]),
            Self::Resume { previd, h } => {
                tag(out, "resume", &[("previd", Some(previd)), ("h", Some(&h.to_string()))]);
            }
            Self::Resumed { previd, h } => {
                tag(out, "resumed", &[("previd", Some(previd)), ("h", Some(&h.to_string()))]);
            }
            Self::Failed { condition, h } => {
                let h = h.map(|h| h.to_string());
                tag(out, "failed", &[("h", h.as_deref())]);
                out.truncate(out.len() - "/>".len());
                out.push_str(&format!("><{} xmlns='{}'/></failed>", condition.as_str(), namespace::STANZA_ERRORS));
            }
        }
    }
}

fn tag(out: &mut String, name: &str, attributes: &[(&str, Option<&str>)]) {
    out.push('<');
    out.push_str(name);
    out.push_str(" xmlns='");
    out.push_str(namespace::STREAM_MANAGEMENT);
    out.push('\'');
    for (name, value) in attributes {
        if let Some(value) = value {
            out.push(' ');
            out.push_str(name);
            out.push_str("='");
            escape_into(out, value);
            out.push('\'');
        }
    }
    out.push_str("/>");
}

/// The error for a peer that acknowledges more than it was sent (XEP-0198, section 6).
pub fn handled_count_too_high(h: u32, sent: u32) -> StreamError {
    let application =
        Element::new("handled-count-too-high", namespace::STREAM_MANAGEMENT).attr("h", h).attr("send-count", sent);
    StreamError { application: Some(Box::new(application)), ..StreamCondition::UndefinedCondition.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Nonza> {
        Nonza::from_element(&Element::parse(text).unwrap())
    }

    #[test]
    fn every_element_survives_the_wire() {
        let previd = "a'b".to_owned();
        for nonza in [
            Nonza::Enable { resume: true },
            Nonza::Enable { resume: false },
            Nonza::Enabled { id: Some("x<y".to_owned()), max: Some(300) },
            Nonza::Enabled { id: None, max: None },
            Nonza::Request,
            Nonza::Answer(u32::MAX),
            Nonza::Resume { previd: previd.clone(), h: 7 },
            Nonza::Resumed { previd, h: 0 },
            Nonza::Failed { condition: Condition::ItemNotFound, h: Some(3) },
            Nonza::Failed { condition: Condition::UnexpectedRequest, h: None },
        ] {
            let mut text = String::new();
            nonza.write(&mut text);
            assert_eq!(read(&text), Some(nonza), "{text}");
        }
    }

    #[test]
    fn reads_the_other_spelling_of_true_and_no_count_that_is_none() {
        assert_eq!(read("<enable xmlns='urn:xmpp:sm:3' resume='1'/>"), Some(Nonza::Enable { resume: true }));
        for bad in
            ["<a xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='-1'/>", "<a xmlns='urn:xmpp:sm:2' h='1'/>"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read("<a xmlns='urn:xmpp:sm:3' h='4294967296'/>"), None);
    }
}

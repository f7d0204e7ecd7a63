//! Leases on the wire, namespace `urn:convoke:lease:0`.
//!
//! ```xml
//! <request req='0197' ttl='PT60S' count='2'/>            holder -> manager, iq set
//! <grant lease='l7' req='0197' epoch='9041' ttl='PT60S'><slot node='alice@b.example/desk'/></grant>
//! <renew><l id='l7' e='9041'/></renew>                   one renewal for all leases of a holder at a manager
//! <renewed ttl='PT60S'><l id='l7' e='9041'/><lost id='l8' e='9042' why='expired'/></renewed>
//! <release id='l7' e='9041'/>
//! <notice lease='l7' epoch='9041' holder='scheduler@a.example'/>   manager -> node, iq set
//! <ended lease='l7' epoch='9041' why='expired'/>                   manager -> node, iq set
//! <lost id='l7' e='9041' node='alice@b.example/desk' why='silent'/>  manager -> holder, message
//! ```

use std::time::Duration;

use convoke_xmpp::{Condition, Element, ErrorType, Jid, StanzaError, namespace};

use super::duration;

/// The namespace of leases.
pub const NAMESPACE: &str = "urn:convoke:lease:0";

/// A lease by its name and epoch: neither counts without the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseRef {
    /// The name that the manager gave.
    pub id: String,
    /// The epoch: greater than that of every lease the manager granted before.
    pub epoch: u64,
}

/// A request for nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the holder; the same name means the same request.
    pub req: String,
    /// How many nodes are wanted at most.
    pub count: u32,
    /// The time to live that is wished for.
    pub ttl: Option<Duration>,
}

/// What a manager lends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The lease.
    pub lease: LeaseRef,
    /// The request it answers.
    pub req: String,
    /// How long it lives without renewal, counted by the holder from when it *sent* the request.
    pub ttl: Duration,
    /// The nodes, by full JID: at least one, at most as many as were wanted.
    pub nodes: Vec<Jid>,
}

/// What became of one lease in a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// It lives for another TTL.
    Renewed(LeaseRef),
    /// It is gone.
    Lost(LeaseRef),
}

impl Request {
    /// The payload.
    pub fn to_element(&self) -> Element {
        Element::new("request", NAMESPACE)
            .attr("req", &self.req)
            .attr("count", self.count)
            .attr_opt("ttl", self.ttl.map(duration::format))
    }

    /// Reads the payload; `bad-request` names what is missing, `not-acceptable` refuses a name of more than 256 bytes,
    /// since managers remember the names of requests.
    pub fn from_element(element: &Element) -> Result<Self, StanzaError> {
        const LONGEST_NAME: usize = 256;
        let ttl = element.attribute("ttl").map(|text| duration::parse(text).ok_or_else(|| bad("ttl is no duration")));
        let req = required(element, "req")?.to_owned();
        if req.len() > LONGEST_NAME {
            return Err(too_large(LONGEST_NAME));
        }
        let count = element.attribute("count").map_or(Ok(1), |text| number(text, "count"))?;
        if count == 0 {
            return Err(bad("`count` is 0"));
        }
        Ok(Self { req, count, ttl: ttl.transpose()? })
    }
}

impl LeaseRef {
    /// An element that names this lease by `id` and `e`.
    pub fn to_element(&self, name: &'static str) -> Element {
        Element::new(name, NAMESPACE).attr("id", &self.id).attr("e", self.epoch)
    }

    /// Reads `id` and `e`.
    pub fn from_element(element: &Element) -> Result<Self, StanzaError> {
        Ok(Self { id: required(element, "id")?.to_owned(), epoch: number(required(element, "e")?, "e")? })
    }

    pub(super) fn from_attributes(element: &Element) -> Result<Self, StanzaError> {
        let epoch = number(required(element, "epoch")?, "epoch")?;
        Ok(Self { id: required(element, "lease")?.to_owned(), epoch })
    }

    pub(super) fn on(&self, element: Element) -> Element {
        element.attr("lease", &self.id).attr("epoch", self.epoch)
    }
}

impl Grant {
    /// The payload.
    pub fn to_element(&self) -> Element {
        let slot = |node: &Jid| Element::new("slot", NAMESPACE).attr("node", node);
        self.lease
            .on(Element::new("grant", NAMESPACE))
            .attr("req", &self.req)
            .attr("ttl", duration::format(self.ttl))
            .with_children(self.nodes.iter().map(slot))
    }

    /// Reads the payload.
    pub fn from_element(element: &Element) -> Result<Self, StanzaError> {
        let slots = element.children().filter(|child| child.is("slot", NAMESPACE));
        Ok(Self {
            lease: LeaseRef::from_attributes(element)?,
            req: required(element, "req")?.to_owned(),
            ttl: ttl(element)?,
            nodes: slots.map(|slot| address(slot, "node")).collect::<Result<_, _>>()?,
        })
    }
}

/// The payload that renews these leases.
pub fn renew(leases: &[LeaseRef]) -> Element {
    Element::new("renew", NAMESPACE).with_children(leases.iter().map(|lease| lease.to_element("l")))
}

/// The leases that a renewal names.
pub(super) fn renew_from_element(element: &Element) -> Result<Vec<LeaseRef>, StanzaError> {
    element.children().filter(|child| child.is("l", NAMESPACE)).map(LeaseRef::from_element).collect()
}

/// The answer to a renewal.
pub(super) fn renewed(ttl: Duration, renewals: &[Renewal]) -> Element {
    let child = |renewal: &Renewal| match renewal {
        Renewal::Renewed(lease) => lease.to_element("l"),
        Renewal::Lost(lease) => lease.to_element("lost").attr("why", "expired"),
    };
    Element::new("renewed", NAMESPACE).attr("ttl", duration::format(ttl)).with_children(renewals.iter().map(child))
}

/// Reads the answer to a renewal: the TTL from now on, and what became of each lease.
pub fn renewed_from_element(element: &Element) -> Result<(Duration, Vec<Renewal>), StanzaError> {
    let renewals = element.children().map(|child| {
        let lease = LeaseRef::from_element(child)?;
        Ok(if child.name() == "l" { Renewal::Renewed(lease) } else { Renewal::Lost(lease) })
    });
    Ok((ttl(element)?, renewals.collect::<Result<_, StanzaError>>()?))
}

/// `bad-request` with a description.
pub(super) fn bad(text: &str) -> StanzaError {
    StanzaError::new(Condition::BadRequest).with_text(text)
}

/// The error of an order that belongs to an older epoch.
pub(super) fn fenced(epoch: u64, now: u64) -> StanzaError {
    let application = Element::new("fenced", namespace::CONVOKE_ERRORS).attr("epoch", epoch).attr("now", now);
    StanzaError::new(Condition::Conflict).with_application(application)
}

/// The error of a lease that is not or no longer known.
pub(super) fn expired() -> StanzaError {
    let application = Element::new("lease-expired", namespace::CONVOKE_ERRORS);
    StanzaError::new(Condition::ItemNotFound).with_application(application)
}

/// A refusal that is over after `retry`.
pub(super) fn later(name: &'static str, retry: Duration) -> StanzaError {
    let application = Element::new(name, namespace::CONVOKE_ERRORS).attr("retry", duration::format_at_least(retry));
    StanzaError::new(Condition::ResourceConstraint).with_type(ErrorType::Wait).with_application(application)
}

/// The error of what exceeds this bound.
pub(super) fn too_large(max: impl std::fmt::Display) -> StanzaError {
    let application = Element::new("too-large", namespace::CONVOKE_ERRORS).attr("max", max);
    StanzaError::new(Condition::NotAcceptable).with_application(application)
}

pub(super) fn required<'e>(element: &'e Element, name: &str) -> Result<&'e str, StanzaError> {
    let value = element.attribute(name).filter(|value| !value.is_empty());
    value.ok_or_else(|| bad(&format!("`{}` lacks `{name}`", element.name())))
}

pub(super) fn number<T: std::str::FromStr>(text: &str, name: &str) -> Result<T, StanzaError> {
    text.parse().map_err(|_| bad(&format!("`{name}` is no number")))
}

pub(super) fn address(element: &Element, name: &str) -> Result<Jid, StanzaError> {
    Jid::new(required(element, name)?).map_err(|error| bad(&format!("`{name}` is no address: {error}")))
}

/// Managers are strangers: times are added to what they say, and waits follow from it.
fn ttl(element: &Element) -> Result<Duration, StanzaError> {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(366 * 86_400);
    let ttl = duration::parse(required(element, "ttl")?).ok_or_else(|| bad("ttl is no duration"))?;
    if (SHORTEST..=LONGEST).contains(&ttl) { Ok(ttl) } else { Err(bad("ttl is out of bounds")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_reads_back_as_it_was_written() {
        let grant = Grant {
            lease: LeaseRef { id: "l7".into(), epoch: 9041 },
            req: "r1".into(),
            ttl: Duration::from_millis(2500),
            nodes: vec![Jid::new("alice@b.example/desk").unwrap()],
        };
        assert_eq!(Grant::from_element(&grant.to_element()).unwrap(), grant);
    }

    #[test]
    fn a_bad_request_says_what_is_missing() {
        for (text, says) in [
            ("<request xmlns='urn:convoke:lease:0'/>", "`request` lacks `req`"),
            ("<request xmlns='urn:convoke:lease:0' req='1' count='x'/>", "`count` is no number"),
            ("<request xmlns='urn:convoke:lease:0' req='1' count='0'/>", "`count` is 0"),
            ("<request xmlns='urn:convoke:lease:0' req='1' ttl='60'/>", "ttl is no duration"),
        ] {
            let error = Request::from_element(&Element::parse(text).unwrap()).unwrap_err();
            assert_eq!((error.condition, error.text.as_deref()), (Condition::BadRequest, Some(says)));
        }
    }

    #[test]
    fn a_request_with_an_endless_name_is_refused() {
        let request = |length| Request { req: "r".repeat(length), count: 1, ttl: None };
        let error = Request::from_element(&request(257).to_element()).unwrap_err();
        assert_eq!(error.condition, Condition::NotAcceptable);
        assert_eq!(Request::from_element(&request(256).to_element()), Ok(request(256)));
    }

    #[test]
    fn a_time_to_live_that_no_clock_can_count_is_refused() {
        for ttl in ["PT0S", "PT18446744073709551615S", "P36600D"] {
            let text = format!("<renewed xmlns='urn:convoke:lease:0' ttl='{ttl}'/>");
            let error = renewed_from_element(&Element::parse(&text).unwrap()).unwrap_err();
            assert_eq!(error.condition, Condition::BadRequest, "{ttl}");
        }
    }
}

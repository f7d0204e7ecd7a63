//! SASL EXTERNAL (RFC 4422, appendix A), by rsasl; its base64 and its `=` are XMPP's (RFC 6120, sections 6.4.2, 13.9.1).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use convoke_xmpp::stream::SaslFailure;
use convoke_xmpp::{Domainpart, Element, Jid, namespace};
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::prelude::{Mechname, SASLClient, SASLConfig, SASLServer, SessionError, Validation};
use rsasl::property::AuthzId;
use rsasl::validate::{Validate, ValidationError};

use crate::negotiation::Authzid;
use crate::printable::{TOLD_CHARACTERS, printable};

/// The one mechanism that a federation by certificates needs.
pub(crate) const EXTERNAL: &str = "EXTERNAL";

/// How data of length zero is written where its absence would mean something else.
const ZERO_LENGTH: &str = "=";

/// The text of the initial response of `local`; `None` when the engine fails.
pub(crate) fn initial_response(authzid: Authzid, local: &Domainpart) -> Option<String> {
    let authzid = match authzid {
        Authzid::Domain => Some(local.clone()),
        Authzid::Empty => None,
    };
    let config = SASLConfig::builder().with_default_mechanisms().with_callback(Initiating { authzid }).ok()?;
    let mechanism = Mechname::parse(EXTERNAL.as_bytes()).ok()?;
    let mut session = SASLClient::new(config).start_suggested(&[mechanism]).ok()?;
    let mut response = Vec::new();
    session.step(None, &mut response).ok()?;
    Some(encode(&response))
}

/// Judges the response of a peer that has proved to be `identity`.
///
/// The peer may act for itself only: it names no authorization identity, or that very domain
/// (RFC 6120, section 6.3.8).
pub(crate) fn authorise(response: &[u8], identity: &Domainpart) -> Result<(), SaslFailure> {
    let receiving = Receiving { identity: identity.clone() };
    let config = SASLConfig::builder().with_default_mechanisms().with_callback(receiving);
    let config = config.map_err(|_| SaslFailure::TemporaryAuthFailure)?;
    let verdict = verdict(config, response).map_err(|error| match error {
        SessionError::MechanismError(_) => SaslFailure::MalformedRequest,
        _ => SaslFailure::TemporaryAuthFailure,
    })?;
    // Nothing but a verdict in favour is a success: an exchange can end without any.
    verdict.unwrap_or(Err(SaslFailure::NotAuthorized))
}

fn verdict(config: Arc<SASLConfig>, response: &[u8]) -> Result<Option<Verdict>, SessionError> {
    let Ok(mechanism) = Mechname::parse(EXTERNAL.as_bytes()) else { return Ok(None) };
    let Ok(mut session) = SASLServer::<Authorisation>::new(config).start_suggested(mechanism) else { return Ok(None) };
    let state = session.step(Some(response), &mut Vec::new())?;
    Ok(session.validation().filter(|_| state.is_finished()))
}

/// The data of an `auth` or `response` element; `None` if the element is empty, as an `auth` without initial response.
///
/// Strict: only the standard alphabet, padded, no whitespace, no bits set in the padding (RFC 6120, section 13.9.1).
pub(crate) fn decode(text: &str) -> Result<Option<Vec<u8>>, SaslFailure> {
    match text {
        "" => Ok(None),
        ZERO_LENGTH => Ok(Some(Vec::new())),
        text => STANDARD.decode(text).map(Some).map_err(|_| SaslFailure::IncorrectEncoding),
    }
}

/// The text of data that is present, even if it is empty.
fn encode(data: &[u8]) -> String {
    if data.is_empty() { ZERO_LENGTH.to_owned() } else { STANDARD.encode(data) }
}

/// `<auth/>` with an initial response.
pub(crate) fn auth(response: &str) -> Element {
    Element::new("auth", namespace::SASL).attr("mechanism", EXTERNAL).text(response)
}

/// `<failure/>` with its condition, and what it means for whoever looks for the fault at the other end.
pub(crate) fn failure(condition: SaslFailure) -> Element {
    let failure = Element::new("failure", namespace::SASL).child(Element::new(condition.as_str(), namespace::SASL));
    let text = explanation(condition).map(|text| Element::new("text", namespace::SASL).with_lang("en").text(text));
    failure.with_children(text)
}

/// No more than the condition tells a stranger; `None` for what is never said here.
fn explanation(condition: SaslFailure) -> Option<&'static str> {
    Some(match condition {
        SaslFailure::Aborted => "aborted as asked",
        SaslFailure::EncryptionRequired => "STARTTLS comes first",
        SaslFailure::IncorrectEncoding => "the data is not canonical base64",
        SaslFailure::InvalidAuthzid => {
            "the authorization identity is not the domain that the certificate was judged for"
        }
        SaslFailure::InvalidMechanism => "the one mechanism is EXTERNAL",
        SaslFailure::MalformedRequest => "this has no place in an exchange of EXTERNAL",
        SaslFailure::TemporaryAuthFailure => "nobody can be authenticated at present",
        _ => return None,
    })
}

/// The condition of a `<failure/>`; one that is not known means `not-authorized` (RFC 6120, section 6.5).
pub(crate) fn failure_condition(failure: &Element) -> SaslFailure {
    let standard = failure.children().filter(|child| child.namespace() == namespace::SASL);
    standard.filter_map(|child| SaslFailure::parse(child.name())).next().unwrap_or(SaslFailure::NotAuthorized)
}

/// The description of a `<failure/>` for people, if there is one.
pub(crate) fn failure_text(failure: &Element) -> Option<String> {
    let text = failure.find("text", namespace::SASL)?.content();
    let text = text.trim();
    (!text.is_empty()).then(|| printable(text, TOLD_CHARACTERS))
}

struct Initiating {
    authzid: Option<Domainpart>,
}

impl SessionCallback for Initiating {
    fn callback(&self, _: &SessionData, _: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        if let Some(authzid) = &self.authzid {
            request.satisfy::<AuthzId>(authzid.as_str())?;
        }
        Ok(())
    }
}

struct Receiving {
    identity: Domainpart,
}

type Verdict = Result<(), SaslFailure>;

/// Carries the verdict through rsasl.
struct Authorisation;

impl Validation for Authorisation {
    type Value = Verdict;
}

impl SessionCallback for Receiving {
    fn validate(
        &self,
        _: &SessionData,
        context: &Context<'_>,
        validate: &mut Validate<'_>,
    ) -> Result<(), ValidationError> {
        let authzid = context.get_ref::<AuthzId>().unwrap_or_default();
        validate.with::<Authorisation, _>(|| Ok(self.judge(authzid)))?;
        Ok(())
    }
}

impl Receiving {
    fn judge(&self, authzid: &str) -> Verdict {
        if authzid.is_empty() || is_domain(authzid, &self.identity) { Ok(()) } else { Err(SaslFailure::InvalidAuthzid) }
    }
}

/// Whether the text is the address of that domain and nothing more.
fn is_domain(text: &str, domain: &Domainpart) -> bool {
    Jid::new(text).is_ok_and(|jid| jid.as_str() == domain.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domainpart {
        Domainpart::new(text).unwrap()
    }

    /// Rule 42.
    #[test]
    fn sends_its_padded_domain_or_a_single_equals_sign() {
        let local = domain("ab.domaina.net");
        assert_eq!(initial_response(Authzid::Domain, &local).unwrap(), "YWIuZG9tYWluYS5uZXQ=");
        assert_eq!(initial_response(Authzid::Empty, &local).unwrap(), "=");
    }

    /// Rules 40 and 41.
    #[test]
    fn a_peer_acts_for_itself_only() {
        for (authzid, verdict) in [
            ("", Ok(())),
            ("b.example", Ok(())),
            ("B.Example", Ok(())),
            ("b.example.", Ok(())),
            ("a.example", Err(SaslFailure::InvalidAuthzid)),
            ("sub.b.example", Err(SaslFailure::InvalidAuthzid)),
            ("example", Err(SaslFailure::InvalidAuthzid)),
            ("juliet@b.example", Err(SaslFailure::InvalidAuthzid)),
            ("b.example/r", Err(SaslFailure::InvalidAuthzid)),
            ("b.example\0", Err(SaslFailure::InvalidAuthzid)),
            (" ", Err(SaslFailure::InvalidAuthzid)),
        ] {
            assert_eq!(authorise(authzid.as_bytes(), &domain("b.example")), verdict, "{authzid:?}");
        }
        assert_eq!(authorise("bücher.example".as_bytes(), &domain("bücher.example")), Ok(()));
        assert_eq!(authorise(b"\xff\xfe", &domain("b.example")), Err(SaslFailure::MalformedRequest));
    }

    /// Rule 44.
    #[test]
    fn reads_base64_strictly() {
        assert_eq!(decode(""), Ok(None));
        assert_eq!(decode("="), Ok(Some(Vec::new())));
        assert_eq!(decode("YWJj"), Ok(Some(b"abc".to_vec())));
        assert_eq!(decode("YWI="), Ok(Some(b"ab".to_vec())));
        for bad in ["=AAA", "BBBB=CCC", "YW Jj", "YWJj\n", "YWJ", "YWJjZB==", "YW=J", "====", "==", "YW-_", "é", " "] {
            assert_eq!(decode(bad), Err(SaslFailure::IncorrectEncoding), "{bad:?}");
        }
    }

    /// Rule 48.
    #[test]
    fn an_unknown_failure_means_not_authorized() {
        assert_eq!(failure_condition(&failure(SaslFailure::InvalidAuthzid)), SaslFailure::InvalidAuthzid);
        let unknown = Element::new("failure", namespace::SASL).child(Element::new("moon-phase", namespace::SASL));
        assert_eq!(failure_condition(&unknown), SaslFailure::NotAuthorized);
        assert_eq!(failure_condition(&Element::new("failure", namespace::SASL)), SaslFailure::NotAuthorized);
    }

    #[test]
    fn the_words_of_a_failure_are_told_escaped_and_bounded_if_there_are_any() {
        let text = |content: &str| {
            failure_text(
                &failure(SaslFailure::NotAuthorized).child(Element::new("text", namespace::SASL).text(content)),
            )
        };
        assert_eq!(text("\n  Certificate host name mismatch\n").as_deref(), Some("Certificate host name mismatch"));
        assert_eq!(text("one\nERROR two").as_deref(), Some("one\\nERROR two"));
        assert_eq!(text(&"x".repeat(9_000)).map(|text| text.len()), Some(TOLD_CHARACTERS));
        assert_eq!(text(" \n"), None);
        assert_eq!(failure_text(&failure(SaslFailure::NotAuthorized)), None);
    }
}

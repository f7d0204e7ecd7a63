//! Addresses: whatever parses is normal, and stays itself (RFC 7622).

use convoke_xmpp::address::MAX_PART_BYTES;
use convoke_xmpp::{Domainpart, Jid};

/// Parses an address and takes it apart and together again.
pub fn jid(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(jid) = Jid::new(text) {
        stays_itself(&jid);
        is_whole(&jid);
        keeps_what_is_forbidden_out(&jid);
    }
    if let Ok(domain) = Domainpart::new(text) {
        names_one_domain(&domain);
    }
}

fn stays_itself(jid: &Jid) {
    let again = Jid::new(jid.as_str());
    assert_eq!(again.as_ref(), Ok(jid), "a normal address is not normal");
    let joined = Jid::from_parts(jid.local(), jid.domain(), jid.resource());
    assert_eq!(joined.as_ref(), Ok(jid), "the parts make another address");
    let Some(resource) = jid.resource() else { return };
    assert_eq!(jid.to_bare().with_resource(resource).as_ref(), Ok(jid), "the resource makes another address");
}

fn is_whole(jid: &Jid) {
    let local = jid.local().map(|local| format!("{local}@")).unwrap_or_default();
    let resource = jid.resource().map(|resource| format!("/{resource}")).unwrap_or_default();
    assert_eq!(jid.as_str(), format!("{local}{}{resource}", jid.domain()));
    assert_eq!(jid.bare(), jid.to_bare().as_str());
    assert_eq!(jid.is_bare(), jid.resource().is_none());
    let parts = [jid.local(), Some(jid.domain()), jid.resource()];
    assert!(parts.into_iter().flatten().all(|part| (1..=MAX_PART_BYTES).contains(&part.len())));
}

/// RFC 7622, sections 3.2 to 3.4: no control characters anywhere, no delimiters in localparts and domainparts.
fn keeps_what_is_forbidden_out(jid: &Jid) {
    assert!(!jid.as_str().contains(char::is_control), "a control character");
    assert!(!jid.local().unwrap_or_default().contains(['"', '&', '\'', '/', ':', '<', '>', '@', ' ']));
    assert!(!jid.domain().contains(['"', '&', '\'', '/', '<', '>', '@', ' ']));
}

/// The name that DNS and certificates see leads back to the same domain (RFC 6120, section 13.9.2).
fn names_one_domain(domain: &Domainpart) {
    let ascii = domain.to_ascii();
    assert_eq!(Domainpart::new(&ascii).as_ref(), Ok(domain), "{ascii} is another domain");
    assert_eq!(Jid::from(domain.clone()).domain(), domain.as_str());
}

//! What peers will find on a certificate of our own.

use std::time::SystemTime;

use convoke_xmpp::Domainpart;

use super::{IdentityError, expiry, in_force, names, parse};

/// Whether this certificate, given as DER, is of use to the domain; says until when.
///
/// For whoever installs it, and no proof of anything: its names, its times, and what it may be used for are looked at,
/// but neither its signature nor its chain, for peers judge these by roots of their own. Fails with what a peer that
/// trusts the issuer would say.
pub fn check_own(certificate: &[u8], domain: &Domainpart, at: SystemTime) -> Result<SystemTime, IdentityError> {
    let certificate = parse(certificate)?;
    names::matching(&certificate, domain, false)?;
    in_force(&certificate, at)?;
    if certificate.is_ca() {
        return Err(IdentityError::CertificationAuthority);
    }
    match certificate.extended_key_usage() {
        Ok(Some(usage)) if !usage.value.server_auth => Err(IdentityError::Usage),
        Ok(_) => Ok(expiry(&certificate)),
        Err(_) => Err(IdentityError::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use convoke_dev::{CertificateAuthority, Eku, Subject};
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn checked(subject: &Subject, domain: &str, at: SystemTime) -> Result<(), IdentityError> {
        let issued = CertificateAuthority::new("Test CA").unwrap().issue(subject).unwrap();
        let certificate = CertificateDer::from_pem_slice(issued.chain_pem.as_bytes()).unwrap();
        check_own(&certificate, &Domainpart::new(domain).unwrap(), at).map(|until| assert!(until >= at))
    }

    #[test]
    fn each_kind_of_name_names_the_domain() {
        let bare = Subject::domain("bücher.example").dns_names([""; 0]).srv_name(false);
        for subject in [
            bare.clone().dns_names(["other.example", "XN--BCHER-KVA.example"]),
            bare.clone().dns_names(["*.example"]),
            bare.clone().srv_name(true),
            bare.clone().xmpp_addr(true),
        ] {
            assert_eq!(checked(&subject, "bücher.example", SystemTime::now()), Ok(()), "{subject:?}");
        }
    }

    #[test]
    fn tells_what_makes_a_certificate_useless() {
        let now = SystemTime::now();
        let good = Subject::domain("b.example");
        assert!(matches!(checked(&good, "a.example", now), Err(IdentityError::WrongName { .. })));
        assert_eq!(checked(&good, "b.example", now - DAY), Err(IdentityError::NotYetValid));
        assert_eq!(checked(&good, "b.example", now + 365 * DAY), Err(IdentityError::Expired));
        let of_client = good.clone().extended_key_usage(Eku::ClientOnly);
        assert_eq!(checked(&of_client, "b.example", now), Err(IdentityError::Usage));
        let authority = good.is_ca(true);
        assert_eq!(checked(&authority, "b.example", now), Err(IdentityError::CertificationAuthority));
        let domain = Domainpart::new("b.example").unwrap();
        assert_eq!(check_own(b"no DER", &domain, now), Err(IdentityError::Unreadable));
    }
}

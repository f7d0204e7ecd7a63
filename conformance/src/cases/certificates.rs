//! What the certificate of a peer has to be like (RFC 6120, section 13.7).

use std::time::{Duration, SystemTime};

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};

use crate::authority::{Authority, Name, Shape};
use crate::bench::{Bench, identity};
use crate::case::Level::{Must, Should};
use crate::case::{Case, Level, Running, Section};
use crate::expectation::Answer;
use crate::expectation::REFUSAL;
use crate::expectation::Wanted::Success;
use crate::probe::AUTH;
use crate::probe::HEADER;
use crate::probe::Stage::Proceeding;
use crate::setup::Identity;
use crate::verdict::{Finding, Judgement};

const fn must() -> (Section, Level) {
    (Section::Certificates, Must)
}

const fn should() -> (Section, Level) {
    (Section::Certificates, Should)
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A case of one shape: `$accepted` or not, as the domain `$domain`, where `us` is our own.
macro_rules! shape {
    ($level:expr, $key:literal, $name:literal, $source:literal, $wanted:ident, |$us:ident| ($domain:expr, $shape:expr)) => {
        Case::code($level, $key, $name, $source, |bench| {
            Box::pin(async move {
                let $us = bench.setup.us.domain.to_ascii();
                $wanted(bench, &$domain, &$shape).await
            })
        })
    };
}

pub(super) const CASES: &[Case] = &[
    shape!(must(), "dns", "a dNSName names its domain", "RFC 6120, 13.7.1.2.1", accepted, |us| (us.clone(), dns(&us))),
    shape!(must(), "srv", "an SRVName of servers names its domain", "RFC 6120, 13.7.1.2.1", accepted, |us| (
        us.clone(),
        srv("_xmpp-server", &us)
    )),
    shape!(
        must(),
        "srv-client",
        "an SRVName of clients' services names no server of servers",
        "RFC 4985, 2",
        refused,
        |us| (us.clone(), srv("_xmpp-client", &us))
    ),
    shape!(should(), "xmpp-addr", "an xmppAddr names its domain", "RFC 6120, 13.7.1.2.1", accepted, |us| (
        us.clone(),
        Shape::new(vec![Name::XmppAddr(us.clone())])
    )),
    shape!(
        should(),
        "xmpp-addr-too",
        "an xmppAddr beside a dNSName does no harm",
        "RFC 6120, 13.7.1.2.1",
        accepted,
        |us| (us.clone(), Shape::new(vec![Name::Dns(us.clone()), Name::XmppAddr(us.clone())]))
    ),
    shape!(must(), "wildcard", "a wildcard stands for one whole label", "RFC 6120, 13.7.1.2.1", accepted, |us| (
        format!("probe.{us}"),
        dns(&format!("*.{us}"))
    )),
    shape!(must(), "wildcard-apex", "a wildcard does not stand for nothing", "RFC 6125, 6.4.3", refused, |us| (
        us.clone(),
        dns(&format!("*.{us}"))
    )),
    shape!(must(), "wildcard-deep", "a wildcard does not stand for two labels", "RFC 6125, 6.4.3(2)", refused, |us| (
        format!("deep.probe.{us}"),
        dns(&format!("*.{us}"))
    )),
    shape!(must(), "wildcard-partial", "a wildcard is a complete label", "RFC 6120, 13.7.1.2.1", refused, |us| (
        format!("probe.{us}"),
        dns(&format!("pro*.{us}"))
    )),
    shape!(must(), "wildcard-inner", "a wildcard is the left-most label", "RFC 6120, 13.7.1.2.1", refused, |us| (
        format!("probe.below.{us}"),
        dns(&format!("probe.*.{us}"))
    )),
    shape!(must(), "case", "names are compared without regard to case", "RFC 6125, 6.4.1", accepted, |us| (
        us.clone(),
        dns(&us.to_ascii_uppercase())
    )),
    shape!(should(), "common-name", "a common name names nobody", "RFC 9525, 2", refused, |us| (
        us.clone(),
        Shape { common_name: us.clone(), ..Shape::new(Vec::new()) }
    )),
    shape!(
        must(),
        "common-name-beside",
        "a common name does not count beside names of the right kind",
        "RFC 6125, 6.4.4",
        refused,
        |us| (us.clone(), Shape { common_name: us.clone(), ..dns("elsewhere.conformance.invalid") })
    ),
    shape!(must(), "other", "a certificate for another domain proves nothing", "RFC 6120, 13.7.2", refused, |us| (
        us.clone(),
        dns("elsewhere.conformance.invalid")
    )),
    shape!(
        must(),
        "parent",
        "a certificate for a domain proves nothing about those below it",
        "RFC 6125, 6.4.1",
        refused,
        |us| (format!("probe.{us}"), dns(&us))
    ),
    shape!(
        must(),
        "suffix",
        "a certificate for a domain proves nothing about one that merely ends like it",
        "RFC 6125, 6.4.1",
        refused,
        |us| (format!("x{us}"), dns(&us))
    ),
    shape!(must(), "expired", "an expired certificate proves nothing", "RFC 6120, 13.7.2", refused, |us| (
        us.clone(),
        Shape { validity: (SystemTime::now() - 3 * DAY, SystemTime::now() - DAY), ..dns(&us) }
    )),
    shape!(
        must(),
        "not-yet",
        "a certificate that is not valid yet proves nothing",
        "RFC 6120, 13.7.2",
        refused,
        |us| (us.clone(), Shape { validity: (SystemTime::now() + DAY, SystemTime::now() + 3 * DAY), ..dns(&us) })
    ),
    shape!(
        must(),
        "authority",
        "the certificate of an authority is not that of a server",
        "RFC 6120, 13.7.2",
        refused,
        |us| (us.clone(), Shape { is_authority: true, ..dns(&us) })
    ),
    shape!(
        should(),
        "server-auth",
        "a certificate for serverAuth alone is good for servers in either role",
        "RFC 6120, 13.7.2",
        accepted,
        |us| (us.clone(), Shape { usages: vec![ServerAuth], ..dns(&us) })
    ),
    shape!(
        should(),
        "client-auth",
        "a certificate for clientAuth alone is not that of a server",
        "RFC 5280, 4.2.1.12",
        refused,
        |us| (us.clone(), Shape { usages: vec![ClientAuth], ..dns(&us) })
    ),
    shape!(
        must(),
        "no-usage",
        "a certificate without extended key usage is good for everything",
        "RFC 5280, 4.2.1.12",
        accepted,
        |us| (us.clone(), Shape { usages: Vec::new(), ..dns(&us) })
    ),
    Case::code(
        must(),
        "stranger",
        "a certificate of an unknown authority proves nothing",
        "RFC 6120, 13.7.2",
        stranger,
    )
    .in_short(),
];

fn dns(name: &str) -> Shape {
    Shape::new(vec![Name::Dns(name.to_owned())])
}

fn srv(service: &str, domain: &str) -> Shape {
    Shape::new(vec![Name::Srv(format!("{service}.{domain}"))])
}

async fn accepted(bench: &Bench, domain: &str, shape: &Shape) -> Judgement {
    let us = bench.identity(domain, shape)?;
    authentication(bench, &us).await?.judge(&[Success], &[])
}

async fn refused(bench: &Bench, domain: &str, shape: &Shape) -> Judgement {
    let us = bench.identity(domain, shape)?;
    authentication(bench, &us).await?.judge(REFUSAL, &[])
}

/// How the attempt to authenticate as this identity ends.
async fn authentication(bench: &Bench, us: &Identity) -> Result<Answer, Finding> {
    let mut probe = bench.reach_as(us, Proceeding).await?;
    let tls = probe.own_tls()?;
    if let Err(error) = probe.shake_hands(&tls).await {
        return Ok(Answer::Ended(crate::wire::Ending::Broken(error.to_string())));
    }
    probe.say(HEADER).await;
    match probe.answer().await {
        Answer::Features(_) => {}
        refusal => return Ok(refusal),
    }
    probe.say(AUTH).await;
    Ok(probe.answer().await)
}

/// Needs no authority that is trusted.
fn stranger(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let authority = Authority::stranger().map_err(|error| Finding::Inconclusive(error.to_string()))?;
        let us = bench.setup.us.domain.to_ascii();
        let us = identity(&authority, &us, &dns(&us))?;
        authentication(bench, &us).await?.judge(REFUSAL, &[])
    })
}

//! Which issuers lead to a root (RFC 5280, section 6.1; rule 56).

use convoke_s2s::TrustAnchors;
use convoke_s2s::identity::NameKind::Dns;
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rcgen::{BasicConstraints, IsCa, KeyUsagePurpose};

use crate::forge::{Authority, self_signed, usual};
use crate::judge::{Row, Verdict, assert_rows};

const UNKNOWN: Verdict = Err("unknown-issuer");

#[tokio::test]
async fn a_path_leads_to_a_root_whatever_else_is_shown() {
    let root = Authority::root("Root");
    let outer = root.below("Outer", |_| {});
    let inner = outer.below("Inner", |_| {});
    let (stranger, namesake) = (Authority::root("Stranger"), Authority::root("Root"));
    let foreign = stranger.below("Outer", |_| {});
    let rows = [
        ("the root itself", root.issue_usual(), Ok(Dns)),
        ("the root itself, shown too", root.issue_usual().with([&root]), Ok(Dns)),
        ("one intermediate", outer.issue_usual().with([&outer]), Ok(Dns)),
        ("one intermediate and the root", outer.issue_usual().with([&outer, &root]), Ok(Dns)),
        ("two intermediates", inner.issue_usual().with([&inner, &outer]), Ok(Dns)),
        ("two intermediates in the wrong order", inner.issue_usual().with([&outer, &inner]), Ok(Dns)),
        ("the root first", inner.issue_usual().with([&root, &inner, &outer]), Ok(Dns)),
        ("a superfluous stranger", outer.issue_usual().with([&stranger, &outer]), Ok(Dns)),
        ("an intermediate twice", outer.issue_usual().with([&outer, &outer]), Ok(Dns)),
        ("an intermediate's namesake before it", outer.issue_usual().with([&foreign, &outer]), Ok(Dns)),
        ("no intermediate", outer.issue_usual(), UNKNOWN),
        ("only the lower intermediate", inner.issue_usual().with([&inner]), UNKNOWN),
        ("only the upper intermediate", inner.issue_usual().with([&outer]), UNKNOWN),
        ("another root", stranger.issue_usual(), UNKNOWN),
        ("another root, shown too", stranger.issue_usual().with([&stranger]), UNKNOWN),
        ("the trusted root shown for another's certificate", stranger.issue_usual().with([&root]), UNKNOWN),
        ("another root's intermediate", foreign.issue_usual().with([&foreign]), UNKNOWN),
        ("a root of the same name with another key", namesake.issue_usual(), Err("signature")),
        (
            "a root of the same name with another key, shown too",
            namesake.issue_usual().with([&namesake]),
            Err("signature"),
        ),
        ("an intermediate of the same name with another key", foreign.issue_usual().with([&outer]), Err("signature")),
        ("nobody: it has signed itself", self_signed(&usual(|_| {})), UNKNOWN),
        ("nobody: it has signed itself, and the root is shown", self_signed(&usual(|_| {})).with([&root]), UNKNOWN),
    ];
    let row = |(title, shown, expected)| Row::new(title, shown, root.trust(), expected);
    assert_rows(rows.into_iter().map(row).collect()).await;
}

/// Cross-signed: two authorities have signed the same key.
#[tokio::test]
async fn any_trusted_root_will_do() {
    let (first, second) = (Authority::root("First"), Authority::root("Second"));
    let both = || TrustAnchors::new(vec![first.der.clone(), second.der.clone()], Vec::new()).unwrap();
    let intermediate = second.below("Intermediate", |_| {});
    assert_rows(vec![
        Row::new("the first of two", first.issue_usual(), both(), Ok(Dns)),
        Row::new("the second of two", second.issue_usual(), both(), Ok(Dns)),
        Row::new("below the second of two", intermediate.issue_usual().with([&intermediate]), both(), Ok(Dns)),
        Row::new("an intermediate that is trusted itself", intermediate.issue_usual(), intermediate.trust(), Ok(Dns)),
    ])
    .await;
}

#[tokio::test]
async fn only_an_authority_issues_and_only_as_deep_as_it_may() {
    let root = Authority::root("Root");
    let no_authority = root.below("Server", |params| params.is_ca = IsCa::ExplicitNoCa);
    let unsaid = root.below("Unsaid", |params| params.is_ca = IsCa::NoCa);
    let no_signer = root.below("No signer", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    let of_any_usage = root.below("Any usage", |params| params.key_usages = Vec::new());
    let for_clients = root.below("For clients", |params| params.extended_key_usages = vec![ClientAuth]);
    let for_servers = root.below("For servers", |params| params.extended_key_usages = vec![ServerAuth]);
    let last = root.below("Last", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let too_deep = last.below("Too deep", |_| {});
    let last_but_one = root.below("Last but one", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)));
    let below_it = last_but_one.below("Below it", |_| {});
    assert_rows(vec![
        Row::new(
            "a server",
            no_authority.issue_usual().with([&no_authority]),
            root.trust(),
            Err("issuer-is-no-authority"),
        ),
        Row::new(
            "one that says nothing",
            unsaid.issue_usual().with([&unsaid]),
            root.trust(),
            Err("issuer-is-no-authority"),
        ),
        Row::new(
            "no signer of certificates",
            no_signer.issue_usual().with([&no_signer]),
            root.trust(),
            Err("issuer-is-no-authority"),
        ),
        Row::new("an authority of any usage", of_any_usage.issue_usual().with([&of_any_usage]), root.trust(), Ok(Dns)),
        Row::new(
            "an authority for clients",
            for_clients.issue_usual().with([&for_clients]),
            root.trust(),
            Err("usage"),
        ),
        Row::new("an authority for servers", for_servers.issue_usual().with([&for_servers]), root.trust(), Ok(Dns)),
        Row::new("the last authority allowed", last.issue_usual().with([&last]), root.trust(), Ok(Dns)),
        Row::new(
            "one authority too many",
            too_deep.issue_usual().with([&too_deep, &last]),
            root.trust(),
            Err("path-length"),
        ),
        Row::new(
            "as many as are allowed",
            below_it.issue_usual().with([&below_it, &last_but_one]),
            root.trust(),
            Ok(Dns),
        ),
    ])
    .await;
}

/// Public chains have two to four certificates.
#[tokio::test]
async fn a_chain_is_of_bounded_length() {
    let root = Authority::root("Root");
    let mut authorities: Vec<Authority> = Vec::new();
    for number in 1..=7 {
        let next = authorities.last().unwrap_or(&root).below(&format!("Authority {number}"), |_| {});
        authorities.push(next);
    }
    let below = |depth: usize| authorities[depth - 1].issue_usual().with(authorities[..depth].iter().rev());
    let superfluous = |count: usize| root.issue_usual().with(std::iter::repeat_n(&root, count));
    assert_rows(vec![
        Row::new("six intermediates", below(6), root.trust(), Ok(Dns)),
        Row::new("seven intermediates", below(7), root.trust(), Err("path")),
        Row::new("eight certificates, seven of them superfluous", superfluous(7), root.trust(), Ok(Dns)),
        Row::new("nine certificates", superfluous(8), root.trust(), Err("chain-too-long")),
        Row::new("forty certificates", superfluous(39), root.trust(), Err("chain-too-long")),
    ])
    .await;
}

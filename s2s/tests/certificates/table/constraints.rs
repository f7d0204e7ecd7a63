//! For which names an authority may speak (RFC 5280, section 4.2.1.10).

use convoke_s2s::identity::NameKind::{Dns, Wildcard};
use rcgen::{CertificateParams, GeneralSubtree, NameConstraints};

use crate::forge::{Authority, DOMAIN, dns, server, srv, xmpp};
use crate::judge::{Row, Verdict, assert_rows};

const CONSTRAINED: Verdict = Err("name-constraint");

fn permits(name: &str) -> impl FnOnce(&mut CertificateParams) {
    constrains(&[name], &[])
}

fn constrains(permitted: &[&str], excluded: &[&str]) -> impl FnOnce(&mut CertificateParams) + use<> {
    let subtrees = |names: &[&str]| names.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned())).collect();
    let constraints =
        NameConstraints { permitted_subtrees: subtrees(permitted), excluded_subtrees: subtrees(excluded) };
    |params| params.name_constraints = Some(constraints)
}

#[tokio::test]
async fn an_authority_speaks_for_the_names_that_it_is_permitted() {
    let root = Authority::root("Root");
    let exact = root.below("Exact", permits("b.example"));
    let narrow = root.below("Narrow", permits("x.b.example"));
    let above = root.below("Above", permits("example"));
    let other = root.below("Other", permits("a.example"));
    let two = root.below("Two", constrains(&["a.example", "b.example"], &[]));
    let without = root.below("Without", constrains(&[], &["b.example"]));
    let without_other = root.below("Without another", constrains(&[], &["a.example"]));
    let hole = root.below("With a hole", constrains(&["example"], &["b.example"]));
    let below = exact.below("Below", |_| {});
    let narrower = above.below("Narrower", permits("a.example"));
    let row = |title: &str, domain, issuer: &Authority, names: Vec<Vec<u8>>, expected| {
        Row::new(title, issuer.issue(&server(names)).with([issuer]), root.trust(), expected).of(domain)
    };
    let usual = || vec![dns(DOMAIN)];
    assert_rows(vec![
        row("permitted", DOMAIN, &exact, usual(), Ok(Dns)),
        row("a sub-domain of the permitted one", "x.b.example", &exact, vec![dns("x.b.example")], Ok(Dns)),
        row("below a permitted domain", DOMAIN, &above, usual(), Ok(Dns)),
        row("a permitted wildcard", "x.b.example", &exact, vec![dns("*.b.example")], Ok(Wildcard)),
        row("one of two permitted", DOMAIN, &two, usual(), Ok(Dns)),
        row("another is excluded", DOMAIN, &without_other, usual(), Ok(Dns)),
        row("another is permitted", DOMAIN, &other, usual(), CONSTRAINED),
        row("the end of the label is permitted", "bb.example", &exact, vec![dns("bb.example")], CONSTRAINED),
        row("one permitted name and another", DOMAIN, &exact, vec![dns(DOMAIN), dns("a.example")], CONSTRAINED),
        row("a wildcard beyond what is permitted", "x.b.example", &narrow, vec![dns("*.b.example")], CONSTRAINED),
        row("excluded", DOMAIN, &without, usual(), CONSTRAINED),
        row("excluded within what is permitted", DOMAIN, &hole, usual(), CONSTRAINED),
        row("beside what is excluded", "c.example", &hole, vec![dns("c.example")], Ok(Dns)),
        Row::new("permitted two levels above", below.issue_usual().with([&below, &exact]), root.trust(), Ok(Dns)),
        Row::new(
            "permitted above, not below",
            narrower.issue_usual().with([&narrower, &above]),
            root.trust(),
            CONSTRAINED,
        ),
    ])
    .await;
}

/// Nobody checks constraints for kinds of names that they do not speak of, so that these count for nothing below them.
#[tokio::test]
async fn a_constrained_authority_names_by_dns_names_only() {
    let root = Authority::root("Root");
    let exact = root.below("Exact", permits("b.example"));
    let constrained_root = Authority::root_with("Constrained root", permits("b.example"));
    let row = |title: &str, names: Vec<Vec<u8>>, expected| {
        Row::new(title, exact.issue(&server(names)).with([&exact]), root.trust(), expected)
    };
    let by_root = |title: &str, names: Vec<Vec<u8>>, expected| {
        Row::new(title, constrained_root.issue(&server(names)), constrained_root.trust(), expected)
    };
    assert_rows(vec![
        row("an SRVName", vec![srv("_xmpp-server.b.example")], Err("wrong-name")),
        row("an xmppAddr", vec![xmpp(DOMAIN)], Err("wrong-name")),
        row("an SRVName beside the dNSName", vec![srv("_xmpp-server.b.example"), dns(DOMAIN)], Ok(Dns)),
        by_root("the root is constrained and permits", vec![dns(DOMAIN)], Ok(Dns)),
        by_root("the root is constrained and does not permit", vec![dns("a.example")], CONSTRAINED),
        by_root("the root is constrained, an SRVName", vec![srv("_xmpp-server.b.example")], Err("wrong-name")),
    ])
    .await;
}

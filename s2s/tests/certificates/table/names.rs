//! Which names name a domain (RFC 6120, section 13.7.1.2; RFC 6125, section 6.4).

use convoke_s2s::identity::NameKind::{Dns, Srv, Wildcard, XmppAddr};

use crate::forge::{Authority, DOMAIN, dns, email, ip, other_name, other_name_of, server, srv, tagged, uri, xmpp};
use crate::judge::{Row, Verdict, assert_rows};

/// None of the names is one of the domain.
const WRONG: Verdict = Err("wrong-name");

type Names = Vec<Vec<u8>>;

async fn assert_names<const COUNT: usize>(table: [(&str, &'static str, Names, Verdict); COUNT]) {
    let root = Authority::root("Root");
    let row = |(title, domain, names, expected): (&str, &'static str, Names, Verdict)| {
        Row::new(title, root.issue(&server(names)), root.trust(), expected).of(domain)
    };
    assert_rows(table.into_iter().map(row).collect()).await;
}

/// Rules 54 and 57.
#[tokio::test]
async fn a_dns_name_is_the_whole_domain() {
    assert_names([
        ("the domain", DOMAIN, vec![dns("b.example")], Ok(Dns)),
        ("in capitals", DOMAIN, vec![dns("B.EXAMPLE")], Ok(Dns)),
        ("in mixed letters", DOMAIN, vec![dns("b.Example")], Ok(Dns)),
        ("a domain of one label", "localhost", vec![dns("localhost")], Ok(Dns)),
        ("a domain of many labels", "a.b.c.d.example", vec![dns("a.b.c.d.example")], Ok(Dns)),
        ("behind another", DOMAIN, vec![dns("a.example"), dns("b.example")], Ok(Dns)),
        ("before another", DOMAIN, vec![dns("b.example"), dns("a.example")], Ok(Dns)),
        ("digits and hyphens", "x-1.b-2.example", vec![dns("x-1.b-2.example")], Ok(Dns)),
        ("another domain", DOMAIN, vec![dns("a.example")], WRONG),
        ("a sub-domain", DOMAIN, vec![dns("sub.b.example")], WRONG),
        ("the domain above", DOMAIN, vec![dns("example")], WRONG),
        ("the domain above, asked for a sub-domain", "sub.b.example", vec![dns("b.example")], WRONG),
        ("the domain as the end of a label", DOMAIN, vec![dns("bb.example")], WRONG),
        ("the domain with something behind", DOMAIN, vec![dns("b.example.org")], WRONG),
        ("a trailing dot", DOMAIN, vec![dns("b.example.")], WRONG),
        ("a leading dot", DOMAIN, vec![dns(".b.example")], WRONG),
        ("a leading space", DOMAIN, vec![dns(" b.example")], WRONG),
        ("a trailing space", DOMAIN, vec![dns("b.example ")], WRONG),
        ("a NUL and another domain behind", DOMAIN, vec![dns("b.example\0.evil.example")], WRONG),
        ("a NUL and another domain before", DOMAIN, vec![dns("evil.example\0b.example")], WRONG),
        ("a NUL at the end", DOMAIN, vec![dns("b.example\0")], WRONG),
        ("a line break", DOMAIN, vec![dns("b.example\n")], WRONG),
        ("an empty one", DOMAIN, vec![dns("")], WRONG),
        ("the target of SRV instead of the domain", DOMAIN, vec![dns("xmpp1.b.example")], WRONG),
        ("the service and the domain", DOMAIN, vec![dns("_xmpp-server.b.example")], WRONG),
        ("an address of the domain", DOMAIN, vec![dns("juliet@b.example")], WRONG),
    ])
    .await;
}

/// Rule 9.
#[tokio::test]
async fn international_names_are_a_labels_in_certificates_and_u_labels_in_addresses() {
    const BOOKS: &str = "bücher.example";
    assert_names([
        ("A-labels", BOOKS, vec![dns("xn--bcher-kva.example")], Ok(Dns)),
        ("A-labels in capitals", BOOKS, vec![dns("XN--BCHER-KVA.example")], Ok(Dns)),
        ("the domain by its A-labels", "xn--bcher-kva.example", vec![dns("xn--bcher-kva.example")], Ok(Dns)),
        ("U-labels in a dNSName", BOOKS, vec![dns("bücher.example")], WRONG),
        ("the letters without their dots", BOOKS, vec![dns("bucher.example")], WRONG),
        ("a wildcard for an A-label", BOOKS, vec![dns("*.example")], Ok(Wildcard)),
        ("a wildcard within an A-label", BOOKS, vec![dns("xn--*.example")], WRONG),
        ("a wildcard before A-labels", "a.bücher.example", vec![dns("*.xn--bcher-kva.example")], Ok(Wildcard)),
        ("an SRVName of A-labels", BOOKS, vec![srv("_xmpp-server.xn--bcher-kva.example")], Ok(Srv)),
        ("an SRVName of U-labels", BOOKS, vec![srv("_xmpp-server.bücher.example")], WRONG),
        ("an xmppAddr of U-labels", BOOKS, vec![xmpp("bücher.example")], Ok(XmppAddr)),
        ("an xmppAddr of A-labels", BOOKS, vec![xmpp("xn--bcher-kva.example")], Ok(XmppAddr)),
        ("an xmppAddr of capitals", BOOKS, vec![xmpp("BÜCHER.example")], Ok(XmppAddr)),
        ("Cyrillic that looks like the domain", DOMAIN, vec![xmpp("b.ехample")], WRONG),
    ])
    .await;
}

/// Rule 55.
#[tokio::test]
async fn a_wildcard_is_the_whole_left_most_label_and_stands_for_exactly_one() {
    assert_names([
        ("one label", "a.b.example", vec![dns("*.b.example")], Ok(Wildcard)),
        ("one label, in capitals", "a.b.example", vec![dns("*.B.EXAMPLE")], Ok(Wildcard)),
        ("below a single label", DOMAIN, vec![dns("*.example")], Ok(Wildcard)),
        ("the domain beside the wildcard", "a.b.example", vec![dns("*.b.example"), dns("a.b.example")], Ok(Wildcard)),
        ("no label", DOMAIN, vec![dns("*.b.example")], WRONG),
        ("no label, but the dot", DOMAIN, vec![dns("*b.example")], WRONG),
        ("two labels", "x.a.b.example", vec![dns("*.b.example")], WRONG),
        ("the end of a label", "fa.b.example", vec![dns("f*.b.example")], WRONG),
        ("the beginning of a label", "af.b.example", vec![dns("*f.b.example")], WRONG),
        ("the middle of a label", "fab.b.example", vec![dns("f*b.b.example")], WRONG),
        ("the second label", "a.b.example", vec![dns("a.*.example")], WRONG),
        ("the last label", "a.b.example", vec![dns("a.b.*")], WRONG),
        ("two wildcards", "a.b.example", vec![dns("*.*.example")], WRONG),
        ("two stars", "a.b.example", vec![dns("**.b.example")], WRONG),
        ("everything", DOMAIN, vec![dns("*")], WRONG),
        ("everything of one label", "localhost", vec![dns("*")], WRONG),
        ("a star and a dot", DOMAIN, vec![dns("*.")], WRONG),
        ("with a trailing dot", "a.b.example", vec![dns("*.b.example.")], WRONG),
        ("in an SRVName", DOMAIN, vec![srv("_xmpp-server.*.example")], WRONG),
        ("in an xmppAddr", DOMAIN, vec![xmpp("*.example")], WRONG),
    ])
    .await;
}

/// Rule 54.
#[tokio::test]
async fn an_srv_name_is_that_of_the_service_of_servers() {
    assert_names([
        ("the service and the domain", DOMAIN, vec![srv("_xmpp-server.b.example")], Ok(Srv)),
        ("in capitals", DOMAIN, vec![srv("_XMPP-SERVER.B.EXAMPLE")], Ok(Srv)),
        ("behind a wrong dNSName", DOMAIN, vec![dns("a.example"), srv("_xmpp-server.b.example")], Ok(Srv)),
        ("the service of clients", DOMAIN, vec![srv("_xmpp-client.b.example")], WRONG),
        ("the service of direct TLS", DOMAIN, vec![srv("_xmpps-server.b.example")], WRONG),
        ("the service of the web", DOMAIN, vec![srv("_https.b.example")], WRONG),
        ("another domain", DOMAIN, vec![srv("_xmpp-server.a.example")], WRONG),
        ("a sub-domain", DOMAIN, vec![srv("_xmpp-server.a.b.example")], WRONG),
        ("the transport too", DOMAIN, vec![srv("_xmpp-server._tcp.b.example")], WRONG),
        ("no underscore", DOMAIN, vec![srv("xmpp-server.b.example")], WRONG),
        ("no service", DOMAIN, vec![srv("b.example")], WRONG),
        ("no domain", DOMAIN, vec![srv("_xmpp-server.")], WRONG),
        ("a trailing dot", DOMAIN, vec![srv("_xmpp-server.b.example.")], WRONG),
        ("a NUL", DOMAIN, vec![srv("_xmpp-server.b.example\0")], WRONG),
        ("a UTF8String", DOMAIN, vec![other_name(7, 0x0c, b"_xmpp-server.b.example")], WRONG),
        ("a PrintableString", DOMAIN, vec![other_name(7, 0x13, b"_xmpp-server.b.example")], WRONG),
        ("without its EXPLICIT tag", DOMAIN, vec![other_name_of(7, &tagged(0x16, b"_xmpp-server.b.example"))], WRONG),
        ("as an xmppAddr", DOMAIN, vec![xmpp("_xmpp-server.b.example")], WRONG),
    ])
    .await;
}

/// Rule 54.
#[tokio::test]
async fn an_xmpp_addr_is_the_bare_domain() {
    assert_names([
        ("the domain", DOMAIN, vec![xmpp("b.example")], Ok(XmppAddr)),
        ("in capitals", DOMAIN, vec![xmpp("B.Example")], Ok(XmppAddr)),
        ("behind a wrong dNSName", DOMAIN, vec![dns("a.example"), xmpp("b.example")], Ok(XmppAddr)),
        ("somebody at the domain", DOMAIN, vec![xmpp("juliet@b.example")], WRONG),
        ("a resource of the domain", DOMAIN, vec![xmpp("b.example/balcony")], WRONG),
        ("a full address", DOMAIN, vec![xmpp("juliet@b.example/balcony")], WRONG),
        ("another domain", DOMAIN, vec![xmpp("a.example")], WRONG),
        ("a sub-domain", DOMAIN, vec![xmpp("a.b.example")], WRONG),
        ("a NUL", DOMAIN, vec![xmpp("b.example\0")], WRONG),
        ("an empty one", DOMAIN, vec![xmpp("")], WRONG),
        ("an IA5String", DOMAIN, vec![other_name(5, 0x16, b"b.example")], WRONG),
        ("an OCTET STRING", DOMAIN, vec![other_name(5, 0x04, b"b.example")], WRONG),
        ("bytes that are no UTF-8", DOMAIN, vec![other_name(5, 0x0c, b"b.example\xff")], WRONG),
        ("without its EXPLICIT tag", DOMAIN, vec![other_name_of(5, &tagged(0x0c, b"b.example"))], WRONG),
        ("with something behind", DOMAIN, vec![other_name_of(5, &trailing())], WRONG),
        ("of another kind of name", DOMAIN, vec![other_name(9, 0x0c, b"b.example")], WRONG),
    ])
    .await;
}

/// A good value of an xmppAddr and a second one behind it, within the same wrapping.
fn trailing() -> Vec<u8> {
    tagged(0xa0, &[tagged(0x0c, b"b.example"), tagged(0x0c, b"a.example")].concat())
}

/// Rule 55: a common name is no name (RFC 9525).
#[tokio::test]
async fn nothing_else_is_a_name() {
    let many = |own: Names| (0..200).map(|number| dns(&format!("{number}.example"))).chain(own).collect::<Names>();
    assert_names([
        ("the common name alone", DOMAIN, vec![], WRONG),
        ("the common name beside a wrong dNSName", DOMAIN, vec![dns("a.example")], WRONG),
        ("an e-mail address", DOMAIN, vec![email("juliet@b.example")], WRONG),
        ("a host as e-mail address", DOMAIN, vec![email("b.example")], WRONG),
        ("a URI", DOMAIN, vec![uri("xmpp:b.example")], WRONG),
        ("a URI of the web", DOMAIN, vec![uri("https://b.example/")], WRONG),
        ("an IP address for itself", "192.0.2.1", vec![ip(&[192, 0, 2, 1])], WRONG),
        ("an IP address as dNSName", "192.0.2.1", vec![dns("192.0.2.1")], WRONG),
        ("a wildcard for an IP address", "192.0.2.1", vec![dns("*.0.2.1")], WRONG),
        (
            "an IPv6 address for itself",
            "[2001:db8::1]",
            vec![ip(&[0x20, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])],
            WRONG,
        ),
        ("an IP address beside the domain", DOMAIN, vec![ip(&[192, 0, 2, 1]), dns("b.example")], Ok(Dns)),
        ("the last of two hundred", DOMAIN, many(vec![dns("b.example")]), Ok(Dns)),
        ("none of two hundred", DOMAIN, many(vec![]), WRONG),
        ("every kind at once", DOMAIN, vec![xmpp(DOMAIN), srv("_xmpp-server.b.example"), dns(DOMAIN)], Ok(XmppAddr)),
    ])
    .await;
}

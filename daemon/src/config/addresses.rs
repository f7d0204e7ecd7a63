//! Addresses to listen on, and those of nameservers.

use std::net::{IpAddr, SocketAddr};

use toml::Spanned;

use super::error::{ConfigError, Problem};
use super::file::DnsTable;
use super::source::Source;

/// The port of DNS (RFC 1035, section 4.2).
const DNS_PORT: u16 = 53;

/// An address to listen on that is not among those in use.
pub(super) fn free(
    source: &Source<'_>,
    text: &Spanned<String>,
    example: &'static str,
    in_use: &[SocketAddr],
) -> Result<SocketAddr, ConfigError> {
    let Ok(address) = text.get_ref().parse::<SocketAddr>() else {
        return Err(source.at(text, Problem::SocketAddress { text: text.get_ref().clone(), example }));
    };
    // Port 0 is a new one each time.
    if address.port() != 0 && in_use.contains(&address) {
        return Err(source.at(text, Problem::ListenTwice { address }));
    }
    Ok(address)
}

/// The nameservers of `[dns]`; `None` for the system's.
pub(super) fn nameservers(source: &Source<'_>, dns: &DnsTable) -> Result<Option<Vec<SocketAddr>>, ConfigError> {
    let Some(list) = &dns.nameservers else { return Ok(None) };
    if list.get_ref().is_empty() {
        let remedy = "name at least one, or remove the key to use the system's";
        return Err(source.at(list, Problem::EmptyList { remedy }));
    }
    let read = |text: &Spanned<String>| {
        nameserver(text.get_ref()).ok_or_else(|| source.at(text, Problem::Nameserver { text: text.get_ref().clone() }))
    };
    list.get_ref().iter().map(read).collect::<Result<_, _>>().map(Some)
}

fn nameserver(text: &str) -> Option<SocketAddr> {
    let without_port = || text.parse::<IpAddr>().ok().map(|address| (address, DNS_PORT).into());
    text.parse().ok().or_else(without_port)
}

#[cfg(test)]
mod tests {
    use super::nameserver;

    #[test]
    fn a_nameserver_has_port_53_unless_it_says_otherwise() {
        for (text, expected) in [
            ("127.0.0.1", Some("127.0.0.1:53")),
            ("127.0.0.1:5353", Some("127.0.0.1:5353")),
            ("::1", Some("[::1]:53")),
            ("[::1]:5353", Some("[::1]:5353")),
            ("ns.example", None),
            ("", None),
        ] {
            assert_eq!(nameserver(text), expected.map(|address| address.parse().unwrap()), "{text}");
        }
    }
}

//! The configuration file as it is written: TOML tables, not yet checked.
//!
//! Every value that a check may complain about is [`Spanned`], so that the complaint can name its place.

use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

/// The whole file. Unknown keys are refused everywhere: a misspelt one would otherwise be a default in disguise.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// `[[domain]]`, one or more. No default: a name and a certificate cannot be guessed.
    #[serde(default)]
    pub(super) domain: Vec<DomainTable>,
    #[serde(default)]
    pub(super) trust: TrustTable,
    #[serde(default)]
    pub(super) s2s: S2sTable,
    #[serde(default)]
    pub(super) roles: RolesTable,
    #[serde(default)]
    pub(super) scheduler: SchedulerTable,
    /// `[[allow]]`. Default none: a domain that is not named gets nothing, since a lease is other people's electricity.
    #[serde(default)]
    pub(super) allow: Vec<AllowTable>,
    /// `[gateway]`. Without the table there is no HTTP side.
    pub(super) gateway: Option<GatewayTable>,
    #[serde(default)]
    pub(super) dns: DnsTable,
    #[serde(default)]
    pub(super) store: StoreTable,
    #[serde(default)]
    pub(super) log: LogTable,
}

/// `[[domain]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DomainTable {
    pub(super) name: Spanned<String>,
    /// A PEM file with the chain, the domain's own certificate first.
    pub(super) certificate: Spanned<PathBuf>,
    /// A PEM file with the key, unencrypted: a daemon starts without anybody to ask.
    pub(super) private_key: Spanned<PathBuf>,
}

/// `[trust]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TrustTable {
    /// PEM files of root certificates. Default the system's, which is what strangers on the internet can prove
    /// themselves by; naming files replaces them, so that a closed federation trusts nobody else.
    pub(super) roots: Option<Spanned<Vec<Spanned<PathBuf>>>>,
    /// PEM files of certificate revocation lists. Default none: not every authority publishes one, and a list that has
    /// expired refuses all certificates of its issuer.
    pub(super) crls: Vec<Spanned<PathBuf>>,
    /// Domains that may vouch for their certificates by TLSA records that DNSSEC secures, each `b.example` or `*.b.example`.
    /// Default none: whether the keys of the root and of a top-level domain are to be believed is an operator's decision.
    pub(super) dane: Vec<Spanned<String>>,
    /// Domains that may vouch for their certificates by a POSH document on their web server, each `b.example` or
    /// `*.b.example`. Default none: whoever has the web server would have the domain.
    pub(super) posh: Vec<Spanned<String>>,
    /// The port of these web servers. Default 443 (RFC 7711 knows no other); another one is for rehearsals on a machine
    /// where that is not to be had.
    pub(super) posh_port: Option<NonZeroU16>,
    /// `[[trust.group]]`. Default none: the roots above are asked about everybody.
    pub(super) group: Vec<TrustGroupTable>,
}

/// `[[trust.group]]`: other rules for the domains of one federation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustGroupTable {
    /// What the domains end in, by whole labels.
    pub(super) domains: Spanned<Vec<Spanned<String>>>,
    /// PEM files of the only roots that are asked about these domains. Default those of `[trust]`, with its revocation
    /// lists.
    pub(super) roots: Option<Spanned<Vec<Spanned<PathBuf>>>>,
    /// PEM files of revocation lists. Default none.
    #[serde(default)]
    pub(super) crls: Vec<Spanned<PathBuf>>,
    /// Keys of which one has to be on the path, each the base64 of the SHA-256 of a SubjectPublicKeyInfo. Default none:
    /// pins break when a key is changed without a word.
    #[serde(default)]
    pub(super) pins: Vec<Spanned<String>>,
}

impl TrustTable {
    /// Every file that is named, in no order.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let groups = self.group.iter().map(|group| (&group.roots, &group.crls));
        let named = groups.chain([(&self.roots, &self.crls)]);
        named.flat_map(|(roots, crls)| roots.iter().flat_map(Spanned::get_ref).chain(crls).map(Spanned::get_ref))
    }
}

/// `[s2s]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct S2sTable {
    /// Where other domains' servers connect. Default 127.0.0.1:5269: the registered port (RFC 6120, section 14.7), and
    /// loopback because opening a service to the network is a decision to be written down.
    pub(super) listen: Option<Vec<Spanned<String>>>,
    /// Where other domains' servers connect by TLS at once (XEP-0368). Default none: there is no registered port, so that
    /// nobody would find it without an SRV record.
    pub(super) direct_tls_listen: Vec<Spanned<String>>,
    /// The domains to federate with, each `b.example` or `*.b.example`. Default everybody whose certificate proves who
    /// it is: a certificate is all that strangers on the internet can show.
    pub(super) allow: Vec<Spanned<String>>,
    /// Domains not to federate with, whatever is allowed. Default none.
    pub(super) block: Vec<Spanned<String>>,
    /// Domains whose certificates need not prove anything, each `b.example` or `*.b.example`: server dialback (XEP-0220)
    /// over TLS stands in for them. Default none: it believes DNS, and whoever can forge that can be any of these domains.
    pub(super) dialback: Vec<Spanned<String>>,
    /// A file with the secret from which the keys of dialback are made, 32 bytes or more. Default random bits, which are
    /// enough for one process: several ones that serve the same domain have to share a secret.
    pub(super) dialback_secret: Option<Spanned<PathBuf>>,
    /// Domains to which a stream is kept at all times, so that they can reach this one where it cannot be dialled.
    /// Default none: streams are made when a stanza needs one.
    pub(super) persistent: Vec<Spanned<String>>,
    /// `[[s2s.rate]]`; the first one that applies counts. Default none: nobody is slowed down.
    pub(super) rate: Vec<RateTable>,
}

/// `[[s2s.rate]]`: how fast others may send. Who sends faster is read more slowly; nothing is lost.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateTable {
    /// Whom it is for, each `b.example` or `*.b.example`. Default everybody.
    #[serde(default)]
    pub(super) domains: Vec<Spanned<String>>,
    pub(super) bytes_per_second: Spanned<u32>,
    /// Bytes that may come at once after a pause. Default ten seconds of the rate.
    pub(super) burst: Option<u32>,
}

/// `[roles]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RolesTable {
    /// Which components run in each domain. Default none: every component is a promise to others, and the two that
    /// most want keep state or open a port.
    pub(super) run: Vec<Spanned<String>>,
}

/// `[scheduler]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SchedulerTable {
    /// The resource managers that a scheduler asks for nodes, such as `resources@volunteers.example`. Default those of
    /// the domains in this file: whose nodes to ask for elsewhere cannot be guessed.
    pub(super) managers: Option<Vec<Spanned<String>>>,
}

/// `[[allow]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AllowTable {
    pub(super) domain: Spanned<String>,
    pub(super) nodes: Spanned<u32>,
}

/// `[gateway]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GatewayTable {
    /// Where HTTP clients connect. Default 127.0.0.1:5280, the port that XMPP servers use for HTTP by custom, and
    /// loopback because bearer tokens over plain HTTP belong behind a proxy that speaks TLS.
    pub(super) listen: Option<Spanned<String>>,
    /// The file of the clients' tokens. Default gateway-tokens.toml, which is also that of `convoke token add`.
    pub(super) tokens: Option<Spanned<PathBuf>>,
    /// Where registered services may live besides public https hosts. Default none: a service's address is what lets
    /// an outsider aim requests at the inside.
    #[serde(default)]
    pub(super) targets: Vec<Spanned<String>>,
}

/// `[dns]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DnsTable {
    /// Nameservers, each `ADDRESS` or `ADDRESS:PORT`. Default the system's, with which everything else on the machine
    /// agrees.
    pub(super) nameservers: Option<Spanned<Vec<Spanned<String>>>>,
    /// A file of the DNSKEY records from which DNSSEC proves everything, as a zone file writes them. Default those of the
    /// root of the internet; others are for a closed network with a root of its own.
    pub(super) dnssec_anchors: Option<Spanned<PathBuf>>,
}

/// `[store]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StoreTable {
    /// The directory of the durable store, made if it is not there. Default memory: nothing is written to a disk
    /// unasked; nodes of publish-subscribe end with the process, and a role that cannot do without refuses to run.
    pub(super) path: Option<Spanned<PathBuf>>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogTable {
    /// What is logged. Default `info`: starts, ends, and what an operator may have to act upon, but no line per stanza.
    pub(super) filter: Option<Spanned<String>>,
    pub(super) format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people, who are the first to read a log. The default.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

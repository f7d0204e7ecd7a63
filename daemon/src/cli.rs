//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use convoke::xmpp::{AddressError, Domainpart};

/// XMPP messaging middleware for volunteer clouds.
#[derive(Debug, Parser)]
#[command(name = "convoke", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the daemon can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the domains of a configuration file until Ctrl-C or SIGTERM.
    Serve(ServeArguments),
    /// Make certificates for a federation on one machine, with an authority of their own.
    Certs(CertsArguments),
    /// Manage the bearer tokens of the gateway's clients.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Dial a domain once and tell everything that happened, to find out why it cannot be reached.
    Dial(DialArguments),
    /// Check whether a server keeps the rules of its protocols.
    #[command(subcommand)]
    Check(CheckCommand),
    /// Let three federated domains do real work on this machine, with failures, and print what came of it.
    Demo,
}

/// Arguments of `convoke serve`.
#[derive(Debug, Args)]
#[command(after_help = SERVE_HELP)]
pub(crate) struct ServeArguments {
    /// The configuration file (TOML); paths in it are relative to its directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Check the configuration and everything that it names, then stop without opening a socket.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Arguments of `convoke dial`.
#[derive(Debug, Args)]
#[command(after_help = DIAL_HELP)]
pub(crate) struct DialArguments {
    /// The domain to dial.
    #[arg(value_name = "DOMAIN", value_parser = domain)]
    pub(crate) domain: Domainpart,
    #[command(flatten)]
    pub(crate) caller: CallerArguments,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `convoke certs`.
#[derive(Debug, Args)]
#[command(after_help = CERTS_HELP)]
pub(crate) struct CertsArguments {
    /// The directory to write into; an authority that is there already is kept and used.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Name the domain as id-on-xmppAddr too; some widely used servers crash the stream on a bare domain there.
    #[arg(long)]
    pub(crate) xmpp_addr: bool,
    /// The domains that get a certificate each.
    #[arg(required = true, value_name = "NAME", value_parser = certificate_name)]
    pub(crate) names: Vec<Domainpart>,
}

/// What can be checked.
#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Check the server-to-server side of any XMPP server, byte by byte, and print a verdict for each rule.
    S2s(CheckArguments),
}

/// Arguments of `convoke check s2s`.
#[derive(Debug, Args)]
#[command(after_help = CHECK_HELP)]
pub(crate) struct CheckArguments {
    /// The domain whose server is checked.
    #[arg(value_name = "DOMAIN", value_parser = domain)]
    pub(crate) domain: Domainpart,
    #[command(flatten)]
    pub(crate) caller: CallerArguments,
    /// Connect to this address without asking DNS for the domain's.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) address: Option<String>,
    /// Connect to this address for the cases of direct TLS; without it, to where DNS leads, unless --address is given.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) direct_address: Option<String>,
    /// Issue good and bad certificates by this authority (PEM), which the server under test has to trust.
    #[arg(long, num_args = 2, value_names = ["CERTIFICATE", "KEY"])]
    pub(crate) authority: Option<Vec<PathBuf>>,
    /// Listen on this address, to which DNS leads for the checking domain, to check how the server dials.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Be dialled by a new name below the checking domain each time; DNS has to lead to --listen for all of them.
    #[arg(long, requires_all = ["listen", "authority"])]
    pub(crate) fresh_names: bool,
    /// Run only the cases whose identifier, name or source contains this text.
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// Run only the short set: short conversations about what matters most.
    #[arg(long)]
    pub(crate) short: bool,
    /// Run so many cases at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    pub(crate) parallel: usize,
    /// Print the report as JSON, with all transcripts.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print below the table what was said and heard in each case that has not passed.
    #[arg(long, conflicts_with = "json")]
    pub(crate) transcripts: bool,
}

/// Who dials or checks: a domain of a configuration, or one that is described on the command line.
#[derive(Debug, Args)]
pub(crate) struct CallerArguments {
    /// Act as a domain of this configuration file, with its certificate, trust and nameservers.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate", "key", "trust", "nameservers"])]
    pub(crate) config: Option<PathBuf>,
    /// Act as this domain; without it, as the first one of the configuration.
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    pub(crate) from: Option<Domainpart>,
    /// The certificate chain of that domain (PEM), which the other server has to trust.
    #[arg(long, value_name = "FILE", requires_all = ["from", "key"])]
    pub(crate) certificate: Option<PathBuf>,
    /// The private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
    /// Roots by which the other server's certificate is judged (PEM), one file each time; without any, the system's.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) trust: Vec<PathBuf>,
    /// A nameserver to ask, one each time; without any, the system's.
    #[arg(long = "nameserver", value_name = "ADDRESS:PORT", requires = "certificate")]
    pub(crate) nameservers: Vec<SocketAddr>,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Add a token and print it, this once: only its hash is kept.
    Add(TokenAddArguments),
}

/// Arguments of `convoke token add`.
#[derive(Debug, Args)]
#[command(after_help = TOKEN_HELP)]
pub(crate) struct TokenAddArguments {
    /// Who will hold the token: it is the XMPP entity `gateway@DOMAIN/NAME`.
    pub(crate) name: String,
    /// What the token allows.
    #[arg(long = "scope", value_name = "SCOPE", required = true, num_args = 1..)]
    pub(crate) scopes: Vec<String>,
    /// The token file, as `[gateway] tokens` names it; made if it is not there.
    #[arg(long, value_name = "FILE", default_value = "gateway-tokens.toml")]
    pub(crate) tokens: PathBuf,
}

/// Why a name on the command line cannot be put into a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NameError {
    /// It is no domain name.
    #[error("{0}; use a domain name such as volunteers.example")]
    Address(#[from] AddressError),
    /// It is an IP address, which no dNSName can carry (RFC 6125, section 1.7.2).
    #[error("an IP address is no name for a certificate; use a domain name such as volunteers.example")]
    IpAddress,
}

fn domain(text: &str) -> Result<Domainpart, NameError> {
    Ok(Domainpart::new(text)?)
}

fn certificate_name(text: &str) -> Result<Domainpart, NameError> {
    let name = Domainpart::new(text)?;
    let is_address = name.as_str().starts_with('[') || name.as_str().parse::<std::net::IpAddr>().is_ok();
    if is_address { Err(NameError::IpAddress) } else { Ok(name) }
}

const EXAMPLES: &str = "\
Examples:
  convoke demo
  convoke certs --out certs volunteers.example client.example
  convoke token add laptop --scope stanza:send --scope events:read
  convoke serve --config convoke.toml --check
  convoke serve --config convoke.toml
  convoke dial other.example --config convoke.toml
  convoke check s2s xmpp.example --config convoke.toml";

const SERVE_HELP: &str = "\
Ctrl-C and SIGTERM close the streams with system-shutdown and exit 0; a second one exits 1 at once.
A fault of the configuration is one line that names the file, the key and the remedy, and exit 2.
The environment variable RUST_LOG overrides the log filter of the configuration.
With several domains in one file, the gateway is that of the first one.

Examples:
  convoke serve --config convoke.toml --check
  RUST_LOG=convoke=debug convoke serve --config /etc/convoke/convoke.toml";

const DIAL_HELP: &str = "\
Asks DNS, connects, and negotiates a stream as the daemon would, then closes it again; no stanza is sent.
Exits 0 when a stream was established, 1 when not, 2 when the command line or the configuration is wrong.

Examples:
  convoke dial other.example --config convoke.toml
  convoke dial other.example --config convoke.toml --from volunteers.example --json
  convoke dial other.example --from me.example --certificate me.pem --key me.key --trust ca.pem \\
    --nameserver 127.0.0.1:5353";

const CERTS_HELP: &str = "\
Writes ca.pem (what every domain is to trust), ca.key, and NAME.pem and NAME.key for each name.
These certificates are for rehearsals: whoever reads ca.key can be any domain.

Examples:
  convoke certs --out certs volunteers.example client.example";

const CHECK_HELP: &str = "\
Exit code 0: no rule is broken that MUST be kept; 1: there is one, or nothing could be checked; 2: wrong arguments.
Cases that need --authority or --listen are skipped without it, and say so.
Check servers of your own, or of people who know: some cases send megabytes, and all of them are rude.

Examples:
  convoke check s2s xmpp.example --config convoke.toml
  convoke check s2s xmpp.example --from check.example --certificate check.pem --key check.key --only sasl/ --transcripts
  convoke check s2s xmpp.example --config convoke.toml --authority ca.pem ca.key --listen 0.0.0.0:5269 --json";

const TOKEN_HELP: &str = "\
Examples:
  convoke token add laptop --scope stanza:send --scope events:read
  convoke token add printers --scope service:admin --tokens /etc/convoke/gateway-tokens.toml";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn scopes_are_given_one_by_one_or_together() {
        for line in ["add laptop --scope a --scope b", "add laptop --scope a b", "add --scope a --scope b -- laptop"] {
            let words = ["convoke", "token"].into_iter().chain(line.split(' '));
            let Command::Token(TokenCommand::Add(add)) = Cli::try_parse_from(words).unwrap().command else {
                panic!("{line}")
            };
            assert_eq!((add.name.as_str(), add.scopes), ("laptop", vec!["a".to_owned(), "b".to_owned()]), "{line}");
        }
    }

    #[test]
    fn a_certificate_is_for_a_domain_name_and_never_escapes_its_directory() {
        for name in ["volunteers.example", "Bücher.example", "localhost"] {
            assert!(certificate_name(name).is_ok(), "{name}");
        }
        for name in ["", "../ca", "a/b", "a b", "user@a.example", "[::1]", "127.0.0.1", "*.example"] {
            assert!(certificate_name(name).is_err(), "{name}");
        }
    }
}

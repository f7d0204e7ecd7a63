//! Prosody: its configuration, its accounts and its command.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::builder::{Plan, PubSub};
use super::peer::LOG_FILE;
use super::{PeerError, Software, password};

const CONFIGURATION_FILE: &str = "prosody.cfg.lua";

/// Its module of server dialback, in a list of modules.
const DIALBACK: &str = "\"dialback\"; ";

/// It takes certificates from this folder, by the names in them.
const CERTIFICATES: &str = "certificates";

pub(super) async fn prepare(plan: &Plan, directory: &Path) -> Result<(), PeerError> {
    let certificates = directory.join(CERTIFICATES);
    fs::create_dir(&certificates).map_err(PeerError::file(&certificates))?;
    let mut files = vec![
        (directory.join("trusted.pem"), plan.trusted_pem.clone()),
        (directory.join(CONFIGURATION_FILE), configuration(plan, directory)),
    ];
    if let Some(issued) = &plan.issued {
        files.push((certificates.join(format!("{}.crt", plan.domain)), issued.chain_pem.clone()));
        files.push((certificates.join(format!("{}.key", plan.domain)), issued.key_pem.clone()));
    }
    for (path, text) in files {
        fs::write(&path, text).map_err(PeerError::file(&path))?;
    }
    for account in &plan.accounts {
        register(directory, &plan.domain, account).await?;
    }
    Ok(())
}

pub(super) fn command(directory: &Path) -> Command {
    let mut command = Command::new("prosody");
    command.arg("--no-daemonize").arg("--config").arg(directory.join(CONFIGURATION_FILE));
    command
}

fn configuration(plan: &Plan, directory: &Path) -> String {
    CONFIGURATION
        .replace("@DIRECTORY@", &directory.display().to_string())
        .replace("@CERTIFICATES@", CERTIFICATES)
        .replace("@LOG@", LOG_FILE)
        .replace("@LEVEL@", if plan.quiet { "warn" } else { "debug" })
        .replace("@EXTENSIONS@", if plan.extended { EXTENSIONS } else { "" })
        .replace("@EVENTING@", if plan.eventing { EVENTING } else { "" })
        .replace("@WITH@", if plan.dialback { DIALBACK } else { "" })
        .replace("@WITHOUT@", if plan.dialback { "" } else { DIALBACK })
        .replace("@SECURE_AUTH@", if plan.dialback { "false" } else { "true" })
        .replace("@DOMAIN@", &plan.domain)
        .replace("@ADDRESS@", &plan.addresses.host.to_string())
        .replace("@C2S_PORT@", &plan.addresses.c2s.to_string())
        .replace("@S2S_PORT@", &plan.addresses.s2s.to_string())
        .replace("@S2S_DIRECT_PORT@", &plan.addresses.s2s_direct.to_string())
        .replace("@DNS@", &format!("{}@{}", plan.dns.ip(), plan.dns.port()))
        .replace("@PUBSUB@", &plan.pubsub.as_ref().map(pubsub).unwrap_or_default())
}

/// It lets nobody but its administrators make nodes.
fn pubsub(pubsub: &PubSub) -> String {
    let admins: String = pubsub.owners.iter().map(|owner| format!("{owner:?}; ")).collect();
    format!("Component {:?} \"pubsub\"\n    admins = {{ {admins}}}\n", pubsub.domain)
}

async fn register(directory: &Path, domain: &str, account: &str) -> Result<(), PeerError> {
    let mut command = tokio::process::Command::new("prosodyctl");
    command.arg("--config").arg(directory.join(CONFIGURATION_FILE)).args([
        "register",
        account,
        domain,
        &password(account),
    ]);
    let missing = |cause| PeerError::Missing { software: Software::Prosody, what: format!("prosodyctl: {cause}") };
    let output = command.kill_on_drop(true).output().await.map_err(missing)?;
    if output.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Err(PeerError::Account { software: Software::Prosody, account: account.to_owned(), output })
}

/// Modules that it has and does not load by itself.
const EXTENSIONS: &str = r#"; "smacks"; "s2s_bidi""#;
const EVENTING: &str = r#"; "pep""#;

const CONFIGURATION: &str = r#"
run_as_root = true                       -- continuous integration often is root
pidfile = "@DIRECTORY@/prosody.pid"
data_path = "@DIRECTORY@/data"
log = { { levels = { min = "@LEVEL@" }; to = "file"; filename = "@DIRECTORY@/@LOG@" } }
statistics = false

interfaces = { "@ADDRESS@" }
local_interfaces = { "@ADDRESS@" }
use_ipv6 = false
network_settings = { nagle = false }     -- with Nagle's algorithm every handshake stalls for 40 ms
c2s_ports = { @C2S_PORT@ }
s2s_ports = { @S2S_PORT@ }
c2s_direct_tls_ports = { }
s2s_direct_tls_ports = { @S2S_DIRECT_PORT@ }
unbound = { resolvconf = false; hoststxt = false; forward = { "@DNS@" } }

modules_enabled = { @WITH@"roster"; "saslauth"; "tls"; "disco"; "ping"; "posix"; "presence"; "message"; "iq"; "s2s"; "c2s"; "s2s_auth_certs"@EXTENSIONS@@EVENTING@ }
modules_disabled = { @WITHOUT@"offline" }
limits = { }                             -- its defaults throttle to some ten kilobytes a second

c2s_require_encryption = false           -- the tests' client speaks plain TCP on loopback
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"

s2s_require_encryption = true
s2s_secure_auth = @SECURE_AUTH@          -- whether only a certificate proves a domain
ssl = { cafile = "@DIRECTORY@/trusted.pem" }
certificates = "@DIRECTORY@/@CERTIFICATES@"

VirtualHost "@DOMAIN@"

@PUBSUB@"#;

//! ejabberd: its configuration, its accounts and its command.
//!
//! It is started without `ejabberdctl`, which changes the user, and without Erlang's distribution, which leaves a port
//! mapper behind. It finds services by our DNS server, but addresses by the C library, which knows no server on another
//! port than 53; so it runs in a mount namespace with a hosts file of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::builder::{Plan, pubsub_domain};
use super::peer::LOG_FILE;
use super::{PeerError, Software, password};
use crate::Issued;

/// What the C library reads in place of `/etc/hosts`.
pub(super) const HOSTS_FILE: &str = "hosts";

/// Written when the accounts are made.
pub(super) const READY_FILE: &str = "ready";

const CONFIGURATION_FILE: &str = "ejabberd.yml";
const CERTIFICATE_FILE: &str = "certificate.pem";
const START_FILE: &str = "start.erl";

/// Where Debian keeps Erlang libraries, one folder for each architecture.
const LIBRARIES: &str = "/usr/lib";

pub(super) fn prepare(plan: &Plan, directory: &Path) -> Result<(), PeerError> {
    let chain_and_key = |issued: &Issued| [issued.chain_pem.as_str(), issued.key_pem.as_str()].concat();
    let files = [
        (CERTIFICATE_FILE, plan.issued.as_ref().map(chain_and_key).unwrap_or_default()),
        ("trusted.pem", plan.trusted_pem.clone()),
        (CONFIGURATION_FILE, configuration(plan, directory)),
        ("inetrc", INETRC.replace("@PORT@", &plan.dns.port().to_string())),
        ("nsswitch.conf", NAME_SERVICES.to_owned()),
        (START_FILE, after_start(plan, directory)),
    ];
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text).map_err(PeerError::file(&path))?;
    }
    Ok(())
}

pub(super) fn command(directory: &Path) -> Result<Command, PeerError> {
    let start = fs::read_to_string(directory.join(START_FILE)).map_err(PeerError::file(directory.join(START_FILE)))?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user"]);
    command.args(["sh", "-c", IN_NAMESPACE, "erl", "-noinput"]);
    command.args(["-mnesia", "dir"]).arg(format!("{:?}", directory.join("spool")));
    command.args(["-s", "ejabberd", "-eval", &start]);
    command.env("ERL_LIBS", libraries()?).env("ERL_INETRC", directory.join("inetrc"));
    command.env("ERL_CRASH_DUMP_BYTES", "0").env("HOME", directory);
    command.env("EJABBERD_CONFIG_PATH", directory.join(CONFIGURATION_FILE));
    command.env("EJABBERD_LOG_PATH", directory.join(LOG_FILE));
    Ok(command)
}

/// In the directory, as root of the namespace: `exec` keeps the process id.
const IN_NAMESPACE: &str =
    r#"mount --bind hosts /etc/hosts && mount --bind nsswitch.conf /etc/nsswitch.conf && exec "$0" "$@""#;

/// The folder that has `ejabberd-<version>` in it.
fn libraries() -> Result<PathBuf, PeerError> {
    let folders = fs::read_dir(LIBRARIES).map_err(PeerError::file(LIBRARIES))?;
    let mut folders = folders.filter_map(|entry| Some(entry.ok()?.path()));
    let missing = || PeerError::Missing { software: Software::Ejabberd, what: format!("no {LIBRARIES}/*/ejabberd-*") };
    folders.find(|folder| has_ejabberd(folder)).ok_or_else(missing)
}

fn has_ejabberd(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("ejabberd-"))
}

/// What it does once it has started: it makes the accounts, and says that it is ready.
fn after_start(plan: &Plan, directory: &Path) -> String {
    let register = |account: &String| {
        let password = password(account);
        format!("ejabberd_auth:try_register(<<{account:?}>>, <<{:?}>>, <<{password:?}>>), ", plan.domain)
    };
    let accounts: String = plan.accounts.iter().map(register).collect();
    format!("{accounts}ok = file:write_file({:?}, <<>>).", directory.join(READY_FILE))
}

fn configuration(plan: &Plan, directory: &Path) -> String {
    let certificates = plan.issued.as_ref().map(|_| format!("{:?}", directory.join(CERTIFICATE_FILE)));
    CONFIGURATION
        .replace("@DIRECTORY@", &directory.display().to_string())
        .replace("@CERTIFICATES@", &certificates.unwrap_or_default())
        .replace("@LEVEL@", if plan.quiet { "warning" } else { "info" })
        .replace("@DIALBACK@", if plan.dialback { "  mod_s2s_dialback: {}\n" } else { "" })
        .replace("@DOMAIN@", &plan.domain)
        .replace("@ADDRESS@", &plan.addresses.host.to_string())
        .replace("@C2S_PORT@", &plan.addresses.c2s.to_string())
        .replace("@S2S_PORT@", &plan.addresses.s2s.to_string())
        .replace("@S2S_DIRECT_PORT@", &plan.addresses.s2s_direct.to_string())
        .replace("@PUBSUB@", &pubsub(plan))
}

/// One module is the service and personal eventing, whose plugin rests on what it knows of capabilities (XEP-0115). It lets
/// everybody make nodes, also those of other domains.
fn pubsub(plan: &Plan) -> String {
    let plugins = match (&plan.pubsub, plan.eventing) {
        (None, false) => return String::new(),
        (_, false) => "flat",
        (_, true) => "flat, pep",
    };
    let host = pubsub_domain(&plan.domain);
    let caps = if plan.eventing { "  mod_caps: {}\n" } else { "" };
    format!("{caps}  mod_pubsub:\n    host: {host:?}\n    access_createnode: all\n    plugins: [{plugins}]\n")
}

/// Names are atoms: with strings, as in Debian's example, the line has no effect.
const INETRC: &str = r#"{lookup, [file, dns]}.
{resolv_conf, ""}.
{hosts_file, ""}.
{nameserver, {127,0,0,1}, @PORT@}.
{host, {127,0,0,1}, ["localhost"]}.
{cache_size, 0}.
{timeout, 2000}.
{retry, 5}.
"#;

/// Addresses from the hosts file alone: the machine's own DNS knows nothing of our domains.
const NAME_SERVICES: &str = "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n";

const CONFIGURATION: &str = r#"
loglevel: @LEVEL@
hosts: ["@DOMAIN@"]
certfiles: [@CERTIFICATES@]
ca_file: "@DIRECTORY@/trusted.pem"
s2s_cafile: "@DIRECTORY@/trusted.pem"
s2s_use_starttls: required       # and a certificate that proves the domain, or dialback where that is loaded
s2s_timeout: 3600                # an idle stream
listen:
  - port: @C2S_PORT@
    ip: "@ADDRESS@"
    module: ejabberd_c2s
    max_stanza_size: 262144      # as Prosody has
    starttls: true
    shaper: none
    access: all
  - port: @S2S_PORT@
    ip: "@ADDRESS@"
    module: ejabberd_s2s_in
    max_stanza_size: 524288      # as Prosody has
    shaper: none
  - port: @S2S_DIRECT_PORT@
    ip: "@ADDRESS@"
    module: ejabberd_s2s_in
    max_stanza_size: 524288
    tls: true
    shaper: none
auth_method: internal
auth_password_format: plain
modules:
  mod_disco: {}
  mod_ping: {}
  mod_roster: {}
  mod_version: {}
@DIALBACK@@PUBSUB@"#;

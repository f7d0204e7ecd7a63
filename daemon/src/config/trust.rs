//! `[trust]`: whom to believe about other domains.

use std::path::{Path, PathBuf};

use convoke::net::{pem, roots};
use convoke::s2s::{SpkiPin, Trust, TrustAnchors, TrustError, TrustGroup};
use convoke::xmpp::Domainpart;
use toml::Spanned;

use super::check::new_name;
use super::error::{ConfigError, Problem};
use super::file::{TrustGroupTable, TrustTable};
use super::source::Source;

/// One DER structure.
type Der = Vec<u8>;

/// Roots and revocation lists.
#[derive(Clone)]
struct Anchors {
    roots: Vec<Der>,
    lists: Vec<Der>,
}

/// Reads roots, revocation lists and groups.
pub(super) fn trust(source: &Source<'_>, table: &TrustTable) -> Result<Trust, ConfigError> {
    let roots = match &table.roots {
        None => system_roots().map_err(|problem| source.whole(problem))?,
        Some(files) => {
            named_roots(source, files, "name at least one file, or remove the key to trust the system's authorities")?
        }
    };
    let lists = all(source, &table.crls, |path| revocation_lists_of(path, &roots))?;
    let general = Anchors { roots, lists };
    let mut trust = Trust::from(general.made(source)?);
    for table in &table.group {
        let group = group(source, table, &general, &trust.groups)?;
        trust.groups.push(group);
    }
    Ok(trust)
}

fn group(
    source: &Source<'_>,
    table: &TrustGroupTable,
    general: &Anchors,
    before: &[TrustGroup],
) -> Result<TrustGroup, ConfigError> {
    let mut anchors = match &table.roots {
        None => general.clone(),
        Some(files) => {
            let remedy = "name at least one file, or remove the key to ask the roots of [trust]";
            Anchors { roots: named_roots(source, files, remedy)?, lists: Vec::new() }
        }
    };
    anchors.lists.extend(all(source, &table.crls, |path| revocation_lists_of(path, &anchors.roots))?);
    let pins = table.pins.iter().map(|pin| read_pin(source, pin)).collect::<Result<_, _>>()?;
    Ok(TrustGroup { suffixes: suffixes(source, table, before)?, anchors: anchors.made(source)?, pins })
}

fn suffixes(
    source: &Source<'_>,
    table: &TrustGroupTable,
    before: &[TrustGroup],
) -> Result<Vec<Domainpart>, ConfigError> {
    if table.domains.get_ref().is_empty() {
        let remedy = "name at least one domain, or remove the table";
        return Err(source.at(&table.domains, Problem::EmptyList { remedy }));
    }
    let mut suffixes: Vec<Domainpart> = Vec::new();
    for name in table.domains.get_ref() {
        let others = before.iter().flat_map(|group| &group.suffixes);
        let suffix = new_name(source, name, others.chain(&suffixes))?;
        suffixes.push(suffix);
    }
    Ok(suffixes)
}

fn read_pin(source: &Source<'_>, text: &Spanned<String>) -> Result<SpkiPin, ConfigError> {
    let malformed = |cause| source.at(text, Problem::Pin { text: text.get_ref().clone(), cause });
    text.get_ref().parse().map_err(malformed)
}

impl Anchors {
    fn made(&self, source: &Source<'_>) -> Result<TrustAnchors, ConfigError> {
        let made = TrustAnchors::new(self.roots.clone(), self.lists.clone());
        made.map_err(|cause| source.whole(Problem::Anchors(cause)))
    }
}

/// The roots that the operating system trusts, those that can be used.
pub(crate) fn system_roots() -> Result<Vec<Der>, Problem> {
    let roots = roots::system().map_err(Problem::SystemRoots)?;
    // A system's list of hundreds may hold an odd one that nobody here has chosen: it is left out, not a fault.
    let usable = |der: &Der| TrustAnchors::new(vec![der.clone()], Vec::new()).is_ok();
    Ok(roots.iter().map(|root| root.to_vec()).filter(usable).collect())
}

fn named_roots(
    source: &Source<'_>,
    files: &Spanned<Vec<Spanned<PathBuf>>>,
    remedy: &'static str,
) -> Result<Vec<Der>, ConfigError> {
    if files.get_ref().is_empty() {
        return Err(source.at(files, Problem::EmptyList { remedy }));
    }
    all(source, files.get_ref(), roots_of)
}

/// What the files hold, in order; a fault is that of the file's own entry.
fn all(
    source: &Source<'_>,
    files: &[Spanned<PathBuf>],
    read: impl Fn(&Path) -> Result<Vec<Der>, Problem>,
) -> Result<Vec<Der>, ConfigError> {
    let mut found = Vec::new();
    for file in files {
        found.extend(read(&source.resolve(file.get_ref())).map_err(|problem| source.at(file, problem))?);
    }
    Ok(found)
}

/// The certificates of a file, each of which can be a trust anchor.
fn roots_of(path: &Path) -> Result<Vec<Der>, Problem> {
    let roots: Vec<Der> = pem::certificates(path).map_err(Problem::Pem)?.iter().map(|der| der.to_vec()).collect();
    usable(path, TrustAnchors::new(roots.clone(), Vec::new()))?;
    Ok(roots)
}

/// The revocation lists of a file; `roots` are there because there are no anchors without one.
fn revocation_lists_of(path: &Path, roots: &[Der]) -> Result<Vec<Der>, Problem> {
    let lists: Vec<Der> = pem::revocation_lists(path).map_err(Problem::Pem)?.iter().map(|der| der.to_vec()).collect();
    usable(path, TrustAnchors::new(roots.to_vec(), lists.clone()))?;
    Ok(lists)
}

fn usable(path: &Path, anchors: Result<TrustAnchors, TrustError>) -> Result<(), Problem> {
    anchors.map(drop).map_err(|cause| Problem::Trust { file: path.to_owned(), cause })
}

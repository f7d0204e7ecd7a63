//! `[trust]`: whom to believe about other domains.

use std::path::{Path, PathBuf};

use convoke::net::{pem, roots};
use convoke::s2s::{TrustAnchors, TrustError};
use toml::Spanned;

use super::error::{ConfigError, Problem};
use super::file::TrustTable;
use super::source::Source;

/// One DER structure.
type Der = Vec<u8>;

/// Reads roots and revocation lists.
pub(super) fn anchors(source: &Source<'_>, table: &TrustTable) -> Result<TrustAnchors, ConfigError> {
    let roots = match &table.roots {
        None => system_roots().map_err(|problem| source.whole(problem))?,
        Some(files) if files.get_ref().is_empty() => {
            let remedy = "name at least one file, or remove the key to trust the system's authorities";
            return Err(source.at(files, Problem::EmptyList { remedy }));
        }
        Some(files) => all(source, files.get_ref(), roots_of)?,
    };
    let lists = all(source, &table.crls, |path| revocation_lists_of(path, &roots))?;
    TrustAnchors::new(roots, lists).map_err(|cause| source.whole(Problem::Anchors(cause)))
}

fn system_roots() -> Result<Vec<Der>, Problem> {
    let roots = roots::system().map_err(Problem::SystemRoots)?;
    // A system's list of hundreds may hold an odd one that nobody here has chosen: it is left out, not a fault.
    let usable = |der: &Der| TrustAnchors::new(vec![der.clone()], Vec::new()).is_ok();
    Ok(roots.iter().map(|root| root.to_vec()).filter(usable).collect())
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

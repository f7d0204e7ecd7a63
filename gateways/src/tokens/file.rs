//! The token file.
//!
//! ```toml
//! [[token]]
//! name = "alice"
//! scopes = ["stanza:send", "events:read"]
//! id = "0a1b2c3d4e5f"
//! sha256 = "base64 of SHA-256 of the token's secret"
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Caller, Entry, NewToken, Scope, TokenError, Tokens};
use crate::name;

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    #[serde(default)]
    token: Vec<TokenLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenLine {
    name: String,
    scopes: Vec<Scope>,
    id: String,
    sha256: String,
}

pub(super) fn load(path: &Path) -> Result<Tokens, TokenError> {
    let mut tokens = Tokens::empty();
    for line in read(path)?.token {
        let (id, entry) = entry(path, line)?;
        tokens.insert(id, entry)?;
    }
    Ok(tokens)
}

pub(super) fn add(path: &Path, name: &str, scopes: &[Scope]) -> Result<String, TokenError> {
    name::check(name)?;
    let mut scopes = scopes.to_vec();
    scopes.sort();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(TokenError::NoScope);
    }
    let write_error = |cause| TokenError::Write { path: path.to_owned(), cause };
    let directory = lock_directory(path).map_err(write_error)?;
    let mut file = if path.exists() { read(path)? } else { TokenFile::default() };
    if file.token.iter().any(|line| line.name == name) {
        return Err(TokenError::NameTaken { name: name.to_owned() });
    }
    let token = NewToken::random()?;
    let sha256 = STANDARD.encode(token.digest());
    file.token.push(TokenLine { name: name.to_owned(), scopes, id: token.id.clone(), sha256 });
    let text = toml::to_string(&file)?;
    replace(path, &text, &token.id, &directory).map_err(write_error)?;
    Ok(token.reveal())
}

fn read(path: &Path) -> Result<TokenFile, TokenError> {
    let text = fs::read_to_string(path).map_err(|cause| TokenError::Read { path: path.to_owned(), cause })?;
    toml::from_str(&text).map_err(|cause| TokenError::Format { path: path.to_owned(), cause: Box::new(cause) })
}

fn entry(path: &Path, line: TokenLine) -> Result<(String, Entry), TokenError> {
    let digest = STANDARD.decode(&line.sha256).ok().and_then(|bytes| bytes.try_into().ok());
    let Some(digest) = digest else {
        return Err(TokenError::Digest { path: path.to_owned(), name: line.name });
    };
    Ok((line.id, Entry { caller: Caller { name: line.name, scopes: line.scopes }, digest }))
}

/// The directory of the file, held by one writer at a time: the file itself is replaced, so it cannot hold the lock.
fn lock_directory(path: &Path) -> io::Result<File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = File::open(parent)?;
    directory.lock()?;
    Ok(directory)
}

/// Writes beside the file and renames, so that a crash leaves the old content or the new one.
fn replace(path: &Path, text: &str, unique: &str, directory: &File) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{unique}.new"));
    let beside = PathBuf::from(beside);
    let written = write_new(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first failure is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written?;
    directory.sync_all()
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(token: &str) -> String {
        format!("Bearer {token}")
    }

    #[test]
    fn a_token_that_was_added_is_accepted_after_loading() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway-tokens.toml");
        let alice = Tokens::add(&path, "alice", &[Scope::EventsRead, Scope::StanzaSend, Scope::EventsRead]).unwrap();
        let bob = Tokens::add(&path, "bob", &[Scope::ServiceAdmin]).unwrap();
        let tokens = Tokens::load(&path).unwrap();
        let caller = tokens.authenticate(Some(&bearer(&alice))).unwrap();
        assert_eq!(caller, Caller { name: "alice".into(), scopes: vec![Scope::StanzaSend, Scope::EventsRead] });
        assert_eq!(tokens.authenticate(Some(&bearer(&bob))).unwrap().name, "bob");
    }

    #[test]
    fn the_file_holds_no_secret_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.toml");
        let token = Tokens::add(&path, "alice", &[Scope::EventsRead]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(super::super::split(&token).unwrap().1), "{text}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_name_is_given_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.toml");
        Tokens::add(&path, "alice", &[Scope::EventsRead]).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        assert!(matches!(
            Tokens::add(&path, "alice", &[Scope::EventsRead]),
            Err(TokenError::NameTaken { name }) if name == "alice"
        ));
        assert!(matches!(Tokens::add(&path, "Alice", &[Scope::EventsRead]), Err(TokenError::Name(_))));
        assert!(matches!(Tokens::add(&path, "carol", &[]), Err(TokenError::NoScope)));
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
    }

    #[test]
    fn two_writers_at_once_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.toml");
        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
                let path = &path;
                scope.spawn(move || Tokens::add(path, name, &[Scope::EventsRead]).unwrap());
            }
        });
        assert_eq!(Tokens::load(&path).unwrap().callers().count(), 8);
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.toml");
        assert!(matches!(Tokens::load(&path), Err(TokenError::Read { .. })));
        let line = "[[token]]\nname='a'\nid='1'\nscopes=['events:read']\n";
        fs::write(&path, format!("{line}sha256='AAAA'\n")).unwrap();
        assert!(matches!(Tokens::load(&path), Err(TokenError::Digest { name, .. }) if name == "a"));
        fs::write(&path, format!("{line}sha256='AAAA'\nextra=1\n")).unwrap();
        let error = Tokens::load(&path).unwrap_err();
        assert!(matches!(&error, TokenError::Format { .. }) && error.to_string().contains("extra"), "{error}");
    }
}

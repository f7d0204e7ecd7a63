//! Bearer tokens: who may use the HTTP side of a gateway (RFC 6750).
//!
//! A token is `convoke_ID_SECRET`: a public identifier of 48 bits and a secret of 256 bits. Only the identifier and
//! SHA-256 of the secret are stored. A slow hash protects passwords because people choose them from a small set; 256
//! random bits cannot be searched however fast the hash is, and a fast one leaves no way to exhaust the processor.

mod file;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::name::{self, NameError};
use crate::secret::digest;

const MARK: &str = "convoke";

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Scope {
    /// Send stanzas, and answer those that arrive.
    #[serde(rename = "stanza:send")]
    StanzaSend,
    /// Read the stanzas addressed to the client.
    #[serde(rename = "events:read")]
    EventsRead,
    /// Register, list and remove services, whoever registered them.
    #[serde(rename = "service:admin")]
    ServiceAdmin,
}

impl Scope {
    /// All scopes.
    pub const ALL: &'static [Self] = &[Self::StanzaSend, Self::EventsRead, Self::ServiceAdmin];

    /// The name of the scope, as in the token file and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StanzaSend => "stanza:send",
            Self::EventsRead => "events:read",
            Self::ServiceAdmin => "service:admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Scope {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let unknown = || TokenError::UnknownScope { scope: text.to_owned() };
        Self::ALL.iter().copied().find(|scope| scope.as_str() == text).ok_or_else(unknown)
    }
}

/// Whoever presented a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the client.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

impl Caller {
    /// Whether the token has this scope.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// The tokens that a gateway accepts, without their secrets.
#[derive(Clone, Default)]
pub struct Tokens {
    by_id: HashMap<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    caller: Caller,
    digest: [u8; 32],
}

impl Tokens {
    /// No tokens: nobody gets in.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads a token file.
    ///
    /// Fails when it cannot be read, is not of the form that [`Tokens::add`] writes, or gives one name twice.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, TokenError> {
        file::load(path.as_ref())
    }

    /// Adds a token to a file, which is made if it is missing, and gives the token: it is stored nowhere.
    ///
    /// The file is replaced at once and durably, with mode 0600; two that add at the same time wait for each other.
    /// Fails when the name is taken or malformed, when there are no scopes, and when the file cannot be replaced.
    pub fn add(path: impl AsRef<Path>, name: &str, scopes: &[Scope]) -> Result<String, TokenError> {
        file::add(path.as_ref(), name, scopes)
    }

    /// Whose token the value of an `Authorization` header holds; `None` for anything but a valid bearer token.
    pub fn authenticate(&self, header: Option<&str>) -> Option<Caller> {
        let (scheme, token) = header?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return None;
        }
        let (id, secret) = split(token.trim_start())?;
        let entry = self.by_id.get(id)?;
        bool::from(digest(secret.as_bytes()).ct_eq(&entry.digest)).then(|| entry.caller.clone())
    }

    /// Whom the tokens belong to.
    pub fn callers(&self) -> impl Iterator<Item = &Caller> {
        self.by_id.values().map(|entry| &entry.caller)
    }

    fn insert(&mut self, id: String, entry: Entry) -> Result<(), TokenError> {
        name::check(&entry.caller.name)?;
        if self.callers().any(|caller| caller.name == entry.caller.name) {
            return Err(TokenError::NameTaken { name: entry.caller.name });
        }
        self.by_id.insert(id, entry);
        Ok(())
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.callers()).finish()
    }
}

/// A token that has just been made.
struct NewToken {
    id: String,
    secret: String,
}

impl NewToken {
    fn random() -> Result<Self, TokenError> {
        let mut bytes = [0; 38];
        getrandom::fill(&mut bytes)?;
        // The identifier has no '_', which ends it.
        let id = bytes[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { id, secret: URL_SAFE_NO_PAD.encode(&bytes[6..]) })
    }

    fn digest(&self) -> [u8; 32] {
        digest(self.secret.as_bytes())
    }

    fn reveal(&self) -> String {
        format!("{MARK}_{}_{}", self.id, self.secret)
    }
}

/// Identifier and secret of a token.
fn split(token: &str) -> Option<(&str, &str)> {
    token.strip_prefix(MARK)?.strip_prefix('_')?.split_once('_')
}

/// Why tokens cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token file {path}: {cause}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// The file, or its directory, cannot be written.
    #[error("cannot write the token file {path}: {cause}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// The file is not of the form that a token file has.
    #[error("{path} is no token file: {cause}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        cause: Box<toml::de::Error>,
    },
    /// The hash of a token is no SHA-256 in base64.
    #[error("in {path}, the sha256 of {name:?} is not 32 bytes in base64", path = path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// Whose token it is.
        name: String,
    },
    /// The tokens cannot be written as TOML.
    #[error("the tokens cannot be written: {0}")]
    Encode(#[from] toml::ser::Error),
    /// There is a token of that name.
    #[error("there is a token named {name:?} already; choose another name, or remove that entry from the file")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The name is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A token without scopes is of no use.
    #[error("a token needs at least one scope: stanza:send, events:read or service:admin")]
    NoScope,
    /// There is no such scope.
    #[error("there is no scope {scope:?}; use stanza:send, events:read or service:admin")]
    UnknownScope {
        /// The text that was given.
        scope: String,
    },
    /// The operating system gives no random bytes.
    #[error("no random bytes: {0}")]
    NoEntropy(#[from] getrandom::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(scopes: &[Scope]) -> (Tokens, String) {
        let token = NewToken::random().unwrap();
        let caller = Caller { name: "alice".into(), scopes: scopes.to_vec() };
        let mut tokens = Tokens::empty();
        tokens.insert(token.id.clone(), Entry { caller, digest: token.digest() }).unwrap();
        (tokens, token.reveal())
    }

    #[test]
    fn knows_the_bearer_of_a_token_and_its_scopes() {
        let (tokens, token) = one(&[Scope::EventsRead]);
        let caller = tokens.authenticate(Some(&format!("bearer  {token}"))).unwrap();
        assert_eq!(caller.name, "alice");
        assert!(caller.may(Scope::EventsRead) && !caller.may(Scope::StanzaSend));
    }

    #[test]
    fn refuses_whatever_is_no_valid_token() {
        let (tokens, token) = one(&[Scope::EventsRead]);
        let wrong_secret = format!("{}x", &token[..token.len() - 1]);
        let other = NewToken::random().unwrap().reveal();
        for header in [
            String::new(),
            "Bearer".into(),
            "Bearer ".into(),
            token.clone(),
            format!("Basic {token}"),
            format!("Bearer {other}"),
            format!("Bearer {wrong_secret}"),
            format!("Bearer {token}x"),
            format!("Bearer {}", token.to_uppercase()),
            format!("Bearer {token} "),
        ] {
            assert_eq!(tokens.authenticate(Some(&header)), None, "{header:?}");
        }
        assert_eq!(tokens.authenticate(None), None);
        assert_eq!(Tokens::empty().authenticate(Some(&format!("Bearer {token}"))), None);
    }

    #[test]
    fn shows_names_but_neither_secret_nor_hash() {
        let (tokens, token) = one(&[Scope::EventsRead]);
        let shown = format!("{tokens:?}");
        let (_, secret) = split(&token).unwrap();
        assert!(shown.contains("alice"), "{shown}");
        assert!(!shown.contains(secret) && !shown.contains("digest"), "{shown}");
    }

    #[test]
    fn every_scope_has_one_name() {
        for &scope in Scope::ALL {
            assert_eq!(scope.as_str().parse::<Scope>().unwrap(), scope);
        }
        assert!("stanza:read".parse::<Scope>().is_err());
    }
}

//! `convoke token add`: a bearer token for a client of the gateway.

use std::io::{self, Write as _};

use convoke::gateways::{Scope, TokenError, Tokens};
use thiserror::Error;

use crate::cli::TokenAddArguments;

/// Why no token was added.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum TokenAddError {
    /// A name, a scope or the file is wrong, or the file cannot be written.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token was added but cannot be told.
    #[error("cannot write to the standard output: {0}; the token is lost, remove its entry from the token file")]
    Output(#[source] io::Error),
}

impl TokenAddError {
    /// Whether other arguments would help.
    pub(crate) fn is_wrong_input(&self) -> bool {
        use TokenError::{Name, NameTaken, NoScope, UnknownScope};
        matches!(self, Self::Token(Name(_) | NameTaken { .. } | NoScope | UnknownScope { .. }))
    }
}

/// Adds the token to its file and prints it: it is kept nowhere else.
pub(crate) fn add(arguments: &TokenAddArguments) -> Result<(), TokenAddError> {
    let scopes = arguments.scopes.iter().map(|scope| scope.parse()).collect::<Result<Vec<Scope>, _>>()?;
    let token = Tokens::add(&arguments.tokens, &arguments.name, &scopes)?;
    writeln!(io::stdout(), "{token}").map_err(TokenAddError::Output)
}

//! The requests that were granted: who asks again, because the answer got lost, is granted the same.

use std::collections::BTreeMap;
use std::time::Instant;

use convoke_xmpp::{Condition, Jid, StanzaError};

use crate::cloud::lease::{Grant, Request};

/// How many different requests are remembered; the oldest answered ones are forgotten first.
const REMEMBERED: usize = 10_000;

/// Requests by holder and name.
#[derive(Debug, Default)]
pub(super) struct Requests {
    granted: BTreeMap<(String, String), Granted>,
}

#[derive(Debug)]
struct Granted {
    request: Request,
    grant: Grant,
    at: Instant,
}

impl Requests {
    /// What the same request was granted; `conflict` if its name was used for another one.
    pub(super) fn find(&self, holder: &Jid, request: &Request) -> Result<Option<Grant>, StanzaError> {
        match self.granted.get(&key(holder, request)) {
            Some(granted) if granted.request != *request => {
                let text = "the same `req` was used for another request";
                Err(StanzaError::new(Condition::Conflict).with_text(text))
            }
            granted => Ok(granted.map(|granted| granted.grant.clone())),
        }
    }

    pub(super) fn remember(&mut self, holder: &Jid, request: Request, grant: Grant, at: Instant) {
        if self.granted.len() >= REMEMBERED
            && let Some(oldest) = self.granted.iter().min_by_key(|(_, granted)| granted.at).map(|(key, _)| key.clone())
        {
            self.granted.remove(&oldest);
        }
        self.granted.insert(key(holder, &request), Granted { request, grant, at });
    }

    /// Forgets what was granted by this lease.
    pub(super) fn forget(&mut self, lease: &str) {
        self.granted.retain(|_, granted| granted.grant.lease.id != lease);
    }
}

fn key(holder: &Jid, request: &Request) -> (String, String) {
    (holder.bare().to_owned(), request.req.clone())
}

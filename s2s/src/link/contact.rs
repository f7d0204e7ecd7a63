//! First contacts: who dials a domain for the first time while another link does, waits for what comes of that.
//!
//! Where the domains share a stream (XEP-0344) the second one rides on the stream of the first; else it dials for itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoke_xmpp::Domainpart;
use tokio_util::sync::CancellationToken;

/// The domains with which somebody negotiates a first stream; as many as there are links at most.
#[derive(Default)]
pub(crate) struct Contacts(Arc<Mutex<Table>>);

type Table = HashMap<Domainpart, CancellationToken>;

/// A first contact, until it is dropped: then there is a stream that others may ask, or none will come of it.
pub(crate) struct Contact {
    remote: Domainpart,
    over: CancellationToken,
    contacts: Arc<Mutex<Table>>,
}

impl Contacts {
    /// Begins a first contact with the domain, unless another one is being made: that is cancelled once it is over.
    pub(crate) fn begin(&self, remote: &Domainpart) -> Result<Contact, CancellationToken> {
        match lock(&self.0).entry(remote.clone()) {
            Entry::Occupied(other) => Err(other.get().clone()),
            Entry::Vacant(vacant) => {
                let over = vacant.insert(CancellationToken::new()).clone();
                Ok(Contact { remote: remote.clone(), over, contacts: Arc::clone(&self.0) })
            }
        }
    }
}

impl Drop for Contact {
    fn drop(&mut self) {
        lock(&self.contacts).remove(&self.remote);
        self.over.cancel();
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_for_the_first_and_no_longer() {
        let [b, c] = ["b.example", "c.example"].map(|name| Domainpart::new(name).unwrap());
        let contacts = Contacts::default();
        let first = contacts.begin(&b).ok().unwrap();
        let other = contacts.begin(&c).ok().unwrap();
        let over = contacts.begin(&b).err().unwrap();
        drop(other);
        assert!(!over.is_cancelled());
        drop(first);
        assert!(over.is_cancelled());
        assert!(contacts.begin(&b).is_ok());
    }
}

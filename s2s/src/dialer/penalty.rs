//! Which places have failed lately: they are tried last among their equals.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use convoke_xmpp::Domainpart;

use crate::target::Target;

/// How long the first penalty lasts: the next dial of a busy link falls into it.
const FIRST: Duration = Duration::from_secs(60);

/// How long any penalty lasts at most; each one after the first lasts twice as long as the one before. Who has come back
/// is in use again so soon.
const LONGEST: Duration = Duration::from_secs(600);

/// How many places are kept in mind. Beyond, the penalty that would end first is forgotten: at worst a dead place is tried
/// first once more.
const PLACES: usize = 4096;

/// A target of a domain as a whole, or one of its addresses.
///
/// The domain is part of it, so that nobody can spoil another domain's targets by naming them as his own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    domain: Domainpart,
    host: String,
    port: u16,
    address: Option<IpAddr>,
}

impl Place {
    pub(super) fn new(domain: &Domainpart, target: &Target, address: Option<IpAddr>) -> Self {
        Self { domain: domain.clone(), host: target.host.clone(), port: target.port, address }
    }
}

/// The places that have failed lately; bounded.
#[derive(Debug, Default)]
pub(crate) struct Penalties {
    places: Mutex<HashMap<Place, Penalty>>,
}

#[derive(Debug, Clone, Copy)]
struct Penalty {
    lasts: Duration,
    until: Instant,
}

impl Penalties {
    /// The place has failed.
    pub(super) fn blame(&self, place: Place, now: Instant) {
        let mut places = self.lock();
        let before = places.get(&place).filter(|penalty| penalty.is_remembered(now));
        let lasts = before.map_or(FIRST, |penalty| (penalty.lasts * 2).min(LONGEST));
        if places.len() >= PLACES && !places.contains_key(&place) {
            make_room(&mut places, now);
        }
        places.insert(place, Penalty { lasts, until: now + lasts });
    }

    /// The place has proved good.
    pub(super) fn absolve(&self, place: &Place) {
        self.lock().remove(place);
    }

    /// Whether the place has failed lately.
    pub(super) fn is_blamed(&self, place: &Place, now: Instant) -> bool {
        self.lock().get(place).is_some_and(|penalty| now < penalty.until)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Penalty>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Penalty {
    /// A place that fails again soon after its penalty gets a longer one.
    fn is_remembered(&self, now: Instant) -> bool {
        now < self.until + LONGEST
    }
}

fn make_room(places: &mut HashMap<Place, Penalty>, now: Instant) {
    places.retain(|_, penalty| penalty.is_remembered(now));
    if places.len() >= PLACES {
        let first = places.iter().min_by_key(|(_, penalty)| penalty.until).map(|(place, _)| place.clone());
        first.map(|place| places.remove(&place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn place(port: u16) -> Place {
        Place::new(&Domainpart::new("b.example").unwrap(), &Target::new("xmpp.b.example", port), None)
    }

    #[test]
    fn a_penalty_grows_from_one_minute_to_ten_and_ends() {
        let (penalties, mut now) = (Penalties::default(), Instant::now());
        for seconds in [60, 120, 240, 480, 600, 600] {
            penalties.blame(place(1), now);
            assert!(penalties.is_blamed(&place(1), now + (seconds - 1) * SECOND), "{seconds}");
            now += seconds * SECOND;
            assert!(!penalties.is_blamed(&place(1), now), "{seconds}");
        }
        now += LONGEST;
        penalties.blame(place(1), now);
        assert!(!penalties.is_blamed(&place(1), now + FIRST), "what is long ago counts for nothing");
    }

    #[test]
    fn a_success_ends_a_penalty_and_its_growth() {
        let (penalties, now) = (Penalties::default(), Instant::now());
        penalties.blame(place(1), now);
        penalties.absolve(&place(1));
        assert!(!penalties.is_blamed(&place(1), now));
        penalties.blame(place(1), now);
        assert!(!penalties.is_blamed(&place(1), now + FIRST));
    }

    #[test]
    fn keeps_a_bounded_number_of_places_and_forgets_the_oldest() {
        let (penalties, start) = (Penalties::default(), Instant::now());
        for port in 0..5000 {
            penalties.blame(place(port), start + u32::from(port) * Duration::from_micros(1));
        }
        assert_eq!(penalties.lock().len(), PLACES);
        let now = start + SECOND;
        assert!(!penalties.is_blamed(&place(903), now) && penalties.is_blamed(&place(904), now));
    }

    #[test]
    fn a_place_of_one_domain_is_none_of_another() {
        let (penalties, now) = (Penalties::default(), Instant::now());
        penalties.blame(place(1), now);
        let other = Place { domain: Domainpart::new("c.example").unwrap(), ..place(1) };
        assert!(!penalties.is_blamed(&other, now));
    }
}

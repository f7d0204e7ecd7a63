//! How much one address may ask of a listener before anybody has authenticated (RFC 6120, section 13.12).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many addresses are kept in mind.
const MAX_ADDRESSES: usize = 10_000;

/// What one address may do: an IPv4 address, or a network of IPv6 of 64 bits, which is what one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Connections at once that have not authenticated. Default 64: a host of many domains that starts anew dials for
    /// all of them.
    pub unauthenticated: u32,
    /// Connections that may come at once after a pause. Default 256.
    pub burst: u32,
    /// How long it takes until one more is allowed. Default 100 ms: ten a second in the long run.
    pub refill: Duration,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self { unauthenticated: 64, burst: 256, refill: Duration::from_millis(100) }
    }
}

/// Counts the connections of each address. Cheap to clone: all clones count together.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    limits: AdmissionLimits,
    counted: Arc<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    addresses: Mutex<HashMap<IpAddr, Visitor>>,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Visitor {
    unauthenticated: u32,
    /// Connections that are left of the burst.
    left: u32,
    /// When `left` was last right.
    at: Instant,
}

/// A connection that was let in, until it has authenticated.
#[derive(Debug)]
pub struct Admitted {
    admission: Admission,
    network: IpAddr,
}

impl Admission {
    /// Lets in within these limits.
    pub fn new(limits: AdmissionLimits) -> Self {
        Self { limits, counted: Arc::default() }
    }

    /// Lets a new connection in; to be kept until it has authenticated or ended. `None` if its address has too many.
    ///
    /// Beyond 10,000 addresses that have done something lately, further ones are not let in: whoever owns so many can
    /// flood anybody.
    pub fn admit(&self, address: IpAddr, now: Instant) -> Option<Admitted> {
        let network = network(address);
        if self.enter(network, now) {
            return Some(Admitted { admission: self.clone(), network });
        }
        self.counted.refused.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// How many connections were not let in so far.
    pub fn refused(&self) -> u64 {
        self.counted.refused.load(Ordering::Relaxed)
    }

    fn enter(&self, network: IpAddr, now: Instant) -> bool {
        let mut addresses = self.lock();
        if addresses.len() >= MAX_ADDRESSES && !addresses.contains_key(&network) {
            addresses.retain(|_, visitor| !visitor.is_forgettable(&self.limits, now));
            if addresses.len() >= MAX_ADDRESSES {
                return false;
            }
        }
        let new = Visitor { unauthenticated: 0, left: self.limits.burst, at: now };
        let visitor = addresses.entry(network).or_insert(new);
        visitor.enter(&self.limits, now)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Visitor>> {
        self.counted.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visitor {
    fn enter(&mut self, limits: &AdmissionLimits, now: Instant) -> bool {
        self.refill(limits, now);
        let welcome = self.left > 0 && self.unauthenticated < limits.unauthenticated;
        if welcome {
            self.left -= 1;
            self.unauthenticated += 1;
        }
        welcome
    }

    fn refill(&mut self, limits: &AdmissionLimits, now: Instant) {
        let each = limits.refill.max(Duration::from_nanos(1));
        let gained = now.saturating_duration_since(self.at).as_nanos() / each.as_nanos();
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(gained).min(limits.burst);
        // What does not make a whole one counts the next time.
        self.at = if self.left == limits.burst { now } else { self.at + each * gained };
    }

    fn is_forgettable(&mut self, limits: &AdmissionLimits, now: Instant) -> bool {
        self.refill(limits, now);
        self.unauthenticated == 0 && self.left == limits.burst
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(visitor) = self.admission.lock().get_mut(&self.network) {
            visitor.unauthenticated -= 1;
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AdmissionLimits =
        AdmissionLimits { unauthenticated: 2, burst: 4, refill: Duration::from_millis(100) };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_only_so_many_connections_that_have_not_authenticated() {
        let (admission, now) = (Admission::new(LIMITS), Instant::now());
        let admit = |text| admission.admit(address(text), now);
        let (first, second) = (admit("192.0.2.1"), admit("192.0.2.1"));
        assert!(first.is_some() && second.is_some() && admit("192.0.2.1").is_none());
        assert!(admit("192.0.2.2").is_some(), "another address is another matter");
        drop(first);
        assert!(admit("192.0.2.1").is_some());
    }

    #[test]
    fn an_address_makes_its_burst_of_attempts_and_then_one_at_a_time() {
        let (admission, begin) = (Admission::new(LIMITS), Instant::now());
        let tries = |now| (0..10).filter(|_| admission.admit(address("192.0.2.1"), now).is_some()).count();
        assert_eq!(tries(begin), 4);
        assert_eq!(tries(begin + Duration::from_millis(99)), 0);
        assert_eq!(tries(begin + Duration::from_millis(150)), 1);
        assert_eq!(tries(begin + Duration::from_millis(200)), 1);
        assert_eq!(tries(begin + Duration::from_secs(60)), 4);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let (admission, now) = (Admission::new(LIMITS), Instant::now());
        let admit = |text| admission.admit(address(text), now);
        let held = (admit("2001:db8::1"), admit("2001:db8::2"));
        assert!(held.0.is_some() && held.1.is_some() && admit("2001:db8::3").is_none());
        assert!(admit("2001:db8:0:1::1").is_some());
        let mapped = (admit("::ffff:192.0.2.1"), admit("192.0.2.1"));
        assert!(mapped.0.is_some() && mapped.1.is_some() && admit("192.0.2.1").is_none());
    }

    #[test]
    fn only_so_many_addresses_are_kept_in_mind_and_quiet_ones_are_forgotten() {
        let (admission, begin) = (Admission::new(LIMITS), Instant::now());
        let nth = |n: usize| IpAddr::from((n as u32).to_be_bytes());
        let all = (0..=MAX_ADDRESSES).filter(|n| admission.admit(nth(*n), begin).is_some()).count();
        assert_eq!(all, MAX_ADDRESSES);
        assert!(admission.admit(nth(MAX_ADDRESSES), begin + Duration::from_secs(1)).is_some());
        assert_eq!(admission.lock().len(), 1);
        assert_eq!(admission.refused(), 1);
    }
}

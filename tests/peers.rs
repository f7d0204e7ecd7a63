//! Convoke and the servers of other makers as neighbours: what each sends the other arrives, over real sockets, found by
//! SRV records, with STARTTLS or direct TLS, with SASL EXTERNAL and without dialback, unless policy names a domain for that.
//!
//! What is shown is seen from outside of Convoke: in what a raw client at the peer gets, and in the peer's own log.

/// Runs each of these functions with each peer, found by STARTTLS, as tests of two modules.
macro_rules! with_each_peer {
    ($($test:ident),+ $(,)?) => {
        $crate::peers::tests_of! { prosody: (Software::Prosody), $($test),+ }
        $crate::peers::tests_of! { ejabberd: (Software::Ejabberd), $($test),+ }
    };
}

/// One module of tests, each of which calls a function with these arguments.
macro_rules! tests_of {
    ($module:ident: $arguments:tt, $($test:ident),+) => {
        mod $module {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test $arguments.await;
                }
            )+
        }
    };
}

use {tests_of, with_each_peer};

mod bursts;
mod dialback;
mod discovery;
mod leases;
mod negotiation;
mod neighbours;
mod nodes;
mod outages;
mod presence;
mod pubsub;
mod refusals;
mod restarts;
mod silence;
mod sizes;
mod ways;

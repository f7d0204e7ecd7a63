//! One simulation, from its seed to its verdict.

use std::sync::Arc;
use std::time::Duration;

use turmoil::{Builder, Sim};

use crate::certificates::Certificates;
use crate::intruder;
use crate::ledger::Ledger;
use crate::names::{DOMAINS, MALLORY};
use crate::node;
use crate::plan::{END, Fault, Plan};
use crate::random;
use crate::world::World;

/// Between two looks at the network; timers within a host are exact.
const TICK: Duration = Duration::from_millis(10);

/// Runs the simulation of a seed and tells what was seen.
pub(crate) fn run(seed: u64, certificates: &Arc<Certificates>) -> Ledger {
    random::seed(seed);
    let world = World::new(Plan::new(seed), Arc::clone(certificates));
    let mut sim = network(seed, world.plan.latency);
    for (me, name) in DOMAINS.into_iter().enumerate() {
        let world = Arc::clone(&world);
        sim.host(name, move || node::run(Arc::clone(&world), me));
    }
    let attacked = Arc::clone(&world);
    sim.host(MALLORY, move || intruder::attack(Arc::clone(&attacked), seed));
    let mut faults = world.plan.faults.iter().peekable();
    while sim.elapsed() < END {
        while let Some((_, fault)) = faults.next_if(|(time, _)| *time <= sim.elapsed()) {
            world.ledger().fault(sim.elapsed(), *fault);
            befall(&mut sim, &world, *fault);
        }
        sim.step().expect("no host fails");
    }
    let ended = DOMAINS.into_iter().filter(|name| !sim.is_host_running(*name)).count();
    world.ledger().close(sim.elapsed(), ended);
    std::mem::take(&mut *world.ledger())
}

fn network(seed: u64, latency: Duration) -> Sim<'static> {
    Builder::new()
        .rng_seed(seed)
        .tick_duration(TICK)
        .simulation_duration(END * 2)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(latency)
        // Segments that a sender has room for until the other side has read some.
        .tcp_capacity(32)
        .build()
}

fn befall(sim: &mut Sim<'_>, world: &World, fault: Fault) {
    let name = |host: usize| DOMAINS[host];
    match fault {
        Fault::Partition(one, other) => sim.partition(name(one), name(other)),
        Fault::PartitionOneWay(from, to) => sim.partition_oneway(name(from), name(to)),
        Fault::Repair(one, other) => sim.repair(name(one), name(other)),
        Fault::Hold(one, other) => sim.hold(name(one), name(other)),
        Fault::Release(one, other) => sim.release(name(one), name(other)),
        Fault::Slow(one, other, latency) => sim.set_link_latency(name(one), name(other), latency),
        Fault::Crash(host) => world.crash(host),
        Fault::Restart(host) => sim.bounce(name(host)),
        Fault::Hijack(domain) => world.hijack(domain, true),
        Fault::Honest(domain) => world.hijack(domain, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_takes_the_same_course() {
        for seed in 0..5 {
            // Other keys and signatures each time: the course does not depend on them.
            let [first, second] = [(); 2].map(|()| run(seed, &Arc::new(Certificates::new())));
            let same = first.trace.iter().zip(&second.trace).take_while(|(one, other)| one == other).count();
            assert_eq!(first.trace.get(same), second.trace.get(same), "seed {seed}, event {same}");
            assert!(first.trace.len() > 1000, "{}", first.trace.len());
        }
    }

    #[test]
    fn another_seed_takes_another_course() {
        let certificates = Arc::new(Certificates::new());
        assert_ne!(run(1, &certificates).trace, run(2, &certificates).trace);
    }
}

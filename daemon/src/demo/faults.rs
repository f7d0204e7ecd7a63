//! The trouble that the demonstration makes, and how soon it is noticed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use convoke::cloud::{Departure, Volunteer};
use convoke::xmpp::Jid;

use super::TASKS;
use super::house::House;

/// What happens to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A volunteer's session dies without a word.
    Crash,
    /// A volunteer stops answering, and does not know it.
    Freeze,
    /// A volunteer says goodbye.
    Leave,
    /// The connections to the first lender break.
    CutLink,
    /// The frozen volunteers go on where they stopped.
    Thaw,
}

/// When, in hundredths of the work.
const SCRIPT: [(u64, Fault); 12] = [
    (5, Fault::Crash),
    (10, Fault::Freeze),
    (15, Fault::Leave),
    (20, Fault::Crash),
    (30, Fault::CutLink),
    (35, Fault::Freeze),
    (40, Fault::Crash),
    (45, Fault::Freeze),
    (50, Fault::CutLink),
    (55, Fault::Crash),
    (60, Fault::Leave),
    (75, Fault::Thaw),
];

/// Makes the trouble, and notes when the scheduler learns of it.
pub(super) struct Faults {
    script: std::vec::IntoIter<(u64, Fault)>,
    next: Option<(u64, Fault)>,
    /// Who was hit, when and how, and is not missed yet.
    unnoticed: HashMap<Jid, (Instant, Fault)>,
    detections: Detections,
    /// Kept, since they are to thaw.
    frozen: Vec<Volunteer>,
}

/// How soon each fault was noticed.
#[derive(Debug, Default)]
pub(crate) struct Detections {
    /// Fault, verdict and delay of each.
    pub(crate) noticed: Vec<(Fault, Departure, Duration)>,
    /// How often each fault was made.
    pub(crate) made: std::collections::BTreeMap<Fault, u64>,
    /// Nodes that were missed although nothing was done to them.
    pub(crate) false_alarms: u64,
}

impl Faults {
    pub(super) fn new() -> Self {
        let mut script = SCRIPT.to_vec().into_iter();
        let next = script.next();
        Self { script, next, unnoticed: HashMap::new(), detections: Detections::default(), frozen: Vec::new() }
    }

    /// Makes what is due when so many tasks are done.
    pub(super) async fn make(&mut self, done: u64, house: &mut House) {
        while let Some((_, fault)) = self.next.filter(|(percent, _)| done * 100 >= percent * TASKS) {
            self.next = self.script.next();
            *self.detections.made.entry(fault).or_default() += 1;
            match fault {
                Fault::CutLink => house.cut_link(),
                Fault::Thaw => self.frozen.iter().for_each(Volunteer::resume),
                Fault::Crash | Fault::Freeze | Fault::Leave => self.hit(fault, house).await,
            }
        }
    }

    async fn hit(&mut self, fault: Fault, house: &mut House) {
        let Some(volunteer) = house.volunteers.pop() else { return };
        self.unnoticed.insert(volunteer.jid().clone(), (Instant::now(), fault));
        match fault {
            Fault::Freeze => {
                volunteer.pause();
                self.frozen.push(volunteer);
            }
            Fault::Leave => {
                volunteer.leave().await;
            }
            _ => drop(volunteer),
        }
    }

    /// The scheduler misses a node.
    pub(super) fn detected(&mut self, node: &Jid, why: Departure) {
        match self.unnoticed.remove(node) {
            Some((since, fault)) => self.detections.noticed.push((fault, why, since.elapsed())),
            None => self.detections.false_alarms += 1,
        }
    }

    pub(super) fn into_detections(self) -> Detections {
        self.detections
    }
}

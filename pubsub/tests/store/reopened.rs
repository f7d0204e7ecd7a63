//! One suite for both stores: a service that is opened again answers every question as it did before.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use convoke_pubsub::{PubSubConfig, PubSubService};
use convoke_store::{MemoryStore, RedbStore, Store};
use convoke_xmpp::{Jid, Kind, Origin, Service, Stanza};

use super::child::DEADLINE;
use crate::support::{Numbers, Recorder, open_config, request};

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const OWN: &str = "http://jabber.org/protocol/pubsub#owner";
const HAMLET: &str = "hamlet@denmark.lit/elsinore";

/// How often the service is opened again, and how much happens in between.
const ROUNDS: usize = 12;
const REQUESTS: usize = 40;

/// A service whose store answers when it likes.
struct Opened {
    service: PubSubService,
    router: Recorder,
    woken: Receiver<()>,
}

impl Opened {
    fn new(store: Arc<dyn Store>) -> Self {
        let address = Jid::new("pubsub.shakespeare.lit").unwrap();
        let config = PubSubConfig { max_items_per_node: 5, ..open_config() };
        let (wake, woken) = sync_channel(1);
        let service = PubSubService::open(address, config, store).unwrap();
        service.on_wake(move || {
            let _ = wake.try_send(());
        });
        Self { service, router: Recorder::default(), woken }
    }

    /// The answer to a request.
    fn ask(&self, request: &str) -> Stanza {
        self.service.handle(Stanza::parse(request).unwrap(), &Origin::Local, &self.router);
        loop {
            let answer = self.router.take().into_iter().find(|stanza| matches!(stanza.kind(), Kind::Iq(_)));
            if let Some(answer) = answer {
                return answer;
            }
            self.woken.recv_timeout(DEADLINE).expect("every request is answered");
            self.service.advance(&self.router);
        }
    }

    /// Everything that can be asked of the service, and its answers.
    fn picture(&self) -> Vec<String> {
        let discover = |what: &str, node: &str| {
            let query = format!("<query xmlns='http://jabber.org/protocol/disco#{what}'{node}/>");
            format!("<iq type='get' from='{HAMLET}' to='pubsub.shakespeare.lit' id='r'>{query}</iq>")
        };
        let mut questions = vec![discover("items", "")];
        for who in [HAMLET, "francisco@denmark.lit", "bernardo@denmark.lit"] {
            questions.extend(["<subscriptions/>", "<affiliations/>"].map(|verb| request(who, "get", PUBSUB, verb)));
        }
        for node in NODES {
            questions.push(discover("info", &format!(" node='{node}'")));
            questions.push(request(HAMLET, "get", PUBSUB, &format!("<items node='{node}'/>")));
            let verbs = ["configure", "subscriptions", "affiliations"];
            questions.extend(verbs.map(|verb| request(HAMLET, "get", OWN, &format!("<{verb} node='{node}'/>"))));
        }
        questions.iter().map(|question| self.ask(question).text().into_owned()).collect()
    }
}

const NODES: [&str; 3] = ["a", "b", "c"];

/// One request of those that change something; few names, so that they meet.
fn random_request(numbers: &mut Numbers) -> String {
    let node = NODES[numbers.below(3) as usize];
    let (id, number) = (numbers.below(8), numbers.below(9));
    let who = ["francisco@denmark.lit", "bernardo@denmark.lit/post"][numbers.below(2) as usize];
    let hamlet = |namespace, verb: String| request(HAMLET, "set", namespace, &verb);
    match numbers.below(20) {
        0..=2 => hamlet(PUBSUB, format!("<create node='{node}'/>")),
        3 if number < 3 => hamlet(OWN, format!("<delete node='{node}'/>")),
        3 => hamlet(OWN, format!("<delete node='{node}'><redirect uri='xmpp:elsewhere.lit?;node={number}'/></delete>")),
        4 => hamlet(OWN, format!("<purge node='{node}'/>")),
        5 | 6 => hamlet(OWN, configure(node, number)),
        7 | 8 => hamlet(OWN, affiliate(node, who, ["member", "publisher", "outcast", "none"][id as usize % 4])),
        9..=11 => request(who, "set", PUBSUB, &format!("<subscribe node='{node}' jid='{who}'/>")),
        12 => request(who, "set", PUBSUB, &format!("<unsubscribe node='{node}' jid='{who}'/>")),
        13 => hamlet(PUBSUB, format!("<retract node='{node}' notify='true'><item id='{id}'/></retract>")),
        _ => hamlet(
            PUBSUB,
            format!("<publish node='{node}'><item id='{id}'><n xmlns='urn:n'>{number}</n></item></publish>"),
        ),
    }
}

fn configure(node: &str, number: u64) -> String {
    let field = |name: &str, value: &str| format!("<field var='{name}'><value>{value}</value></field>");
    let fields = [
        field("FORM_TYPE", "http://jabber.org/protocol/pubsub#node_config"),
        field("pubsub#title", &format!("title {number}")),
        field("pubsub#max_items", &(1 + number % 5).to_string()),
        field("pubsub#access_model", ["open", "whitelist", "authorize"][number as usize % 3]),
    ];
    let form = format!("<x xmlns='jabber:x:data' type='submit'>{}</x>", fields.concat());
    format!("<configure node='{node}'>{form}</configure>")
}

fn affiliate(node: &str, who: &str, affiliation: &str) -> String {
    let bare = who.split('/').next().unwrap();
    format!("<affiliations node='{node}'><affiliation jid='{bare}' affiliation='{affiliation}'/></affiliations>")
}

/// `open` gives the store that was given back before, as a later process finds it.
fn is_the_same_when_opened_again(mut open: impl FnMut() -> Arc<dyn Store>) {
    let mut numbers = Numbers::new(60);
    let (mut before, mut accepted) = (Opened::new(open()).picture(), 0);
    for round in 0..ROUNDS {
        let service = Opened::new(open());
        assert_eq!(service.picture(), before, "round {round}");
        for _ in 0..REQUESTS {
            accepted += usize::from(service.ask(&random_request(&mut numbers)).error().is_none());
        }
        before = service.picture();
    }
    assert!(accepted > ROUNDS * REQUESTS / 4, "{accepted}");
}

#[test]
fn a_service_in_memory_is_the_same_when_it_is_opened_again() {
    let store = Arc::new(MemoryStore::new());
    is_the_same_when_opened_again(|| store.clone());
}

#[test]
fn a_service_on_disk_is_the_same_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    is_the_same_when_opened_again(|| Arc::new(RedbStore::open(directory.path()).unwrap()));
}

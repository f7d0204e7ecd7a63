//! A service that the test plays, stanza by stanza.

use std::time::Duration;

use convoke_xmpp::{Condition, Element, Jid, Stanza, StanzaError};

use super::{Load, load};
use crate::nodes::{Interruption, Node, NodeEvent, Subscription, SubscriptionConfig};
use crate::{Component, Domain, RequestError};

const SERVICE: &str = "pubsub@b.example";

/// A follower in one domain and a service in another, both in this process and in virtual time.
struct Stage {
    domain: Domain,
    service: Component,
    reader: Component,
    loads: Subscription<Load>,
}

impl Stage {
    async fn new(config: SubscriptionConfig) -> Self {
        let domain = Domain::builder("a.example").also_serve("b.example").start().await.unwrap();
        let reader = domain.component("reader").unwrap();
        let service = domain.sibling("b.example").unwrap().component("pubsub").unwrap();
        let loads = reader.subscribe(&Node::at(Jid::new(SERVICE).unwrap()), config);
        Self { domain, service, reader, loads }
    }

    /// A follower that has got this snapshot.
    async fn following(config: SubscriptionConfig, snapshot: &str) -> Self {
        let mut stage = Self::new(config).await;
        let event = stage.next_after(&[("subscribe", ""), ("items", snapshot)]).await;
        assert!(matches!(event, NodeEvent::Snapshot(_)), "{event:?}");
        stage
    }

    /// The next event, while the service gets these requests and answers them so.
    async fn next_after(&mut self, exchange: &[(&str, &str)]) -> NodeEvent<Load> {
        let (event, ()) = tokio::join!(self.loads.next(), play(&mut self.service, exchange));
        event.expect("a running domain")
    }

    async fn next(&mut self) -> NodeEvent<Load> {
        self.next_after(&[]).await
    }

    fn notify(&self, content: &str) {
        let text = format!("<message type='headline'>{content}</message>");
        self.service.send(Stanza::parse(&text).unwrap().with_to(self.reader.jid())).unwrap();
    }
}

/// Answers requests: each is named by its verb, and by the item behind which items are asked for. An answer beginning
/// with `!` is the error of that condition.
async fn play(service: &mut Component, exchange: &[(&str, &str)]) {
    for (expected, answer) in exchange {
        let request = loop {
            let (stanza, _) = service.receive().await.unwrap();
            if stanza.is_request() {
                break stanza;
            }
        };
        let payload = request.payload().unwrap();
        assert_eq!(name(&payload), *expected, "{payload}");
        service.reply(&request, read_answer(answer));
    }
}

fn name(payload: &Element) -> String {
    let verb = payload.children().next().unwrap();
    assert_eq!(verb.attribute("node"), Some("loads"));
    let after =
        payload.find("set", "http://jabber.org/protocol/rsm").and_then(|set| set.find("after", set.namespace()));
    match (after, verb.attribute("max_items")) {
        (Some(after), _) => format!("{} after {}", verb.name(), after.content()),
        (None, Some(max)) => format!("newest {max}"),
        (None, None) => verb.name().to_owned(),
    }
}

fn read_answer(answer: &str) -> Result<Option<Element>, StanzaError> {
    match answer {
        "" => Ok(None),
        "!item-not-found" => Err(Condition::ItemNotFound.into()),
        "!forbidden" => Err(Condition::Forbidden.into()),
        _ => Ok(Some(Element::parse(answer).unwrap())),
    }
}

fn position(sequence: u64) -> String {
    format!("<position xmlns='urn:convoke:pubsub:0' inc='i' seq='{sequence}'/>")
}

fn item(load: &Load) -> String {
    format!("<item id='{}'><load xmlns='urn:example:load' percent='{}'/></item>", load.machine, load.percent)
}

/// The result of a request for items.
fn items(loads: &[Load], rest: &str) -> String {
    let items: String = loads.iter().map(item).collect();
    format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='loads'>{items}</items>{rest}</pubsub>")
}

fn event(content: &str) -> String {
    format!("<event xmlns='http://jabber.org/protocol/pubsub#event'>{content}</event>")
}

fn published(load: &Load) -> String {
    event(&format!("<items node='loads'>{}</items>", item(load)))
}

fn retracted(machine: &str) -> String {
    event(&format!("<items node='loads'><retract id='{machine}'/></items>"))
}

fn numbered(event: String, sequence: u64) -> String {
    event + &position(sequence)
}

fn snapshot<const N: usize>(loads: [Load; N]) -> NodeEvent<Load> {
    NodeEvent::Snapshot(loads.into())
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_comes_first_then_every_change_and_nothing_twice() {
    let mut stage = Stage::new(SubscriptionConfig::default()).await;
    // The last item, sent for the new subscription, and a change that the snapshot has already.
    stage.notify(&numbered(published(&load("old", 1)), 4));
    let listed = items(&[load("a", 10), load("b", 20)], &position(5));
    let first = stage.next_after(&[("subscribe", ""), ("items", &listed)]).await;
    assert_eq!(first, snapshot([load("a", 10), load("b", 20)]));
    stage.notify(&numbered(published(&load("b", 20)), 5));
    stage.notify(&published(&load("unnumbered", 0)));
    stage.notify(&numbered(published(&load("a", 11)), 6));
    stage.notify(&numbered(retracted("b"), 7));
    // A change that is not about items counts all the same.
    stage.notify(&numbered(event("<configuration node='loads'/>"), 8));
    stage.notify(&numbered(event("<purge node='loads'/>"), 9));
    assert_eq!(stage.next().await, NodeEvent::Published(load("a", 11)));
    assert_eq!(stage.next().await, NodeEvent::Retracted("b".to_owned()));
    assert_eq!(stage.next().await, NodeEvent::Purged);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_stands_for_several_changes_is_no_gap() {
    let mut stage = Stage::following(SubscriptionConfig::default(), &items(&[], &position(5))).await;
    let digest = event(&format!("<items node='loads'>{}{}</items>", item(&load("a", 1)), item(&load("b", 2))));
    stage.notify(&(digest + "<position xmlns='urn:convoke:pubsub:0' inc='i' first='6' seq='9'/>"));
    stage.notify(&numbered(retracted("a"), 10));
    assert_eq!(stage.next().await, NodeEvent::Published(load("a", 1)));
    assert_eq!(stage.next().await, NodeEvent::Published(load("b", 2)));
    assert_eq!(stage.next().await, NodeEvent::Retracted("a".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_recalled_is_not_the_change_that_led_there() {
    let mut stage =
        Stage::following(SubscriptionConfig::default(), &items(&[load("a", 1), load("b", 2)], &position(5))).await;
    // `a` was retracted, and nobody told; then the check subscribes again.
    stage.notify(&numbered(published(&load("b", 2)), 6).replace("seq=", "recalled='true' seq="));
    let exchange = [("subscribe", ""), ("items after b", &*items(&[], &position(6)))];
    assert_eq!(stage.next_after(&exchange).await, NodeEvent::Gap { missed: Some(1) });
    let listed = items(&[load("b", 2)], &position(6));
    assert_eq!(stage.next_after(&[("items", &listed)]).await, snapshot([load("b", 2)]));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_was_ended_by_an_owner_is_asked_for_again() {
    let mut stage = Stage::following(SubscriptionConfig::default(), &items(&[], &position(5))).await;
    let ended = |jid| event(&format!("<subscription node='loads' jid='{jid}' subscription='none'/>"));
    stage.notify(&ended("somebody@else.example"));
    stage.notify(&ended("reader@a.example"));
    let told = stage.next_after(&[("subscribe", "!forbidden")]).await;
    assert!(matches!(told, NodeEvent::Interrupted(Interruption::Request(_))), "{told:?}");
    let exchange = [("subscribe", ""), ("newest 1", &*items(&[], &position(5)))];
    assert_eq!(stage.next_after(&exchange).await, NodeEvent::Resumed);
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_publications_is_filled_with_the_items_behind_the_newest_one_known() {
    let mut stage = Stage::following(SubscriptionConfig::default(), &items(&[load("a", 1)], &position(5))).await;
    stage.notify(&numbered(published(&load("d", 4)), 8));
    let missed = items(&[load("b", 2), load("c", 3), load("d", 4)], &position(8));
    let told = stage.next_after(&[("subscribe", ""), ("items after a", &missed)]).await;
    assert_eq!(told, NodeEvent::Gap { missed: Some(3) });
    for missed in [load("b", 2), load("c", 3), load("d", 4)] {
        assert_eq!(stage.next().await, NodeEvent::Published(missed));
    }
    // The next one continues behind it.
    stage.notify(&numbered(published(&load("e", 5)), 9));
    assert_eq!(stage.next().await, NodeEvent::Published(load("e", 5)));
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_items_do_not_account_for_is_filled_with_a_snapshot() {
    for (answer, missed) in [
        // One of the three was a retraction, or replaced another.
        (items(&[load("c", 3), load("d", 4)], &position(8)), Some(3)),
        // The newest item that was known is gone.
        ("!item-not-found".to_owned(), None),
        // The node was made anew.
        (items(&[], "<position xmlns='urn:convoke:pubsub:0' inc='j' seq='8'/>"), None),
        // The service does not number its changes any more.
        (items(&[], ""), None),
    ] {
        let mut stage = Stage::following(SubscriptionConfig::default(), &items(&[load("a", 1)], &position(5))).await;
        stage.notify(&numbered(published(&load("d", 4)), 8));
        let listed = items(&[load("c", 3), load("d", 4)], &position(8));
        let exchange = [("subscribe", ""), ("items after a", &*answer), ("items", &*listed)];
        let (first, ()) = tokio::join!(
            async { (stage.loads.next().await.unwrap(), stage.loads.next().await.unwrap()) },
            play(&mut stage.service, &exchange)
        );
        assert_eq!(first, (NodeEvent::Gap { missed }, snapshot([load("c", 3), load("d", 4)])));
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_incarnation_is_a_gap_and_a_new_snapshot() {
    let mut stage = Stage::following(SubscriptionConfig::default(), &items(&[load("a", 1)], &position(5))).await;
    stage.notify(&(published(&load("b", 2)) + "<position xmlns='urn:convoke:pubsub:0' inc='j' seq='1'/>"));
    let anew = items(&[load("b", 2)], "<position xmlns='urn:convoke:pubsub:0' inc='j' seq='1'/>");
    let exchange = [("subscribe", ""), ("items after a", "!item-not-found"), ("items", &*anew)];
    assert_eq!(stage.next_after(&exchange[..2]).await, NodeEvent::Gap { missed: None });
    assert_eq!(stage.next_after(&exchange[2..]).await, snapshot([load("b", 2)]));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_too_slow_is_told_of_the_gap_behind_what_it_has() {
    let config = SubscriptionConfig { max_waiting: 2, ..SubscriptionConfig::default() };
    let mut stage = Stage::following(config, &items(&[load("a", 0)], &position(1))).await;
    for sequence in 2..=5 {
        stage.notify(&numbered(published(&load(&format!("m{sequence}"), 1)), sequence));
    }
    assert_eq!(stage.next().await, NodeEvent::Published(load("m2", 1)));
    assert_eq!(stage.next().await, NodeEvent::Published(load("m3", 1)));
    let missed = items(&[load("m4", 1), load("m5", 1)], &position(5));
    let told = stage.next_after(&[("subscribe", ""), ("items after m3", &missed)]).await;
    assert_eq!(told, NodeEvent::Gap { missed: Some(2) });
    assert_eq!(stage.next().await, NodeEvent::Published(load("m4", 1)));
    assert_eq!(stage.next().await, NodeEvent::Published(load("m5", 1)));
}

#[tokio::test(start_paused = true)]
async fn a_service_without_positions_is_followed_and_asked_for_a_snapshot_after_a_gap_and_at_each_check() {
    let config = SubscriptionConfig { max_waiting: 2, ..SubscriptionConfig::default() };
    let mut stage = Stage::following(config, &items(&[load("a", 0)], "")).await;
    for percent in 1..=3 {
        stage.notify(&published(&load("a", percent)));
    }
    assert_eq!(stage.next().await, NodeEvent::Published(load("a", 1)));
    assert_eq!(stage.next().await, NodeEvent::Published(load("a", 2)));
    assert_eq!(stage.next().await, NodeEvent::Gap { missed: Some(1) });
    let now = items(&[load("a", 3)], "");
    assert_eq!(stage.next_after(&[("subscribe", ""), ("items", &now)]).await, snapshot([load("a", 3)]));
    // Nothing is heard for long.
    assert_eq!(stage.next_after(&[("subscribe", ""), ("items", &now)]).await, snapshot([load("a", 3)]));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_finds_nothing_new_tells_nothing() {
    let mut stage = Stage::following(SubscriptionConfig::default(), &items(&[load("a", 0)], &position(3))).await;
    let check = items(&[], &position(3));
    let exchange = [("subscribe", ""), ("items after a", &*check), ("subscribe", ""), ("items after a", &*check)];
    let quiet = tokio::time::timeout(Duration::from_secs(650), stage.next_after(&exchange)).await;
    assert!(quiet.is_err(), "{quiet:?}");
    stage.notify(&numbered(retracted("a"), 4));
    assert_eq!(stage.next().await, NodeEvent::Retracted("a".to_owned()));
    // Now no item is known behind which others could be.
    let exchange = [("subscribe", ""), ("newest 1", &*items(&[], &position(4)))];
    let quiet = tokio::time::timeout(Duration::from_secs(350), stage.next_after(&exchange)).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[tokio::test(start_paused = true)]
async fn a_check_finds_what_nobody_told() {
    let mut stage = Stage::following(SubscriptionConfig::default(), &items(&[load("a", 0)], &position(3))).await;
    let check = items(&[load("b", 1)], &position(4));
    let told = stage.next_after(&[("subscribe", ""), ("items after a", &check)]).await;
    assert_eq!(told, NodeEvent::Gap { missed: Some(1) });
    assert_eq!(stage.next().await, NodeEvent::Published(load("b", 1)));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_several_pages_is_that_of_the_last_one() {
    let mut stage = Stage::new(SubscriptionConfig::default()).await;
    let set = |index, last| {
        format!(
            "<set xmlns='http://jabber.org/protocol/rsm'><first index='{index}'/><last>{last}</last><count>3</count></set>"
        )
    };
    let exchange = [
        ("subscribe", String::new()),
        ("items", items(&[load("a", 1), load("b", 1)], &(set(0, "b") + &position(7)))),
        // Meanwhile `a` was retracted, `b` published again, and `d` came.
        ("items after b", items(&[load("c", 1), load("b", 2), load("d", 1)], &(set(0, "d") + &position(10)))),
    ];
    let exchange: Vec<_> = exchange.iter().map(|(request, answer)| (*request, &**answer)).collect();
    let first = async {
        play(&mut stage.service, &exchange[..2]).await;
        for (sequence, change) in [(8, retracted("a")), (9, published(&load("b", 2))), (10, published(&load("d", 1)))] {
            let text = format!("<message>{}</message>", numbered(change, sequence));
            stage.service.send(Stanza::parse(&text).unwrap().with_to(stage.reader.jid())).unwrap();
        }
        play(&mut stage.service, &exchange[2..]).await;
    };
    let (event, ()) = tokio::join!(stage.loads.next(), first);
    assert_eq!(event, Some(snapshot([load("c", 1), load("b", 2), load("d", 1)])));
    stage.notify(&numbered(published(&load("e", 1)), 11));
    assert_eq!(stage.next().await, NodeEvent::Published(load("e", 1)));
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_service_that_numbers_no_changes_hold_each_item_once_as_it_is_on_the_last_one() {
    let mut stage = Stage::new(SubscriptionConfig::default()).await;
    let set = |index: usize, last| {
        let place = format!("<first index='{index}'/><last>{last}</last><count>4</count>");
        format!("<set xmlns='http://jabber.org/protocol/rsm'>{place}</set>")
    };
    let first = items(&[load("a", 1), load("b", 1)], &set(0, "b"));
    let rest = items(&[load("c", 1), load("a", 2)], &set(2, "a"));
    // The first time, the item behind which the second page would begin is gone.
    let exchange = [
        ("subscribe", ""),
        ("items", &*first),
        ("items after b", "!item-not-found"),
        ("subscribe", ""),
        ("items", &*first),
        ("items after b", &*rest),
    ];
    assert_eq!(stage.next_after(&exchange).await, snapshot([load("b", 1), load("c", 1), load("a", 2)]));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_whose_pages_do_not_fit_together_is_taken_again() {
    let mut stage = Stage::new(SubscriptionConfig::default()).await;
    let place = "<first index='0'/><last>a</last><count>2</count>";
    let set = format!("<set xmlns='http://jabber.org/protocol/rsm'>{place}</set>");
    let first = items(&[load("a", 1)], &(set + &position(7)));
    // Two changes, of which nobody has told.
    let rest = items(&[load("c", 1)], &position(9));
    let now = items(&[load("c", 1)], &position(9));
    let told = stage.next_after(&[("subscribe", ""), ("items", &first), ("items after a", &rest)]).await;
    assert_eq!(told, snapshot([load("a", 1), load("c", 1)]));
    assert_eq!(stage.next_after(&[("subscribe", ""), ("newest 1", &now)]).await, NodeEvent::Gap { missed: Some(2) });
    assert_eq!(stage.next_after(&[("items", &now)]).await, snapshot([load("c", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_once_and_the_subscription_tries_on() {
    let mut stage = Stage::new(SubscriptionConfig::default()).await;
    let refused = |condition: Condition| {
        let (to, error) = (Jid::new(SERVICE).unwrap(), condition.into());
        NodeEvent::Interrupted(Interruption::Request(RequestError::Refused { to, error }))
    };
    let told = stage.next_after(&[("subscribe", "!item-not-found")]).await;
    assert_eq!(told, refused(Condition::ItemNotFound));
    let told = stage.next_after(&[("subscribe", "!item-not-found"), ("subscribe", "!forbidden")]).await;
    assert_eq!(told, refused(Condition::Forbidden));
    let listed = items(&[], &position(1));
    assert_eq!(stage.next_after(&[("subscribe", ""), ("items", &listed)]).await, snapshot([]));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_deleted_and_is_made_again_is_followed_again() {
    let mut stage = Stage::following(SubscriptionConfig::default(), &items(&[], &position(5))).await;
    stage.notify(&numbered(event("<delete node='loads'><redirect uri='xmpp:x@y'/></delete>"), 6));
    assert_eq!(stage.next().await, NodeEvent::Deleted { redirect: Some("xmpp:x@y".to_owned()) });
    let listed = items(&[load("a", 1)], &position(1));
    assert_eq!(stage.next_after(&[("subscribe", ""), ("items", &listed)]).await, snapshot([load("a", 1)]));
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_something_else_is_told_as_unreadable_and_the_rest_is_read() {
    let other = "<item id='x'><other xmlns='urn:x'/></item><item id='y'/>";
    let listed = items(&[load("a", 1)], &position(5)).replace("</items>", &format!("{other}</items>"));
    let mut stage = Stage::following(SubscriptionConfig::default(), &listed).await;
    for _ in 0..2 {
        let event = stage.next().await;
        assert!(matches!(&event, NodeEvent::Unreadable { id, .. } if ["x", "y"].contains(&&**id)), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_subscription_unsubscribes_unless_the_entity_follows_the_node_elsewhere() {
    let mut stage = Stage::following(SubscriptionConfig::default(), &items(&[], &position(5))).await;
    let mut second = stage.reader.subscribe::<Load>(stage.loads.node(), SubscriptionConfig::default());
    let listed = items(&[], &position(5));
    let exchange = [("subscribe", ""), ("items", &*listed)];
    tokio::join!(async { second.next().await.unwrap() }, play(&mut stage.service, &exchange));
    drop(second);
    stage.notify(&numbered(published(&load("a", 1)), 6));
    assert_eq!(stage.next().await, NodeEvent::Published(load("a", 1)));
    let Stage { mut service, mut reader, loads, domain: _domain } = stage;
    drop(loads);
    play(&mut service, &[("unsubscribe", "")]).await;
    // What still comes is for whoever receives from the entity.
    let late = Stanza::parse(&format!("<message id='late'>{}</message>", published(&load("a", 2)))).unwrap();
    service.send(late.with_to(reader.jid())).unwrap();
    assert_eq!(reader.receive().await.unwrap().0.id(), Some("late"));
}

#[tokio::test(start_paused = true)]
async fn messages_of_others_are_left_to_the_entity() {
    let mut stage = Stage::following(SubscriptionConfig::default(), &items(&[], &position(5))).await;
    let text = format!("<message id='forged'>{}</message>", numbered(published(&load("a", 100)), 6));
    let mallory = stage.domain.component("mallory").unwrap();
    mallory.send(Stanza::parse(&text).unwrap().with_to(stage.reader.jid())).unwrap();
    assert_eq!(stage.reader.receive().await.unwrap().0.id(), Some("forged"));
    stage.notify(&numbered(published(&load("a", 1)), 6));
    assert_eq!(stage.next().await, NodeEvent::Published(load("a", 1)));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_with_its_entity() {
    let mut stage = Stage::following(SubscriptionConfig::default(), &items(&[], &position(5))).await;
    stage.notify(&numbered(published(&load("a", 1)), 6));
    drop(stage.reader);
    assert_eq!(stage.loads.next().await, Some(NodeEvent::Published(load("a", 1))));
    assert_eq!(stage.loads.next().await, None);
}

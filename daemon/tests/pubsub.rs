//! Publish-subscribe over restarts of the daemon.

use serde_json::{Value, json};

use crate::support::{Served, Site, configuration, request};

/// A request to the service of `a.example`, sent by HTTP; gives the answer.
fn ask(daemon: &Served, site: &Site, kind: &str, verb: &str) -> Value {
    let payload = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{verb}</pubsub>");
    let iq = json!({ "kind": "iq", "type": kind, "to": "pubsub@a.example", "children": [{ "xml": payload }] });
    let answer = request(daemon.address("gateway.listen"), "POST /v1/stanzas", &site.token, &iq.to_string());
    serde_json::from_str(&answer.body).unwrap()
}

fn set(daemon: &Served, site: &Site, verb: &str) -> Value {
    let answer = ask(daemon, site, "set", verb);
    assert_eq!(answer["type"], "result", "{answer}");
    answer
}

fn get(daemon: &Served, site: &Site, verb: &str) -> Value {
    ask(daemon, site, "get", verb)["children"].take()
}

fn publish(daemon: &Served, site: &Site, id: &str) {
    set(
        daemon,
        site,
        &format!("<publish node='load'><item id='{id}'><load xmlns='urn:load'>7</load></item></publish>"),
    );
}

/// Ends the daemon by a signal.
fn end(daemon: Served, signal: &str) {
    match signal {
        // It is killed when nobody holds it any more.
        "KILL" => drop(daemon),
        _ => {
            daemon.signal(signal);
            assert_eq!(daemon.end().0, 0);
        }
    }
}

#[test]
fn nodes_subscriptions_and_items_outlive_the_daemon_however_it_ends() {
    let site = Site::new(&["a.example"]);
    site.write("convoke.toml", &configuration("a.example"));
    let mut daemon = Served::start(site.directory(), "convoke.toml");
    let created = set(&daemon, &site, "<create node='load'/>");
    let requester = created["to"].as_str().unwrap();
    set(&daemon, &site, &format!("<subscribe node='load' jid='{requester}'/>"));
    let subscribed = get(&daemon, &site, "<subscriptions/>");
    assert!(subscribed.to_string().contains("\"subscribed\""), "{subscribed}");
    for signal in ["KILL", "TERM"] {
        publish(&daemon, &site, signal);
        let items = get(&daemon, &site, "<items node='load'/>");
        assert!(items.to_string().contains(signal), "{items}");
        end(daemon, signal);
        daemon = Served::start(site.directory(), "convoke.toml");
        assert_eq!(get(&daemon, &site, "<items node='load'/>"), items);
        assert_eq!(get(&daemon, &site, "<subscriptions/>"), subscribed);
    }
}

/// The value of a metric of `pubsub@a.example`.
fn metric(body: &str, name: &str) -> u64 {
    let series = format!("convoke_pubsub_{name}{{service=\"pubsub@a.example\"}} ");
    let value = body.lines().find_map(|line| line.strip_prefix(&series));
    value.unwrap_or_else(|| panic!("{series}: {body}")).parse().unwrap()
}

#[test]
fn metrics_tell_what_the_service_holds_and_what_it_has_done() {
    let site = Site::new(&["a.example"]);
    site.write("convoke.toml", &configuration("a.example"));
    let daemon = Served::start(site.directory(), "convoke.toml");
    let requester = set(&daemon, &site, "<create node='load'/>")["to"].as_str().unwrap().to_owned();
    set(&daemon, &site, &format!("<subscribe node='load' jid='{requester}'/>"));
    let scrape = || request(daemon.address("gateway.listen"), "GET /metrics", &site.token, "").body;
    let before = scrape();
    publish(&daemon, &site, "1");
    publish(&daemon, &site, "2");
    let body = scrape();
    // The other roles publish here, too.
    for name in ["publications_total", "notifications_sent_total", "commits_total"] {
        assert!(metric(&body, name) >= metric(&before, name) + 2, "{name}: {before} {body}");
    }
    for (name, least) in [("nodes", 1), ("subscriptions", 1), ("items", 2), ("item_bytes", 2)] {
        assert!(metric(&body, name) >= least, "{name}: {body}");
    }
    for name in ["notifications_given_up_total", "commit_failures_total", "oversized_requests_total"] {
        assert_eq!(metric(&body, name), 0, "{name}: {body}");
    }
    assert!(body.contains("\n# TYPE convoke_pubsub_nodes gauge\nconvoke_pubsub_nodes{service=\"a.example\"} 0\n"));
    assert!(body.contains("\n# TYPE convoke_pubsub_publications_total counter\n"));
}

/// Nothing is written to a disk unasked.
#[test]
fn without_a_path_nodes_end_with_the_daemon() {
    let site = Site::new(&["a.example"]);
    let config = configuration("a.example").replace("[store]\npath = \"data-a.example/\"\n", "");
    site.write("convoke.toml", &config.replace("\"resources\", ", ""));
    let daemon = Served::start(site.directory(), "convoke.toml");
    set(&daemon, &site, "<create node='load'/>");
    publish(&daemon, &site, "first");
    end(daemon, "TERM");
    let daemon = Served::start(site.directory(), "convoke.toml");
    let items = ask(&daemon, &site, "get", "<items node='load'/>");
    assert_eq!(items["xmpp"]["condition"], "item-not-found", "{items}");
}

//! The client that knows only HTTP: it submits the batch and waits for the event.

use convoke::xmpp::Jid;
use serde_json::{Value, json};

use super::{DemoError, LIMIT, SLICE};

/// A REST client with its token.
pub(super) struct Client {
    http: reqwest::Client,
    gateway: String,
    token: String,
}

/// An open stream of server-sent events.
pub(super) struct Notices {
    response: reqwest::Response,
}

impl Client {
    pub(super) fn new(gateway: &str, token: &str) -> Result<Self, DemoError> {
        let http = convoke_dev::http_client().map_err(DemoError::start("the REST client"))?;
        Ok(Self { http, gateway: gateway.to_owned(), token: token.to_owned() })
    }

    /// Submits the work by `POST /v1/stanzas`: an iq to the scheduler, whose answer is the response.
    pub(super) async fn submit(&self, scheduler: &Jid, batch: &str) -> Result<(), DemoError> {
        let range =
            json!({"name": "range", "attrs": {"from": "0", "to": LIMIT.to_string(), "step": SLICE.to_string()}});
        let submit = json!({
            "name": "submit", "xmlns": "urn:convoke:task:0",
            "attrs": {"batch": batch, "kind": "primes", "reduce": "sum"}, "children": [range],
        });
        let stanza = json!({"kind": "iq", "type": "set", "to": scheduler.as_str(), "children": [submit]});
        let request = self.http.post(format!("{}/v1/stanzas", self.gateway)).bearer_auth(&self.token).json(&stanza);
        let response = request.send().await.map_err(|error| failed("POST /v1/stanzas", &error))?;
        if response.status() != reqwest::StatusCode::OK {
            let reason = format!("{}: {}", response.status(), response.text().await.unwrap_or_default());
            return Err(DemoError::Rest { request: "POST /v1/stanzas", reason });
        }
        Ok(())
    }

    /// Opens `GET /v1/events`.
    pub(super) async fn events(&self) -> Result<Notices, DemoError> {
        let request = self.http.get(format!("{}/v1/events", self.gateway)).bearer_auth(&self.token);
        let response = request.send().await.and_then(reqwest::Response::error_for_status);
        Ok(Notices { response: response.map_err(|error| failed("GET /v1/events", &error))? })
    }
}

impl Notices {
    /// Waits for the message that the batch is finished; gives the sum that it tells.
    pub(super) async fn finished(mut self, batch: &str) -> Result<u128, DemoError> {
        let mut text = String::new();
        while let Some(bytes) = self.response.chunk().await.map_err(|error| failed("GET /v1/events", &error))? {
            text.push_str(&String::from_utf8_lossy(&bytes));
            while let Some((event, rest)) = text.split_once("\n\n") {
                let sum = sum_in(event, batch);
                text = rest.to_owned();
                if let Some(sum) = sum {
                    return Ok(sum);
                }
            }
        }
        Err(DemoError::Ended("the event stream"))
    }
}

/// The sum in an event that tells of the end of this batch.
fn sum_in(event: &str, batch: &str) -> Option<u128> {
    let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
    let stanza: Value = serde_json::from_str(&data).ok()?;
    let finished = stanza["children"].as_array()?.iter().find(|child| child["name"] == "finished")?;
    let attributes = &finished["attrs"];
    (attributes["batch"] == batch).then(|| attributes["sum"].as_str()?.parse().ok()).flatten()
}

fn failed(request: &'static str, error: &reqwest::Error) -> DemoError {
    DemoError::Rest { request, reason: error.to_string() }
}

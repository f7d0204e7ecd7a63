//! What is done when the way to another domain is back.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use crate::router::{LocalRouter, Route};

/// After a route is back, asks once for the presence of those who were out of reach; each time a little later than at
/// once, because all who lost sight of the domain see it again at the same moment.
pub(super) async fn resync(mut routes: UnboundedReceiver<Route>, router: Weak<LocalRouter>) {
    const SPREAD: Duration = Duration::from_secs(3);
    let mut due = JoinSet::new();
    loop {
        tokio::select! {
            route = routes.recv() => {
                let Some(route) = route else { return };
                // Without random numbers there is no spread.
                let pause = SPREAD.mul_f64(f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX));
                due.spawn(async move {
                    tokio::time::sleep(pause).await;
                    route
                });
            }
            Some(Ok(route)) = due.join_next() => match router.upgrade() {
                Some(router) => router.resync(&route),
                None => return,
            },
        }
    }
}

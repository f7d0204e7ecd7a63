//! How long it takes until a stream is there.

use std::time::{Duration, Instant};

use convoke_dev::peers::Service;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::Error;
use crate::clock::process_time_of;
use crate::comparison::median;
use crate::contest::{Contestant, Identity, dial};
use crate::report::Report;

/// How many do not count: a server does things for its first ones that it never does again.
const WARM_UP: usize = 5;

/// No server takes as long for one.
const DEADLINE: Duration = Duration::from_secs(30);

/// Streams that were opened one after the other.
#[derive(Default)]
pub(super) struct Setups {
    /// Milliseconds from TCP's connect to the final features, in their order.
    times: Vec<f64>,
    /// Milliseconds of the server's CPU, until the stream was closed again.
    server: Vec<f64>,
}

impl Setups {
    /// Opens a stream to this server, and closes it.
    pub(super) async fn add(&mut self, own: &Identity, to: &Contestant, service: Service) -> Result<(), Error> {
        let (began, before) = (Instant::now(), process_time_of(to.process_id())?);
        let dialing = dial(own, &to.domain, to.address(service), service);
        let mut stream = timeout(DEADLINE, dialing).await??;
        self.times.push(began.elapsed().as_secs_f64() * 1e3);
        stream.write_all(b"</stream:stream>").await?;
        stream.flush().await?;
        // Some servers end without TLS's goodbye: that is as good.
        let _ended = timeout(DEADLINE, stream.read_to_end(&mut Vec::new())).await?;
        self.server.push((process_time_of(to.process_id())? - before).as_secs_f64() * 1e3);
        Ok(())
    }

    /// The middle time in milliseconds.
    pub(super) fn median(&self) -> f64 {
        median(counted(&self.times).to_vec())
    }
}

/// Tells what was seen of each server.
pub(super) fn tell(report: &mut Report, name: &str, of_each: &[&Setups]) {
    let extreme = |setups: &Setups, of: fn(f64, f64) -> f64| counted(&setups.times).iter().copied().reduce(of);
    let count = of_each.first().map_or(0, |setups| counted(&setups.times).len());
    let mut row = |figure: &str, of: &dyn Fn(&Setups) -> f64| {
        report.row(&format!("{name}: {figure}"), of_each.iter().map(|setups| of(setups)), "ms");
    };
    row(&format!("median of {count}"), &Setups::median);
    row("shortest", &|setups| extreme(setups, f64::min).unwrap_or_default());
    row("longest", &|setups| extreme(setups, f64::max).unwrap_or_default());
    row("CPU of the server", &|setups| median(counted(&setups.server).to_vec()));
}

/// Without the first ones, where there are enough.
fn counted(values: &[f64]) -> &[f64] {
    values.get(WARM_UP..).filter(|counted| !counted.is_empty()).unwrap_or(values)
}

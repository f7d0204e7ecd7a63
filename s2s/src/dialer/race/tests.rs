use std::sync::{Arc, Mutex};

use tokio::time::{Instant as Clock, sleep};

use super::*;

const PORT: u16 = 5269;

/// What an address does with a connection, after so many milliseconds.
#[derive(Clone, Copy)]
enum Answers {
    Accepts(u64),
    Refuses(u64),
    Never,
}

/// An internet in virtual time: when DNS answers, what addresses do, and what was tried when.
struct Internet {
    v6: (u64, Vec<(IpAddr, Answers)>),
    v4: (u64, Vec<(IpAddr, Answers)>),
    log: Arc<Mutex<Vec<String>>>,
}

/// Notes that an attempt was given up.
struct Noting {
    address: IpAddr,
    log: Arc<Mutex<Vec<String>>>,
    finished: bool,
}

impl Noting {
    fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        if !self.finished {
            self.log.lock().unwrap().push(format!("{} given up", self.address));
        }
    }
}

fn v6(last: u16) -> IpAddr {
    IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last])
}

fn v4(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

impl Internet {
    fn new(v6: (u64, Vec<(IpAddr, Answers)>), v4: (u64, Vec<(IpAddr, Answers)>)) -> Self {
        Self { v6, v4, log: Arc::default() }
    }

    fn race(&self) -> Race<'_, IpAddr> {
        let began = Clock::now();
        let lookup = |family, (delay, hosts): &(u64, Vec<(IpAddr, Answers)>)| {
            let (delay, addresses) = (*delay, hosts.iter().map(|(address, _)| *address).collect());
            Box::pin(async move {
                sleep(Duration::from_millis(delay)).await;
                (family, Ok(addresses))
            }) as BoxFuture<'_, _>
        };
        let lookups = [lookup(Family::V6, &self.v6), lookup(Family::V4, &self.v4)];
        let connect = move |address: SocketAddr| {
            let ip = address.ip();
            self.log.lock().unwrap().push(format!("{ip} at {}", began.elapsed().as_millis()));
            let answers = self.v6.1.iter().chain(&self.v4.1).find(|(known, _)| *known == ip).unwrap().1;
            let noting = Noting { address: ip, log: Arc::clone(&self.log), finished: false };
            Box::pin(async move {
                match answers {
                    Answers::Accepts(after) | Answers::Refuses(after) => sleep(Duration::from_millis(after)).await,
                    Answers::Never => std::future::pending().await,
                }
                noting.finish();
                if matches!(answers, Answers::Accepts(_)) {
                    Ok(ip)
                } else {
                    Err(io::ErrorKind::ConnectionRefused.into())
                }
            }) as BoxFuture<'_, _>
        };
        Race::new(PORT, lookups, connect, |_| false)
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

/// The next connection of the race.
async fn winner(race: &mut Race<'_, IpAddr>) -> Option<IpAddr> {
    loop {
        if let Event::Connected(_, address, _) = race.next().await? {
            return Some(address);
        }
    }
}

/// RFC 8305, section 5.
#[tokio::test(start_paused = true)]
async fn a_dead_address_costs_a_quarter_of_a_second_and_is_given_up() {
    let internet = Internet::new((0, vec![(v6(1), Answers::Never)]), (0, vec![(v4(1), Answers::Accepts(10))]));
    let began = Clock::now();
    assert_eq!(winner(&mut internet.race()).await, Some(v4(1)));
    assert_eq!(began.elapsed().as_millis(), 260);
    assert_eq!(internet.log(), ["2001:db8::1 at 0", "192.0.2.1 at 250", "2001:db8::1 given up"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_costs_no_time_and_a_slow_one_may_still_win() {
    let v6s = vec![(v6(1), Answers::Refuses(5)), (v6(2), Answers::Never)];
    let internet = Internet::new((0, v6s), (0, vec![(v4(1), Answers::Accepts(400))]));
    assert_eq!(winner(&mut internet.race()).await, Some(v4(1)));
    let log = internet.log();
    assert_eq!(log, ["2001:db8::1 at 0", "192.0.2.1 at 5", "2001:db8::2 at 255", "2001:db8::2 given up"]);
}

/// RFC 8305, section 3.
#[tokio::test(start_paused = true)]
async fn a_slow_answer_about_ipv6_delays_ipv4_by_fifty_milliseconds() {
    let internet = Internet::new((5000, vec![(v6(1), Answers::Accepts(1))]), (20, vec![(v4(1), Answers::Accepts(1))]));
    let began = Clock::now();
    assert_eq!(winner(&mut internet.race()).await, Some(v4(1)));
    assert_eq!((began.elapsed().as_millis(), internet.log()), (71, vec!["192.0.2.1 at 70".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_gets_the_addresses_that_had_lost_and_each_connection_once() {
    let v6s = vec![(v6(1), Answers::Accepts(300))];
    let internet = Internet::new((0, v6s), (0, vec![(v4(1), Answers::Accepts(10)), (v4(2), Answers::Refuses(1))]));
    let mut race = internet.race();
    assert_eq!(winner(&mut race).await, Some(v4(1)));
    assert_eq!(winner(&mut race).await, Some(v6(1)));
    assert_eq!(winner(&mut race).await, None);
    let begun: Vec<_> = internet.log().into_iter().filter(|line| line.contains(" at ")).collect();
    assert_eq!(begun, ["2001:db8::1 at 0", "192.0.2.1 at 250", "2001:db8::1 at 260", "192.0.2.2 at 510"]);
}

#[tokio::test(start_paused = true)]
async fn a_race_among_the_dead_ends_when_all_have_refused() {
    let internet =
        Internet::new((0, vec![(v6(1), Answers::Refuses(1000))]), (0, vec![(v4(1), Answers::Refuses(1000))]));
    let began = Clock::now();
    assert_eq!(winner(&mut internet.race()).await, None);
    assert_eq!(began.elapsed().as_millis(), 1250);
}

//! A domain to be measured, as a process of its own; the benchmarks beside other servers start it.

use std::path::Path;

fn main() -> Result<(), convoke_benches::Error> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next(), arguments.next(), arguments.next(), arguments.next()) {
        (Some(domain), Some(directory), Some(nameserver), store) => {
            let store = store.as_deref().map(Path::new);
            convoke_benches::contest::server::run(&domain, directory.as_ref(), nameserver.parse()?, store)
        }
        _ => Err("usage: convoke-bench-server DOMAIN DIRECTORY NAMESERVER [STORE]".into()),
    }
}

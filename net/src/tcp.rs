//! The TCP types of the whole house: those of the operating system, or, for a simulation, those of a simulated network.
//!
//! Compiled with `--cfg convoke_simulation` these are turmoil's types, whose hosts, delays and partitions are drawn from a
//! seed; `cargo xtask simulate` is the only one that does so. Everything above is the same code in both.

#[cfg(not(convoke_simulation))]
pub use tokio::net::{TcpListener, TcpStream};
#[cfg(convoke_simulation)]
pub use turmoil::net::{TcpListener, TcpStream};

/// Has the connection broken off when it is dropped: what the peer has not read is thrown away here, not kept for it by
/// the operating system. Where that cannot be had, it is closed all the same.
pub(crate) fn break_on_drop(stream: &TcpStream) {
    #[cfg(not(convoke_simulation))]
    let _ = stream.set_zero_linger();
    // A simulated network keeps nothing for anybody.
    #[cfg(convoke_simulation)]
    let _ = stream;
}

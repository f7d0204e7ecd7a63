//! A service whose process is killed, and whose disk is full: nothing that was acknowledged is lost, nothing is there by
//! halves, and nobody was told of what is not there.

mod campaign;
mod child;
mod disk_full;
mod model;
mod picture;

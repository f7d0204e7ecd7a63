//! A service that is opened again, after an orderly end, after a kill, and on a disk that is full: nothing that was
//! acknowledged is lost, nothing is there by halves, and nobody was told of what is not there.

mod campaign;
mod child;
mod disk_full;
mod model;
mod picture;
mod reopened;

//! How notifications reach those who cannot take them at once, and what becomes of those who never can.

mod availability;
mod bounce;
mod cost;
mod digest;
mod multiple;
mod returned;
mod stage;
mod waiting;

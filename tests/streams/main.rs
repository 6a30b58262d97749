//! Streams through the public interface: round trips, and damage that is found.

#[path = "../support/agree.rs"]
mod agree;
#[path = "../support/bytes.rs"]
mod bytes;

mod family;
mod hostile;
mod limits;
mod progress;
mod round_trip;
mod shapes;

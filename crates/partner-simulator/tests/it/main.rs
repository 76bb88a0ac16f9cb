//! The simulated Partner API, asked over real sockets.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, to panic is to fail"
)]

mod activation;
mod authentication;
mod budget;
mod control;
mod faults;
mod login;
mod paused_time;
mod refusals;
mod routes;
mod support;
mod tls;

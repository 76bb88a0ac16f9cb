//! Tests of the simulated Partner API over real sockets.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic fails the test"
)]

mod activation;
mod authentication;
mod budget;
mod contradictions;
mod control;
mod faults;
mod login;
mod paused_time;
mod refusals;
mod routes;
mod support;
mod tls;

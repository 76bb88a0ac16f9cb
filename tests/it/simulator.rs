//! The simulated Partner API, asked over real sockets.

pub(crate) mod support;

mod activation;
mod authentication;
mod budget;
mod control;
mod faults;
mod login;
mod paused_time;
mod refusals;
mod routes;
mod tls;

//! The web configuration file: TLS, users, limits, and its errors.

mod attacks;
mod clients;
mod example;
mod invalid;
mod reload;

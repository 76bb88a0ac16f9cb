//! The web configuration file: TLS, users, limits, and its errors.

mod attacks;
mod bad;
mod change;
mod documented;

//! The web configuration file beside the tools that its format comes from.

mod compatibility;
mod file_descriptors;
mod http2;
mod idle_clients;

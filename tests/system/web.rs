//! The web configuration file beside the tools that its format comes from.

mod beside;
mod descriptors;
mod http2;
mod idle_clients;

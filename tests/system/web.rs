//! The web configuration file: compatibility, HTTP/2, and many clients.

mod compatibility;
mod file_descriptors;
mod http2;
mod idle_clients;

//! What the simulated API does with a request.

pub(crate) mod auth;
pub(crate) mod login;
pub(crate) mod middleware;
pub(crate) mod request_id;
pub(crate) mod response;
pub(crate) mod routes;
pub(crate) mod sample_data;

//! What the simulated API does with a request.

pub(crate) mod auth;
pub(crate) mod delivery;
pub(crate) mod in_flight;
pub(crate) mod intercept;
pub(crate) mod login;
pub(crate) mod middleware;
pub(crate) mod request_id;
pub(crate) mod response_draft;
pub(crate) mod response_faults;
pub(crate) mod routes;
pub(crate) mod sample_data;

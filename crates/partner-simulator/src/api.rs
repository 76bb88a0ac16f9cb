pub(crate) mod auth;
pub(crate) mod delivery;
pub(crate) mod login;
pub(crate) mod middleware;
pub(crate) mod request_id;
pub(crate) mod response_faults;
pub(crate) mod routes;
pub(crate) mod sample_data;

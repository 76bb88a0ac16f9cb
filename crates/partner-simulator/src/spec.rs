//! What partners, keys and accounts are like when they come into being.

pub(crate) mod key;
pub(crate) mod limits;
pub(crate) mod login;
pub(crate) mod partner;

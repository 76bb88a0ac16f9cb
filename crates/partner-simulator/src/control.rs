pub(crate) mod account;
pub(crate) mod key;
pub(crate) mod partner;

pub(crate) mod certificates;
pub(crate) mod fault_stream;
pub(crate) mod server;

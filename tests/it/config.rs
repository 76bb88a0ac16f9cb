//! From files on disk to a configuration, or to everything that is wrong with them.

mod bad;

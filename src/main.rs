//! `myunisoft-exporter`: parse, log, load, bind, run, exit code.

fn main() {}

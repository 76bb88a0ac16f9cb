//! The program `myunisoft-exporter`.

use std::process::ExitCode;

fn main() -> ExitCode {
    myunisoft_exporter::run()
}

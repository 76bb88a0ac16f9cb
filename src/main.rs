//! The program `myunisoft-exporter`.

use std::process::ExitCode;

/// It keeps less freed memory than the allocator of the C library: see docs/performance.md.
#[cfg(target_arch = "x86_64")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    myunisoft_exporter::run()
}

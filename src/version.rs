//! Which build of the exporter this is. `build.rs` sets the values.

/// The version, as in `Cargo.toml`.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that this was built from; `unknown` for a development build.
pub(crate) const REVISION: &str = or_unknown(option_env!("VERGEN_GIT_SHA"));

/// The day of the build, or of `SOURCE_DATE_EPOCH`; `unknown` for a development build.
pub(crate) const BUILD_DATE: &str = or_unknown(option_env!("VERGEN_BUILD_DATE"));

/// The version of the compiler.
pub(crate) const RUST_VERSION: &str = or_unknown(option_env!("VERGEN_RUSTC_SEMVER"));

/// Processor and system that this was built for, such as `x86_64-unknown-linux-gnu`.
pub(crate) const PLATFORM: &str = or_unknown(option_env!("VERGEN_CARGO_TARGET_TRIPLE"));

/// What `--version` prints after the name of the program.
pub(crate) fn description() -> String {
    format!(
        "{VERSION}\n  revision:   {REVISION}\n  build date: {BUILD_DATE}\n  rust:       {RUST_VERSION}\n  platform:   {PLATFORM}"
    )
}

/// vergen writes a text of its own where it finds no value.
const fn or_unknown(value: Option<&'static str>) -> &'static str {
    match value {
        Some(value) if !value.is_empty() && !matches!(value.as_bytes(), b"VERGEN_IDEMPOTENT_OUTPUT") => value,
        Some(_) | None => "unknown",
    }
}

//! The examples in the configuration's reference load: they can't drift from the program.

use std::path::Path;

use super::{Folder, close};

const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// The YAML blocks whose first line is `# FILE`, by that file's name.
fn documented_files() -> Vec<(&'static str, &'static str)> {
    let blocks = REFERENCE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.filter_map(|block| Some((block.strip_prefix("# ")?.split_once('\n')?.0, block))).collect()
}

#[test]
fn the_documented_example_loads_without_a_warning() {
    let folder = Folder::new();
    let mut secrets = 0;
    for (name, content) in documented_files() {
        // The one variable in the example, replaced by one that `cargo test` sets.
        folder.write(name, &content.replace("MARTIN_TOKEN", "CARGO_PKG_NAME"));
        for line in content.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let Some((_, value)) = line.split_once("_file: ") else { continue };
            let value = value.split([',', '}', ' ']).next().unwrap();
            let value = Path::new(name).parent().unwrap().join(value);
            folder.write(value.to_str().unwrap(), "a-secret");
            close(&folder.path(value.to_str().unwrap()));
            secrets += 1;
        }
    }
    assert!(secrets >= 4, "only {secrets} secrets found in the examples");
    let loaded = crate::config::load(&folder.path("myunisoft-exporter.yml"));
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.files.len(), documented_files().len());
    assert_eq!(loaded.config.partners.len(), 2);
}

/// Every field that the program knows stands in the reference.
#[test]
fn every_field_is_documented() {
    for field in [
        "api",
        "base_url",
        "auth_url",
        "ca_file",
        "proxy_url",
        "health",
        "key_info",
        "interval",
        "timeout",
        "objective",
        "mode",
        "canaries",
        "path",
        "method",
        "society",
        "rate_limit",
        "keep_free",
        "metrics",
        "request_ids",
        "key_files",
        "partners",
        "name",
        "secret_file",
        "secret_env",
        "secret",
        "keys",
        "access",
        "society_id",
        "token_file",
        "token_env",
        "token",
        "login",
        "mail",
        "password_file",
        "password_env",
        "password",
        "firm",
        "canary",
    ] {
        assert!(REFERENCE.contains(&format!("`{field}`")), "`{field}` is not in the reference");
    }
}

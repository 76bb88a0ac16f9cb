//! The reference of the configuration: its example loads, and it describes every field.

use std::collections::HashSet;
use std::path::Path;

use crate::config::Section;
use strum::VariantArray as _;

use super::{Folder, close};

const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// The YAML blocks whose first line is `# FILE`, with the name of the file.
fn documented_files() -> Vec<(&'static str, &'static str)> {
    let blocks = REFERENCE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.filter_map(|block| Some((block.strip_prefix("# ")?.split_once('\n')?.0, block))).collect()
}

#[test]
fn the_documented_example_loads_without_a_warning() {
    let folder = Folder::new();
    let mut secrets = 0;
    for (name, content) in documented_files() {
        // The example reads one environment variable; `cargo test` sets another one.
        folder.write(name, &content.replace("MARTIN_TOKEN", "CARGO_PKG_NAME"));
        for line in content.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let Some((_, value)) = line.split_once("_file: ") else { continue };
            let value = value.split([',', '}', ' ']).next().unwrap();
            let value = Path::new(name).parent().unwrap().join(value);
            let content = format!("the content of {}", value.display()).replace(' ', "-");
            folder.write(value.to_str().unwrap(), &content);
            close(&folder.path(value.to_str().unwrap()));
            secrets += 1;
        }
    }
    assert!(secrets >= 4, "only {secrets} secrets in the example");
    let loaded = crate::config::load(&folder.path("myunisoft-exporter.yml"), crate::config::Secrets::Check);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.files.len(), documented_files().len());
    assert_eq!(loaded.config.partners.len(), 2);
}

/// For each heading, the words in backticks in the first column of its tables.
fn documented_fields() -> Vec<HashSet<&'static str>> {
    let first_cells =
        |part: &'static str| part.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let words = |cell: &'static str| cell.split('`').skip(1).step_by(2);
    REFERENCE.split("\n#").map(|part| first_cells(part).flat_map(words).collect()).collect()
}

#[test]
fn every_field_is_documented() {
    let documented = documented_fields();
    for section in Section::VARIANTS {
        let fields: HashSet<_> = section.fields().iter().copied().collect();
        assert!(
            documented.iter().any(|words| fields.is_subset(words)),
            "no table of the reference has all fields of {section:?}: {fields:?}"
        );
    }
}

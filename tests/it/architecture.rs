//! The packages and modules are what docs/architecture.md says, and imports have one direction.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The modules in the document's table, from top to bottom.
fn documented_modules() -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let table = page.split("## The modules of the exporter").nth(1).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `")).take_while(|line| !line.contains("##"));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap().to_owned());
    let names = |cell: String| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let end = table.find("\n### ").unwrap();
    let inside = table.get(..end).unwrap().matches("\n| `").count();
    cells.take(inside).flat_map(names).collect()
}

/// Every source file of a package, without its tests.
fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if matches!(name, "tests" | "test_support" | "fuzz_tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The text of a file without its unit tests and comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// What follows each occurrence of `prefix`: a path such as `state::history::Day`.
fn paths_after<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    code.split(prefix).skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        rest.get(..end).unwrap()
    })
}

#[test]
fn the_documented_modules_are_the_modules_of_the_exporter() {
    let documented: BTreeSet<_> = documented_modules().into_iter().collect();
    let present: BTreeSet<_> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| !matches!(name.as_str(), "lib" | "test_support" | "fuzz_tests"))
        .collect();
    assert_eq!(documented, present);
}

#[test]
fn each_module_imports_only_modules_below_it() {
    let order = documented_modules();
    let position = |module: &str| order.iter().position(|name| name == module);
    let mut wrong = Vec::new();
    for file in source_files(&root().join("src")) {
        let relative = file.strip_prefix(root().join("src")).unwrap().with_extension("");
        let module = relative.iter().next().unwrap().to_str().unwrap().to_owned();
        if module == "lib" {
            continue;
        }
        for path in paths_after(&code(&file), "crate::") {
            let imported = path.split("::").next().unwrap();
            if imported != module && position(imported).is_some_and(|below| Some(below) < position(&module)) {
                wrong.push(format!("{} imports {imported}", relative.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// Each file of a package with the files that it imports by `crate::` or `super::`.
fn imports(source: &Path) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let files = source_files(source);
    let known: BTreeSet<PathBuf> =
        files.iter().map(|file| file.strip_prefix(source).unwrap().with_extension("")).collect();
    let resolve = |folder: &Path, path: &str| {
        let parts: Vec<_> = path.split("::").filter(|part| !part.is_empty()).collect();
        (1..=parts.len())
            .rev()
            .map(|length| folder.join(parts[..length].join("/")))
            .find(|f| known.contains(f))
    };
    let imported = |file: &PathBuf| {
        let name = file.strip_prefix(source).unwrap().with_extension("");
        let code = code(file);
        let parent = name.parent().unwrap().to_owned();
        let crate_paths = paths_after(&code, "crate::").filter_map(|path| resolve(Path::new(""), path));
        let siblings = paths_after(&code, "super::").filter_map(|path| resolve(&parent, path));
        let imported: BTreeSet<_> = crate_paths.chain(siblings).filter(|other| *other != name).collect();
        (name, imported)
    };
    files.iter().map(imported).collect()
}

#[test]
fn no_package_has_an_import_cycle() {
    let packages =
        ["src", "crates/checked-yaml/src", "crates/partner-simulator/src", "crates/web-toolkit/src"];
    for package in packages {
        let mut graph = imports(&root().join(package));
        assert!(!graph.is_empty(), "{package} has files");
        // Files without imports are removed again and again. The files that remain import each other in a cycle.
        loop {
            let leaves: Vec<_> = graph.keys().filter(|file| graph[*file].is_empty()).cloned().collect();
            if leaves.is_empty() {
                break;
            }
            for leaf in leaves {
                graph.remove(&leaf);
                for imported in graph.values_mut() {
                    imported.remove(&leaf);
                }
            }
        }
        assert!(graph.is_empty(), "{package}: {graph:#?}");
    }
}

#[test]
fn no_member_imports_the_exporter() {
    for member in fs::read_dir(root().join("crates")).unwrap() {
        let manifest = fs::read_to_string(member.unwrap().path().join("Cargo.toml")).unwrap();
        assert!(!manifest.contains("myunisoft-exporter"), "{manifest}");
    }
}

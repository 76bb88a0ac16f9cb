//! Every dependency has its line of reason, and every line its dependency.

#[test]
fn every_dependency_has_its_reason_and_no_other() {
    let manifest = include_str!("../../Cargo.toml");
    let section = manifest.split("[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let wanted: Vec<_> = section.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    let page = include_str!("../../docs/dependencies.md");
    let reasons: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('`').nth(1).unwrap())
        .collect();
    assert_eq!(reasons, wanted);
}

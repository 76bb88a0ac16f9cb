//! The example in docs/web-configuration.md loads, and its user can log in.

use crate::support::pki::Pki;

const REFERENCE: &str = include_str!("../../../docs/web-configuration.md");

#[test]
fn the_documented_example_loads_without_warnings() {
    let pki = Pki::new();
    pki.write("clients-ca.pem", &pki.authority.pem());
    let example = REFERENCE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let file = pki.write("web.yml", example);
    let loaded = web_toolkit::load(&file).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.files.len(), 4, "{:?}", loaded.files);
    // A text that only looks like a hash would accept no password.
    let hash = example.lines().find_map(|line| line.trim().strip_prefix("prometheus: ")).unwrap();
    assert!(bcrypt::verify("change-me", hash).unwrap(), "{hash}");
}

//! The warnings about one secret that is configured in several places.

use crate::config::{Loaded, Secrets, load};

use super::{Folder, close};

const FLEET: &str = "
partners:
- name: acme
  secret_file: secrets/acme
  keys:
  - {name: dupont, access: society, token_file: secrets/dupont}
  - {name: leroy, access: society, token_file: secrets/leroy}
- name: zenith
  secret_file: secrets/zenith
  keys:
  - {name: petit, access: society, token_file: secrets/petit}
  - {name: durand, access: firm, login: {mail: a@b.example, password_file: secrets/durand}, canaries: []}
";
const FILES: [&str; 6] = ["acme", "dupont", "leroy", "zenith", "petit", "durand"];

/// The fleet, in which each secret is another one, except these: (name of the file, its content).
fn fleet(exceptions: &[(&str, &str)]) -> Folder {
    let folder = Folder::new().with("exporter.yml", FLEET);
    for name in FILES {
        let exception = exceptions.iter().find(|(file, _)| *file == name);
        let content = exception.map_or(format!("value-of-{name}"), |(_, content)| (*content).to_owned());
        let file = format!("secrets/{name}");
        folder.write(&file, &content);
        close(&folder.path(&file));
    }
    folder
}

fn texts(folder: &Folder, Loaded { warnings, .. }: &Loaded) -> Vec<String> {
    let texts: Vec<_> = warnings.iter().map(|warning| folder.shortened(&warning.to_string())).collect();
    assert!(!texts.concat().contains("value-of"), "a value is shown: {texts:?}");
    texts
}

fn warnings(folder: &Folder) -> Vec<String> {
    texts(folder, &folder.loaded())
}

#[test]
fn different_secrets_are_no_warning() {
    assert_eq!(warnings(&fleet(&[])), [""; 0]);
}

#[test]
fn one_token_in_two_files_is_a_warning_that_names_both_keys() {
    assert_eq!(
        warnings(&fleet(&[("leroy", "value-of-dupont\n")])),
        [
            "exporter.yml: the same token is configured for the keys \"dupont\" of \"acme\" and \"leroy\" of \"acme\"; \
          they share its history and its request budget; give each key a token of its own, or remove all but one"
        ]
    );
    let of_two_partners = warnings(&fleet(&[("petit", "value-of-dupont")]));
    assert!(
        of_two_partners[0].contains("\"dupont\" of \"acme\" and \"petit\" of \"zenith\""),
        "{of_two_partners:?}"
    );
}

#[test]
fn one_file_for_two_keys_is_a_warning_even_if_no_secret_is_read() {
    let folder = Folder::new().with("exporter.yml", &FLEET.replace("secrets/leroy", "secrets/dupont"));
    let loaded = load(&folder.path("exporter.yml"), Secrets::Ignore).unwrap();
    let texts = texts(&folder, &loaded);
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains("\"dupont\" of \"acme\" and \"leroy\" of \"acme\""), "{texts:?}");
}

#[test]
fn the_partner_s_secret_as_a_token_is_a_warning() {
    let expected = "exporter.yml: the secret of the partner \"acme\" is also the token of the key \"leroy\" of \
                    \"acme\"; write the customer's token there";
    assert_eq!(warnings(&fleet(&[("leroy", "value-of-acme")])), [expected]);
    let folder = fleet(&[]);
    folder.write("exporter.yml", &FLEET.replace("secrets/leroy", "secrets/acme"));
    assert_eq!(warnings(&folder), [expected]);
}

#[test]
fn a_password_may_be_equal_to_a_token() {
    assert_eq!(warnings(&fleet(&[("durand", "value-of-petit")])), [""; 0]);
}

#[test]
fn a_token_of_many_keys_is_one_warning_with_a_few_names() {
    let key = |number| format!("  - {{name: key{number}, access: society, token: value-of-all}}");
    let keys = (0..50).map(key).collect::<Vec<_>>().join("\n");
    let text = format!("partners:\n- name: acme\n  secret: value-of-acme\n  keys:\n{keys}");
    let folder = Folder::new().with("exporter.yml", &text);
    close(&folder.path("exporter.yml"));
    let mut texts = warnings(&folder);
    texts.retain(|text| text.contains("the same token"));
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains("\"key3\" of \"acme\" and 46 more"), "{texts:?}");
}

#[test]
fn probes_that_use_more_than_a_tenth_of_a_budget_are_a_warning() {
    let warnings = |keys: &str| {
        let text = format!("partners:\n- name: acme\n  secret: s\n  keys:\n{keys}");
        let folder = Folder::new().with("exporter.yml", &text);
        close(&folder.path("exporter.yml"));
        let loaded = folder.loaded();
        let warnings =
            loaded.warnings.iter().map(ToString::to_string).filter(|text| text.contains("requests per"));
        (warnings.collect::<Vec<_>>(), loaded.largest_share)
    };
    let key = |name: &str, token: &str, interval: &str| {
        format!(
            "  - {{name: {name}, access: society, token: {token}, key_info: {{interval: {interval}, timeout: 1s}}, canaries: []}}\n"
        )
    };
    // Two requests per 10 s are a tenth.
    assert_eq!(warnings(&key("dupont", "t", "5s")).0, [""; 0]);
    let (one, largest) = warnings(&(key("petit", "u", "60s") + &key("dupont", "t", "4s")));
    let [one] = one.as_slice() else { panic!("{one:?}") };
    assert!(one.contains(r#"the probes of the key "dupont" of "acme" use 12.5% of the 20 requests per 10s that its token has"#), "{one}");
    assert_eq!((largest.share, &*largest.keys), (0.125, r#""dupont" of "acme""#));
    // Two keys with one token share its budget, and two firms of one account do not.
    let (shared, _) = warnings(&(key("dupont", "t", "5s") + &key("martin", "t", "5s")));
    let [shared] = shared.as_slice() else { panic!("{shared:?}") };
    assert!(shared.contains(r#"the keys "dupont" of "acme" and "martin" of "acme" use 20% of"#), "{shared}");
    let login = |name: &str, firm: u32| {
        format!(
            "  - {{name: {name}, access: firm, login: {{mail: a@b, password: p, firm: {firm}}}, key_info: {{interval: 5s, timeout: 1s}}, canaries: []}}\n"
        )
    };
    assert_eq!(warnings(&(login("one", 1) + &login("two", 2))).0, [""; 0]);
    assert_eq!(warnings(&(login("one", 1) + &login("other", 1))).0.len(), 1);
    // Many tokens have one warning together.
    let many = (1..=20).map(|number| key(&format!("key{number:02}"), &format!("t{number}"), "4s"));
    let (many, _) = warnings(&(many.collect::<String>() + &key("most", "u", "2s")));
    let [many] = many.as_slice() else { panic!("{many:?}") };
    assert!(
        many.contains("of 21 tokens") && many.contains(r#"most is 25% by the key "most" of "acme""#),
        "{many}"
    );
}

//! The configuration that valid files give, their warnings and their summary.

use std::fs;
use std::num::NonZeroU64;
use std::os::unix::fs::PermissionsExt;

use crate::config::{
    Canary, Config, Connection, Credential, Key, Loaded, Probe, Secrets, Target, load, load_text,
};
use crate::partner_api::{Access, Firm, KeyInfoMode, Method};
use crate::secret::{SecretKind, SecretSource};
use crate::test_support::timing;
use secrecy::ExposeSecret;

use super::{Folder, close, configured};

/// The form of the configuration that users rely on. The paths belong to this test, and `cargo test` sets
/// the environment variable.
const EXAMPLE: &str = r#"
api:
  base_url: https://api.myunisoft.fr
  auth_url: https://app.prodcomptable.myunisoft.fr/api/authenticate/firm
  # ca_file, proxy_url
health:   {interval: 15s, timeout: 5s}
key_info: {interval: 60s, timeout: 10s, mode: extended}   # extended | routes | off: extended activates new keys
canaries:
  exercices: {path: "/api/v1/mad/exercices?version=1.0.0", interval: 60s, timeout: 10s}
rate_limit: {keep_free: 5}       # do not probe a key whose remaining budget is known to be below this
partners:
  - name: acme
    secret_file: run/secrets/acme            # or secret_env, or secret
    keys:
      - name: dupont                           # society access, permanent token
        access: society
        token_file: run/secrets/dupont        # or token_env, or token
        canaries: [exercices]
      - name: martin                           # firm access, permanent token
        access: firm
        society_id: 1234
        token_env: CARGO_PKG_NAME
        canaries: [exercices]
      - name: durand                           # API Cabinet: log-in, four-hour token, renewed before it expires
        access: firm
        login: {mail: api@durand.example, password_file: run/secrets/durand, firm: 80}
        canaries: []
key_files: ["keys.d/*.yml"]      # more partners, for thousands of keys; read again on each reload
"#;

fn example() -> Folder {
    let folder = Folder::new().with("exporter.yml", EXAMPLE).with("keys.d/more.yml", "partners: []\n");
    for name in ["acme", "dupont", "durand", "petit"] {
        let content = format!("secret-of-{name}\n");
        let name = format!("run/secrets/{name}");
        folder.write(&name, &content);
        close(&folder.path(&name));
    }
    folder
}

/// The only key of a configuration, with these fields.
fn key(fields: &str) -> Key {
    let loaded = with_key("", fields).loaded();
    loaded.config.partners[0].keys[0].clone()
}

fn with_key(top: &str, fields: &str) -> Folder {
    let fields = fields.replace('\n', "\n    ");
    configured(&format!(
        "{top}\npartners:\n- name: acme\n  secret_file: of-partner\n  keys:\n  - name: dupont\n    {fields}\n"
    ))
}

fn value(source: &SecretSource) -> String {
    source.read(SecretKind::Password).unwrap().expose_secret().to_owned()
}

fn token(key: &Key) -> String {
    match &key.credential {
        Credential::Token(source) => value(source),
        Credential::Login(_) => panic!("a log-in"),
    }
}

fn names(key: &Key) -> Vec<&str> {
    key.probes.iter().map(|probe| &*probe.name).collect()
}

fn canary(probe: &Probe) -> &Canary {
    match &probe.target {
        Target::Canary(canary) => canary,
        Target::KeyInfo(_) => panic!("key_info"),
    }
}

fn warnings(folder: &Folder) -> Vec<String> {
    folder.loaded().warnings.iter().map(|warning| folder.shortened(&warning.to_string())).collect()
}

#[test]
fn each_field_of_the_example_is_read() {
    let folder = example();
    let Loaded { config, warnings, files, patterns, .. } = folder.loaded();
    assert_eq!(warnings, []);
    assert_eq!(files, [folder.path("exporter.yml"), folder.path("keys.d/more.yml")]);
    let patterns: Vec<_> = patterns.iter().map(|it| (it.pattern.name(), it.count)).collect();
    assert_eq!(patterns, [(folder.path("keys.d/*.yml").display().to_string(), 1)]);
    assert_eq!(config.settings.api.base_url.as_str(), "https://api.myunisoft.fr/");
    assert_eq!(
        config.settings.api.auth_url.as_str(),
        "https://app.prodcomptable.myunisoft.fr/api/authenticate/firm"
    );
    assert_eq!(config.settings.health.timing, timing(15, 5));
    assert!((config.settings.health.objective - 0.999).abs() < f64::EPSILON);
    assert_eq!(config.settings.keep_free, 5);
    assert!(config.settings.request_ids);

    let [acme] = &config.partners[..] else { panic!("{config:?}") };
    assert_eq!((&*acme.name, value(&acme.secret)), ("acme", "secret-of-acme".to_owned()));
    let [dupont, martin, durand] = &acme.keys[..] else { panic!("{acme:?}") };
    let keys = [dupont, martin, durand];
    assert_eq!(keys.map(|key| &*key.name), ["dupont", "martin", "durand"]);
    assert_eq!(keys.map(|key| key.access), [Access::Society, Access::Firm, Access::Firm]);
    assert_eq!(
        (token(dupont), token(martin)),
        ("secret-of-dupont".to_owned(), "myunisoft-exporter".to_owned())
    );
    let Credential::Login(login) = &durand.credential else { panic!("{durand:?}") };
    assert_eq!((&*login.mail, value(&login.password)), ("api@durand.example", "secret-of-durand".to_owned()));
    assert_eq!(login.firm, Some(Firm::Id(80)));

    let key_info = Probe {
        name: "key_info".into(),
        target: Target::KeyInfo(KeyInfoMode::Extended),
        timing: timing(60, 10),
    };
    let exercices = |society_id| Probe {
        name: "exercices".into(),
        target: Target::Canary(Canary {
            name: "exercices".into(),
            method: Method::Get,
            path: "/api/v1/mad/exercices?version=1.0.0".into(),
            society_id,
            connection: Connection::Fresh,
        }),
        timing: timing(60, 10),
    };
    assert_eq!(*dupont.probes, [key_info.clone(), exercices(None)]);
    assert_eq!(*martin.probes, [key_info.clone(), exercices(NonZeroU64::new(1234))]);
    assert_eq!(*durand.probes, [key_info]);
}

#[test]
fn without_a_file_only_the_health_route_of_the_production_api_is_probed() {
    let config = Config::default();
    assert_eq!(config.settings.api.base_url.as_str(), "https://api.myunisoft.fr/");
    assert_eq!(config.settings.health.timing, timing(15, 5));
    assert!(config.partners.is_empty());
}

#[test]
fn a_file_with_empty_sections_gives_the_defaults() {
    let loaded = configured("api:\nhealth:\nkey_info:\npartners:\n").loaded();
    assert_eq!(format!("{:?}", loaded.config), format!("{:?}", Config::default()));
}

#[test]
fn a_key_without_the_field_canaries_has_the_built_in_canary() {
    assert_eq!(names(&key("access: society\ntoken_file: secret")), ["key_info", "exercices"]);
}

#[test]
fn a_key_with_an_empty_list_of_canaries_has_none() {
    assert_eq!(names(&key("access: firm\ntoken_file: secret\ncanaries: []")), ["key_info"]);
}

#[test]
fn the_built_in_canary_can_get_another_interval_and_method_and_keeps_its_path() {
    let folder = with_key(
        "canaries: {exercices: {interval: 10m, method: HEAD}}",
        "access: society\ntoken_file: secret",
    );
    let probe = folder.loaded().config.partners[0].keys[0].probes[1].clone();
    assert_eq!((canary(&probe).method, probe.timing), (Method::Head, timing(600, 10)));
    assert_eq!(&*canary(&probe).path, "/api/v1/mad/exercices?version=1.0.0");
}

#[test]
fn key_info_is_not_probed_if_its_mode_is_off() {
    let folder = with_key("key_info: {mode: off}", "access: society\ntoken_file: secret");
    assert_eq!(names(&folder.loaded().config.partners[0].keys[0]), ["exercices"]);
    assert_eq!(names(&key("access: society\ntoken_file: secret\nkey_info: {mode: off}")), ["exercices"]);
}

#[test]
fn the_key_info_of_one_key_overrides_the_key_info_of_all_keys() {
    let folder = with_key(
        "key_info: {mode: routes, interval: 5m}",
        "access: society\ntoken_file: secret\nkey_info: {timeout: 20s}",
    );
    let probe = folder.loaded().config.partners[0].keys[0].probes[0].clone();
    assert_eq!((probe.target, probe.timing), (Target::KeyInfo(KeyInfoMode::Routes), timing(300, 20)));
}

#[test]
fn a_key_with_firm_access_can_run_one_canary_for_several_societies() {
    let key = key("access: firm
society_id: 1
token_file: secret
canaries:
  - exercices
  - {canary: exercices, name: exercices-5678, society_id: 5678, interval: 5m, timeout: 5s}
  - {canary: exercices, name: exercices-91, society_id: 91}");
    assert_eq!(names(&key), ["key_info", "exercices", "exercices-5678", "exercices-91"]);
    let ids: Vec<_> =
        key.probes[1..].iter().map(|probe| canary(probe).society_id.map(NonZeroU64::get)).collect();
    assert_eq!(ids, [Some(1), Some(5678), Some(91)]);
    assert!(key.probes[1..].iter().all(|probe| &*canary(probe).name == "exercices"));
    assert_eq!((key.probes[2].timing, key.probes[3].timing), (timing(300, 5), timing(60, 10)));
}

#[test]
fn a_canary_of_a_key_is_named_by_the_field_name_or_canary() {
    for field in ["name", "canary"] {
        let key = key(&format!(
            "access: society\ntoken_file: secret\ncanaries: [{{{field}: exercices, interval: 2m}}]"
        ));
        assert_eq!(names(&key), ["key_info", "exercices"]);
        assert_eq!(key.probes[1].timing, timing(120, 10));
    }
}

#[test]
fn a_canary_about_the_firm_has_no_society_id() {
    let folder = with_key(
        "canaries: {users: {path: /api/v1/users_v2, society: false}}",
        "access: firm\nsociety_id: 7\ntoken_file: secret\ncanaries: [users, exercices]",
    );
    let key = folder.loaded().config.partners[0].keys[0].clone();
    assert_eq!(canary(&key.probes[1]).society_id, None);
    assert_eq!(canary(&key.probes[2]).society_id, NonZeroU64::new(7));
}

#[test]
fn text_is_read_exactly_as_written() {
    for (written, read) in [
        ("0123", "0123"),
        ("1e5", "1e5"),
        ("true", "true"),
        ("'null'", "null"),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
    ] {
        assert_eq!(token(&key(&format!("access: society\ntoken: {written}"))), read);
    }
}

#[test]
fn a_firm_is_an_id_or_a_name() {
    let firm = |written: &str| {
        let login = format!("login: {{mail: a@b, password_file: secret, firm: {written}}}");
        match key(&format!("access: firm\n{login}\ncanaries: []")).credential {
            Credential::Login(login) => login.firm,
            Credential::Token(_) => panic!("a token"),
        }
    };
    assert_eq!(firm("80"), Some(Firm::Id(80)));
    assert_eq!(firm("'80'"), Some(Firm::Name("80".to_owned())));
    assert_eq!(firm("Cabinet Durand"), Some(Firm::Name("Cabinet Durand".to_owned())));
}

#[test]
fn a_name_can_contain_any_printable_character() {
    let folder =
        configured("partners: [{name: \"<script>alert('é')</script>\", secret_file: secret, keys: []}]");
    assert_eq!(&*folder.loaded().config.partners[0].name, "<script>alert('é')</script>");
}

#[test]
fn plain_http_is_allowed_for_loopback_addresses_only() {
    for host in ["127.0.0.1:8080", "127.8.9.10", "[::1]:80", "localhost:1234", "LOCALHOST"] {
        let loaded = configured(&format!("api: {{base_url: 'http://{host}/prefix'}}")).loaded();
        assert_eq!(loaded.config.settings.api.base_url.scheme(), "http", "{host}");
    }
    for host in ["127.0.0.1.example", "localhost.example", "[::2]", "10.0.0.1", "0.0.0.0", "user@127.0.0.1"] {
        assert!(configured(&format!("api: {{base_url: 'http://{host}/'}}")).load().is_err(), "{host}");
    }
}

#[test]
fn a_relative_path_is_relative_to_the_file_that_contains_it() {
    let folder = configured("key_files: ['keys.d/*.yml']\n")
        .with("keys.d/a.yml", "partners: [{name: acme, secret_file: acme-secret, keys: []}]")
        .with("keys.d/acme-secret", "beside-the-key-file");
    assert_eq!(value(&folder.loaded().config.partners[0].secret), "beside-the-key-file");
}

#[test]
fn a_valid_file_of_certificate_authorities_is_accepted() {
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = configured("api: {ca_file: ca.pem}").with("ca.pem", &authority.cert.pem());
    assert_eq!(folder.loaded().config.settings.api.ca_file, Some(folder.path("ca.pem")));
}

#[test]
fn the_password_of_the_proxy_is_not_printed() {
    let folder = configured("api: {proxy_url: 'http://user:planted@proxy.example:3128'}");
    let loaded = folder.loaded();
    assert_eq!(loaded.config.settings.api.proxy_url.as_ref().unwrap().password(), Some("planted"));
    for text in [format!("{loaded:?}"), format!("{loaded:#?}"), loaded.summary()] {
        assert!(!text.contains("planted") && text.contains("proxy.example"), "{text}");
    }
}

#[test]
fn inline_secrets_are_not_printed() {
    let folder = configured(
        "partners: [{name: acme, secret: planted-1, keys: [
            {name: dupont, access: society, token: planted-2},
            {name: durand, access: firm, login: {mail: a@b, password: planted-3}, canaries: []}]}]",
    );
    let loaded = folder.loaded();
    let warnings: String = loaded.warnings.iter().map(ToString::to_string).collect();
    for text in [format!("{loaded:?}"), format!("{loaded:#?}"), loaded.summary(), warnings] {
        assert!(!text.contains("planted"), "{text}");
    }
}

#[test]
fn a_world_readable_secret_file_is_one_warning_per_configuration_file() {
    let folder = with_key("", "access: society\ntoken_file: open");
    folder.write("open", "a-secret");
    fs::set_permissions(folder.path("open"), fs::Permissions::from_mode(0o644)).unwrap();
    let permissions = "is readable by every user of the machine";
    assert_eq!(
        warnings(&folder),
        [format!("exporter.yml:8: partners[0].keys[0].token_file: {permissions}; run chmod o-r on it")]
    );
    fs::set_permissions(folder.path("of-partner"), fs::Permissions::from_mode(0o604)).unwrap();
    let more = "(and 1 more in this file)";
    assert_eq!(
        warnings(&folder),
        [format!("exporter.yml:4: partners[0].secret_file: {permissions} {more}; run chmod o-r on it")]
    );
}

#[test]
fn inline_secrets_in_a_world_readable_file_are_a_warning() {
    let folder = with_key("", "access: society\ntoken: a-token");
    fs::set_permissions(folder.path("exporter.yml"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        warnings(&folder),
        ["exporter.yml:8: partners[0].keys[0].token: is in a file that every user of the machine can read; \
          run chmod o-r on it, or move the secret to a file of its own"]
    );
    close(&folder.path("exporter.yml"));
    assert_eq!(warnings(&folder), [""; 0]);
}

#[test]
fn a_key_that_is_never_probed_is_a_warning() {
    let folder = with_key("", "access: society\ntoken_file: secret\ncanaries: []\nkey_info: {mode: off}");
    assert_eq!(
        warnings(&folder),
        ["exporter.yml:6: partners[0].keys[0]: is never probed, because it has neither key_info nor a \
          canary: a new key stays untouched, and nothing says whether it works; add one of them as soon as the key \
          may be used"]
    );
}

#[test]
fn a_pattern_that_matches_nothing_is_a_warning() {
    assert_eq!(
        warnings(&configured("key_files:\n- keys.d/*.yml\n")),
        ["exporter.yml:2: key_files[0]: matches no file; correct the pattern, or add a file"]
    );
}

#[test]
fn the_summary_describes_the_configuration() {
    let folder = example();
    folder.write(
        "keys.d/more.yml",
        "partners:
- name: zenith
  secret_file: ../run/secrets/acme
  keys: [{name: petit, access: society, token_file: ../run/secrets/petit, key_info: {mode: routes}, canaries: [
    {name: exercices, interval: 7m}]}]
- {name: vide, secret_file: ../run/secrets/acme, keys: []}
",
    );
    assert_eq!(
        folder.shortened(&folder.loaded().summary()),
        r#"API: https://api.myunisoft.fr/
Log-in: https://app.prodcomptable.myunisoft.fr/api/authenticate/firm
Health: every 15s
Partners: 3
  "acme": 3 keys: 1 society access by token, 1 firm access by token, 1 firm access by log-in
  "zenith": 1 key: 1 society access by token
  "vide": 0 keys
Probes per minute: 10.1 (4 for health, 6.1 for keys)
Request budget used: at most 1.7% of 20 requests per 10s and token ("dupont" of "acme")
Activated by their first key_info probe (mode extended), unless already active: 3 keys
  "dupont" of "acme"
  "martin" of "acme"
  "durand" of "acme"
Configuration files: 2
  exporter.yml
  keys.d/more.yml
Warnings: 0
"#
    );
}

#[test]
fn the_default_summary_has_no_keys() {
    assert_eq!(
        Loaded::default().summary(),
        "API: https://api.myunisoft.fr/
Health: every 15s
Partners: 0
Probes per minute: 4 (4 for health, 0 for keys)
Activated by their first key_info probe (mode extended): no key
Configuration files: 0
Warnings: 0
"
    );
}

#[test]
fn a_head_canary_is_allowed_beside_a_probe_that_says_why_it_is_refused() {
    let head = "canaries: {head: {path: /api/v1/society, method: HEAD}}";
    for fields in [
        "access: society\ntoken_file: secret\ncanaries: [head]",
        "access: society\ntoken_file: secret\ncanaries: [head]\nkey_info: {mode: routes}",
        "access: society\ntoken_file: secret\ncanaries: [head, exercices]\nkey_info: {mode: off}",
    ] {
        assert_eq!(warnings(&with_key(head, fields)), [""; 0], "{fields}");
    }
}

#[test]
fn a_canary_that_is_not_fit_is_a_warning() {
    let folder = with_key(
        "canaries: {all: {path: /api/v1/MAD/all/?version=1.0.0}, good: {path: /api/v1/small}}",
        "access: society\ntoken_file: secret",
    );
    let warnings = warnings(&folder);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("exporter.yml:1: canaries.all.path: starts an export")
            && warnings[0].contains("; "),
        "{warnings:?}"
    );
}

#[test]
fn a_canary_about_the_firm_is_a_warning_for_a_key_with_society_access() {
    let firm_wide = "canaries: {users: {path: /api/v1/users_v2, society: false}}";
    let folder = with_key(firm_wide, "access: society\ntoken_file: secret\ncanaries: [users]");
    let warning = &warnings(&folder)[0];
    assert!(warning.contains("canaries[0]: the canary \"users\" is about the firm"), "{warning}");
    let folder = with_key(firm_wide, "access: firm\ntoken_file: secret\ncanaries: [users]");
    assert_eq!(warnings(&folder), [""; 0]);
}

#[test]
fn a_password_may_contain_the_characters_of_a_reference() {
    for password in ["a${b}c", "$ecret", "${", "pa$$word}"] {
        let login = format!("access: firm\nlogin: {{mail: a@b, password: '{password}'}}\ncanaries: []");
        let Credential::Login(login) = key(&login).credential else { panic!("a token") };
        assert_eq!(value(&login.password), password);
    }
}

#[test]
fn a_secret_that_cannot_be_read_is_an_error_only_where_secrets_are_checked() {
    let folder = with_key("", "access: society\ntoken_file: missing");
    folder.write("of-partner", "");
    let Err(problems) = folder.load() else { panic!("accepted") };
    assert_eq!(problems.into_iter().count(), 2, "the secret and the token");
    let names = r"
api: {ca_file: missing.pem}
partners:
- name: acme
  secret_env: MYUNISOFT_NOT_SET_ANYWHERE
  keys:
  - {name: dupont, access: society, token_file: looksLikeASecret0123456789}
";
    folder.write("names.yml", names);
    let loaded = load(&folder.path("names.yml"), Secrets::Ignore).unwrap();
    assert_eq!(loaded.config.partners[0].keys.len(), 1);
    assert!(!format!("{loaded:?}").contains("looksLikeASecret"), "{loaded:?}");
    let loaded = load(&folder.path("exporter.yml"), Secrets::ReadLater).unwrap();
    assert_eq!(loaded.config.partners[0].keys.len(), 1);
    folder.write("form.yml", "partners: [{name: acme, secret: 'of two words'}]");
    for secrets in [Secrets::Check, Secrets::ReadLater, Secrets::Ignore] {
        assert!(load(&folder.path("form.yml"), secrets).is_err(), "{secrets:?}: the form is wrong");
    }
}

#[test]
fn a_configuration_can_be_given_as_text() {
    let error = load_text("standard input", b"health: {interval: 0s}", Secrets::Check).unwrap_err();
    let expected = "standard input:1: health.interval: is zero; write an interval from 100ms to 24h";
    assert_eq!(error.to_string(), expected);
    assert!(load_text("standard input", b"health: {interval: 30s}", Secrets::Check).is_ok());
}

#[test]
fn a_key_has_the_labels_of_its_partner_and_its_own_which_replace_them() {
    let folder = configured(
        "key_files: ['more.yml']\npartners:
  - name: acme
    secret_file: secret
    labels: {customer: 4711, contact: sav@acme.example}
    keys:
      - {name: dupont, access: society, token_file: secret}
      - {name: martin, access: society, token_file: secret, labels: {customer: \"12\", région_2: x}}",
    );
    let error = folder.load().unwrap_err().to_string();
    assert!(error.contains("région_2"), "{error}");
    let text = fs::read_to_string(folder.path("exporter.yml")).unwrap();
    folder.write("exporter.yml", &text.replace("région_2", "region_2"));
    folder.write(
        "more.yml",
        "partners: [{name: acme, keys: [{name: petit, access: society, token_file: secret}]}]",
    );
    let keys = &folder.loaded().config.partners[0].keys;
    let labels =
        |key: &Key| key.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    assert_eq!(labels(&keys[0]), ["contact=sav@acme.example", "customer=4711"]);
    assert_eq!(labels(&keys[1]), ["contact=sav@acme.example", "customer=12", "region_2=x"]);
    assert_eq!(labels(&keys[2]), labels(&keys[0]), "a key of another file");
}

//! Errors in a web configuration file are reported with their place and a remedy.

use std::process::Command;

use crate::support::pki::{Pki, hash};
use crate::support::server::BINARY;

/// The messages of `check-config` about this web configuration file, without the path of the folder.
fn problems(pki: &Pki, text: &str) -> String {
    let file = pki.write("web.yml", text);
    let main = pki.write("exporter.yml", "health: {interval: 15s}\n");
    let mut command = Command::new(BINARY);
    command.arg("check-config").arg(main).arg(format!("--web.config.file={}", file.display()));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}\n{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    text.replace(&format!("{}/", pki.folder.path().display()), "")
}

#[test]
fn every_error_is_reported_with_its_line_and_field() {
    let pki = Pki::new();
    let other = Pki::new();
    pki.write("other.key", &std::fs::read_to_string(other.path("server.key")).unwrap());
    pki.write("empty.pem", "nothing\n");
    let tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
    for (text, expected) in [
        (
            "basic_auth_user: {}\n".to_owned(),
            "web.yml:1: basic_auth_user: is not a field; did you mean `basic_auth_users`?",
        ),
        (
            "basic_auth_users:\n  alice: hunter2\n".to_owned(),
            "web.yml:2: basic_auth_users.alice: is not a bcrypt hash",
        ),
        (
            format!("basic_auth_users:\n  a: {0}\n  a: {0}\n", hash("x")),
            "web.yml:3: basic_auth_users.a: is written twice",
        ),
        (
            "tls_server_config:\n  cert_file: server.pem\n".to_owned(),
            "web.yml:1: tls_server_config.key_file: is missing",
        ),
        (
            "tls_server_config:\n  key_file: server.key\n".to_owned(),
            "web.yml:1: tls_server_config.cert_file: is missing",
        ),
        (
            "tls_server_config:\n  cert_file: none.pem\n  key_file: server.key\n".to_owned(),
            "web.yml:2: tls_server_config.cert_file: the file none.pem does not exist",
        ),
        (
            "tls_server_config:\n  cert_file: empty.pem\n  key_file: server.key\n".to_owned(),
            "web.yml:2: tls_server_config.cert_file: contains no certificate; it must be PEM",
        ),
        (
            "tls_server_config:\n  cert_file: server.pem\n  key_file: other.key\n".to_owned(),
            "web.yml:3: tls_server_config.key_file: is not the key of the certificate",
        ),
        (
            "tls_server_config:\n  cert_file: server.pem\n  key_file: ca.pem\n".to_owned(),
            "web.yml:3: tls_server_config.key_file: contains no PEM private key",
        ),
        (
            format!("{tls}  key: abc\n"),
            "web.yml:4: tls_server_config.key: is a second source beside `key_file`",
        ),
        (
            format!("{tls}  client_auth_type: Maybe\n"),
            "web.yml:4: tls_server_config.client_auth_type: is not allowed",
        ),
        (
            format!("{tls}  client_auth_type: RequireAndVerifyClientCert\n"),
            "web.yml:1: tls_server_config.client_ca_file: is missing",
        ),
        (
            format!("{tls}  client_ca_file: ca.pem\n"),
            "web.yml:4: tls_server_config.client_ca_file: has no effect without client_auth_type",
        ),
        (
            format!("{tls}  client_allowed_sans: [a.example]\n"),
            "web.yml:4: tls_server_config.client_allowed_sans: requires a certificate from every client",
        ),
        (
            format!("{tls}  min_version: TLS10\n"),
            "web.yml:4: tls_server_config.min_version: is an insecure version and not supported",
        ),
        (
            format!("{tls}  min_version: TLS13\n  max_version: TLS12\n"),
            "web.yml:5: tls_server_config.max_version: is below min_version",
        ),
        (
            format!("{tls}  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n"),
            "web.yml:4: tls_server_config.cipher_suites[0]: is not supported; use one of TLS_",
        ),
        (
            format!("{tls}  curve_preferences: [CurveP521]\n"),
            "web.yml:4: tls_server_config.curve_preferences[0]: is not supported; use one of X25519, CurveP256, CurveP384",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: never}}\n".to_owned(),
            "http_server_config.headers.X-Frame-Options: is not allowed; write `deny` or `sameorigin`",
        ),
        ("http_server_config: {headers: {Set-Cookie: a}}\n".to_owned(), "http_server_config.headers"),
        ("http_server_config: {http2: perhaps}\n".to_owned(), "http_server_config.http2: is neither"),
        ("rate_limit: {interval: 1s}\n".to_owned(), "web.yml:1: rate_limit.burst: is missing"),
        (
            "rate_limit: {interval: 1s, burst: 0}\n".to_owned(),
            "rate_limit.burst: is zero, so every request would be refused",
        ),
        ("# nothing\n".to_owned(), "web.yml:1: is empty"),
        ("---\n".to_owned(), "web.yml:1: is empty"),
        ("---\nnull\n".to_owned(), "is empty"),
        ("{}\n".to_owned(), "web.yml:1: is empty"),
        ("tls_server_config:\n".to_owned(), "web.yml:1: tls_server_config: is empty; fill it"),
        ("basic_auth_users: {}\n".to_owned(), "web.yml:1: basic_auth_users: is empty; fill it"),
    ] {
        let messages = problems(&pki, &text);
        assert!(messages.contains(expected), "{text}\nexpected: {expected}\ngot: {messages}");
        assert!(!messages.contains("hunter2") && !messages.contains("$2b$"), "{messages}");
    }
}

#[test]
fn all_errors_of_both_files_are_reported_at_once() {
    let pki = Pki::new();
    let file = pki.write("web.yml", "rate_limits: {}\nbasic_auth_users: {a: b}\n");
    let main = pki.write("exporter.yml", "helth: {}\n");
    let mut command = Command::new(BINARY);
    command.arg("check-config").arg(main).arg(format!("--web.config.file={}", file.display()));
    let messages = String::from_utf8(command.output().unwrap().stderr).unwrap();
    for part in ["exporter.yml:1: helth", "web.yml:1: rate_limits", "web.yml:2: basic_auth_users.a"] {
        assert!(messages.contains(part), "{messages}");
    }
}

#[test]
fn a_hash_in_the_place_of_a_user_s_name_is_an_error_that_does_not_quote_it() {
    let messages = problems(&Pki::new(), &format!("basic_auth_users:\n  {}: alice\n", hash("x")));
    let expected =
        "web.yml:1: basic_auth_users: has a hash in the place of a user's name; write `NAME: HASH`";
    assert!(messages.contains(expected) && !messages.contains("$2b$"), "{messages}");
}

//! Which clients are admitted: certificates, orchestrators without a password, and sockets of systemd.

use std::process::{Command, Stdio};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use reqwest::tls::Version;

use crate::support::pki::{Identity, Pki, client, hash, write};
use crate::support::server::{BINARY, Exporter, Server, client as plain_client};
use crate::support::web::{start, start_with_web_config};

const VERIFY: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  \
                      client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n";

/// A certificate that signs itself.
fn self_signed(is_ca: IsCa, purposes: &[ExtendedKeyUsagePurpose]) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = is_ca;
    params.extended_key_usages = purposes.to_vec();
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn identity(issuer: &CertifiedIssuer<'static, KeyPair>) -> Identity {
    Identity { certificate: issuer.pem(), key: issuer.key().serialize_pem() }
}

/// A client certificate that this issuer signed.
fn signed_by(issuer: &CertifiedIssuer<'static, KeyPair>, is_ca: IsCa, is_expired: bool) -> Identity {
    let mut params = CertificateParams::default();
    params.is_ca = is_ca;
    if is_expired {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    Identity { certificate: params.signed_by(&key, issuer).unwrap().pem(), key: key.serialize_pem() }
}

/// Whether the exporter serves a client with this certificate, which is the same with both versions of TLS.
async fn is_admitted(pki: &Pki, exporter: &Exporter, identity: &Identity) -> bool {
    let url = format!("{}/-/healthy", exporter.url.replace("http://", "https://"));
    let mut admitted = Vec::new();
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        let builder = client(pki, Some(identity)).tls_version_min(version).tls_version_max(version);
        let response = builder.build().unwrap().get(&url).send().await;
        admitted.push(response.is_ok_and(|response| response.status().as_u16() == 200));
    }
    assert_eq!(admitted[0], admitted[1]);
    admitted[0]
}

#[tokio::test]
async fn a_client_certificate_that_is_itself_trusted_is_admitted() {
    let pki = Pki::new();
    let ca = || IsCa::Ca(BasicConstraints::Unconstrained);
    let (trusted, other) = (self_signed(ca(), &[]), self_signed(ca(), &[]));
    let plain = self_signed(IsCa::ExplicitNoCa, &[]);
    let for_servers = self_signed(ca(), &[ExtendedKeyUsagePurpose::ServerAuth]);
    let pinned = signed_by(&other, IsCa::ExplicitNoCa, false);
    let expired = signed_by(&other, IsCa::ExplicitNoCa, true);
    let trusts =
        [&trusted.pem(), &plain.pem(), &for_servers.pem(), &pinned.certificate, &expired.certificate];
    pki.write("clients.pem", &trusts.map(String::as_str).concat());
    pki.write("web.yml", VERIFY);
    let exporter = start_with_web_config(&pki, &[]).await;
    for (name, identity, expected) in [
        ("signs itself, CA:TRUE", identity(&trusted), true),
        ("signs itself, CA:FALSE", identity(&plain), true),
        ("signed by a certificate that is not trusted", pinned, true),
        ("CA:TRUE, signed by a trusted one", signed_by(&trusted, ca(), false), true),
        ("CA:FALSE, signed by a trusted one", signed_by(&trusted, IsCa::ExplicitNoCa, false), true),
        ("trusted, but expired", expired, false),
        ("trusted, but for servers only", identity(&for_servers), false),
        ("of another authority", identity(&other), false),
        ("signed by another authority", signed_by(&other, IsCa::ExplicitNoCa, false), false),
        ("signed by a trusted one, but expired", signed_by(&trusted, ca(), true), false),
        ("signed by a trusted one that may not sign", signed_by(&plain, IsCa::ExplicitNoCa, false), false),
        ("CA:TRUE, signed by a trusted one that may not sign", signed_by(&plain, ca(), false), false),
    ] {
        assert_eq!(is_admitted(&pki, &exporter, &identity).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_refused_handshake_is_a_warning_once_per_address_and_cause() {
    let (pki, other) = (Pki::new(), Pki::new());
    pki.write("clients.pem", &pki.authority.pem());
    pki.write("web.yml", VERIFY);
    let exporter = start_with_web_config(&pki, &[]).await;
    let stranger = other.client(&["a.example"]);
    for _ in 0..3 {
        assert!(!is_admitted(&pki, &exporter, &stranger).await);
    }
    let line =
        exporter.server.wait_for_log(&["level=warn", "TLS handshake refused", "client=127.0.0.1"]).await;
    assert!(line.contains("not signed by the trusted certificate authority whose name it gives"), "{line}");
    assert!(is_admitted(&pki, &exporter, &pki.client(&["a.example"])).await);
    let refused = exporter.server.output().matches("TLS handshake refused").count();
    assert_eq!(refused, 1, "{}", exporter.server.output());
}

#[tokio::test]
async fn the_log_says_in_plain_words_why_a_client_is_refused() {
    let pki = Pki::new();
    let ca = || IsCa::Ca(BasicConstraints::Unconstrained);
    pki.write("clients.pem", &pki.authority.pem());
    pki.write("web.yml", &format!("{VERIFY}  client_allowed_sans: [a.example]\n"));
    let exporter = start_with_web_config(&pki, &[]).await;
    let signed = |is_ca, from: i32, until: i32| {
        let mut params = CertificateParams::default();
        params.is_ca = is_ca;
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        Identity {
            certificate: params.signed_by(&key, &pki.authority).unwrap().pem(),
            key: key.serialize_pem(),
        }
    };
    let stranger = |is_ca| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "stranger");
        params.is_ca = is_ca;
        identity(&CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    };
    for (identity, text) in [
        (signed(IsCa::ExplicitNoCa, 2019, 2020), "expired at 2020-01-01T00:00:00Z"),
        (signed(ca(), 2019, 2021), "expired at 2021-01-01T00:00:00Z"),
        (signed(IsCa::ExplicitNoCa, 2090, 2091), "is not valid before 2090-01-01T00:00:00Z; check the clock"),
        (signed(ca(), 2092, 2093), "is not valid before 2092-01-01T00:00:00Z; check the clock"),
        (stranger(IsCa::ExplicitNoCa), "a certificate authority that is not trusted here"),
        (stranger(ca()), "put this certificate itself into client_ca_file"),
        (pki.sign(&["a.example"], ExtendedKeyUsagePurpose::ServerAuth), "is not meant for clients"),
        (pki.client(&["b.example"]), "has none of the names in client_allowed_sans"),
    ] {
        assert!(!is_admitted(&pki, &exporter, &identity).await, "{text}");
        let line = exporter.server.wait_for_log(&["level=warn", "TLS handshake refused", text]).await;
        assert!(!line.contains("Error") && !line.contains("invalid peer"), "{line}");
    }
    let url = exporter.url.replace("http://", "https://");
    assert!(client(&pki, None).build().unwrap().get(url).send().await.is_err());
    exporter.server.wait_for_log(&["level=warn", "the client shows no certificate, but it must"]).await;
}

#[tokio::test]
async fn require_client_cert_is_the_former_name_of_require_any_client_cert() {
    let pki = Pki::new();
    let tls = "tls_server_config: {cert_file: server.pem, key_file: server.key, client_auth_type: RequireClientCert}\n";
    pki.write("web.yml", tls);
    let exporter = start_with_web_config(&pki, &[]).await;
    assert!(is_admitted(&pki, &exporter, &Pki::new().client(&["a.example"])).await);
    let url = exporter.url.replace("http://", "https://");
    assert!(client(&pki, None).build().unwrap().get(url).send().await.is_err());
}

#[tokio::test]
async fn an_interval_of_zero_is_no_rate_limit() {
    for limit in ["{interval: 0}", "{interval: 0s, burst: 1}", "{interval: 0, burst: 0}"] {
        let pki = Pki::new();
        pki.write("web.yml", &format!("rate_limit: {limit}\n"));
        let exporter = start_with_web_config(&pki, &[]).await;
        for _ in 0..20 {
            assert_eq!(exporter.get("/-/healthy").await.unwrap().0, 200, "{limit}");
        }
    }
}

#[tokio::test]
async fn health_and_readiness_need_no_password_if_the_flag_says_so() {
    let pki = Pki::new();
    pki.write("web.yml", &format!("basic_auth_users: {{alice: {}}}\n", hash("one")));
    for (flag, expected) in [(None, 401), (Some("--web.probes-without-auth"), 200)] {
        let flags: Vec<_> = flag.into_iter().chain(["--web.route-prefix=/x"]).collect();
        let exporter = start_with_web_config(&pki, &flags).await;
        for path in ["/x/-/healthy", "/x/-/ready"] {
            assert_eq!(exporter.get(path).await.unwrap().0, expected, "{path} {flag:?}");
            let post = plain_client().post(format!("{}{path}", exporter.url)).send().await.unwrap();
            assert_eq!(post.status().as_u16(), 401, "{path} {flag:?}: only reading needs no password");
        }
        for path in
            ["/x/", "/x/metrics", "/x/-/reload", "/-/ready", "/x/-/ready/", "/x/-/%72eady", "/x//-/ready"]
        {
            assert_eq!(exporter.get(path).await.unwrap().0, 401, "{path} {flag:?}");
        }
    }
}

#[tokio::test]
async fn it_serves_on_the_sockets_that_systemd_passes() {
    let pki = Pki::new();
    write(&pki.path("exporter.yml"), "health: {interval: 15s}\n");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The first socket of systemd is file descriptor 3, and the process ID must be that of the exporter.
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 0</dev/null";
    let mut command = Command::new("sh");
    command.args(["-c", script, BINARY, "--web.systemd-socket", "--web.listen-address=127.0.0.1:1"]);
    let socket: std::os::fd::OwnedFd = listener.into();
    let server = Server::spawn(command.current_dir(pki.folder.path()).stdin(Stdio::from(socket)));
    server.wait_for_log(&["listening on a socket of systemd", &address.to_string()]).await;
    let response = plain_client().get(format!("http://{address}/-/healthy")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert!(!server.output().contains("127.0.0.1:1 "), "the addresses of the flags are not used");
}

#[tokio::test]
async fn without_a_socket_of_systemd_it_does_not_start() {
    let pki = Pki::new();
    write(&pki.path("exporter.yml"), "health: {interval: 15s}\n");
    let mut command = Command::new(BINARY);
    let output = command.arg("--web.systemd-socket").current_dir(pki.folder.path()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("systemd passed no socket") && text.contains("ListenStream="), "{text}");
    drop(start(&pki, &[]).await);
}

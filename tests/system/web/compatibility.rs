//! The same web configuration file for `blackbox_exporter`, which uses the original implementation of this format, and for
//! this exporter. Both must accept and refuse the same clients.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use reqwest::tls::Version;

use crate::support::pki::{Identity, Pki, client, hash};
use crate::support::server::{Exporter, Server, run_tool, until};

/// `blackbox_exporter` and this exporter with the same web configuration file.
struct Both {
    servers: [Server; 2],
    /// Addresses without scheme.
    hosts: [String; 2],
}

impl Both {
    async fn start(pki: &Pki, file: &Path) -> Self {
        // `blackbox_exporter` cannot choose a port itself.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let modules = pki.write("blackbox.yml", "modules: {tcp: {prober: tcp}}\n");
        let mut command = Command::new("prometheus-blackbox-exporter");
        command
            .arg(format!("--config.file={}", modules.display()))
            .arg(format!("--web.config.file={}", file.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let theirs = Server::spawn(&mut command);
        let ours = Exporter::start_demo(&[&format!("--web.config.file={}", file.display())]).await;
        let host = format!("127.0.0.1:{port}");
        until("blackbox_exporter", || async { tokio::net::TcpStream::connect(&host).await.ok() }).await;
        let own = ours.url.trim_start_matches("http://").to_owned();
        Self { hosts: [host, own], servers: [theirs, ours.server] }
    }

    /// Sends the same request to both, checks that the responses are the same, and returns the response: its status and
    /// headers, or `refused`.
    async fn get(&self, client: &reqwest::Client, request: &Request<'_>) -> String {
        let mut responses = Vec::new();
        for host in &self.hosts {
            let mut builder = client.get(format!("{}://{host}{}", request.scheme, request.path));
            if let Some((name, password)) = request.user {
                builder = builder.basic_auth(name, Some(password));
            }
            responses.push(match builder.send().await {
                Ok(response) => {
                    let mut text = response.status().as_u16().to_string();
                    for name in request.headers {
                        if let Some(value) = response.headers().get(*name) {
                            let _ = write!(text, " {name}: {}", value.to_str().unwrap());
                        }
                    }
                    text
                }
                Err(_) => "refused".to_owned(),
            });
        }
        let [theirs, ours] = &responses[..] else { unreachable!() };
        let outputs = || self.servers.each_ref().map(Server::output).join("\n---\n");
        assert_eq!(ours, theirs, "{request:?}\n{}", outputs());
        ours.clone()
    }
}

#[derive(Debug)]
struct Request<'a> {
    scheme: &'a str,
    path: &'a str,
    user: Option<(&'a str, &'a str)>,
    /// The names of the response headers to compare.
    headers: &'a [&'a str],
}

const PLAIN: Request<'_> = Request { scheme: "http", path: "/metrics", user: None, headers: &[] };
const SECURE: Request<'_> = Request { scheme: "https", path: "/metrics", user: None, headers: &[] };

#[tokio::test]
async fn both_exporters_accept_and_refuse_the_same_users() {
    let pki = Pki::new();
    let long = "x".repeat(72);
    let file = pki.write(
        "web.yml",
        &format!(
            "basic_auth_users:\n  alice: {}\n  bob: {}\n  émile: {}\n  long: {}\n",
            hash("one"),
            hash("two:three"),
            hash("mot de passe é"),
            hash(&long)
        )
        .replace("$2b$", "$2y$"),
    );
    let both = Both::start(&pki, &file).await;
    let client = client(&pki, None).build().unwrap();
    let longer = format!("{long}y");
    for (user, expected) in [
        (None, "401 www-authenticate: Basic"),
        (Some(("alice", "one")), "200"),
        (Some(("alice", "one")), "200"),
        (Some(("alice", "two")), "401 www-authenticate: Basic"),
        (Some(("alice", "")), "401 www-authenticate: Basic"),
        (Some(("Alice", "one")), "401 www-authenticate: Basic"),
        (Some(("nobody", "one")), "401 www-authenticate: Basic"),
        (Some(("nobody", "fakepassword")), "401 www-authenticate: Basic"),
        (Some(("", "")), "401 www-authenticate: Basic"),
        (Some(("bob", "two:three")), "200"),
        (Some(("émile", "mot de passe é")), "200"),
        (Some(("long", long.as_str())), "200"),
        // Bcrypt uses only the first 72 bytes.
        (Some(("long", longer.as_str())), "200"),
    ] {
        for path in ["/metrics", "/-/healthy", "/"] {
            let request = Request { path, user, headers: &["www-authenticate"], ..PLAIN };
            let response = both.get(&client, &request).await;
            assert!(response.starts_with(&expected[..3]), "{request:?}: {response}");
            if path == "/metrics" {
                assert!(response.contains(expected), "{response}");
            }
        }
    }
    let unknown_route = Request { path: "/no/such/route", user: Some(("nobody", "x")), ..PLAIN };
    assert_eq!(
        both.get(&client, &unknown_route).await,
        "401",
        "an unauthenticated client does not learn which routes exist"
    );
}

#[tokio::test]
async fn both_exporters_accept_and_refuse_the_same_client_certificates() {
    let (pki, other) = (Pki::new(), Pki::new());
    let identities: [(&str, Option<Identity>); 4] = [
        ("none", None),
        ("good", Some(pki.client(&["prometheus.example"]))),
        ("of another authority", Some(other.client(&["prometheus.example"]))),
        ("a server's", Some(pki.sign(&["127.0.0.1"], rcgen::ExtendedKeyUsagePurpose::ServerAuth))),
    ];
    for (auth, accepted) in [
        ("NoClientCert", [true, true, true, true]),
        ("RequestClientCert", [true, true, true, true]),
        ("RequireAnyClientCert", [false, true, true, true]),
        ("VerifyClientCertIfGiven", [true, true, false, false]),
        ("RequireAndVerifyClientCert", [false, true, false, false]),
    ] {
        let ca = if auth == "NoClientCert" { "" } else { "  client_ca_file: ca.pem\n" };
        let text = format!(
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_auth_type: {auth}\n{ca}"
        );
        let file = pki.write(&format!("{auth}.yml"), &text);
        let both = Both::start(&pki, &file).await;
        for version in [Version::TLS_1_2, Version::TLS_1_3] {
            for ((name, identity), accepted) in identities.iter().zip(accepted) {
                let client = client(&pki, identity.as_ref())
                    .tls_version_min(version)
                    .tls_version_max(version)
                    .build()
                    .unwrap();
                let response = both.get(&client, &SECURE).await;
                assert_eq!(response, if accepted { "200" } else { "refused" }, "{auth} {name} {version:?}");
            }
        }
        let client = client(&pki, None).build().unwrap();
        assert_eq!(both.get(&client, &PLAIN).await, "400", "plain HTTP on the TLS port");
    }
}

#[tokio::test]
async fn both_exporters_apply_the_same_tls_versions_cipher_suites_and_curves() {
    let pki = Pki::new();
    let tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
    for (settings, tls12, tls13) in [
        ("", true, true),
        ("  min_version: TLS13\n", false, true),
        ("  max_version: TLS12\n", true, false),
        ("  min_version: TLS12\n  max_version: TLS12\n", true, false),
        ("  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n", true, true),
        ("  curve_preferences: [CurveP384]\n  prefer_server_cipher_suites: false\n", true, true),
    ] {
        let file = pki.write("web.yml", &format!("{tls}{settings}http_server_config: {{http2: false}}\n"));
        let both = Both::start(&pki, &file).await;
        for (version, accepted) in [(Version::TLS_1_2, tls12), (Version::TLS_1_3, tls13)] {
            let client =
                client(&pki, None).tls_version_min(version).tls_version_max(version).build().unwrap();
            let response = both.get(&client, &SECURE).await;
            assert_eq!(response, if accepted { "200" } else { "refused" }, "{settings} {version:?}");
        }
    }
}

#[tokio::test]
async fn both_exporters_send_the_same_headers_with_every_response() {
    let pki = Pki::new();
    let text = format!(
        "http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n    \
         Strict-Transport-Security: max-age=31536000\nbasic_auth_users: {{alice: {}}}\n",
        hash("one")
    );
    let file = pki.write("web.yml", &text);
    let both = Both::start(&pki, &file).await;
    let client = client(&pki, None).build().unwrap();
    for user in [Some(("alice", "one")), None] {
        let response = both
            .get(
                &client,
                &Request { user, headers: &["x-frame-options", "strict-transport-security"], ..PLAIN },
            )
            .await;
        assert!(response.contains("x-frame-options: sameorigin"), "{response}");
        assert!(response.contains("strict-transport-security: max-age=31536000"), "{response}");
    }
}

/// The status that a client of OpenSSL gets with this certificate, or `refused`. The TLS library of the other tests cannot
/// send a certificate of version 1.
fn status_with_curl(pki: &Pki, url: &str, name: &str, version: &str) -> String {
    let file = |name: String| pki.path(&name).display().to_string();
    let (ca, certificate, key) =
        (file("ca.pem".into()), file(format!("{name}.pem")), file(format!("{name}.key")));
    let mut command = Command::new("curl");
    command.args(["--noproxy", "*", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", &ca]);
    command.args(["--cert", &certificate, "--key", &key, "--tlsv1.2", "--tls-max", version, url]);
    let output = run_tool(&mut command);
    if output.status.success() { String::from_utf8(output.stdout).unwrap() } else { "refused".to_owned() }
}

#[tokio::test]
async fn both_exporters_admit_the_same_unusual_client_certificates() {
    let pki = Pki::new();
    pki.write("ca.key", &pki.authority.key().serialize_pem());
    // `x509 -req` without extensions writes certificates of version 1.
    let script = "
        key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out $1.key; }
        request() { key $1; openssl req -new -key $1.key -subj /CN=$1 -out $1.csr; }
        request v1; openssl x509 -req -in v1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -out v1.pem
        openssl x509 -in v1.pem -noout -text | grep -q 'Version: 1 '
        request self; openssl x509 -req -in self.csr -signkey self.key -days 9 -out self.pem
        key pinned; openssl req -x509 -new -key pinned.key -subj /CN=pinned -days 9 -out pinned.pem
        request foreign; openssl x509 -req -in foreign.csr -CA self.pem -CAkey self.key -CAcreateserial -days 9 -out foreign.pem
        request stranger; openssl x509 -req -in stranger.csr -signkey stranger.key -days 9 -out stranger.pem
        cat ca.pem pinned.pem self.pem > clients.pem";
    let mut command = Command::new("sh");
    let output = run_tool(command.args(["-ec", script]).current_dir(pki.folder.path()));
    assert!(output.status.success(), "{output:?}");
    let text = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  \
                client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n";
    let both = Both::start(&pki, &pki.write("web.yml", text)).await;
    for (name, expected) in
        [("v1", "200"), ("self", "200"), ("pinned", "200"), ("foreign", "200"), ("stranger", "refused")]
    {
        for version in ["1.2", "1.3"] {
            let statuses = both
                .hosts
                .each_ref()
                .map(|host| status_with_curl(&pki, &format!("https://{host}/-/healthy"), name, version));
            assert_eq!(statuses, [expected, expected], "{name} {version}");
        }
    }
}

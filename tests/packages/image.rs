//! The container image: the Dockerfile is built, and the image is run, as a user does it.
//!
//! There is no registry here, so the base image is a stand-in: an empty image into which this machine's own folders are
//! mounted. All steps of the Dockerfile run as they do elsewhere.

mod engine;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use partner_simulator::{Fault, Limits, Scope, Simulator, TlsOptions};
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::support::SECRET;
use crate::support::acme::{key_line, state_line, write_config};
use crate::support::monitoring::Prometheus;
use crate::support::server::{client, run_tool, until, until_within};
use engine::{Container, Engine, START_TIMEOUT};

const IMAGE: &str = "localhost/myunisoft-exporter";
/// The user of the image.
const USER: u32 = 65_532;
const REVISION: &str = "0123456789abcdef";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The image, built once for all tests.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let engine = Engine::new();
        let clone = clone_of_the_repository();
        let revision = format!("--build-arg=REVISION={REVISION}");
        engine.build(clone.path(), &["--tag", IMAGE, &revision]);
        // The layers of the dependencies stay for the next run. All that nothing names any more goes.
        engine.build(clone.path(), &["--target=dependencies", "--tag=localhost/dependencies"]);
        engine.buildah(&["rmi", "--prune"]);
        engine
    })
}

/// A copy of the repository whose files are older than every layer of the image, as those of an archive are.
fn clone_of_the_repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 31);
    // The build needs no link, and some links of the tests lead nowhere.
    let left_out = |path: &Path| {
        path.is_symlink() || ["target", ".git", "docs/images"].iter().any(|name| *path == root().join(name))
    };
    let mut folders = vec![root().to_owned()];
    while let Some(from) = folders.pop() {
        let to = folder.path().join(from.strip_prefix(root()).unwrap());
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(&from).unwrap() {
            let path = entry.unwrap().path();
            if left_out(&path) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let copy = to.join(path.file_name().unwrap());
                fs::copy(&path, &copy).unwrap();
                fs::File::options().write(true).open(copy).unwrap().set_modified(long_ago).unwrap();
            }
        }
    }
    folder
}

/// Gives the files of a folder to the user of the image, and to nobody else.
fn give_to_user(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        chown(path, Some(USER), Some(USER)).unwrap();
    }
}

/// A port that was free a moment ago. The health check must know the port before the exporter listens on it.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The arguments of `podman run` for an exporter in the network of this machine, without any other right.
fn on_host(port: u16, mounts: &[String]) -> Vec<String> {
    let listen = format!("--env=MYUNISOFT_EXPORTER_WEB_LISTEN_ADDRESS=127.0.0.1:{port}");
    let fixed = ["--network=host", "--cap-drop=all", "--security-opt=no-new-privileges"];
    // Without tmpfs, as with Docker: only the volume is writable.
    let read_only = ["--read-only", "--read-only-tmpfs=false"];
    let fixed = fixed.into_iter().chain(read_only).map(str::to_owned);
    let mounts = mounts.iter().map(|mount| format!("--volume={mount}"));
    fixed.chain([listen]).chain(mounts).chain([IMAGE.to_owned()]).collect()
}

fn run<'a>(engine: &'a Engine, arguments: &[String]) -> Container<'a> {
    Container::run(engine, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

async fn get(port: u16, path: &str) -> Option<String> {
    let response = client().get(format!("http://127.0.0.1:{port}{path}")).send().await.ok()?;
    response.error_for_status().ok()?.text().await.ok()
}

async fn wait_for_line(port: u16, line: &str) {
    let has_line = || async { get(port, "/metrics").await?.lines().any(|l| l == line).then_some(()) };
    until_within(START_TIMEOUT, line, has_line).await;
}

/// A folder with a configuration for the key dupont that the user of the image can read.
fn keys_of_acme(simulator: &Simulator) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), simulator, &[key_line(simulator, "dupont")]);
    fs::rename(folder.path().join("exporter.yml"), folder.path().join("myunisoft-exporter.yml")).unwrap();
    give_to_user(folder.path());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn the_image_is_small_and_says_what_it_is() {
    let image = engine().image(IMAGE);
    let size = image["Size"].as_u64().unwrap();
    println!("the image has {:.1} MB", f64::from(u32::try_from(size / 1_000).unwrap()) / 1_000.0);
    assert!(size < 23_000_000, "{size} bytes");
    let config = &image["Config"];
    assert_eq!(config["User"], "65532:65532");
    assert!(config["Volumes"]["/data"].is_object(), "{config}");
    assert!(config["ExposedPorts"]["10698/tcp"].is_object(), "{config}");
    let expected = [
        ("title", "myunisoft-exporter"),
        ("description", env!("CARGO_PKG_DESCRIPTION")),
        ("licenses", "Apache-2.0"),
        ("version", env!("CARGO_PKG_VERSION")),
        ("revision", REVISION),
        ("created", "unknown"),
    ];
    for (name, value) in expected {
        assert_eq!(config["Labels"][format!("org.opencontainers.image.{name}")], value, "{name}");
    }
    let check = &image["Healthcheck"];
    assert_eq!(check["Test"], serde_json::json!(["CMD", "/usr/bin/myunisoft-exporter", "healthcheck"]));
}

#[test]
fn the_image_has_the_program_without_symbols_and_its_libraries_and_no_shell() {
    let engine = engine();
    let container = engine.buildah(&["from", "--pull-never", IMAGE]);
    let container = container.trim();
    let mounted = engine.buildah(&["mount", container]);
    let mounted = PathBuf::from(mounted.trim());
    let program = mounted.join("usr/bin/myunisoft-exporter");
    let symbols = run_tool(Command::new("nm").arg(&program));
    let certificates = fs::read_to_string(mounted.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    let programs: Vec<_> = fs::read_dir(mounted.join("usr/bin")).unwrap().flatten().collect();
    let has_shell = mounted.join("bin").exists();
    let notices = mounted.join("usr/share/doc/myunisoft-exporter/THIRD-PARTY-NOTICES.md").exists();
    engine.buildah(&["rm", container]);
    let text = String::from_utf8_lossy(&symbols.stderr).into_owned();
    assert!(text.contains("no symbols"), "{text}");
    assert!(certificates.matches("BEGIN CERTIFICATE").count() > 50);
    assert_eq!(programs.len(), 1, "{programs:?}");
    assert!(!has_shell && notices);
}

#[tokio::test]
async fn a_container_with_a_read_only_root_monitors_stops_in_time_and_keeps_its_state() {
    let engine = engine();
    let limits = Limits { total: 1_000_000, ..Default::default() };
    let simulator = Simulator::builder().limits(limits).partner("acme", SECRET);
    let simulator = simulator.society_key("dupont", 80, 127).start().await.unwrap();
    let folder = keys_of_acme(&simulator);
    let volume = format!("state-{}", std::process::id());
    let config = format!("{}:/etc/myunisoft-exporter:ro", folder.path().display());
    let port = free_port();
    let arguments = on_host(port, &[config, format!("{volume}:/data")]);

    let first = run(engine, &arguments);
    first.wait_until_healthy().await;
    assert!(get(port, "/-/ready").await.is_some(), "{}", first.logs());
    wait_for_line(port, &state_line("dupont", "active")).await;
    wait_for_line(port, "myunisoft_exporter_storage_write_failures_total 0").await;
    let prometheus = tempfile::tempdir().unwrap();
    let scrape = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: myunisoft, static_configs: \
         [{{targets: [\"127.0.0.1:{port}\"]}}]}}]\n"
    );
    let prometheus = Prometheus::start(prometheus.path(), &scrape).await;
    until("a scrape", || async { prometheus.query("myunisoft_key_state{state=\"active\"} == 1").await })
        .await;

    let pid = first.pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in ["Uid:\t65532\t65532\t65532\t65532", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().split(',').any(|option| option == "ro"), "{root}");

    let asked_to_stop = Instant::now();
    engine.podman(&["stop", "--time=30", &first.id]);
    assert!(asked_to_stop.elapsed() < Duration::from_secs(20), "{:?}", asked_to_stop.elapsed());
    assert_eq!(first.inspect()["State"]["ExitCode"], 0, "{}", first.logs());
    drop(first);

    // The API is unreachable, so the state can only come from the volume.
    simulator.inject(Scope::Everything, Fault::Close);
    let second = run(engine, &arguments);
    second.wait_until_healthy().await;
    wait_for_line(port, &state_line("dupont", "active")).await;
    drop(second);
    engine.podman(&["volume", "rm", &volume]);
}

#[tokio::test]
async fn the_demo_runs_in_a_container_without_any_option() {
    let demo = Container::run(
        engine(),
        &["--network=none", "--read-only", "--read-only-tmpfs=false", IMAGE, "demo"],
    );
    demo.wait_until_healthy().await;
    assert!(demo.logs().contains(":10698"), "{}", demo.logs());
    assert!(demo.get("/metrics").contains("myunisoft_key_state"));
    // Other containers reach it, not only this one.
    let pid = demo.pid().to_string();
    let sockets =
        run_tool(Command::new("nsenter").args(["--net", "--target", &pid, "cat", "/proc/net/tcp6"]));
    let sockets = String::from_utf8(sockets.stdout).unwrap();
    let all_addresses = format!("{}:{:04X}", "0".repeat(32), 10_698);
    assert!(sockets.contains(&all_addresses), "{sockets}");
}

/// The arguments after each `docker run` in a document, with the lines that belong together joined.
fn docker_runs(document: &str) -> Vec<Vec<String>> {
    let text = document.replace("\\\n", " ");
    let commands = text.lines().filter_map(|line| line.trim().strip_prefix("$ docker run "));
    commands.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

/// Replaces the working directory of the reader and the name of the image.
fn at_home(arguments: &mut [String], folder: &Path) {
    for argument in arguments {
        if let Some(path) = argument.strip_prefix("./") {
            *argument = format!("{}/{path}", folder.display());
        } else if argument == "myunisoft-exporter" {
            IMAGE.clone_into(argument);
        }
    }
}

/// The block of YAML that begins with this comment.
fn yaml_block<'a>(document: &'a str, first_line: &str) -> &'a str {
    let begin = document.find(first_line).unwrap();
    let block = &document[begin..];
    &block[..block.find("```").unwrap()]
}

#[tokio::test]
async fn the_commands_of_the_readme_run_its_own_configuration() {
    let engine = engine();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["config", "secrets"] {
        fs::create_dir(at(name)).unwrap();
    }
    let config = yaml_block(&readme, "# myunisoft-exporter.yml");
    fs::write(at("config/myunisoft-exporter.yml"), config).unwrap();
    for name in ["myunisoft", "dupont", "durand"] {
        fs::write(at("secrets").join(name), format!("the-content-of-{name}\n")).unwrap();
        fs::set_permissions(at("secrets").join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let chown = readme.lines().find_map(|line| line.strip_prefix("$ sudo chown ")).unwrap();
    let script = format!("chown {}", chown.split('#').next().unwrap());
    let changed = run_tool(Command::new("sh").args(["-c", &script]).current_dir(folder.path()));
    assert!(changed.status.success(), "{script}");

    // This machine has no network for containers, so the container gets one of its own, without the published port.
    let mut arguments = docker_runs(&readme).swap_remove(0);
    let publish = arguments.iter().position(|word| word == "-p").unwrap();
    assert_eq!(arguments.drain(publish..publish + 2).nth(1).unwrap(), "10698:10698");
    for name in arguments.iter_mut().filter(|word| *word == "MARTIN_TOKEN") {
        name.push_str("=the-token-of-martin");
    }
    // The name of the container is the same word as that of the image.
    let name = arguments.iter().position(|word| word == "--name").unwrap();
    arguments.drain(name..name + 2);
    at_home(&mut arguments, folder.path());
    arguments.insert(0, "--network=none".to_owned());
    let container = run(engine, &arguments);
    container.wait_until_healthy().await;
    assert!(container.get("/-/ready").contains("is ready"));
    for key in ["dupont", "martin", "durand"] {
        assert!(container.get("/metrics").contains(&format!("key=\"{key}\"")), "{}", container.logs());
    }
    // It reads every secret, token and password as the exporter does.
    let summary = engine.podman(&["exec", &container.id, "/usr/bin/myunisoft-exporter", "check-config"]);
    assert!(summary.contains("acme") && !summary.contains("warning"), "{summary}");
    drop(container);
    engine.podman(&["volume", "rm", "myunisoft-data"]);
}

#[test]
fn the_walk_through_of_the_document_ends_with_a_valid_configuration() {
    let document = fs::read_to_string(root().join("docs/install/docker.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["config", "secrets"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let config = yaml_block(&document, "   partners:");
    fs::write(folder.path().join("config/myunisoft-exporter.yml"), config).unwrap();
    for name in ["myunisoft", "dupont"] {
        fs::write(folder.path().join("secrets").join(name), format!("the-content-of-{name}\n")).unwrap();
    }
    give_to_user(&folder.path().join("secrets"));
    let runs = docker_runs(&document).into_iter();
    let mut check =
        runs.filter(|run| run.last().unwrap() == "check-config").collect::<Vec<_>>().swap_remove(0);
    at_home(&mut check, folder.path());
    let fixed = ["run", "--cgroups=no-conmon", "--network=none"].map(str::to_owned);
    let arguments: Vec<_> = fixed.iter().chain(&check).map(String::as_str).collect();
    let summary = engine().podman(&arguments);
    assert!(summary.contains("acme") && !summary.contains("warning"), "{summary}");
}

/// A name server that gives every name the address 127.0.0.1. Returns its own address.
async fn name_server() -> (Ipv4Addr, AbortOnDropHandle<()>) {
    let [.., third, fourth] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 77, third, fourth.max(1));
    let socket = UdpSocket::bind((address, 53)).await.unwrap();
    let answer_all = async move {
        let mut query = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut query).await {
            let _ = socket.send_to(&answer(&query[..length]), client).await;
        }
    };
    (address, AbortOnDropHandle::new(tokio::spawn(answer_all)))
}

/// The answer to a query: one address if it asks for IPv4, none if not.
fn answer(query: &[u8]) -> Vec<u8> {
    // The question follows the header of 12 bytes: a name that ends with a zero byte, a type and a class.
    let name_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap();
    let question = &query[12..name_end + 5];
    let asks_for_ipv4 = query[name_end + 1..name_end + 3] == [0, 1];
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(asks_for_ipv4), 0, 0, 0, 0]);
    answer.extend(question);
    if asks_for_ipv4 {
        // The name is that of the question. Then type, class, 60 seconds to live, and four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    answer
}

#[tokio::test]
async fn a_container_resolves_names_and_trusts_the_certificate_authorities_of_the_image() -> io::Result<()> {
    let engine = engine();
    let names = vec!["partner-api.example".to_owned()];
    let simulator = Simulator::builder().tls_with(TlsOptions { names, ..TlsOptions::default() });
    let simulator = simulator.partner("acme", SECRET).society_key("dupont", 80, 127).start().await.unwrap();
    let folder = tempfile::tempdir()?;
    write_config(folder.path(), &simulator, &[key_line(&simulator, "dupont")]);
    let text = fs::read_to_string(folder.path().join("exporter.yml"))?;
    let text = text.replace("https://127.0.0.1", "https://partner-api.example");
    fs::write(folder.path().join("myunisoft-exporter.yml"), text.replace("300ms", "3s"))?;
    let (name_server, _task) = name_server().await;
    fs::write(folder.path().join("resolv.conf"), format!("nameserver {name_server}\n"))?;
    fs::write(folder.path().join("ca.pem"), simulator.ca_pem().unwrap())?;
    give_to_user(folder.path());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let port = free_port();
    let at = |name: &str, target: &str| format!("{}:{target}:ro", folder.path().join(name).display());
    let mounts = [
        at("myunisoft-exporter.yml", "/etc/myunisoft-exporter/myunisoft-exporter.yml"),
        at("resolv.conf", "/etc/resolv.conf"),
        // The place where the image has the authorities: the program looks nowhere else.
        at("ca.pem", "/etc/ssl/certs/ca-certificates.crt"),
    ];
    let container = run(engine, &on_host(port, &mounts));
    container.wait_until_healthy().await;
    wait_for_line(port, "myunisoft_probe_up{probe=\"health\"} 1").await;
    wait_for_line(port, &state_line("dupont", "active")).await;
    Ok(())
}

#[test]
fn a_change_of_a_source_keeps_the_layers_of_the_dependencies() {
    let engine = engine();
    let clone = clone_of_the_repository();
    let file = clone.path().join("src/main.rs");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}// A change.\n")).unwrap();
    let dependencies = engine.build(clone.path(), &["--target=dependencies"]);
    assert!(dependencies.contains("cargo build") && !dependencies.contains("Compiling"), "{dependencies}");
    let steps = dependencies.matches("STEP ").count();
    // The first step names the base image.
    assert_eq!(dependencies.matches("Using cache").count(), steps - 1, "{dependencies}");
    // The stage that compiles the sources starts from exactly these layers.
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    assert!(
        dockerfile.contains("FROM dependencies AS build\nCOPY src src\nCOPY crates crates\n"),
        "{dockerfile}"
    );
}

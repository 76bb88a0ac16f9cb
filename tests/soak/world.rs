//! The exporter under test with its files, and what all faults share.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use partner_simulator::Simulator;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep, timeout};

use crate::api::{
    FAULTY_KEYS, FILE_KEYS, FIRST_FIRM, FLOODED_KEY, LOGIN_KEYS, MAIL, PASSWORD, REVOKED_KEY, Relay, SECRET,
    SECRET_KEY, SPENT_KEY, STEADY_KEYS, WITNESSES, names, simulator,
};
use crate::server::{BINARY, Exporter, Server, client};

/// How long an effect of a fault may take to show, and to end. Much longer than it takes on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A time in which no request of a witness can arrive, because of a fault that concerns the whole process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlindTime {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
    /// Whether the exporter makes up for what was due meanwhile, spread over a longer time.
    pub(crate) is_made_up: bool,
}

/// How often a kind of fault was injected, and how often it broke a promise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) injected: u64,
    pub(crate) broken: u64,
}

/// The exporter under test, and its surroundings.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) simulator: Simulator,
    pub(crate) relay: Relay,
    /// Whoever ends or stops the process locks it for writing; faults that need the process lock it for reading.
    pub(crate) exporter: RwLock<Exporter>,
    /// The address of the exporter stays the same after a restart.
    pub(crate) url: String,
    /// One client, because it takes long to make one. Each request has a connection of its own.
    client: reqwest::Client,
    /// Whether `/metrics` cannot be expected to respond.
    pub(crate) is_down: AtomicBool,
    /// The last fault has ended, and the time is over.
    pub(crate) is_over: AtomicBool,
    /// The number of the present process.
    pub(crate) life: AtomicU64,
    pub(crate) blind_times: Mutex<Vec<BlindTime>>,
    pub(crate) counts: Mutex<BTreeMap<&'static str, Count>>,
    pub(crate) broken: Mutex<Vec<String>>,
    log: Mutex<File>,
    log_file: PathBuf,
    random: Mutex<u64>,
    pub(crate) started: Instant,
}

impl World {
    pub(crate) async fn start(seed: u64) -> Self {
        let simulator = simulator().await;
        let relay = Relay::start(simulator.address()).await;
        let folder = tempfile::tempdir().unwrap();
        write_configuration(folder.path(), &simulator, &relay);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let exporter = spawn_exporter(folder.path(), &url);
        let log_file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("soak-{seed}.log"));
        let world = Self {
            folder,
            simulator,
            relay,
            exporter: RwLock::new(exporter),
            url,
            client: new_client(),
            is_down: AtomicBool::new(true),
            is_over: AtomicBool::new(false),
            life: AtomicU64::new(1),
            blind_times: Mutex::default(),
            counts: Mutex::default(),
            broken: Mutex::default(),
            log: Mutex::new(File::create(&log_file).unwrap()),
            log_file,
            random: Mutex::new(seed),
            started: Instant::now(),
        };
        world.wait_until_ready().await.expect("readiness");
        // After this time, each probe but that of the slow witness has run once.
        sleep(3 * crate::api::INTERVAL).await;
        world
    }

    pub(crate) fn log_file(&self) -> &Path {
        &self.log_file
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds a line to the log of the faults.
    pub(crate) fn note(&self, text: &str) {
        let elapsed = self.started.elapsed().as_secs_f64();
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        // A log that cannot be written fails no promise of the exporter.
        let _ = writeln!(self.log.lock().unwrap(), "{now} {elapsed:9.3} {text}");
    }

    /// A random number below `below`, from the seed.
    pub(crate) fn random(&self, below: u64) -> u64 {
        let mut state = self.random.lock().unwrap();
        // SplitMix64.
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    /// A random duration between these numbers of milliseconds.
    pub(crate) fn duration(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.random(to - from))
    }

    /// The status and the body of a response of the exporter.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        let request = async {
            let response = self.client.get(format!("{}{path}", self.url)).send().await.ok()?;
            Some((response.status().as_u16(), response.text().await.ok()?))
        };
        timeout(PATIENCE, request).await.ok().flatten()
    }

    pub(crate) async fn metrics(&self) -> Option<String> {
        self.get("/metrics").await.filter(|(status, _)| *status == 200).map(|(_, text)| text)
    }

    /// Waits until `/metrics` is as it should be.
    pub(crate) async fn expect(&self, what: &str, holds: impl Fn(&str) -> bool) -> Result<(), String> {
        let polling = async {
            while !self.metrics().await.is_some_and(|metrics| holds(&metrics)) {
                sleep(Duration::from_millis(200)).await;
            }
        };
        timeout(PATIENCE, polling).await.map_err(|_| format!("not within {PATIENCE:?}: {what}"))
    }

    /// Waits until `/metrics` has this line.
    pub(crate) async fn expect_line(&self, line: &str) -> Result<(), String> {
        self.expect(line, |metrics| metrics.lines().any(|it| it == line)).await
    }

    /// Reloads the configuration. Returns the status of the response.
    pub(crate) async fn reload(&self) -> Result<u16, String> {
        let request = self.client.post(format!("{}/-/reload", self.url)).send();
        let response = timeout(PATIENCE, request).await.map_err(|_| "the reload does not end")?;
        response.map(|response| response.status().as_u16()).map_err(|error| error.to_string())
    }

    /// Waits until `/-/ready` responds with success.
    pub(crate) async fn wait_until_ready(&self) -> Result<(), String> {
        let polling = async {
            while self.get("/-/ready").await.is_none_or(|(status, _)| status != 200) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, polling).await.map_err(|_| "the exporter does not become ready".to_owned())?;
        self.is_down.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Ends the process with this signal.
    pub(crate) async fn end(&self, exporter: &mut Exporter, signal: Signal) -> ExitStatus {
        self.is_down.store(true, Ordering::SeqCst);
        exporter.server.signal(signal);
        exporter.server.wait_for_exit().await
    }

    /// Starts the process again.
    pub(crate) async fn start_again(&self, exporter: &mut Exporter) -> Result<(), String> {
        *exporter = spawn_exporter(self.folder.path(), &self.url);
        self.life.fetch_add(1, Ordering::SeqCst);
        self.wait_until_ready().await.map_err(|error| format!("{error}:\n{}", exporter.server.output()))
    }

    /// Records a time in which no request of a witness can arrive, from `from` until now.
    pub(crate) fn was_blind_since(&self, from: Instant, is_made_up: bool) {
        let time = BlindTime { from, to: Instant::now(), is_made_up };
        self.blind_times.lock().unwrap().push(time);
    }
}

fn new_client() -> reqwest::Client {
    // It also installs the provider of TLS.
    drop(client());
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

fn spawn_exporter(folder: &Path, url: &str) -> Exporter {
    let mut command = Command::new(BINARY);
    command
        .arg(format!("--config.file={}", folder.join("exporter.yml").display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={}", url.trim_start_matches("http://")))
        .args(["--web.enable-lifecycle", "--config.auto-reload-interval=1s", "--web.max-connections=64"])
        .args(["--replica=0", "--log.level=warn"]);
    Exporter { server: Server::spawn(&mut command), url: url.to_owned() }
}

/// The line of a key whose token is in a file.
pub(crate) fn key_line(folder: &Path, simulator: &Simulator, name: &str, rest: &str) -> String {
    let secrets = folder.join("secrets");
    std::fs::create_dir_all(&secrets).unwrap();
    let token = simulator.key(name).unwrap().token().unwrap();
    std::fs::write(secrets.join(name), token).unwrap();
    let file = secrets.join(name);
    format!("      - {{name: {name}, access: society, token_file: {}{rest}}}\n", file.display())
}

/// The line of a key of the account.
pub(crate) fn login_line(name: &str, firm: u64) -> String {
    let login = format!("{{mail: {MAIL}, password: {PASSWORD}, firm: {firm}}}");
    format!("      - {{name: {name}, access: firm, canaries: [], login: {login}}}\n")
}

/// A key file of the partner with these keys.
pub(crate) fn key_file(keys: &str) -> String {
    if keys.is_empty() {
        return "partners: []\n".to_owned();
    }
    format!("partners:\n  - name: acme\n    keys:\n{keys}")
}

fn write_configuration(folder: &Path, simulator: &Simulator, relay: &Relay) {
    let mut keys = String::new();
    for (name, interval) in WITNESSES {
        let interval = humantime::format_duration(interval);
        keys += &key_line(
            folder,
            simulator,
            name,
            &format!(", canaries: [], key_info: {{interval: {interval}, timeout: 1s}}"),
        );
    }
    let others = [SECRET_KEY, SPENT_KEY, FLOODED_KEY, REVOKED_KEY].map(str::to_owned).into_iter();
    for name in others.chain(names("steady", STEADY_KEYS)).chain(names("faulty", FAULTY_KEYS)) {
        keys += &key_line(folder, simulator, &name, "");
    }
    keys.extend((FIRST_FIRM..).zip(names("login", LOGIN_KEYS)).map(|(firm, name)| login_line(&name, firm)));
    std::fs::create_dir(folder.join("keys.d")).unwrap();
    std::fs::write(folder.join("logins.yml"), key_file("")).unwrap();
    let in_files: String =
        names("file", FILE_KEYS).map(|name| key_line(folder, simulator, &name, "")).collect();
    std::fs::write(folder.join("keys.d/files.yml"), key_file(&in_files)).unwrap();
    std::fs::write(folder.join("keys.d/late.yml"), key_file("")).unwrap();
    std::fs::write(folder.join("ca.pem"), simulator.ca_pem().unwrap()).unwrap();
    let (base, auth) = (relay.address, simulator.auth_url());
    let text = format!(
        "api: {{base_url: \"https://{base}\", auth_url: \"{auth}\", ca_file: ca.pem, identity: soak}}\n\
         health: {{interval: 2s, timeout: 1s}}\nkey_info: {{interval: 2s, timeout: 1s}}\n\
         canaries:\n  exercices: {{path: \"/api/v1/mad/exercices?version=1.0.0\", interval: 2s, timeout: 1s}}\n\
         key_files: [\"keys.d/**/*.yml\", logins.yml]\n\
         partners:\n  - name: acme\n    secret: {SECRET}\n    keys:\n{keys}"
    );
    std::fs::write(folder.join("exporter.yml"), text).unwrap();
}

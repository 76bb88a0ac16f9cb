//! Processes that a test starts, and that end with it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::time::{Instant, sleep, timeout};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_myunisoft-exporter");
/// Far more than anything here takes, for a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A server process that ends with the test.
pub(crate) struct Server {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap_or_else(|cause| {
                panic!("{command:?}: {cause}: run `make test`, which installs what is needed")
            });
        let lines = Arc::new(Mutex::new(Vec::new()));
        let outputs: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    lines.lock().unwrap().push(line);
                }
            });
        }
        Self { child, lines }
    }

    pub(crate) fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits for a line that holds all of `parts`, and gives it.
    pub(crate) async fn line(&self, parts: &[&str]) -> String {
        let find = || async {
            let lines = self.lines.lock().unwrap();
            lines.iter().find(|line| parts.iter().all(|part| line.contains(part))).cloned()
        };
        let told = timeout(PATIENCE, until_within(2 * PATIENCE, "a line", find)).await;
        told.unwrap_or_else(|_| panic!("no line with {parts:?} in:\n{}", self.output()))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// The most memory it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub(crate) async fn end(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "it does not end:\n{}", self.output());
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    until_within(PATIENCE, what, ask).await
}

/// The same, for what takes its time.
pub(crate) async fn until_within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    ask: impl Fn() -> F,
) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(patience, asking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// The exporter, with a configuration and a memory of its own.
pub(crate) struct Exporter {
    pub(crate) server: Server,
    pub(crate) url: String,
}

impl Exporter {
    pub(crate) async fn start(folder: &Path, flags: &[&str]) -> Self {
        Self::start_under(Command::new(BINARY), folder, flags).await
    }

    /// The same, by a command that ends in the program's name.
    pub(crate) async fn start_under(mut command: Command, folder: &Path, flags: &[&str]) -> Self {
        command
            .arg(format!("--config.file={}", folder.join("exporter.yml").display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .args(flags);
        Self::listening(Server::spawn(&mut command)).await
    }

    /// Waits until `server` listens.
    pub(crate) async fn listening(server: Server) -> Self {
        let line = server.line(&["msg=listening", "address="]).await;
        let url = format!("http://{}", line.split("address=").nth(1).unwrap());
        Self { server, url }
    }

    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        let response = client().get(format!("{}{path}", self.url)).send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    }

    pub(crate) async fn metrics(&self) -> String {
        self.get("/metrics").await.unwrap().1
    }

    /// The figure of a series of `/metrics`, 0 where it is not there.
    pub(crate) async fn figure(&self, series: &str) -> f64 {
        let metrics = self.metrics().await;
        let figure = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        metrics.lines().find_map(figure).unwrap_or_default()
    }

    /// Waits until `/metrics` has this line.
    pub(crate) async fn shows(&self, line: &str) {
        until(line, || async { self.metrics().await.lines().any(|l| l == line).then_some(()) }).await;
    }
}

pub(crate) fn client() -> reqwest::Client {
    // The same as everywhere in the exporter; this call only has to come first once.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

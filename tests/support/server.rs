//! Processes that a test starts: servers, which end with the test, and tools, which run to their end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_myunisoft-exporter");
/// Much longer than any single step of a test takes, because the machine may be busy with other work.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);

/// A server process that is killed at the end of the test.
pub(crate) struct Server {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
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

    /// All lines of standard output and standard error so far.
    pub(crate) fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits for a line of output that contains all of `parts`, and returns it.
    pub(crate) async fn wait_for_log(&self, parts: &[&str]) -> String {
        let find = || async {
            let lines = self.lines.lock().unwrap();
            lines.iter().find(|line| parts.iter().all(|part| line.contains(part))).cloned()
        };
        let found = timeout(TIMEOUT, until_within(2 * TIMEOUT, "a line", find)).await;
        found.unwrap_or_else(|_| panic!("no line with {parts:?} in:\n{}", self.output()))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// The highest resident memory since the start, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub(crate) async fn wait_for_exit(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < TIMEOUT, "the process does not exit:\n{}", self.output());
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

/// Starts a process. If the tool is missing, the test fails and names the tool.
fn spawn(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|cause| {
        let tool = command.get_program().display();
        panic!("{tool}: {cause}: run `make test`, which installs what is needed")
    })
}

/// Runs a tool to its end. If it is missing, the test fails and names it.
pub(crate) fn run_tool(command: &mut Command) -> Output {
    run_tool_with_input(command, "")
}

/// The same with this text on standard input.
pub(crate) fn run_tool_with_input(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(command);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Calls `poll` again and again until it returns a value.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, poll: impl Fn() -> F) -> T {
    until_within(TIMEOUT, what, poll).await
}

/// The same with another timeout.
pub(crate) async fn until_within<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    what: &str,
    poll: impl Fn() -> F,
) -> T {
    let polling = async {
        loop {
            if let Some(value) = poll().await {
                return value;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(limit, polling).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"))
}

/// A running exporter.
pub(crate) struct Exporter {
    pub(crate) server: Server,
    pub(crate) url: String,
}

impl Exporter {
    /// Starts it with the configuration file `exporter.yml` and the storage directory `data` of this folder.
    pub(crate) async fn start(folder: &Path, flags: &[&str]) -> Self {
        Self::start_with_command(Command::new(BINARY), folder, flags).await
    }

    /// The same by another command, whose last argument is the program.
    pub(crate) async fn start_with_command(mut command: Command, folder: &Path, flags: &[&str]) -> Self {
        command
            .arg(format!("--config.file={}", folder.join("exporter.yml").display()))
            .arg(format!("--storage.path={}", folder.join("data").display()));
        command.arg("--web.listen-address=127.0.0.1:0");
        Self::start_with_flags(command, flags).await
    }

    /// Starts a command that names configuration, storage and address itself.
    pub(crate) async fn start_with_flags(mut command: Command, flags: &[&str]) -> Self {
        Self::wait_until_listening(Server::spawn(command.args(flags))).await
    }

    /// Starts `myunisoft-exporter demo`, with a scenario that is three times as fast as that of a user.
    pub(crate) async fn start_demo(flags: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["demo", "--scenario-speed=3", "--web.listen-address=127.0.0.1:0"]).args(flags);
        Self::wait_until_listening(Server::spawn(&mut command)).await
    }

    async fn wait_until_listening(server: Server) -> Self {
        let line = server.wait_for_log(&["msg=listening", "address="]).await;
        let url = format!("http://{}", line.split("address=").nth(1).unwrap());
        Self { server, url }
    }

    /// The status and the body of a response; `None` if the request fails.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        let response = client().get(format!("{}{path}", self.url)).send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    }

    /// The status and the JSON body of a response.
    pub(crate) async fn get_json(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.get(path).await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}")))
    }

    pub(crate) async fn metrics(&self) -> String {
        self.get("/metrics").await.unwrap().1
    }

    /// The value of a series of `/metrics`, 0 if the series does not exist.
    pub(crate) async fn sample_value(&self, series: &str) -> f64 {
        sample_value(&self.metrics().await, series).unwrap_or_default()
    }

    /// Waits until `/metrics` has this line.
    pub(crate) async fn wait_for_line(&self, line: &str) {
        until(line, || async { self.metrics().await.lines().any(|l| l == line).then_some(()) }).await;
    }
}

/// The value of a series in a text of `/metrics`.
pub(crate) fn sample_value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

pub(crate) fn client() -> reqwest::Client {
    // The whole exporter uses this provider. Only the first call installs it; the later ones change nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

//! Builds images with buildah and runs them with podman. Neither needs a daemon or a registry.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::server::{run_tool, until_within};

/// The settings of the base image in the tests. It is empty: the folders of this machine are mounted into it.
const STAND_IN_SETTINGS: [&str; 6] = [
    "--env=PATH=/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "--env=CARGO_HOME=/cargo",
    "--env=CARGO_NET_OFFLINE=true",
    // The optimizer takes half of the time. A program that it did not see is larger, not smaller.
    "--env=CARGO_PROFILE_RELEASE_LTO=off",
    "--env=CARGO_PROFILE_RELEASE_OPT_LEVEL=1",
    "--env=CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16",
];
/// A container starts within a second, on a busy machine later.
pub(super) const START_TIMEOUT: Duration = Duration::from_mins(2);

/// Images and containers, in a folder of their own. The layers stay there, as on a developer's machine, so only the
/// first build takes minutes.
pub(super) struct Engine {
    folder: PathBuf,
}

impl Engine {
    pub(super) fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("containers");
        for name in ["conf", "tmp"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let engine = Self { folder };
        let driver = if engine.can_use_overlay() { "overlay" } else { "vfs" };
        let path = |name: &str| engine.folder.join(name).display().to_string();
        let storage = format!(
            "[storage]\ndriver = \"{driver}\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            path("graph"),
            path("run")
        );
        fs::write(engine.folder.join("conf/storage.conf"), storage).unwrap();
        // Without systemd, without control groups, and without a file that other engines share.
        let containers = format!(
            "[containers]\ndefault_ulimits = []\nnetns = \"host\"\n[engine]\nruntime = \"runc\"\n\
             cgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nlock_type = \"file\"\ntmp_dir = \"{}\"\n",
            path("libpod")
        );
        fs::write(engine.folder.join("conf/containers.conf"), containers).unwrap();
        let policy = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
        fs::write(engine.folder.join("conf/policy.json"), policy).unwrap();
        // Those of a run that was killed.
        engine.podman(&["rm", "--all", "--force", "--time=0", "--volumes"]);
        engine
    }

    /// The driver that copies no layer, where the kernel lets a test use it.
    fn can_use_overlay(&self) -> bool {
        let trial = self.folder.join("trial");
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir_all(trial.join(name)).unwrap();
        }
        let script =
            "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged && umount merged";
        let output = run_tool(Command::new("sh").args(["-c", script]).current_dir(&trial));
        fs::remove_dir_all(trial).unwrap();
        output.status.success()
    }

    fn command(&self, tool: &str) -> Command {
        let mut command = Command::new(tool);
        command
            .env("CONTAINERS_STORAGE_CONF", self.folder.join("conf/storage.conf"))
            .env("CONTAINERS_CONF", self.folder.join("conf/containers.conf"));
        command
    }

    /// Runs buildah, and returns its standard output.
    pub(super) fn buildah(&self, arguments: &[&str]) -> String {
        run(self.command("buildah").args(arguments)).0
    }

    /// Runs podman, and returns its standard output. Without systemd, it reports on standard error that it cannot run
    /// health checks at intervals.
    pub(super) fn podman(&self, arguments: &[&str]) -> String {
        run(self.command("podman").args(arguments)).0
    }

    /// Makes the base image that the tests build with, and returns its name. Only the first run with these settings makes
    /// it, because each new base image invalidates all layers.
    fn stand_in(&self) -> String {
        let mut hasher = DefaultHasher::new();
        STAND_IN_SETTINGS.hash(&mut hasher);
        let name = format!("localhost/stand-in-for-rust:{:016x}", hasher.finish());
        let exists = run_tool(self.command("podman").args(["image", "exists", &name])).status.success();
        if exists {
            return name;
        }
        let container = self.buildah(&["from", "scratch"]);
        let container = container.trim();
        self.buildah(&[&["config"], &STAND_IN_SETTINGS[..], &[container]].concat());
        self.buildah(&["commit", "--quiet", "--rm", "--format=docker", container, &name]);
        name
    }

    /// Builds the Dockerfile of `context`, or one stage of it, and returns the output.
    pub(super) fn build(&self, context: &Path, arguments: &[&str]) -> String {
        let sysroot = run_tool(Command::new("rustc").args(["--print", "sysroot"]).current_dir(context));
        let toolchain = String::from_utf8(sysroot.stdout).unwrap();
        let cargo_home = std::env::var_os("CARGO_HOME")
            .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo"), PathBuf::from);
        let mut command = self.command("buildah");
        command.args(["bud", "--isolation=chroot", "--pull-never", "--layers", "--format=docker"]);
        command.arg(format!("--signature-policy={}", self.folder.join("conf/policy.json").display()));
        command.arg(format!("--build-arg=RUST_IMAGE={}", self.stand_in()));
        for folder in ["/usr", "/etc/ssl", "/etc/alternatives"] {
            command.arg(format!("--volume={folder}:{folder}:ro"));
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            command.arg(format!("--volume=/usr/{name}:/{name}:ro"));
        }
        command.arg(format!("--volume={}:/rust:ro", toolchain.trim()));
        command.arg(format!("--volume={}:/cargo/registry:ro", cargo_home.join("registry").display()));
        command.arg(format!("--volume={}:/tmp", self.folder.join("tmp").display()));
        let (steps, messages) = run(command.args(arguments).arg(context));
        steps + &messages
    }

    /// `podman image inspect`
    pub(super) fn image(&self, name: &str) -> Value {
        let text = self.podman(&["image", "inspect", name]);
        let images: Value = serde_json::from_str(&text).unwrap();
        images[0].clone()
    }
}

/// Runs a tool, and returns its standard output and its standard error.
fn run(command: &mut Command) -> (String, String) {
    let output = run_tool(command);
    let [text, errors] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{command:?}: {}\n{text}\n{errors}", output.status);
    (text, errors)
}

/// A container. It is removed at the end of the test.
pub(super) struct Container<'a> {
    engine: &'a Engine,
    pub(super) id: String,
}

impl<'a> Container<'a> {
    /// Starts it with these arguments of `podman run`.
    pub(super) fn run(engine: &'a Engine, arguments: &[&str]) -> Self {
        // The interval of the health check needs systemd. The tests run the check themselves.
        let fixed = ["run", "--detach", "--cgroups=no-conmon", "--health-interval=disable"];
        let id = engine.podman(&[&fixed, arguments].concat());
        Self { engine, id: id.trim().to_owned() }
    }

    pub(super) fn inspect(&self) -> Value {
        let text = self.engine.podman(&["container", "inspect", &self.id]);
        let containers: Value = serde_json::from_str(&text).unwrap();
        containers[0].clone()
    }

    pub(super) fn pid(&self) -> u64 {
        self.inspect()["State"]["Pid"]
            .as_u64()
            .filter(|pid| *pid > 0)
            .unwrap_or_else(|| panic!("the container does not run:\n{}", self.logs()))
    }

    pub(super) fn logs(&self) -> String {
        let (text, errors) = run(self.engine.command("podman").args(["logs", &self.id]));
        text + &errors
    }

    /// Runs the health check of the image once; whether it succeeds.
    pub(super) fn is_healthy(&self) -> bool {
        let mut command = self.engine.command("podman");
        command.args(["healthcheck", "run", &self.id]);
        run_tool(&mut command).status.success()
    }

    pub(super) async fn wait_until_healthy(&self) {
        let healthy = || async { self.is_healthy().then_some(()) };
        until_within(START_TIMEOUT, "a container that is healthy", healthy).await;
    }

    /// The body of a path on the default port, asked from inside the container's network.
    pub(super) fn get(&self, path: &str) -> String {
        let url = format!("http://127.0.0.1:10698{path}");
        let pid = self.pid().to_string();
        let output = run_tool(
            Command::new("nsenter").args(["--net", "--target", &pid, "curl", "--silent", "--fail", &url]),
        );
        assert!(output.status.success(), "{url}: {}\n{}", output.status, self.logs());
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let mut command = self.engine.command("podman");
        let _ = command.args(["rm", "--force", "--time=0", "--volumes", &self.id]).output();
    }
}

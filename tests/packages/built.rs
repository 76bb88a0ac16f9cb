//! The packages, built once for all tests, from the binary of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::server::{BINARY, run_tool};

pub(crate) const NAME: &str = "myunisoft-exporter";

/// A version, and one to which it can be upgraded.
pub(crate) const VERSIONS: [&str; 2] = ["0.1.0", "1000.0.0"];

/// The packages of both formats, in both [`VERSIONS`].
pub(crate) struct Packages {
    pub(crate) folder: PathBuf,
}

impl Packages {
    pub(crate) fn get() -> &'static Self {
        static PACKAGES: OnceLock<Packages> = OnceLock::new();
        PACKAGES.get_or_init(Self::build)
    }

    fn build() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        run(Command::new("deploy/packages/assets.sh").args([BINARY, "target/assets"]));
        let packages = Self { folder };
        for version in VERSIONS {
            let deb_version = format!("{version}-1");
            run(Command::new("cargo-deb")
                .args([
                    "deb",
                    "--locked",
                    "--no-build",
                    "--no-strip",
                    "--fast",
                    "--deb-version",
                    &deb_version,
                    "--output",
                ])
                .arg(packages.deb(version)));
            run(Command::new("cargo-generate-rpm")
                .args([
                    "generate-rpm",
                    "--payload-compress=gzip",
                    "--set-metadata",
                    &format!("version = \"{version}\""),
                    "--output",
                ])
                .arg(packages.rpm(version)));
        }
        packages
    }

    pub(crate) fn deb(&self, version: &str) -> PathBuf {
        self.folder.join(format!("{version}.deb"))
    }

    pub(crate) fn rpm(&self, version: &str) -> PathBuf {
        self.folder.join(format!("{version}.rpm"))
    }
}

/// Runs a tool in the root of the repository, and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = run_tool(command.current_dir(env!("CARGO_MANIFEST_DIR")));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands that `--help` lists.
pub(crate) fn subcommands() -> Vec<String> {
    let help = run(Command::new(BINARY).arg("--help"));
    let list = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    let names: Vec<_> = names.filter(|name| name != "help").collect();
    assert!(names.contains(&"check-config".to_owned()), "{help}");
    names
}

/// The paths below the root of the repository that have this extension, without those in subdirectories.
pub(crate) fn files_in(folder: &str, extension: &str) -> Vec<String> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
    let names = paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let names: Vec<_> = names.map(|name| format!("{folder}/{name}")).collect();
    assert!(!names.is_empty(), "{folder}");
    names
}

/// The modes and paths that both packages contain.
pub(crate) fn common_files() -> Vec<(&'static str, String)> {
    let mut files: Vec<_> = [
        ("-rwxr-xr-x", "/usr/bin/myunisoft-exporter"),
        ("-rw-r--r--", "/usr/lib/systemd/system/myunisoft-exporter.service"),
        ("-rw-r--r--", "/usr/lib/sysusers.d/myunisoft-exporter.conf"),
        ("-rw-r--r--", "/etc/default/myunisoft-exporter"),
        ("-rw-r-----", "/etc/myunisoft-exporter/myunisoft-exporter.yml"),
        ("-rw-r--r--", "/usr/share/bash-completion/completions/myunisoft-exporter"),
        ("-rw-r--r--", "/usr/share/fish/vendor_completions.d/myunisoft-exporter.fish"),
        ("-rw-r--r--", "/usr/share/man/man1/myunisoft-exporter.1.gz"),
        ("-rw-r--r--", "/usr/share/doc/myunisoft-exporter/README.md"),
        ("-rw-r--r--", "/usr/share/doc/myunisoft-exporter/docs/install/linux.md"),
    ]
    .map(|(mode, path)| (mode, path.to_owned()))
    .into();
    let shared =
        [("alerts", "yml"), ("alerts/examples", "yml"), ("dashboards", "json"), ("dashboards", "yml")];
    let shared = shared.iter().flat_map(|(folder, extension)| files_in(folder, extension));
    let shared = shared.chain(["alerts/fr/alerts.rules.yml".to_owned()]);
    files.extend(shared.map(|path| ("-rw-r--r--", format!("/usr/share/myunisoft-exporter/{path}"))));
    let docs = files_in("docs", "md").into_iter().chain(files_in("docs/install", "md"));
    files.extend(docs.map(|path| ("-rw-r--r--", format!("/usr/share/doc/myunisoft-exporter/{path}"))));
    let pages = subcommands().into_iter().map(|name| format!("/usr/share/man/man1/{NAME}-{name}.1.gz"));
    files.extend(pages.map(|path| ("-rw-r--r--", path)));
    files
}

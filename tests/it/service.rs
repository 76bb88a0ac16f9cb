//! What packages and service managers use: `--version`, `completions`, `man` and the notifications for systemd.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::server::{BINARY, Server};

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(BINARY).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_version_says_which_build_this_is() {
    let (code, long, _) = output(&["--version"]);
    assert_eq!(code, Some(0));
    assert!(long.starts_with(concat!("myunisoft-exporter ", env!("CARGO_PKG_VERSION"), "\n")), "{long}");
    for line in ["revision:", "build date:", "rust:       1.", "platform:   "] {
        assert!(long.contains(line), "{line} in {long}");
    }
    assert_eq!(output(&["-V"]).1, concat!("myunisoft-exporter ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn each_shell_gets_completions_with_flags_and_subcommands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, text, _) = output(&["completions", shell]);
        assert_eq!(code, Some(0), "{shell}");
        for word in ["check-config", "web.listen-address", "syntax-only"] {
            assert!(text.contains(word), "{word} for {shell}");
        }
    }
    // What follows `probe` in bash are its own flags.
    let (_, script, _) = output(&["completions", "bash"]);
    let words = script.lines().find(|line| line.contains("opts=") && line.contains("--failing")).unwrap();
    assert!(words.contains("--storage.path") && !words.contains("--web."), "{words}");
    let (code, _, text) = output(&["completions", "csh"]);
    assert!(code == Some(2) && text.contains("bash, elvish, fish"), "{text}");
}

#[test]
fn the_manual_page_is_roff_and_each_subcommand_has_one() {
    let (code, page, _) = output(&["man"]);
    assert_eq!(code, Some(0));
    assert!(page.contains(".TH myunisoft-exporter 1") && page.contains(r"\-\-web.listen\-address"), "{page}");
    let (code, page, _) = output(&["man", "check-config"]);
    assert!(code == Some(0) && page.contains(r"\-\-syntax\-only"), "{page}");
    let (_, page, _) = output(&["man", "probe"]);
    assert!(page.contains(r"\-\-failing") && page.contains(r"\-\-config.file"), "{page}");
    assert!(!page.contains(r"\-\-web."), "flags that it does not use: {page}");
    let (code, _, text) = output(&["man", "chek-config"]);
    assert!(code == Some(2) && text.contains("check-config"), "{text}");
}

#[test]
fn help_is_a_subcommand_and_a_flag() {
    for subcommand in ["demo", "check-config", "probe", "completions", "man", "healthcheck"] {
        let (code, help, _) = output(&["help", subcommand]);
        assert!(code == Some(0) && help.contains(&format!("myunisoft-exporter {subcommand}")), "{help}");
        assert_eq!(output(&[subcommand, "--help"]).1, help);
        assert!(!help.contains("--replica <"), "{subcommand}: {help}");
    }
    let (code, help, _) = output(&["help"]);
    assert!(code == Some(0) && help.contains("--replica"), "{help}");
    assert_eq!(output(&["help", "prob"]).0, Some(2));
}

/// Waits for the next notification.
fn received(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn systemd_learns_that_the_exporter_is_ready_alive_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut command = Command::new(BINARY);
    command.current_dir(folder.path()).arg("--web.listen-address=127.0.0.1:0");
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let server = Server::spawn(&mut command);
    assert_eq!(received(&socket).trim(), "READY=1");
    assert_eq!(received(&socket).trim(), "WATCHDOG=1");
    assert_eq!(received(&socket).trim(), "WATCHDOG=1");
    server.signal(Signal::TERM);
    let last = std::iter::repeat_with(|| received(&socket)).find(|text| text.trim() != "WATCHDOG=1");
    assert_eq!(last.as_deref().map(str::trim), Some("STOPPING=1"));
}

#[test]
fn the_demo_says_what_it_does_not_use_and_refuses_a_storage_directory() {
    let (_, help, _) = output(&["demo", "--help"]);
    assert!(help.contains("[default: 127.0.0.1:10698]") && !help.contains("[default: :10698]"), "{help}");
    assert!(help.contains("--config.file has no effect") && !help.contains("--storage.path <"), "{help}");
    for flags in [&["demo", "--storage.path=d"][..], &["demo", "--write-config=d", "--storage.path=d"]] {
        let (code, _, text) = output(flags);
        assert!(code == Some(2) && text.contains("--storage.path: the demo keeps nothing"), "{text}");
    }
}

//! The command line: flags and subcommands, without the code that acts on them.

mod selector;
mod subcommands;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use url::Url;

use crate::logging::{Format, Level};
use crate::shard::{Shard, ShardFlag};

pub(crate) use subcommands::documented;
use subcommands::parser;

/// The configuration file that is used if no flag names one.
pub(crate) const DEFAULT_CONFIG_FILE: &str = "myunisoft-exporter.yml";

/// Prometheus exporter that monitors MyUnisoft's Partner API and a partner's keys.
///
/// Without a subcommand, it runs the exporter. Without a configuration file, it probes only the health
/// route of the production API.
#[derive(Debug, Parser)]
#[command(version = crate::version::VERSION, long_version = crate::version::description())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub flags: Flags,
}

/// A subcommand; without one, the exporter runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run with a simulated API and fleet whose keys change state; needs no account, file or network
    ///
    /// It has a configuration of its own, and keeps nothing when it ends: --config.file has no effect, and --storage.path is an
    /// error. Nor have the flags about shards, replicas and Prometheus an effect.
    ///
    /// With --write-config, only the simulated API runs: start an exporter beside it, with the configuration that this
    /// command writes or with one of your own, to rehearse what you and your alerts do when a key is revoked.
    Demo {
        #[command(flatten)]
        options: DemoOptions,
    },
    /// Check a configuration file: print a summary and exit with 0, or all errors and exit with 2
    ///
    /// It reads every secret, token and password that the configuration names, and one that can't be read is an error.
    /// It makes no network call.
    CheckConfig {
        /// Configuration file; `-` is standard input [default: the file of --config.file]
        file: Option<PathBuf>,
        /// Read no secret, variable, certificate or web configuration: check only the configuration itself, as for CI
        #[arg(long)]
        syntax_only: bool,
    },
    /// Run every configured probe once and explain the results
    ///
    /// The first line says how many keys fail. Up to 20 keys are shown in full. Of more keys, only those that fail are
    /// shown, and no more than fit on a screen.
    ///
    /// Exits with 0 if every probe ran and succeeded, with 1 if not, and with 2 for bad usage or a bad configuration.
    /// As with the exporter, each request uses the customer's request budget, and a new key may be activated. Nothing
    /// is written to the storage directory, except log-ins: the exporter must not try a refused one again.
    Probe {
        #[command(flatten)]
        options: ProbeOptions,
    },
    /// Print the completions for a shell: flags, subcommands and their values
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Print the manual page, in roff format
    ///
    /// Read it with `myunisoft-exporter man | man -l -`.
    Man {
        /// Print the page of this subcommand
        command: Option<String>,
    },
    /// Ask the exporter on this machine whether it is alive, for the health check of a container
    ///
    /// Exits with 0 if it is alive, and with 1 if not. It asks /-/healthy at --web.listen-address, over TLS or plain
    /// HTTP, so give it the flags of the exporter, best as environment variables. An exporter that asks for a password or
    /// for a client certificate is alive. No certificate is verified, and nothing secret is sent.
    Healthcheck,
}

/// The flags of `demo`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DemoOptions {
    /// Run only the simulated API, and write into this directory a configuration for it, with tokens, secrets and the
    /// certificate authority; the directory is created, and no file of yours is overwritten
    #[arg(long, value_name = "DIR")]
    pub write_config: Option<PathBuf>,
    /// Loopback address of the simulated API
    #[arg(long = "api.listen-address", value_name = "HOST:PORT", requires = "write_config")]
    #[arg(default_value = "127.0.0.1:10699", value_parser = loopback)]
    pub api_address: SocketAddr,
    /// Loopback address where requests change the simulated API, such as `curl -X POST localhost:10700/keys/dupont/revoke`
    #[arg(long = "control.listen-address", value_name = "HOST:PORT", requires = "write_config")]
    #[arg(default_value = "127.0.0.1:10700", value_parser = loopback)]
    pub control_address: SocketAddr,
    /// Let keys change only on request, and not as in the demo
    #[arg(long, requires = "write_config")]
    pub no_scenario: bool,
    /// How many seconds of the scenario pass in one second; for tests
    #[arg(long, value_name = "NUMBER", default_value = "1", hide = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    pub scenario_speed: u32,
}

/// The flags of `probe`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProbeOptions {
    /// Run only the probes of this key, given as KEY or PARTNER/KEY, and show them in full; can be repeated
    #[arg(long = "key", value_name = "NAME")]
    pub keys: Vec<String>,
    /// Show only the keys that fail
    #[arg(long)]
    pub failing: bool,
    /// Show every key in full; with --failing, every key that fails
    #[arg(long)]
    pub all: bool,
    /// Format of the results
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
}

/// `--output`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Output {
    /// For people, in a terminal
    Table,
    /// For scripts: the same document as `/api/v1/status`
    Json,
}

/// The flags. [`as_flag`] completes each of them.
#[derive(Args, Clone, Debug)]
#[command(mut_args(as_flag))]
pub(crate) struct Flags {
    /// Configuration file [default: myunisoft-exporter.yml]
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// How often to check whether a configuration file changed; `0s`: reload only on request
    #[arg(long = "config.auto-reload-interval", value_name = "DURATION")]
    #[arg(default_value = "5s", value_parser = interval)]
    pub auto_reload_interval: Duration,

    /// Address to listen on; can be repeated, or be a list with commas [default: :10698]
    #[arg(long = "web.listen-address", value_name = "HOST:PORT", value_delimiter = ',')]
    pub listen_addresses: Vec<ListenAddress>,

    /// Web configuration file in exporter-toolkit format: TLS, users, headers [default: plain HTTP, no users]
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,

    /// Maximum number of connections; beyond it, one connection of the client address that has the most is closed
    #[arg(long = "web.max-connections", value_name = "NUMBER")]
    #[arg(default_value = "512", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,

    /// Listen on the sockets that systemd passes, and not on --web.listen-address
    #[arg(long = "web.systemd-socket", value_parser = clap::builder::FalseyValueParser::new())]
    pub systemd_socket: bool,

    /// Let /-/healthy and /-/ready answer without a password, for a kubelet or a load balancer
    #[arg(long = "web.probes-without-auth", value_parser = clap::builder::FalseyValueParser::new())]
    pub probes_without_auth: bool,

    /// Enable POST /-/reload
    #[arg(long = "web.enable-lifecycle", value_parser = clap::builder::FalseyValueParser::new())]
    pub lifecycle: bool,

    /// URL at which users reach the exporter, if it is behind a reverse proxy
    #[arg(long = "web.external-url", value_name = "URL")]
    pub external_url: Option<ExternalUrl>,

    /// Path prefix of all routes [default: the path of the external URL]
    #[arg(long = "web.route-prefix", value_name = "PATH")]
    pub route_prefix: Option<RoutePrefix>,

    /// Storage directory: keeps the state of keys across restarts
    #[arg(long = "storage.path", value_name = "DIRECTORY", default_value = "data/")]
    pub storage_path: PathBuf,

    /// Monitor a part of the keys: part I of N, from 0. `auto/N` takes I from the end of the host name, as in exporter-1
    /// [default: all keys]
    #[arg(long = "shard", value_name = "I/N")]
    pub shard: Option<ShardFlag>,

    /// Number of this exporter among several that monitor the same keys: their probes stand apart in time
    /// [default: the ordinal at the end of the host name, as in exporter-1, without --shard; else 0 without --replicas]
    #[arg(long = "replica", value_name = "NUMBER")]
    pub replica: Option<u32>,

    /// How many exporters monitor the same keys: each sends every N-th probe of a key, so that all together send as many
    /// requests as one
    #[arg(long = "replicas", value_name = "N")]
    #[arg(default_value = "1", value_parser = clap::value_parser!(u32).range(1..=10))]
    pub replicas: u32,

    /// URL of a Prometheus server that scrapes these exporters: what the storage lost is restored from it
    #[arg(long = "restore.prometheus-url", value_name = "URL", requires = "restore_match")]
    #[arg(value_parser = prometheus_url)]
    pub restore_url: Option<Url>,

    /// Selector of the series of these exporters in that Prometheus server, such as `{job="myunisoft"}`
    #[arg(long = "restore.match", value_name = "SELECTOR", value_parser = selector::matchers)]
    pub restore_match: Option<String>,

    /// File with the value of the header Authorization for that Prometheus server, such as `Bearer …`
    #[arg(long = "restore.authorization-file", value_name = "FILE")]
    pub restore_authorization_file: Option<PathBuf>,

    /// PEM file with the certificate authorities to trust for that Prometheus server [default: those of the system]
    #[arg(long = "restore.ca-file", value_name = "FILE")]
    pub restore_ca_file: Option<PathBuf>,

    /// Lowest level to log [default: info, or error for `probe` and `healthcheck`]
    #[arg(long = "log.level", value_name = "LEVEL")]
    pub log_level: Option<Level>,

    /// Format of log lines
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt")]
    pub log_format: Format,
}

impl Cli {
    /// Reads the command line of this process. Ends the process if there is an error, or if help was asked for.
    pub(crate) fn read() -> Self {
        Self::of(&parser().get_matches()).unwrap_or_else(|error| error.exit())
    }

    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let cli = Self::from_arg_matches(matches).map_err(|error| error.format(&mut parser()))?;
        // A container may set the variable for every command, so only the flag is an error.
        let is_flag = |demo: &ArgMatches| demo.value_source("storage_path") == Some(ValueSource::CommandLine);
        if matches.subcommand_matches("demo").is_some_and(is_flag) {
            let text = "--storage.path: the demo keeps nothing when it ends, so it needs no storage directory; remove the flag";
            return Err(parser().error(ErrorKind::ArgumentConflict, text));
        }
        Ok(cli)
    }
}

/// Accepts a flag before and after the subcommand, and from an environment variable: `--log.level` from
/// `MYUNISOFT_EXPORTER_LOG_LEVEL`.
///
/// An empty variable counts as not set, because some container environments can only set a variable to
/// nothing.
fn as_flag(arg: Arg) -> Arg {
    let name = arg.get_long().unwrap_or_default().replace(['.', '-'], "_").to_uppercase();
    let variable = format!("MYUNISOFT_EXPORTER_{name}");
    let is_empty = std::env::var_os(&variable).is_some_and(|value| value.is_empty());
    let arg = arg.global(true);
    if is_empty { arg } else { arg.env(variable) }
}

/// The simulated API and its control are for one machine: nobody has to log in there.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: Option<SocketAddr> = text.replace("localhost", "127.0.0.1").parse().ok();
    address
        .filter(|address| address.ip().is_loopback())
        .ok_or_else(|| "write a loopback address and a port, such as `127.0.0.1:10699`".to_owned())
}

/// Zero, or at least one second.
fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || "write a duration of at least one second, such as `5s`, or `0s`".to_owned();
    let interval = humantime::parse_duration(text).map_err(|_| wrong())?;
    if interval.is_zero() || interval >= Duration::from_secs(1) { Ok(interval) } else { Err(wrong()) }
}

/// Of a server, with a path prefix if it has one. It appears in process lists, so it has no password.
fn prometheus_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or("write the URL of the server, such as `http://prometheus:9090`")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("remove user and password; put them into --restore.authorization-file".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("remove what follows the path; only the server and its path prefix count".to_owned());
    }
    Ok(url)
}

/// The ordinal that Kubernetes puts at the end of the host name of a `StatefulSet`'s pod.
fn ordinal(host_name: &str) -> Option<u32> {
    let (name, number) = host_name.split('.').next()?.rsplit_once('-')?;
    let is_ordinal =
        !name.is_empty() && number.len() <= 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| is_ordinal)
}

fn ordinal_of_host() -> Option<u32> {
    ordinal(&std::env::var("HOSTNAME").ok()?)
}

impl Flags {
    /// The part of the keys that this exporter monitors.
    ///
    /// # Errors
    /// If the host name has to say the part, and does not.
    pub(crate) fn shard(&self) -> Result<Shard, String> {
        self.shard.map_or(Ok(Shard::WHOLE), |flag| flag.resolve(ordinal_of_host()))
    }

    /// The number of this exporter among those that monitor the same keys.
    ///
    /// # Errors
    /// If they take turns, and nothing says the number: two exporters with the same turn leave the other turns empty.
    pub(crate) fn replica(&self) -> Result<u32, String> {
        self.replica_on(ordinal_of_host())
    }

    fn replica_on(&self, host_ordinal: Option<u32>) -> Result<u32, String> {
        // The host names of shards differ, too, and no two shards have a key in common.
        let of_host = host_ordinal.filter(|_| self.shard.is_none());
        let (number, replicas) = (self.replica.or(of_host), self.replicas);
        number.or((replicas == 1).then_some(0)).ok_or_else(|| {
            let place = if self.shard.is_some() {
                "with --shard, the host name says the shard"
            } else {
                "the host name (the variable HOSTNAME) does not end with a number, as in exporter-0"
            };
            format!(
                "--replicas={replicas}: write which of them this exporter is: --replica=0 to --replica={}; {place}",
                replicas - 1
            )
        })
    }

    /// The given addresses, or `default` if there are none.
    pub(crate) fn listen_addresses_or(&self, default: ListenAddress) -> Vec<ListenAddress> {
        if self.listen_addresses.is_empty() { vec![default] } else { self.listen_addresses.clone() }
    }

    /// The path below which everything is served: empty, or `/…` without a final slash.
    pub(crate) fn prefix(&self) -> String {
        let of_url = self.external_url.as_ref().map(|url| &url.prefix);
        self.route_prefix.as_ref().or(of_url).map_or_else(String::new, |RoutePrefix(prefix)| prefix.clone())
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    /// `None`: all IPv6 and IPv4 addresses of the machine.
    pub host: Option<String>,
    /// 0: the system chooses a port.
    pub port: u16,
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = || format!("{text:?} is not an address; write HOST:PORT, [IPV6]:PORT or :PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bare {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().map(drop).map_err(|_| wrong())?,
            None if host.contains([':', '[', ']', '/', ' ']) => return Err(wrong()),
            None => {}
        }
        let host = bare.unwrap_or(host);
        Ok(Self { host: (!host.is_empty()).then(|| host.to_owned()), port })
    }
}

/// `--web.external-url`
#[derive(Clone, Debug)]
pub(crate) struct ExternalUrl {
    /// As given.
    pub url: Url,
    /// Its path.
    pub prefix: RoutePrefix,
}

impl FromStr for ExternalUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url =
            Url::parse(text).map_err(|cause| format!("{cause}; write a complete URL, https://HOST/PATH"))?;
        let plain = url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !plain {
            return Err("write an http or https URL without query or fragment".to_owned());
        }
        let prefix = url.path().parse()?;
        Ok(Self { url, prefix })
    }
}

/// `--web.route-prefix`: empty, or `/…` without a final slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoutePrefix(pub String);

impl FromStr for RoutePrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.trim_matches('/');
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
        if !path.chars().all(fits) || path.contains("//") {
            return Err("write a path of letters, digits, '-', '_', '.', '~' and single '/'".to_owned());
        }
        Ok(Self(if path.is_empty() { String::new() } else { format!("/{path}") }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn parse(words: &[&str]) -> Result<Cli, String> {
        let matches = parser().try_get_matches_from([&["myunisoft-exporter"], words].concat());
        let cli = matches.and_then(|matches| Cli::of(&matches));
        cli.map_err(|error| error.to_string())
    }

    #[test]
    fn the_ordinal_of_a_pod_is_the_number_of_its_replica() {
        for (host_name, expected) in [
            ("exporter-0", Some(0)),
            ("exporter-11.monitoring.svc", Some(11)),
            ("exporter", None),
            ("exporter-6d4cf56db6-x2k9p", None),
            ("exporter-6d4cf56db6-24567", None),
            ("-1", None),
            ("exporter-+1", None),
        ] {
            assert_eq!(ordinal(host_name), expected, "{host_name}");
        }
    }

    #[test]
    fn the_demo_refuses_a_storage_directory_wherever_the_flag_stands() {
        for words in [["demo", "--storage.path=d"], ["--storage.path=data/", "demo"]] {
            assert!(
                parse(&words).unwrap_err().contains("--storage.path: the demo keeps nothing"),
                "{words:?}"
            );
        }
        assert!(parse(&["demo"]).is_ok() && parse(&["probe", "--storage.path=d"]).is_ok());
    }

    #[test]
    fn exporters_that_take_turns_need_to_know_their_turn() {
        let replica = |words: &[&str], host| parse(words).unwrap().flags.replica_on(host);
        assert_eq!(replica(&[], None), Ok(0));
        assert_eq!(replica(&[], Some(1)), Ok(1));
        assert_eq!(replica(&["--shard=1/3"], Some(1)), Ok(0));
        assert_eq!(replica(&["--replicas=2"], Some(1)), Ok(1));
        assert_eq!(replica(&["--replicas=2", "--replica=1"], None), Ok(1));
        assert_eq!(replica(&["--replicas=2", "--replica=1", "--shard=0/3"], Some(0)), Ok(1));
        for words in [&["--replicas=2"][..], &["--replicas=2", "--shard=auto/3"]] {
            let problem = replica(words, Some(1).filter(|_| words.len() > 1)).unwrap_err();
            assert!(
                problem.contains("write which of them this exporter is: --replica=0 to --replica=1"),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_listen_address_is_host_and_port() {
        let address = |text: &str| text.parse::<ListenAddress>();
        let of = |host: Option<&str>, port| Ok(ListenAddress { host: host.map(str::to_owned), port });
        assert_eq!(address(":10698"), of(None, 10_698));
        assert_eq!(address("127.0.0.1:0"), of(Some("127.0.0.1"), 0));
        assert_eq!(address("[::1]:80"), of(Some("::1"), 80));
        assert_eq!(address("localhost:80"), of(Some("localhost"), 80));
        for wrong in ["", "10698", "host:", "host:port", ":99999", "::1:80", "[localhost]:80", "http://x:80"]
        {
            assert!(address(wrong).unwrap_err().contains("HOST:PORT"), "{wrong}");
        }
    }

    #[test]
    fn a_flag_is_accepted_before_and_after_the_subcommand() {
        for words in [&["--log.level=debug", "demo"][..], &["demo", "--log.level", "debug"]] {
            let cli = parse(words).unwrap();
            assert!(matches!(cli.command, Some(Command::Demo { .. })));
            assert_eq!(cli.flags.log_level, Some(Level::Debug));
        }
    }

    #[test]
    fn several_listen_addresses_are_accepted() {
        let cli = parse(&["--web.listen-address=:1", "--web.listen-address=127.0.0.1:2"]).unwrap();
        assert_eq!(cli.flags.listen_addresses.len(), 2);
        assert_eq!(
            parse(&["--web.listen-address=:1, 127.0.0.1:2"]).unwrap().flags.listen_addresses,
            cli.flags.listen_addresses
        );
    }

    #[test]
    fn the_default_prefix_is_the_path_of_the_external_url() {
        let prefix = |words: &[&str]| parse(words).unwrap().flags.prefix();
        assert_eq!(prefix(&[]), "");
        assert_eq!(prefix(&["--web.external-url=https://mon.example/myunisoft/"]), "/myunisoft");
        assert_eq!(prefix(&["--web.external-url=https://mon.example/a", "--web.route-prefix=/"]), "");
        assert_eq!(prefix(&["--web.route-prefix=a/b/"]), "/a/b");
    }

    #[test]
    fn an_error_names_the_flag_and_the_fix() {
        for (words, parts) in [
            (&["--web.listen-address=nonsense"][..], &["--web.listen-address", "HOST:PORT"][..]),
            (&["--log.level=loud"], &["--log.level", "error, warn, info, debug, trace"]),
            (&["--log.format=xml"], &["--log.format", "logfmt, json"]),
            (&["--web.route-prefix=/a b"], &["--web.route-prefix", "letters"]),
            (&["--web.external-url=mon.example"], &["--web.external-url", "https://HOST/PATH"]),
            (&["--web.external-url=http://mon.example/:x"], &["--web.external-url", "letters"]),
            (&["--web.external-url=http://mon.example/*x/{y}"], &["--web.external-url", "letters"]),
            (&["--config.auto-reload-interval=5"], &["--config.auto-reload-interval", "`5s`"]),
            (&["--config.auto-reload-interval=1ms"], &["--config.auto-reload-interval", "one second"]),
            (&["--web.max-connections=0"], &["--web.max-connections", "1.."]),
            (&["check-config", "a.yml", "b.yml"], &["b.yml"]),
            (&["demo", "--write-config=d", "--api.listen-address=:1"], &["--api.listen-address", "loopback"]),
            (&["demo", "--write-config=d", "--control.listen-address=0.0.0.0:1"], &["loopback"]),
            (&["demo", "--no-scenario"], &["--write-config"]),
            (&["probe", "--output=xml"], &["--output", "table, json"]),
            (&["--web.lissen-address=:1"], &["--web.listen-address"]),
        ] {
            let error = parse(words).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{words:?}: {error}");
        }
    }
}

//! The command line: flags and subcommands, nothing that acts on them.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use reqwest::Url;

use crate::logging::{Format, Level};

/// Where the configuration is looked for where no flag says.
pub const DEFAULT_CONFIG_FILE: &str = "myunisoft-exporter.yml";

/// Watches MyUnisoft's Partner API, and every key a partner holds, for Prometheus.
///
/// Without a subcommand it runs the exporter. Without a configuration file it probes the production
/// API's health route alone.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = false, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do instead of running the exporter.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags.
    #[command(flatten)]
    pub flags: Flags,
}

impl Cli {
    /// What the process was started with. Bad usage, `--help` and `--version` end the process.
    ///
    /// A variable that is empty is none: it is how a container's environment says "not set".
    #[must_use]
    pub fn from_process() -> Self {
        let command = Self::command().mut_args(|arg| {
            let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
            if is_empty { arg.env(Resettable::Reset) } else { arg }
        });
        let parsed: ArgMatches = command.get_matches();
        Self::from_arg_matches(&parsed).unwrap_or_else(|error| error.exit())
    }
}

/// What to do instead of running the exporter.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run against a simulated API, with a fleet of keys whose life goes on: no account, no file, no network
    Demo,
    /// Check a configuration: exit 0 and what was understood, or exit 2 and every error
    CheckConfig {
        /// The configuration file
        file: PathBuf,
    },
    /// Run every configured probe once and explain what came of it
    ///
    /// Exit code 0 if every probe ran and succeeded, 1 if not, 2 for bad usage or a bad configuration. It spends the
    /// customer's budget and activates a new key just as the exporter's probes do. Nothing is written to the storage
    /// folder.
    Probe {
        /// Only this key's probes: its name, or PARTNER/KEY; repeatable
        #[arg(long = "key", value_name = "NAME")]
        keys: Vec<String>,
        /// Form of the result
        #[arg(long, value_name = "FORM", default_value = "table", value_enum)]
        output: Output,
    },
}

/// `--output`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Output {
    /// For a person, in a terminal.
    Table,
    /// For a script: what `/api/v1/status` answers.
    Json,
}

/// The flags, each also an environment variable.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Configuration file [default: myunisoft-exporter.yml]
    #[arg(long = "config.file", value_name = "FILE", env = "MYUNISOFT_EXPORTER_CONFIG_FILE", global = true)]
    pub config_file: Option<PathBuf>,

    /// How often to look whether a file of the configuration changed; 0s: only when told to reload
    #[arg(
        long = "config.auto-reload-interval",
        value_name = "DURATION",
        env = "MYUNISOFT_EXPORTER_CONFIG_AUTO_RELOAD_INTERVAL",
        default_value = "5s",
        value_parser = interval,
        global = true
    )]
    pub auto_reload_interval: Duration,

    /// Address to serve on; repeatable, or separated by commas in the variable [default: :10698]
    #[arg(
        long = "web.listen-address",
        value_name = "HOST:PORT",
        env = "MYUNISOFT_EXPORTER_WEB_LISTEN_ADDRESS",
        value_delimiter = ',',
        global = true
    )]
    pub listen_addresses: Vec<ListenAddress>,

    /// TLS, users and headers, in the format that Prometheus' exporters share [default: plain HTTP for all]
    #[arg(
        long = "web.config.file",
        value_name = "FILE",
        env = "MYUNISOFT_EXPORTER_WEB_CONFIG_FILE",
        global = true
    )]
    pub web_config_file: Option<PathBuf>,

    /// Most connections to serve at once; the address that has the most makes room for one more
    #[arg(
        long = "web.max-connections",
        value_name = "NUMBER",
        env = "MYUNISOFT_EXPORTER_WEB_MAX_CONNECTIONS",
        default_value = "512",
        value_parser = clap::value_parser!(u32).range(1..),
        global = true
    )]
    pub max_connections: u32,

    /// Allow POST /-/reload
    #[arg(
        long = "web.enable-lifecycle",
        env = "MYUNISOFT_EXPORTER_WEB_ENABLE_LIFECYCLE",
        value_parser = clap::builder::FalseyValueParser::new(),
        global = true
    )]
    pub lifecycle: bool,

    /// URL under which users reach the exporter, where a proxy stands before it
    #[arg(
        long = "web.external-url",
        value_name = "URL",
        env = "MYUNISOFT_EXPORTER_WEB_EXTERNAL_URL",
        global = true
    )]
    pub external_url: Option<ExternalUrl>,

    /// Path below which everything is served [default: the path of the external URL]
    #[arg(
        long = "web.route-prefix",
        value_name = "PATH",
        env = "MYUNISOFT_EXPORTER_WEB_ROUTE_PREFIX",
        global = true
    )]
    pub route_prefix: Option<RoutePrefix>,

    /// Folder for what outlives a restart: the states of keys
    #[arg(
        long = "storage.path",
        value_name = "FOLDER",
        env = "MYUNISOFT_EXPORTER_STORAGE_PATH",
        default_value = "data/",
        global = true
    )]
    pub storage_path: PathBuf,

    /// Lowest level to log [default: info; of `probe`, whose product is another: error]
    #[arg(
        long = "log.level",
        value_name = "LEVEL",
        env = "MYUNISOFT_EXPORTER_LOG_LEVEL",
        value_enum,
        global = true
    )]
    pub log_level: Option<Level>,

    /// Form of log lines
    #[arg(
        long = "log.format",
        value_name = "FORMAT",
        env = "MYUNISOFT_EXPORTER_LOG_FORMAT",
        default_value = "logfmt",
        value_enum,
        global = true
    )]
    pub log_format: Format,
}

/// Nothing, or at least a second.
fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || "write a duration of at least a second, as in `5s`, or `0s`".to_owned();
    let interval = humantime::parse_duration(text).map_err(|_| wrong())?;
    if interval.is_zero() || interval >= Duration::from_secs(1) { Ok(interval) } else { Err(wrong()) }
}

impl Flags {
    /// Where to serve: as given, else at `default`.
    #[must_use]
    pub fn listen_addresses_or(&self, default: ListenAddress) -> Vec<ListenAddress> {
        if self.listen_addresses.is_empty() { vec![default] } else { self.listen_addresses.clone() }
    }

    /// Where the routes are mounted: empty, or `/…` without a final slash.
    #[must_use]
    pub fn prefix(&self) -> String {
        let of_url = self.external_url.as_ref().map(|url| &url.prefix);
        self.route_prefix.as_ref().or(of_url).map_or_else(String::new, |RoutePrefix(prefix)| prefix.clone())
    }

    /// The host and port that users see, where a flag names them.
    #[must_use]
    pub fn external_host(&self) -> Option<String> {
        let url = &self.external_url.as_ref()?.url;
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }
}

/// An address to serve on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// `None`: every address of the machine, of IPv6 and IPv4.
    pub host: Option<String>,
    /// 0: one that the system picks.
    pub port: u16,
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = || format!("{text:?} is no address; write HOST:PORT, [IPV6]:PORT or :PORT");
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
pub struct ExternalUrl {
    /// As given.
    pub url: Url,
    /// Its path.
    pub prefix: RoutePrefix,
}

impl FromStr for ExternalUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url =
            Url::parse(text).map_err(|cause| format!("{cause}; write a whole URL, https://HOST/PATH"))?;
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
pub struct RoutePrefix(pub String);

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
    use clap::CommandFactory as _;

    use super::*;

    fn parse(words: &[&str]) -> Result<Cli, String> {
        Cli::try_parse_from([&["myunisoft-exporter"], words].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_are_understood_as_prometheus_users_write_them() {
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
    fn a_flag_may_stand_before_or_after_the_subcommand() {
        for words in [&["--log.level=debug", "demo"][..], &["demo", "--log.level", "debug"]] {
            let cli = parse(words).unwrap();
            assert!(matches!(cli.command, Some(Command::Demo)));
            assert_eq!(cli.flags.log_level, Some(Level::Debug));
        }
    }

    #[test]
    fn several_addresses_can_be_given() {
        let cli = parse(&["--web.listen-address=:1", "--web.listen-address=127.0.0.1:2"]).unwrap();
        assert_eq!(cli.flags.listen_addresses.len(), 2);
        assert_eq!(
            parse(&["--web.listen-address=:1, 127.0.0.1:2"]).unwrap().flags.listen_addresses,
            cli.flags.listen_addresses
        );
    }

    #[test]
    fn the_prefix_is_the_external_url_s_path_unless_given() {
        let prefix = |words: &[&str]| parse(words).unwrap().flags.prefix();
        assert_eq!(prefix(&[]), "");
        assert_eq!(prefix(&["--web.external-url=https://mon.example/myunisoft/"]), "/myunisoft");
        assert_eq!(prefix(&["--web.external-url=https://mon.example/a", "--web.route-prefix=/"]), "");
        assert_eq!(prefix(&["--web.route-prefix=a/b/"]), "/a/b");
    }

    #[test]
    fn bad_usage_names_the_flag_and_the_fix() {
        for (words, parts) in [
            (&["--web.listen-address=nonsense"][..], &["--web.listen-address", "HOST:PORT"][..]),
            (&["--log.level=loud"], &["--log.level", "error, warn, info, debug, trace"]),
            (&["--log.format=xml"], &["--log.format", "logfmt, json"]),
            (&["--web.route-prefix=/a b"], &["--web.route-prefix", "letters"]),
            (&["--web.external-url=mon.example"], &["--web.external-url", "https://HOST/PATH"]),
            (&["--web.external-url=http://mon.example/:x"], &["--web.external-url", "letters"]),
            (&["--web.external-url=http://mon.example/*x/{y}"], &["--web.external-url", "letters"]),
            (&["--config.auto-reload-interval=5"], &["--config.auto-reload-interval", "`5s`"]),
            (&["--config.auto-reload-interval=1ms"], &["--config.auto-reload-interval", "a second"]),
            (&["--web.max-connections=0"], &["--web.max-connections", "1.."]),
            (&["check-config"], &["FILE"]),
            (&["probe", "--output=xml"], &["--output", "table, json"]),
            (&["--web.lissen-address=:1"], &["--web.listen-address"]),
        ] {
            let error = parse(words).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{words:?}: {error}");
        }
    }
}

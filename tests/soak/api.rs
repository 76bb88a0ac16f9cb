//! The simulated API, behind a relay that can refuse connections.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use partner_simulator::{KeySpec, Limits, LoginSpec, Simulator};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// The partner's secret.
pub(crate) const SECRET: &str = "the-secret";
/// The interval of the probes of all keys except the witnesses.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);
/// Keys without a witness's schedule and without faults of their own.
pub(crate) const STEADY_KEYS: usize = 12;
/// Keys whose responses are changed at random.
pub(crate) const FAULTY_KEYS: usize = 12;
/// Keys of a directory of key files.
pub(crate) const FILE_KEYS: usize = 6;
/// Keys of one account.
pub(crate) const LOGIN_KEYS: usize = 3;
/// The account of the keys that log in.
pub(crate) const MAIL: &str = "api@durand.example";
pub(crate) const PASSWORD: &str = "the-password";
/// A token is renewed in a long run: the exporter does not believe a lifetime below 15 minutes.
const TOKEN_LIFETIME: Duration = Duration::from_mins(20);
/// The firms of the account with a key from the start, and those for keys that are added later. A firm whose token is
/// valid needs no log-in, so each added key has another firm.
pub(crate) const FIRST_FIRM: u64 = 100;
pub(crate) const FIRST_LATE_FIRM: u64 = 1_000;
const LATE_FIRMS: usize = 500;

/// The names of the keys that one kind of fault is about.
pub(crate) const SECRET_KEY: &str = "secret";
pub(crate) const SPENT_KEY: &str = "spent";
pub(crate) const FLOODED_KEY: &str = "flooded";
pub(crate) const REVOKED_KEY: &str = "revoked";
/// A key that is in no file of keys at first.
pub(crate) const LATE_KEY: &str = "late";
/// A key of the account that is in no file of keys at first.
pub(crate) const LATE_LOGIN_KEY: &str = "new-login";

/// The witnesses with their intervals.
pub(crate) const WITNESSES: [(&str, Duration); 2] =
    [("witness-1s", Duration::from_secs(1)), ("witness-60s", Duration::from_mins(1))];

/// The names `prefix0`, `prefix1`, …
pub(crate) fn names(prefix: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{prefix}{number}"))
}

/// The simulated API with all keys.
pub(crate) async fn simulator() -> Simulator {
    let permanent = WITNESSES
        .map(|(name, _)| name)
        .into_iter()
        .chain([SECRET_KEY, SPENT_KEY, FLOODED_KEY, REVOKED_KEY, LATE_KEY])
        .map(str::to_owned);
    let permanent = permanent
        .chain(names("steady", STEADY_KEYS))
        .chain(names("faulty", FAULTY_KEYS))
        .chain(names("file", FILE_KEYS));
    let mut builder = Simulator::builder()
        .tls()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET);
    for (society, name) in (1..).zip(permanent) {
        builder = builder.key(KeySpec::society(&name, 80, society));
    }
    let mut login = LoginSpec::new(MAIL, PASSWORD).lifetime(TOKEN_LIFETIME);
    let firms = (FIRST_FIRM..).zip(names("login", LOGIN_KEYS));
    for (firm, name) in firms.chain((FIRST_LATE_FIRM..).zip(names("late-login", LATE_FIRMS))) {
        login = login.firm(firm, &name).society(firm + 10_000);
    }
    builder.key(KeySpec::login("login", login)).start().await.expect("a simulated API")
}

/// Forwards connections to the simulated API.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    target: SocketAddr,
    /// `None` while connections are refused.
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Relay {
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let relay = Self { address, target, task: Mutex::default() };
        relay.forward(listener);
        relay
    }

    /// Refuses connections, and resets those that are open.
    pub(crate) fn close(&self) {
        self.task.lock().unwrap().take();
    }

    pub(crate) async fn open(&self) {
        // The port is free, unless another program has taken it in between.
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.forward(listener);
    }

    fn forward(&self, listener: TcpListener) {
        let target = self.target;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((mut client, _)) = listener.accept().await else { continue };
                connections.spawn(async move {
                    let Ok(mut api) = TcpStream::connect(target).await else { return };
                    // A client that breaks off is not an error of the relay.
                    let _ = copy_bidirectional(&mut client, &mut api).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        *self.task.lock().unwrap() = Some(AbortOnDropHandle::new(task));
    }
}

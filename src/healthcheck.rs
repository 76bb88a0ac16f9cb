//! Asks an exporter on this machine whether it is alive.
//!
//! Nothing secret is sent, and the answer decides about nothing but a restart, so no certificate is verified: that of a
//! server rarely has the name of the loopback address.

mod tls;

use std::io;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Collected, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

use crate::cli::ListenAddress;
use crate::format::is_harmful;
use tls::{ClientCertificateRequest, connector, server_name};

/// For all attempts together. An exporter that is alive answers within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a body is read, in bytes: a text of one line.
const MAX_BODY: usize = 4 << 10;
const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "-healthcheck/", env!("CARGO_PKG_VERSION"));

/// Where and how to ask.
#[derive(Clone, Debug)]
pub(crate) struct HealthCheck {
    /// On which the exporter listens.
    pub addresses: Vec<ListenAddress>,
    /// The path below which it serves everything: empty, or `/…` without a final slash.
    pub prefix: String,
    /// Whether TLS is tried before plain HTTP. The other one is tried too.
    pub tls_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// Why an attempt does not prove that the exporter is alive.
enum Attempt {
    /// It says so itself, or something else answers.
    NotAlive(String),
    /// Nothing that speaks this protocol answers here. Another address or protocol may.
    NoAnswer(String),
}

impl HealthCheck {
    /// Tries each address and protocol until one answers. Returns the answer in one sentence.
    ///
    /// # Errors
    /// One sentence that says what is wrong.
    pub(crate) async fn run(&self) -> Result<String, String> {
        timeout(TIMEOUT, self.try_each()).await.unwrap_or_else(|_| {
            let seconds = TIMEOUT.as_secs();
            Err(format!("{} did not answer within {seconds} seconds", self.first_url()))
        })
    }

    async fn try_each(&self) -> Result<String, String> {
        let mut first_failure = None;
        for (host, port) in self.endpoints() {
            for scheme in self.schemes() {
                match self.ask(scheme, &host, port).await {
                    Ok(alive) => return Ok(alive),
                    Err(Attempt::NotAlive(text)) => return Err(text),
                    Err(Attempt::NoAnswer(text)) => _ = first_failure.get_or_insert(text),
                }
            }
        }
        Err(first_failure.unwrap_or_else(|| {
            "the port of --web.listen-address is 0, so only the exporter knows the real one; choose a port"
                .to_owned()
        }))
    }

    /// Loopback, where the exporter listens on all addresses. Without port 0: the system chose another one.
    fn endpoints(&self) -> Vec<(String, u16)> {
        let known = self.addresses.iter().filter(|address| address.port != 0);
        let hosts = |ListenAddress { host, port }: &ListenAddress| {
            let hosts = match host.as_deref() {
                None | Some("0.0.0.0") => vec!["127.0.0.1", "::1"],
                Some("::") => vec!["::1", "127.0.0.1"],
                Some(host) => vec![host],
            };
            hosts.into_iter().map(|host| (host.to_owned(), *port)).collect::<Vec<_>>()
        };
        known.flat_map(hosts).collect()
    }

    const fn schemes(&self) -> [Scheme; 2] {
        if self.tls_first { [Scheme::Https, Scheme::Http] } else { [Scheme::Http, Scheme::Https] }
    }

    fn url(&self, scheme: Scheme, host: &str, port: u16) -> String {
        let scheme = match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}{}/-/healthy", authority(host, port), self.prefix)
    }

    fn first_url(&self) -> String {
        let [scheme, _] = self.schemes();
        let first = self.endpoints().into_iter().next();
        first.map_or_else(|| "the exporter".to_owned(), |(host, port)| self.url(scheme, &host, port))
    }

    async fn ask(&self, scheme: Scheme, host: &str, port: u16) -> Result<String, Attempt> {
        let url = self.url(scheme, host, port);
        let no_answer = |cause: io::Error| Attempt::NoAnswer(format!("{url}: {cause}"));
        let stream = TcpStream::connect((host, port)).await.map_err(no_answer)?;
        let path = format!("{}/-/healthy", self.prefix);
        let (status, text) = match scheme {
            Scheme::Http => get(stream, &path, &authority(host, port)).await.map_err(no_answer)?,
            Scheme::Https => {
                let request = ClientCertificateRequest::default();
                let exchange = async {
                    let stream = connector(&request)?.connect(server_name(host)?, stream).await?;
                    get(stream, &path, &authority(host, port)).await
                };
                match exchange.await {
                    // It accepts connections and does TLS, and refuses only this client.
                    Err(_) if request.was_received() => {
                        return Ok(format!("{url} asks for a client certificate"));
                    }
                    exchange => exchange.map_err(no_answer)?,
                }
            }
        };
        judge(scheme, status, &text, &url)
    }
}

/// Sends the request on this connection. Returns the status and the body.
async fn get<S>(stream: S, path: &str, authority: &str) -> io::Result<(StatusCode, String)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // The task ends with the connection. Its error is also the error of the request.
    tokio::spawn(connection);
    let request = Request::get(path)
        .header(HOST, authority)
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
    // The status alone decides. A body that ends early only shortens the message.
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    Ok((status, first_line(&body)))
}

/// The first line, without characters that a terminal would act on.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.lines().next().unwrap_or_default().chars().filter(|c| !is_harmful(*c)).take(200).collect()
}

/// What a status says about the exporter.
fn judge(scheme: Scheme, status: StatusCode, text: &str, url: &str) -> Result<String, Attempt> {
    let answered = format!("{url} returned {}", status.as_u16());
    match status {
        StatusCode::OK => Ok(answered),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(format!("{answered}: it asks for a password")),
        StatusCode::TOO_MANY_REQUESTS => Ok(format!("{answered}: its rate limit is reached")),
        // How a server that uses TLS answers a request without it.
        StatusCode::BAD_REQUEST if scheme == Scheme::Http => {
            Err(Attempt::NoAnswer(format!("{answered}: {text}")))
        }
        StatusCode::NOT_FOUND => Err(Attempt::NotAlive(format!(
            "{answered}; give --web.route-prefix or --web.external-url as to the exporter"
        ))),
        _ => Err(Attempt::NotAlive(format!("{answered}: {text}"))),
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(addresses: &[&str]) -> HealthCheck {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        HealthCheck { addresses, prefix: String::new(), tls_first: false }
    }

    #[test]
    fn an_exporter_that_listens_on_all_addresses_is_asked_on_loopback() {
        let endpoints = |addresses: &[&str]| {
            let endpoints = check(addresses).endpoints().into_iter();
            endpoints.map(|(host, port)| authority(&host, port)).collect::<Vec<_>>()
        };
        assert_eq!(endpoints(&[":1"]), ["127.0.0.1:1", "[::1]:1"]);
        assert_eq!(endpoints(&["0.0.0.0:1"]), ["127.0.0.1:1", "[::1]:1"]);
        assert_eq!(endpoints(&["[::]:1"]), ["[::1]:1", "127.0.0.1:1"]);
        assert_eq!(endpoints(&["10.0.0.5:1", "localhost:2"]), ["10.0.0.5:1", "localhost:2"]);
        assert_eq!(endpoints(&[":0"]), [""; 0]);
    }

    #[test]
    fn the_status_decides_whether_an_exporter_is_alive() {
        let alive =
            |scheme, status: u16| judge(scheme, StatusCode::from_u16(status).unwrap(), "text", "url").is_ok();
        for scheme in [Scheme::Http, Scheme::Https] {
            for status in [200, 401, 403, 429] {
                assert!(alive(scheme, status), "{status}");
            }
            for status in [204, 301, 307, 400, 404, 500, 502, 503] {
                assert!(!alive(scheme, status), "{status}");
            }
        }
    }

    #[test]
    fn a_message_has_one_line_that_a_terminal_can_show() {
        assert_eq!(first_line(b"not \x1b[31mhealthy\nsecond line\n"), "not [31mhealthy");
        assert_eq!(first_line(b""), "");
        assert_eq!(first_line(&[b'a'; 1_000]).len(), 200);
    }
}

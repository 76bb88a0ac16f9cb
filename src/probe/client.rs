//! The HTTP client of the probes: the connection, the request, and the phases in between.
//!
//! There is no redirect and no cookie. A request is sent again only if the server has closed the connection that was waiting
//! for it, or if the response has more than a hundred headers for the first time. What is tolerated in a response is what
//! curl and Go tolerate: a proxy that writes odd headers must not look like an outage of the API.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use checked_yaml::file;
use http::header::{ACCEPT, ACCEPT_ENCODING, HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use secrecy::zeroize::Zeroizing;
use tokio::io::BufReader;
use url::Url;

use super::body::{self, Body, BodyLimits};
use super::connect;
use super::http_connection::{BoxStream, HttpConnection, MaxHeaders};
use super::idle_connections::IdleConnections;
use super::phase_timer::PhaseTimer;
use super::resolver::{LookUp, Resolved, Resolver};
use super::target::{Parts, Target, Targets};
use super::tls::TlsClient;
use super::transport_error::{BuildError, TransportError};
use super::tunnel;
use crate::config::Api;

const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// Room for the headers of a request. The map grows if there are more.
const USUAL_HEADERS: usize = 8;

/// The settings of all requests to one API.
pub(super) struct Client {
    tls: TlsClient,
    resolver: Resolver,
    proxy: Option<Proxy>,
    idle: IdleConnections,
    /// Whether a response of this API had more than a hundred headers. The library has the same error for a header name of
    /// 64 KiB, and for a body whose stated length is about 2^64: they are treated alike.
    has_many_headers: AtomicBool,
}

struct Proxy {
    url: Url,
    /// The user and the password of the URL.
    authorization: Option<HeaderValue>,
}

/// A response, and what keeps its connection open until the body is read.
pub(super) struct Exchange {
    pub response: Response<Incoming>,
    connection: HttpConnection,
}

/// A request that can be written more than once.
pub(super) struct Outgoing<'a> {
    pub method: Method,
    pub target: &'a Target,
    /// Adds the headers that not every request has.
    pub add_headers: &'a (dyn Fn(&mut HeaderMap) + Sync),
    pub body: Bytes,
}

/// How a connection is opened.
#[derive(Clone, Copy)]
pub(super) struct Opening {
    pub look_up: LookUp,
    /// Whether the connection may wait for another request.
    pub keep: bool,
}

impl Client {
    pub(super) fn new(api: &Api, authorities: Option<&[u8]>) -> Result<Self, BuildError> {
        Ok(Self {
            tls: TlsClient::new(authorities)?,
            resolver: Resolver::system(),
            proxy: api.proxy_url.clone().map(Proxy::new),
            idle: IdleConnections::default(),
            has_many_headers: AtomicBool::new(false),
        })
    }

    /// The host and port that a request to `url` connects to: the proxy, if there is one.
    pub(super) fn peer(&self, url: &Url) -> String {
        authority(self.proxy.as_ref().map_or(url, |proxy| &proxy.url))
    }

    /// The target of a request to `url`.
    pub(super) fn target(&self, url: Url) -> Target {
        let is_absolute = self.names_whole_url(&url);
        Target::new(url, is_absolute)
    }

    /// The targets of the routes below `base`.
    pub(super) fn targets(&self, base: Url) -> Targets {
        let is_absolute = self.names_whole_url(&base);
        Targets::new(base, is_absolute)
    }

    /// Sends one request, and reads the head of the response. If connections are kept, one that waits for a request is used.
    ///
    /// The request is sent again if the response has too many headers for the room that is there. From then on, there is more
    /// room. A log-in is always sent once.
    pub(super) async fn send(
        &self,
        outgoing: &Outgoing<'_>,
        opening: Opening,
        timer: &Arc<PhaseTimer>,
    ) -> Result<Exchange, TransportError> {
        if opening.keep
            && let Some(exchange) = self.send_on_open_connection(outgoing, timer).await?
        {
            return Ok(exchange);
        }
        let max_headers = self.max_headers(outgoing);
        match self.send_on_new_connection(outgoing, opening, max_headers, timer).await {
            Err(TransportError::Http(error)) if self.needs_more_headers(&error, max_headers) => {
                timer.restart();
                self.send_on_new_connection(outgoing, opening, MaxHeaders::Thousand, timer).await
            }
            sent => sent,
        }
    }

    async fn send_on_new_connection(
        &self,
        outgoing: &Outgoing<'_>,
        opening: Opening,
        max_headers: MaxHeaders,
        timer: &Arc<PhaseTimer>,
    ) -> Result<Exchange, TransportError> {
        let request = self.request(outgoing)?;
        let stream = self.open(&outgoing.target.url, opening, timer).await?;
        timer.record_connected();
        let mut connection = HttpConnection::new(stream, max_headers).await?;
        let response = connection.send(request).await?;
        Ok(Exchange { response, connection })
    }

    /// Sends the request on a connection that waits for one. `None` if there is none, or if it must be sent on a new one: the
    /// server may close a connection at any moment, and that is no failure.
    async fn send_on_open_connection(
        &self,
        outgoing: &Outgoing<'_>,
        timer: &PhaseTimer,
    ) -> Result<Option<Exchange>, TransportError> {
        let Some(mut connection) = self.idle.take() else { return Ok(None) };
        timer.record_reused_connection();
        let max_headers = connection.max_headers();
        match connection.send_again(self.request(outgoing)?).await {
            Ok(response) => return Ok(Some(Exchange { response, connection })),
            Err(TransportError::Http(error))
                if !error.is_parse() || self.needs_more_headers(&error, max_headers) => {}
            Err(error) => return Err(error),
        }
        self.idle.clear();
        timer.restart();
        Ok(None)
    }

    fn max_headers(&self, outgoing: &Outgoing<'_>) -> MaxHeaders {
        // A log-in must not be sent twice.
        if outgoing.method == Method::POST || self.has_many_headers.load(Ordering::Relaxed) {
            MaxHeaders::Thousand
        } else {
            MaxHeaders::Hundred
        }
    }

    /// Whether the response may have more headers than there was room for. Then all later connections have more room.
    fn needs_more_headers(&self, error: &hyper::Error, max_headers: MaxHeaders) -> bool {
        let needs_more = error.is_parse_too_large() && max_headers == MaxHeaders::Hundred;
        if needs_more {
            self.has_many_headers.store(true, Ordering::Relaxed);
            self.idle.clear();
        }
        needs_more
    }

    /// Keeps the connection of an exchange whose response was read to its end, unless the next response may need more room.
    pub(super) fn keep(&self, exchange: Exchange) {
        let has_room = exchange.connection.max_headers() == MaxHeaders::Thousand;
        if has_room || !self.has_many_headers.load(Ordering::Relaxed) {
            self.idle.put(exchange.connection);
        }
    }

    /// Whether the first line of a request names the whole URL. A proxy needs it, unless it only tunnels a TLS connection.
    fn names_whole_url(&self, url: &Url) -> bool {
        self.proxy.is_some() && url.scheme() == "http"
    }

    fn request(&self, outgoing: &Outgoing<'_>) -> Result<Request<Full<Bytes>>, TransportError> {
        let Outgoing { method, target, add_headers, body } = outgoing;
        let Parts { host, uri } = target.parts.as_ref().map_err(Arc::clone)?;
        let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
        add_headers(&mut headers);
        headers.insert(HOST, host.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(proxy) = &self.proxy
            && self.names_whole_url(&target.url)
        {
            headers.extend(proxy.authorization.clone().map(|value| (PROXY_AUTHORIZATION, value)));
        }
        let mut request = Request::new(Full::new(body.clone()));
        (*request.method_mut(), *request.uri_mut()) = (method.clone(), uri.clone());
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Opens a connection that is ready for a request to `url`.
    async fn open(
        &self,
        url: &Url,
        opening: Opening,
        timer: &Arc<PhaseTimer>,
    ) -> Result<BoxStream, TransportError> {
        let stream = match &self.proxy {
            None => self.connect(url, opening, timer).await?,
            Some(proxy) => self.open_through(proxy, url, opening, timer).await?,
        };
        if url.scheme() != "https" {
            return Ok(stream);
        }
        timer.record_tls_started();
        let handshake = self.tls.connect_to_api(host(url), stream, timer).await;
        Ok(Box::new(handshake.map_err(|cause| TransportError::Tls { peer: authority(url), cause })?))
    }

    async fn open_through(
        &self,
        proxy: &Proxy,
        url: &Url,
        opening: Opening,
        timer: &PhaseTimer,
    ) -> Result<BoxStream, TransportError> {
        let mut stream = self.connect(&proxy.url, opening, timer).await?;
        if proxy.url.scheme() == "https" {
            let handshake = self.tls.connect_to_proxy(host(&proxy.url), stream).await;
            let handshake =
                handshake.map_err(|cause| TransportError::Tls { peer: authority(&proxy.url), cause })?;
            stream = Box::new(handshake);
        }
        if url.scheme() != "https" {
            return Ok(stream);
        }
        let mut stream = BufReader::new(stream);
        tunnel::open(&mut stream, &authority(url), proxy.authorization.as_ref())
            .await
            .map_err(|cause| TransportError::Proxy { proxy: authority(&proxy.url), cause })?;
        Ok(Box::new(stream))
    }

    /// Resolves the host of `url`, and opens a TCP connection.
    async fn connect(
        &self,
        url: &Url,
        opening: Opening,
        timer: &PhaseTimer,
    ) -> Result<BoxStream, TransportError> {
        let port = url.port_or_known_default().unwrap_or_default();
        let address: Option<IpAddr> = match url.host() {
            Some(url::Host::Ipv4(address)) => Some(address.into()),
            Some(url::Host::Ipv6(address)) => Some(address.into()),
            Some(url::Host::Domain(_)) | None => None,
        };
        let addresses = if let Some(address) = address {
            timer.record_nothing_to_resolve();
            vec![(address, port).into()]
        } else {
            let resolved = self.resolver.resolve(host(url), port, opening.look_up).await;
            let Resolved { addresses, looked_up } =
                resolved.map_err(|cause| TransportError::Resolve { host: host(url).to_owned(), cause })?;
            match looked_up {
                Some(span) => timer.record_resolved(span),
                None => timer.record_nothing_to_resolve(),
            }
            addresses
        };
        match connect::connect(addresses).await {
            Ok(stream) => {
                if opening.keep {
                    connect::detect_dead_peer(&stream);
                }
                Ok(Box::new(stream))
            }
            Err(cause) => Err(TransportError::Connect { peer: authority(url), cause }),
        }
    }
}

impl Exchange {
    /// Reads the body to its end or to the read limit.
    pub(super) async fn read_body(&mut self, limits: BodyLimits) -> Result<Body, TransportError> {
        self.connection.drive(body::read(&mut self.response, limits)).await
    }
}

impl Proxy {
    fn new(url: Url) -> Self {
        let authorization = authorization(&url);
        Self { url, authorization }
    }
}

/// The user and the password of a proxy's URL as a header value that is never printed.
fn authorization(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut credentials = Zeroizing::new(Vec::new());
    credentials.extend(percent_decode_str(url.username()));
    credentials.push(b':');
    credentials.extend(percent_decode_str(url.password().unwrap_or_default()));
    let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*credentials)));
    let mut value = HeaderValue::from_str(&basic).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The host, without the brackets of an IPv6 address.
fn host(url: &Url) -> &str {
    let host = url.host_str().unwrap_or_default();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Host and port. It never has the user and the password of the URL.
fn authority(url: &Url) -> String {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    format!("{host}:{port}")
}

/// The configured certificate authorities, as PEM. `None` if those of the system are used.
pub(super) fn read_authorities(api: &Api) -> Result<Option<Vec<u8>>, BuildError> {
    if let Some(pem) = &api.ca_pem {
        return Ok(Some(pem.clone().into_bytes()));
    }
    let read = |path: &PathBuf| {
        let describe = |problem| BuildError::Authorities(format!("the file {} {problem}", path.display()));
        file::read(path).map_err(describe)
    };
    api.ca_file.as_ref().map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_credentials_of_a_proxy_are_decoded_and_never_printed() {
        let value = authorization(&url("http://us%40er:p%3Aa%25ss+%26@proxy.example:3128")).unwrap();
        assert_eq!(value, format!("Basic {}", STANDARD.encode("us@er:p:a%ss+&")));
        assert!(value.is_sensitive());
        assert_eq!(authorization(&url("http://proxy.example:3128")), None);
    }

    #[test]
    fn an_authority_has_a_port_and_no_credentials() {
        assert_eq!(authority(&url("https://user:secret@api.example/x")), "api.example:443");
        assert_eq!(authority(&url("http://[::1]:8080")), "[::1]:8080");
        assert_eq!(host(&url("http://[::1]:8080")), "::1");
    }
}

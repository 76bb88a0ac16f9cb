//! An exporter with a web configuration file, and connections to it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::pki::{Pki, write};
use super::server::{Exporter, TIMEOUT};

/// Starts an exporter without keys in the folder of `pki`.
pub(crate) async fn start(pki: &Pki, flags: &[&str]) -> Exporter {
    let main = pki.path("exporter.yml");
    if !main.exists() {
        write(&main, "health: {interval: 15s}\n");
    }
    Exporter::start(pki.folder.path(), flags).await
}

/// The same with the web configuration file `web.yml` of the folder.
pub(crate) async fn start_with_web_config(pki: &Pki, flags: &[&str]) -> Exporter {
    let web = format!("--web.config.file={}", pki.path("web.yml").display());
    start(pki, &[&[web.as_str()], flags].concat()).await
}

/// Opens a connection and sends these bytes.
pub(crate) async fn connect(exporter: &Exporter, first: &[u8]) -> TcpStream {
    let host = exporter.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(first).await.unwrap();
    stream
}

/// All that the exporter sends until it closes the connection.
pub(crate) async fn read_until_closed(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let _ =
        timeout(TIMEOUT, stream.read_to_end(&mut text)).await.expect("the exporter closes the connection");
    String::from_utf8_lossy(&text).into_owned()
}

/// A series of dropped connections.
pub(crate) fn dropped(reason: &str) -> String {
    format!("myunisoft_exporter_connections_dropped_total{{reason=\"{reason}\"}}")
}

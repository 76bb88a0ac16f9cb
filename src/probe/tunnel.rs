//! Asks an HTTP proxy for a connection to the API (`CONNECT`).

use std::io;

use http::HeaderValue;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// In bytes. Proxies add cookies, policies and signed tickets of many kilobytes to their response.
const MAX_HEAD_LEN: u64 = 64 << 10;

/// Why a proxy opened no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    /// The proxy wants a user and a password, or another one.
    #[error("it wants a user and a password (status 407); check those in api.proxy_url")]
    Unauthenticated,
    #[error("it refused CONNECT with status {0}")]
    Refused(u16),
    #[error("its response to CONNECT is not HTTP")]
    NotHttp,
    #[error("its response to CONNECT has more than {} KiB of headers", MAX_HEAD_LEN >> 10)]
    HeadTooLong,
    #[error("it closed the connection without a complete response to CONNECT")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Asks for a connection to `authority`, and reads the head of the response. Bytes after the head belong to the
/// connection and stay in the buffer of `proxy`.
pub(super) async fn open(
    proxy: &mut (impl AsyncBufRead + AsyncWrite + Unpin),
    authority: &str,
    authorization: Option<&HeaderValue>,
) -> Result<(), TunnelError> {
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(authorization) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    proxy.write_all(&request).await?;
    proxy.flush().await?;
    // The limit is for all responses together: interim ones (1xx) may precede the final one.
    let mut heads = proxy.take(MAX_HEAD_LEN);
    loop {
        match read_head(&mut heads).await? {
            100..=199 => {}
            200..=299 => return Ok(()),
            407 => return Err(TunnelError::Unauthenticated),
            status => return Err(TunnelError::Refused(status)),
        }
    }
}

/// Reads status line and headers. Returns the status.
async fn read_head<R: AsyncBufRead + Unpin>(response: &mut tokio::io::Take<R>) -> Result<u16, TunnelError> {
    let status_line = read_line(response).await?;
    let status = status_of(&status_line).ok_or(TunnelError::NotHttp)?;
    while !read_line(response).await?.is_empty() {}
    Ok(status)
}

/// One line without its end.
async fn read_line<R: AsyncBufRead + Unpin>(
    response: &mut tokio::io::Take<R>,
) -> Result<Vec<u8>, TunnelError> {
    let mut line = Vec::new();
    response.read_until(b'\n', &mut line).await?;
    match line.pop() {
        Some(b'\n') => {
            line.pop_if(|last| *last == b'\r');
            Ok(line)
        }
        _ if response.limit() == 0 => Err(TunnelError::HeadTooLong),
        _ => Err(TunnelError::Closed),
    }
}

/// The status in `HTTP/1.1 200 Connection established`, or in the same without a reason.
fn status_of(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line.get(..12)?).ok()?;
    let (version, status) = line.split_once(' ')?;
    if !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
        return None;
    }
    status.parse().ok().filter(|status| (100..=599).contains(status))
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    /// What a proxy that sends `response` makes of the request, and the bytes after the head.
    async fn opened(response: &str) -> (Result<(), TunnelError>, Vec<u8>) {
        let (client, mut server) = tokio::io::duplex(1 << 20);
        server.write_all(response.as_bytes()).await.unwrap();
        server.shutdown().await.unwrap();
        let mut client = BufReader::new(client);
        let result = open(&mut client, "api.example:443", None).await;
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        (result, rest)
    }

    #[tokio::test]
    async fn every_2xx_opens_the_tunnel_and_the_bytes_after_the_head_are_kept() {
        for head in [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 200\r\nvia: 1.1 proxy\r\n\r\n",
            "HTTP/1.1 201 \n\n",
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            let (result, rest) = opened(&format!("{head}server hello")).await;
            assert!(result.is_ok(), "{head:?}: {result:?}");
            assert_eq!(rest, b"server hello", "{head:?}");
        }
    }

    #[tokio::test]
    async fn large_headers_of_a_proxy_are_accepted_up_to_a_limit() {
        let response = |size| format!("HTTP/1.1 200 OK\r\nx-ticket: {}\r\n\r\n", "a".repeat(size));
        assert!(opened(&response(10 << 10)).await.0.is_ok());
        assert!(opened(&response(60 << 10)).await.0.is_ok());
        assert!(matches!(opened(&response(64 << 10)).await.0, Err(TunnelError::HeadTooLong)));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-one-more: a\r\n".repeat(1_000));
        assert!(opened(&many).await.0.is_ok());
    }

    #[tokio::test]
    async fn a_refusal_has_the_status_of_the_proxy() {
        for (response, text) in [
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "(status 407)"),
            ("HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\nno!", "status 403"),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "status 503"),
            ("<html>", "closed the connection"),
            ("SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
            ("HTTP/1.1 200 OK\r\nvia: ", "closed the connection"),
            ("", "closed the connection"),
        ] {
            let error = opened(response).await.0.unwrap_err().to_string();
            assert!(error.contains(text), "{response:?}: {error}");
        }
    }
}

//! Reads the body of a response up to a limit, and decompresses it.

use std::io::{self, Write};

use flate2::write::GzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use secrecy::zeroize::Zeroizing;

use super::transport_error::{TransportError, any_cause};

/// The first byte of each member of a gzip stream. No JSON text begins with it.
const GZIP_MAGIC: u8 = 0x1f;

/// The checksum and the size of a member, in bytes.
const TRAILER_LEN: usize = 8;

/// How many bytes of a body are read, before and after decompression, and how many of them are kept.
#[derive(Clone, Copy)]
pub(super) struct BodyLimits {
    pub read: usize,
    pub keep: usize,
}

/// The decompressed body, or its beginning.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether the body ended within the read limit.
    pub complete: bool,
}

/// Reads the body to its end or to the read limit.
pub(super) async fn read(
    response: &mut Response<Incoming>,
    limits: BodyLimits,
) -> Result<Body, TransportError> {
    let ends_with_the_connection = ends_with_the_connection(response.headers());
    let codings = gzip_codings(response.headers());
    let mut decoder = Decoder::new(codings > 0, limits);
    let mut received = 0;
    while let Some(frame) = response.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if ends_with_the_connection && is_unclean_close(&error) => break,
            Err(error) => return Err(error.into()),
        };
        let chunk = frame.into_data().unwrap_or_default();
        received += chunk.len();
        decoder.write(&chunk).map_err(TransportError::Encoding)?;
        if received > limits.read || decoder.exceeds_the_limit() {
            return Ok(Body { bytes: utf_8(decoder.take()), complete: false });
        }
    }
    decoder.end().map_err(TransportError::Encoding)?;
    Ok(Body { bytes: utf_8(unpack(decoder.take(), codings, limits)), complete: true })
}

/// Rewrites UTF-16 as UTF-8, and leaves any other body as it is. A byte-order mark tells, or a NUL beside each of the
/// first two characters: JSON begins with ASCII characters and has no NUL.
fn utf_8(bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let unit: fn([u8; 2]) -> u16 = match **bytes {
        [0xff, 0xfe, ..] | [1..=0x7f, 0, 1..=0x7f, 0, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] | [0, 1..=0x7f, 0, 1..=0x7f, ..] => u16::from_be_bytes,
        _ => return bytes,
    };
    let (units, _) = bytes.as_chunks();
    // Two bytes of UTF-16 are at most three of UTF-8. A text that grows would leave copies of a token behind.
    let mut text = Zeroizing::new(Vec::with_capacity(units.len() * 3));
    for character in char::decode_utf16(units.iter().copied().map(unit)) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    text
}

/// Whether nothing but the end of the connection tells where the body ends.
fn ends_with_the_connection(headers: &HeaderMap) -> bool {
    !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING)
}

/// Whether the server closed the connection without TLS's `close_notify`. Many load balancers do. curl and Go take it
/// as the end of a body that has no length. A body that was cut off is found by its content: it must be complete JSON.
fn is_unclean_close(error: &hyper::Error) -> bool {
    any_cause(error, |cause| {
        cause.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof)
    })
}

/// How many times the headers say that the body is compressed with gzip; zero if it is in a coding that was not asked
/// for, because no decoder for it exists.
fn gzip_codings(headers: &HeaderMap) -> usize {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let codings = codings.map(<[u8]>::trim_ascii);
    let is = |coding: &[u8], name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
    let (gzip, others): (Vec<_>, Vec<_>) = codings
        .filter(|coding| !coding.is_empty() && !is(coding, "identity"))
        .partition(|coding| is(coding, "gzip") || is(coding, "x-gzip"));
    if others.is_empty() { gzip.len() } else { 0 }
}

/// Two proxies may each name the coding of one compression, or each compress. The content tells.
fn unpack(mut bytes: Zeroizing<Vec<u8>>, codings: usize, limits: BodyLimits) -> Zeroizing<Vec<u8>> {
    for _ in 1..codings {
        if bytes.first() != Some(&GZIP_MAGIC) {
            break;
        }
        let mut decoder = Decoder::new(true, limits);
        // Only the beginning may have been kept, so the end may be missing.
        let _ = decoder.write(&bytes).and_then(|()| decoder.end());
        bytes = decoder.take();
    }
    bytes
}

/// Decompresses a body piece by piece.
enum Decoder {
    Plain(Sink),
    /// A member may follow. An empty body needs no compression, whatever its headers say: the response to HEAD has
    /// no body.
    Expecting(Sink),
    Member(Box<GzDecoder<Sink>>),
    /// The last member ended. gzip, Node and browsers ignore what follows, such as padding.
    Ended(Sink),
}

impl Decoder {
    fn new(is_compressed: bool, limits: BodyLimits) -> Self {
        let sink = Sink { limits, seen: 0, kept: Zeroizing::default() };
        if is_compressed { Self::Expecting(sink) } else { Self::Plain(sink) }
    }

    /// Stops at the read limit: a small piece can become a thousand times larger.
    fn write(&mut self, mut input: &[u8]) -> io::Result<()> {
        while let Some(first) = input.first()
            && !self.exceeds_the_limit()
        {
            let written = match self {
                Self::Plain(sink) => sink.write(input)?,
                Self::Expecting(_) => 0,
                Self::Member(decoder) => decoder.write(input)?,
                Self::Ended(_) => input.len(),
            };
            if written == 0 {
                self.next_member(*first == GZIP_MAGIC)?;
            }
            input = input.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Begins a member. RFC 1952 allows several of them, one after the other; each ends with its checksum.
    fn next_member(&mut self, is_gzip: bool) -> io::Result<()> {
        *self = match self {
            Self::Member(decoder) => {
                decoder.try_finish()?;
                let sink = decoder.get_mut().take();
                if is_gzip { Self::Member(Box::new(GzDecoder::new(sink))) } else { Self::Ended(sink) }
            }
            Self::Plain(sink) | Self::Expecting(sink) | Self::Ended(sink) => {
                Self::Member(Box::new(GzDecoder::new(sink.take())))
            }
        };
        Ok(())
    }

    /// Ends the body. Nothing may be written after it.
    fn end(&mut self) -> io::Result<()> {
        let Self::Member(decoder) = self else { return Ok(()) };
        decoder
            .try_finish()
            .or_else(|error| if lacks_only_the_trailer(decoder) { Ok(()) } else { Err(error) })
    }

    fn exceeds_the_limit(&self) -> bool {
        let sink = match self {
            Self::Plain(sink) | Self::Expecting(sink) | Self::Ended(sink) => sink,
            Self::Member(decoder) => decoder.get_ref(),
        };
        sink.seen > sink.limits.read
    }

    /// What was kept so far.
    fn take(&mut self) -> Zeroizing<Vec<u8>> {
        let sink = match self {
            Self::Plain(sink) | Self::Expecting(sink) | Self::Ended(sink) => sink,
            Self::Member(decoder) => decoder.get_mut(),
        };
        std::mem::take(&mut sink.kept)
    }
}

/// Whether the compressed data is complete, and only the checksum and the size after it are missing or cut off. curl and
/// Node read such a body. The decoder does not tell which part it lacks, but how many more bytes it takes.
fn lacks_only_the_trailer(decoder: &mut GzDecoder<Sink>) -> bool {
    for taken in 0..=TRAILER_LEN {
        match decoder.write(&[0]) {
            // A trailer that is complete is wrong.
            Ok(0) => return taken > 0,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}

/// Counts the decompressed bytes, and keeps the first of them.
struct Sink {
    limits: BodyLimits,
    seen: usize,
    kept: Zeroizing<Vec<u8>>,
}

impl Sink {
    fn take(&mut self) -> Self {
        Self { limits: self.limits, seen: self.seen, kept: std::mem::take(&mut self.kept) }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.limits.keep.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.seen += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;

    use super::*;

    const LIMITS: BodyLimits = BodyLimits { read: 1 << 20, keep: 1 << 20 };

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// The decompressed bytes of a body that arrives in pieces of this size.
    fn decoded(body: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let mut decoder = Decoder::new(true, LIMITS);
        body.chunks(piece).try_for_each(|chunk| decoder.write(chunk))?;
        decoder.end()?;
        Ok(decoder.take().to_vec())
    }

    #[test]
    fn members_of_gzip_follow_one_another_and_what_follows_the_last_is_ignored() {
        let members = [gzip(b"[1,"), gzip(b""), gzip(b"2]")].concat();
        let padded = [&members[..], &[0; 512], b"\n"].concat();
        for piece in [1, 2, 7, members.len() - 1, padded.len()] {
            assert_eq!(decoded(&members, piece).unwrap(), b"[1,2]", "{piece}");
            assert_eq!(decoded(&padded, piece).unwrap(), b"[1,2]", "{piece}");
        }
        assert_eq!(decoded(b"", 1).unwrap(), b"");
    }

    #[test]
    fn gzip_that_is_cut_off_or_damaged_is_an_error() {
        let whole = gzip(b"[1,2]");
        let compressed = whole.len() - TRAILER_LEN;
        for length in 1..compressed {
            assert!(decoded(&whole[..length], 3).is_err(), "{length} bytes");
        }
        for length in compressed..whole.len() {
            assert_eq!(
                decoded(&whole[..length], 3).unwrap(),
                b"[1,2]",
                "{length} bytes, only the trailer is cut"
            );
        }
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(decoded(&damaged, 3).is_err(), "a wrong checksum");
        assert!(decoded(b"[1,2]", 3).is_err(), "not compressed");
        assert!(decoded(&[&whole[..], &whole[..9]].concat(), 3).is_err(), "half a second member");
    }

    #[test]
    fn a_bomb_is_decompressed_up_to_the_limit_only() {
        let mut decoder = Decoder::new(true, BodyLimits { read: 1 << 20, keep: 10 });
        decoder.write(&gzip(&vec![b' '; 64 << 20])).unwrap();
        assert!(decoder.exceeds_the_limit());
        assert_eq!(decoder.take().len(), 10);
    }

    #[test]
    fn every_spelling_of_gzip_is_recognized_and_no_other_coding() {
        let codings = |values: &[&str]| {
            let values = values.iter().map(|value| HeaderValue::from_str(value).unwrap());
            gzip_codings(&values.map(|value| (CONTENT_ENCODING, value)).collect())
        };
        for one in
            ["gzip", "GZIP", "GZip", "x-gzip", "X-GZIP", " gzip ", "identity, gzip", "gzip,", "gzip,identity"]
        {
            assert_eq!(codings(&[one]), 1, "{one}");
        }
        for none in ["identity", "", "br", "deflate", "zstd", "gzip, br", "gzipped", "aws-chunked"] {
            assert_eq!(codings(&[none]), 0, "{none}");
        }
        assert_eq!(codings(&[]), 0);
        assert_eq!((codings(&["gzip", "gzip"]), codings(&["gzip, x-gzip"])), (2, 2));
    }

    #[test]
    fn utf_16_is_read_in_both_byte_orders_with_and_without_a_mark() {
        let text = r#"{"message":"clé révoquée 🔑"}"#;
        let utf_16 = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect();
        let read = |body: Vec<u8>| String::from_utf8(utf_8(Zeroizing::new(body)).to_vec()).unwrap();
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(read(utf_16(text, bytes)), text);
            let marked = format!("\u{feff}{text}");
            assert_eq!(read(utf_16(&marked, bytes)), marked);
        }
        let half: Vec<u8> = utf_16("\u{feff}[1]🔑", u16::to_le_bytes);
        assert_eq!(
            read(half[..half.len() - 2].to_vec()),
            "\u{feff}[1]\u{fffd}",
            "half a character at the end"
        );
        for unchanged in ["", "[", "[]", "\u{feff}[]", "[\0", "[\0\0\0", "\0\0[1"] {
            assert_eq!(read(unchanged.into()), unchanged, "{unchanged:?}");
        }
    }

    #[test]
    fn a_coding_that_is_named_twice_is_decoded_as_often_as_the_body_is_compressed() {
        let text = b"[1,2]".to_vec();
        assert_eq!(*unpack(Zeroizing::new(text.clone()), 2, LIMITS), text);
        assert_eq!(*unpack(Zeroizing::new(gzip(&text)), 2, LIMITS), text);
    }
}

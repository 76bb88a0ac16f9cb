//! Reads certificates from PEM files. A file is read as a whole or refused, never in part.
//!
//! The forms of OpenSSL, of browsers and of copy and paste are accepted: indented or joined blocks, every kind of line
//! end, text and private keys in between, `X509 CERTIFICATE`, and `TRUSTED CERTIFICATE`, which has trust settings
//! after the certificate.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, Class, FromDer as _};

const DECODER: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// `1.3.6.1.5.5.7.3.1` and `2.5.29.37.0` in DER: certificates for servers, and for any purpose.
const SERVER_PURPOSES: [&[u8]; 2] =
    [&[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01], &[0x06, 0x04, 0x55, 0x1d, 0x25, 0x00]];

/// In bytes. OpenSSL's longest label has 24.
const MAX_LABEL_LEN: usize = 40;

/// A block between `-----BEGIN …-----` and `-----END …-----`.
struct Block<'a> {
    /// The line of its beginning, counted from 1.
    line: usize,
    label: &'a str,
    content: &'a str,
}

/// A certificate of a PEM file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The line where it begins, counted from 1.
    pub line: usize,
    pub der: CertificateDer<'static>,
    /// Its last valid second; `None` if that is before 1970.
    pub expiry: Option<SystemTime>,
}

/// All certificates of a PEM file, in their order.
///
/// # Errors
/// Which block is not a certificate, by its line, and what to do; or that there is none. To be written after the file's
/// name.
pub fn read(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    let text = String::from_utf8_lossy(pem);
    let mut certificates = Vec::new();
    for block in blocks(&text)? {
        let found = match block.label {
            "CERTIFICATE" | "X509 CERTIFICATE" => certificate(&block),
            "TRUSTED CERTIFICATE" => trusted_certificate(&block),
            label if label.contains("CERTIFICATE") || matches!(label, "PKCS7" | "CMS") => {
                Err(format!("is a `{label}` and not a certificate; export the certificates as PEM"))
            }
            // Private keys, parameters and revocation lists are often in the same file.
            _ => continue,
        };
        certificates
            .push(found.map_err(|problem| format!("has a block at line {} that {problem}", block.line))?);
    }
    if certificates.is_empty() { Err(describe_empty(pem).to_owned()) } else { Ok(certificates) }
}

/// All certificates of a PEM file, each usable as a certificate authority.
///
/// # Errors
/// The same, and certificates that cannot be an authority.
pub fn read_authorities(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    let certificates = read(pem)?;
    for Certificate { line, der, .. } in &certificates {
        RootCertStore::empty().add(der.clone()).map_err(|error| {
            format!("has a certificate at line {line} that cannot be an authority ({error}); remove it")
        })?;
    }
    Ok(certificates)
}

/// Which of the certificates have expired, and what to do. They do no harm, because a bundle often has old ones.
pub fn describe_expired(certificates: &[Certificate], now: SystemTime) -> impl Iterator<Item = String> {
    let has_expired = move |certificate: &&Certificate| certificate.expiry.is_none_or(|expiry| expiry < now);
    certificates.iter().filter(has_expired).map(|Certificate { line, expiry, .. }| {
        let expired = expiry
            .map_or_else(String::new, |expiry| format!(" at {}", humantime::format_rfc3339_seconds(expiry)));
        format!("has a certificate at line {line} that expired{expired}; replace it or remove it")
    })
}

/// Why a file has no certificate, and what to do.
fn describe_empty(content: &[u8]) -> &'static str {
    match content {
        [] => "is empty; it must have at least one certificate in PEM",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "is written in UTF-16; save it as UTF-8",
        [0x30, ..] => "is no PEM; if it is in the form DER, convert it with `openssl x509 -inform der`",
        _ => "contains no certificate; it must be PEM, with `BEGIN CERTIFICATE` lines",
    }
}

/// The blocks of a PEM file. A damaged marker is an error: the block behind it would be missing without a word.
fn blocks(text: &str) -> Result<Vec<Block<'_>>, String> {
    let mut blocks = Vec::new();
    let mut rest = text;
    let line_of = |part: &str| 1 + text.get(..text.len() - part.len()).map_or(0, line_ends);
    while let Some((begin, label, after)) = next_marker(rest, "BEGIN ") {
        let line = line_of(begin);
        let between = rest.get(..rest.len() - begin.len()).unwrap_or_default();
        check_between(between).map_err(|stray| describe_stray(line_of(rest) + line_ends(stray)))?;
        let Some(label) = label else {
            return Err(format!("has a damaged line {line}; write `-----BEGIN CERTIFICATE-----`"));
        };
        let no_end =
            || format!("has a block at line {line} without its `-----END {label}-----`; copy it completely");
        let (end, end_label, after_end) = next_marker(after, "END ").ok_or_else(no_end)?;
        let content = after.get(..after.len() - end.len()).unwrap_or_default();
        if end_label != Some(label) || content.contains("-BEGIN ") {
            return Err(no_end());
        }
        blocks.push(Block { line, label, content });
        rest = after_end;
    }
    check_between(rest).map_err(|stray| describe_stray(line_of(rest) + line_ends(stray)))?;
    Ok(blocks)
}

/// Text between blocks is allowed. But a part of a block would be a certificate that is missing without a word: a marker
/// that is alone or in small letters, or the first line of a certificate. The error is the text before it.
fn check_between(text: &str) -> Result<(), &str> {
    let is_stray = |line: &str| {
        let capitals = line.to_ascii_uppercase();
        let is_marker =
            line.contains("-END ") || capitals.contains("--END ") || capitals.contains("--BEGIN ");
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let line = line.trim();
        is_marker || (line.len() >= 40 && line.starts_with("MII") && line.chars().all(is_base64))
    };
    let mut before = 0;
    for line in text.split_inclusive(['\r', '\n']) {
        if is_stray(line) {
            return Err(text.get(..before).unwrap_or_default());
        }
        before += line.len();
    }
    Ok(())
}

fn describe_stray(line: usize) -> String {
    format!(
        "has a part of a certificate at line {line}; write a line `-----BEGIN CERTIFICATE-----` before it and a line \
         `-----END CERTIFICATE-----` after it, or remove it"
    )
}

/// The number of line ends: `\n`, `\r\n`, or `\r` alone.
fn line_ends(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_end = |(index, byte): (usize, &u8)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(index + 1) != Some(&b'\n'),
        _ => false,
    };
    bytes.iter().enumerate().filter(|place| is_end(*place)).count()
}

/// The text from the next `-----BEGIN LABEL-----`, its label, and the text after it. The label is `None` if the marker
/// is damaged. A word such as `BEGIN` without a dash before it is ordinary text.
fn next_marker<'a>(text: &'a str, word: &str) -> Option<(&'a str, Option<&'a str>, &'a str)> {
    let marker = format!("-{word}");
    let position = text.find(&marker)?;
    let (before, from) = text.split_at_checked(position + 1)?;
    let dashes = before.len() - before.trim_end_matches('-').len();
    let start = text.get(before.len() - dashes.min(5)..)?;
    let after_word = from.get(word.len()..)?;
    let Some((label, after)) = after_word.split_once("-----") else {
        return Some((start, None, after_word));
    };
    let is_label = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' ';
    let is_valid = dashes >= 5 && (1..=MAX_LABEL_LEN).contains(&label.len()) && label.chars().all(is_label);
    Some(if is_valid { (start, Some(label), after) } else { (start, None, after_word) })
}

fn certificate(block: &Block<'_>) -> Result<Certificate, String> {
    let (certificate, rest) = split(block)?;
    if rest.is_empty() {
        Ok(certificate)
    } else {
        Err("has more than one certificate in it; export them again, as PEM".to_owned())
    }
}

/// OpenSSL's form: a certificate, then settings that say what it is trusted for.
fn trusted_certificate(block: &Block<'_>) -> Result<Certificate, String> {
    let (certificate, settings) = split(block)?;
    if trusts_servers(&settings) {
        Ok(certificate)
    } else {
        Err("has settings that do not trust it for TLS servers; remove it, or export it with `-clrtrust`"
            .to_owned())
    }
}

/// Whether the settings allow TLS servers: they are two optional lists, what is trusted and what is rejected (tag 0).
fn trusts_servers(settings: &[u8]) -> bool {
    let names_servers = |list: &Any<'_>| {
        SERVER_PURPOSES.iter().any(|purpose| list.data.windows(purpose.len()).any(|bytes| bytes == *purpose))
    };
    let Ok((_, settings)) = Any::from_der(settings) else { return true };
    let mut fields = settings.data;
    let mut trusts = true;
    while let Ok((rest, field)) = Any::from_der(fields) {
        match (field.class(), field.tag().0) {
            (Class::Universal, 16) => trusts &= names_servers(&field),
            (Class::ContextSpecific, 0) => trusts &= !names_servers(&field),
            _ => {}
        }
        fields = rest;
    }
    trusts
}

/// The bytes of a block. Lines with a colon are headers.
fn decode(content: &str) -> Result<Vec<u8>, String> {
    let lines = content.split(['\r', '\n']).filter(|line| !line.contains(':'));
    let text: String =
        lines.flat_map(str::chars).filter(|c| !c.is_whitespace() && *c != '\u{feff}').collect();
    DECODER.decode(text).map_err(|_| "is not base64; export it again, as PEM".to_owned())
}

/// The first certificate of a block, and what follows it.
fn split(block: &Block<'_>) -> Result<(Certificate, Vec<u8>), String> {
    let content = decode(block.content)?;
    let (rest, parsed) = x509_parser::parse_x509_certificate(&content)
        .map_err(|_| "contains no valid certificate; export it again, as PEM".to_owned())?;
    let der = content.get(..content.len() - rest.len()).unwrap_or_default().to_vec().into();
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok();
    let expiry = seconds.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    Ok((Certificate { line: block.line, der, expiry }, rest.to_vec()))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate() -> (String, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["api.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), certificate.der().clone())
    }

    fn ders(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
        Ok(read(pem.as_bytes())?.into_iter().map(|certificate| certificate.der).collect())
    }

    fn block(label: &str, der: &[u8]) -> String {
        let text = general_purpose::STANDARD.encode(der);
        let lines: Vec<_> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    #[test]
    fn every_form_of_a_bundle_gives_all_certificates() {
        let ((one, first), (two, second)) = (certificate(), certificate());
        let indented = |pem: &str| format!("    {}\n", pem.trim_end().replace('\n', "\n    "));
        let forms = [
            format!("{one}{two}"),
            format!("{}{}", one.trim_end(), two),
            format!("{}{}", indented(&one), indented(&two)),
            format!("{one}{two}").replace('\n', "\r\n"),
            format!("{one}{two}").replace('\n', "\r"),
            format!(
                "\u{feff}# My roots\nsubject=CN = one\n{one}\n \nissuer: two - BEGIN of it\n\t{two}the end"
            ),
            format!("{}{}", block("X509 CERTIFICATE", &first), block("TRUSTED CERTIFICATE", &second)),
            format!("{}{two}", block("TRUSTED CERTIFICATE", &[&first[..], &[0x30, 0]].concat())),
            format!("{one}{}{two}", block("PRIVATE KEY", b"a key")),
            format!("{one}{}{two}", block("X509 CRL", b"a list")),
            format!("{one}{two}").replace('\n', " \t\n"),
            one.replace("-----\n", "-----") + &two.replace("\n-----END", "-----END"),
        ];
        for form in forms {
            assert_eq!(ders(&form), Ok(vec![first.clone(), second.clone()]), "{form}");
            assert!(read_authorities(form.as_bytes()).is_ok(), "{form}");
        }
    }

    #[test]
    fn a_block_that_cannot_be_read_is_named_by_its_line() {
        let (pem, der) = certificate();
        let lines = pem.lines().count();
        let damaged = pem.replacen("\nM", "\n*", 1);
        let cut = pem.lines().take(lines - 2).collect::<Vec<_>>().join("\n");
        let cases = [
            (damaged, "not base64"),
            (pem.lines().take(lines - 1).collect(), "without its `-----END CERTIFICATE-----`"),
            (format!("{cut}\n-----END CERTIFICATE-----"), "no valid certificate"),
            (pem.replace("END CERTIFICATE", "END X509 CRL"), "without its `-----END CERTIFICATE-----`"),
            (block("CERTIFICATE REQUEST", b"a request"), "is a `CERTIFICATE REQUEST`"),
            (block("PKCS7", b"several"), "is a `PKCS7`"),
            (block("CERTIFICATE", &[&der[..], &der[..]].concat()), "more than one certificate"),
            (block("CERTIFICATE", b""), "no valid certificate"),
        ];
        for (block, problem) in cases {
            let error = read(format!("# a comment\n{pem}{block}").as_bytes()).unwrap_err();
            assert!(
                error.contains(problem) && error.contains(&format!("line {}", lines + 2)),
                "{error}\n{block}"
            );
        }
        for marker in
            ["----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE----", "-----BEGIN Certificate-----"]
        {
            let error = read(pem.replace("-----BEGIN CERTIFICATE-----", marker).as_bytes()).unwrap_err();
            assert!(error.contains("damaged line 1"), "{marker}: {error}");
        }
    }

    #[test]
    fn a_part_of_a_block_between_blocks_is_an_error_with_its_line() {
        let ((one, _), (two, _)) = (certificate(), certificate());
        let lines = one.lines().count();
        let (begin, end) = ("-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n");
        for (part, line) in [
            (two.replace(begin, ""), lines + 1),
            (two.replace(begin, "").replacen("MII", "XII", 1), lines + two.lines().count() - 1),
            (two.replace(begin, "").replace(end, ""), lines + 1),
            (two.to_lowercase(), lines + 1),
            (two.replace(begin, "-----begin certificate-----\n"), lines + 1),
        ] {
            for text in [format!("{one}{part}"), format!("{one}{part}{one}")] {
                let error = read(text.as_bytes()).unwrap_err();
                assert!(error.contains(&format!("a certificate at line {line};")), "{error}\n{text}");
            }
        }
        for comment in ["the week-end begin here", "-- end of the list --", "MII", &"ab".repeat(32)] {
            assert!(read(format!("{one}{comment}\n{two}{comment}").as_bytes()).is_ok(), "{comment}");
        }
    }

    #[test]
    fn a_certificate_has_its_line_and_its_expiry() {
        let (pem, _) = certificate();
        let found = read(format!("\r\n\r# two lines\n{pem}{pem}").as_bytes()).unwrap();
        let lines: Vec<_> = found.iter().map(|certificate| certificate.line).collect();
        assert_eq!(lines, [4, 4 + pem.lines().count()]);
        let expiry = found[0].expiry.unwrap();
        assert!(expiry > SystemTime::now());
        let expired = |now| describe_expired(&found, now).collect::<Vec<_>>();
        assert_eq!(expired(expiry), Vec::<String>::new());
        let later = expired(expiry + Duration::from_secs(1));
        assert!(later.len() == 2 && later[0].contains("at line 4 that expired at 4096-01-01"), "{later:?}");
    }

    #[test]
    fn a_lost_end_does_not_hide_the_next_block() {
        let ((one, _), (two, _)) = (certificate(), certificate());
        let error =
            read(format!("{}{two}", one.replace("-----END CERTIFICATE-----\n", "")).as_bytes()).unwrap_err();
        assert!(error.contains("line 1 without its"), "{error}");
    }

    #[test]
    fn a_file_without_a_certificate_says_what_it_is() {
        for (content, text) in [
            (&b""[..], "is empty"),
            (b"hello", "must be PEM"),
            (b"\xff\xfe-\0-\0", "UTF-16"),
            (&certificate().1, "form DER"),
        ] {
            assert!(read(content).unwrap_err().contains(text), "{text}");
        }
    }

    #[test]
    fn the_trust_settings_of_openssl_are_obeyed() {
        let (_, der) = certificate();
        let list = |tag: u8, purpose: &[u8]| [&[tag, u8::try_from(purpose.len()).unwrap()], purpose].concat();
        let (server, client) =
            (SERVER_PURPOSES[0], [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02]);
        for (settings, is_trusted) in [
            (list(0x30, server), true),
            (list(0x30, SERVER_PURPOSES[1]), true),
            (list(0x30, &client), false),
            (list(0xa0, server), false),
            (list(0xa0, &client), true),
            (Vec::new(), true),
        ] {
            let form = block("TRUSTED CERTIFICATE", &[&der[..], &list(0x30, &settings)].concat());
            assert_eq!(read(form.as_bytes()).is_ok(), is_trusted, "{settings:x?}");
        }
    }
}

//! Reads where a partner's secret, a key's token or an account's password comes from.

use checked_yaml::{Cursor, Fields, Reported};
use std::num::NonZeroU64;
use std::path::Path;

use super::{Credential, Firm, Login, Secrets, Section};
use crate::secret::{SecretKind, SecretSource};

/// A text with fewer bytes that is written as a path counts as the name of a file, even without `/` and `.`.
const MIN_SECRET_LEN: usize = 16;

/// The one of these fields that is present, or `None`. More than one is an error.
fn only_one<'a>(fields: &Fields<'a>, names: &[&str]) -> Result<Option<(&'a str, Cursor<'a>)>, Reported> {
    let mut given = fields.present(names);
    let Some((name, at)) = given.next() else {
        let misspelt = names.iter().any(|name| fields.is_misspelt(name));
        return if misspelt { Err(Reported) } else { Ok(None) };
    };
    let mut outcome = Ok(Some((name, at)));
    // A field that is written twice has already been reported.
    for (_, other_at) in given.filter(|(other, _)| *other != name) {
        let text = format!("is a second source besides `{name}` at line {}; keep one of the two", at.line);
        outcome = Err(other_at.error(text));
    }
    outcome
}

/// A partner's secret, or `None` if the entry does not give one.
pub(super) fn partner_secret(
    fields: &Fields<'_>,
    secrets: Secrets,
) -> Result<Option<SecretSource>, Reported> {
    let given = only_one(fields, &["secret_file", "secret_env", "secret"])?;
    given.map(|(field, at)| source(field, &at, SecretKind::HeaderValue, secrets)).transpose()
}

pub(super) fn of_key(fields: &Fields<'_>, secrets: Secrets) -> Result<Credential, Reported> {
    match only_one(fields, &["token_file", "token_env", "token", "login"])? {
        Some(("login", at)) => login(&at, secrets).map(Credential::Login),
        Some((field, at)) => source(field, &at, SecretKind::HeaderValue, secrets).map(Credential::Token),
        None => {
            let text = "has no token; add one of `token_file`, `token_env`, `token` or `login`";
            Err(fields.at.error(text))
        }
    }
}

fn login(at: &Cursor<'_>, secrets: Secrets) -> Result<Login, Reported> {
    let fields = Section::Login.read(at)?;
    let mail = fields.required("mail", "add the account's mail address", mail);
    let password = only_one(&fields, &["password_file", "password_env", "password"]);
    let password = password.and_then(|given| match given {
        Some((field, at)) => source(field, &at, SecretKind::Password, secrets),
        None => Err(at.error("has no password; add one of `password_file`, `password_env` or `password`")),
    });
    let firm = fields.optional("firm", firm);
    Ok(Login { mail: mail?, password: password?, firm: firm? })
}

fn mail(at: &Cursor<'_>) -> Result<String, Reported> {
    let mail = at.text()?;
    let is_not_allowed = |c: char| c.is_control() || c.is_whitespace();
    if mail.contains(is_not_allowed) || !mail.contains('@') {
        return Err(at.error("is not a mail address; write one such as `api@firm.example`"));
    }
    Ok(mail.to_owned())
}

fn firm(at: &Cursor<'_>) -> Result<Firm, Reported> {
    let text = at.text()?;
    if at.is_unquoted() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let id = at.number("the firm's id, or its name in quotation marks");
        return id.map(|id: NonZeroU64| Firm::Id(id.get()));
    }
    if text.contains(char::is_control) {
        return Err(at.error("contains a control character; remove it"));
    }
    Ok(Firm::Name(text.to_owned()))
}

/// Reads where a secret comes from: a file if the field is `…_file`, a variable if it is `…_env`, else the
/// field itself.
///
/// An invalid value in the field itself is an error of the configuration. A file or variable that can't be read is one
/// only for [`Secrets::Check`]: it concerns the keys that need it, and no others.
fn source(
    field: &str,
    at: &Cursor<'_>,
    kind: SecretKind,
    secrets: Secrets,
) -> Result<SecretSource, Reported> {
    let text = at.text()?;
    let source = if field.ends_with("_file") {
        refuse_reference(at, text, "write the path out")?;
        let path = at.path()?.into();
        if looks_like_a_path(text) { SecretSource::File(path) } else { SecretSource::UnnamedFile(path) }
    } else if field.ends_with("_env") {
        refuse_reference(at, text, "write only the name of the variable")?;
        let name = text.to_owned();
        if looks_like_a_variable(text) { SecretSource::Env(name) } else { SecretSource::UnnamedEnv(name) }
    } else {
        if kind == SecretKind::HeaderValue || is_reference(text) {
            refuse_reference(at, text, &format!("name the variable in `{field}_env` instead"))?;
        }
        SecretSource::Inline(text.into())
    };
    let is_inline = matches!(source, SecretSource::Inline(_));
    if is_inline {
        source.read(kind).map_err(|error| at.error(error.to_string()))?;
        at.note_inline_secret();
    } else if secrets == Secrets::Check && source.check(kind).map_err(|error| at.error(error.to_string()))? {
        at.note_world_readable_file();
    }
    Ok(source)
}

/// Variables inside values are not replaced: the text would be used as it is written, as a secret that is refused.
fn refuse_reference(at: &Cursor<'_>, text: &str, fix: &str) -> Result<(), Reported> {
    if text.contains("${") || is_reference(text) {
        return Err(at.error(format!("has a reference to a variable, which is not replaced; {fix}")));
    }
    Ok(())
}

/// Whether the whole text is `${…}` or `$NAME`. A password may contain these characters, but hardly as a whole.
fn is_reference(text: &str) -> bool {
    let is_braced = text.starts_with("${") && text.ends_with('}');
    let name = text.strip_prefix('$').unwrap_or_default();
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    is_braced || is_name
}

/// Whether an error may show this text as a path. It may be a secret, written in the wrong field.
fn looks_like_a_path(text: &str) -> bool {
    // Every JWT starts with the first, and some partners' secrets with the second.
    let looks_like_a_secret = ["eyJ", "partner-"].iter().any(|start| text.starts_with(start));
    let starts_like_a_path = Path::new(text).is_absolute() || text.starts_with('.');
    let looks_like_words = text.len() < MIN_SECRET_LEN || text.contains(['/', '.']);
    !looks_like_a_secret && (starts_like_a_path || (looks_like_words && !text.contains(['+', '='])))
}

/// Whether an error may show this text as the name of a variable. Few secrets consist only of capitals,
/// digits and underscores.
fn looks_like_a_variable(text: &str) -> bool {
    text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

//! The configuration of the demo's fleet as the files that an operator writes.

use std::fmt::Write as _;

use partner_simulator::{Access, EXERCICES, KeySpec, PartnerSpec, Simulator, USERS};

use super::partners;

/// The name of the configuration file.
pub(crate) const FILE: &str = "myunisoft-exporter.yml";

/// A path below the folder, and the content.
type File = (String, String);

/// The configuration, and the files that it names.
pub(crate) fn files(simulator: &Simulator) -> Vec<File> {
    let partners = partners();
    let mut files = vec![
        (FILE.to_owned(), configuration(simulator, &partners)),
        ("ca.pem".to_owned(), simulator.ca_pem().unwrap_or_default()),
    ];
    for partner in &partners {
        files.push((format!("secrets/{}", partner.name), line(&partner.secret)));
        files.extend(partner.keys.iter().map(|key| credential(simulator, key)));
    }
    files
}

fn line(text: &str) -> String {
    format!("{text}\n")
}

fn credential(simulator: &Simulator, key: &KeySpec) -> File {
    if let Some(login) = &key.login {
        return (format!("passwords/{}", key.name), line(&login.password));
    }
    let token = simulator.key(&key.name).and_then(|key| key.token()).unwrap_or_default();
    (format!("tokens/{}", key.name), line(&token))
}

fn configuration(simulator: &Simulator, partners: &[PartnerSpec]) -> String {
    let (base_url, auth_url) = (simulator.base_url(), simulator.auth_url());
    let mut text = format!(
        r#"# A configuration for the simulated API of `myunisoft-exporter demo --write-config`. Change it as you like: the demo
# does not overwrite a file that you changed.
api:
  base_url: {base_url}
  auth_url: {auth_url}
  ca_file: ca.pem
# Short, so that you do not have to wait. The defaults are 15 seconds for health and 60 seconds for the others.
health: {{interval: 2s, timeout: 1600ms}}
key_info: {{interval: 10s, timeout: 8s}}
canaries:
  exercices: {{path: "{EXERCICES}?version=1.0.0", interval: 20s, timeout: 10s}}
  users: {{path: "{USERS}", society: false, interval: 20s, timeout: 10s}}
partners:
"#
    );
    for partner in partners {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  - name: {0}\n    secret_file: secrets/{0}\n    keys:", partner.name);
        for key in &partner.keys {
            let _ = writeln!(text, "      - {{name: {}, {}}}", key.name, access(key));
        }
    }
    text
}

/// The fields of a key after its name.
fn access(key: &KeySpec) -> String {
    if let Some(login) = &key.login {
        let firm = login.firms.first().map(|firm| format!(", firm: {}", firm.id)).unwrap_or_default();
        let login = format!("{{mail: {}, password_file: passwords/{}{firm}}}", login.mail, key.name);
        return format!("access: firm, login: {login}, canaries: [users]");
    }
    match &key.access {
        Access::Society { .. } => format!("access: society, token_file: tokens/{}", key.name),
        Access::Firm { societies, .. } => {
            let canary = |id| format!("{{canary: exercices, name: exercices-{id}, society_id: {id}}}");
            let canaries = societies.iter().map(canary).collect::<Vec<_>>().join(", ");
            format!("access: firm, token_file: tokens/{}, canaries: [{canaries}]", key.name)
        }
    }
}

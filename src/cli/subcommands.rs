//! Which flags each subcommand lists in its help, its manual page and the completions.

use clap::{Arg, CommandFactory as _};

use super::Cli;

/// The flags that each subcommand uses, by the beginning of their names. Only these are in its help, its manual page and
/// the completions.
const USED_FLAGS: [(&str, &[&str]); 6] = [
    ("demo", &["web.", "config.auto-reload-interval", "log."]),
    ("check-config", &["config.file", "web.config.file", "shard", "replicas", "log."]),
    ("probe", &["config.file", "storage.path", "shard", "log."]),
    ("completions", &[]),
    ("man", &[]),
    (
        "healthcheck",
        &["web.listen-address", "web.config.file", "web.external-url", "web.route-prefix", "log."],
    ),
];

fn uses(subcommand: &str, flag: &Arg) -> bool {
    let used = USED_FLAGS.iter().find(|(name, _)| *name == subcommand).map_or(&[][..], |(_, flags)| *flags);
    let name = flag.get_long().unwrap_or_default();
    used.iter().any(|beginning| name.starts_with(beginning))
}

/// The flags whose default is another one for this subcommand.
fn own_defaults<'a>(subcommand: &str, flags: &'a [Arg]) -> impl Iterator<Item = Arg> + use<'a> {
    let is_demo = subcommand == "demo";
    let addresses = flags.iter().filter(move |flag| is_demo && flag.get_id() == "listen_addresses");
    addresses.map(|flag| {
        flag.clone().help(
            "Address to listen on; can be repeated, or be a list with commas [default: 127.0.0.1:10698]",
        )
    })
}

/// The flags of the program, which are accepted before and after each subcommand.
fn global_flags() -> Vec<Arg> {
    Cli::command().get_arguments().filter(|arg| arg.is_global_set()).cloned().collect()
}

/// The command line as it is read: each subcommand accepts all flags, and its help lists those that it uses.
pub(super) fn parser() -> clap::Command {
    let flags = global_flags();
    Cli::command().mut_subcommands(|subcommand| {
        let name = subcommand.get_name().to_owned();
        let unused = flags.iter().filter(|flag| !uses(&name, flag)).map(|flag| flag.clone().hide(true));
        subcommand.args(unused.chain(own_defaults(&name, &flags)))
    })
}

/// The command line as documents describe it: each subcommand has only the flags that it uses.
pub(crate) fn documented() -> clap::Command {
    let flags = global_flags();
    let command = Cli::command().mut_args(|arg| arg.global(false));
    command.mut_subcommands(|subcommand| {
        let name = subcommand.get_name().to_owned();
        let own = own_defaults(&name, &flags).collect::<Vec<_>>();
        let is_other = |flag: &&Arg| own.iter().all(|own| own.get_id() != flag.get_id());
        let used = flags.iter().filter(|flag| uses(&name, flag)).filter(is_other).cloned();
        let all = used.chain(own.clone()).map(|flag| flag.global(false)).collect::<Vec<_>>();
        subcommand.args(all)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        parser().debug_assert();
        documented().debug_assert();
    }

    #[test]
    fn each_subcommand_says_which_flags_it_uses_and_each_of_them_exists() {
        let program = Cli::command();
        for subcommand in program.get_subcommands() {
            let name = subcommand.get_name();
            assert!(USED_FLAGS.iter().any(|(known, _)| *known == name), "{name} is not in USED_FLAGS");
        }
        for (name, flags) in USED_FLAGS {
            assert!(program.find_subcommand(name).is_some(), "{name}");
            for beginning in flags {
                let exists =
                    global_flags().iter().any(|flag| flag.get_long().unwrap().starts_with(beginning));
                assert!(exists, "{name}: {beginning}");
            }
        }
    }

    #[test]
    fn the_help_of_a_subcommand_lists_only_the_flags_that_it_uses() {
        for (words, present, absent) in [
            (
                &["probe", "--help"][..],
                &["--failing", "--config.file", "--storage.path"][..],
                &["--web.", "--replica <"][..],
            ),
            (
                &["help", "probe"],
                &["--failing", "--config.file", "--storage.path"],
                &["--web.", "--replica <"],
            ),
            (&["completions", "-h"], &["<SHELL>"], &["--web.", "--log.", "--storage.path"]),
            (
                &["help", "healthcheck"],
                &["--web.listen-address"],
                &["--storage.path", "--web.max-connections"],
            ),
            (&["help", "check-config"], &["--syntax-only", "--web.config.file"], &["--web.listen-address"]),
            (&["help"], &["--web.listen-address", "--replica", "healthcheck"], &["--failing"]),
        ] {
            let help = parse(words).unwrap_err();
            assert!(present.iter().all(|flag| help.contains(flag)), "{words:?}: {help}");
            assert!(absent.iter().all(|flag| !help.contains(flag)), "{words:?}: {help}");
        }
        // A flag that a subcommand does not use stays allowed, as in a container that sets it for every command.
        assert_eq!(parse(&["probe", "--replica=1"]).unwrap().flags.replica, Some(1));
        assert_eq!(parse(&["--web.max-connections=3", "man"]).unwrap().flags.max_connections, 3);
    }
}

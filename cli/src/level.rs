//! `-1` … `-9`.

use crate::failure::usage;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, ValueHint};
use nzip::{Codec, CodecChoice};
use std::ffi::OsString;
use std::iter;

/// The level, if one is given; the last one counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Level(pub Option<u8>);

/// The ids of other words for a level, and what they mean.
const WORDS: [(&str, u8, &str); 2] = [("fast", 1, "As -1"), ("best", 9, "As -9")];

/// The ids of `-1` … `-9`.
const SHORT: [&str; 9] = ["-1", "-2", "-3", "-4", "-5", "-6", "-7", "-8", "-9"];

/// The variable that gives a level.
const VARIABLE: &str = "NZIP_LEVEL";

const HELP: &str = "How hard to try: -1 (fast) to -9 (small), see below";

impl Args for Level {
    fn augment_args(command: Command) -> Command {
        let level = Arg::new("level")
            .long("level")
            .value_name("N")
            .value_parser(number)
            .value_hint(ValueHint::Other)
            .overrides_with("level")
            .allow_negative_numbers(true)
            .help(format!("{HELP} [default: {}]", nzip::Options::DEFAULT_LEVEL));
        let command = command.arg(level);
        let command = WORDS.into_iter().fold(command, |command, (word, _, help)| {
            command.arg(Arg::new(word).long(word).action(ArgAction::Count).help(help).hide_short_help(true))
        });
        ('1'..='9').zip(SHORT).fold(command, |command, (digit, id)| {
            command.arg(Arg::new(id).short(digit).action(ArgAction::Count).hide(true))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Level {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let short = (1..=9).zip(SHORT).map(|(n, id)| (last_index(matches, id), n)).max();
        let long = matches.get_one::<u8>("level").map(|n| (last_index(matches, "level"), *n));
        let words = WORDS.map(|(word, n, _)| (last_index(matches, word), n)).into_iter().max();
        Ok(Self(short.max(long).max(words).filter(|(index, _)| index.is_some()).map(|(_, n)| n)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn last_index(matches: &ArgMatches, id: &str) -> Option<usize> {
    let given = matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
    matches.indices_of(id).filter(|_| given)?.next_back()
}

/// A level as in `--level 3`; `--level=-3` means the same.
fn number(text: &str) -> Result<u8, String> {
    let level = text.strip_prefix('-').unwrap_or(text).parse().ok().filter(|n| (1..=9).contains(n));
    level.ok_or_else(|| format!("{text} is not in 1..=9"))
}

impl Level {
    /// The level of the command line or, if there is none, of the environment.
    ///
    /// # Errors
    ///
    /// A variable that does not hold a level.
    pub fn chosen(self) -> anyhow::Result<Option<u8>> {
        if self.0.is_some() {
            return Ok(self.0);
        }
        match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => {
                number(&text).map(Some).map_err(|e| usage(format!("{VARIABLE}: {e}")))
            }
            _ => Ok(None),
        }
    }
}

/// The name of the automatic choice.
const AUTO: &str = "auto";

/// Reads the name of a codec.
pub fn codec_choice() -> impl TypedValueParser<Value = CodecChoice> {
    let names = iter::once(AUTO).chain(Codec::AVAILABLE.iter().map(|c| c.name()));
    PossibleValuesParser::new(names)
        .map(|name| Codec::from_name(&name).map_or(CodecChoice::Auto, CodecChoice::Only))
}

/// Refuses `-19` and the like, which would be read as `-1 -9`.
pub fn refuse_long(arguments: &[OsString]) -> anyhow::Result<()> {
    for argument in arguments.iter().skip(1).filter_map(|a| a.to_str()).take_while(|a| *a != "--") {
        let Some(cluster) = argument.strip_prefix('-').filter(|c| !c.starts_with('-')) else { continue };
        // After these letters comes their value.
        let flags = cluster.split(['o', 'T', 'M', 'S']).next().unwrap_or_default();
        let digits: String = flags.chars().skip_while(|c| !c.is_ascii_digit()).collect();
        if digits.starts_with('0') || digits.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) {
            return Err(usage(format!("{argument}: levels go from -1 to -9")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        level: Level,
        #[arg(short)]
        keep: bool,
    }

    #[test]
    fn the_last_level_counts() {
        let level = |line: &str| {
            let given = Only::parse_from(line.split(' '));
            (given.level.0, given.keep)
        };
        assert_eq!(level("x"), (None, false));
        assert_eq!(level("x -k9"), (Some(9), true));
        assert_eq!(level("x -9 -k -1"), (Some(1), true));
        assert_eq!(level("x -9 --level 4"), (Some(4), false));
        assert_eq!(level("x --level=4 -3"), (Some(3), false));
        assert_eq!(level("x --level=-4"), (Some(4), false));
        assert_eq!(level("x -3 --best"), (Some(9), false));
        assert_eq!(level("x --best --fast"), (Some(1), false));
        assert_eq!(level("x --best -2"), (Some(2), false));
        assert!(number("-0").is_err() && number("--3").is_err() && number("10").is_err());
    }

    #[test]
    fn long_levels_are_refused() {
        let refused = |line: &str| {
            let arguments: Vec<_> = line.split(' ').map(OsString::from).collect();
            refuse_long(&arguments).is_err()
        };
        assert!(refused("nzip -19 f") && refused("nzip -k22") && refused("nzip -0"));
        assert!(!refused("nzip -9k -T16 -M100M -o19 --level=4 -- -19"));
    }
}

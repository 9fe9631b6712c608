//! Command line: arguments, help texts, and one file per command.

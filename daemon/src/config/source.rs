//! Places of a configuration file: lines, columns, keys.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place, Problem};

/// A configuration file that is being checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        Self { path, text }
    }

    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// A path of the file: relative ones begin at the file's directory, wherever the daemon was started.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        match self.path.parent() {
            Some(directory) => directory.join(path),
            None => path.to_owned(),
        }
    }

    /// A problem of one value.
    pub(super) fn at<T>(&self, value: &Spanned<T>, problem: Problem) -> ConfigError {
        self.at_bytes(value.span(), problem)
    }

    /// A problem of these bytes of the file.
    pub(super) fn at_bytes(&self, span: Range<usize>, problem: Problem) -> ConfigError {
        let place = Place { line_and_column: self.line_and_column(span.start), key: self.key_at(span.start) };
        ConfigError { file: self.path.to_owned(), place: Some(place), problem: Box::new(problem) }
    }

    /// A problem of one value or, where it is left to its default, of the file as a whole.
    pub(super) fn at_key<T>(&self, value: Option<&Spanned<T>>, problem: Problem) -> ConfigError {
        match value {
            Some(value) => self.at(value, problem),
            None => self.whole(problem),
        }
    }

    /// A problem of the file as a whole.
    pub(super) fn whole(&self, problem: Problem) -> ConfigError {
        ConfigError::of_file(self.path, problem)
    }

    /// Line and column, both counted from 1, the column in characters.
    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The dotted key whose name or value is at this offset; `None` between keys and in a file that is not TOML.
    fn key_at(&self, offset: usize) -> Option<String> {
        let table = DeTable::parse(self.text).ok()?;
        key_in(table.get_ref(), offset).map(|keys| keys.join("."))
    }
}

/// Tables are always searched, whatever their span: that of `[table]` is its header alone.
fn key_in<'a>(table: &'a DeTable<'_>, offset: usize) -> Option<Vec<&'a str>> {
    table.iter().find_map(|(key, value)| {
        let below = match value.get_ref() {
            DeValue::Table(table) => key_in(table, offset),
            DeValue::Array(elements) => elements
                .iter()
                .filter_map(|element| element.get_ref().as_table())
                .find_map(|table| key_in(table, offset)),
            _ => None,
        };
        let here = || (key.span().start..value.span().end.max(key.span().end)).contains(&offset).then(Vec::new);
        let mut keys = below.or_else(here)?;
        let name: &Cow<'_, str> = key.get_ref();
        keys.insert(0, name);
        Some(keys)
    })
}

//! The demo's table: example, what was sent, what was expected, what was observed, ok or not.

use std::{env, fmt::Write as _, io::IsTerminal as _};

const TITLES: [&str; COLUMNS] = ["example", "sent", "expected", "observed", "ok"];
const COLUMNS: usize = 5;
const GAP: &str = "  ";
/// No column is squeezed below this, however narrow the terminal.
const NARROWEST: usize = 12;

const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// One example and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is shown.
    pub example: String,
    /// What was sent.
    pub sent: String,
    /// What should have come back.
    pub expected: String,
    /// What came back.
    pub observed: String,
    /// Whether that is what was expected.
    pub ok: bool,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Wrap to this many columns; without it lines are as long as they need.
    pub width: Option<usize>,
    /// Use colours.
    pub colour: bool,
}

impl Style {
    /// What suits standard output: wrapped and coloured on a terminal, plain in a file or a pipe.
    /// `NO_COLOR` in the environment turns colours off.
    pub fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        if !stdout.is_terminal() {
            return Self::default();
        }
        let width = rustix::termios::tcgetwinsize(&stdout).ok().map(|size| usize::from(size.ws_col));
        let colour = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { width: width.filter(|columns| *columns > 0), colour }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("{code}{text}{PLAIN}") } else { text.to_owned() }
    }
}

#[derive(Clone, Debug)]
enum Line {
    Section(String),
    Row(Row),
}

/// Rows under section headings.
#[derive(Clone, Debug, Default)]
pub struct Table {
    lines: Vec<Line>,
}

impl Table {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a section.
    pub fn section(&mut self, title: impl Into<String>) {
        self.lines.push(Line::Section(title.into()));
    }

    /// Adds a row.
    pub fn push(&mut self, row: Row) {
        self.lines.push(Line::Row(row));
    }

    /// The rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.lines.iter().filter_map(|line| match line {
            Line::Row(row) => Some(row),
            Line::Section(_) => None,
        })
    }

    /// How many rows are not ok.
    pub fn failed(&self) -> usize {
        self.rows().filter(|row| !row.ok).count()
    }

    /// Whether there are rows and all are ok: an empty table has shown nothing.
    pub fn is_ok(&self) -> bool {
        self.rows().next().is_some() && self.failed() == 0
    }

    /// The table as text, its counts in the last line.
    pub fn render(&self, style: Style) -> String {
        let widths = self.widths(style);
        let mut text = String::new();
        write_cells(&mut text, &TITLES.map(str::to_owned), &widths, |_, cell| style.paint(BOLD, cell));
        for line in &self.lines {
            match line {
                Line::Section(title) => _ = writeln!(text, "\n{}", style.paint(BOLD, title)),
                Line::Row(row) => {
                    let colour = if row.ok { GREEN } else { RED };
                    write_cells(&mut text, &cells(row), &widths, |column, cell| {
                        if column + 1 == COLUMNS { style.paint(colour, cell) } else { cell.to_owned() }
                    });
                }
            }
        }
        let (all, failed) = (self.rows().count(), self.failed());
        let colour = if self.is_ok() { GREEN } else { RED };
        let counts = format!("{all} rows: {} ok, {failed} failed", all - failed);
        _ = writeln!(text, "\n{}", style.paint(colour, &counts));
        text
    }

    /// As wide as the longest cell; where that is too wide, the widest columns give way first.
    fn widths(&self, style: Style) -> [usize; COLUMNS] {
        let mut widths = TITLES.map(length);
        for row in self.rows() {
            for (width, cell) in widths.iter_mut().zip(cells(row)) {
                *width = (*width).max(cell.lines().map(length).max().unwrap_or(0));
            }
        }
        let Some(limit) = style.width else { return widths };
        let limit = limit.saturating_sub(GAP.len() * (COLUMNS - 1));
        while widths.iter().sum::<usize>() > limit {
            match widths.iter_mut().max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

fn cells(row: &Row) -> [String; COLUMNS] {
    let Row { example, sent, expected, observed, ok } = row;
    let verdict = if *ok { "ok" } else { "FAILED" };
    [example.clone(), sent.clone(), expected.clone(), observed.clone(), verdict.to_owned()]
}

/// Writes one row, over as many lines as its longest cell needs.
fn write_cells(
    text: &mut String,
    cells: &[String; COLUMNS],
    widths: &[usize; COLUMNS],
    paint: impl Fn(usize, &str) -> String,
) {
    let wrapped: Vec<Vec<String>> =
        cells.iter().zip(widths).map(|(cell, width)| wrap(cell, *width)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..height {
        // Blanks are written when something follows them, so that no line ends in any.
        let mut blanks = 0;
        for (column, (cell, width)) in wrapped.iter().zip(widths).enumerate() {
            let part = cell.get(line).map_or("", String::as_str);
            if !part.is_empty() {
                text.extend(std::iter::repeat_n(' ', blanks));
                text.push_str(&paint(column, part));
                blanks = 0;
            }
            blanks += width.saturating_sub(length(part)) + GAP.len();
        }
        text.push('\n');
    }
}

/// Breaks at spaces, and inside a word only where the word alone is too long.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && length(&line) + 1 + length(word) > width {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            for letter in word.chars() {
                if length(&line) == width {
                    lines.push(std::mem::take(&mut line));
                }
                line.push(letter);
            }
        }
        lines.push(line);
    }
    lines
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests;

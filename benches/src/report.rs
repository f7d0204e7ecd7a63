//! The table, and the lines that a program can read.

use std::fs;

use crate::Effort;

/// Collects figures and ratios, and prints them.
#[derive(Debug, Default)]
pub struct Report {
    ratios: Vec<(&'static str, f64)>,
}

impl Report {
    /// A report that begins with what the machine is and how busy.
    pub fn new(title: &str) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("\n{title}: {cores} cores, {}, load {}", model(), load_average());
        println!("{:<44} {:>12}", "figure", "value");
        Self::default()
    }

    /// One figure with its unit.
    pub fn figure(&mut self, name: &str, value: f64, unit: &str) {
        println!("{name:<44} {value:>12.2} {unit}");
    }

    /// Begins figures of several contestants, each of which has a column.
    pub fn columns(&mut self, names: impl IntoIterator<Item = &'static str>) {
        let names: String = names.into_iter().map(|name| format!(" {name:>12}")).collect();
        println!("{:<44}{names}", "");
    }

    /// The same figure of each of them.
    pub fn row(&mut self, name: &str, values: impl IntoIterator<Item = f64>, unit: &str) {
        let values: String = values.into_iter().map(|value| format!(" {value:>12.2}")).collect();
        println!("{name:<44}{values} {unit}");
    }

    /// One ratio; `goal` says what it should be.
    pub fn ratio(&mut self, name: &'static str, value: f64, goal: &str) {
        println!("{name:<44} {value:>12.2} ({goal})");
        self.ratios.push((name, value));
    }

    /// Prints the ratios once more, each as `ratio NAME VALUE`.
    pub fn finish(self, effort: Effort) {
        if effort == Effort::Smoke {
            println!("only tried: these figures mean nothing");
        }
        for (name, value) in self.ratios {
            println!("ratio {name} {value:.3}");
        }
    }
}

/// How busy the machine is: runnable threads on average over one, five and fifteen minutes, and more (proc(5)).
pub fn load_average() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

fn model() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    line.map_or_else(|| "unknown processor".to_owned(), |(_, model)| model.trim().to_owned())
}

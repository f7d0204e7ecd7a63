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
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!("\n{title}: {cores} cores, {}, load {}", model(), load.trim());
        println!("{:<44} {:>12}", "figure", "value");
        Self::default()
    }

    /// One figure with its unit.
    pub fn figure(&mut self, name: &str, value: f64, unit: &str) {
        println!("{name:<44} {value:>12.2} {unit}");
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

fn model() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    line.map_or_else(|| "unknown processor".to_owned(), |(_, model)| model.trim().to_owned())
}

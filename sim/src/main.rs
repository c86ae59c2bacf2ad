//! `countree-sim`: runs simulated clusters, and says how to repeat the first one that broke a promise.

use countree_sim::{Series, Setting, run};
use std::process::ExitCode;

const USAGE: &str = "usage: countree-sim --seeds N [--seed FIRST]";

fn main() -> ExitCode {
    let (first, count) = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}; {USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut series = Series::default();
    for seed in first..first.saturating_add(count) {
        let run = run(seed, &Setting::default());
        series.add(&run);
        if let Some(broken) = run.broken {
            print!("{series}");
            println!("seed {seed} broke a promise: {broken}");
            println!("replay it with: cargo run --release -p countree-sim -- --seeds 1 --seed {seed}");
            return ExitCode::FAILURE;
        }
    }
    print!("{series}");
    println!("all promises kept");
    ExitCode::SUCCESS
}

/// The first seed, and how many.
fn arguments(mut arguments: impl Iterator<Item = String>) -> Result<(u64, u64), String> {
    let (mut first, mut count) = (0, None);
    while let Some(flag) = arguments.next() {
        let mut number = || {
            let value = arguments.next().ok_or(format!("{flag} takes a number"))?;
            value.parse::<u64>().map_err(|_| format!("{flag} takes a number, not '{value}'"))
        };
        match flag.as_str() {
            "--seeds" => count = Some(number()?),
            "--seed" => first = number()?,
            _ => return Err(format!("'{flag}' is not known")),
        }
    }
    Ok((first, count.ok_or("--seeds is missing")?))
}

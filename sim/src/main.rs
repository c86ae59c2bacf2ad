//! `countree-sim`: runs simulated clusters, and says how to repeat the first one that broke a promise.

use countree_sim::{KNOWN, Known, Series, Setting, run};
use std::process::ExitCode;

const USAGE: &str = "usage: countree-sim --seeds N [--seed FIRST] [--trace] [--with-known]";

fn main() -> ExitCode {
    let Arguments { first, count, is_told, with_known } = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}; {USAGE}");
            return ExitCode::from(2);
        }
    };
    let setting = Setting { is_told, with_known, ..Setting::default() };
    let mut series = Series::default();
    for seed in first..first.saturating_add(count) {
        let run = run(seed, &setting);
        series.add(&run);
        if let Some(broken) = run.broken {
            print!("{series}");
            println!("seed {seed} broke a promise: {broken}");
            let known = if with_known { " --with-known" } else { "" };
            println!("replay it with: cargo run --release -p countree-sim -- --seeds 1 --seed {seed}{known}");
            return ExitCode::FAILURE;
        }
    }
    print!("{series}");
    println!("all promises kept");
    if !with_known {
        for Known { spared, why } in KNOWN {
            println!("spared unless --with-known: {spared}; {why}");
        }
    }
    ExitCode::SUCCESS
}

struct Arguments {
    first: u64,
    count: u64,
    is_told: bool,
    with_known: bool,
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut first, mut count, mut is_told, mut with_known) = (0, None, false, false);
    while let Some(flag) = arguments.next() {
        let mut number = || {
            let value = arguments.next().ok_or(format!("{flag} takes a number"))?;
            value.parse::<u64>().map_err(|_| format!("{flag} takes a number, not '{value}'"))
        };
        match flag.as_str() {
            "--seeds" => count = Some(number()?),
            "--seed" => first = number()?,
            "--trace" => is_told = true,
            "--with-known" => with_known = true,
            _ => return Err(format!("'{flag}' is not known")),
        }
    }
    Ok(Arguments { first, count: count.ok_or("--seeds is missing")?, is_told, with_known })
}

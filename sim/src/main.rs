//! `countree-sim`: runs simulated clusters, and prints how to repeat the first one that broke a promise.

use countree_sim::{Arguments, Broken, Run, Series, Setting, run, shrink};
use std::process::ExitCode;

/// Attempts at making a failing run smaller.
const SHRINKING_RUNS: u32 = 400;

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}; {}", Arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let (mut series, mut broke) = (Series::default(), 0u64);
    for (seed, setting) in arguments.runs() {
        let run = run(seed, &setting);
        series.add(&run);
        let Some(broken) = &run.broken else { continue };
        broke += 1;
        if arguments.keeps_going {
            println!("seed {seed} broke a promise: {broken}");
            replay("replay it with", seed, &setting);
        } else {
            print!("{series}");
            explain(&run, broken, &setting);
            return ExitCode::FAILURE;
        }
    }
    print!("{series}");
    if broke > 0 {
        println!("{broke} runs broke a promise");
        return ExitCode::FAILURE;
    }
    println!("all promises kept");
    ExitCode::SUCCESS
}

fn explain(failed: &Run, broken: &Broken, setting: &Setting) {
    println!("seed {} broke a promise: {broken}", failed.seed);
    replay("replay it with", failed.seed, setting);
    let shrunk = shrink(failed, setting, SHRINKING_RUNS);
    println!("shrunk from {} faults in {} runs to:", failed.injected.len(), shrunk.runs);
    shrunk.run.injected.iter().for_each(|injected| println!("  {injected}"));
    if let Some(broken) = &shrunk.run.broken {
        println!("which break it so: {broken}");
    }
    replay("replay that with", failed.seed, &shrunk.setting);
}

fn replay(what: &str, seed: u64, setting: &Setting) {
    let arguments = Arguments::of_seed(seed, Setting { is_printed: false, ..setting.clone() });
    println!("{what}: cargo run --release -p countree-sim -- {arguments}");
}

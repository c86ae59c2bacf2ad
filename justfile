# Frequent tasks. `just` lists them.

_:
    @just --list

# Every check, as CI runs it.
test:
    ./test.sh

# Format, lints and documentation, in a minute or two.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --quiet -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

# Simulated clusters, from a seed on.
sim seeds="100" first="1":
    cargo run --quiet --release -p countree-sim -- --seeds {{seeds}} --seed {{first}}

# A cluster on this machine, with the live page.
up:
    cargo run --release

# The bytes of messages, after one was added or changed on purpose.
golden:
    UPDATE_GOLDEN=1 cargo test -p countree-common --test protocol

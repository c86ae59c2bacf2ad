#!/usr/bin/env bash
# Runs every check. Installs the programs that the tests need (a Redis server, Chromium) where it may, and names each
# check that it skips.
set -euo pipefail
cd "$(dirname "$0")"

skipped=()
log="$(mktemp)"
trap 'rm -f "$log"' EXIT

install_debian() { # package, command
  command -v "$2" >/dev/null && return 0
  if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    (apt-get install -y --no-install-recommends "$1" || { apt-get update && apt-get install -y --no-install-recommends "$1"; }) >/dev/null 2>&1 || true
  fi
  command -v "$2" >/dev/null
}

install_debian redis-server redis-server || skipped+=("tests against Redis (no redis-server, and no right to install it)")
install_debian chromium chromium || skipped+=("the live page in a browser (no chromium, and no right to install it)")
install_debian nginx-light nginx || skipped+=("the front proxy of compose.yaml (no nginx)")
install_debian nftables nft || skipped+=("tiers on hosts of their own (no nft)")
# Debian has Python's environments apart.
python3 -c 'import ensurepip' 2>/dev/null || install_debian python3-venv no-such-command || true
install_debian valgrind valgrind || skipped+=("instruction counts of the hot paths (no valgrind)")
install_debian build-essential cc || { echo "a C compiler is needed: install build-essential"; exit 1; }

echo "== form"
cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- -D warnings
cargo clippy --quiet -p countree-sim --all-targets -- -D warnings

echo "== licences and advisories of dependencies"
# As it is installed, else as a prebuilt, else built once (some minutes) and kept under the target folder.
tools="${CARGO_TARGET_DIR:-target}/tools"
PATH="$PATH:$(realpath -m "$tools")/bin"
if ! command -v cargo-deny >/dev/null; then
  if command -v cargo-binstall >/dev/null; then
    cargo binstall --no-confirm --quiet --root "$tools" cargo-deny || true
  fi
  command -v cargo-deny >/dev/null || CARGO_TARGET_DIR="$tools/build" cargo install --quiet --locked --root "$tools" cargo-deny || true
  rm -rf "$tools/build"
fi
if command -v cargo-deny >/dev/null; then
  cargo deny --log-level error check bans licenses sources
  if ! cargo deny --log-level error check advisories >"$log" 2>&1; then
    # The list of advisories is fetched anew each time.
    grep -q 'failed to fetch advisory database' "$log" || { cat "$log"; exit 1; }
    skipped+=("advisories about dependencies (their list can't be fetched)")
  fi
else
  skipped+=("licences and advisories of dependencies (cargo-deny can't be installed)")
fi

echo "== machines have no IO"
if cargo tree -p countree-sim -e normal --prefix none | grep -E '^(tokio|quinn|redis|redb|axum|hyper|socket2) v'; then
  echo "the simulator links IO: a machine depends on a shell"; exit 1
fi

echo "== tests"
cargo test --workspace --exclude countree-sim --no-fail-fast 2>&1 | tee "$log" || failed=1
# Simulated clusters are all computation.
cargo test --release -p countree-sim --no-fail-fast 2>&1 | tee -a "$log" || failed=1

echo "== Kubernetes manifests"
deploy/kubernetes/check 2>&1 | tee -a "$log" || failed=1

echo "== a thousand simulated clusters"
cargo run --quiet --release -p countree-sim -- --seeds 1000 || failed=1

if command -v valgrind >/dev/null; then
  echo "== instructions of the hot paths"
  loadtest/counts/check 2>&1 | tee -a "$log" || failed=1
fi

echo "== load and kills, with every event checked"
cargo build --quiet -p countree -p countree-loadtest
loadtest="${CARGO_TARGET_DIR:-target}/debug/loadtest"
"$loadtest" ingest --events 300000 --keys 2000 || failed=1
if command -v redis-server >/dev/null; then
  timeout 300 "$loadtest" exact --kills 10 || failed=1
  timeout 300 "$loadtest" exact --kills 5 --faults forget --http-senders 0 || failed=1
  timeout 300 "$loadtest" exact --kills 4 --faults restore || failed=1
  timeout 300 "$loadtest" exact --kills 6 --faults disk || failed=1
fi

passed=$(grep -E '^test result:' "$log" | grep -oE '[0-9]+ passed' | awk '{s+=$1} END {print s+0}')
broken=$(grep -E '^test result:' "$log" | grep -oE '[0-9]+ failed' | awk '{s+=$1} END {print s+0}')
{ grep -hoE '^skipped: .*' "$log" || true; } | sort -u
for what in "${skipped[@]}"; do echo "skipped: $what"; done
if [[ "${failed:-0}" -ne 0 && "$broken" -eq 0 ]]; then broken=1; fi
echo "$passed passed, $broken failed"
[[ "$broken" -eq 0 ]]

#!/usr/bin/env bash
# Runs every check. Installs what the tests need (a Redis server, Chromium) where it may; what can't run is skipped, by name.
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
install_debian nginx-light nginx || skipped+=("the front of compose.yaml (no nginx)")
install_debian nftables nft || skipped+=("tiers on hosts of their own (no nft)")
# Debian has Python's environments apart.
python3 -c 'import ensurepip' 2>/dev/null || install_debian python3-venv no-such-command || true
install_debian valgrind valgrind || skipped+=("instruction counts of the hot paths (no valgrind)")
install_debian build-essential cc || { echo "a C compiler is needed: install build-essential"; exit 1; }

echo "== form"
cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- -D warnings
cargo clippy --quiet -p countree-sim --all-targets -- -D warnings
if command -v cargo-deny >/dev/null; then
  cargo deny --log-level error check
else
  skipped+=("advisories and licences (no cargo-deny)")
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

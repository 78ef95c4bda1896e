#!/usr/bin/env bash
# `make clients-quick`: builds the clients that build in seconds. Without its toolchain or a network a
# client is skipped; other bytes than those whose hashes are committed, or a program that does not
# compile, are an error.
set -uo pipefail
cd "$(dirname "$0")/../.."
built=.cache/clients
make=${MAKE:-make}

skip() { echo "$1: $2 is skipped"; }

# offer CLIENT TARGET PROGRAM...: PROGRAM... are what the target needs
offer() {
  local client=$1 target=$2 said=$built/$2.said program
  shift 2
  for program in "$@"; do
    command -v "$program" >/dev/null || { skip "no $program here" "$client"; return 0; }
  done
  if ! "$make" --no-print-directory --silent "$built/${target#client-}/.fetched" >"$said" 2>&1; then
    cat "$said"
    # go and npm check hashes while they fetch.
    ! grep -qE 'SECURITY ERROR|EINTEGRITY' "$said" || return 1
    skip "what it needs cannot be fetched" "$client"
    return 0
  fi
  "$make" --no-print-directory --silent "$target"
}

# go reads go.mod before all else, and refuses one that needs a newer go.
is_go_new_enough() { (cd tests/clients/go && GOTOOLCHAIN=local go list -m) >/dev/null 2>&1; }

mkdir -p "$built"
status=0
offer "the Java client" client-java java javac mvn || status=1
if command -v go >/dev/null && ! is_go_new_enough; then
  skip "$(go env GOVERSION) is older than tests/clients/go/go.mod asks for" "franz-go"
else
  offer "franz-go" client-go go || status=1
fi
offer "KafkaJS" client-node node npm || status=1
exit $status

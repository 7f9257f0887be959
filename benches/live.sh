#!/usr/bin/env bash
# live.sh [FILE]: what live capture costs and loses, on a cable between two namespaces. Takes root, tcpreplay, jq.
#
# RATES="50000 100000 top" MODES="memory balanced throughput latency" LIPPYCAT=target/release/lippycat benches/live.sh
# SNGREP=1 measures sngrep beside it. Without FILE the traffic is made first: 500 calls/s that talk for a second.
set -euo pipefail
cd "$(dirname "$0")/.."
lippycat=${LIPPYCAT:-${CARGO_TARGET_DIR:-target}/release/lippycat}
directory=${BENCH_DIR:-${CARGO_TARGET_DIR:-target}/bench}
file=${1:-$directory/live.pcap}
out=lcbench-$$-a into=lcbench-$$-b

cleanup() { ip netns delete "$out" 2>/dev/null || true; ip netns delete "$into" 2>/dev/null || true; }
trap cleanup EXIT

if [[ ! -e $file ]]; then
  mkdir -p "$(dirname "$file")"
  cargo bench --bench traffic -- generate plain --calls 5000 --rate 500 --hold 1 --rtp 1 --list false \
    --out "$file" --ledger "$file.json"
fi

for namespace in "$out" "$into"; do
  ip netns add "$namespace"
  # shellcheck disable=SC2016 # $it is for the inner shell
  ip netns exec "$namespace" sh -c \
    'for it in all default; do echo 1 > /proc/sys/net/ipv6/conf/$it/disable_ipv6; done'
done
ip link add wire netns "$out" type veth peer name wire netns "$into"
for namespace in "$out" "$into"; do ip -n "$namespace" link set wire mtu 9000 arp off up; done

# Seconds of CPU that all threads of a process took.
cpu() { awk '{ sum += $1 } END { printf "%.3f", sum / 1e9 }' /proc/"$1"/task/*/schedstat; }
resident() { awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' /proc/"$1"/status; }

replay() { # RATE
  local speed=(--pps "$1")
  [[ $1 == top ]] && speed=(--topspeed)
  [[ $1 == recorded ]] && speed=()
  ip netns exec "$out" tcpreplay -q -K -i wire "${speed[@]}" "$file" 2>/dev/null |
    awk '/Successful packets/ { sent = $3 } /^Rated/ { rate = $(NF - 1) } END { print sent, rate }'
}

measure() { # NAME RATE COMMAND…
  local name=$1 rate=$2 log; shift 2
  log=$(mktemp)
  ip netns exec "$into" "$@" >"$log" 2>/dev/null </dev/null & local pid=$!
  sleep 1.5
  local before sent pps
  before=$(cpu $pid)
  read -r sent pps < <(replay "$rate")
  sleep 0.5
  local used rss
  used=$(awk -v a="$(cpu $pid)" -v b="$before" 'BEGIN { printf "%.2f", a - b }')
  rss=$(resident $pid)
  kill -TERM $pid; wait $pid || true
  local found="-" drops="-" missing="-"
  if jq -e . "$log" >/dev/null 2>&1 && [[ -s $log ]]; then
    found=$(jq .packets "$log"); drops=$(jq '[.dropped.capture // {} | .[]] | add // 0' "$log")
    missing=$((sent - found - drops))
  fi
  echo "| $name | $rate | $sent | $pps | $found | $drops | $missing | $used | $rss |"
  rm -f "$log"
}

echo "| what | rate | sent | packets/s | processed | dropped | unaccounted | CPU s | resident MiB |"
echo "|---|---|---|---|---|---|---|---|---|"
for mode in ${MODES:-memory balanced throughput latency}; do
  for rate in ${RATES:-50000 100000 top}; do
    measure "$mode" "$rate" "$lippycat" sniff voip -i wire -M "$mode" --format none --summary json -q
  done
done
if [[ -n ${SNGREP:-} ]]; then
  for rate in ${RATES:-50000}; do measure sngrep "$rate" sngrep -N -q -r -d wire; done
fi

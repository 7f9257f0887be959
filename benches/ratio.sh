#!/usr/bin/env bash
# How many CPU seconds lippycat needs for a capture, relative to `tcpdump -r FILE -w /dev/null` on the same file.
#
#   benches/ratio.sh                 every row
#   benches/ratio.sh A C             some rows: A B C E A+pcap D
#   RUNS=9 BENCH_DIR=/big/disk SCALE=0.1 LIPPYCAT=/usr/bin/lippycat benches/ratio.sh A
#
# Needs cargo (for files and a binary that do not exist yet), tcpdump, jq and GNU time.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
runs=${RUNS:-5}
scale=${SCALE:-1}
target=${CARGO_TARGET_DIR:-$root/target}
directory=${BENCH_DIR:-$target/bench}
lippycat=${LIPPYCAT:-$target/release/lippycat}
scratch=$(mktemp -d)
files=
trap 'rm -rf "$scratch" ${files:+"$files"}' EXIT

declare -A preset=([A]=udp [B]=tcp [C]=media [D]=udp-long [E]=mixed [A+pcap]=udp)

fail() {
    echo "ratio.sh: $*" >&2
    exit 1
}

# capture PRESET: makes the file and its ledger where they are missing, and prints the path without its ending.
capture() {
    local base=$directory/$1
    [[ $scale == 1 ]] || base+=-$scale
    if [[ ! -f $base.json ]]; then
        mkdir -p "$directory"
        base=$(cd "$directory" && pwd)/${base##*/}
        (cd "$root" && cargo bench -q --bench traffic -- \
            generate "$1" --scale "$scale" --out "$base.pcap.part" --ledger "$base.json.part") >&2
        mv "$base.pcap.part" "$base.pcap"
        mv "$base.json.part" "$base.json"
    fi
    echo "$base"
}

# measure NAME COMMAND...: runs it, appends its CPU seconds to NAME.cpu and its peak KiB to NAME.rss. The CPU seconds
# are those of bash, which has milliseconds where GNU time has hundredths.
measure() {
    local name=$scratch/$1 TIMEFORMAT='%3U %3S'
    shift
    { time command time -f %M -o "$name.peak" "$@" >"$name.out" 2>"$name.err"; } 2>"$name.time" ||
        fail "$* failed: $(tail -n 3 "$name.err")"
    awk '{ print $1 + $2 }' "$name.time" >>"$name.cpu"
    tail -n 1 "$name.peak" >>"$name.rss"
}

# agrees LEDGER SUMMARY: what was read must be what is in the file, or the time says nothing.
agrees() {
    local keys='[.packets, .sip.messages, .sip.call_ids, .calls.total]'
    local truth found
    truth=$(jq -c "$keys" "$1")
    found=$(jq -c "$keys" "$2") || fail "no summary in the output of lippycat"
    [[ $truth == "$found" ]] && echo yes || echo "NO: $found, not $truth"
}

# once ROW FILE: lippycat on a file; a row with PCAPs writes them to a fresh directory in memory.
once() {
    local options=(sniff voip -r "$2" --format none --summary json)
    if [[ $1 == *+pcap ]]; then
        files=$(mktemp -d /dev/shm/lippycat-bench.XXXXXX)
        options+=(-w --pcap-dir "$files" --registrations --options)
    fi
    measure lippycat "$lippycat" "${options[@]}"
    [[ -z $files ]] || rm -rf "$files"
    files=
}

# warm FILE: has the system read it from the disk, as it does with a capture that was not written a moment ago: the page cache
# of what was just written is in small pieces, from which every reader copies at half the speed.
warm() {
    sync "$1"
    dd if="$1" iflag=nocache count=0 status=none
    cat "$1" >/dev/null
}

row() {
    local base
    base=$(capture "${preset[$1]}")
    warm "$base.pcap"
    rm -f "$scratch"/*.cpu "$scratch"/*.rss
    for ((run = 0; run < runs; run++)); do
        measure tcpdump tcpdump -n -r "$base.pcap" -w /dev/null
        once "$1" "$base.pcap"
    done
    local reference own spread peak
    median() { sort -n "$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
    reference=$(median "$scratch/tcpdump.cpu")
    own=$(median "$scratch/lippycat.cpu")
    spread=$(paste "$scratch/lippycat.cpu" "$scratch/tcpdump.cpu" | awk '{ print $1 / $2 }' | sort -n |
        awk 'NR == 1 { low = $1 } END { printf "%.2f-%.2f", low, $1 }')
    peak=$(sort -n "$scratch/lippycat.rss" | awk 'END { printf "%.0f", $1 / 1024 }')
    printf '| %s | %s | %.2f | %.2f | **%.2f** | %s | %s | %s |\n' "$1" "$(jq .packets "$base.json")" \
        "$reference" "$own" "$(awk -v own="$own" -v reference="$reference" 'BEGIN { print own / reference }')" \
        "$spread" "$peak" "$(agrees "$base.json" "$scratch/lippycat.out")"
}

for tool in tcpdump jq awk; do
    command -v "$tool" >/dev/null || fail "$tool is not installed"
done
command time -f %M true 2>/dev/null || fail "GNU time is not installed"
rows=("$@")
((${#rows[@]})) || rows=(A B C E A+pcap D)
for name in "${rows[@]}"; do
    [[ -n ${preset[$name]:-} ]] || fail "no row is called $name; there are A B C E A+pcap D"
done
[[ -x $lippycat ]] || (cd "$root" && cargo build -q --release)

echo "| row | packets | tcpdump s | lippycat s | ratio | min-max | peak MiB | as the ledger says |"
echo "|---|---|---|---|---|---|---|---|"
for name in "${rows[@]}"; do
    row "$name"
done

#!/usr/bin/env bash
# The side by side that the figures of BENCHMARKS.md come from, in one run on one machine: the bare disk (fio), the bare
# network (nginx) and anode, measured in turns, several rounds, medians compared.
#
#   bench/compare.sh             everything
#   bench/compare.sh baseline    only the disk and nginx: what this machine can do
#
# ROUNDS (3), SECONDS_EACH (5) and MEMORY (1GiB) change how long and with how much. Prints a table; the JSON lines that it
# was made of are in target/compare.jsonl. Starts its own processes on free loopback ports, and ends them by their ids.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-all}
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-5}
memory=${MEMORY:-1GiB}
target=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")
bench=$target/release/anode-bench
results=$target/compare.jsonl
processes=()
work=

say() { printf 'compare: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

finish() {
  local id
  for id in ${processes[@]+"${processes[@]}"}; do
    kill -TERM "$id" 2>/dev/null || true
  done
  for id in ${processes[@]+"${processes[@]}"}; do
    wait "$id" 2>/dev/null || true
  done
  [ -z "$work" ] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

check_tools() {
  local tool missing=()
  for tool in fio nginx jq curl; do
    # Debian keeps nginx where the path of ordinary users doesn't lead.
    PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || missing+=("${tool/nginx/nginx-light}")
  done
  [ "${#missing[@]}" -eq 0 ] ||
    fail "tools are missing; run: sudo apt-get update && sudo apt-get install --yes --no-install-recommends ${missing[*]}"
  PATH=$PATH:/usr/sbin
  case "$mode" in all | baseline) ;; *) fail "give nothing, or: baseline" ;; esac
}

build() {
  local packages=(--package anode-bench)
  [ "$mode" = baseline ] || packages+=(--package anode)
  say "building release binaries"
  cargo build --release --locked --quiet "${packages[@]}"
}

# A port of the loopback address that nobody listens on.
free_port() {
  local port attempt
  for attempt in $(seq 100); do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  fail "no free port found in $attempt attempts"
}

# wait_for URL PROCESS LOG: until it answers 200.
wait_for() {
  local attempt
  for attempt in $(seq 300); do
    if curl --silent --fail --output /dev/null --max-time 2 "$1"; then return; fi
    if ! kill -0 "$2" 2>/dev/null; then
      tail -n 20 "$3" >&2
      fail "the server of $1 ended; its last words are above"
    fi
    sleep 0.1
  done
  tail -n 20 "$3" >&2
  fail "no answer from $1 in 30 seconds ($attempt attempts)"
}

start_nginx() {
  local root=$work/nginx port
  port=$(free_port)
  mkdir -p "$root/files"
  head -c 1024 /dev/urandom >"$root/files/1k"
  cat >"$root/nginx.conf" <<CONFIG
$([ "$(id -u)" -ne 0 ] || echo "user root;")
daemon off;
worker_processes $(nproc);
pid nginx.pid;
error_log error.log;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  open_file_cache max=100;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server { listen 127.0.0.1:$port reuseport; root files; }
}
CONFIG
  nginx -p "$root" -c nginx.conf -e error.log 2>"$root/stderr" &
  processes+=($!)
  nginx=127.0.0.1:$port
  wait_for "http://$nginx/1k" "$!" "$root/stderr"
}

start_anode() {
  local log=$work/anode.log port
  port=$(free_port)
  AWS_ACCESS_KEY_ID=compare
  AWS_SECRET_ACCESS_KEY=$(head -c 30 /dev/urandom | base64 | tr '+/' 'ab')
  ANODE_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID ANODE_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY \
    "$target/release/anode" serve --data "$work/data" --listen "127.0.0.1:$port" --memory "$memory" >"$log" 2>&1 &
  anode_process=$!
  processes+=("$anode_process")
  anode=127.0.0.1:$port
  wait_for "http://$anode/health/ready" "$anode_process" "$log"
}

# The device's own durable write: 4 KiB over bytes that are there, one at a time, each on stable storage.
measure_disk() {
  local file=$work/fio
  if [ ! -e "$file" ]; then
    fio --name=fill --filename="$file" --size=256M --rw=write --bs=1M --ioengine=psync --direct=1 --end_fsync=1 \
      --output="$work/fio.log" || { tail -n 5 "$work/fio.log" >&2; fail "fio can't write directly below $target"; }
  fi
  fio --name=dsync --filename="$file" --size=256M --rw=write --bs=4k --ioengine=psync --direct=1 --sync=dsync \
    --iodepth=1 --time_based --runtime="$seconds" --output-format=json --output="$work/fio.json"
  jq --compact-output '{label: "fio", total: {count: .jobs[0].write.total_ios, per_second: .jobs[0].write.iops,
    bytes_per_second: .jobs[0].write.bw_bytes,
    p50_us: (.jobs[0].write.clat_ns.percentile["50.000000"] / 1000),
    p99_us: (.jobs[0].write.clat_ns.percentile["99.000000"] / 1000),
    p999_us: (.jobs[0].write.clat_ns.percentile["99.900000"] / 1000),
    max_us: (.jobs[0].write.clat_ns.max / 1000)}}' "$work/fio.json" >>"$results"
}

measure_nginx() {
  say "  nginx-get-1k-c64"
  env --unset=AWS_ACCESS_KEY_ID --unset=AWS_SECRET_ACCESS_KEY \
    "$bench" get --json --label nginx-get-1k-c64 --address "$nginx" --path /1k --concurrency 64 --seconds "$seconds" \
    >>"$results" || fail "the load of nginx failed: $(tail -n 1 "$results")"
}

# measure_anode LABEL ARGUMENTS...
measure_anode() {
  local label=$1
  shift
  say "  $label"
  AWS_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY \
    "$bench" "$@" --json --label "$label" --address "$anode" --server "$anode_process" --seconds "$seconds" \
    >>"$results" || fail "the load $label failed: $(tail -n 1 "$results")"
}

round() {
  say "round $1 of $rounds"
  measure_disk
  if [ "$mode" = all ]; then
    measure_anode put-1k-c1 put --size 1KiB --concurrency 1 --keys 100000 --prefix put-
    measure_anode put-1k-c64 put --size 1KiB --concurrency 64 --keys 100000 --prefix put-
    measure_anode get-1k-c64 get --size 1KiB --concurrency 64 --keys 10000 --prefix get- --prepare
  fi
  measure_nginx
  if [ "$mode" = all ]; then
    measure_anode get-1m-c16 get --size 1MiB --concurrency 16 --keys 64 --prefix large- --prepare
    measure_anode put-1m-c16 put --size 1MiB --concurrency 16 --keys 256 --prefix large-put-
    measure_anode list-c16 list --concurrency 16 --keys 10000 --prefix get-
  fi
}

describe_machine() {
  jq --null-input --compact-output --arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
    --argjson cores "$(nproc)" --arg kernel "$(uname -r)" --arg commit "$(git describe --always --dirty 2>/dev/null || true)" \
    --arg files "$(df --output=fstype "$work" | tail -n 1)" --arg time "$(date --utc +%FT%TZ)" --arg memory "$memory" \
    '{label: "machine", cpu: $cpu, cores: $cores, kernel: $kernel, file_system: $files, commit: $commit, time: $time,
      memory: $memory}' >"$results"
}

# Medians of the rounds, then what they say of each other.
report() {
  jq --slurp --raw-output '
    def right($width): tostring | (" " * ([$width - length, 0] | max)) + .;
    def left($width): . + (" " * ([$width - length, 0] | max));
    def tenth: if . == null then "-" else (. * 10 | round) / 10 end;
    def known: map(select(. != null));
    def median: sort | if length == 0 then null elif length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
    def figures: {label: .[0].label, count: length,
      per_second: (map(.total.per_second) | median), bytes: (map(.total.bytes_per_second) | median),
      p50: (map(.total.p50_us) | median), p99: (map(.total.p99_us) | median), p999: (map(.total.p999_us) | median),
      max: (map(.total.max_us) | max), client: (map(.client_cpu_us_per_operation) | known | median),
      server: (map(.server_cpu_us_per_operation) | known | median),
      memory: (map(.server_resident_bytes_peak) | known | max)};
    def bar($name; $value; $unit; $word; $bound; $met):
      ($name | left(46)) + ($value | tenth | right(10)) + " " + ($unit | left(6)) + "  wanted \($word) \($bound): "
      + if $met then "met" else "MISSED" end;
    (map(select(.label == "machine"))[0]) as $machine
    | (map(select(.label != "machine")) | group_by(.label) | map(figures)) as $rows
    | ($rows | map({key: .label, value: .}) | from_entries) as $by
    | "\($machine.cpu), \($machine.cores) cores, Linux \($machine.kernel), \($machine.file_system), commit \($machine.commit), \($machine.time)",
      "medians of \($rows[0].count) rounds; max over all",
      "",
      ("" | left(18)) + (["per s", "MB/s", "p50 us", "p99 us", "p99.9 us", "max us", "client us", "server us", "MiB"]
        | map(right(10)) | add),
      ($rows[] | (.label | left(18)) + ([(.per_second | round), (.bytes / 1e6 | tenth), (.p50 | tenth), (.p99 | tenth),
        (.p999 | tenth), (.max | round), (.client | tenth), (.server | tenth), (.memory | if . == null then "-" else (. / 1048576 | round) end)]
        | map(right(10)) | add)),
      "",
      if $by["put-1k-c1"] then
        ($by["put-1k-c1"].p50 / $by.fio.p50) as $latency
        | ($by["get-1k-c64"].per_second / $by["nginx-get-1k-c64"].per_second) as $share
        | bar("durable 1 KiB PUT at 1, p50 / fio p50"; $latency; "x"; "at most"; 1.6; $latency <= 1.6),
          bar("durable 1 KiB PUT at 64"; $by["put-1k-c64"].per_second; "/s"; "at least"; 12000;
            $by["put-1k-c64"].per_second >= 12000),
          bar("1 KiB GET at 64, share of nginx"; $share * 100; "%"; "at least"; 50; $share >= 0.5),
          bar("1 MiB GET at 16, from cache"; $by["get-1m-c16"].bytes / 1e6; "MB/s"; "at least"; 1000;
            $by["get-1m-c16"].bytes >= 1e9),
          bar("1 MiB PUT at 16"; $by["put-1m-c16"].bytes / 1e6; "MB/s"; "above"; 0; true),
          bar("LIST of 1,000 keys at 16"; $by["list-c16"].per_second; "/s"; "above"; 0; true)
      else "anode was not measured" end
  ' "$results"
}

check_tools
build
mkdir -p "$target"
work=$(mktemp -d "$target/compare-XXXXXX")
describe_machine
start_nginx
[ "$mode" = baseline ] || start_anode
for number in $(seq "$rounds"); do
  round "$number"
done
report

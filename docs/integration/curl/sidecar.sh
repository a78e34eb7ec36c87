#!/bin/sh
# Tells the BlackBox daemon of this node what the cgroup of this container and the network of its pod say.
#
#   sidecar.sh                  every BLACKBOX_INTERVAL seconds, until SIGTERM: a container of its own beside the others
#   sidecar.sh COMMAND [ARG …]  the same while COMMAND runs; that it failed is reported as an incident
#   sidecar.sh --once           one telemetry object and one incident, to try it out
#
# Needs a POSIX shell, its usual tools, and curl (7.84 to see Retry-After). Reads BLACKBOX_URL (or NODE_IP),
# BLACKBOX_API_KEY or BLACKBOX_TOKEN_FILE, POD_NAME, POD_NAMESPACE, BLACKBOX_INTERVAL.
set -u

url=${BLACKBOX_URL:-http://${NODE_IP:-127.0.0.1}:8080}
case ${BLACKBOX_INTERVAL:-} in '' | 0 | *[!0-9]*) interval=10 ;; *) interval=$BLACKBOX_INTERVAL ;; esac
most_queued=60   # objects kept while the daemon cannot take them; then the oldest go
time_out=3       # seconds for one request
patience=15      # seconds that a report is given
longest_wait=300 # seconds; whatever Retry-After says
cgroup=/sys/fs/cgroup

queue=       # one JSON object a line
not_before=0 # Unix time: when the daemon wants to be asked again
dropped=0
errors=0

# Numbers of this container and its pod. The daemon takes an entry's type from words in its key: memory, cpu,
# connection, runtime, error. What this kernel does not offer is left out.
measure() {
    # cgroup v2, and v1 where it is not there.
    for pair in memory_usage_bytes=memory.current memory_usage_bytes=memory/memory.usage_in_bytes \
        memory_limit_bytes=memory.max memory_limit_bytes=memory/memory.limit_in_bytes \
        threads=pids.current threads=pids/pids.current; do
        value=$(cat "$cgroup/${pair#*=}" 2>/dev/null) || continue
        case $value in '' | *[!0-9]* | 9223372036854*) continue ;; esac # "max", or v1's word for it: no limit
        printf '"%s":%s,' "${pair%%=*}" "$value"
    done
    awk '$1 == "usage_usec" { printf "\"cpu_seconds_total\":%.3f,", $2 / 1e6 }
         $1 == "throttled_usec" { printf "\"cpu_throttled_seconds_total\":%.3f,", $2 / 1e6 }' \
        "$cgroup/cpu.stat" 2>/dev/null
    # All containers of a pod have one network.
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk '$4 == "01" { n++ } END { printf "\"connections_established\":%d,", n }'
    printf '"runtime_uptime_seconds":%d,' $(($(date +%s) - started))
    printf '"telemetry_errors_total":%d,"telemetry_dropped_total":%d' "$errors" "$dropped"
}

# This container's id, if its cgroup tells. With a cgroup namespace of its own it does not, and the id stays empty.
container_id=$(grep -oE '[0-9a-f]{64}' /proc/self/cgroup 2>/dev/null | tail -n 1)
identity="\"pod_name\":\"${POD_NAME:-}\",\"namespace\":\"${POD_NAMESPACE:-}\",\"container_id\":\"$container_id\""
started=$(date +%s)

log() { printf 'sidecar: %s\n' "$*" >&2; }
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }
sample() { printf '{%s,"runtime":"custom","timestamp":"%s","data":{%s}}' "$identity" "$(now)" "$(measure)"; }

# Read each time: the kubelet writes a new token before the old one expires.
credential() {
    if [ -n "${BLACKBOX_API_KEY:-}" ]; then
        printf '%s' "$BLACKBOX_API_KEY"
    else
        cat "${BLACKBOX_TOKEN_FILE:?neither BLACKBOX_API_KEY nor this is set}"
    fi
}

# post PATH JSON: sets $status (000: no answer at all) and $wait (the seconds that Retry-After asks for, or nothing).
# The credential goes by standard input: command lines can be read by others. Never by way of a proxy: the daemon is
# on this node.
post() {
    answer=$(printf 'Authorization: Bearer %s' "$(credential)" | curl --silent --show-error --noproxy '*' \
        --max-time "$time_out" --header @- --header 'Content-Type: application/json' --data-raw "$2" \
        --write-out '\n%{http_code} %header{retry-after}' "$url$1")
    outcome=$(printf '%s\n' "$answer" | tail -n 1)
    status=${outcome%% *} wait=${outcome#* }
    case $wait in '' | *[!0-9]*) wait= ;; *) [ "$wait" -le $longest_wait ] || wait=$longest_wait ;; esac
    case $status in 2??) ;; *) log "$1: $(printf '%s' "$answer" | tr '\n' ' ' | cut -c 1-500)" ;; esac
}

keep() {
    queue=$(printf '%s\n%s' "$queue" "$1" | sed '/^$/d')
    queued=$(printf '%s\n' "$queue" | wc -l)
    if [ "$queued" -gt $most_queued ]; then
        dropped=$((dropped + queued - most_queued))
        queue=$(printf '%s\n' "$queue" | tail -n $most_queued)
    fi
}

# Sends all that is queued as one batch. What the daemon does not take now stays for the next time.
flush() {
    [ -n "$queue" ] && [ "$(date +%s)" -ge "$not_before" ] || return 0
    post /api/v1/telemetry "{\"entries\":[$(printf '%s' "$queue" | tr '\n' ',')]}"
    case $status in
    2??) queue= ;;
    400 | 413 | 415) # it would be refused again
        dropped=$((dropped + $(printf '%s\n' "$queue" | wc -l)))
        errors=$((errors + 1))
        queue=
        ;;
    *) errors=$((errors + 1)) ;;
    esac
    not_before=$(($(date +%s) + ${wait:-0}))
}

# deliver PATH JSON: tries until it is accepted, or trying again is of no use.
deliver() {
    deadline=$(($(date +%s) + patience))
    while :; do
        post "$1" "$2"
        case $status in
        2??) return 0 ;;
        000 | 408 | 429 | 5??) ;;
        *) return 1 ;;
        esac
        wait=${wait:-1}
        [ $(($(date +%s) + wait)) -le $deadline ] || return 1
        sleep "$wait"
    done
}

# report TYPE MESSAGE CONTEXT: the texts as JSON. The id is ours, so that a second attempt is not a second incident.
report() {
    deliver /api/v1/incident "{$identity,\"id\":\"curl-$(cat /proc/sys/kernel/random/uuid)\",\"timestamp\":\"$(now)\",
        \"severity\":\"critical\",\"type\":\"$1\",\"message\":$2,\"context\":$3}"
}

# The printable ASCII of a text as a JSON string, at most 4000 characters of it.
quote() { printf '"%s"' "$(printf '%s' "$1" | tr -cd '\040-\176' | cut -c 1-4000 | sed 's/[\\"]/\\&/g')"; }

watch() {
    stopping=
    trap 'stopping=yes' TERM INT
    while [ -z "$stopping" ]; do
        keep "$(sample)"
        flush
        [ -n "$stopping" ] && break
        sleep "$interval" &
        wait $! # unlike sleep itself, a signal interrupts this
        kill $! 2>/dev/null
    done
    flush
}

# How often the kernel killed a process of this container for its memory limit.
oom_kills() { awk '$1 == "oom_kill" { print $2 }' "$cgroup/memory.events" 2>/dev/null; }

# Runs a command, passing on signals, and ends with its code.
run() {
    oom_kills_before=$(oom_kills)
    watch &
    watcher=$!
    exec 3<&0 # a job in the background would read from /dev/null
    "$@" <&3 3<&- &
    child=$!
    asked=
    trap 'asked=yes; kill -TERM $child 2>/dev/null' TERM INT
    wait $child
    code=$?
    while kill -0 $child 2>/dev/null; do # a signal interrupted wait
        wait $child
        code=$?
    done
    kill -TERM $watcher
    wait $watcher
    if [ $code -ne 0 ] && [ -z "$asked" ]; then
        type=crash
        [ "$(oom_kills)" = "$oom_kills_before" ] || type=oom
        report $type "$(quote "$1 ended with code $code")" "{\"exit_code\":$code,\"command\":$(quote "$*")}"
    fi
    exit $code
}

case ${1:-} in
'') watch ;;
--once)
    deliver /api/v1/telemetry "$(sample)" &&
        report crash '"a trial of the sidecar: nothing crashed"' '{"exit_code":1,"command":"none"}'
    ;;
*) run "$@" ;;
esac

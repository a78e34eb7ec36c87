#!/usr/bin/env python3
"""Tells the BlackBox daemon of this node what a Python process measures of itself, and reports its crash.

In an application:  import sidecar; sidecar.start()      (in each worker, after it was forked)
To try it out:      python3 sidecar.py [--once]

Needs Python 3.8 and Linux. Reads BLACKBOX_URL (or NODE_IP), BLACKBOX_API_KEY or BLACKBOX_TOKEN_FILE, POD_NAME,
POD_NAMESPACE, BLACKBOX_INTERVAL. Nothing in here throws into the application.
"""

import atexit
import gc
import json
import os
import platform
import re
import signal
import sys
import threading
import time
import traceback
import urllib.request
import uuid
from collections import deque
from datetime import datetime, timezone

QUEUE = 60      # objects kept while the daemon cannot take them; then the oldest go
TIMEOUT = 3     # seconds for one request
PATIENCE = 15   # seconds that a dying process gives its report
LONGEST_WAIT = 300  # seconds; whatever Retry-After says
MESSAGE = 4_000     # characters: at most 16 KiB as UTF-8, which is the daemon's bound
STACK = 10_000      # characters: at most 60 KB even if JSON has to escape each of them; the bound is 64 KiB


def log(text):
    print(f"sidecar: {text}", file=sys.stderr, flush=True)


def now():
    return datetime.now(timezone.utc).isoformat()


def container_id():
    """This container's id, if its cgroup tells. With a cgroup namespace of its own it does not: then None."""
    try:
        with open("/proc/self/cgroup", encoding="ascii") as file:
            ids = re.findall(r"[0-9a-f]{64}", file.read())
        return ids[-1] if ids else None
    except OSError:
        return None


class AnyStatus(urllib.request.HTTPErrorProcessor):
    """An answer is an answer, whatever its status."""
    def http_response(self, request, response):
        return response
    https_response = http_response


def open_sockets():
    def is_socket(fd):
        try:
            return os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
        except OSError:  # closed since it was listed
            return False
    return sum(map(is_socket, os.listdir("/proc/self/fd")))


class Sidecar:
    def __init__(self):
        env = os.environ.get
        self.url = env("BLACKBOX_URL") or f"http://{env('NODE_IP') or '127.0.0.1'}:8080"
        try:
            self.interval = max(1.0, float(env("BLACKBOX_INTERVAL") or 10))
        except ValueError:
            self.interval = 10.0
        self.identity = {
            "pod_name": env("POD_NAME"),
            "namespace": env("POD_NAMESPACE"),
            "container_id": container_id(),
        }
        # The daemon is on this node: never by way of a proxy.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), AnyStatus)
        self.started = time.monotonic()
        self.stopping = threading.Event()
        self.lock = threading.Lock()  # guards all that follows
        self.queue = deque()
        self.not_before = 0.0
        self.dropped = 0
        self.errors = 0

    def measure(self):
        """The daemon takes an entry's type from words in its key: memory, heap, gc, cpu, thread, socket, runtime, …"""
        with open("/proc/self/statm", encoding="ascii") as file:
            resident_pages = int(file.read().split()[1])
        generations = gc.get_stats()
        return {
            "memory_rss_bytes": resident_pages * os.sysconf("SC_PAGE_SIZE"),
            "heap_blocks": sys.getallocatedblocks(),
            "gc_collections_total": sum(g["collections"] for g in generations),
            "gc_uncollectable_total": sum(g["uncollectable"] for g in generations),
            "cpu_seconds_total": round(time.process_time(), 3),
            "threads": threading.active_count(),
            "sockets_open": open_sockets(),
            "runtime_version": platform.python_version(),
            "runtime_uptime_seconds": round(time.monotonic() - self.started, 1),
            "telemetry_errors_total": self.errors,
            "telemetry_dropped_total": self.dropped,
        }

    def sample(self):
        return {**self.identity, "runtime": "python", "timestamp": now(), "data": self.measure()}

    def credential(self):
        key = os.environ.get("BLACKBOX_API_KEY")
        if key:
            return key.strip()
        path = os.environ.get("BLACKBOX_TOKEN_FILE")
        if not path:
            raise LookupError("neither BLACKBOX_API_KEY nor BLACKBOX_TOKEN_FILE is set")
        # Read each time: the kubelet writes a new token before the old one expires.
        with open(path, encoding="ascii") as file:
            return file.read().strip()

    def post(self, path, body):
        """Returns the status, 0 for no answer at all, and the seconds that Retry-After asks for, or None."""
        try:
            headers = {"Authorization": f"Bearer {self.credential()}", "Content-Type": "application/json"}
            request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
            with self.opener.open(request, timeout=TIMEOUT) as response:
                if response.status >= 300:
                    log(f"{path}: {response.status} {response.read(500).decode(errors='replace')}")
                wait = response.headers.get("Retry-After", "")
                return response.status, min(int(wait), LONGEST_WAIT) if wait.isdigit() else None
        except Exception as error:  # whatever it is, the application is not to notice
            log(f"{path}: {type(error).__name__}: {error}")
            return 0, None

    def keep(self, sample):
        with self.lock:
            self.queue.append(sample)
            while len(self.queue) > QUEUE:
                self.queue.popleft()
                self.dropped += 1

    def flush(self):
        """Sends all that is queued as one batch. What the daemon does not take now stays for the next time."""
        with self.lock:
            if not self.queue or time.monotonic() < self.not_before:
                return
            status, wait = self.post("/api/v1/telemetry", {"entries": list(self.queue)})
            accepted, refused = 200 <= status < 300, status in (400, 413, 415)
            if refused:  # it would be refused again
                self.dropped += len(self.queue)
            if accepted or refused:
                self.queue.clear()
            self.errors += not accepted
            self.not_before = time.monotonic() + (wait or 0)

    def deliver(self, path, body):
        """Tries until it is accepted, or trying again is of no use. For the last words of a process."""
        deadline = time.monotonic() + PATIENCE
        while True:
            status, wait = self.post(path, body)
            if 200 <= status < 300:
                return True
            wait = 1 if wait is None else wait
            for_now = status in (0, 408, 429) or status >= 500
            if not for_now or time.monotonic() + wait > deadline:
                return False
            time.sleep(wait)

    def report(self, error, severity="critical"):
        """Reports an exception as an incident."""
        def clean(text):  # half a surrogate pair is no JSON
            return text.encode("utf-8", "replace").decode()
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        kind = "crash" if severity == "critical" else "error"
        return self.deliver("/api/v1/incident", {
            **self.identity,
            "id": f"python-{uuid.uuid4()}",  # so that a second attempt is not a second incident
            "timestamp": now(),
            "severity": severity,
            "type": "oom" if isinstance(error, MemoryError) else kind,
            "message": clean(f"{type(error).__name__}: {error}")[:MESSAGE],
            # A traceback ends with what matters most.
            "context": {"exception": type(error).__name__, "stack": clean("".join(lines))[-STACK:]},
        })

    def last_words(self):
        self.keep(self.sample())
        self.flush()

    def run(self):
        while not self.stopping.is_set():
            try:
                self.keep(self.sample())
                self.flush()
            except Exception as error:
                log(repr(error))
            self.stopping.wait(self.interval)

    def watch_for_crashes(self):
        """Reports what nobody caught; then the process goes on, or ends, as it would have without us."""
        def hook(report, previous):
            def hooked(*arguments):
                try:
                    report(*arguments)
                except BaseException as error:
                    log(repr(error))
                previous(*arguments)
            return hooked

        def crashed(_kind, error, _traceback):
            if isinstance(error, Exception):  # not KeyboardInterrupt
                self.last_words()
                self.report(error)

        def thread_died(arguments):
            if isinstance(arguments.exc_value, Exception):
                self.report(arguments.exc_value, severity="high")  # the others go on

        sys.excepthook = hook(crashed, sys.excepthook)
        threading.excepthook = hook(thread_died, threading.excepthook)


def start():
    """Measures in the background from now on. Signals stay the application's own."""
    sidecar = Sidecar()
    sidecar.watch_for_crashes()
    threading.Thread(target=sidecar.run, name="blackbox", daemon=True).start()
    atexit.register(sidecar.flush)
    return sidecar


def main():
    if sys.argv[1:] == ["--once"]:
        sidecar = Sidecar()
        try:
            raise RuntimeError("a trial of the sidecar: nothing crashed")
        except RuntimeError as error:
            sent = sidecar.deliver("/api/v1/telemetry", sidecar.sample())
            sys.exit(0 if sidecar.report(error) and sent else 1)
    sidecar = start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sidecar.stopping.set())
    sidecar.stopping.wait()


if __name__ == "__main__":
    main()

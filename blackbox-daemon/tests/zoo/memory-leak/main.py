"""A service that keeps every response it made, and grows until its memory cgroup kills it.

Gives up at 256 MiB: exit 9.
"""

import os
import sys
import time

RESPONSE = 512 * 1024
KEPT = []


def handle(number):
    KEPT.append(bytearray(os.urandom(64) * (RESPONSE // 64)))
    if number % 20 == 0:
        print(f"INFO {number} requests served", flush=True)


def main():
    print(f"INFO thumbnails starting, pid {os.getpid()}", flush=True)
    if not os.path.exists("/etc/thumbnails/sizes.json"):
        print("INFO no sizes.json, using defaults", flush=True)
    time.sleep(0.3)
    for number in range(1, 513):
        handle(number)
        time.sleep(0.02)
    sys.exit(9)


main()

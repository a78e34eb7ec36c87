"""A service started with an option it does not know: its usage on standard error, exit 2."""

import argparse
import os
import sys
import time


def main():
    print(f"INFO scheduler starting, pid {os.getpid()}", flush=True)
    if not os.path.exists("/etc/scheduler/site.conf"):
        print("INFO no site.conf", flush=True)
    time.sleep(0.6)
    parser = argparse.ArgumentParser(prog="scheduler")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(sys.argv[1:])
    print("INFO ready,", options.workers, "workers", flush=True)


main()

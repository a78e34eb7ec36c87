"""A service that notes SIGTERM and goes on: whoever wants it gone has to kill it. Gives up after 20 s: exit 9."""

import os
import signal
import sys
import time


def note(_number, _frame):
    print("INFO SIGTERM: finishing the running jobs first", flush=True)


def main():
    print(f"INFO encoder starting, pid {os.getpid()}", flush=True)
    signal.signal(signal.SIGTERM, note)
    for job in range(1, 41):
        if not os.path.exists(f"/var/spool/encoder/{job}"):
            print(f"INFO job {job} has no override", flush=True)
        time.sleep(0.5)
    sys.exit(9)


main()

"""A service whose database is not there: connect says ECONNREFUSED, and the service exits 1.

Argument: a port of 127.0.0.1 on which nobody listens.
"""

import os
import socket
import sys
import time


def main():
    port = int(sys.argv[1])
    print(f"INFO reports starting, pid {os.getpid()}", flush=True)
    if not os.path.exists("/etc/reports/tuning.ini"):
        print("INFO no tuning.ini, using defaults", flush=True)
    for attempt in range(1, 4):
        time.sleep(0.25)
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2):
                print("INFO connected", flush=True)
                return
        except OSError as error:
            print(f"WARN database: attempt {attempt}: {error}", flush=True)
    print("ERROR database unreachable, giving up", file=sys.stderr, flush=True)
    sys.exit(1)


main()

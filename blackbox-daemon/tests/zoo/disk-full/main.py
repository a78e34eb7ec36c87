"""A service that writes to its volume until that is full: write says ENOSPC, uncaught, exit 1.

Expects a small file system at ./data.
"""

import os
import time

CHUNK = b"x" * 65536


def main():
    print(f"INFO archiver starting, pid {os.getpid()}", flush=True)
    try:
        os.stat("data/archive.index")
    except FileNotFoundError:
        print("INFO no index yet", flush=True)
    time.sleep(0.5)
    with open("data/archive.bin", "wb", buffering=0) as archive:
        for block in range(1, 1000):
            archive.write(CHUNK)
            os.fsync(archive.fileno())
            if block % 8 == 0:
                print(f"INFO {block} blocks archived", flush=True)
            if archive.tell() < block * len(CHUNK):
                archive.write(CHUNK)
            time.sleep(0.01)


main()

"""A service whose configuration file is not there: an uncaught FileNotFoundError, exit 1."""

import json
import os
import time


def optional(path):
    """The text of a file that need not be there."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        print(f"INFO no {path} ({error.strerror}), using defaults", flush=True)
        return ""


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    print(f"INFO orders starting, pid {os.getpid()}", flush=True)
    optional("/etc/orders/local.env")
    for _ in range(3):
        time.sleep(0.2)
        print("INFO waiting for the volume", flush=True)
    config = load("/etc/orders/config.json")
    print("INFO ready", config)


main()

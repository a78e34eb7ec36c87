"""A service that handles one malformed request with an uncaught ValueError: exit 1."""

import os
import time

REQUESTS = ["12", "7", "99", "twelve"]


def price(quantity):
    return int(quantity) * 3


def main():
    print(f"INFO pricing starting, pid {os.getpid()}", flush=True)
    if not os.path.exists("/etc/pricing/discounts.csv"):
        print("INFO no discounts", flush=True)
    for request in REQUESTS:
        time.sleep(0.2)
        print(f"INFO quantity {request}: {price(request)}", flush=True)


main()

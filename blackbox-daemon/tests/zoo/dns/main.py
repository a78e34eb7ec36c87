"""A service that needs the address of a name that does not exist (RFC 6761: .invalid): exit 1.

Where no resolver answers it is the same to the service: EAI_AGAIN in place of EAI_NONAME.
"""

import os
import socket
import sys
import time


def main():
    print(f"INFO mailer starting, pid {os.getpid()}", flush=True)
    if not os.path.exists("/etc/mailer/relay.override"):
        print("INFO no relay.override", flush=True)
    time.sleep(0.6)
    name = "smtp.mail.svc.invalid"
    print(f"INFO looking up {name}", flush=True)
    try:
        socket.getaddrinfo(name, 25, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        print(f"ERROR cannot resolve {name}: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    print("INFO ready", flush=True)


main()

"""A client that does not trust its server's certificate: the handshake fails, uncaught, exit 1.

Its server is a thread on loopback with ./server.crt and ./server.key, signed by nobody else.
"""

import os
import socket
import ssl
import threading
import time


def serve(listener):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("server.crt", "server.key")
    while True:
        connection, _peer = listener.accept()
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()


def main():
    print(f"INFO payments starting, pid {os.getpid()}", flush=True)
    if not os.path.exists("/etc/payments/ca.crt"):
        print("INFO no ca.crt, using the system's", flush=True)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    time.sleep(0.6)
    print("INFO connecting to the bank", flush=True)
    context = ssl.create_default_context()
    with socket.create_connection(listener.getsockname(), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            print("INFO connected", secure.version(), flush=True)


main()

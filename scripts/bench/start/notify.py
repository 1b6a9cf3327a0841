# What systemd is to a service: a datagram socket. Says when READY=1 came, and ends with its standard input.
import json
import select
import socket
import sys
import time

server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind(sys.argv[1])
print(json.dumps({"event": "listening"}), flush=True)
while server in (readable := select.select([server, sys.stdin], [], [])[0]):
    at = time.monotonic_ns() / 1e6
    if "READY=1" in server.recv(4096).decode().split("\n"):
        print(json.dumps({"event": "notified", "at": at}), flush=True)

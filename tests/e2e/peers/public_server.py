"""public_server.py LOG ADDRESS...: answers HTTP on port 8000 of each address; logs what it meets.

It is started in a network namespace of its own, in which addresses that look public belong to the
loopback interface: what is sent to them stays there.
"""
import socket
import sys
import threading

log = open(sys.argv[1], "a", buffering=1, encoding="utf-8")


def serve(s):
    buffer = b""
    while data := s.recv(65536):
        buffer += data
        while b"\r\n\r\n" in buffer:
            head, buffer = buffer.split(b"\r\n\r\n", 1)
            length = 4 if head.startswith(b"POST") else 0
            while len(buffer) < length:
                buffer += s.recv(65536)
            buffer = buffer[length:]
            log.write(head.split(b" ")[0].decode() + "\n")
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def accept(listener):
    while True:
        s, _ = listener.accept()
        log.write("connection\n")
        threading.Thread(target=serve, args=(s,), daemon=True).start()


for address in sys.argv[2:]:
    threading.Thread(target=accept, args=(socket.create_server((address, 8000)),)).start()
print("ready", file=sys.stderr, flush=True)

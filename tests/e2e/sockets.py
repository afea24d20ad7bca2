"""Plain sockets: small servers with exactly the behaviour a test needs, and clients like them."""
import contextlib
import fcntl
import socket
import struct
import termios
import threading
import time

from wiretape import host_and_port

WAIT_S = 15


def connect(address):
    """A connected client socket; `address` as Wiretape writes it."""
    if address.startswith("unix:"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(WAIT_S)
        s.connect(address[5:])
        return s
    return socket.create_connection(host_and_port(address), WAIT_S)


def reset(s):
    """Closes with RST instead of FIN, once the peer's kernel has all that was sent."""
    def queued():
        return struct.unpack("i", fcntl.ioctl(s, termios.TIOCOUTQ, bytes(4)))[0]
    end = time.monotonic() + WAIT_S
    while queued() and time.monotonic() < end:
        time.sleep(0.001)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def read_to_end(s):
    """Everything until the peer's FIN; ConnectionResetError after its RST."""
    return b"".join(iter(lambda: s.recv(65536), b""))


def read_exactly(s, size):
    data = b""
    while len(data) < size:
        more = s.recv(size - len(data))
        assert more, f"the stream ended after {len(data)} of {size} bytes"
        data += more
    return data


def closed_by_peer(s):
    """True when the peer has closed, by FIN or RST, within the socket's timeout."""
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True


def is_turned_away(address):
    """True when a new client is closed at once: before, or just after, connect() has returned."""
    try:
        with connect(address) as s:
            return closed_by_peer(s)
    except ConnectionResetError:
        return True


def get(address, path="/hello", close=False):
    """One GET on a connection of its own; the response as bytes, to the end when `close`."""
    with connect(address) as s:
        return request(s, path, close)


def request(s, path="/hello", close=False):
    extra = "Connection: close\r\n" if close else ""
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n{extra}\r\n".encode())
    return read_to_end(s) if close else read_response(s)


def read_response(s):
    """One response with Content-Length."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read_exactly(s, 1)
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                   if line.startswith(b"content-length:")), 0)
    return head + read_exactly(s, length)


class SocketServer:
    """Calls handler(socket) in a thread for each connection; `served` counts them."""

    def __init__(self, handler, address="127.0.0.1:0"):
        self._handler = handler
        self._listener = self._open(address)
        self.served = 0
        self.failures = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _open(self, address):
        if address.startswith("unix:"):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(address[5:])
            self.address = address
        else:
            host, port = host_and_port(address)
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            self.port = listener.getsockname()[1]
            self.address = address.rsplit(":", 1)[0] + f":{self.port}"
        listener.listen(1024)
        return listener

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self._listener.accept()
                s.settimeout(WAIT_S)
                self.served += 1
                threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        try:
            with s:
                self._handler(s)
        except Exception as failure:  # pylint: disable=broad-except
            self.failures.append(failure)

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # close() alone does not end accept()
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def echo(s):
    """A handler: sends back what comes, then the end."""
    for data in iter(lambda: s.recv(65536), b""):
        s.sendall(data)


def http_handler(respond):
    """A handler: answers each GET with respond(path) until the client leaves."""
    def serve(s):
        buffer = b""
        while data := s.recv(65536):
            buffer += data
            while b"\r\n\r\n" in buffer:
                head, buffer = buffer.split(b"\r\n\r\n", 1)
                body = respond(head.split(b" ")[1].decode())
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    return serve


@contextlib.contextmanager
def refusing_port():
    """An address where connecting is refused, kept from others."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{s.getsockname()[1]}"


@contextlib.contextmanager
def silent_port():
    """An address that never answers a SYN: a listener whose queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            s = waiting.enter_context(socket.socket())
            s.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                s.connect(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"

"""WebSocket (RFC 6455), as far as a test needs it: frames, an echo, and a client that talks to it.

Only the standard library, so that what goes over the wire is exactly what is written here.
"""
import base64
import hashlib
import random
import struct

from sockets import read_exactly

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode, payload, final=True, mask=None):
    """One frame (section 5.2); a client's frames carry a mask of 4 bytes."""
    size, masked = len(payload), 0x80 if mask else 0
    head = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        head += bytes([size | masked])
    elif size < 65536:
        head += struct.pack(">BH", 126 | masked, size)
    else:
        head += struct.pack(">BQ", 127 | masked, size)
    return head + (mask + applied(mask, payload) if mask else payload)


def applied(mask, payload):
    """Masks, or takes the mask off."""
    key = (mask * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload),
                                                                                  "big")


def read_frame(s):
    """(opcode, final, payload without mask)"""
    first, second = read_exactly(s, 2)
    size = second & 0x7f
    if size == 126:
        size, = struct.unpack(">H", read_exactly(s, 2))
    elif size == 127:
        size, = struct.unpack(">Q", read_exactly(s, 8))
    mask = read_exactly(s, 4) if second & 0x80 else bytes(4)
    return first & 0x0f, bool(first & 0x80), applied(mask, read_exactly(s, size))


def read_head(s):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += read_exactly(s, 1)
    return data


def echo(s):
    """A handler: sends each frame back; a pong for a ping, and a ping of its own now and then."""
    head = read_head(s)
    key = next(line.split(b":")[1].strip() for line in head.split(b"\r\n")
               if line.lower().startswith(b"sec-websocket-key:"))
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    count = 0
    while True:
        opcode, final, payload = read_frame(s)
        if opcode == PONG:
            continue
        count += 1
        if count % 100 == 0:
            s.sendall(frame(PING, b"still there?"))
        s.sendall(frame(PONG if opcode == PING else opcode, payload, final))
        if opcode == CLOSE:
            return


class Client:
    """Talks to `echo`; each message is checked when it comes back, then the next is sent."""

    def __init__(self, s, seed=1):
        self._socket = s
        self._random = random.Random(seed)
        key = base64.b64encode(self._random.randbytes(16))
        s.sendall(b"GET /echo HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
        assert read_head(s).startswith(b"HTTP/1.1 101 ")

    def _send(self, *frames):
        self._socket.sendall(b"".join(frame(*f, mask=self._random.randbytes(4)) for f in frames))

    def _expect(self, *frames):
        for expected in frames:
            seen = read_frame(self._socket)
            if seen[0] == PING:
                self._send((PONG, seen[2], True))
                seen = read_frame(self._socket)
            assert seen == (expected[0], expected[2], expected[1])

    def talk(self, *frames):
        """Sends frames (opcode, payload, final) in one piece, and takes their echoes."""
        self._send(*frames)
        self._expect(*((PONG if f[0] == PING else f[0], *f[1:]) for f in frames if f[0] != PONG))

    def message(self, number):
        """Message `number`; its kind changes from one to the next."""
        data = self._random.randbytes
        kinds = [
            lambda: [(TEXT, f"message {number}".encode(), True)],
            lambda: [(BINARY, data(number), True)],
            lambda: [(PING, b"ping %d" % number, True)],
            lambda: [(TEXT, b"in ", False), (CONTINUATION, b"three ", False),
                     (CONTINUATION, b"parts", True)],
            lambda: [(TEXT, b"", True)],
            lambda: [(BINARY, data(65536), True)],
            lambda: [(PONG, b"not asked for", True), (TEXT, b"after it", True)],
            lambda: [(BINARY, data(126), False), (PING, b"between", True),
                     (CONTINUATION, data(200), True)],
        ]
        self.talk(*kinds[number % len(kinds)]())

    def close(self):
        self.talk((CLOSE, struct.pack(">H", 1000) + b"done", True))

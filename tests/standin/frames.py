"""Be the server's side of a websocket (RFC 6455) with one client.

As pysc2 does, the client sends text frames that hold bytes.
"""

import base64
import hashlib
import socket
import struct

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Line:
    """Hold the line to the client that called; it may ask for ``/sc2api`` only."""

    def __init__(self, listener: socket.socket) -> None:
        self._sock, _ = listener.accept()
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._sock.makefile("rb")
        path = self._file.readline().split()[1]
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        if path != b"/sc2api":
            self._sock.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")
            raise ConnectionError(f"the client asked for {path!r}")
        digest = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + MAGIC).digest())
        self._sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + digest + b"\r\n\r\n"
        )

    def receive(self) -> bytes | None:
        """Return the next message; None where the client has gone."""
        message = b""
        while True:
            head = self._file.read(2)
            if len(head) < 2:
                return None
            last, kind, length = head[0] >> 7, head[0] & 15, head[1] & 127
            if length > 125:
                size, form = (2, ">H") if length == 126 else (8, ">Q")
                (length,) = struct.unpack(form, self._file.read(size))
            payload = unmasked(self._file.read(4), self._file.read(length))
            if kind == CLOSE:
                return None
            if kind == PING:
                self._sock.sendall(frame(PONG, payload))
            elif kind in (CONTINUED, TEXT, BINARY):
                message += payload
                if last:
                    return message

    def send(self, message: bytes, share: float = 1.0) -> None:
        """Send the message as a binary frame, or only the first part of it."""
        whole = frame(BINARY, message)
        self._sock.sendall(whole[: int(share * len(whole))])


def unmasked(mask: bytes, payload: bytes) -> bytes:
    """Return a client's payload, which is masked on the wire."""
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(
        len(payload), "big"
    )


def frame(kind: int, payload: bytes) -> bytes:
    """Return a payload as one frame."""
    size = len(payload)
    if size < 126:
        head = bytes([0x80 | kind, size])
    elif size < 1 << 16:
        head = struct.pack(">BBH", 0x80 | kind, 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | kind, 127, size)
    return head + payload

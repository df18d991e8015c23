# SPDX-License-Identifier: Apache-2.0
"""The receiver of the crash tests, a process of its own: every request is in its journal, on disk, from its first byte.

    receiver.py JOURNAL SEED SPOILED_PER_MILLE

Prints its port. Of the first requests that one event makes at one path, a seeded share is spoiled: answered with 500, or not
at all. Each line of the journal is one JSON array, written before the next thing happens:

    ["begun", n, at]                        the first byte of request n arrived; at: wall clock, nanoseconds; where it is
                                            not known exactly, the earliest moment at which it can have come
    ["whole", n, target, headers, body]     headers: an object with lower-case names; body: Latin-1
    ["answered", n, status]                 the answer has been handed to the kernel; 200 alone means delivered
"""
import json
import os
import random
import selectors
import socket
import struct
import sys
import time

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
_STAMP = struct.Struct("qq")
_DATA_AGE_MS = struct.Struct("52xI")  # tcpi_last_data_recv in linux/tcp.h's struct tcp_info
_MONOTONIC_COARSE = 6  # linux/time.h: a clock that counts the kernel's ticks
_TICK_NS = int(time.clock_getres(_MONOTONIC_COARSE) * 1e9)
_READ_BYTES = 1 << 18
_HEAD_END = b"\r\n\r\n"


def stamp_arrivals(connection):
    """Asks the kernel for the time at which bytes came, however late they are read."""
    connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def receive(connection):
    """(bytes, nanoseconds at which the last of them arrived, at the latest); by the wall clock, as time.time_ns(). None for
    the time: the kernel had not begun to stamp by then."""
    data, ancillary, _, _ = connection.recvmsg(_READ_BYTES, socket.CMSG_SPACE(_STAMP.size))
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _STAMP.unpack(value[:_STAMP.size])
            return data, seconds * 1_000_000_000 + nanoseconds
    return data, None


def has_ended(connection):
    """Has the other side's end of the stream come, with nothing before it left to read?"""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def earliest_arrival(connection):
    """The earliest moment at which the bytes read last can have come, by how long ago the kernel says they did.

    For a stream that has ended: an end that comes after bytes that nobody has read yet is joined to them by the kernel
    (tcp_try_coalesce), and they bear its stamp. Those of a killed sender would seem to come when it died. The age of the
    last data leaves ends out; it counts ticks, so that it is true to one of them, and is cut to milliseconds.
    """
    now = time.time_ns()
    age_ms, = _DATA_AGE_MS.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _DATA_AGE_MS.size))
    return now - (age_ms + 1) * 1_000_000 - _TICK_NS


class Connection:
    """number: of the request whose bytes are in `data`; 0 between two."""

    def __init__(self, plain):
        self.socket, self.data, self.number = plain, b"", 0


class Receiver:
    def __init__(self, journal, seed, spoiled_per_mille):
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._chance, self._spoiled = random.Random(seed), spoiled_per_mille
        self._seen, self._requests = set(), 0
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(512)
        self._listener.setblocking(False)
        stamp_arrivals(self._listener)  # those that it accepts inherit it
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.port = self._listener.getsockname()[1]

    def _note(self, *line):
        whole = json.dumps(line).encode() + b"\n"
        assert os.write(self._journal, whole) == len(whole)

    def run(self):
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._accept()
                else:
                    self._serve(key.data)

    def _accept(self):
        try:
            plain, _ = self._listener.accept()
        except OSError:
            return
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(plain, selectors.EVENT_READ, Connection(plain))

    def _close(self, connection, reset=False):
        self._selector.unregister(connection.socket)
        if reset:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.socket.close()

    def _serve(self, connection):
        try:
            data, at = receive(connection.socket)
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        if not connection.number:
            if at is None or has_ended(connection.socket):
                at = earliest_arrival(connection.socket)
            self._requests += 1
            connection.number = self._requests
            self._note("begun", connection.number, at)
        connection.data += data
        head, end, body = connection.data.partition(_HEAD_END)
        if not end:
            return
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        if len(body) < int(headers.get("content-length", "0")):
            return
        target = line.split(" ")[1]
        self._note("whole", connection.number, target, headers, body.decode("latin-1"))
        self._answer(connection, target, headers)

    def _answer(self, connection, target, headers):
        key = (target, headers.get("webhook-id"))
        status = 200
        if key not in self._seen:
            self._seen.add(key)
            if self._chance.randrange(1000) < self._spoiled:
                status = self._chance.choice((500, 0, -1))
        if status <= 0:
            self._close(connection, reset=status < 0)
            return
        number, connection.number, connection.data = connection.number, 0, b""
        try:
            connection.socket.sendall(f"HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n".encode())
        except OSError:
            self._close(connection)
            return
        self._note("answered", number, status)


def main():
    receiver = Receiver(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(receiver.port, flush=True)
    receiver.run()


if __name__ == "__main__":
    main()

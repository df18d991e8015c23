# SPDX-License-Identifier: Apache-2.0
"""A webhook's endpoint: records what it gets, and answers as a test says, well or badly.

    receiver.url                      # http://127.0.0.1:PORT
    request = receiver.next()         # the next request not taken yet; waits for it
    receiver.answers(Answer(503), Answer(500, headers={"Retry-After": "1"}))   # the next two; then 200 again
    receiver.always(Answer(410))      # from now on, after what answers() queued
    receiver.on("/slow", Answer(hold=event))   # all requests to that path

Every connection has a thread. close() ends them all.
"""
import json
import queue
import socket
import ssl
import struct
import threading
import time

from .waiting import BOUND_S

_MAX_HEAD_BYTES = 1 << 20


class Request:
    """method, target, headers (pairs as received), body, at (monotonic seconds), connection (counts from 1)."""

    def __init__(self, method, target, headers, body, connection):
        self.method, self.target, self.headers, self.body, self.connection = method, target, headers, body, connection
        self.at = time.monotonic()
        self.answered = threading.Event()  # the answer is written, or what stands for one

    def header(self, name):
        """The value of the only header of that name, or None; fails when it was sent twice."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"header {name} was sent {len(values)} times"
        return values[0] if values else None

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.method} {self.target} {self.body[:200]!r}>"


class Answer:
    """What to do with a request.

    status, headers, body: a plain answer with Content-Length.
    hold: a threading.Event; nothing is answered before it is set (close() sets free whatever waits).
    raw: these bytes instead of an answer, then close.
    trickle: (bytes, gate) pairs; each part is sent once its gate (an Event, or None) is set; then close.
    reset: end the connection with RST; close: end it without an answer.
    keep: keep the connection open after the answer.
    """

    def __init__(self, status=200, headers=None, body=b"", hold=None, raw=None, trickle=None, reset=False, close=False,
                 keep=True):
        self.status, self.headers, self.body, self.hold = status, dict(headers or {}), body, hold
        self.raw, self.trickle, self.reset, self.close, self.keep = raw, trickle, reset, close, keep

    def bytes(self):
        head = f"HTTP/1.1 {self.status} Because\r\n"
        for name, value in self.headers.items():
            head += f"{name}: {value}\r\n"
        if self.status not in (204, 304) and not any(name.lower() == "content-length" for name in self.headers):
            head += f"Content-Length: {len(self.body)}\r\n"
        if not self.keep:
            head += "Connection: close\r\n"
        return head.encode("latin-1") + b"\r\n" + self.body


def redirect(location, status=301):
    return Answer(status, headers={"Location": location})


class Receiver:
    """tls: (certificate file, key file), or None. family: socket.AF_INET or AF_INET6."""

    def __init__(self, tls=None, host="127.0.0.1", port=0, name=None, family=socket.AF_INET):
        self._tls = None
        if tls:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*tls)
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, port))
        self._listener.listen(512)
        self.port = self._listener.getsockname()[1]
        shown = name or (f"[{host}]" if family == socket.AF_INET6 else host)
        self.url = f"{'https' if tls else 'http'}://{shown}:{self.port}"
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._queued, self._paths, self._default = [], {}, Answer()
        self._sockets, self._closed = set(), False
        self._not_taken = queue.Queue()
        self.requests = []       # all, in order of arrival
        self.connections = 0     # accepted, with a TLS handshake that failed or not
        self.handshakes_failed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    # -- what tests say --

    def answers(self, *answers):
        """The answers to the next requests, one each, whatever their path."""
        with self._lock:
            self._queued.extend(answers)

    def always(self, answer):
        """The answer when none is queued."""
        with self._lock:
            self._default = answer

    def on(self, path, answer):
        """The answer to all requests whose path begins with this; before queued ones."""
        with self._lock:
            self._paths[path] = answer

    def next(self, bound_s=BOUND_S):
        """The next request that no call of next() has returned; waits for it."""
        try:
            return self._not_taken.get(timeout=bound_s)
        except queue.Empty:
            raise AssertionError(f"no request at {self.url} within {bound_s:.0f} s") from None

    def take(self, count, bound_s=BOUND_S):
        """The next `count` requests."""
        return [self.next(bound_s) for _ in range(count)]

    def wait_for(self, count, bound_s=BOUND_S):
        """Waits until this many have arrived in all, taken or not; returns them."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, timeout=bound_s):
                raise AssertionError(f"{len(self.requests)} requests at {self.url} within {bound_s:.0f} s, not {count}")
            return list(self.requests)

    def close(self):
        """Refuses from now on, as an endpoint that is down does."""
        with self._lock:
            self._closed = True
            sockets = list(self._sockets)
        # Wakes the thread in accept(), which close() alone would not.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for connection in sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # -- threads --

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closed:
                    connection.close()
                    return
                self.connections += 1
                number = self.connections
                self._sockets.add(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, plain, number):
        connection = plain
        try:
            if self._tls:
                try:
                    connection = self._tls.wrap_socket(plain, server_side=True)
                except (ssl.SSLError, OSError):
                    with self._lock:
                        self.handshakes_failed += 1
                    return
                with self._lock:
                    self._sockets.discard(plain)
                    self._sockets.add(connection)
            stream = connection.makefile("rb")
            while self._serve_one(connection, stream, number):
                pass
        except (OSError, ValueError):
            pass  # the other side has gone; what had arrived is recorded
        finally:
            with self._lock:
                self._sockets.discard(plain)
                self._sockets.discard(connection)
            connection.close()

    def _serve_one(self, connection, stream, number):
        request = self._read(stream, number)
        if request is None:
            return False
        with self._arrived:
            self.requests.append(request)
            answer = self._answer_for(request)
            self._arrived.notify_all()
        self._not_taken.put(request)
        try:
            return self._answer(connection, answer)
        finally:
            request.answered.set()

    def _answer_for(self, request):
        for path, answer in self._paths.items():
            if request.target.startswith(path):
                return answer
        return self._queued.pop(0) if self._queued else self._default

    @staticmethod
    def _read(stream, number):
        line = stream.readline(_MAX_HEAD_BYTES)
        if not line:
            return None
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers, length = [], 0
        while True:
            line = stream.readline(_MAX_HEAD_BYTES)
            if line in (b"\r\n", b""):
                break
            name, value = line.decode("latin-1").rstrip("\r\n").split(":", 1)
            headers.append((name, value.strip()))
            if name.lower() == "content-length":
                length = int(value)
            assert name.lower() != "transfer-encoding", "deliveries have a length"
        body = stream.read(length)
        return Request(method, target, headers, body, number) if len(body) == length else None

    def _answer(self, connection, answer):
        if answer.hold is not None and not self._wait(answer.hold):
            return False
        if answer.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if answer.close:
            return False
        if answer.raw is not None:
            connection.sendall(answer.raw)
            return False
        if answer.trickle is not None:
            for part, gate in answer.trickle:
                if gate is not None and not self._wait(gate):
                    return False
                connection.sendall(part)
            return False
        connection.sendall(answer.bytes())
        return answer.keep

    def _wait(self, event):
        """False when the receiver was closed or the bound has passed."""
        end = time.monotonic() + 3 * BOUND_S
        while not event.wait(0.05):
            with self._lock:
                if self._closed:
                    return False
            if time.monotonic() > end:
                return False
        return True

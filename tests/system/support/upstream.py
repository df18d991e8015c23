# SPDX-License-Identifier: Apache-2.0
"""A registry that answers what a test wants, byte for byte, and keeps what it was asked.

    false = FalseRegistry()
    false.on("GET /v2/team/app/manifests/1", reply(200, b"...", {"Docker-Content-Digest": "sha256:..."}))
    false.on("PATCH ", hangs)                     # a function of (connection, request); the longest beginning wins
    false.requests                                # each Asked: .line, .method, .target, .headers, .raw, .body, .cut
Everything else is answered with 404. It understands Content-Length and chunked, and stops at what it does not.
"""
import threading

from .raw import Raw, read_head
from .waiting import BOUND_S


class Asked:
    """One request: `raw` are the bytes of its head and body as they came; cut: how its body ended early, or None."""

    def __init__(self, raw_head):
        self.raw = raw_head
        lines = raw_head.decode("latin-1").split("\r\n\r\n", 1)[0].split("\r\n")
        self.line = lines[0]
        self.method, self.target, _ = self.line.split(" ", 2)
        self.fields = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        self.headers = {name.lower(): value for name, value in self.fields}
        self.body, self.cut = b"", None

    def __repr__(self):
        return f"<{self.line} {self.headers} +{len(self.body)}>"


def reply(status, body=b"", headers=None, length=None, close=False):
    """An answer in order but for `length`, the Content-Length when it is not the body's (-1: none)."""

    def answer(connection, _request):
        lines = [f"HTTP/1.1 {status} X"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if length != -1 and status not in (204, 304):
            lines.append(f"Content-Length: {len(body) if length is None else length}")
        if close or (length is not None and length != len(body)):
            lines.append("Connection: close")
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return not (close or length is not None)

    return answer


def hangs(connection, _request):
    """No answer; ends when the other side does."""
    while connection.recv(65536):
        pass
    return False


def raw(data):
    """These bytes and the end."""

    def answer(connection, _request):
        connection.sendall(data)
        return False

    return answer


class FalseRegistry:
    def __init__(self, host="127.0.0.1"):
        self.requests, self._on, self._lock = [], {}, threading.Condition()
        self._raw = Raw(self._serve, host=host)
        self.url, self.port = self._raw.url, self._raw.port

    def on(self, beginning, answer):
        """`beginning` of "METHOD target". `answer(connection, request)`: true when the connection goes on."""
        self._on[beginning] = answer

    def asked(self, beginning):
        with self._lock:
            return [one for one in self.requests if f"{one.method} {one.target}".startswith(beginning)]

    def wait_for(self, beginning, count=1, also=lambda one: True):
        """Waits until so many such requests came; the last of them."""
        with self._lock:
            found = lambda: [one for one in self.requests  # noqa: E731
                             if f"{one.method} {one.target}".startswith(beginning) and also(one)]
            if not self._lock.wait_for(lambda: len(found()) >= count, timeout=BOUND_S):
                raise AssertionError(f"{count} requests {beginning} did not come: {self.requests}")
            return found()[-1]

    def _keep(self, request):
        with self._lock:
            if request not in self.requests:
                self.requests.append(request)
            self._lock.notify_all()

    def _answer_of(self, request):
        line = f"{request.method} {request.target}"
        found = [beginning for beginning in self._on if line.startswith(beginning)]
        return self._on[max(found, key=len)] if found else reply(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"?"}]}',
                                                                 {"Content-Type": "application/json"})

    def _serve(self, connection):
        rest = b""
        while True:
            got = rest if b"\r\n\r\n" in rest else rest + read_head(connection)
            if b"\r\n\r\n" not in got:
                return
            end = got.index(b"\r\n\r\n") + 4
            request, rest = Asked(got[:end]), got[end:]
            self._keep(request)
            answer = self._answer_of(request)
            if getattr(answer, "before_body", False):
                if not answer(connection, request):
                    return
                continue
            rest = self._read_body(connection, request, rest)
            self._keep(request)
            if request.cut or not answer(connection, request):
                return

    def _more(self, connection, request, rest):
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            request.cut = "reset"
            return None
        if not part:
            request.cut = "end"
            return None
        request.raw += part
        return rest + part

    def _read_body(self, connection, request, rest):
        request.raw += rest
        if "transfer-encoding" in request.headers:
            return self._read_chunks(connection, request, rest)
        length = int(request.headers.get("content-length", 0))
        while len(rest) < length:
            request.body = rest
            self._keep(request)
            rest = self._more(connection, request, rest)
            if rest is None:
                return b""
        request.body = rest[:length]
        return rest[length:]

    def _read_chunks(self, connection, request, rest):
        while True:
            while b"\r\n" not in rest:
                rest = self._more(connection, request, rest)
                if rest is None:
                    return b""
            size = int(rest.split(b"\r\n", 1)[0], 16)
            rest = rest.split(b"\r\n", 1)[1]
            while len(rest) < size + 2:
                rest = self._more(connection, request, rest)
                if rest is None:
                    return b""
            request.body += rest[:size]
            self._keep(request)
            rest = rest[size + 2:]
            if size == 0:
                return rest

    def close(self):
        self._raw.close()


def before_body(answer):
    """This answer comes when the head has, whatever the body does."""

    def early(connection, request):
        return answer(connection, request)

    early.before_body = True
    return early

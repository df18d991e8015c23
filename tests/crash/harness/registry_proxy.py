# SPDX-License-Identifier: Apache-2.0
"""A misbehaving way to the registry: every request goes through it, and it notes which changes the registry really made.

    proxy = RegistryProxy(registry.port, random.Random(seed))
    proxy.changes   # [Change], in the order in which the registry had made them
What it does with a change is chance: it passes it on; keeps it for a while first, also when nobody waits any more; breaks off
without passing it on; passes it on and loses the answer, or keeps that; or says 503 without passing it on. Questions pass.
"""
import re
import socket
import threading
import time

from support.waiting import BOUND_S

MOST_KEPT_S = 0.25
_CHANGE = re.compile(rb"(PUT|DELETE) /v2/(\S+)/manifests/(\S+) HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_DIGEST = re.compile(rb"\r\ndocker-content-digest: *(\S+)\r\n", re.IGNORECASE)
_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
# Of a thousand changes; the rest passes.
SPOILED = (("late", 40), ("dropped", 15), ("deaf", 40), ("slow answer", 40), ("refused", 15))


class Change:
    """What the registry did: kind is PUT or DELETE, digest is of the manifest (DELETE by digest: what went). took_s: from its
    arrival here to the registry's answer."""
    __slots__ = ("kind", "repository", "reference", "digest", "took_s")

    def __init__(self, kind, repository, reference, digest, took_s=0.0):
        self.kind, self.repository, self.reference, self.digest = kind, repository, reference, digest
        self.took_s = took_s

    def __repr__(self):
        return f"{self.kind} {self.repository}:{self.reference} {self.digest}"


def read_message(connection, buffered, head_only=False):
    """(head, body, rest), or None at the end."""
    while b"\r\n\r\n" not in buffered:
        more = connection.recv(65536)
        if not more:
            return None
        buffered += more
    head, _, buffered = buffered.partition(b"\r\n\r\n")
    head += b"\r\n\r\n"
    found = _LENGTH.search(head)
    length = int(found.group(1)) if found and not head_only else 0
    while len(buffered) < length:
        more = connection.recv(65536)
        if not more:
            return None
        buffered += more
    return head, buffered[:length], buffered[length:]


class RegistryProxy:
    """port: where it listens."""

    def __init__(self, registry_port, chance):
        self._registry_port, self._chance = registry_port, chance
        self._lock = threading.Lock()
        self._pause = threading.Event()
        self.changes, self.spoiled = [], {}
        self.under_way = 0
        self.well = False  # True: nothing is spoiled any more
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._socket.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client):
        buffered, upstream = b"", None
        try:
            upstream = socket.create_connection(("127.0.0.1", self._registry_port), timeout=BOUND_S)
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                message = read_message(client, buffered)
                if message is None:
                    return
                head, body, buffered = message
                if not self._pass(client, upstream, head, body):
                    return
        except OSError:
            return
        finally:
            client.close()
            if upstream:
                upstream.close()

    def _fate(self):
        with self._lock:
            if self.well:
                return "passed"
            lot = self._chance.randrange(1000)
            for fate, per_mille in SPOILED:
                if lot < per_mille:
                    self.spoiled[fate] = self.spoiled.get(fate, 0) + 1
                    return fate
                lot -= per_mille
            return "passed"

    def _wait(self):
        """Not a wait for something: so long a slow network takes."""
        with self._lock:
            time_s = self._chance.uniform(0, MOST_KEPT_S)
        self._pause.wait(time_s)

    def _pass(self, client, upstream, head, body):
        began = time.monotonic()
        change = _CHANGE.match(head)
        if not change:
            return self._exchange(client, upstream, head, body, None)
        fate = self._fate()
        if fate == "dropped":
            return False
        if fate == "refused":
            client.sendall(_UNAVAILABLE)
            return False
        if fate == "late":
            self._wait()
        return self._exchange(client, upstream, head, body, change, fate, began)

    def _exchange(self, client, upstream, head, body, change, fate="passed", began=0.0):
        if change:
            with self._lock:
                self.under_way += 1
        try:
            upstream.sendall(head + body)
            answer = read_message(upstream, b"", head_only=head.startswith(b"HEAD "))
        finally:
            if change:
                with self._lock:
                    self.under_way -= 1
        if answer is None:
            return False
        if change:
            self._note(change, answer[0], time.monotonic() - began)
        if fate == "deaf":
            return False
        if fate == "slow answer":
            self._wait()
        client.sendall(answer[0] + answer[1])
        return True

    def _note(self, change, head, took_s):
        kind, repository, reference = (part.decode() for part in change.groups())
        if head[9:10] != b"2":
            return
        digest = _DIGEST.search(head)
        with self._lock:
            self.changes.append(Change(kind, repository, reference, digest.group(1).decode() if digest else reference,
                                       took_s))

    def wait_quiet(self):
        """Until nothing that was kept is still to come."""
        ends = time.monotonic() + BOUND_S
        self._pause.wait(MOST_KEPT_S)
        while self.under_way and time.monotonic() < ends:
            self._pause.wait(0.01)

# SPDX-License-Identifier: Apache-2.0
"""The load: clients that post envelopes as registries do. What was not acknowledged is posted again, with the same ids."""
import http.client
import json
import threading
import time

from support.registry import envelope, notification
from support.server import INGEST_TOKEN
from support.waiting import BOUND_S

from .account import ALL

CLIENTS = 4
EVENTS_PER_ENVELOPE = 6
PROJECTS = ("alpha", "beta", "gamma")
ACTIONS = dict(zip(("push", "pull", "delete"), ALL))
_MIX = ("push", "push", "pull", "push", "delete", "push")
_HEADERS = {"Content-Type": "application/vnd.docker.distribution.events.v1+json",
            "Authorization": f"Bearer {INGEST_TOKEN}"}


class Sent:
    """One notification: begun_at when it was first posted, acknowledged_at when its 2xx had come (None: not yet)."""
    __slots__ = ("project", "kind", "digest", "begun_at", "acknowledged_at")

    def __init__(self, project, kind, digest):
        self.project, self.kind, self.digest = project, kind, digest
        self.begun_at, self.acknowledged_at = time.time_ns(), None


class Load:
    """sent: digest -> Sent; every digest is of one notification alone."""

    def __init__(self, server):
        self._server = server
        self._changed = threading.Condition()
        self._unanswered = []  # (body, the digests in it)
        self._count = 0
        self._threads = []
        self._stopping = False
        self.sent = {}
        self.acknowledged = 0
        self.cut_off = 0  # requests that had left whole since start() and never got an answer
        self.problem = None

    def _make(self):
        """An envelope over all projects; under the lock."""
        events, digests = [], []
        for _ in range(EVENTS_PER_ENVELOPE):
            self._count += 1
            project, action = PROJECTS[self._count % len(PROJECTS)], _MIX[self._count // len(PROJECTS) % len(_MIX)]
            digest = f"sha256:{self._count:064x}"
            events.append(notification(action, repository=f"{project}/app", digest=digest,
                                       tag=None if action == "delete" else f"v{self._count}"))
            self.sent[digest] = Sent(project, ACTIONS[action], digest)
            digests.append(digest)
        return json.dumps(envelope(*events)).encode(), digests

    def _next(self):
        with self._changed:
            if self._stopping:
                return None
            return self._unanswered.pop() if self._unanswered else self._make()

    def _post(self, connection, body):
        """The status; 0: the server is gone in the middle of anything."""
        left = False
        try:
            connection.request("POST", "/ingest/distribution", body, _HEADERS)
            left = True
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            with self._changed:
                self.cut_off += left
            return 0

    def _client(self):
        connection = http.client.HTTPConnection(self._server.host, self._server.port, timeout=BOUND_S)
        while (item := self._next()) is not None:
            status = self._post(connection, item[0])
            with self._changed:
                if status == 200:
                    now = time.time_ns()
                    for digest in item[1]:
                        self.sent[digest].acknowledged_at = now
                    self.acknowledged += len(item[1])
                else:
                    self._unanswered.append(item)
                    if status not in (0, 503):
                        self.problem = f"an envelope was answered with {status}"
                self._changed.notify_all()
            if status == 0:
                break
        connection.close()

    def start(self):
        self._stopping, self.cut_off = False, 0
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, count, or_when=lambda: False):
        """Until so many events have been acknowledged in all, or the other thing holds; False: not within the bound."""
        with self._changed:
            ends = time.monotonic() + BOUND_S
            while self.acknowledged < count and not or_when():
                if time.monotonic() > ends:
                    return False
                self._changed.wait(0.02)
        return True

    def join(self):
        """Ends the clients: at once when the server is gone, else after their answers."""
        with self._changed:
            self._stopping = True
        for thread in self._threads:
            thread.join(2 * BOUND_S)
            assert not thread.is_alive(), "a client of the load got no answer"
        assert self.problem is None, self.problem

    def finish(self):
        """Everything that was ever sent is acknowledged, on a server that is not killed any more."""
        self._stopping = False
        connection = http.client.HTTPConnection(self._server.host, self._server.port, timeout=BOUND_S)
        for body, digests in self._unanswered:
            status = self._post(connection, body)
            assert status == 200, f"an envelope that was repeated after the last kill got {status}"
            for digest in digests:
                self.sent[digest].acknowledged_at = time.time_ns()
        self.acknowledged = len(self.sent)
        self._unanswered = []
        connection.close()

# SPDX-License-Identifier: Apache-2.0
"""Each n-th allocation fails in turn, in a whole server: while a push comes in and is delivered, while the API is asked and
told, while somebody follows the deliveries of a webhook. Whatever fails, the server lives, says so or succeeds, and loses
nothing that it acknowledged; and no client hears that it made a mistake.

The fault build counts every allocation of ours and of SQLite's (src/base/fault_memory.h). One round is one n: arm, do,
disarm, ask whether it lives. The rounds go on until a round asks for fewer than n. Each round has a project and a target of
its own, because a delivery that met our limits holds its lane for a second.
"""
import http.client
import json
import os
import socket
import subprocess
import threading
import time

import pytest

from support.api import push_event
from support.faults import Faults, faults_binary
from support.registry import envelope, notification
from support.server import ADMIN_PASSWORD, INGEST_TOKEN, Server, basic
from support.waiting import BOUND_S, wait_until

ADMIN = basic("admin", ADMIN_PASSWORD)
PROJECTS = 64
MOST = 20000
HONEST = (200, 201, 503, None)  # a client that is told anything else takes it for its own mistake
ANSWERS_S = 5 * (4 if os.environ.get("HARBINGER_SANITIZER") else 1)
QUIET_S, AT_MOST_S = 0.01, 0.2
NEWS_S = 0.5  # two turns of the feed
TRACE = {key: os.environ[key] for key in ("HARBINGER_FAULT_TRACE",) if key in os.environ}  # whose it was, for who mends


class Troubled:
    """A server of the fault build with PROJECTS projects, each with a webhook to `receiver`."""

    def __init__(self, folder, receiver, api_of):
        self.faults = Faults(folder / "control")
        self.server = Server(folder / "server", program=faults_binary(), env={**self.faults.env, **TRACE},
                             settings={"log.level": "info", "delivery.rescan_ms": 200, "api.max_streams_per_user": 1000,
                                       "api.max_streams": 1000})
        self.receiver = receiver
        self.acknowledged = {}  # tag -> n
        self.answers = {}  # status -> how many
        self.wrong = []  # what says something else than success, or that it is our trouble: (n, ...)
        self.n = self.looked_at = 0
        self.ids = {}  # tag -> the webhook-ids under which it arrived
        self.server.start()
        self.api = api_of(self.server)
        self.policies = []
        for number in range(PROJECTS):
            self.api.project(f"p{number}")
            self.policies.append(self.api.webhook(f"p{number}", receiver.url))
        self.warm_up()

    def arrived(self):
        """Tags. What is no event is in `wrong`."""
        for request in list(self.receiver.requests)[self.looked_at:]:
            self.looked_at += 1
            try:
                tag = request.json["event_data"]["resources"][0]["tag"]
                self.ids.setdefault(tag, set()).add(request.header("webhook-id"))
            except (ValueError, LookupError):
                self.wrong.append((self.n, request.headers, request.body))
        return set(self.ids)

    def request(self, method, path, body=None, headers=None):
        """(status, body); status None when the connection ended without an answer, which a client takes for a failure."""
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=ANSWERS_S)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            got = answer.status, answer.read()
        except (ConnectionError, http.client.HTTPException):
            got = None, b""
        finally:
            connection.close()
        self.answers[got[0]] = self.answers.get(got[0], 0) + 1
        if got[0] not in HONEST:
            self.wrong.append((self.n, method, path, *got))
        return got

    def call(self, method, path, body=None):
        headers = {"Authorization": ADMIN, "Content-Type": "application/json"}
        return self.request(method, path, None if body is None else json.dumps(body).encode(), headers)

    def place(self):
        """This round's (project, path of its webhook)."""
        at = self.n % PROJECTS
        return f"p{at}", f"/api/v2.0/projects/p{at}/webhook/policies/{self.policies[at]}"

    def ingest(self, tag):
        body = json.dumps(envelope(notification(repository=f"{self.place()[0]}/app", tag=tag))).encode()
        headers = {"Authorization": f"Bearer {INGEST_TOKEN}",
                   "Content-Type": "application/vnd.docker.distribution.events.v1+json"}
        if self.request("POST", "/ingest/distribution", body, headers)[0] == 200:
            self.acknowledged[tag] = self.n

    def submit(self, tag):
        if self.call("POST", f"/api/v2.0/projects/{self.place()[0]}/events", push_event(tag=tag))[0] == 201:
            self.acknowledged[tag] = self.n

    def until_quiet(self):
        """Until nobody allocates for a moment: the delivery is out and recorded. It may be what failed."""
        pause, end, before = threading.Event(), time.monotonic() + AT_MOST_S, -1
        while self.faults.count != before and time.monotonic() < end:
            before = self.faults.count
            pause.wait(QUIET_S)

    # -- what is done while one allocation fails --

    def push_and_deliver(self):
        self.ingest(f"i{self.n}")
        self.until_quiet()

    def ask_and_tell(self):
        _, path = self.place()
        self.call("GET", f"{path}/deliveries")
        self.submit(f"a{self.n}")
        self.call("POST", f"{path.rsplit('/', 1)[0]}", {
            "name": f"also-{self.n}", "enabled": False, "event_types": ["DELETE_ARTIFACT"],
            "targets": [{"type": "http", "address": self.receiver.url}]})

    def follow(self):
        _, path = self.place()
        with socket.create_connection((self.server.host, self.server.port), timeout=ANSWERS_S) as stream:
            stream.sendall(f"GET {path}/deliveries/stream HTTP/1.1\r\nHost: h\r\nAuthorization: {ADMIN}\r\n\r\n".encode())
            heard = self.read(stream, b"event: ready")
            self.submit(f"f{self.n}")
            if heard:
                self.read(stream, b"event: deliveries")

    @staticmethod
    def read(stream, wanted):
        """Up to this: true. Up to an error, the end, or a moment, since it may be what failed: false."""
        stream.settimeout(NEWS_S)
        got = b""
        try:
            while wanted not in got:
                part = stream.recv(4096)
                if not part or part.startswith(b"HTTP/1.1 503"):
                    return False
                got += part
        except (socket.timeout, ConnectionError):
            return False
        return True

    # -- rounds --

    def fail_each(self, deed, numbers):
        """How many allocations failed."""
        failed = 0
        for n in numbers:
            self.arrived()
            self.n = n
            with self.faults.allocation(n):
                deed()
            assert self.server.is_running(), f"allocation {n} ended the server:\n{self.server.log()[-4000:]}"
            assert self.request("GET", "/healthz")[0] == 200, f"after allocation {n} it does not answer"
            if self.faults.failed == 0:
                return failed
            failed += 1
        raise AssertionError(f"a round asks for more than {failed} allocations")

    def warm_up(self):
        """What is made once is there: each lane's first delivery, each connection's statements."""
        for number in range(PROJECTS):
            self.n = number
            self.submit(f"w{number}")
        wait_until(lambda: set(self.acknowledged) <= self.arrived(), "the first deliveries have arrived")

    def judge(self):
        """After all rounds: everything acknowledged arrives, and the server is as well as before."""
        for number in range(PROJECTS):
            self.n = number
            self.submit(f"z{number}")
        assert sum(tag.startswith("z") for tag in self.acknowledged) == PROJECTS
        wait_until(lambda: self.wrong or set(self.acknowledged) <= self.arrived(),
                   "all that was acknowledged has arrived", bound_s=2 * BOUND_S)
        assert not self.wrong, "\n".join(map(str, self.wrong))
        assert all(len(one) == 1 for one in self.ids.values())
        for number in range(PROJECTS):
            for policy in self.api.get(f"/projects/p{number}/webhook/policies", query={"page_size": 100}).json:
                assert policy["targets"][0]["address"] == self.receiver.url, policy
        assert self.request("GET", "/readyz") == (200, b"ready\n")
        assert "the store is broken" not in self.server.log(), "memory is not the disk"
        assert "\\x" not in self.server.log(), "a line of the log shows memory that nobody wrote"
        self.server.stop()


@pytest.fixture
def troubled(tmp_path, receiver, api_of):
    one = Troubled(tmp_path, receiver, api_of)
    yield one
    if one.server.is_running():
        one.server.stop()


# Every so manieth in ./test, every one in ./test --long.
@pytest.mark.parametrize("step", [pytest.param(None, id="some"), pytest.param(1, marks=pytest.mark.long, id="each")])
@pytest.mark.parametrize("deed, some, least", [("push_and_deliver", 2, 100), ("ask_and_tell", 23, 300), ("follow", 9, 100)])
def test_an_allocation_that_fails_ends_nothing_and_loses_nothing(troubled, deed, some, least, step):
    step = step or some
    failed = troubled.fail_each(getattr(troubled, deed), range(1, MOST, step))
    print(f"{deed}: {failed} allocations failed; answers: {troubled.answers}")
    assert failed * step >= least, "a round asks for nothing"
    troubled.judge()


@pytest.mark.long
def test_a_start_without_memory_ends_with_words(tmp_path):
    faults = Faults(tmp_path / "control")
    server = Server(tmp_path / "server", program=faults_binary(), env=faults.env)
    server.start()
    server.stop()
    refused = 0
    for n in range(1, MOST, 97):
        with faults.allocation(n):
            process = subprocess.Popen(server.command(), env=server.environment(), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            ready = process.stdout.readline().startswith(b"harbinger ready ")
        if ready:
            process.terminate()
        words = process.communicate(timeout=BOUND_S)[1].decode().rstrip()
        if not ready:
            refused += 1
            assert process.returncode in (1, 2) and "memory" in words.splitlines()[-1], (n, process.returncode, words)
        else:
            assert process.returncode == 0, (n, process.returncode, words)
        if faults.failed == 0:
            break
    assert refused > 10

# SPDX-License-Identifier: Apache-2.0
"""A campaign against the gateway: a storm of pushes and deletes through the real program to a real registry behind a
misbehaving proxy, kills and restarts, and the account of push_account.py at the end.

    with GatewayCampaign(tmp_path) as campaign:
        campaign.begin()
        for _ in range(20):
            campaign.kill_at_random()
        assert campaign.finish().problems == []
"""
import hashlib
import json
import os
import random
import signal
import socket
import sqlite3
import threading
import time
import urllib.request

from support.registry import Registry
from support.server import ADMIN_PASSWORD, Server, basic
from support.waiting import BOUND_S

from . import push_account
from .registry_proxy import RegistryProxy, read_message

CLIENTS = 8
REPOSITORIES = ("alpha/app", "alpha/base", "alpha/tool", "beta/app", "beta/web/api", "gamma/app")
TAGS = ("latest", "v1", "v2")
MOST_CHANGES_TO_A_KILL = 25
MOST_JITTER_S = 0.012
PASSES = 6
SELDOM = ("change.settle.", "change.closed")  # these at their first
POINT_BOUND_S = 20
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
# A change that never came must be known not to come; longer than proxy and registry take, or there is no judgement.
UPSTREAM_TIMEOUT_MS = 2500
SLACK_MS = 200  # between leaving the gateway and arriving at the proxy
SETTINGS = {"log.level": "info", "limits.drain_ms": 10000, "gateway.upstream_timeout_ms": UPSTREAM_TIMEOUT_MS}


class Report:
    """caught: how many kills struck with a change that had left a client whole and had no answer."""

    def __init__(self, problems, kills, caught, changes, events, spoiled):
        self.problems, self.kills, self.caught = problems, kills, caught
        self.changes, self.events, self.spoiled = changes, events, spoiled

    def __str__(self):
        return (f"{self.kills} kills, {self.caught} with changes in flight; the registry made {self.changes} changes, "
                f"{self.events} events, spoiled on the way {self.spoiled}, {len(self.problems)} problems"
                + "".join(f"\n  {problem}" for problem in self.problems))


def _blob(url, repository, content):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v2/{repository}/blobs/uploads/", b"", method="POST"),
                                timeout=BOUND_S) as answer:
        place = answer.headers["Location"]
    if place.startswith("/"):
        place = url + place
    place += ("&" if "?" in place else "?") + f"digest={digest}"
    headers = {"Content-Type": "application/octet-stream"}
    urllib.request.urlopen(urllib.request.Request(place, content, headers, method="PUT"), timeout=BOUND_S).close()
    return {"digest": digest, "size": len(content)}


class Storm:
    """Clients that push and delete until they are told to stop. What they asked for and were told is kept."""

    def __init__(self, server, seed):
        self._server, self._seed = server, seed
        self._lock = threading.Lock()
        self._count = 0
        self._parts = {}
        self._pushed = {}  # repository -> [(tag, digest, body)], the newest
        self._threads, self._stopping = [], False
        self.asked, self.answered = {}, set()
        self.acknowledged = self.in_flight = self.refused = 0

    def prepare(self, url):
        for repository in REPOSITORIES:
            self._parts[repository] = (_blob(url, repository, b'{"os":"linux","architecture":"amd64"}'),
                                       _blob(url, repository, b"a layer"))

    def start(self):
        self._stopping = False
        self._threads = [threading.Thread(target=self._run, args=(random.Random(self._seed * 100 + self._count + i),),
                                          daemon=True) for i in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stopping = True
        for thread in self._threads:
            thread.join()

    def wait_for(self, acknowledged, or_when=lambda: False):
        ends, pause = time.monotonic() + BOUND_S, threading.Event()
        while self.acknowledged < acknowledged and time.monotonic() < ends and not or_when():
            pause.wait(0.001)
        return self.acknowledged >= acknowledged

    # -- what is asked for --

    def _manifest(self, repository):
        config, layer = self._parts[repository]
        with self._lock:
            self._count += 1
            number = self._count
        body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE,
                           "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
                           "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **layer}],
                           "annotations": {"number": str(number)}}).encode()
        return "sha256:" + hashlib.sha256(body).hexdigest(), body

    def _choose(self, chance):
        """(kind, repository, tag, digest, body). Tag empty: by digest."""
        repository, tag = chance.choice(REPOSITORIES), chance.choice(TAGS)
        pushed = self._pushed.setdefault(repository, [])
        lot = chance.randrange(100)
        with self._lock:
            known = chance.choice(pushed[-12:]) if pushed else None
        if lot < 12 and known:
            return "DELETE", repository, "", known[1], b""
        if lot < 35 and known:  # the same bytes again, mostly to where they went
            return "PUT", repository, known[0] if lot < 30 else tag, known[1], known[2]
        digest, body = self._manifest(repository)
        if lot < 40:
            tag = ""
        with self._lock:
            pushed.append((tag, digest, body))
        return "PUT", repository, tag, digest, body

    def _run(self, chance):
        connection = None
        while not self._stopping:
            order = self._choose(chance)
            twice = order[0] == "PUT" and chance.randrange(8) == 0
            other = threading.Thread(target=self._ask, args=(None, order, False), daemon=True) if twice else None
            if other:  # two clients with the same bytes at once
                other.start()
            connection = self._ask(connection, order, chance.randrange(12) == 0)
            if other:
                other.join()

    def _ask(self, connection, order, leave):
        """One change; the connection to go on with, or None. leave: go away without waiting for the answer."""
        kind, repository, tag, digest, body = order
        key = kind, repository, tag, digest
        with self._lock:
            self.asked[key] = self.asked.get(key, 0) + 1
        request = (f"{kind} /v2/{repository}/manifests/{tag or digest} HTTP/1.1\r\nHost: harbinger\r\n"
                   f"Authorization: {basic('admin', ADMIN_PASSWORD)}\r\nContent-Type: {MANIFEST_TYPE}\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        left = False
        try:
            if connection is None:
                connection = socket.create_connection((self._server.host, self._server.port), timeout=BOUND_S)
            connection.sendall(request)
            with self._lock:
                self.in_flight += 1
                left = True
            if leave:
                connection.close()
                self._end(left)
                return None
            answer = read_message(connection, b"")
        except OSError:
            answer = None
        if answer is None:  # in flight when the server went: it stays counted
            if connection:
                connection.close()
            threading.Event().wait(0.002)
            return None
        self._end(left)
        with self._lock:
            if answer[0][9:10] == b"2":
                self.acknowledged += 1
                self.answered.add(key)
            else:
                self.refused += 1
        if b"\r\nconnection: close" in answer[0].lower():
            connection.close()
            return None
        return connection

    def _end(self, left):
        if left:
            with self._lock:
                self.in_flight -= 1


class GatewayCampaign:
    """program: the server's; the release unless it is given. planted: HARBINGER_FAULTS of every start."""

    def __init__(self, folder, program=None, planted=""):
        self.seed = int(os.environ.get("HARBINGER_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
        print(f"HARBINGER_SEED={self.seed}")
        self._chance = random.Random(self.seed)
        folder.mkdir(exist_ok=True)
        self.registry = Registry(folder / "registry", None)
        self.proxy = RegistryProxy(self.registry.port, random.Random(self.seed + 1))
        self.server = Server(folder / "server", settings={**SETTINGS, "upstream.url": self.proxy.url}, program=program)
        self.storm = Storm(self.server, self.seed)
        self.kills = self.caught = 0
        self.problems, self.planted = [], planted

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.server.process is not None:
            self.server.kill()
        self.proxy.close()
        self.registry.stop()

    def start(self, faults=""):
        self.server.env = {"HARBINGER_FAULTS": ",".join(filter(None, (self.planted, faults)))}
        try:
            self.server.start()
        except AssertionError as problem:
            code, self.server.process = self.server.process.returncode, None
            if not faults or code != -signal.SIGKILL:
                self.problems.append(f"not served: no start after kill {self.kills}: {str(problem)[-600:]}")
            return False
        return True

    def begin(self):
        self.storm.prepare(self.registry.url)
        return self.start()

    # -- kills --

    def _end_round(self):
        self.server.kill()
        self.storm.stop()
        self.kills += 1
        self.caught += self.storm.in_flight > 0
        self.storm.in_flight = 0

    def kill_at_random(self):
        if self.server.process is None:
            return False
        self.storm.start()
        if not self.storm.wait_for(self.storm.acknowledged + self._chance.randrange(1, MOST_CHANGES_TO_A_KILL)):
            self.problems.append("not served: nothing was acknowledged any more")
        # Not a wait for something: the moment of the kill is what chance decides.
        threading.Event().wait(self._chance.uniform(0, MOST_JITTER_S))
        self._end_round()
        return self.start()

    def kill_at_point(self, name):
        """Starts the server anew with a kill at this fault point. False: the point was not passed."""
        if self.server.process is not None:
            self.server.stop()
        passes = 1 if name.startswith(SELDOM) else self._chance.randrange(1, PASSES + 1)
        struck = True
        if self.start(f"{name}=kill@{passes}"):
            process = self.server.process
            ends = time.monotonic() + POINT_BOUND_S
            self.storm.start()
            self.storm.wait_for(float("inf"), lambda: process.poll() is not None or time.monotonic() > ends)
            struck = process.poll() == -signal.SIGKILL
            self._end_round()
        elif not self.problems:  # what the last round left open ran into it at once
            self.kills += 1
        return self.start() and struck

    # -- the end --

    def _open(self):
        _, _, text = self.server.request("GET", "/metrics", headers={"Authorization": basic("admin", ADMIN_PASSWORD)})
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith(b"harbinger_changes_open ")))

    def _settle(self):
        self.proxy.well = True
        self.proxy.wait_quiet()
        ends, pause = time.monotonic() + 4 * BOUND_S, threading.Event()
        while self._open() and time.monotonic() < ends:
            pause.wait(0.05)
        if self._open():
            self.problems.append(f"{self._open()} changes were never settled")

    def _upstream(self):
        found = {}
        for repository in REPOSITORIES:
            for tag in TAGS:
                request = urllib.request.Request(f"{self.registry.url}/v2/{repository}/manifests/{tag}",
                                                 headers={"Accept": MANIFEST_TYPE}, method="HEAD")
                try:
                    with urllib.request.urlopen(request, timeout=BOUND_S) as answer:
                        found[repository, tag] = answer.headers["Docker-Content-Digest"]
                except urllib.error.HTTPError as problem:
                    assert problem.code == 404, problem
        return found

    def _store(self):
        """The events in their order, the catalogue, and how many intents are left."""
        kinds = {"PUSH_ARTIFACT": "PUT", "DELETE_ARTIFACT": "DELETE"}
        events = []
        with sqlite3.connect(f"file:{self.server.data / 'harbinger.db'}?mode=ro", uri=True) as store:
            for (text,) in store.execute("SELECT json FROM event ORDER BY project_id, seq"):
                event = json.loads(text)
                artifact = event["artifacts"][0]
                events.append(push_account.Event(
                    kinds[event["type"]], f"{event['repository']['project']}/{event['repository']['name']}",
                    artifact["digest"], artifact.get("tags", []), event["seq"], event.get("unchanged", False),
                    event.get("inferred", False)))
            catalogue = {(repository, tag): digest for repository, tag, digest in store.execute(
                "SELECT p.name || '/' || r.name, t.name, a.digest FROM tag t JOIN artifact a ON a.id = t.artifact_id JOIN "
                "repository r ON r.id = t.repository_id JOIN project p ON p.id = r.project_id WHERE t.removed_us IS NULL")}
            (left,) = store.execute("SELECT count(*) FROM intent").fetchone()
        return events, catalogue, left

    def finish(self):
        """Everything settled, then the account. Stops the server."""
        if self.server.process is not None:
            try:
                self._settle()
                self.server.stop()
            except (AssertionError, OSError) as problem:
                self.problems.append(f"not served: {str(problem)[-600:]}")
        events, catalogue, left = self._store()
        if left:
            self.problems.append(f"{left} intents are left")
        slow = [change for change in self.proxy.changes if change.took_s * 1000 > UPSTREAM_TIMEOUT_MS - SLACK_MS]
        if slow:
            self.problems.append(f"no judgement: the registry took longer than gateway.upstream_timeout_ms for {len(slow)} "
                                 f"changes, which the protocol does not promise anything about: {slow[:3]}")
        problems = self.problems + push_account.judge(self.proxy.changes, events, self.storm.asked, self.storm.answered,
                                                      catalogue, self._upstream())
        report = Report(problems, self.kills, self.caught, len(self.proxy.changes), len(events), self.proxy.spoiled)
        print(report)
        return report

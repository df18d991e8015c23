# SPDX-License-Identifier: Apache-2.0
"""/v2/ over a restart under load: uploads under way go on, pulls see at most one error that is worth a retry, and no manifest is
told as pushed that is not, or twice."""
import http.client
import os
import threading

from support.oci import MANIFEST, Image, Oci, digest_of
from support.registry import free_port
from support.upstream import FalseRegistry, hangs
from support.waiting import wait_until

RETRY = (ConnectionError, http.client.HTTPException, OSError)


def test_uploads_under_way_go_on_after_a_restart_and_a_kill(new_gateway, upstream):
    server = new_gateway(upstream.url, listen=f"127.0.0.1:{free_port()}")
    oci, content = Oci(server), os.urandom(60_000)
    location = oci.begin("team/app")
    for number, start in enumerate(range(0, len(content), 20_000)):
        piece = content[start:start + 20_000]
        location = oci.request("PATCH", location, body=piece, expect=202, headers={
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{start}-{start + len(piece) - 1}"}).header("Location")
        if number == 0:
            server.stop()
        else:
            server.kill()
        server.start()
        assert oci.get(location, expect=204).header("Range") == f"0-{start + len(piece) - 1}"
    oci.request("PUT", oci.ended(location, digest_of(content)), body=b"", expect=201)
    assert oci.get(f"/v2/team/app/blobs/{digest_of(content)}").body == content


class Load:
    """Clients that push images of their own and pull one until told to stop. A client tries again once per restart."""

    def __init__(self, server, clients):
        self.server, self.stop = server, threading.Event()
        self.pushed, self.answers, self.pull_errors, self.problems = [], {}, [], []
        self.shared = Image()
        Oci(server).push(self.shared, "team/shared", "1")
        self.threads = [threading.Thread(target=self._guarded, args=(target, number))
                        for number in range(clients) for target in (self._push, self._pull)]
        for thread in self.threads:
            thread.start()

    def _guarded(self, target, number):
        try:
            target(number)
        except (AssertionError, *RETRY) as problem:
            self.problems.append(problem)
            self.stop.set()

    def _retried(self, ask, errors=None):
        while True:
            try:
                answer = ask()
                if answer.status < 500:
                    return answer
                problem = answer
            except RETRY as error:
                problem = error
            if errors is not None:
                errors.append(problem)
            wait_until(self.server.is_running, "the server is back")
            self._ready()

    def _ready(self):
        def asks():
            try:
                return Oci(self.server).request("GET", "/v2/").status == 200
            except RETRY:
                return False
        wait_until(asks, "the server answers again")

    def _push(self, number):
        oci, count = Oci(self.server), 0
        while not self.stop.is_set():
            image, name = Image(), f"team/app{number}"
            for blob in image.blobs:
                self._retried(lambda: oci.request("PUT", oci.ended(  # noqa: B023
                    self._retried(lambda: oci.request("POST", f"/v2/{name}/blobs/uploads/", body=b""))  # noqa: B023
                    .header("Location"), digest_of(blob)), body=blob))  # noqa: B023
            answer = self._retried(lambda: oci.request("PUT", f"/v2/{name}/manifests/{count}", body=image.manifest,  # noqa: B023
                                                       headers={"Content-Type": MANIFEST}))
            assert answer.status == 201, answer
            self.pushed.append((name, str(count), image.digest))
            count += 1

    def _pull(self, number):
        oci, errors = Oci(self.server), []
        while not self.stop.is_set():
            answer = self._retried(lambda: oci.request("GET", "/v2/team/shared/manifests/1", headers={"Accept": MANIFEST}),
                                   errors)
            assert answer.status == 200 and answer.body == self.shared.manifest, answer
            layer = self._retried(lambda: oci.request("GET", f"/v2/team/shared/blobs/{digest_of(self.shared.layer)}"), errors)
            assert layer.status == 200 and layer.body == self.shared.layer, layer
        self.pull_errors.append(errors)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.problems, self.problems


def test_restarts_under_load_lose_no_push_and_tell_none_twice(new_gateway, upstream, api_of):
    server = new_gateway(upstream.url, listen=f"127.0.0.1:{free_port()}")
    load, restarts = Load(server, clients=2), 3
    for number in range(restarts):
        done = len(load.pushed)
        wait_until(lambda: len(load.pushed) >= done + 2 or load.problems, "pushes go on")  # noqa: B023
        if number == 1:
            server.kill()
        else:
            server.stop()
        server.start()
    done = len(load.pushed)
    wait_until(lambda: len(load.pushed) >= done + 2 or load.problems, "pushes go on")
    load.end()
    # A pull that met the restart failed once and worked the second time.
    assert all(len(errors) <= restarts for errors in load.pull_errors), load.pull_errors
    api, found, page = api_of(server), [], 1
    wait_until(lambda: api.get("/system/health", expect=None).status, "the server answers")
    while rows := api.get("/projects/team/events", query={"page_size": 100, "page": page, "q": "unchanged={true false}"}).json:
        found += rows
        page += 1
    told = {}
    for event in found:
        if event["type"] == "PUSH_ARTIFACT":
            artifact = event["artifacts"][0]
            key = (event["repository"]["full_name"], artifact["reference"], artifact["digest"])
            told.setdefault(key, []).append(event)
    for key in load.pushed:
        # A client that was cut off pushes the same again: that is a second push, and says that it changed nothing.
        changed = [one for one in told.get(key, []) if not one.get("unchanged")]
        assert len(changed) == 1, (key, told.get(key))
    assert [one["seq"] for one in found] == list(range(len(found), 0, -1))


def test_a_stop_answers_what_the_registry_does_not(new_gateway):
    """Requests of every kind hang at the registry: the stop waits as long as it is told to, and then everybody hears of it."""
    false_registry = FalseRegistry()
    false_registry.on("", hangs)
    server = new_gateway(false_registry.url, settings={"limits.drain_ms": 300})
    oci, image, answers = Oci(server), Image(), []
    ways = [lambda: oci.request("GET", "/v2/team/app/manifests/1"), lambda: oci.request("GET", "/v2/team/app/tags/list"),
            lambda: oci.request("POST", "/v2/team/app/blobs/uploads/", body=b""),
            lambda: oci.request("PATCH", "/v2/team/app/blobs/uploads/1", body=b"x" * 100_000),
            lambda: oci.request("PUT", "/v2/team/app/manifests/1", body=image.manifest, headers={"Content-Type": MANIFEST})]

    def ask(way):
        try:
            answers.append(way().status)
        except RETRY as problem:
            answers.append(problem)

    threads = [threading.Thread(target=ask, args=(way,)) for way in ways]
    for thread in threads:
        thread.start()
    wait_until(lambda: len({one.target for one in false_registry.requests}) >= 4, "all have come to the registry")
    server.stop()
    for thread in threads:
        thread.join()
    false_registry.close()
    assert len(answers) == len(ways) and all(one == 503 or isinstance(one, RETRY) for one in answers), answers

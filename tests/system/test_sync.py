# SPDX-License-Identifier: Apache-2.0
"""`harbinger sync`: an existing registry comes into the catalogue without events, and what differs later is repaired."""
import http.server
import json
import sqlite3
import subprocess
import threading
import time

import pytest
from support.registry import free_port
from support.server import binary
from support.session_client import SessionClient
from support.waiting import BOUND_S, wait_until

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PATH = "/harbinger/sync"


def number(server, sql):
    connection = sqlite3.connect(f"file:{server.data}/harbinger.db?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchone()[0]
    finally:
        connection.close()


def rows(server, sql):
    connection = sqlite3.connect(f"file:{server.data}/harbinger.db?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


class FakeRegistry:
    """As many repositories as one likes, each with one tag, and a gate that can be closed: for what a real one, which
    would have to be filled first, cannot show in seconds."""

    def __init__(self, count, page=100):
        self.names = sorted(f"big/r{n:05}" for n in range(count))
        self.asked, self.gate, self.stop_at = [], threading.Event(), None
        self.gate.set()
        self.list_status = 200
        self.broken = set()
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def _answer(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def _catalogue(self):
                if fake.list_status != 200:
                    self._answer(fake.list_status)
                    return
                last = dict(p.split("=") for p in self.path.partition("?")[2].split("&")).get("last", "")
                found = [name for name in fake.names if name > last]
                link = {"Link": f'<http://registry.example.com/v2/_catalog?last={found[page - 1]}&n={page}>; rel="next"'} \
                    if len(found) > page else {}
                self._answer(200, json.dumps({"repositories": found[:page]}).encode(), **link)

            def do_GET(self):
                fake.asked.append(self.path)
                if fake.stop_at and fake.stop_at in self.path:
                    fake.gate.wait(BOUND_S)
                name = self.path[len("/v2/"):].split("/tags/")[0].split("/manifests/")[0].split("/blobs/")[0]
                if self.path.startswith("/v2/_catalog"):
                    self._catalogue()
                elif name in fake.broken:
                    self._answer(500)
                elif "/tags/list" in self.path:
                    self._answer(200, json.dumps({"name": name, "tags": ["v1"]}).encode()) if name in fake.names \
                        else self._answer(404)
                elif "/manifests/v1" in self.path:
                    self._answer(200, b"", Docker_Content_Digest=fake.digest(name))
                else:
                    self._answer(404)

            do_HEAD = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def digest(name):
        return "sha256:" + name.encode().hex().rjust(64, "0")[-64:]

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def fake():
    made = []

    def make(*arguments, **options):
        made.append(FakeRegistry(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def cli(api, *arguments, expect=0):
    """Runs a command as admin; what it says and what it complains about."""
    token = api.post("/harbinger/tokens", {"name": f"cli-{time.monotonic_ns()}"}).json["token"]
    done = subprocess.run([binary(), *arguments], env={"HARBINGER_URL": api.server.url, "HARBINGER_TOKEN": token},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=4 * BOUND_S, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout, done.stderr


def check(server):
    return subprocess.run([binary(), "check", "--catalogue", "--data", server.data], capture_output=True, text=True,
                          timeout=BOUND_S, check=False)


def test_a_registry_in_use_comes_into_the_catalogue_without_events(new_server, new_registry, images, api_of):
    port = free_port()
    server = new_server(settings={"upstream.url": f"http://127.0.0.1:{port}"})
    registry = new_registry(None, port=port)
    api = api_of(server)
    api.project("team")
    one, two, index = images.make(platform=("linux", "arm64")), images.make(), images.make_index()
    images.push(one, registry, "team/app:v1")
    images.push(one, registry, "team/app:v2")
    images.push(two, registry, "other/web/api:v1")
    images.push(two, registry, "alone:v1")
    images.push(index, registry, "team/many:v1", everything=True)
    out, _ = cli(api, "sync")
    assert "Read 4 repositories: 5 tags added, 0 moved, 0 removed" in out
    assert number(server, "SELECT count(*) FROM event") == 0
    found = {(p, r, t): d for p, r, t, d in rows(server, "SELECT p.name, r.name, g.name, a.digest FROM tag g JOIN artifact a "
             "ON a.id = g.artifact_id JOIN repository r ON r.id = g.repository_id JOIN project p ON p.id = r.project_id")}
    assert found == {("team", "app", "v1"): images.digest(one), ("team", "app", "v2"): images.digest(one),
                     ("other", "web/api", "v1"): images.digest(two), ("library", "alone", "v1"): images.digest(two),
                     ("team", "many", "v1"): images.digest(index)}
    artifact = api.get("/projects/team/repositories/app/artifacts/v1").json
    assert artifact["extra_attrs"] == {"os": "linux", "architecture": "arm64"} and artifact["size"] > 0
    assert artifact["manifest_media_type"] == MANIFEST
    assert api.get("/projects/team/repositories/many/artifacts/v1").json["size"] > artifact["size"]
    out, _ = cli(api, "sync")
    assert "0 tags added, 0 moved, 0 removed" in out
    done = check(server)
    assert done.returncode == 0 and "sound" in done.stdout


def test_what_differs_is_found_by_check_and_repaired_by_sync(new_server, new_registry, images, api_of):
    port = free_port()
    server = new_server(settings={"upstream.url": f"http://127.0.0.1:{port}"})
    registry = new_registry(None, port=port)
    api = api_of(server)
    one, two = images.make(), images.make()
    for name in ("team/app:stays", "team/app:moves", "team/gone:v1", "team/half:v1", "team/half:v2"):
        images.push(one, registry, name)
    api.sync()
    images.push(two, registry, "team/app:moves")
    images.push(two, registry, "team/app:new")
    images.push(two, registry, "team/half:v2")
    images.push(two, registry, "fresh/app:v1")
    images.delete(registry, "team/gone:v1")
    images.delete(registry, "team/half:v1")
    done = check(server)
    assert done.returncode == 1
    for words in ("team/app: tag moves is ", "team/app: tag new is in the registry only", "team/gone is not in the registry",
                  "team/half: tag v1 is not in the registry", f"team/half: {images.digest(one)} is not in the registry",
                  "fresh/app: tag v1 is in the registry only", "`harbinger sync` makes"):
        assert words in done.stdout, words
    state = api.sync()
    counts = state["counts"]
    assert (counts["added"], counts["moved"], counts["removed_tags"], counts["removed_repositories"]) == (2, 2, 2, 1)
    assert "error" not in state and "repaired: team/app: tag moves" in server.log()
    done = check(server)
    assert done.returncode == 0, done.stdout
    assert number(server, "SELECT count(*) FROM event") == 0
    assert number(server, "SELECT count(*) FROM artifact") == 4  # one and two in app, two in half and fresh


def test_one_project_alone_and_projects_that_may_not_be_made(new_server, fake, api_of):
    registry = fake(3)
    registry.names += ["small/app"]
    server = new_server(settings={"upstream.url": registry.url, "ingest.unknown_project": "refuse"})
    api = api_of(server)
    api.project("small")
    state = api.sync(project="small")
    assert state["project"] == "small" and state["counts"]["repositories"] == 1 and state["counts"]["added"] == 1
    _, err = cli(api, "sync", expect=1)
    assert "big/r00000" in err and "harbinger project create" in err
    assert api.get(PATH).json["counts"]["refused"] == 3
    assert [p for p, in rows(server, "SELECT name FROM project")].count("big") == 0


def test_a_killed_sync_goes_on_where_it_was(new_server, fake, api_of):
    registry = fake(1000)
    server = new_server(settings={"upstream.url": registry.url})
    api = api_of(server)
    registry.stop_at = "r00700/tags/list"
    registry.gate.clear()
    api.post(PATH, {}, expect=202)
    wait_until(lambda: any(registry.stop_at in path for path in registry.asked), "it has come to the seven hundredth")
    server.kill()
    registry.gate.set()
    registry.stop_at = None
    first = number(server, "SELECT count(*) FROM tag")
    assert 600 <= first <= 700
    registry.asked.clear()
    server.start()
    state = api.sync()
    assert state["counts"]["resumed"] and "error" not in state
    assert number(server, "SELECT count(*) FROM tag") == 1000
    assert sum("/tags/list" in path for path in registry.asked) <= 1000 - 600
    assert not api.sync()["counts"]["resumed"]  # it had come to its end


def test_a_stopped_sync_keeps_what_it_has_read(new_server, fake, api_of):
    registry = fake(300)
    server = new_server(settings={"upstream.url": registry.url})
    api = api_of(server)
    api.delete(PATH, expect=404)
    assert api.get(PATH).json == {"running": False}
    registry.stop_at = "r00150/tags/list"
    registry.gate.clear()
    api.post(PATH, {}, expect=202)
    wait_until(lambda: any(registry.stop_at in path for path in registry.asked), "it is under way")
    api.post(PATH, {}, expect=409)
    state = api.get(PATH).json
    assert state["running"] and state["what"] == "reading the registry"
    out, _ = cli(api, "sync", "--stop")
    assert "kept" in out
    api.delete(PATH)  # it ends with the answer that it waits for
    registry.gate.set()
    state = api.sync_ended()
    assert "interrupted" in state["error"]
    assert number(server, "SELECT count(*) FROM tag") == 150
    assert api.sync()["counts"]["resumed"]
    assert number(server, "SELECT count(*) FROM tag") == 300
    assert ["sync", "stop", "stop", "sync"] == [entry["operation"] for entry in api.get(
        "/harbinger/audit?q=kind%3Dcatalogue&sort=id").json]


def test_a_stop_of_the_server_ends_a_sync(new_server, fake, api_of):
    registry = fake(10)
    server = new_server(settings={"upstream.url": registry.url, "limits.drain_ms": 100})
    registry.stop_at = "r00005/tags/list"
    registry.gate.clear()
    api_of(server).post(PATH, {}, expect=202)
    wait_until(lambda: any(registry.stop_at in path for path in registry.asked), "it is under way")
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5


def test_what_the_registry_does_not_tell_is_said(new_server, fake, api_of):
    registry = fake(5)
    registry.broken = {"big/r00002"}
    server = new_server(settings={"upstream.url": registry.url})
    api = api_of(server)
    counts = api.sync()["counts"]
    assert counts["added"] == 4 and counts["unreadable"] == 1 and "answers 500" in counts["trouble"]
    registry.list_status = 405
    assert "405 to /v2/_catalog" in api.sync()["error"]
    done = check(server)
    assert done.returncode == 0 and "answers 405 to /v2/_catalog" in done.stdout
    registry.list_status = 401
    assert "upstream.authorization" in api.sync()["error"]


def test_who_may_sync_and_what_is_refused(server, api):
    assert "upstream.url" in api.post(PATH, {}, expect=412).message
    assert "name of a project" in api.post(PATH, {"project": "No Such"}, expect=400).message
    api.post(PATH, {"project": 7}, expect=422)
    browser = SessionClient(server)
    browser.login()
    browser.send("POST", PATH, b"{}", {"Content-Type": "application/json"}, expect=403)
    browser.send("DELETE", PATH, b"", {}, expect=403)


@pytest.mark.long
def test_ten_thousand_repositories_with_bounded_memory(new_server, fake, api_of):
    registry = fake(10_000)
    server = new_server(settings={"upstream.url": registry.url})
    api = api_of(server)
    before = server.resident_bytes()
    began = time.monotonic()
    api.post(PATH, {}, expect=202)
    state = wait_until(lambda: (lambda one: None if one["running"] else one)(api.get(PATH).json), "it has ended", bound_s=40 * BOUND_S)
    print(f"10,000 repositories in {time.monotonic() - began:.0f} s, {(server.resident_bytes() - before) >> 20} MiB more")
    assert state["counts"]["added"] == 10_000 and server.resident_bytes() - before < 64 << 20

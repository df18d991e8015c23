# SPDX-License-Identifier: Apache-2.0
"""Harbor's paths that change the registry: they go the way of /v2/ and make the same events, whatever the registry answers."""
import http.server
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.api import Api
from support.registry import Registry, envelope, free_port, notification
from support.server import binary
from support.session_client import SessionClient
from support.upstream import FalseRegistry, reply
from support.waiting import BOUND_S, wait_until

OPERATIONS = (("DELETE", "", None), ("DELETE", "/artifacts/v1", None), ("POST", "/artifacts/v1/tags", {"name": "v2"}),
              ("DELETE", "/artifacts/v1/tags/v1", None))


class World:
    """A server in front of a real registry that notifies nobody: what happens is known from us alone."""

    def __init__(self, server, registry):
        self.server, self.registry, self.api = server, registry, Api(server)

    def events(self, project, event_type):
        return [one for one in self.api.get(f"/projects/{project}/events", query={"sort": "seq"}).json
                if one["type"] == event_type]

    def base(self, project, name="app"):
        return f"/projects/{project}/repositories/{name}"

    def tags(self, project, name="app"):
        artifacts = self.api.get(f"{self.base(project, name)}/artifacts").json
        return {tag["name"]: one["digest"] for one in artifacts for tag in one["tags"] or []}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Servers and registries of this module, ended together."""
    from support.server import Server
    ends = []

    def make(**options):
        port = free_port()
        server = Server(tmp_path_factory.mktemp("server"), settings={"upstream.url": f"http://127.0.0.1:{port}"})
        server.start()
        registry = Registry(tmp_path_factory.mktemp("registry"), None, port=port, **options)
        ends.append((server, registry))
        return World(server, registry)

    yield make
    for server, registry in ends:
        registry.stop()
        server.keep_metrics()
        server.stop()


@pytest.fixture(scope="module")
def world(made):
    return made()


def audit(api, answer):
    (entry,) = api.get("/harbinger/audit", query={"q": f"request_id={answer.header('X-Request-Id')}"}).json
    return entry["operation"], entry["kind"], entry["subject"], entry["project"], entry["actor"]


def test_a_deleted_artifact_goes_with_all_its_tags_as_one_event(world, images):
    image = images.make()
    for tag in ("v1", "v2"):
        images.push(image, world.registry, f"arts/app:{tag}")
    world.api.sync(project="arts")
    answer = world.api.delete(f"{world.base('arts')}/artifacts/v1")
    (event,) = world.events("arts", "DELETE_ARTIFACT")
    (artifact,) = event["artifacts"]
    assert artifact["digest"] == images.digest(image) and sorted(artifact["tags"]) == ["v1", "v2"]
    assert event["actor"]["name"] == "admin" and event["source"]["kind"] == "gateway"
    assert world.tags("arts") == {}
    assert audit(world.api, answer) == ("delete", "artifact", f"arts/app@{images.digest(image)}", "arts", "admin")
    world.api.delete(f"{world.base('arts')}/artifacts/v1", expect=404)
    world.api.sync(project="arts")
    assert world.api.get(f"{world.base('arts')}/artifacts").json == []  # it is gone there, too


def test_a_new_tag_is_a_push_of_the_same_manifest(world, images):
    image, other = images.make(platform=("linux", "arm64")), images.make()
    images.push(image, world.registry, "tags/app:v1")
    images.push(other, world.registry, "tags/app:other")
    world.api.sync(project="tags")
    path = f"{world.base('tags')}/artifacts/{images.digest(image)}/tags"
    answer = world.api.post(path, {"name": "v2"})
    (event,) = world.events("tags", "PUSH_ARTIFACT")
    assert event["artifacts"][0]["tags"] == ["v2"] and event["artifacts"][0]["digest"] == images.digest(image)
    assert event["client"]["address"] == "127.0.0.1"
    assert world.tags("tags") == {"v1": images.digest(image), "v2": images.digest(image), "other": images.digest(other)}
    assert audit(world.api, answer) == ("create", "tag", "tags/app:v2", "tags", "admin")
    images.pull(world.registry, "tags/app:v2")
    assert "already exists" in world.api.post(path, {"name": "other"}, expect=409).message
    assert "v2" in world.tags("tags")


def test_a_tag_that_the_registry_cannot_delete_is_501_with_what_else_to_do(world, images):
    image = images.make()
    images.push(image, world.registry, "one/app:v1")
    world.api.sync(project="one")
    answer = world.api.delete(f"{world.base('one')}/artifacts/v1/tags/v1", expect=501)
    assert "status 400" in answer.message and "Delete the artifact" in answer.message
    assert world.tags("one") == {"v1": images.digest(image)} and world.events("one", "DELETE_ARTIFACT") == []
    assert world.api.get("/harbinger/audit", query={"q": f"request_id={answer.header('X-Request-Id')}"}).json == []


def test_a_registry_that_deletes_tags_keeps_the_artifact(new_server):
    digest = "sha256:" + "5" * 64
    registry = FalseRegistry()
    try:
        registry.on("HEAD /v2/team/app/manifests/", reply(200, headers={"Docker-Content-Digest": digest}))
        registry.on("DELETE /v2/team/app/manifests/v1", reply(202))
        server = new_server(settings={"upstream.url": registry.url})
        for tag in ("v1", "v2"):
            server.ingest(envelope(notification(repository="team/app", tag=tag, digest=digest)))
        api = Api(server)
        answer = api.delete("/projects/team/repositories/app/artifacts/v1/tags/v1")
        assert audit(api, answer)[:2] == ("delete", "tag")
        (artifact,) = api.get("/projects/team/repositories/app/artifacts").json
        assert artifact["digest"] == digest and [tag["name"] for tag in artifact["tags"]] == ["v2"]
        assert [one["type"] for one in api.get("/projects/team/events").json] == ["PUSH_ARTIFACT"] * 2
    finally:
        registry.close()


def test_a_deleted_repository_goes_artifact_by_artifact(world, images):
    digests = set()
    for number in range(3):
        image = images.make()
        digests.add(images.digest(image))
        images.push(image, world.registry, f"repos/web/api:v{number}")
    world.api.sync(project="repos")
    answer = world.api.delete(world.base("repos", "web%252Fapi"))
    assert {one["artifacts"][0]["digest"] for one in world.events("repos", "DELETE_ARTIFACT")} == digests
    assert world.api.get("/projects/repos/repositories").json == []
    assert audit(world.api, answer) == ("delete", "repository", "repos/web/api", "repos", "admin")
    world.api.delete("/projects/repos")  # nothing holds it any more


def test_what_only_the_catalogue_has_is_forgotten_without_an_event(world, images):
    image = images.make()
    images.push(image, world.registry, "late/app:v1")
    images.push(image, world.registry, "late/more:v1")
    world.api.sync(project="late")
    images.delete(world.registry, "late/app:v1")
    images.delete(world.registry, "late/more:v1")
    assert "not have it any more" in world.api.post(f"{world.base('late')}/artifacts/v1/tags", {"name": "v2"},
                                                    expect=404).message
    assert "forgotten" in world.api.delete(f"{world.base('late')}/artifacts/v1", expect=404).message
    assert world.tags("late") == {} and world.events("late", "DELETE_ARTIFACT") == []
    world.api.delete(world.base("late", "more"))
    assert [one["name"] for one in world.api.get("/projects/late/repositories").json] == ["late/app"]


def test_a_bare_name_of_the_registry_is_not_taken_for_gone(world, images):
    image = images.make()
    images.push(image, world.registry, "alone:v1")
    world.api.sync(project="library")
    answer = world.api.delete(f"{world.base('library', 'alone')}/artifacts/v1", expect=412)
    assert "without a project" in answer.message
    assert world.tags("library", "alone") == {"v1": images.digest(image)}


def test_a_registry_with_deletes_switched_off_says_where_to_switch_them_on(made, images):
    world = made(deletes=False)
    image = images.make()
    images.push(image, world.registry, "team/app:v1")
    world.api.sync()
    for path in ("", "/artifacts/v1"):
        assert "storage.delete.enabled" in world.api.delete(world.base("team") + path, expect=412).message
    assert world.tags("team") == {"v1": images.digest(image)}


def test_a_registry_that_is_gone_is_503_in_words_and_nothing_has_changed(made, images):
    world = made()
    image = images.make()
    images.push(image, world.registry, "team/app:v1")
    world.api.sync()
    world.registry.stop()
    for method, path, body in OPERATIONS:
        answer = world.api.request(method, world.base("team") + path, body, expect=503)
        assert "registry" in answer.message and answer.header("Retry-After")
    assert world.tags("team") == {"v1": images.digest(image)} and world.events("team", "DELETE_ARTIFACT") == []


def test_changes_need_the_csrf_token_of_a_browser(world, images):
    images.push(images.make(), world.registry, "csrf/app:v1")
    world.api.sync(project="csrf")
    browser = SessionClient(world.server)
    browser.login()
    for method, path, body in OPERATIONS:
        browser.send(method, world.base("csrf") + path, b'{"name":"v2"}' if body else b"",
                     {"Content-Type": "application/json"}, expect=403)
    assert list(world.tags("csrf")) == ["v1"]


class SlowRegistry:
    """Answers nothing until it is let go."""

    def __init__(self):
        self.gate, self.waiting = threading.Event(), []
        slow = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                slow.waiting.append(f"{self.command} {self.path}")
                slow.gate.wait(4 * BOUND_S)
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_HEAD = do_DELETE = do_PUT = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def slow():
    one = SlowRegistry()
    yield one
    one.close()


def slow_server(new_server, slow):
    server = new_server(settings={"upstream.url": slow.url, "limits.drain_ms": 200})
    digests = ["sha256:" + f"{n:064x}" for n in range(3)]
    server.ingest(envelope(*[notification(repository=f"team/app{n}", tag="v1", digest=digest)
                             for n, digest in enumerate(digests)]))
    return server


def test_a_slow_registry_holds_up_two_changes_and_nobody_else(new_server, slow):
    server = slow_server(new_server, slow)
    api = Api(server)
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(api.request, "DELETE", f"/projects/team/repositories/app{n}/artifacts/v1") for n in (0, 1)]
        wait_until(lambda: all(any(f"{name}/" in asked and not asked.startswith("GET") for asked in slow.waiting)
                               for name in ("app0", "app1")),
                   "both have come to the registry")
        for method, path, body in OPERATIONS:
            answer = api.request(method, "/projects/team/repositories/app2" + path, body, expect=429)
            assert "as many as run at once" in answer.message
        began = time.monotonic()
        api.get("/projects/team/repositories")
        assert time.monotonic() - began < 2
        slow.gate.set()
        assert [one.result(timeout=2 * BOUND_S).status for one in held] == [404, 404]


def test_a_stop_does_not_wait_for_changes_through_the_api(new_server, slow):
    server = slow_server(new_server, slow)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(Api(server).request, "DELETE", "/projects/team/repositories/app0/artifacts/v1")
        wait_until(lambda: any("app0/" in asked and not asked.startswith("GET") for asked in slow.waiting), "it has come to the registry")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 10  # of the 35 s that it would have waited
        assert held.exception(timeout=BOUND_S) or held.result().status == 503


def test_the_same_by_the_commands(world, images):
    image = images.make()
    images.push(image, world.registry, "words/web/api:v1")
    world.api.sync(project="words")
    env = {"HARBINGER_URL": world.server.url,
           "HARBINGER_TOKEN": world.api.post("/harbinger/tokens", {"name": f"cli-{time.monotonic_ns()}"}).json["token"]}

    def cli(*arguments, code=0):
        done = subprocess.run([binary(), *arguments], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=BOUND_S, check=False)
        assert done.returncode == code, done.stdout
        return done.stdout

    assert "words/web/api" in cli("repository", "ls", "--project", "words")
    assert "is now also v2" in cli("tag", "add", "words/web/api:v1", "v2")
    assert "v1, v2" in cli("artifact", "ls", "words/web/api")
    assert images.digest(image) in cli("artifact", "show", f"words/web/api@{images.digest(image)}")
    assert "Delete the artifact" in cli("tag", "delete", "words/web/api:v2", code=1)
    assert "names no tag" in cli("tag", "delete", f"words/web/api@{images.digest(image)}", code=2)
    assert "does not name an artifact" in cli("artifact", "delete", "words/web/api", code=2)
    assert "deleted words/web/api:v2" in cli("artifact", "delete", "words/web/api:v2")
    assert "deleted words/web/api" in cli("repository", "delete", "words/web/api")

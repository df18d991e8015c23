# SPDX-License-Identifier: Apache-2.0
"""A real docker-registry tells of what skopeo does with it; the server makes events of it, and completes what the
notifications leave out by asking the registry. The fence of these tests: a registry sends its notifications one after the
other, so that once a later push has become an event, all that was sent before it has been dealt with."""
import hashlib
import http.client
import itertools
import json
import pathlib

import pytest

from support.registry import Registry, envelope, free_port, notification
from support.server import INGEST_TOKEN, Server
from support.waiting import wait_until

V2 = "application/vnd.docker.distribution.events.v2+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ALL = ("PUSH_ARTIFACT", "PULL_ARTIFACT", "DELETE_ARTIFACT")
_fences = itertools.count(1)


@pytest.fixture(scope="module")
def upstream_port():
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory, upstream_port):
    """That of conftest.py, which also knows the registry as its upstream."""
    one = Server(tmp_path_factory.mktemp("server"), settings={"upstream.url": f"http://127.0.0.1:{upstream_port}"})
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def registry(server, upstream_port, tmp_path_factory):
    one = Registry(tmp_path_factory.mktemp("registry"), f"{server.url}/ingest/distribution", port=upstream_port)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def fence_image(images):
    return images.make()


class Street:
    """One project of the server, with a webhook for all that a registry does."""

    def __init__(self, server, api, registry, images, project, receiver, fence_image):
        self.server, self.api, self.registry, self.images = server, api, registry, images
        self.project, self.fence_image = project, fence_image
        api.webhook(project, receiver.url, events=ALL)

    def events(self, repository="app"):
        """The events of a repository, oldest first."""
        found = self.api.get(f"/projects/{self.project}/events", query={"page_size": 100}).json
        return [one for one in reversed(found) if one["repository"]["name"] == repository]

    def fence(self):
        """Comes back when all that the registry has sent so far has been dealt with."""
        name = f"fence-{next(_fences)}"
        self.images.push(self.fence_image, self.registry, f"{self.project}/{name}:v1")
        wait_until(lambda: self.events(name), "the fence's own push became an event")

    def settled(self, repository="app"):
        self.fence()
        return self.events(repository)

    def push(self, image, name="app:v1", **options):
        self.images.push(image, self.registry, f"{self.project}/{name}", **options)

    def notes(self, repository="app"):
        found = self.api.get("/harbinger/ingest-log", query={"page_size": 100}).json
        return [one for one in found if one["repository"] == f"{self.project}/{repository}"]

    def artifact(self, reference, repository="app"):
        return self.api.get(f"/projects/{self.project}/repositories/{repository}/artifacts/{reference}").json

    def take(self, *events, **options):
        """Sends an envelope; the server's answer to it."""
        status, _, body = self.server.ingest(envelope(*events), **options)
        assert status == 200, body
        return json.loads(body)


@pytest.fixture
def street(server, api, registry, images, project, receiver, fence_image):
    return Street(server, api, registry, images, project, receiver, fence_image)


def blob(image, digest):
    return pathlib.Path(image.rsplit(":", 1)[0], "blobs", "sha256", digest.split(":", 1)[1]).read_bytes()


def whole_size(image, digest):
    """Of a manifest with its configuration and its layers."""
    raw = blob(image, digest)
    manifest = json.loads(raw)
    return len(raw) + manifest["config"]["size"] + sum(layer["size"] for layer in manifest["layers"])


def types(events):
    return [one["type"] for one in events]


def test_push_by_tag_is_one_event(street, receiver):
    image = street.images.make()
    street.push(image)
    sent = receiver.next().json
    assert sent["type"] == "PUSH_ARTIFACT"
    resource = sent["event_data"]["resources"][0]
    assert resource["digest"] == street.images.digest(image)
    assert resource["tag"] == "v1"
    assert resource["resource_url"] == f"{street.registry.address}/{street.project}/app:v1"
    events = street.settled()
    assert types(events) == ["PUSH_ARTIFACT"]
    assert events[0]["actor"]["kind"] == "anonymous"
    assert events[0]["client"]["address"] == "127.0.0.1"
    assert "blob" in [note["reason"] for note in street.notes()]


def test_push_by_digest_has_no_tag(street):
    image = street.images.make()
    digest = street.images.digest(image)
    street.push(image, f"app@{digest}")
    events = street.settled()
    assert types(events) == ["PUSH_ARTIFACT"]
    assert events[0]["artifacts"][0]["digest"] == events[0]["artifacts"][0]["reference"] == digest
    assert not events[0]["artifacts"][0].get("tags")


def test_size_and_platform_of_an_image_are_asked_from_the_registry(street):
    image = street.images.make(platform=("linux", "arm64"))
    digest = street.images.digest(image)
    street.push(image)
    street.fence()
    size = whole_size(image, digest)
    found = wait_until(lambda: (lambda one: one if one.get("size") == size else None)(street.artifact("v1")),
                       f"the catalogue knows the size {size}")
    assert found["digest"] == digest
    assert found["manifest_media_type"] == MANIFEST
    assert found["extra_attrs"]["architecture"] == "arm64"
    assert found["extra_attrs"]["os"] == "linux"


def test_index_of_two_platforms_with_its_children(street):
    image = street.images.make_index()
    digest = street.images.digest(image)
    children = [one["digest"] for one in json.loads(blob(image, digest))["manifests"]]
    street.push(image, everything=True)
    events = street.settled()
    assert types(events) == ["PUSH_ARTIFACT"] * 3  # clients push the children first
    assert sorted(one["artifacts"][0]["digest"] for one in events[:2]) == sorted(children)
    assert not any(one["artifacts"][0].get("tags") for one in events[:2])
    assert events[2]["artifacts"][0]["digest"] == digest
    assert events[2]["artifacts"][0]["kind"] == "index"
    assert events[2]["artifacts"][0]["tags"] == ["v1"]
    size = len(blob(image, digest)) + sum(whole_size(image, child) for child in children)
    wait_until(lambda: street.artifact("v1").get("size") == size, f"the catalogue knows the size {size} of the index")


def test_facts_of_a_name_without_a_slash_are_found(street):
    image = street.images.make()
    name = f"hello-{street.project}"
    street.images.push(image, street.registry, f"{name}:v1")
    street.fence()
    path = f"/projects/library/repositories/{name}/artifacts/v1"
    size = whole_size(image, street.images.digest(image))
    wait_until(lambda: street.api.get(path).json.get("size") == size, "the catalogue knows the size")


def test_pull_is_an_event_and_head_is_none(street):
    image = street.images.make()
    digest = street.images.digest(image)
    street.push(image)
    street.images.pull(street.registry, f"{street.project}/app:v1")
    events = street.settled()
    assert types(events) == ["PUSH_ARTIFACT", "PULL_ARTIFACT"]
    assert events[1]["artifacts"][0]["digest"] == digest

    status, headers, _ = head(street.registry, f"/v2/{street.project}/app/manifests/v1")
    assert (status, headers["docker-content-digest"]) == (200, digest)
    assert types(street.settled()) == ["PUSH_ARTIFACT", "PULL_ARTIFACT"]
    assert "head" in [note["reason"] for note in street.notes()]


def head(registry, path):
    connection = http.client.HTTPConnection("127.0.0.1", registry.port)
    try:
        connection.request("HEAD", path, headers={"Accept": MANIFEST})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_pull_that_no_webhook_asks_for_is_not_written(street, api):
    other = f"{street.project}-quiet"
    api.project(other)
    image = street.images.make()
    street.images.push(image, street.registry, f"{other}/app:v1")
    street.images.pull(street.registry, f"{other}/app:v1")
    street.fence()
    assert [one["type"] for one in api.get(f"/projects/{other}/events").json] == ["PUSH_ARTIFACT"]
    reasons = [one["reason"] for one in api.get("/harbinger/ingest-log", query={"page_size": 100}).json
               if one["repository"] == f"{other}/app"]
    assert "pull that no webhook asks for" in reasons


def test_skopeo_delete_is_one_delete_with_all_tags_and_size(street, receiver):
    image = street.images.make()
    digest = street.images.digest(image)
    for tag in ("v1", "v2", "latest"):
        street.push(image, f"app:{tag}")
    street.fence()
    size = whole_size(image, digest)
    wait_until(lambda: street.artifact("v1").get("size") == size, "the catalogue knows the size")
    street.images.delete(street.registry, f"{street.project}/app:v2")
    events = street.settled()
    # The GET is one that skopeo really makes.
    assert types(events) == ["PUSH_ARTIFACT"] * 3 + ["PULL_ARTIFACT", "DELETE_ARTIFACT"]
    gone = events[-1]["artifacts"][0]
    assert gone["digest"] == digest
    assert sorted(gone["tags"]) == ["latest", "v1", "v2"]
    assert gone.get("size") == size
    assert [note["reason"] for note in street.notes()].count("tag of a delete") == 3
    sent = [one.json for one in receiver.take(5 + 2)]  # and the two fences
    deletes = [one for one in sent if one["type"] == "DELETE_ARTIFACT"]
    assert len(deletes) == 1
    shown = deletes[0]["event_data"]["harbinger"]["artifacts"][0]
    assert sorted(shown["tags"]) == ["latest", "v1", "v2"]
    assert shown["size"] == size
    street.api.get(f"/projects/{street.project}/repositories/app/artifacts/{digest}", expect=404)


@pytest.mark.parametrize("first", ["digest", "tag"])
def test_delete_is_one_event_whichever_notification_comes_first(street, first):
    pushed = notification(repository=f"{street.project}/app", tag="v1")
    digest = pushed["target"]["digest"]
    again = notification(repository=f"{street.project}/app", tag="v2", digest=digest)
    parts = [notification("delete", f"{street.project}/app", digest=digest, request_id="one-delete")]
    tags = [notification("delete", f"{street.project}/app", tag=tag, request_id="one-delete") for tag in ("v1", "v2")]
    parts = parts + tags if first == "digest" else tags + parts
    assert street.take(pushed, again)["events"] == 2
    made = sum(street.take(part)["events"] for part in parts)  # one in each envelope, as registries send them
    assert made == 1
    assert street.events()[-1]["artifacts"][0]["tags"] == ["v1", "v2"]


def test_delete_of_an_unknown_digest_has_the_digest_alone(street):
    digest = "sha256:" + hashlib.sha256(street.project.encode()).hexdigest()
    event = notification("delete", f"{street.project}/app", digest=digest)
    assert street.take(event) == {"accepted": 1, "events": 1}
    artifact = street.events()[0]["artifacts"][0]
    assert artifact["digest"] == digest
    assert not artifact.get("tags")
    assert artifact.get("size") is None


def test_version_2_delete_with_empty_members(street):
    pushed = notification(repository=f"{street.project}/app", tag="v1")
    digest = pushed["target"]["digest"]
    gone = notification("delete", f"{street.project}/app", digest=digest, request_id="r")
    gone["target"] = {"mediaType": "", "digest": digest, "size": 0, "repository": f"{street.project}/app"}
    tag = notification("delete", f"{street.project}/app", tag="v1", request_id="r")
    tag["target"] = {"mediaType": "", "digest": "", "size": 0, "repository": f"{street.project}/app", "tag": "v1"}
    assert street.take(pushed, content_type=V2)["events"] == 1
    assert street.take(gone, content_type=V2)["events"] == 1
    assert street.take(tag, content_type=V2)["events"] == 0
    assert types(street.events()) == ["PUSH_ARTIFACT", "DELETE_ARTIFACT"]
    assert street.events()[1]["artifacts"][0]["tags"] == ["v1"]


def test_same_envelope_again_makes_no_second_event(street, server):
    sent = [notification(repository=f"{street.project}/app", tag=f"v{i}") for i in range(3)]
    assert street.take(*sent) == {"accepted": 3, "events": 3}
    assert street.take(*sent) == {"accepted": 3, "events": 0}
    server.stop()
    server.start()  # another port, but nothing is forgotten
    assert street.take(*sent) == {"accepted": 3, "events": 0}
    assert len(street.events()) == 3
    assert [note["reason"] for note in street.notes()] == ["duplicate"] * 6


def test_10_mib_and_one_byte_stores_nothing(street, server):
    limit = 10 * 1024 * 1024
    whole = json.dumps(envelope(notification(repository=f"{street.project}/app", tag="v1"))).encode()
    status, _, body = server.ingest(whole + b" " * (limit + 1 - len(whole)))
    assert status == 413, body
    assert not street.events()
    assert server.ingest(whole + b" " * (limit - len(whole)))[0] == 200
    assert len(street.events()) == 1


def test_10001_events_store_nothing_and_10000_are_taken(street, server):
    def small(i):
        return {"id": f"{street.project}-{i}", "action": "push", "target": {
            "mediaType": MANIFEST, "digest": "sha256:" + f"{i:064x}", "repository": f"{street.project}/app"}}
    status, _, body = server.ingest(envelope(*map(small, range(10001))))
    assert status == 413, body
    assert "10000" in json.loads(body)["errors"][0]["message"]
    assert not street.events() and not street.notes()
    assert street.take(*map(small, range(10000))) == {"accepted": 10000, "events": 10000}
    newest = street.api.get(f"/projects/{street.project}/events", query={"page_size": 1}).json[0]
    assert newest["seq"] == 10000


@pytest.mark.parametrize("token", [None, "", "wrong", INGEST_TOKEN + "x", INGEST_TOKEN[:-1]])
def test_wrong_token_is_401_and_stores_nothing(street, server, token):
    status, headers, body = server.ingest(envelope(notification(repository=f"{street.project}/app", tag="v1")), token=token)
    assert status == 401
    assert headers["www-authenticate"].startswith("Bearer")
    assert "ingest.token" in json.loads(body)["errors"][0]["message"]
    assert not street.events() and not street.notes()


def test_without_a_token_set_nobody_may_send_and_the_words_say_what_to_set(new_server):
    server = new_server(settings={"ingest.token": None})
    status, _, body = server.ingest(envelope())
    assert status == 401
    assert "HARBINGER_INGEST_TOKEN" in json.loads(body)["errors"][0]["message"]


def test_unknown_project_is_created(street):
    name = f"{street.project}-new"
    assert street.take(notification(repository=f"{name}/app", tag="v1"))["events"] == 1
    assert street.api.get(f"/projects/{name}").json["metadata"]["public"] == "false"
    assert [one["type"] for one in street.api.get(f"/projects/{name}/events").json] == ["PUSH_ARTIFACT"]


def test_unknown_project_is_refused_when_set(new_server, api_of):
    server = new_server(settings={"ingest.unknown_project": "refuse"})
    api = api_of(server)
    status, _, body = server.ingest(envelope(notification(repository="nobody/app", tag="v1")))
    assert (status, json.loads(body)) == (200, {"accepted": 1, "events": 0})
    api.head("/projects", query={"project_name": "nobody"}, expect=404)
    assert [note["reason"] for note in api.get("/harbinger/ingest-log").json] == ["no project"]


def test_name_without_a_slash_belongs_to_library(street):
    name = f"plain-{street.project}"
    assert street.take(notification(repository=name, tag="v1"))["events"] == 1
    found = street.api.get("/projects/library/events", query={"page_size": 100}).json
    event = next(one for one in found if one["repository"]["name"] == name)
    assert event["artifacts"][0]["tags"] == ["v1"]


@pytest.mark.parametrize("first", ["Upper", "a__b", "-x"])
def test_first_component_outside_the_grammar_makes_no_event(street, first):
    event = notification(repository=f"{first}/{street.project}", tag="v1")
    assert street.take(event) == {"accepted": 1, "events": 0}
    found = street.api.get("/harbinger/ingest-log", query={"page_size": 100}).json
    reasons = [one["reason"] for one in found if one["repository"] == f"{first}/{street.project}"]
    assert reasons == ["not a project name"]


def test_one_malformed_notification_does_not_hold_up_the_others(street):
    good = [notification(repository=f"{street.project}/app", tag=f"v{i}") for i in range(2)]
    bad = notification(repository=f"{street.project}/app", tag="not a tag")
    assert street.take(good[0], bad, good[1]) == {"accepted": 3, "events": 2}
    assert [note["reason"] for note in street.notes()] == ["malformed"]


def test_facts_that_an_earlier_run_did_not_get_are_asked_at_the_next_start(new_server, api_of, images):
    port = free_port()
    server = new_server(settings={"upstream.url": f"http://127.0.0.1:{port}"})
    api = api_of(server)
    image = images.make()
    digest = images.digest(image)
    # Nobody is there to be asked: the event does not wait for it.
    assert server.ingest(envelope(notification(repository="team/app", tag="v1", digest=digest)))[0] == 200
    path = "/projects/team/repositories/app/artifacts/v1"
    assert api.get(path).json["digest"] == digest
    registry = Registry(server.folder / "registry", None, port=port)
    try:
        images.push(image, registry, "team/app:v1")
        server.stop()
        server.start()
        size = whole_size(image, digest)
        wait_until(lambda: api.get(path).json.get("size") == size, "the catalogue knows the size")
    finally:
        registry.stop()

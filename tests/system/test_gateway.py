# SPDX-License-Identifier: Apache-2.0
"""/v2/ in front of a real docker-registry: every end-point of the OCI distribution specification 1.1, and what it becomes.

    end-point                                        tested by
    GET /v2/                                         test_base_*
    GET /v2/_catalog                                 test_catalog_*
    GET /v2/NAME/tags/list                           test_tags_*
    HEAD, GET /v2/NAME/manifests/REF                 test_manifest_is_pulled_*, test_pull_*
    PUT /v2/NAME/manifests/REF                       test_push_*, test_manifest_*
    DELETE /v2/NAME/manifests/REF                    test_delete_*
    HEAD, GET /v2/NAME/blobs/DIGEST                  test_blob_*
    DELETE /v2/NAME/blobs/DIGEST                     test_blob_is_deleted
    POST /v2/NAME/blobs/uploads/                     test_upload_*, test_mount_*
    GET, PATCH, PUT, DELETE /v2/NAME/blobs/uploads/ID   test_upload_*
    GET /v2/NAME/referrers/DIGEST                    test_referrers_*
What is outside of the grammar, may not be, or fails: test_gateway_errors.py; a registry that lies: test_gateway_liar.py;
the clients that people use: test_gateway_clients.py; restarts: test_gateway_restart.py.
"""
import hashlib
import http.client
import json
import os
import threading

import pytest

from support.oci import INDEX, MANIFEST, Image, Oci, digest_of
from support.raw import read_head
from support.server import ADMIN_PASSWORD, basic
from support.waiting import wait_until


def events(api, project, kind=None):
    """Oldest first."""
    found = api.get(f"/projects/{project}/events", query={"page_size": 100}).json
    return [one for one in reversed(found) if kind is None or one["type"] == kind]


# ---- base, catalogue, tags ------------------------------------------------------------------------------------------------


def test_base_asks_for_a_login_and_takes_passwords_and_tokens(oci, gateway_api):
    answer = oci.anonymous().get("/v2/", expect=401)
    assert answer.header("WWW-Authenticate") == 'Basic realm="harbinger"'
    assert answer.code == "UNAUTHORIZED" and "docker login" in answer.message
    assert oci.get("/v2/").json == {}
    assert oci.head("/v2/").body == b""
    token = gateway_api.post("/harbinger/tokens", {"name": f"t{os.getpid()}"}).json["token"]
    oci.as_user(basic("admin", token)).get("/v2/")
    oci.as_user(f"Bearer {token}").get("/v2/")
    oci.as_user(basic("somebody", token)).get("/v2/", expect=401)
    # containers/image without a login: challenged by Basic, it sends neither name nor password.
    oci.as_user(basic("", "")).get("/v2/", expect=401)


def test_catalog_lists_what_the_caller_may_see_page_by_page(oci, gateway_api, gateway_project):
    public = f"{gateway_project}-public"
    gateway_api.project(public, public=True)
    image = Image()
    for name in (f"{gateway_project}/a", f"{gateway_project}/b/c", f"{public}/x"):
        oci.push(image, name, "1")
    mine = [f"{public}/x", f"{gateway_project}/a", f"{gateway_project}/b/c"]
    everything = oci.get("/v2/_catalog?n=1000").json["repositories"]
    assert set(mine) <= set(everything) and everything == sorted(everything)
    seen, path = [], "/v2/_catalog?n=2"
    while path:
        answer = oci.get(path)
        assert len(answer.json["repositories"]) <= 2
        seen += answer.json["repositories"]
        link = answer.header("Link")
        path = link[1:link.index(">")] if link else None
        assert not link or link.endswith('; rel="next"')
    assert seen == everything
    assert oci.anonymous().get("/v2/_catalog").json["repositories"] == [f"{public}/x"]
    assert oci.get("/v2/_catalog?n=0").json["repositories"] == []
    assert oci.get("/v2/_catalog?n=x", expect=400).code == "PAGINATION_NUMBER_INVALID"
    assert oci.get("/v2/_catalog?n=-1", expect=400).code == "PAGINATION_NUMBER_INVALID"


def test_tags_are_listed_and_paged(oci, gateway_project):
    name, image = f"{gateway_project}/tags", Image()
    oci.push(image, name, "a")
    for tag in "bcd":
        oci.put_manifest(name, tag, image.manifest)
    answer = oci.get(f"/v2/{name}/tags/list")
    assert answer.json["name"] == name and sorted(answer.json["tags"]) == ["a", "b", "c", "d"]
    # Distribution 2.8 leaves n and last aside; a Link of one that does not is rewritten (test_gateway_liar.py).
    oci.get(f"/v2/{name}/tags/list?n=2&last=a")
    assert oci.get(f"/v2/{gateway_project}/nothing/tags/list", expect=404).code == "NAME_UNKNOWN"


# ---- manifests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_push_is_one_event_that_says_all(oci, gateway_api, gateway_project, gateway, receiver, by):
    name, image = f"{gateway_project}/web/api", Image()
    gateway_api.webhook(gateway_project, receiver.url)
    reference = "1.0" if by == "tag" else image.digest
    answer = oci.push(image, name, reference)
    assert answer.header("Docker-Content-Digest") == image.digest
    assert answer.header("Location").startswith("/v2/")
    (event,) = events(gateway_api, gateway_project)
    assert event["type"] == "PUSH_ARTIFACT" and event["source"] == {"kind": "gateway"}
    assert event["actor"] == {"kind": "user", "name": "admin"}
    assert event["client"]["address"] == "127.0.0.1" and event["client"]["request_id"] == answer.header("X-Request-Id")
    assert event["repository"]["full_name"] == name
    (artifact,) = event["artifacts"]
    assert artifact["digest"] == image.digest and artifact["reference"] == reference
    assert artifact.get("tags", []) == (["1.0"] if by == "tag" else [])
    assert artifact["kind"] == "image" and artifact["media_type"] == MANIFEST
    assert artifact["platform"] == "linux/amd64" and artifact["size"] == image.size
    body = receiver.next().json
    where = f"{gateway.host}:{gateway.port}/{name}"
    assert body["event_data"]["resources"][0]["resource_url"] == (
        f"{where}:1.0" if by == "tag" else f"{where}@{image.digest}")


def test_push_is_in_the_catalogue_when_the_client_hears_of_it(oci, gateway_api, gateway_project):
    image = Image()
    oci.push(image, f"{gateway_project}/app", "1")
    (found,) = gateway_api.get(f"/projects/{gateway_project}/repositories/app/artifacts").json
    assert found["digest"] == image.digest and [tag["name"] for tag in found["tags"]] == ["1"]


def test_push_to_an_unknown_project_makes_it_private(oci, gateway_api, gateway_project):
    fresh = f"{gateway_project}-fresh"
    oci.push(Image(), f"{fresh}/app", "1")
    project = gateway_api.get(f"/projects/{fresh}").json
    assert project["metadata"]["public"] == "false"
    oci.anonymous().get(f"/v2/{fresh}/app/tags/list", expect=401)


@pytest.mark.parametrize("media_type, kind", [
    (MANIFEST, "image"), ("application/vnd.docker.distribution.manifest.v2+json", "image")])
def test_manifest_is_pulled_as_it_was_pushed(oci, gateway_project, media_type, kind):
    name, image = f"{gateway_project}/app", Image(media_type=media_type)
    oci.push(image, name, "1")
    for reference in ("1", image.digest):
        answer = oci.pull(name, reference)
        assert answer.body == image.manifest and answer.header("Content-Type") == media_type
        assert answer.header("Docker-Content-Digest") == image.digest
        assert int(answer.header("Content-Length")) == len(image.manifest)
        head = oci.head(f"/v2/{name}/manifests/{reference}", headers={"Accept": media_type})
        assert head.body == b"" and int(head.header("Content-Length")) == len(image.manifest)
        assert head.header("Docker-Content-Digest") == image.digest
    etag = answer.header("ETag")
    assert etag
    again = oci.get(f"/v2/{name}/manifests/1", headers={"Accept": media_type, "If-None-Match": etag}, expect=304)
    assert again.body == b""


def test_manifest_under_another_digest_is_refused(oci, gateway_project, gateway_api):
    name, image, other = f"{gateway_project}/app", Image(), Image()
    for blob in image.blobs:
        oci.push_blob(name, blob)
    assert oci.put_manifest(name, other.digest, image.manifest, expect=400).code == "DIGEST_INVALID"
    wrong = digest_of(other.manifest, "sha512")
    assert oci.put_manifest(name, wrong, image.manifest, expect=400).code == "DIGEST_INVALID"
    assert oci.put_manifest(name, "1", b"", expect=400).code == "MANIFEST_INVALID"
    assert events(gateway_api, gateway_project) == []


def test_manifest_with_missing_blobs_is_the_registrys_refusal_and_no_event(oci, gateway_project, gateway_api):
    answer = oci.put_manifest(f"{gateway_project}/app", "1", Image().manifest, expect=None)
    assert answer.status in (400, 404) and answer.code in ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN")
    assert events(gateway_api, gateway_project) == []


def test_manifest_over_4_mib_is_refused_with_words(oci, gateway_project):
    answer = oci.put_manifest(f"{gateway_project}/app", "1", b" " * (4 * 1024 * 1024 + 1), expect=413)
    assert answer.code == "MANIFEST_INVALID" and "4194304" in answer.message


def test_index_lists_its_children(oci, gateway_project, gateway_api):
    name, parts = f"{gateway_project}/app", [Image(), Image()]
    for part in parts:
        oci.push(part, name)
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": part.digest, "size": len(part.manifest),
         "platform": {"os": "linux", "architecture": cpu}} for part, cpu in zip(parts, ("amd64", "arm64"))]}).encode()
    oci.put_manifest(name, "all", index, INDEX)
    event = events(gateway_api, gateway_project)[-1]
    (artifact,) = event["artifacts"]
    assert artifact["kind"] == "index" and artifact["digest"] == digest_of(index)
    assert [child["platform"] for child in artifact["children"]] == ["linux/amd64", "linux/arm64"]


def test_pull_by_get_is_an_event_and_head_and_304_and_failures_are_none(oci, gateway_api, gateway_project, receiver):
    name, image = f"{gateway_project}/app", Image()
    oci.push(image, name, "1")
    gateway_api.webhook(gateway_project, receiver.url, events=("PULL_ARTIFACT",))
    oci.head(f"/v2/{name}/manifests/1", headers={"Accept": MANIFEST})
    oci.get(f"/v2/{name}/manifests/1", headers={"Accept": MANIFEST, "If-None-Match": f'"{image.digest}"'}, expect=304)
    oci.get(f"/v2/{name}/manifests/none", expect=404)
    oci.get(f"/v2/{name}/blobs/{digest_of(image.layer)}")
    oci.pull(name, "1")
    oci.pull(name, image.digest)
    bodies = [one.json for one in receiver.take(2)]  # the two deliveries are on their way at once
    assert {body["event_data"]["resources"][0]["tag"] for body in bodies} == {"1", image.digest}
    wait_until(lambda: len(events(gateway_api, gateway_project, "PULL_ARTIFACT")) == 2, "two pulls are events")
    first = events(gateway_api, gateway_project, "PULL_ARTIFACT")[0]
    (artifact,) = first["artifacts"]
    assert artifact["digest"] == image.digest and artifact["kind"] == "image" and artifact["media_type"] == MANIFEST
    assert first["actor"] == {"kind": "user", "name": "admin"} and first["source"] == {"kind": "gateway"}


def test_pull_that_no_webhook_wants_is_not_written(oci, gateway_api, gateway_project):
    name, image = f"{gateway_project}/app", Image()
    oci.push(image, name, "1")
    oci.pull(name, "1")
    oci.push(Image(), name, "2")  # its commit comes after the pull's
    assert [one["type"] for one in events(gateway_api, gateway_project)] == ["PUSH_ARTIFACT"] * 2


def test_pull_of_an_index_and_of_the_manifest_chosen_are_two_as_harbor_counts(oci, gateway_api, gateway_project, receiver):
    name, image = f"{gateway_project}/app", Image()
    oci.push(image, name)
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": image.digest, "size": len(image.manifest)}]}).encode()
    oci.put_manifest(name, "all", index, INDEX)
    gateway_api.webhook(gateway_project, receiver.url, events=("PULL_ARTIFACT",))
    oci.pull(name, "all")
    oci.pull(name, image.digest)
    assert {one.json["event_data"]["resources"][0]["digest"] for one in receiver.take(2)} == {
        digest_of(index), image.digest}


def test_pull_without_login_from_a_public_project_has_no_name(oci, gateway_api, gateway_project, receiver):
    public = f"{gateway_project}-public"
    gateway_api.project(public, public=True)
    oci.push(Image(), f"{public}/app", "1")
    gateway_api.webhook(public, receiver.url, events=("PULL_ARTIFACT",))
    nobody = oci.anonymous()
    nobody.pull(f"{public}/app", "1")
    assert receiver.next().json["operator"] == ""
    oci.as_user(basic("", "")).pull(f"{public}/app", "1")  # containers/image without a login
    assert receiver.next().json["operator"] == ""
    assert nobody.request("PUT", f"/v2/{public}/app/manifests/2", body=b"{}", expect=401).code == "UNAUTHORIZED"
    nobody.post(f"/v2/{public}/app/blobs/uploads/", body=b"", expect=401)
    nobody.delete(f"/v2/{public}/app/manifests/1", expect=401)


def test_delete_by_digest_is_one_event_with_every_tag_and_the_size(oci, gateway_api, gateway_project, receiver):
    name, image = f"{gateway_project}/app", Image()
    oci.push(image, name, "1")
    oci.put_manifest(name, "latest", image.manifest)
    gateway_api.webhook(gateway_project, receiver.url, events=("DELETE_ARTIFACT",))
    oci.delete(f"/v2/{name}/manifests/{image.digest}")
    receiver.next()
    (event,) = events(gateway_api, gateway_project, "DELETE_ARTIFACT")
    (artifact,) = event["artifacts"]
    assert sorted(artifact["tags"]) == ["1", "latest"] and artifact["size"] == image.size
    oci.get(f"/v2/{name}/manifests/1", expect=404)
    assert oci.delete(f"/v2/{name}/manifests/{image.digest}", expect=404).code == "MANIFEST_UNKNOWN"
    assert len(events(gateway_api, gateway_project, "DELETE_ARTIFACT")) == 1


def test_delete_by_tag_is_the_registrys_to_refuse(oci, gateway_api, gateway_project):
    name, image = f"{gateway_project}/app", Image()
    oci.push(image, name, "1")
    answer = oci.delete(f"/v2/{name}/manifests/1", expect=None)
    assert answer.status in (400, 405) and answer.code in ("DIGEST_INVALID", "UNSUPPORTED"), answer
    assert events(gateway_api, gateway_project, "DELETE_ARTIFACT") == []
    oci.pull(name, "1")


# ---- blobs ---------------------------------------------------------------------------------------------------------------


def test_blob_is_pulled_whole_in_part_and_by_head(oci, gateway_project):
    name, content = f"{gateway_project}/app", os.urandom(300_000)
    oci.push_blob(name, content)
    path = f"/v2/{name}/blobs/{digest_of(content)}"
    answer = oci.get(path)
    assert answer.body == content and int(answer.header("Content-Length")) == len(content)
    assert answer.header("Docker-Content-Digest") == digest_of(content)
    head = oci.head(path)
    assert head.body == b"" and int(head.header("Content-Length")) == len(content)
    part = oci.get(path, headers={"Range": "bytes=1000-1999"}, expect=206)
    assert part.body == content[1000:2000] and part.header("Content-Range") == f"bytes 1000-1999/{len(content)}"
    assert oci.get(path, headers={"Range": "bytes=299990-"}, expect=206).body == content[-10:]
    assert oci.get(path, headers={"Range": f"bytes={len(content)}-"}, expect=416).code == "RANGE_INVALID"
    assert oci.get(f"/v2/{name}/blobs/{digest_of(b'none')}", expect=404).code == "BLOB_UNKNOWN"
    assert oci.head(f"/v2/{name}/blobs/{digest_of(b'none')}", expect=404).body == b""


def test_blob_is_deleted(oci, gateway_project):
    name, content = f"{gateway_project}/app", os.urandom(100)
    oci.push_blob(name, content)
    oci.delete(f"/v2/{name}/blobs/{digest_of(content)}")
    oci.head(f"/v2/{name}/blobs/{digest_of(content)}", expect=404)


def test_blob_of_many_megabytes_passes_unchanged_in_little_memory(oci, gateway, gateway_project):
    name, content = f"{gateway_project}/app", os.urandom(1 << 20) * 96
    before = gateway.resident_bytes()
    oci.push_blob(name, content)
    answer = oci.get(f"/v2/{name}/blobs/{digest_of(content)}")
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(content).digest()
    assert gateway.resident_bytes() - before < 16 << 20


def test_blob_waits_for_a_client_that_does_not_read(oci, gateway, gateway_project, upstream):
    """The registry is read no faster than the client takes: the rest of a layer does not pile up here."""
    name, content = f"{gateway_project}/app", os.urandom(1 << 20) * 64
    oci.push_blob(name, content)
    before = gateway.resident_bytes()
    with gateway.socket() as slow:
        slow.sendall(f"GET /v2/{name}/blobs/{digest_of(content)} HTTP/1.1\r\nHost: x\r\nAuthorization: "
                     f"{basic('admin', ADMIN_PASSWORD)}\r\nConnection: close\r\n\r\n".encode())
        head = read_head(slow)
        assert head.startswith(b"HTTP/1.1 200 ")
        oci.get("/v2/")  # it serves others
        assert gateway.resident_bytes() - before < 16 << 20
        got = head[head.index(b"\r\n\r\n") + 4:]
        hashed = hashlib.sha256(got)
        count = len(got)
        while part := slow.recv(1 << 20):
            hashed.update(part)
            count += len(part)
    assert count == len(content) and hashed.hexdigest() == digest_of(content)[7:]


# ---- uploads -------------------------------------------------------------------------------------------------------------


def test_upload_in_chunks_asked_after_and_resumed(oci, gateway_project):
    name, content = f"{gateway_project}/app", os.urandom(50_000)
    location = oci.begin(name)
    assert location.startswith(f"/v2/{name}/blobs/uploads/")
    for start in (0, 20_000, 40_000):
        piece = content[start:start + 20_000]
        answer = oci.request("PATCH", location, body=piece, expect=202, headers={
            "Content-Type": "application/octet-stream", "Content-Range": f"{start}-{start + len(piece) - 1}"})
        location = answer.header("Location")
        assert answer.header("Range") == f"0-{start + len(piece) - 1}"
        status = oci.get(location, expect=204)
        assert status.header("Range") == f"0-{start + len(piece) - 1}" and status.header("Docker-Upload-UUID")
    oci.request("PUT", oci.ended(location, digest_of(content)), body=b"", expect=201)
    assert oci.get(f"/v2/{name}/blobs/{digest_of(content)}").body == content


def test_upload_chunked_without_a_length(oci, gateway_project):
    """docker, containers/image: PATCH with Transfer-Encoding: chunked, then an empty PUT."""
    name, content = f"{gateway_project}/app", os.urandom(200_000)
    location = oci.begin(name)
    answer = oci.request("PATCH", location, body=iter([content[:70_000], content[70_000:70_001], content[70_001:]]),
                         headers={"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"}, expect=202)
    done = oci.request("PUT", oci.ended(answer.header("Location"), digest_of(content)), body=b"", expect=201)
    assert done.header("Docker-Content-Digest") == digest_of(content)
    assert oci.get(f"/v2/{name}/blobs/{digest_of(content)}").body == content


def test_upload_in_one_put_and_in_one_post(oci, gateway_project):
    name, content = f"{gateway_project}/app", os.urandom(70_000)
    assert oci.push_blob(name, content).header("Location") == f"/v2/{name}/blobs/{digest_of(content)}"
    other = os.urandom(70_000)
    # Distribution 2.8 does not know the POST with everything: 202, and the client goes on with the location.
    answer = oci.post(f"/v2/{name}/blobs/uploads/?digest={digest_of(other)}", body=other, expect=None,
                      headers={"Content-Type": "application/octet-stream"})
    if answer.status == 202:
        answer = oci.request("PUT", oci.ended(answer.header("Location"), digest_of(other)), body=other)
    assert answer.status == 201
    assert oci.get(f"/v2/{name}/blobs/{digest_of(other)}").body == other


def test_upload_under_another_digest_is_refused(oci, gateway_project):
    name, content = f"{gateway_project}/app", os.urandom(1000)
    assert oci.push_blob(name, content, digest=digest_of(b"other"), expect=400).code == "DIGEST_INVALID"
    assert oci.request("PUT", oci.begin(name), body=content, expect=400).code == "DIGEST_INVALID"
    assert oci.request("PUT", oci.ended(oci.begin(name), "sha256:x"), body=b"", expect=400).code == "DIGEST_INVALID"


def test_upload_is_cancelled(oci, gateway_project):
    location = oci.begin(f"{gateway_project}/app")
    oci.delete(location, expect=204)
    assert oci.get(location, expect=404).code == "BLOB_UPLOAD_UNKNOWN"


def test_upload_waits_for_continue_only_when_it_may_go_on(gateway, gateway_project, oci):
    """Expect: 100-continue: a refusal comes before the content has been sent."""
    location, content = oci.begin(f"{gateway_project}/app"), b"x" * 5000
    ask = "PATCH {} HTTP/1.1\r\nHost: x\r\n{}Content-Length: 5000\r\nExpect: 100-continue\r\n\r\n"
    login = f"Authorization: {basic('admin', ADMIN_PASSWORD)}\r\n"
    with gateway.socket() as client:
        client.sendall(ask.format(location, "").encode())
        assert read_head(client).startswith(b"HTTP/1.1 401 ")
    with gateway.socket() as client:
        client.sendall(ask.format(location, login).encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
        client.sendall(content)
        assert read_head(client).startswith(b"HTTP/1.1 202 ")


# ---- mounts --------------------------------------------------------------------------------------------------------------


def test_mount_from_another_repository(oci, gateway_project):
    content = os.urandom(500)
    oci.push_blob(f"{gateway_project}/from", content)
    answer = oci.post(f"/v2/{gateway_project}/to/blobs/uploads/?mount={digest_of(content)}&from={gateway_project}%2Ffrom",
                      body=b"", expect=201)
    assert answer.header("Location") == f"/v2/{gateway_project}/to/blobs/{digest_of(content)}"
    assert oci.get(f"/v2/{gateway_project}/to/blobs/{digest_of(content)}").body == content


def test_mount_that_cannot_be_is_an_ordinary_upload(oci, gateway_project):
    for query in (f"mount={digest_of(b'none')}&from={gateway_project}/from", f"mount={digest_of(b'none')}",
                  f"mount={digest_of(b'none')}&from=../x"):
        answer = oci.post(f"/v2/{gateway_project}/to/blobs/uploads/?{query}", body=b"")
        assert f"/v2/{gateway_project}/to/blobs/uploads/" in answer.header("Location")
    assert oci.post(f"/v2/{gateway_project}/to/blobs/uploads/?mount=x&from={gateway_project}/from", body=b"",
                    expect=400).code == "DIGEST_INVALID"


# ---- referrers -----------------------------------------------------------------------------------------------------------


def test_referrers_of_a_registry_without_them_fall_back_to_its_404(oci, gateway_project):
    """Distribution 2.8 has no referrers: clients then use the tag schema, which is manifests and tags."""
    name, image = f"{gateway_project}/app", Image()
    oci.push(image, name, "1")
    oci.get(f"/v2/{name}/referrers/{image.digest}", expect=404, plain=True)
    signature = Image(subject=image, artifact_type="application/vnd.example.signature")
    oci.push(signature, name, image.digest.replace(":", "-"))
    assert oci.pull(name, image.digest.replace(":", "-")).body == signature.manifest


# ---- many at once --------------------------------------------------------------------------------------------------------


def test_pushes_of_many_clients_at_once_are_each_an_event(oci, gateway_api, gateway_project):
    images, problems = [Image() for _ in range(24)], []

    def push(number):
        try:
            Oci(oci.server).push(images[number], f"{gateway_project}/app{number % 3}", f"t{number}")
        except (AssertionError, OSError, http.client.HTTPException) as problem:
            problems.append(problem)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    found = events(gateway_api, gateway_project, "PUSH_ARTIFACT")
    assert sorted(one["artifacts"][0]["digest"] for one in found) == sorted(image.digest for image in images)
    assert [one["seq"] for one in found] == list(range(1, len(images) + 1))

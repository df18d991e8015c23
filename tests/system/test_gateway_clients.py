# SPDX-License-Identifier: Apache-2.0
"""The clients that people use, through /v2/: skopeo itself, and the documented requests of docker, containerd, crane and oras as
they send them, on kept connections. docs/first-push.md has the other clients that run here."""
import concurrent.futures
import http.client
import json
import os

import pytest

from support.oci import DOCKER_LIST, DOCKER_MANIFEST, INDEX, MANIFEST, Image, Oci, digest_of
from support.server import ADMIN_PASSWORD, basic
from support.waiting import BOUND_S

ADMIN = basic("admin", ADMIN_PASSWORD)
CREDENTIALS = f"admin:{ADMIN_PASSWORD}"
DOCKER = "docker/27.3.1 go/go1.22.7 git-commit/41ca978 kernel/6.1.0 os/linux arch/amd64 UpstreamClient(Docker-Client/27.3.1 \\(linux\\))"


class Client:
    """One client with one kept connection, as Go's transport has one per host and request at a time."""

    def __init__(self, server, agent, authorization=ADMIN):
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=BOUND_S)
        self._agent, self._authorization = agent, authorization

    def ask(self, method, path, expect, body=None, headers=()):
        """headers: pairs, a name may come twice. body: bytes with a length, or an iterator that is sent chunked."""
        connection = self._connection
        connection.putrequest(method, path, skip_accept_encoding=True)
        connection.putheader("User-Agent", self._agent)
        if self._authorization:
            connection.putheader("Authorization", self._authorization)
        for name, value in headers:
            connection.putheader(name, value)
        if isinstance(body, bytes):
            connection.putheader("Content-Length", str(len(body)))
        elif body is not None:
            connection.putheader("Transfer-Encoding", "chunked")
        connection.putheader("Accept-Encoding", "gzip")
        connection.endheaders(body, encode_chunked=body is not None and not isinstance(body, bytes))
        answer = Oci.read(method, path, connection.getresponse(), expect)
        assert answer.header("Connection") != "close", f"{answer!r} gives the connection up"
        return answer

    def close(self):
        self._connection.close()


def kinds(api, project):
    found = api.get(f"/projects/{project}/events", query={"page_size": 100}).json
    return [(one["type"], one["artifacts"][0]["reference"]) for one in reversed(found)]


# ---- skopeo ----------------------------------------------------------------------------------------------------------------


def test_skopeo_pushes_inspects_pulls_copies_and_deletes(gateway, gateway_api, gateway_project, images, receiver):
    where = f"docker://{gateway.host}:{gateway.port}/{gateway_project}"
    gateway_api.webhook(gateway_project, receiver.url, events=("PUSH_ARTIFACT", "DELETE_ARTIFACT"))
    image, index = images.make(), images.make_index()
    images.skopeo("copy", "--dest-tls-verify=false", "--dest-creds", CREDENTIALS, f"oci:{image}", f"{where}/app:1")
    images.skopeo("copy", "--all", "--dest-tls-verify=false", "--dest-creds", CREDENTIALS, f"oci:{index}", f"{where}/app:all")
    shown = json.loads(images.skopeo("inspect", "--tls-verify=false", "--creds", CREDENTIALS, f"{where}/app:1"))
    assert shown["Digest"] == images.digest(image) and sorted(shown["RepoTags"]) == ["1", "all"]
    # From one repository to another: layers are mounted.
    images.skopeo("copy", "--src-tls-verify=false", "--src-creds", CREDENTIALS, "--dest-tls-verify=false", "--dest-creds",
                  CREDENTIALS, f"{where}/app:1", f"{where}/copy:1")
    images.skopeo("copy", "--src-tls-verify=false", "--src-creds", CREDENTIALS, f"{where}/app:all",
                  f"oci:{images.folder / f'pulled-{gateway_project}'}:image")
    images.skopeo("delete", "--tls-verify=false", "--creds", CREDENTIALS, f"{where}/app:1")
    assert [kind for kind, _ in kinds(gateway_api, gateway_project)] == ["PUSH_ARTIFACT"] * 5 + ["DELETE_ARTIFACT"]
    receiver.take(6)


def test_skopeo_pulls_without_login_from_a_public_project_only(gateway, gateway_api, gateway_project, images, oci):
    public = f"{gateway_project}-public"
    gateway_api.project(public, public=True)
    for project in (public, gateway_project):
        oci.push(Image(), f"{project}/app", "1")
    where = f"{gateway.host}:{gateway.port}"
    out = images.folder / f"out-{gateway_project}"
    images.skopeo("copy", "--src-tls-verify=false", f"docker://{where}/{public}/app:1", f"dir:{out}")
    with pytest.raises(AssertionError) as refused:
        images.skopeo("copy", "--src-tls-verify=false", f"docker://{where}/{gateway_project}/app:1", f"dir:{out}")
    assert "unauthorized" in str(refused.value) and "docker login" in str(refused.value)


# ---- docker ----------------------------------------------------------------------------------------------------------------


def test_docker_login_asks_without_and_then_with_the_password(gateway):
    nobody = Client(gateway, DOCKER, authorization=None)
    answer = nobody.ask("GET", "/v2/", 401)
    assert answer.header("WWW-Authenticate").startswith("Basic realm=")
    Client(gateway, DOCKER).ask("GET", "/v2/", 200)
    Client(gateway, DOCKER, basic("admin", "Wrong-12345")).ask("GET", "/v2/", 401)


def docker_push_layer(gateway, name, blob):
    client = Client(gateway, DOCKER)
    client.ask("HEAD", f"/v2/{name}/blobs/{digest_of(blob)}", 404)
    begun = client.ask("POST", f"/v2/{name}/blobs/uploads/", 202, body=b"")
    assert begun.header("Docker-Upload-UUID") and begun.header("Range") == "0-0"
    pieces = [blob[start:start + 32 * 1024] for start in range(0, len(blob), 32 * 1024)]
    sent = client.ask("PATCH", begun.header("Location"), 202, body=iter(pieces))
    done = client.ask("PUT", Oci.ended(sent.header("Location"), digest_of(blob).replace(":", "%3A")), 201, body=b"")
    assert done.header("Docker-Content-Digest") == digest_of(blob)
    head = client.ask("HEAD", f"/v2/{name}/blobs/{digest_of(blob)}", 200)
    assert int(head.header("Content-Length")) == len(blob)
    client.close()


def test_docker_push_and_pull(gateway, gateway_api, gateway_project, receiver):
    """Parallel HEAD, POST, chunked PATCH without a length, empty PUT per layer; a schema 2 manifest by tag; the pull by HEAD of
    the tag, GET of the digest, layers in parallel. Accept comes line by line."""
    gateway_api.webhook(gateway_project, receiver.url, events=("PUSH_ARTIFACT", "PULL_ARTIFACT"))
    name, image = f"{gateway_project}/app", Image(content=os.urandom(200_000), media_type=DOCKER_MANIFEST)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda blob: docker_push_layer(gateway, name, blob), image.blobs))
    client = Client(gateway, DOCKER)
    put = client.ask("PUT", f"/v2/{name}/manifests/1.0", 201, body=image.manifest, headers=[("Content-Type", DOCKER_MANIFEST)])
    assert put.header("Docker-Content-Digest") == image.digest
    accept = [("Accept", kind) for kind in (MANIFEST, DOCKER_LIST, INDEX, "application/vnd.docker.distribution.manifest.v1+prettyjws",
                                            "application/json", DOCKER_MANIFEST)]
    head = client.ask("HEAD", f"/v2/{name}/manifests/1.0", 200, headers=accept)
    assert head.header("Docker-Content-Digest") == image.digest and head.header("Content-Type") == DOCKER_MANIFEST
    got = client.ask("GET", f"/v2/{name}/manifests/{image.digest}", 200, headers=accept)
    assert got.body == image.manifest

    def pull(blob):
        return Client(gateway, DOCKER).ask("GET", f"/v2/{name}/blobs/{digest_of(blob)}", 200).body == blob

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert all(pool.map(pull, image.blobs))
    types = sorted(one.json["type"] for one in receiver.take(2))
    assert types == ["PULL_ARTIFACT", "PUSH_ARTIFACT"]


def test_docker_manifest_list(gateway, gateway_api, gateway_project, oci):
    name, parts = f"{gateway_project}/app", [Image(media_type=DOCKER_MANIFEST), Image(media_type=DOCKER_MANIFEST)]
    for part in parts:
        oci.push(part, name)
    content = json.dumps({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [
        {"mediaType": DOCKER_MANIFEST, "size": len(part.manifest), "digest": part.digest,
         "platform": {"architecture": cpu, "os": "linux"}} for part, cpu in zip(parts, ("amd64", "arm64"))]}).encode()
    Client(gateway, DOCKER).ask("PUT", f"/v2/{name}/manifests/all", 201, body=content, headers=[("Content-Type", DOCKER_LIST)])
    event = gateway_api.get(f"/projects/{gateway_project}/events").json[0]
    assert event["artifacts"][0]["kind"] == "index" and event["artifacts"][0]["media_type"] == DOCKER_LIST
    assert event["client"]["user_agent"] == DOCKER
    got = Client(gateway, DOCKER).ask("GET", f"/v2/{name}/manifests/all", 200, headers=[("Accept", DOCKER_LIST)])
    assert got.body == content and got.header("Content-Type") == DOCKER_LIST


# ---- containerd, crane, oras -------------------------------------------------------------------------------------------------


def test_containerd_push_and_pull(gateway, gateway_api, gateway_project):
    """HEAD of the tag first, one PUT with the whole layer; the pull by HEAD and GET of the digest, layers with Range."""
    name, image = f"{gateway_project}/app", Image()
    client = Client(gateway, "containerd/1.7.22")
    client.ask("HEAD", f"/v2/{name}/manifests/1", 404, headers=[("Accept", f"{MANIFEST}, */*")])
    for blob in image.blobs:
        client.ask("HEAD", f"/v2/{name}/blobs/{digest_of(blob)}", 404, headers=[("Accept", "application/octet-stream, */*")])
        begun = client.ask("POST", f"/v2/{name}/blobs/uploads/", 202, body=b"")
        location = begun.header("Location")
        client.ask("PUT", Oci.ended(location, digest_of(blob)), 201, body=blob,
                   headers=[("Content-Type", "application/octet-stream")])
    client.ask("PUT", f"/v2/{name}/manifests/1", 201, body=image.manifest, headers=[("Content-Type", MANIFEST)])
    accept = [("Accept", ", ".join([DOCKER_MANIFEST, DOCKER_LIST, MANIFEST, INDEX, "*/*"]))]
    head = client.ask("HEAD", f"/v2/{name}/manifests/1", 200, headers=accept)
    digest = head.header("Docker-Content-Digest")
    assert client.ask("GET", f"/v2/{name}/manifests/{digest}", 200, headers=accept).body == image.manifest
    got = client.ask("GET", f"/v2/{name}/blobs/{digest_of(image.layer)}", 206, headers=[("Range", "bytes=10-")])
    assert got.body == image.layer[10:]
    assert kinds(gateway_api, gateway_project) == [("PUSH_ARTIFACT", "1")]


def test_crane_push_mounts_from_the_base_and_streams(gateway, gateway_project, oci):
    base, image = Image(), Image()
    oci.push(base, f"{gateway_project}/base", "1")
    name, client = f"{gateway_project}/app", Client(gateway, "crane/0.20.2 go-containerregistry/0.20.2")
    client.ask("GET", "/v2/", 200)
    mounted = client.ask("POST", f"/v2/{name}/blobs/uploads/?from={gateway_project}%2Fbase&mount="
                                 f"{digest_of(base.layer).replace(':', '%3A')}", 201, body=b"")
    assert mounted.header("Docker-Content-Digest") == digest_of(base.layer)
    for blob in image.blobs:
        begun = client.ask("POST", f"/v2/{name}/blobs/uploads/?from={gateway_project}%2Fbase&mount="
                                   f"{digest_of(blob).replace(':', '%3A')}", 202, body=b"")
        sent = client.ask("PATCH", begun.header("Location"), 202, body=iter([blob]),
                          headers=[("Content-Type", "application/octet-stream")])
        client.ask("PUT", Oci.ended(sent.header("Location"), digest_of(blob).replace(":", "%3A")), 201, body=b"")
    client.ask("PUT", f"/v2/{name}/manifests/latest", 201, body=image.manifest, headers=[("Content-Type", MANIFEST)])
    got = client.ask("GET", f"/v2/{name}/manifests/latest", 200, headers=[("Accept", f"{DOCKER_MANIFEST},{MANIFEST}")])
    assert got.body == image.manifest


def test_oras_attaches_an_artifact_of_its_own_kind(gateway, gateway_api, gateway_project, oci):
    subject = Image()
    name, client = f"{gateway_project}/app", Client(gateway, "oras/1.2.0")
    oci.push(subject, name, "1")
    sbom = Image(subject=subject, artifact_type="application/vnd.cyclonedx+json")
    for blob in sbom.blobs:
        begun = client.ask("POST", f"/v2/{name}/blobs/uploads/", 202, body=b"")
        client.ask("PUT", Oci.ended(begun.header("Location"), digest_of(blob).replace(":", "%3A")), 201, body=blob)
    client.ask("PUT", f"/v2/{name}/manifests/{sbom.digest}", 201, body=sbom.manifest, headers=[("Content-Type", MANIFEST)])
    event = gateway_api.get(f"/projects/{gateway_project}/events").json[0]
    assert event["artifacts"][0]["kind"] == "sbom" and event["artifacts"][0]["digest"] == sbom.digest

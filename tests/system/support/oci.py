# SPDX-License-Identifier: Apache-2.0
"""A client of /v2/ that says what it is told to, and images of a few bytes without any tool.

    oci = Oci(server)                                 # as admin
    image = Image()                                   # config, one layer, manifest
    oci.push(image, "team/app", "1")
    answer = oci.get(f"/v2/team/app/manifests/1")     # answer.status, .headers (lower case), .body, .code, .message
"""
import hashlib
import http.client
import json
import os

from .server import ADMIN_PASSWORD, basic
from .waiting import BOUND_S

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPT = ", ".join((MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST))


def digest_of(content, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


class Answer:
    def __init__(self, method, path, status, headers, body):
        self.method, self.path, self.status, self.headers, self.body = method, path, status, headers, body

    def header(self, name):
        return self.headers.get(name.lower())

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["errors"][0]["code"]

    @property
    def message(self):
        return self.json["errors"][0]["message"]

    def __repr__(self):
        return f"<{self.method} {self.path}: {self.status} {self.headers} {self.body[:300]!r}>"


class Image:
    """An image of one small layer. `content`: of the layer; one of its own by default."""

    def __init__(self, content=None, media_type=MANIFEST, subject=None, artifact_type=None):
        self.layer = content if content is not None else os.urandom(64)
        self.config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
                                  "made": os.urandom(8).hex()}).encode()
        docker = media_type == DOCKER_MANIFEST
        manifest = {
            "schemaVersion": 2, "mediaType": media_type,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json" if docker
                       else "application/vnd.oci.image.config.v1+json",
                       "size": len(self.config), "digest": digest_of(self.config)},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip" if docker
                        else "application/vnd.oci.image.layer.v1.tar", "size": len(self.layer),
                        "digest": digest_of(self.layer)}]}
        if artifact_type:
            manifest["artifactType"] = artifact_type
        if subject:
            manifest["subject"] = {"mediaType": MANIFEST, "digest": subject.digest, "size": len(subject.manifest)}
        self.media_type = media_type
        self.manifest = json.dumps(manifest, indent=1).encode()
        self.digest = digest_of(self.manifest)

    @property
    def blobs(self):
        return [self.config, self.layer]

    @property
    def size(self):
        return len(self.manifest) + len(self.config) + len(self.layer)


class Oci:
    """authorization: an Authorization header's value, or None for the anonymous. Every error must be in the shape of the OCI
    distribution specification."""

    def __init__(self, server, authorization=basic("admin", ADMIN_PASSWORD)):
        self.server, self.authorization = server, authorization

    def as_user(self, authorization):
        return Oci(self.server, authorization)

    def anonymous(self):
        return Oci(self.server, None)

    def request(self, method, path, body=None, headers=None, expect=None, timeout=BOUND_S, plain=False):
        """`body`: bytes, or an iterator of pieces that are sent chunked. plain: an error need not be in shape."""
        sent = dict(headers or {})
        if self.authorization is not None:
            sent.setdefault("Authorization", self.authorization)
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=sent,
                               encode_chunked=body is not None and not isinstance(body, bytes))
            return self.read(method, path, connection.getresponse(), expect, plain)
        finally:
            connection.close()

    @staticmethod
    def read(method, path, got, expect=None, plain=False):
        answer = Answer(method, path, got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        if expect is not None:
            assert answer.status == expect, f"{answer!r}, not {expect}"
        if plain:
            return answer
        if answer.header("Connection") != "close":  # else the HTTP server's own, who read no further
            assert answer.header("Docker-Distribution-Api-Version") == "registry/2.0", answer
        if answer.status >= 400 and method != "HEAD":
            assert answer.header("Content-Type").startswith("application/json"), answer
            assert answer.code.isupper() and isinstance(answer.message, str), answer
        return answer

    def get(self, path, expect=200, **options):
        return self.request("GET", path, expect=expect, **options)

    def head(self, path, expect=200, **options):
        return self.request("HEAD", path, expect=expect, **options)

    def post(self, path, expect=202, **options):
        return self.request("POST", path, expect=expect, **options)

    def delete(self, path, expect=202, **options):
        return self.request("DELETE", path, expect=expect, **options)

    # -- uploads --

    def begin(self, repository):
        """A new upload; its location as a path of this server."""
        return self.post(f"/v2/{repository}/blobs/uploads/", body=b"").header("Location")

    @staticmethod
    def ended(location, digest):
        return f"{location}{'&' if '?' in location else '?'}digest={digest}"

    def push_blob(self, repository, content, digest=None, expect=201):
        """Whole, in one PUT."""
        return self.request("PUT", self.ended(self.begin(repository), digest or digest_of(content)), body=content,
                            headers={"Content-Type": "application/octet-stream"}, expect=expect)

    def put_manifest(self, repository, reference, content, media_type=MANIFEST, expect=201, **options):
        return self.request("PUT", f"/v2/{repository}/manifests/{reference}", body=content,
                            headers={"Content-Type": media_type}, expect=expect, **options)

    def push(self, image, repository, reference=None, blobs=True):
        for blob in image.blobs if blobs else []:
            self.push_blob(repository, blob)
        return self.put_manifest(repository, reference or image.digest, image.manifest, image.media_type)

    def pull(self, repository, reference):
        return self.get(f"/v2/{repository}/manifests/{reference}", headers={"Accept": ACCEPT})

# SPDX-License-Identifier: Apache-2.0
"""Debian's docker-registry on a free loopback port, whose notifications go to a server, and images for it."""
import hashlib
import json
import os
import pathlib
import queue
import re
import socket
import subprocess
import threading

from .server import INGEST_TOKEN
from .waiting import BOUND_S

_LISTENING = re.compile(r"listening on (?:127\.0\.0\.1|\[::\]):(\d+)")


def free_port():
    """A port that was free a moment ago: for two programs that must know each other's before either has started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Registry:
    """address is host:port. `notify`: URL of /ingest/distribution, or None."""

    def __init__(self, folder, notify, token=INGEST_TOKEN, port=0, deletes=True):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log_lines, self._ready = [], queue.Queue()
        config = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "storage")}, "delete": {"enabled": deletes}},
            "http": {"addr": f"127.0.0.1:{port}"},
        }
        if notify:
            config["notifications"] = {"endpoints": [{
                "name": "harbinger", "url": notify, "headers": {"Authorization": [f"Bearer {token}"]},
                "timeout": "5s", "threshold": 3, "backoff": "200ms"}]}
        path = self.folder / "config.yml"
        path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "OTEL_TRACES_EXPORTER": "none"}
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "docker-registry", "serve", str(path)],
                                        env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read_log, daemon=True).start()
        try:
            port = self._ready.get(timeout=BOUND_S)
        except queue.Empty:
            port = None
        if port is None:
            self.stop()
            raise AssertionError("docker-registry did not start:\n" + "".join(self._log_lines[-20:]))
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"

    def _read_log(self):
        for line in self.process.stdout:
            self._log_lines.append(line)
            found = _LISTENING.search(line)
            if found:
                self._ready.put(int(found.group(1)))
        self._ready.put(None)

    def log(self):
        return "".join(self._log_lines)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=BOUND_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Images:
    """Small OCI images made with umoci, moved with skopeo. Every one has a content of its own unless `seed` is given."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._count = 0
        policy = self.folder / "policy.json"
        policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}', encoding="utf-8")
        self._env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder),
                     "TMPDIR": str(self.folder)}

    def _run(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, env=self._env, timeout=4 * BOUND_S, check=False)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}"
        return done.stdout

    def skopeo(self, *arguments):
        return self._run("skopeo", "--policy", str(self.folder / "policy.json"), *arguments)

    def make(self, seed=None, platform=None):
        """An image of one layer in a layout of its own, as 'PATH:image'. platform: (os, architecture)."""
        self._count += 1
        layout = self.folder / f"image-{self._count}"
        content = self.folder / f"content-{self._count}"
        content.write_text(seed or f"image {self._count} {os.urandom(8).hex()}\n", encoding="utf-8")
        self._run("umoci", "init", "--layout", str(layout))
        self._run("umoci", "new", "--image", f"{layout}:image")
        self._run("umoci", "insert", "--rootless", "--image", f"{layout}:image", str(content), "/content")
        if platform:
            self._run("umoci", "config", "--image", f"{layout}:image", "--os", platform[0], "--architecture", platform[1])
        return f"{layout}:image"

    def make_index(self, platforms=(("linux", "amd64"), ("linux", "arm64"))):
        """An index of one image per platform, as 'PATH:image'."""
        parts = [self.make(platform=platform) for platform in platforms]
        layout = pathlib.Path(self.make().rsplit(":", 1)[0])
        manifests = []
        for part, (system, architecture) in zip(parts, platforms):
            folder = pathlib.Path(part.rsplit(":", 1)[0])
            for blob in (folder / "blobs" / "sha256").iterdir():
                (layout / "blobs" / "sha256" / blob.name).write_bytes(blob.read_bytes())
            entry = json.loads((folder / "index.json").read_text(encoding="utf-8"))["manifests"][0]
            manifests.append({"mediaType": entry["mediaType"], "digest": entry["digest"], "size": entry["size"],
                              "platform": {"os": system, "architecture": architecture}})
        index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                            "manifests": manifests}).encode()
        digest = hashlib.sha256(index).hexdigest()
        (layout / "blobs" / "sha256" / digest).write_bytes(index)
        (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
            {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": f"sha256:{digest}", "size": len(index),
             "annotations": {"org.opencontainers.image.ref.name": "image"}}]}), encoding="utf-8")
        return f"{layout}:image"

    @staticmethod
    def digest(image):
        """sha256:... of the manifest or index."""
        layout = pathlib.Path(image.rsplit(":", 1)[0])
        return json.loads((layout / "index.json").read_text(encoding="utf-8"))["manifests"][0]["digest"]

    def push(self, image, registry, name, everything=False):
        """name: 'team/app:tag' or 'team/app@sha256:...'. everything: all manifests of an index."""
        self.skopeo("copy", "--dest-tls-verify=false", *(["--all"] if everything else []), f"oci:{image}",
                    f"docker://{registry.address}/{name}")

    def pull(self, registry, name):
        self._count += 1
        self.skopeo("copy", "--src-tls-verify=false", f"docker://{registry.address}/{name}",
                    f"oci:{self.folder / f'pulled-{self._count}'}:image")

    def delete(self, registry, name):
        self.skopeo("delete", "--tls-verify=false", f"docker://{registry.address}/{name}")


def notification(action="push", repository="team/app", digest=None, tag=None, media_type=None, size=528, actor="alice",
                 method=None, host="registry.example.com:5000", identity=None, request_id=None, at=None):
    """One event of Distribution's envelope, v1. A delete carries digest or tag alone."""
    target = {"repository": repository}
    if action == "delete":
        target.update({"digest": digest} if digest else {"tag": tag})
    else:
        digest = digest or "sha256:" + hashlib.sha256(os.urandom(8)).hexdigest()
        place = "blobs" if media_type == "application/octet-stream" else "manifests"
        target = {"mediaType": media_type or "application/vnd.oci.image.manifest.v1+json", "size": size,
                  "digest": digest, "length": size, "repository": repository,
                  "url": f"http://{host}/v2/{repository}/{place}/{digest}"}
        if tag:
            target["tag"] = tag
    return {"id": identity or f"{os.urandom(4).hex()}-{os.urandom(2).hex()}-4{os.urandom(2).hex()[1:]}-8"
                              f"{os.urandom(2).hex()[1:]}-{os.urandom(6).hex()}",
            "timestamp": at or "2026-08-21T08:13:20.402973972Z", "action": action, "target": target,
            "request": {"id": request_id or os.urandom(8).hex(), "addr": "192.0.2.7:41952", "host": host,
                        "method": method or {"push": "PUT", "pull": "GET", "delete": "DELETE"}.get(action, "PUT"),
                        "useragent": "skopeo/1.9.3"},
            "actor": {"name": actor} if actor else {},
            "source": {"addr": "node:5000", "instanceID": "a53db899-3b4b-4a62-a067-8dd013beaca4"}}


def envelope(*events):
    return {"events": list(events)}

# SPDX-License-Identifier: Apache-2.0
"""What Harbinger is measured beside, each started here and ended with the benchmark.

BullMQ on Redis with an append-only file that is synced before each answer: bench/peers/bullmq.js.
Distribution as Debian ships it: it sends its own notifications, out of memory, so what it owes is lost when it dies.
"""
import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys

import measure_tools
from measure_tools import WITH_US, wait_until

PEERS = f"{os.path.dirname(os.path.abspath(__file__))}/peers"
MANIFESTS = "/v2/bench/app/manifests/"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class BullMq:
    """An ingest server and a worker of their own on one Redis, which use both cores as one process cannot."""
    name, path, manifest, committed = "bullmq", "/", None, False

    def __init__(self, tools, folder, receiver):
        self.folder, self.receiver, self.processes = folder, receiver, []
        self.ca = [f"{tools.pki}/ca.pem"] if receiver.tls else []
        self.redis_port = free_port()
        os.makedirs(f"{folder}/redis", exist_ok=True)
        self.start(["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--dir", f"{folder}/redis",
                    "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no",
                    "--logfile", f"{folder}/redis.log"], read=False)
        wait_until(lambda: answers(self.redis_port), "Redis", 30)
        self.port = self.start_node("ingest")
        self.start_worker()

    def start(self, command, read=True):
        with open(f"{self.folder}/{os.path.basename(command[0])}.log", "ab") as log:
            process = subprocess.Popen([*WITH_US, *command], stdout=subprocess.PIPE if read else log, stderr=log, text=True)
        self.processes.append(process)
        if not read:
            return None
        line = process.stdout.readline()
        if not line.startswith("ready "):
            sys.exit(f"bench: {command[0]} did not start; its words are in {self.folder}")
        return int(line.split()[1])

    def start_node(self, role):
        return self.start(["node", f"{PEERS}/bullmq.js", role, str(self.redis_port), self.receiver.address, "50", *self.ca])

    def start_worker(self):
        self.start_node("work")

    def stop_worker(self):
        self.processes[2].kill()
        self.processes[2].wait()
        del self.processes[2]

    def pids(self):
        return [process.pid for process in self.processes]

    def memory_mib(self):
        return sum(measure_tools.memory_mib(pid) for pid in self.pids())

    def wait_done(self, _count):
        """Its jobs are removed when they end: what the receiver has seen is all that there is."""

    def stop(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


class Registry:
    """docker-registry with one endpoint. Its load are pushes: PUT of one manifest of a few hundred bytes under new tags."""
    name, path, committed = "registry", MANIFESTS, False

    def __init__(self, tools, folder, receiver):
        self.port = free_port()
        os.makedirs(folder, exist_ok=True)
        config = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": f"{folder}/storage"}},
                  "http": {"addr": f"127.0.0.1:{self.port}"},
                  "notifications": {"endpoints": [{"name": "bench", "url": receiver.address, "timeout": "5s",
                                                   "threshold": 3, "backoff": "1s"}]}}
        with open(f"{folder}/config.yml", "w", encoding="ascii") as file:
            json.dump(config, file)  # JSON is YAML
        env = {**os.environ, "SSL_CERT_FILE": f"{tools.pki}/ca.pem"}
        with open(f"{folder}/registry.log", "wb") as log:
            self.process = subprocess.Popen([*WITH_US, "docker-registry", "serve", f"{folder}/config.yml"], env=env,
                                            stdout=log, stderr=log)
        wait_until(lambda: answers(self.port), "docker-registry", 30)
        self.manifest = f"{folder}/manifest.json"
        self.push_blobs()

    def push_blobs(self):
        parts = [("application/vnd.oci.image.config.v1+json", b"{}"),
                 ("application/vnd.oci.image.layer.v1.tar+gzip", b"a layer of few bytes")]
        described = [self.push_blob(media_type, data) for media_type, data in parts]
        with open(self.manifest, "w", encoding="ascii") as file:
            json.dump({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                       "config": described[0], "layers": described[1:]}, file)

    def push_blob(self, media_type, data):
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/v2/bench/app/blobs/uploads/")
        answer = connection.getresponse()
        answer.read()
        place = answer.getheader("Location")
        connection.request("PUT", f"{place[place.index('/v2/'):]}&digest={digest}", body=data)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 201:
            sys.exit(f"bench: docker-registry answered a blob with {answer.status}")
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def pids(self):
        return [self.process.pid]

    def memory_mib(self):
        return measure_tools.memory_mib(self.process.pid)

    def wait_done(self, _count):
        """It keeps no record of its attempts: what the receiver has seen is all that there is."""

    def stop(self):
        self.process.kill()
        self.process.wait()

# SPDX-License-Identifier: Apache-2.0
"""Harbinger under measurement: with its defaults, but for what lets it run on this machine alone."""
import base64
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time

import measure_tools
from measure_tools import TOKEN, WITH_US, wait_until

PASSWORD = "Bench-12345"
INGEST = "/ingest/distribution"


class Server:
    """The guard is on and lets loopback pass; the log has its default level; attempts are recorded, retention is on."""

    def __init__(self, tools, data, settings=()):
        self.data = data
        os.makedirs(data, mode=0o700, exist_ok=True)
        env = {key: value for key, value in os.environ.items() if not key.startswith("HARBINGER_")}
        env["HARBINGER_ADMIN_PASSWORD"] = PASSWORD
        command = [*WITH_US, os.environ["HARBINGER_BINARY"], "serve", "--data", data, "--listen", "127.0.0.1:0",
                   "--egress-allow", "127.0.0.0/8"]
        for setting in (f"ingest.token={TOKEN}", "metrics.open=true", f"tls.ca_file={tools.pki}/ca.pem", *settings):
            command += ["--set", setting]
        began = time.monotonic()
        with open(f"{data}.log", "ab") as log:
            self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("harbinger ready "):
            sys.exit(f"bench: the server did not start; its words are in {data}.log")
        self.port = int(line.rsplit(":", 1)[1])
        self.asking = threading.Lock()  # who watches asks from a thread of its own
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        wait_until(lambda: self.status("/readyz") == 200, "readiness", 60, 0.002)
        self.ready_s = time.monotonic() - began

    def ask(self, method, path, body=None):
        with self.asking:
            return self.ask_alone(method, path, body)

    def ask_alone(self, method, path, body):
        credentials = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        try:
            self.connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
            answer = self.connection.getresponse()
        except (ConnectionError, http.client.HTTPException):  # closed while nobody asked: once more on a new one
            self.connection.close()
            self.connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
            answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def status(self, path):
        return self.ask("GET", path)[0]

    def request(self, method, path, body=None):
        status, text = self.ask(method, path, body)
        if status >= 300:
            sys.exit(f"bench: {method} {path} was answered {status}: {text}")
        return text

    def add_webhooks(self, addresses, first=0):
        """One project and webhook for each address: p00000 and on, as load names them."""
        for number, address in enumerate(addresses, first):
            self.request("POST", "/api/v2.0/projects", {"project_name": f"p{number:05}"})
            self.request("POST", f"/api/v2.0/projects/p{number:05}/webhook/policies", {
                "name": "bench", "enabled": True, "event_types": ["PUSH_ARTIFACT"],
                "targets": [{"type": "http", "address": address}]})

    def metrics(self):
        text = self.request("GET", "/metrics")
        return {name: float(value) for name, value in re.findall(r"^(\w+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)}

    def succeeded(self):
        return int(self.metrics().get('harbinger_deliveries_total{outcome="succeeded"}', 0))

    def wait_succeeded(self, count):
        """The counter moves when the attempt is committed: nothing is left to be done for these."""
        wait_until(lambda: self.succeeded() >= count, f"the commit of delivery {count}", pace_s=0.1)

    def pids(self):
        return [self.process.pid]

    def memory_mib(self, field="VmRSS"):
        return measure_tools.memory_mib(self.process.pid, field)

    def stop(self):
        self.connection.close()
        self.process.terminate()
        if self.process.wait() != 0:
            sys.exit("bench: the server did not end well")


class Histogram:
    """What a histogram of /metrics has gained between two scrapes."""

    def __init__(self, before, after, name):
        counts = []
        for key, value in after.items():
            found = re.fullmatch(rf'{name}_bucket\{{le="([^"]+)"\}}', key)
            if found:
                counts.append((float(found.group(1)), value - before.get(key, 0)))
        self.buckets = sorted(counts)  # cumulative; the last is +Inf
        self.count = self.buckets[-1][1] if self.buckets else 0

    def quantile_ms(self, share):
        """Between the bounds of its bucket as if the values lay evenly; beyond the last bound that bound."""
        wanted, below_s, below = self.count * share, 0.0, 0
        for bound_s, count in self.buckets:
            if count >= wanted and count > below:
                if bound_s == float("inf"):
                    return below_s * 1e3
                return (below_s + (bound_s - below_s) * (wanted - below) / (count - below)) * 1e3
            below_s, below = bound_s, count
        return 0.0

    def over(self, bound_s):
        """How many were longer than a bound that the histogram has."""
        return self.count - dict(self.buckets)[bound_s]

    def greatest_ms(self):
        """The bound that none exceeded."""
        return next((bound_s * 1e3 for bound_s, count in self.buckets if count >= self.count), 0.0)

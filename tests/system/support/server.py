# SPDX-License-Identifier: Apache-2.0
"""The real `harbinger serve`, with short deadlines, on a free port and a directory of its own."""
import base64
import http.client
import json
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import threading
import urllib.parse

from . import secrets
from .waiting import BOUND_S

ADMIN_PASSWORD = "Harbinger-12345"
INGEST_TOKEN = "ingest-token-of-the-tests"

# What a test would otherwise wait for. Everything else is the default that operators get.
SETTINGS = {
    "api.cancel_wait_ms": 2000,
    "auth.delay_min_ms": 1,
    "auth.delay_max_ms": 20,
    "breaker.probe_max_ms": 400,
    "breaker.probe_min_ms": 100,
    "breaker.span_ms": 100,
    "delivery.connect_timeout_ms": 2000,
    "delivery.first_byte_timeout_ms": 2000,
    "delivery.rescan_ms": 1000,
    "delivery.slack_interval_ms": 10,
    "delivery.total_timeout_ms": 4000,
    "ingest.token": INGEST_TOKEN,
    "limits.descriptors": 4096,
    "limits.drain_ms": 5000,
    "log.level": "debug",
    "retry.pause_max_ms": 200,
    "retry.pause_min_ms": 50,
    "retry.schedule_ms": "50,100,200",
    "store.min_free_bytes": 1048576,
    "store.retry_ms": 100,
}


def binary():
    path = os.environ.get("HARBINGER_BINARY")
    assert path and os.access(path, os.X_OK), "HARBINGER_BINARY does not name a program; ./test sets it"
    return path


class Server:
    """One running server. `url`, `port`, `data` (its directory), `log()`; stop(), kill(), start() again on the same data.

    settings: keys of `harbinger settings`, over SETTINGS above; None takes a default of SETTINGS away.
    egress_allow: ranges that webhooks may reach; the receivers of tests are on loopback.
    """

    def __init__(self, folder, settings=None, egress_allow=("127.0.0.0/8", "::1/128"), arguments=(), env=None,
                 listen="127.0.0.1:0", program=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        self.log_path = self.folder / "server.log"
        self.settings = {key: value for key, value in {**SETTINGS, **(settings or {})}.items() if value is not None}
        self.egress_allow = egress_allow
        self.arguments = list(arguments)
        self.env = env or {}
        self.listen = listen
        self.program = program or binary()
        self.process = None
        self.url = self.host = self.port = None
        self.lines = []
        secrets.remember(ADMIN_PASSWORD)
        secrets.remember(INGEST_TOKEN)
        secrets.keep_server(self.data, self.log_path)

    # -- life --

    def command(self):
        command = [self.program, "serve", "--data", str(self.data), "--listen", self.listen]
        for cidr in self.egress_allow:
            command += ["--egress-allow", cidr]
        for key, value in self.settings.items():
            shown = str(value).lower() if isinstance(value, bool) else value
            command += ["--set", f"{key}={shown}"]
        return command + self.arguments

    def environment(self):
        env = {key: value for key, value in os.environ.items() if not key.startswith("HARBINGER_")}
        return {**env, "HARBINGER_ADMIN_PASSWORD": ADMIN_PASSWORD, **self.env}

    def refusal(self):
        """Starts a server that cannot start: (exit code, what it wrote to standard error)."""
        done = subprocess.run(self.command(), env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=BOUND_S, check=False)
        assert done.stdout == b"", done.stdout
        return done.returncode, done.stderr.decode("utf-8")

    def start(self):
        """Starts it and waits for `harbinger ready URL`. To be called from the main thread (see the comment below)."""
        with open(self.log_path, "ab") as log:
            # setpriv: the server goes when the thread that started it does, however a test run ends.
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.command()], env=self.environment(),
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        ready = queue.Queue()
        threading.Thread(target=self._read_stdout, args=(self.process, ready), daemon=True).start()
        try:
            line = ready.get(timeout=BOUND_S)
        except queue.Empty:
            line = None
        if not line:
            self.process.kill()
            code = self.process.wait()
            raise AssertionError(f"the server did not become ready (exit code {code}):\n{self.log()[-4000:]}")
        self.url = line
        parts = urllib.parse.urlsplit(self.url)
        self.host, self.port = parts.hostname, parts.port
        return self

    def _read_stdout(self, process, ready):
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            self.lines.append(line)
            if line.startswith("harbinger ready "):
                ready.put(line[len("harbinger ready "):])
        ready.put(None)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, how=signal.SIGTERM, expect=0):
        """Ends it in good order and checks its exit code; fails on a server that had ended by itself."""
        if self.process is None:
            return
        process, self.process = self.process, None
        ended = process.poll()
        if ended is None:
            process.send_signal(how)
            try:
                ended = process.wait(timeout=BOUND_S)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGABRT)
                process.wait()
                raise AssertionError(f"the server did not stop within {BOUND_S:.0f} s:\n{self.log()[-4000:]}") from None
        assert ended == expect, f"the server ended with exit code {ended}:\n{self.log()[-4000:]}"

    def kill(self):
        """kill -9: what is not on disk is lost."""
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def log(self):
        try:
            return self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    # -- talking to it; `api` (support/api.py) is the checked way for /api/ --

    def request(self, method, path, body=None, headers=None, timeout=BOUND_S):
        """One request on a connection of its own, as (status, headers with lower-case names, body)."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            headers, read = {name.lower(): value for name, value in answer.getheaders()}, answer.read()
            self.keep_answer(method, path, answer.status, headers, read)
            return answer.status, headers, read
        finally:
            connection.close()

    def keep_answer(self, method, path, status, headers, body):
        """For the search after the last test (support/secrets.py)."""
        reveals = bool(self.settings.get("harbor_api.reveal_auth_header"))
        secrets.keep_answer(method, path, status, headers, body, reveals)

    def keep_metrics(self):
        """/metrics as it is now, likewise; of a server that the test has left in no state to answer, none."""
        if not self.is_running() or not self.url or not self.url.startswith("http://"):
            return
        try:
            self.request("GET", "/metrics", headers={"Authorization": basic("admin", ADMIN_PASSWORD)}, timeout=2)
        except (OSError, http.client.HTTPException):
            pass

    def socket(self, timeout=BOUND_S):
        """A plain TCP connection, for bytes that no client would send."""
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def ingest(self, envelope, token=INGEST_TOKEN,
               content_type="application/vnd.docker.distribution.events.v1+json"):
        """POST /ingest/distribution, as request() returns it. `envelope`: an object, or bytes as they are."""
        body = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
        headers = {"Content-Type": content_type}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self.request("POST", "/ingest/distribution", body, headers)


def basic(name, password):
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()

# SPDX-License-Identifier: Apache-2.0
"""docs/receiving.md holds what it says: its receivers run, its table is the program's, the included files are the files."""
import os
import pathlib
import queue
import re
import subprocess
import threading

import pytest

from support.registry import envelope, notification
from support.server import binary
from support.waiting import BOUND_S, wait_until

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
RECEIVERS = ["receiver.sh", "receiver.py", "receiver.js"]
TOKEN = "token-of-the-receiver"
READY = re.compile(r"ready (?:\S+:)?(\d+)/?$")


class Running:
    """One of the receivers of the documents, with a script that notes what it was called with; fail: its exit code is 1."""

    def __init__(self, name, folder):
        self.calls, self.fail = folder / "calls", folder / "fail"
        script = folder / "script"
        script.write_text(f'#!/bin/sh\n[ ! -e "{self.fail}" ] || exit 1\necho "$1 $2 $(wc -c)" >>"{self.calls}"\n',
                          encoding="ascii")
        script.chmod(0o755)
        env = {**os.environ, "TOKEN": TOKEN, "SEEN": str(folder / "seen"), "HARBINGER": binary()}
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", str(DOCS / "receivers" / name), str(script), "127.0.0.1:0"], env=env,
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.output, self._port = [], queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        port = self._port.get(timeout=BOUND_S)
        assert port, "".join(self.output)
        self.url = f"http://127.0.0.1:{port}/"

    def _read(self):
        for line in self.process.stdout:
            self.output.append(line)
            found = READY.search(line.strip())
            if found:
                self._port.put(found.group(1))
        self._port.put(None)

    def called(self):
        return self.calls.read_text(encoding="ascii").splitlines() if self.calls.exists() else []

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=BOUND_S)


@pytest.fixture(params=RECEIVERS)
def running(request, tmp_path):
    one = Running(request.param, tmp_path)
    yield one
    one.stop()


def push(server, project):
    event = notification(repository=f"{project}/app", tag="v1")
    assert server.ingest(envelope(event))[0] == 200
    return event["target"]["digest"]


def test_receiver_runs_its_script_once_per_push(server, api, project, running):
    policy = api.webhook(project, running.url, auth_header=f"Bearer {TOKEN}")
    digest = push(server, project)
    assert api.execution_ended(project, policy)[0]["status"] == "Success", running.output
    (call,) = running.called()
    resource, called_digest, body_bytes = call.split()
    assert (resource, called_digest) == (f"registry.example.com:5000/{project}/app:v1", digest)
    assert int(body_bytes) > 100
    delivery = api.executions(project, policy)[0]["id"]
    api.post(f"/projects/{project}/webhook/deliveries/{delivery}/redeliver")
    assert [one["status"] for one in api.execution_ended(project, policy, 2)] == ["Success", "Success"]
    assert running.called() == [call]  # the same event, known by its webhook-id


def test_receiver_whose_script_fails_gets_the_push_again(server, api, project, running):
    running.fail.touch()
    policy = api.webhook(project, running.url, auth_header=f"Bearer {TOKEN}")
    digest = push(server, project)
    wait_until(lambda: api.get(f"/projects/{project}/webhook/policies/{policy}/deliveries").json[0].get("last_status") == 500,
               "the first try was answered 500")
    running.fail.unlink()
    assert api.execution_ended(project, policy)[0]["status"] == "Success"
    assert [call.split()[1] for call in running.called()] == [digest]


def test_receiver_refuses_another_token(server, api, project, running):
    policy = api.webhook(project, running.url, auth_header="Bearer another")
    push(server, project)
    assert api.execution_ended(project, policy)[0]["status"] == "Error"
    assert running.called() == []


@pytest.mark.parametrize("name", RECEIVERS)
def test_receivers_in_the_text_are_the_files(name):
    text = (DOCS / "receiving.md").read_text(encoding="utf-8")
    code = (DOCS / "receivers" / name).read_text(encoding="utf-8")
    assert f"\n{code}```\n" in text
    lines = [line for line in code.splitlines() if line and not line.startswith(("#", "//"))]
    assert len(lines) <= 25


def test_table_of_answers_is_the_programs():
    printed = subprocess.run([binary(), "answers"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                             check=True).stdout
    text = (DOCS / "receiving.md").read_text(encoding="utf-8")
    assert f"<!-- harbinger answers -->\n{printed}<!-- end -->\n" in text

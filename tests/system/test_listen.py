# SPDX-License-Identifier: Apache-2.0
"""`harbinger listen`: a receiver for people and scripts."""
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from support.api import push_event
from support.server import binary
from support.waiting import BOUND_S, wait_until

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
TYPES = {"default": "application/json", "cloudevents": "application/cloudevents+json", "slack": "application/json"}
MAX_RUNNING = 8  # LISTEN_MAX_RUNNING in src/cli/listen.h


class Listener:
    def __init__(self, *arguments, env=None):
        self.process = subprocess.Popen([binary(), "listen", "--listen", "127.0.0.1:0", *arguments], text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, **(env or {})})
        self.out, self.err = [], []
        self._changed = threading.Condition()
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True)
                         for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        for reader in self._readers:
            reader.start()
        self.url = self.shows(r"harbinger listen ready (http://127\.0\.0\.1:\d+/)",
                              self.err if "--json" in arguments else self.out).group(1)

    def _read(self, stream, lines):
        for line in stream:
            with self._changed:
                lines.append(line.rstrip("\n"))
                self._changed.notify_all()

    def shows(self, pattern, lines=None):
        lines = self.out if lines is None else lines
        find = lambda: re.search(pattern, "\n".join(lines))  # noqa: E731
        with self._changed:
            assert self._changed.wait_for(find, timeout=BOUND_S), f"no `{pattern}` in {self.out} {self.err}"
            return find()

    def post(self, body, content_type="application/json", method="POST", **headers):
        """(status, text)"""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url, body, {"Content-Type": content_type, **headers}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=BOUND_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def end(self):
        """Its exit code, when it ends by itself; all output is read then."""
        code = self.process.wait(timeout=BOUND_S)
        for reader in self._readers:
            reader.join(timeout=BOUND_S)
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()


@pytest.fixture
def listen():
    made = []

    def make(*arguments, **options):
        made.append(Listener(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def golden(name):
    """(content type, body) of a golden file."""
    return TYPES[name.split(".")[-2]], (GOLDEN / name).read_bytes()


def push(tag="v1"):
    return (GOLDEN / "PUSH_ARTIFACT.default.json").read_bytes().replace(b"v1.2.0", tag.encode())


def test_every_body_that_harbinger_sends_is_recognised(listen):
    listener = listen()
    names = sorted(path.name for kind in TYPES for path in GOLDEN.glob(f"*.{kind}.json"))
    assert len(names) > 30
    for name in names:
        content_type, body = golden(name)
        assert listener.post(body, content_type) == (200, ""), name
    assert listener.err == []


@pytest.mark.parametrize("content_type, body, words", [
    ("application/json", b'{"hello":"world"}', "`type` is none of the ten event types"),
    ("application/json", b"not json", "none of Harbinger's formats"),
    ("text/plain", b'{"type":"PUSH_ARTIFACT"}', "content type"),
    ("application/cloudevents+json", b'{"specversion":"0.3"}', "specversion"),
])
def test_what_is_none_of_our_formats_is_refused_to_both_sides(listen, content_type, body, words):
    listener = listen()
    status, text = listener.post(body, content_type)
    assert status == 400 and words in text
    listener.shows(r"answered 400 to 127\.0\.0\.1:\d+", listener.err)
    assert len(listener.out) == 1  # the ready line alone


def test_other_methods_and_bodies_that_are_too_large_are_refused(listen):
    listener = listen()
    assert listener.post(None, method="GET")[0] == 405
    with pytest.raises((AssertionError, urllib.error.URLError)):
        assert listener.post(b" " * (4 * 1024 * 1024 + 1))[0] != 413


def test_a_real_delivery_is_shown_with_its_number_and_latency(listen, api, project):
    listener = listen()
    api.webhook(project, listener.url)
    event = api.submit(project, push_event(tag="v9"))
    number = listener.shows(rf"delivery (\d+), attempt 1, event {event['id']}").group(1)
    assert int(number) > 0
    listener.shows(r"PUSH_ARTIFACT +\S*/app:v9  by alice, \d+ s after it happened")


def test_json_is_one_object_per_delivery_and_nothing_else(listen):
    listener = listen("--json", "--count", "2")
    body = push()
    listener.post(body, webhook_id="e1", X_Harbinger_Delivery="7", X_Harbinger_Attempt="2")
    listener.post(*reversed(golden("REPLICATION.cloudevents.json")))
    assert listener.end() == 0
    first, second = (json.loads(line) for line in listener.out)
    assert first["body"] == json.loads(body) and first["format"] == "Default" and first["type"] == "PUSH_ARTIFACT"
    assert (first["event_id"], first["delivery"], first["attempt"]) == ("e1", "7", "2") and first["latency_us"] > 0
    assert second["format"] == "CloudEvents" and second["type"] == "REPLICATION"


def test_only_the_agreed_authorization_is_let_in(listen):
    listener = listen("--auth-header", "Bearer agreed")
    assert listener.post(push())[0] == 401
    assert listener.post(push(), Authorization="Bearer other")[0] == 401
    assert listener.post(push(), Authorization="Bearer agreed")[0] == 200


def test_names_from_outside_cannot_control_the_terminal(listen):
    listener = listen()
    body = json.loads(push())
    body["operator"] = "\x1b[2J\u202eecila\x9b1m"
    assert listener.post(json.dumps(body).encode(), webhook_id="e2")[0] == 200
    line = listener.shows(r"PUSH_ARTIFACT.*by (\S+),").group(1)
    assert line == "\\u001b[2J\\u202eecila\\u009b1m"


# ---- ends ----------------------------------------------------------------------------------------------------------------------


def test_count_ends_it_and_refused_ones_do_not_count(listen):
    listener = listen("--count", "2")
    assert listener.post(b"{}")[0] == 400
    assert listener.post(push())[0] == 200
    assert listener.process.poll() is None
    assert listener.post(push())[0] == 200
    assert listener.end() == 0


def test_timeout_says_how_many_came(listen):
    listener = listen("--count", "2", "--timeout", "1")
    listener.post(push())
    assert listener.end() == 1
    assert "1 of 2 deliveries came in 1 s" in "\n".join(listener.err)
    assert listen("--timeout", "1").end() == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_commands_that_run(listen, how, tmp_path):
    listener = listen("--exec", f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec tail -f /dev/null")
    sender = threading.Thread(target=lambda: pytest.raises(Exception, listener.post, push()), daemon=True)
    sender.start()
    wait_until((tmp_path / "pid").exists, "the start of the command")
    number = int((tmp_path / "pid").read_text())
    listener.process.send_signal(how)
    assert listener.end() == 0
    wait_until(lambda: not pathlib.Path(f"/proc/{number}").exists(), "the end of the command")
    sender.join(timeout=BOUND_S)


def test_an_address_that_is_taken_or_wrong_is_said():
    for address, code, words in (("127.0.0.1:0x", 2, "ADDRESS:PORT"), ("192.0.2.1:1", 1, "192.0.2.1:1")):
        done = subprocess.run([binary(), "listen", "--listen", address], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=BOUND_S, check=False)
        assert done.returncode == code and words in done.stderr and done.stdout == ""


# ---- --exec --------------------------------------------------------------------------------------------------------------------


def test_the_command_gets_the_body_and_what_it_is_about(listen, tmp_path):
    listener = listen("--exec", f"cat > {tmp_path}/body; env > {tmp_path}/env")
    body = push("v5") + b" " * 300000  # more than a pipe holds
    assert listener.post(body, webhook_id="e3", X_Harbinger_Delivery="8", X_Harbinger_Attempt="1")[0] == 200
    assert (tmp_path / "body").read_bytes() == body
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    assert env["HARBINGER_EVENT_TYPE"] == "PUSH_ARTIFACT"
    assert env["HARBINGER_EVENT_RESOURCE"] == "registry.example.com/team-a/web/api:v5"
    assert env["HARBINGER_EVENT_REPOSITORY"] == "team-a/web/api" and env["HARBINGER_EVENT_ACTOR"] == "alice"
    assert (env["HARBINGER_EVENT_ID"], env["HARBINGER_DELIVERY"], env["HARBINGER_ATTEMPT"]) == ("e3", "8", "1")


def test_the_exit_code_is_the_answer(listen):
    listener = listen("--exec", 'test "$HARBINGER_ATTEMPT" = 2', "--count", "1")
    assert listener.post(push(), X_Harbinger_Attempt="1") == (500, "the command exited with 1\n")
    assert listener.post(push(), X_Harbinger_Attempt="2") == (200, "")
    assert listener.end() == 0
    killed = listen("--exec", "kill -9 $$")
    assert killed.post(push()) == (500, "the command was killed by signal 9\n")


def test_a_command_that_does_not_read_or_is_not_there_harms_nothing(listen):
    listener = listen("--exec", "exit 0")
    for _ in range(20):
        assert listener.post(push() + b" " * 500000)[0] == 200
    missing = listen("--exec", "/nonexistent/command")
    assert missing.post(push()) == (500, "the command exited with 127\n")


def test_commands_run_beside_each_other_but_never_more_than_the_bound(listen, tmp_path):
    go = tmp_path / "go"
    os.mkfifo(go)
    listener = listen("--exec", f"touch {tmp_path}/run-$HARBINGER_DELIVERY; read line < {go}; exit 0")
    answers = []
    senders = [threading.Thread(target=lambda n=n: answers.append(listener.post(push(), X_Harbinger_Delivery=str(n))[0]))
               for n in range(MAX_RUNNING + 4)]
    for sender in senders:
        sender.start()
    started = lambda: len(list(tmp_path.glob("run-*")))  # noqa: E731
    wait_until(lambda: started() == MAX_RUNNING, "as many commands as may run")
    # The loop is not held up by them: a body that needs no command is answered at once.
    assert listener.post(b"{}")[0] == 400
    assert started() == MAX_RUNNING and answers == []
    gate = os.open(go, os.O_RDWR)  # both ends: it never breaks while one command ends and the next starts
    try:
        os.write(gate, b"go\n" * len(senders))
        for sender in senders:
            sender.join(timeout=BOUND_S)
    finally:
        os.close(gate)
    assert answers == [200] * len(senders) and started() == len(senders)

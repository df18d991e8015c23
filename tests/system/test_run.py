# SPDX-License-Identifier: Apache-2.0
"""./run in a fresh copy of the tree: what a person meets first, and everything that may be in its way.

The program is the one that was built already (HARBINGER_BINARY); one long test builds it in the copy.
"""
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from support.server import binary
from support.waiting import BOUND_S, wait_until

# One worker: each takes the same preferred ports first.
pytestmark = pytest.mark.xdist_group("run")

TOP = pathlib.Path(__file__).resolve().parents[2]
_RUN_BOUND_S = 4 * BOUND_S


def ignored(folder, names):
    """What is made and not written: left out of a copy. scripts/build is written."""
    made = shutil.ignore_patterns("__pycache__", "node_modules", "corpus", "golden")(folder, names)
    if pathlib.Path(folder) == TOP:
        made |= shutil.ignore_patterns(".git", "build", "build-*", "data")(folder, names)
    return made


def _heed_interrupts():
    """A suite that was started in the background ignores SIGINT, and so would all that it starts; a terminal's shell heeds it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Tree:
    """A copy of the tree, with what was started in it."""

    def __init__(self, folder):
        self.path = folder / "tree"
        shutil.copytree(TOP, self.path, ignore=ignored, symlinks=True)
        self.data = self.path / "data"
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("HARBINGER_")}
        self.env.update(HARBINGER_BINARY=binary(), HARBINGER_DATA=str(self.data), XDG_CONFIG_HOME=str(folder / "config"))
        self.started = []

    def run(self, *arguments, before=(), **env):
        """To its end. Returns the completed process; stdout and stderr are text."""
        return subprocess.run([*before, str(self.path / "run"), *arguments], env={**self.env, **env},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=_RUN_BOUND_S, check=False)

    def start(self, **env):
        one = Running(self, {**self.env, **env})
        self.started.append(one)
        return one

    def pids(self):
        """name -> process number, of what ./run has written down."""
        try:
            lines = (self.data / "run" / "pids").read_text().splitlines()
        except FileNotFoundError:
            return {}
        return {line.split()[0]: int(line.split()[1]) for line in lines}

    def log(self, name):
        return (self.data / "run" / "logs" / f"{name}.log").read_text()

    def cli(self, running, *arguments):
        """A client command with the token of ./run; returns its JSON."""
        token = json.loads((self.data / "run/cli/harbinger/login.json").read_text())["token"]
        done = subprocess.run([binary(), *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=True,
                              env={**self.env, "HARBINGER_URL": running.url, "HARBINGER_TOKEN": token})
        return json.loads(done.stdout) if done.stdout.strip() else None

    def close(self):
        for number in self.pids().values():
            kill(number)
        for one in self.started:
            one.close()


class Running:
    """./run on a terminal, so that it shows what it shows to people."""

    def __init__(self, tree, env):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen([str(tree.path / "run")], env=env, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, preexec_fn=_heed_interrupts)
        os.close(slave)
        self.text = ""
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                piece = os.read(self.master, 65536)
            except OSError:  # the terminal's other side is gone
                piece = b""
            with self._changed:
                self.text += piece.decode("utf-8", "replace") if piece else ""
                self._changed.notify_all()
            if not piece:
                return

    def shows(self, pattern):
        with self._changed:
            if not self._changed.wait_for(lambda: re.search(pattern, self.text), timeout=_RUN_BOUND_S):
                raise AssertionError(f"`{pattern}` was not shown:\n{self.text}")
            return re.search(pattern, self.text)

    def ready(self):
        self.shows(r"Running; deliveries")
        self.url = self.shows(r"server +(http://127\.0\.0\.1:\d+)").group(1)
        self.shows(rf"portal +{re.escape(self.url)}/\s")
        self.registry = self.shows(r"behind it +(127\.0\.0\.1:\d+)").group(1)
        return self

    def ctrl_c(self):
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=_RUN_BOUND_S)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


@pytest.fixture
def tree(tmp_path):
    one = Tree(tmp_path)
    yield one
    one.close()


def kill(number):
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        pass


def is_alive(number):
    try:
        return pathlib.Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def answers(url):
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=BOUND_S) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def assert_one_sentence(done, words):
    """Exit 1, and one line on standard error that says what is wrong and what to do."""
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("./run: "), done.stderr
    assert re.search(words, lines[0]), lines[0]


def digest_of(done):
    return re.search(r"sha256:[0-9a-f]{64}", done.stdout).group(0)


# ---- what it promises ------------------------------------------------------------------------------------------------------


def test_once_pushes_an_image_and_shows_its_delivery_with_the_latency(tree):
    done = tree.run("--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert re.search(r"PUSH_ARTIFACT +127\.0\.0\.1:\d+/demo/hello:latest  by admin, \d+\.\d ms after it happened", done.stdout)
    assert len(re.findall(r"^  \S*(?:harbinger login|harbinger delivery ls|skopeo) ", done.stdout, re.MULTILINE)) == 3
    password = (tree.data / "admin-password").read_text().strip()
    assert password not in done.stdout  # it is shown on terminals only
    assert stat.S_IMODE((tree.data / "admin-password").stat().st_mode) == 0o600
    assert stat.S_IMODE(tree.data.stat().st_mode) == 0o700
    assert tree.pids() == {}
    assert not answers(re.search(r"http://\S+", done.stdout).group(0))


def test_twice_in_a_row_uses_what_is_there_and_pushes_something_new(tree):
    first = tree.run("--once")
    password = (tree.data / "admin-password").read_text()
    second = tree.run("--once")
    assert first.returncode == 0 and second.returncode == 0, second.stdout + second.stderr
    assert digest_of(first) != digest_of(second)
    assert (tree.data / "admin-password").read_text() == password
    running = tree.start().ready()
    assert [one["name"] for one in tree.cli(running, "project", "ls")] == ["demo"]
    webhooks = tree.cli(running, "webhook", "ls", "--project", "demo")
    assert [one["name"] for one in webhooks] == ["listen"]
    assert webhooks[0]["enabled"] and not webhooks[0]["targets"][0].get("skip_cert_verify")
    receiver = re.search(r"ready (http://\S+)", tree.log("listen")).group(1)
    assert webhooks[0]["targets"][0]["address"] == receiver


def test_keeps_running_shows_deliveries_and_ctrl_c_stops_everything(tree):
    running = tree.start().ready()
    password = (tree.data / "admin-password").read_text().strip()
    assert password in running.text
    assert answers(running.url)
    numbers = tree.pids()
    assert sorted(numbers) == ["listen", "registry", "serve"]
    copy = f"docker://{running.registry}/demo/hello"
    subprocess.run(["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
                    f"{copy}:latest", f"{copy}:v2"], check=True, stdout=subprocess.DEVNULL, timeout=BOUND_S)
    running.shows(r"PUSH_ARTIFACT +\S+/demo/hello:v2")
    running.ctrl_c()
    assert not [name for name, number in numbers.items() if is_alive(number)]
    assert not answers(running.url)
    assert tree.pids() == {}


def test_a_second_one_while_the_first_runs_says_so_and_disturbs_nothing(tree):
    running = tree.start().ready()
    numbers = tree.pids()
    for arguments in (("--once",), ("--clean",), ()):
        assert_one_sentence(tree.run(*arguments), rf"another \./run is at work .*{re.escape(running.url)}.*Ctrl-C")
    assert answers(running.url)
    assert tree.pids() == numbers


def test_it_ends_with_words_when_a_server_dies(tree):
    running = tree.start().ready()
    numbers = tree.pids()
    kill(numbers["registry"])
    running.shows(r"\./run: registry has ended by itself")
    assert running.process.wait(timeout=_RUN_BOUND_S) == 1
    assert not [name for name, number in numbers.items() if is_alive(number)]


def test_the_password_is_neither_shown_nor_needed_once_it_was_changed(tree):
    assert tree.run("--once").returncode == 0
    subprocess.run([binary(), "user", "passwd", "admin", "--data", str(tree.data), "--password-stdin"],
                   input="Changed-12345\n", text=True, check=True, env=tree.env)
    assert not (tree.data / "admin-password").exists()
    done = tree.run("--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "with the password you gave it" in done.stdout
    assert not (tree.data / "admin-password").exists()
    # Without the password and without a token it cannot go on, and says how it can.
    shutil.rmtree(tree.data / "run" / "cli")
    assert_one_sentence(tree.run("--once"), r"the admin password was changed .*user passwd admin --data")


# ---- what may be in its way ---------------------------------------------------------------------------------------------------


def test_recovers_after_kill_9_of_everything(tree):
    running = tree.start().ready()
    numbers = tree.pids()
    os.kill(running.process.pid, signal.SIGKILL)
    for number in numbers.values():
        kill(number)
    running.process.wait()
    done = tree.run("--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left over" not in done.stdout


def test_ends_what_a_killed_run_left_behind(tree):
    running = tree.start().ready()
    numbers = tree.pids()
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    assert all(is_alive(number) for number in numbers.values())
    done = tree.run("--once")
    assert done.returncode == 0, done.stdout + done.stderr
    for name, number in numbers.items():
        assert f"ending {name} (process {number})" in done.stdout
        assert not is_alive(number)


def test_a_number_that_another_process_has_by_now_is_left_alone(tree):
    assert tree.run("--once").returncode == 0
    bystander = subprocess.Popen(["tail", "-f", "/dev/null"])
    try:
        (tree.data / "run" / "pids").write_text(f"serve {bystander.pid} 1\nlisten 999999999 7\nregistry\n")
        assert tree.run("--once").returncode == 0
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_takes_the_next_ports_when_others_hold_the_preferred_ones_and_says_so(tree):
    held = {}
    try:
        for port, what in ((8080, "server"), (5000, "registry"), (9090, "receiver")):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
                one.listen()
            except OSError:
                one.close()  # somebody has it, for how long nobody knows: ./run may find it free
                continue
            held[port, what] = one
        if not held:
            pytest.skip("other programs hold all three ports")
        done = tree.run("--once")
    finally:
        for one in held.values():
            one.close()
    assert done.returncode == 0, done.stdout + done.stderr
    for port, what in held:
        assert re.search(rf"port {port} is taken by another program; the {what} uses \d+", done.stdout), done.stdout


def can(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def test_works_without_a_network(tree):
    alone = ("unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    if not can(*alone, "true"):
        pytest.skip("this system allows no network namespaces")
    done = tree.run("--once", before=alone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


def on_small_disk(tree, size):
    """A command line before ./run that gives it a file system of that size for its data."""
    tree.data.mkdir(exist_ok=True)
    before = ("unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o size={size} none "$0" && exec "$@"', str(tree.data))
    if not can(*before, "true"):
        pytest.skip("this system allows no mounts in a namespace")
    return before


def test_says_that_the_disk_is_full_and_what_to_do(tree):
    done = tree.run("--once", before=on_small_disk(tree, "8m"))
    assert_one_sentence(done, r"only \d+ MiB are free in .* and \d+ MiB are needed: free some space, or .*HARBINGER_DATA")
    assert done.stdout == ""


def test_works_on_a_disk_with_just_enough_space(tree):
    done = tree.run("--once", before=on_small_disk(tree, "100m"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_says_what_to_do_when_the_folder_cannot_be_made(tree, tmp_path):
    (tmp_path / "file").touch()
    done = tree.run("--once", HARBINGER_DATA=str(tmp_path / "file" / "data"))
    assert_one_sentence(done, r"cannot make the folder .* \(Not a directory\): make it writable, or name another")


def test_touches_no_folder_that_it_did_not_make(tree, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter").write_text("mine")
    assert_one_sentence(tree.run("--once", HARBINGER_DATA=str(foreign)), r"files that \./run did not make")
    assert_one_sentence(tree.run("--clean", HARBINGER_DATA=str(foreign)), r"was not made by \./run")
    assert [one.name for one in foreign.iterdir()] == ["letter"]


def test_once_fails_with_the_reason_when_the_delivery_does_not_arrive(tree):
    running = tree.start().ready()
    tree.cli(running, "webhook", "edit", "listen", "--project", "demo", "--event", "TAG_RETENTION")
    running.ctrl_c()
    done = tree.run("--once", HARBINGER_RUN_WAIT_S="2")
    assert_one_sentence(done, r"the event \S+ is recorded, but the webhook listen of project demo did not get it: .*type")
    assert tree.pids() == {}


def test_a_program_that_does_not_start_is_named(tree, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'harbinger serve: nothing works today' >&2\nexit 1\n")
    broken.chmod(0o755)
    assert_one_sentence(tree.run("--once", HARBINGER_BINARY=str(broken)), r"serve did not come up: .*nothing works today")
    assert_one_sentence(tree.run("--once", HARBINGER_BINARY="/nonexistent"), r"there is no program /nonexistent")


def test_clean_removes_what_it_made(tree):
    assert tree.run("--once").returncode == 0
    before = {path.name for path in tree.path.iterdir()}
    done = tree.run("--clean")
    assert done.returncode == 0, done.stderr
    assert before - {path.name for path in tree.path.iterdir()} == {"data"}
    assert tree.run("--clean").returncode == 0  # nothing is left: fine


def test_other_arguments_are_refused_with_the_usage(tree):
    done = tree.run("--twice")
    assert done.returncode == 2 and done.stderr == "usage: ./run [--tls] [--once] | --clean\n"
    assert "./run --once" in tree.run("--help").stdout


@pytest.mark.long
def test_builds_the_program_in_a_fresh_tree_and_removes_the_build(tree):
    done = subprocess.run([str(tree.path / "run"), "--once"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={key: value for key, value in tree.env.items() if key != "HARBINGER_BINARY"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tree.path / "build" / "harbinger").exists()
    env = {key: value for key, value in tree.env.items() if key != "HARBINGER_BINARY"}
    subprocess.run([str(tree.path / "run"), "--clean"], env=env, check=True, stdout=subprocess.DEVNULL)
    wait_until(lambda: not (tree.path / "build").exists() and not tree.data.exists(), "the removal")

# SPDX-License-Identifier: Apache-2.0
"""What breaks around the server, and what it does then: one clear line in the log, the truth at /readyz, nothing lost that
was acknowledged, nothing kept that was refused for good, and work again without a hand as soon as the cause is gone.

Killed processes and power cuts are tests/crash/'s; here the process lives. Each test keeps an account: `Account` sends
notifications, remembers which were acknowledged, and at the end every one of them has reached the receiver.
"""
import contextlib
import errno
import http.client
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import threading

import pytest

from support.faults import Faults, faults_binary
from support.names import Names
from support.receiver import Answer
from support.registry import envelope, notification
from support.server import ADMIN_PASSWORD, INGEST_TOKEN, basic
from support.session_client import SessionClient
from support.waiting import BOUND_S, wait_until

PROJECT = "team"
MIB = 1 << 20
DAY_S = 86400
ADMIN = {"Authorization": basic("admin", ADMIN_PASSWORD)}


class Account:
    """Pushes into PROJECT with a tag of their own each. acknowledged and refused: tags."""

    def __init__(self, server, receiver):
        self.server, self.receiver = server, receiver
        self.acknowledged, self.refused = [], []
        self.sent = {}  # tag -> the notification, to be sent again

    def push(self, count=1):
        """The last answer's status."""
        status = None
        for _ in range(count):
            tag = f"v{len(self.sent)}"
            self.sent[tag] = notification(repository=f"{PROJECT}/app", tag=tag)
            status = self.again(tag)
        return status

    def again(self, tag):
        status = self.server.ingest(envelope(self.sent[tag]))[0]
        (self.acknowledged if status == 200 else self.refused).append(tag)
        return status

    def push_until(self, wanted):
        """Pushes until one is answered so."""
        wait_until(lambda: self.push() == wanted, f"a push is answered {wanted}")

    def arrived(self):
        return {request.json["event_data"]["resources"][0]["tag"] for request in list(self.receiver.requests)}

    def judge(self):
        """Every acknowledged push arrives, each under one id and with the same bytes; and nothing that nobody sent."""
        wait_until(lambda: set(self.acknowledged) <= self.arrived(), "everything that was acknowledged has arrived")
        assert self.arrived() <= set(self.sent)
        bodies, ids = {}, {}
        for request in list(self.receiver.requests):
            bodies.setdefault(request.header("webhook-id"), set()).add(request.body)
            ids.setdefault(request.json["event_data"]["resources"][0]["tag"], set()).add(request.header("webhook-id"))
        assert all(len(one) == 1 for one in bodies.values()), "an event changed its bytes"
        assert all(len(one) == 1 for one in ids.values()), "a push became two events"


def readiness(server):
    status, _, body = server.request("GET", "/readyz")
    return status, body.decode()


def not_ready(server, pattern):
    """Waits until /readyz is 503 and says this."""
    return wait_until(lambda: (lambda answer: answer if answer[0] == 503 and re.search(pattern, answer[1]) else None)
                      (readiness(server)), f"/readyz says 503 and {pattern!r}; it says {readiness(server)}")


def ready(server):
    wait_until(lambda: readiness(server) == (200, "ready\n"), "it is ready again")


def lines(server, pattern, level="(warn|error|info)"):
    return re.findall(rf"^\S+ {level} .*{pattern}.*$", server.log(), re.M)


def log_says(server, pattern, times=1):
    """The line is there, and not more often."""
    wait_until(lambda: len(lines(server, pattern)) >= times, f"the log says {pattern!r}")
    assert len(lines(server, pattern)) == times, lines(server, pattern)


def street(server, api_of, receiver, **fields):
    """A server with a project and a webhook; its account."""
    api = api_of(server)
    api.project(PROJECT)
    api.webhook(PROJECT, receiver.url, **fields)
    return Account(server, receiver)


@contextlib.contextmanager
def down(receiver):
    """The receiver answers 503 meanwhile: what is acknowledged waits."""
    receiver.always(Answer(503))
    try:
        yield
    finally:
        receiver.always(Answer(200))


# -- the disk is full -------------------------------------------------------------------------------------------------


def test_below_the_floor_no_event_is_taken_and_readyz_says_so(disk_of, new_server, api_of, receiver, tmp_path):
    disk = disk_of(tmp_path / "small", 48 * MIB)
    server = new_server(folder=tmp_path / "small", settings={"store.min_free_bytes": 16 * MIB})
    account = street(server, api_of, receiver)
    with down(receiver):
        assert account.push(3) == 200
        disk.fill(leave_bytes=8 * MIB)
        # Nobody has to send anything for it to be known.
        not_ready(server, r"no new event is taken: \d+ MiB are free for .* and 16 MiB must be; make room")
        assert account.push() == 503
        assert api_of(server).post(f"/projects/{PROJECT}/events", {"type": "QUOTA_WARNING", "data": {"details": "full"}},
                                   expect=503).header("Retry-After")
    api_of(server).project("other")  # no event: it is taken
    account.judge()  # and what was taken before is delivered, there is room for that
    disk.empty()
    ready(server)
    assert account.again(account.refused[0]) == 200
    account.judge()
    log_says(server, r"store: no new event is taken: \d+ MiB are free")
    assert len(lines(server, "no new event is taken")) == 1
    log_says(server, "there is room again: events are taken")


def test_a_full_disk_refuses_keeps_and_goes_on_by_itself(disk_of, new_server, api_of, receiver, tmp_path):
    disk = disk_of(tmp_path / "small", 24 * MIB)
    server = new_server(folder=tmp_path / "small", settings={"store.min_free_bytes": 0})
    account = street(server, api_of, receiver)
    with down(receiver):
        assert account.push(5) == 200
        disk.fill()
        account.push_until(503)
        words = not_ready(server, r"make room on th(e|at) disk")[1]
        assert words.startswith("not ready: ")
        # It does not come and go: a small change would fit into the log, which is there already.
        for _ in range(30):
            assert account.push() == 503
            assert readiness(server)[0] == 503
        assert api_of(server).get("/projects").json[0]["name"] == PROJECT
        assert server.request("GET", "/healthz")[0] == 200
        disk.empty()
        ready(server)
    assert account.again(account.refused[0]) == 200
    assert account.push(3) == 200
    account.judge()
    log_says(server, "the store is broken and is tried again every 100 ms: ")
    log_says(server, "the store works again")
    assert not lines(server, "an envelope was not taken")  # one line for all of it
    server.stop()


def test_a_store_does_not_come_and_go_on_a_disk_with_room_for_its_trial_alone(disk_of, new_server, api_of, receiver, tmp_path):
    disk = disk_of(tmp_path / "small", 24 * MIB)
    server = new_server(folder=tmp_path / "small", settings={"store.min_free_bytes": 0})
    account = street(server, api_of, receiver)
    server.stop()
    server.start()
    # The change fails half-way, and leaves a log with room for a small one.
    disk.fill(leave_bytes=96 * 1024)
    much = envelope(*[notification(repository=f"{PROJECT}/app-{number}", tag="much") for number in range(100)])
    assert server.ingest(much)[0] == 503
    for _ in range(50):
        assert readiness(server)[0] == 503
        assert server.ingest(much)[0] == 503
    assert len(lines(server, "the store is broken")) == 1 and not lines(server, "the store works again")
    disk.empty()
    ready(server)
    assert server.ingest(much)[0] == 200
    receiver.take(100)
    assert account.push() == 200


def test_a_server_starts_on_a_full_disk_and_delivers_when_there_is_room(disk_of, new_server, api_of, receiver, tmp_path):
    disk = disk_of(tmp_path / "small", 24 * MIB)
    server = new_server(folder=tmp_path / "small", settings={"store.min_free_bytes": 0})
    account = street(server, api_of, receiver)
    with down(receiver):
        assert account.push(5) == 200
        server.kill()
        disk.fill()
        server.start()
        not_ready(server, "make room on th(e|at) disk")
        assert account.push() == 503
    disk.empty()
    ready(server)
    account.judge()


# -- the disk answers with errors -------------------------------------------------------------------------------------


@pytest.fixture
def faulty(tmp_path, new_server, api_of, receiver):
    """(faults, server of the fault build, account)."""
    faults = Faults(tmp_path / "control")
    server = new_server(program=faults_binary(), env=faults.env)
    return faults, server, street(server, api_of, receiver)


@pytest.mark.parametrize("kind, value, words", [("disk", errno.EIO, "disk I/O error"), ("disk", errno.ENOSPC, "make room"),
                                                ("disk", errno.EROFS, "store says"), ("sync", errno.EIO, "disk I/O error")])
def test_a_disk_that_answers_with_errors_loses_nothing(faulty, receiver, kind, value, words):
    faults, server, account = faulty
    with down(receiver):
        assert account.push(5) == 200
        with getattr(faults, kind)(value):
            account.push_until(503)
            not_ready(server, words)
            for _ in range(20):
                assert account.push() == 503
            assert server.request("GET", "/api/v2.0/projects", headers=ADMIN)[0] == 200
        ready(server)
    for tag in dict.fromkeys(account.refused):
        assert account.again(tag) == 200
    account.judge()
    log_says(server, "the store is broken and is tried again every 100 ms: .*" + words)
    log_says(server, "the store works again")


def test_attempts_wait_for_a_broken_store_to_be_recorded(faulty, api_of, receiver):
    faults, server, account = faulty
    release = threading.Event()
    receiver.answers(Answer(hold=release))
    assert account.push(20) == 200
    receiver.next()
    with faults.disk(errno.EIO):
        account.push_until(503)
        not_ready(server, "disk I/O error")
        release.set()
        wait_until(receiver.requests[0].answered.is_set, "the first is answered")
        before = len(receiver.requests)
        # Sending has stopped: a try could not be recorded.
        for _ in range(20):
            readiness(server)
        assert len(receiver.requests) <= before + 1
    ready(server)
    account.judge()
    policy = api_of(server).get(f"/projects/{PROJECT}/webhook/policies").json[0]["id"]
    ended = api_of(server).execution_ended(PROJECT, policy, 20)
    assert {one["status"] for one in ended} == {"Success"}


def test_a_store_that_cannot_be_read_is_said_once_and_read_again(faulty, api_of, receiver):
    faults, server, account = faulty
    with down(receiver):
        assert account.push(5) == 200
    server.stop()
    server.start()
    with faults.read(errno.EIO):
        wait_until(lambda: server.request("GET", f"/api/v2.0/projects/{PROJECT}/webhook/policies", headers=ADMIN)[0] ==
                   503 or account.push() == 503, "somebody reads")
    ready(server)
    assert account.push() == 200
    account.judge()
    assert len(lines(server, "cannot read")) <= 2


def test_a_read_only_directory_is_refused_with_words(disk_of, new_server, api_of, receiver, tmp_path):
    disk = disk_of(tmp_path / "small", 24 * MIB)
    server = new_server(folder=tmp_path / "small")
    account = street(server, api_of, receiver)
    with down(receiver):
        assert account.push(3) == 200
        server.stop()
        subprocess.run(["mount", "-o", "remount,ro", str(disk.path)], check=True)
        code, words = server.refusal()
        assert code != 0 and re.search("Read-only file system.*must be writable", words), words
        assert words.count("\n") == 1, words
        subprocess.run(["mount", "-o", "remount,rw", str(disk.path)], check=True)
        server.start()
    account.judge()


# -- the store's files are not what they were -------------------------------------------------------------------------


def grown(account):
    """Enough in the store that its file has many pages."""
    for _ in range(5):
        assert account.push(20) == 200


@pytest.mark.parametrize("how", ["stopped", "killed"])
@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.75])
def test_a_file_that_was_cut_short_is_refused_and_its_copy_loses_nothing(new_server, api_of, receiver, tmp_path, how, share):
    server = new_server()
    account = street(server, api_of, receiver)
    with down(receiver):
        grown(account)
        if how == "stopped":
            server.stop()
        else:
            server.stop()
            server.start()
            assert account.push(3) == 200
            server.kill()
        shutil.copytree(server.data, tmp_path / "copy", ignore=shutil.ignore_patterns("control.sock"))
        path = server.data / "harbinger.db"
        os.truncate(path, int(path.stat().st_size * share))
        code, words = server.refusal()
        assert code != 0 and re.search("restore a backup", words), words
        assert "harbinger.db" in words or "damaged" in words, words
        # Refused, it was left as it is; and the copy has everything.
        shutil.rmtree(server.data)
        shutil.copytree(tmp_path / "copy", server.data)
        server.start()
    account.judge()


def test_a_file_cut_short_while_it_is_open_stops_the_work_and_says_so(new_server, api_of, receiver, tmp_path):
    server = new_server()
    account = street(server, api_of, receiver)
    with down(receiver):
        grown(account)
        server.stop()
        server.start()
        shutil.copytree(server.data, tmp_path / "copy", ignore=shutil.ignore_patterns("control.sock"))
        path = server.data / "harbinger.db"
        os.truncate(path, path.stat().st_size // 2)
        not_ready(server, r"harbinger\.db was cut short by another program, from \d+ to \d+ bytes: stop the server and")
        for _ in range(10):
            assert account.push() == 503
            assert readiness(server)[0] == 503
        log_says(server, "the store is broken.*cut short by another program")
        server.stop()
        shutil.rmtree(server.data)
        shutil.copytree(tmp_path / "copy", server.data)
        server.start()
    account.judge()


def test_a_file_that_was_moved_away_is_noticed_and_taken_back(new_server, api_of, receiver):
    server = new_server()
    account = street(server, api_of, receiver)
    with down(receiver):
        assert account.push(3) == 200
        path = server.data / "harbinger.db"
        path.rename(server.data / "away")
        not_ready(server, r"harbinger\.db is not the file any more that this server has open: put it back")
        assert account.push() == 503
        (server.data / "away").rename(path)
        ready(server)
        assert account.push() == 200
    account.judge()


def test_a_log_that_was_deleted_takes_nothing_along(new_server, api_of, receiver):
    server = new_server()
    account = street(server, api_of, receiver)
    with down(receiver):
        assert account.push(30) == 200
        (server.data / "harbinger.db-wal").unlink()
        not_ready(server, r"harbinger\.db-wal is not the file any more")
        server.kill()
        (server.data / "harbinger.db-shm").unlink()
        server.start()
    account.judge()


# -- no descriptor is left --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def descriptors_out(server):
    """Meanwhile the server may open no more than it has."""
    before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    # The limit is on the number of a descriptor, not on how many there are.
    highest = max(int(one) for one in os.listdir(f"/proc/{server.process.pid}/fd"))
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, before)


def unfinished(server, path="/readyz"):
    """A connection that is in the middle of a request, so that it is nobody's spare place."""
    connection = server.socket()
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Slow: ".encode())
    return connection


def finish(connection, pushed=None):
    """Ends the request; (status, body). pushed: the notification of begin_push."""
    body = b"" if pushed is None else json.dumps(envelope(pushed)).encode()
    length = b"" if pushed is None else f"Content-Length: {len(body)}\r\n".encode()
    connection.sendall(b"1\r\n" + length + b"\r\n" + body)
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read().decode()


def test_without_a_descriptor_clients_are_told_and_readyz_says_why(new_server, api_of, receiver):
    server = new_server(settings={"server.keep_alive_timeout_ms": 60000})
    account = street(server, api_of, receiver)
    asking = unfinished(server)
    busy = [unfinished(server, "/healthz") for _ in range(10)]
    assert readiness(server)[0] == 200  # what came before it has been read
    with descriptors_out(server):
        # What is still free below the limit is taken first.
        turned_away = wait_until(lambda: turned_away_or_kept(server, busy), "a client is turned away")
        assert turned_away.startswith(b"HTTP/1.1 503 ") and b"Retry-After:" in turned_away
        status, words = finish(asking)
        assert status == 503 and "no descriptor is left and clients are turned away" in words, words
    for one in busy:
        one.close()
    wait_until(lambda: readiness(server) == (200, "ready\n"), "it is ready again")
    assert account.push() == 200
    account.judge()
    log_says(server, r"cannot accept: no descriptor left; raise the limit \(LimitNOFILE, ulimit -n\)")


def turned_away_or_kept(server, busy):
    """What a new client reads when it is turned away; None when it was taken, and stays."""
    connection = server.socket(timeout=BOUND_S)
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    connection.settimeout(0.3)
    try:
        answer = connection.recv(4096)
    except socket.timeout:
        busy.append(connection)
        return None
    except ConnectionResetError:
        return None
    connection.close()
    return answer


@pytest.mark.parametrize("host", ["127.0.0.1", "hook.example"])
def test_deliveries_wait_for_a_descriptor_and_spend_no_try(new_server, api_of, new_receiver, host):
    names = Names()
    names.answers("hook.example", ["127.0.0.1"])
    server = new_server(settings={"resolver.servers": names.address})
    account = street(server, api_of, new_receiver(name=host))
    busy = [unfinished(server, "/healthz") for _ in range(5)]
    push = begin_push(account)
    assert readiness(server)[0] == 200  # what came before it has been read
    with descriptors_out(server):
        wait_until(lambda: turned_away_or_kept(server, busy), "a client is turned away")
        assert finish(push, account.sent["v0"])[0] == 200  # who is connected is served
        account.acknowledged.append("v0")
        log_says(server, r"delivery \d+ waits for our own limits: .*(Too many open files|no descriptor)")
        assert not account.receiver.requests
    for one in busy:
        one.close()
    account.judge()
    assert [request.header("X-Harbinger-Attempt") for request in account.receiver.requests] == ["1"]
    names.close()


def begin_push(account):
    """A push of which the server has the beginning."""
    account.sent["v0"] = notification(repository=f"{PROJECT}/app", tag="v0")
    connection = account.server.socket()
    connection.sendall(f"POST /ingest/distribution HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {INGEST_TOKEN}\r\n"
                       "Content-Type: application/vnd.docker.distribution.events.v1+json\r\nX-Slow: ".encode())
    return connection


# -- the name server is dead ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["silent", "closed"])
def test_a_dead_name_server_holds_up_only_those_who_need_it(new_server, api_of, new_receiver, how):
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    if how == "closed":
        silent.close()
    server = new_server(settings={"resolver.servers": f"127.0.0.1:{port}", "resolver.budget_ms": 500,
                                  "resolver.negative_ttl_ms": 50, "retry.schedule_ms": "100,100,200,200,400"})
    by_address, by_name = new_receiver(), new_receiver(name="hook.example")
    account = street(server, api_of, by_address)
    other = Account(server, by_name)
    other.sent, other.acknowledged = account.sent, account.acknowledged
    api_of(server).webhook(PROJECT, by_name.url, name="by-name")
    assert account.push(10) == 200
    account.judge()
    log_says(server, "names cannot be looked up: .*hook.example")
    assert readiness(server) == (200, "ready\n")  # events are taken, and everybody else is served
    assert not by_name.requests
    silent.close()
    names = Names(port=port)
    try:
        names.answers("hook.example", ["127.0.0.1"])
        other.judge()
    finally:
        names.close()


# -- the clock jumps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["ahead", "back"])
def test_a_jump_of_a_day_loses_and_stalls_nothing(faulty, api_of, receiver, jump_s):
    faults, server, account = faulty
    session = SessionClient(server)
    session.login()
    with down(receiver):
        assert account.push(5) == 200  # they fail, and wait for their next try
        receiver.take(5)
        faults.clock(jump_s)
        assert account.push(5) == 200
    account.judge()  # within seconds, not after a day
    # What came before the jump is known after it.
    events = api_of(server).get(f"/projects/{PROJECT}/events", query={"page_size": 100}).json
    for tag in list(account.sent):
        assert account.again(tag) == 200
    assert len(api_of(server).get(f"/projects/{PROJECT}/events", query={"page_size": 100}).json) == len(events) == 10
    # Ids rise whatever the clock does, and numbers have no gap.
    assert sorted(one["id"] for one in events) == [one["id"] for one in sorted(events, key=lambda one: one["seq"])]
    assert sorted(one["seq"] for one in events) == list(range(1, 11))
    assert readiness(server) == (200, "ready\n")
    # A session of before: a day ahead it has ended, and the person signs in again; a day back it goes on.
    assert session.send("GET", "/users/current").status == (401 if jump_s > 0 else 200)
    again = SessionClient(server)
    again.login()
    assert again.send("GET", "/users/current").status == 200
    faults.clock(0)
    assert account.push(3) == 200
    account.judge()
    server.stop()
    server.start()
    assert account.push() == 200
    account.judge()


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["ahead", "back"])
def test_an_open_breaker_and_a_backlog_survive_a_jump(faulty, receiver, new_receiver, jump_s):
    faults, server, account = faulty
    port = receiver.port
    receiver.close()
    assert account.push(30) == 200
    log_says(server, "only its oldest delivery is tried until it answers")
    faults.clock(jump_s)
    account.receiver = new_receiver(port=port)
    assert account.push(3) == 200
    account.judge()


def test_a_restart_with_the_clock_set_back_delivers_what_waits(faulty, receiver):
    faults, server, account = faulty
    with down(receiver):
        assert account.push(5) == 200
        receiver.take(5)
        server.kill()
        faults.clock(-DAY_S)
        server.start()
        assert account.push(2) == 200
    account.judge()

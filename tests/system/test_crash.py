# SPDX-License-Identifier: Apache-2.0
"""kill -9 and restarts: what was acknowledged is delivered at least once, under one id, with the same bytes."""
import http.client
import os
import pathlib
import random
import signal
import sqlite3
import threading
import time

import pytest

from support.receiver import Answer
from support.registry import envelope, notification
from support.waiting import BOUND_S, wait_until

PROJECT = "team"
EVENTS_PER_ENVELOPE = 10
CLIENTS = 4
NORMAL_KILLS, LONG_KILLS = 20, 200
NORMAL_BOUND_S = 30  # of the killing; what has been killed by then is judged


def webhook(api, receiver, **fields):
    return api.webhook(PROJECT, receiver.url, **fields)


def by_id(requests):
    """webhook-id -> the bodies that came under it."""
    found = {}
    for request in requests:
        found.setdefault(request.header("webhook-id"), set()).add(request.body)
    return found


def restart(server):
    server.kill()
    return server.start()


def stop_in_place(process):
    """SIGSTOP, and waits until every thread of the process stands still."""
    process.send_signal(signal.SIGSTOP)

    def stands():
        states = [(task / "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
                  for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir()]
        return all(state == "T" for state in states)
    wait_until(stands, "the server stands still")


def all_ended(api, policy, count):
    return {one["status"] for one in api.execution_ended(PROJECT, policy, count)}


@pytest.fixture
def fresh(new_server, api_of):
    """(server, its API client) with the project of these tests."""
    server = new_server()
    api = api_of(server)
    api.project(PROJECT)
    return server, api


# -- one kill at a chosen moment --------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["api", "ingest"])
def test_killed_between_commit_and_delivery(fresh, receiver, source):
    server, api = fresh
    release = threading.Event()
    receiver.always(Answer(hold=release))
    policy = webhook(api, receiver)
    if source == "api":
        for _ in range(6):
            api.submit(PROJECT)
    else:
        assert server.ingest(envelope(*[notification(tag=f"v{number}") for number in range(6)]))[0] == 200
    in_flight = receiver.next()
    assert len(receiver.requests) == 1
    server.kill()
    receiver.always(Answer(200))
    release.set()
    server.start()
    again = receiver.take(6)
    bodies = by_id(receiver.requests)
    assert len(bodies) == 6 and all(len(one) == 1 for one in bodies.values())
    assert in_flight.header("webhook-id") in {one.header("webhook-id") for one in again}
    assert all_ended(api, policy, 6) == {"Success"}
    # Nothing was recorded of the first try of the one in flight: for its receiver the second is the first again.
    assert {one.header("X-Harbinger-Attempt") for one in again} == {"1"}


def test_killed_after_the_post_was_answered_and_before_it_was_recorded(fresh, receiver):
    server, api = fresh
    release = threading.Event()
    receiver.answers(Answer(hold=release))
    policy = webhook(api, receiver)
    event = api.submit(PROJECT)
    first = receiver.next()
    stop_in_place(server.process)
    release.set()
    assert first.answered.wait(BOUND_S)  # the answer is on its way to a process that does not run
    restart(server)
    second = receiver.next()
    assert first.header("webhook-id") == second.header("webhook-id") == event["id"]
    assert first.header("X-Harbinger-Delivery") == second.header("X-Harbinger-Delivery")
    assert first.body == second.body
    assert all_ended(api, policy, 1) == {"Success"}


def test_killed_between_two_tries_goes_on_with_the_second(fresh, receiver):
    server, api = fresh
    receiver.always(Answer(500))
    policy = webhook(api, receiver)
    event = api.submit(PROJECT)
    deliveries = f"/projects/{PROJECT}/webhook/policies/{policy}/deliveries"
    wait_until(lambda: api.get(deliveries).json[0]["attempts"] >= 2, "two tries are recorded")
    server.kill()
    tries = len(receiver.requests)
    receiver.always(Answer(200))
    server.start()
    assert all_ended(api, policy, 1) == {"Success"}
    last = receiver.requests[-1]
    # What was recorded counts; a try that was on its way at the kill may come once more under its number.
    assert tries <= int(last.header("X-Harbinger-Attempt")) <= tries + 1
    assert by_id(receiver.requests) == {event["id"]: {receiver.requests[0].body}}


def test_a_restart_in_good_order_goes_on_with_what_waits(fresh, receiver, new_receiver):
    server, api = fresh
    port = receiver.port
    policy = webhook(api, receiver)
    receiver.close()
    ids = [api.submit(PROJECT)["id"] for _ in range(50)]
    server.stop()
    up = new_receiver(port=port)
    server.start()
    assert {one.header("webhook-id") for one in up.take(50)} == set(ids)
    assert all_ended(api, policy, 50) == {"Success"}
    assert len(up.requests) == 50


def test_what_is_done_is_not_sent_again_after_a_kill(fresh, receiver):
    server, api = fresh
    policy = webhook(api, receiver)
    for _ in range(10):
        api.submit(PROJECT)
    receiver.take(10)
    assert all_ended(api, policy, 10) == {"Success"}
    restart(server)
    event = api.submit(PROJECT)
    assert receiver.next().header("webhook-id") == event["id"]
    assert len(receiver.requests) == 11


def test_what_was_cancelled_does_not_come_back_after_a_kill(fresh, receiver):
    server, api = fresh
    release = threading.Event()
    receiver.always(Answer(hold=release))
    policy = webhook(api, receiver)
    for _ in range(20):
        api.submit(PROJECT)
    receiver.next()
    api.delete(f"/projects/{PROJECT}/webhook/policies/{policy}")
    seen = len(receiver.requests)
    server.kill()  # perhaps before the sweep has rewritten all rows
    release.set()
    receiver.always(Answer(200))
    server.start()
    webhook(api, receiver, name="other")
    event = api.submit(PROJECT)
    assert receiver.next().header("webhook-id") == event["id"]
    assert len(receiver.requests) == seen + 1


def test_ids_and_sequence_numbers_go_on_after_a_kill(fresh):
    server, api = fresh
    before = [api.submit(PROJECT) for _ in range(5)]
    restart(server)
    after = [api.submit(PROJECT) for _ in range(5)]
    assert [one["seq"] for one in before + after] == list(range(1, 11))
    ids = [one["id"] for one in before + after]
    assert ids == sorted(ids) and len(set(ids)) == 10


def test_an_idempotency_key_holds_over_a_kill(fresh):
    server, api = fresh
    body = {"type": "PUSH_ARTIFACT", "occurred_at": "2026-08-21T08:13:20Z", "actor": {"kind": "user", "name": "alice"},
            "repository": {"name": "app"}, "artifacts": [{"digest": "sha256:" + "1" * 64, "tags": ["v1"]}]}
    first = api.submit(PROJECT, body, key="job-1")
    restart(server)
    assert api.submit(PROJECT, body, key="job-1", expect=200)["id"] == first["id"]


# -- many kills under load --------------------------------------------------------------------------------------------


class Load:
    """Clients that post envelopes as a registry does: what was not acknowledged is posted again, with the same ids."""

    def __init__(self, server):
        self.server = server
        self.lock = threading.Condition()
        self.acknowledged = {}  # digest -> notification id
        self.unanswered = []    # envelopes that no 2xx came for
        self.sent = 0
        self.threads = []

    def _next(self):
        with self.lock:
            if self.unanswered:
                return self.unanswered.pop()
            self.sent += 1
        return [notification(repository=f"{PROJECT}/app", tag=f"v{self.sent}-{number}")
                for number in range(EVENTS_PER_ENVELOPE)]

    def _client(self):
        while True:
            events = self._next()
            try:
                status = self.server.ingest(envelope(*events))[0]
            except (OSError, http.client.HTTPException):
                status = 0  # the server is gone in the middle of anything
            with self.lock:
                if status == 200:
                    self.acknowledged.update({one["target"]["digest"]: one["id"] for one in events})
                    self.lock.notify_all()
                    continue
                self.unanswered.append(events)
                if status == 0:
                    return
                assert status == 503, status

    def start(self):
        self.threads = [threading.Thread(target=self._client, daemon=True) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def wait_for(self, count):
        """Until so many events have been acknowledged in all."""
        with self.lock:
            assert self.lock.wait_for(lambda: len(self.acknowledged) >= count, timeout=BOUND_S), "nothing is acknowledged"

    def join(self):
        for thread in self.threads:
            thread.join(BOUND_S)
            assert not thread.is_alive()


def kill_again_and_again(server, api, receiver, kills, chance, bound_s):
    """Returns how many kills there were. Each comes after a random number of acknowledged events, at any point of what
    the server does."""
    load, done, ends = Load(server), 0, time.monotonic() + bound_s
    while done < kills and time.monotonic() < ends:
        wanted = len(load.acknowledged) + chance.randrange(1, 120)
        load.start()
        load.wait_for(wanted)
        server.kill()
        load.join()
        done += 1
        server.start()
    # What a source repeats after the last kill makes no second event.
    for events in load.unanswered:
        assert server.ingest(envelope(*events))[0] == 200
        load.acknowledged.update({one["target"]["digest"]: one["id"] for one in events})
    judge(api, receiver, load)
    return done


def judge(api, receiver, load):
    wanted = set(load.acknowledged)

    def arrived():
        return {request.json["event_data"]["resources"][0]["digest"] for request in list(receiver.requests)}
    wait_until(lambda: wanted <= arrived(), f"all of {len(wanted)} acknowledged events have arrived", bound_s=4 * BOUND_S)
    bodies = by_id(receiver.requests)
    assert all(len(one) == 1 for one in bodies.values()), "one id came with two bodies"
    ids = {}
    for request in receiver.requests:
        ids.setdefault(request.json["event_data"]["resources"][0]["digest"], set()).add(request.header("webhook-id"))
    assert all(len(one) == 1 for one in ids.values()), "one notification became two events"
    assert set(ids) == wanted, "an event came that no client sent"
    # Without a gap, and each number once: no event was lost and none is there twice.
    sequences = sorted({request.json["event_data"]["harbinger"]["seq"] for request in receiver.requests})
    assert sequences == list(range(1, len(wanted) + 1))
    waiting = api.get(f"/projects/{PROJECT}/events", query={"page_size": 1}).header("X-Total-Count")
    assert int(waiting) == len(wanted)


def run_kills(fresh, receiver, kills, bound_s):
    server, api = fresh
    seed = int(os.environ.get("HARBINGER_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
    print(f"HARBINGER_SEED={seed}")
    webhook(api, receiver)
    done = kill_again_and_again(server, api, receiver, kills, random.Random(seed), bound_s)
    print(f"{done} kills, {len(receiver.requests)} requests, {len(by_id(receiver.requests))} events")
    return done


@pytest.mark.busy
def test_twenty_kills_under_load_lose_nothing_that_was_acknowledged(fresh, receiver):
    assert run_kills(fresh, receiver, NORMAL_KILLS, NORMAL_BOUND_S) >= 3


@pytest.mark.long
def test_two_hundred_kills_under_load_lose_nothing_that_was_acknowledged(fresh, receiver):
    assert run_kills(fresh, receiver, LONG_KILLS, 40 * NORMAL_BOUND_S) == LONG_KILLS


# -- one directory, one server, one schema ----------------------------------------------------------------------------


def test_a_second_server_on_the_same_directory_is_refused_with_words(fresh, new_server):
    server, api = fresh
    code, words = new_server(start=False, folder=server.folder).refusal()
    assert code != 0
    assert words.count("\n") == 1 and words.startswith("harbinger serve: ")
    assert f"process {server.process.pid}" in words and str(server.data) in words and "--data" in words
    assert api.get("/users/current").json["username"] == "admin"  # the first one has not noticed


def test_a_directory_of_a_newer_program_is_refused_and_left_as_it_is(fresh):
    server, _ = fresh
    server.stop()
    path = server.data / "harbinger.db"
    with sqlite3.connect(path) as database:
        known = database.execute("PRAGMA user_version").fetchone()[0]
        database.execute(f"PRAGMA user_version = {known + 1}")
    database.close()
    before = path.read_bytes()
    code, words = server.refusal()
    assert code != 0
    assert "newer harbinger" in words and f"schema {known + 1}" in words and "backup" in words
    assert path.read_bytes() == before
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {known}")
    database.close()
    server.start()


def test_a_foreign_database_is_refused(fresh):
    server, _ = fresh
    server.stop()
    for name in ("harbinger.db", "harbinger.db-wal", "harbinger.db-shm"):
        (server.data / name).unlink(missing_ok=True)
    with sqlite3.connect(server.data / "harbinger.db") as database:
        database.execute("CREATE TABLE other (id INTEGER)")
        database.execute("PRAGMA user_version = 1")
    database.close()
    code, words = server.refusal()
    assert code != 0 and "another program" in words


def test_a_torn_store_is_said_and_not_served(fresh):
    """Not a crash of ours (SQLite's log holds those) but of a disk: one sentence, and no service on what is broken."""
    server, _ = fresh
    server.stop()
    path = server.data / "harbinger.db"
    for name in ("harbinger.db-wal", "harbinger.db-shm"):
        (server.data / name).unlink(missing_ok=True)
    path.write_bytes(b"not a database at all" * 500)
    code, words = server.refusal()
    assert code != 0 and words.splitlines()[-1].startswith("harbinger serve: ") and "harbinger.db" in words

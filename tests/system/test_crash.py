# SPDX-License-Identifier: Apache-2.0
"""kill -9 and restarts at chosen moments, and one directory for one server. Many kills under load: tests/crash/."""
import pathlib
import signal
import sqlite3
import threading

import pytest

from support.receiver import Answer
from support.registry import envelope, notification
from support.waiting import BOUND_S, wait_until

PROJECT = "team"


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
    assert f"(schema {known + 1}); this is harbinger" in words and f"(schema {known})" in words and "restore" in words
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

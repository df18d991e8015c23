# SPDX-License-Identifier: Apache-2.0
"""Strict order: one delivery after the other, in the order of the events, whatever fails and whoever is killed."""
import http.client
import os
import random
import threading

import pytest

from support.receiver import Answer, Receiver
from support.registry import envelope, notification
from support.waiting import BOUND_S, wait_until

PROJECT = "team"
ORDERED = {"target": {"harbinger": {"strict_order": True}}}
EVENTS_PER_ENVELOPE, ENVELOPES, KILLS = 4, 25, 5
POINTS = ("store.item.applied", "store.commit.before", "store.commit.after", "store.published", "dispatch.notice.before",
          "dispatch.claimed", "client.request.sent", "dispatch.answer.read", "dispatch.record.submitted",
          "store.attempt.applied", "dispatch.recorded")
MOODS = [Answer(200)] * 6 + [Answer(500), Answer(503), Answer(reset=True), Answer(close=True)]


def sequence(request):
    return request.json["event_data"]["harbinger"]["seq"]


class Moody(Receiver):
    """Answers each request as chance will, and notes with it whether that was a success."""

    def __init__(self, chance):
        self.chance = chance
        super().__init__()

    def _answer_for(self, request):
        answer = self.chance.choice(MOODS)
        request.succeeds = not (answer.reset or answer.close) and answer.status == 200
        return answer


@pytest.fixture
def fresh(new_server, api_of):
    server = new_server()
    api = api_of(server)
    api.project(PROJECT)
    return server, api


@pytest.fixture
def chance():
    seed = int(os.environ.get("HARBINGER_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
    print(f"HARBINGER_SEED={seed}")
    return random.Random(seed)


class Source:
    """A registry that posts envelope after envelope, each again until it is acknowledged; at most so many, or until it
    is ended, and then the one under way to its end."""

    def __init__(self, server, envelopes=ENVELOPES, pace_s=0):
        self.server, self.envelopes, self.pace_s, self.acknowledged = server, envelopes, pace_s, 0
        self.moved, self.ended = threading.Condition(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        pace = threading.Event()
        for number in range(self.envelopes):
            if self.ended.wait(self.pace_s):
                return
            events = [notification(repository=f"{PROJECT}/app", tag=f"v{number}-{one}")
                      for one in range(EVENTS_PER_ENVELOPE)]
            while not self._post(events):
                pace.wait(0.02)
            with self.moved:
                self.acknowledged += 1
                self.moved.notify_all()

    def _post(self, events):
        try:
            return self.server.ingest(envelope(*events))[0] == 200
        except (OSError, http.client.HTTPException, TypeError):
            return False  # the server is away

    def end(self):
        self.ended.set()
        self.thread.join(BOUND_S)
        assert not self.thread.is_alive()

    def wait_for(self, envelopes):
        with self.moved:
            assert self.moved.wait_for(lambda: self.acknowledged >= envelopes, timeout=BOUND_S), "nothing is acknowledged"


def assert_strict_order(requests):
    """Arrivals never go back, and none came before the one before it was answered with success."""
    last, succeeded = 1, False
    for request in requests:
        seq = sequence(request)
        if seq != last:
            assert seq == last + 1, f"event {seq} was tried after event {last}"
            assert succeeded, f"event {seq} was tried before event {last} had ended"
            last, succeeded = seq, False
        succeeded = succeeded or request.succeeds
    return last if succeeded else last - 1


def wait_until_through(api, policy, total):
    def is_through():
        states = api.get(f"/projects/{PROJECT}/webhook/policies/{policy}/executions", query={"q": "status=Running"})
        return states.json == []
    wait_until(is_through, f"all {total} deliveries ended", bound_s=3 * BOUND_S)


def test_order_holds_under_failures_and_kills(fresh, chance):
    server, api = fresh
    receiver = Moody(chance)
    policy = api.webhook(PROJECT, receiver.url, **ORDERED)
    source = Source(server)
    for kill in range(KILLS):
        source.wait_for((kill + 1) * ENVELOPES // (KILLS + 1))
        receiver.wait_for(len(receiver.requests) + chance.randrange(1, 8))
        server.kill()
        server.start()
    source.wait_for(ENVELOPES)
    total = ENVELOPES * EVENTS_PER_ENVELOPE
    wait_until_through(api, policy, total)
    receiver.close()
    assert assert_strict_order(receiver.requests) == total
    print(f"{len(receiver.requests)} requests for {total} events, {KILLS} kills")


@pytest.mark.skipif("HARBINGER_FAULTS_BINARY" not in os.environ, reason="HARBINGER_FAULTS_BINARY names no fault build")
def test_order_holds_when_killed_at_each_point_between_a_head_and_the_next(new_server, api_of, chance):
    server = new_server(program=os.environ["HARBINGER_FAULTS_BINARY"])
    api = api_of(server)
    api.project(PROJECT)
    receiver = Moody(chance)
    policy = api.webhook(PROJECT, receiver.url, **ORDERED)
    source = Source(server, envelopes=1000, pace_s=0.1)
    for point in POINTS:
        server.kill()
        server.env = {"HARBINGER_FAULTS": f"{point}=kill@{chance.randrange(2, 12)}"}
        server.start()
        wait_until(lambda: not server.is_running(), f"the server was killed at {point}")
        server.env = {}
        server.start()
    source.end()
    total = source.acknowledged * EVENTS_PER_ENVELOPE
    wait_until_through(api, policy, total)
    receiver.close()
    assert assert_strict_order(receiver.requests) == total
    print(f"{len(receiver.requests)} requests for {total} events, killed at {len(POINTS)} points")


def test_the_next_goes_on_after_one_that_failed_for_good(fresh, receiver):
    _, api = fresh
    receiver.answers(*[Answer(404)] * 3)
    policy = api.webhook(PROJECT, receiver.url, **ORDERED)
    for _ in range(3):
        api.submit(PROJECT)
    ended = api.execution_ended(PROJECT, policy, 3)
    assert [one["status"] for one in reversed(ended)] == ["Error", "Success", "Success"]
    assert [sequence(request) for request in receiver.requests] == [1, 1, 1, 2, 3]


def test_what_is_held_says_what_it_waits_for(fresh, receiver):
    _, api = fresh
    release = threading.Event()
    receiver.always(Answer(hold=release))
    policy = api.webhook(PROJECT, receiver.url, **ORDERED)
    for _ in range(3):
        api.submit(PROJECT)
    receiver.next()
    deliveries = f"/projects/{PROJECT}/webhook/policies/{policy}/deliveries"
    newest, middle, head = api.get(deliveries).json
    assert [one["state"] for one in (head, middle, newest)] == ["pending", "held", "held"]
    assert {one["status"] for one in (head, middle, newest)} == {"Running"}
    assert "next_try_at" in head and "next_try_at" not in middle
    one = f"/projects/{PROJECT}/webhook/deliveries"
    assert api.get(f"{one}/{newest['id']}").json["waits_for"] == head["id"]
    assert "waits_for" not in api.get(f"{one}/{head['id']}").json
    executions = f"/projects/{PROJECT}/webhook/policies/{policy}/executions/{newest['id']}/tasks"
    assert api.get(executions).json[0]["status"] == "Scheduled"
    assert "waiting for the deliveries before it" in api.get(f"{executions}/{newest['id']}/log").text
    assert len(receiver.requests) == 1
    release.set()
    assert {one["status"] for one in api.execution_ended(PROJECT, policy, 3)} == {"Success"}
    assert [sequence(request) for request in receiver.requests] == [1, 2, 3]


def change_order(api, policy, strict):
    path = f"/projects/{PROJECT}/webhook/policies/{policy}"
    body = api.get(path).json
    body["targets"][0]["harbinger"] = {"strict_order": strict}
    api.put(path, body)


def test_switched_on_with_a_backlog_the_backlog_goes_in_order(fresh, receiver):
    _, api = fresh
    receiver.always(Answer(503))
    policy = api.webhook(PROJECT, receiver.url)
    for _ in range(30):
        api.submit(PROJECT)
    receiver.take(10)
    change_order(api, policy, True)
    deliveries = f"/projects/{PROJECT}/webhook/policies/{policy}/deliveries"

    def is_in_order():
        states = [one["state"] for one in api.get(deliveries, query={"page_size": 100}).json]
        return len(states) == 30 and states.count("held") == 29
    wait_until(is_in_order, "all but one are held")
    for _ in range(10):
        api.submit(PROJECT)
    receiver.always(Answer(200))
    assert {one["status"] for one in api.execution_ended(PROJECT, policy, 40)} == {"Success"}
    found = [sequence(request) for request in receiver.requests]
    last = len(found) - 1 - found[::-1].index(1)  # the head's success; what came before may have been under way
    assert found[last:] == list(range(1, 41))


def test_switched_off_nobody_waits_for_anybody(fresh, receiver):
    _, api = fresh
    release = threading.Event()
    policy = api.webhook(PROJECT, receiver.url, **ORDERED)
    for _ in range(5):  # a target that answers well may get several at once
        api.submit(PROJECT)
    api.execution_ended(PROJECT, policy, 5)
    receiver.take(5)
    receiver.answers(Answer(hold=release))
    for _ in range(20):
        api.submit(PROJECT)
    assert sequence(receiver.next()) == 6
    change_order(api, policy, False)
    assert "harbinger" not in api.get(f"/projects/{PROJECT}/webhook/policies/{policy}").json["targets"][0]
    assert {sequence(request) for request in receiver.take(19)} == set(range(7, 26))  # while the first is out
    release.set()
    assert {one["status"] for one in api.execution_ended(PROJECT, policy, 25)} == {"Success"}


def test_a_put_that_does_not_name_it_keeps_it(fresh):
    _, api = fresh
    policy = api.webhook(PROJECT, "http://127.0.0.1:9999/", **ORDERED)
    path = f"/projects/{PROJECT}/webhook/policies/{policy}"

    def put(harbinger):
        body = api.get(path).json
        body["targets"][0].pop("harbinger", None)
        if harbinger is not None:
            body["targets"][0]["harbinger"] = harbinger
        api.put(path, body)
        return api.get(path).json["targets"][0].get("harbinger")
    assert put(None) == {"strict_order": True}
    assert put({"extras": False}) == {"extras": False, "strict_order": True}
    assert put({"extras": True, "strict_order": False}) is None
    body = api.get(path).json
    body["targets"][0]["harbinger"] = {"strict_order": "yes"}
    assert "targets.harbinger.strict_order in body must be of type boolean" in api.put(path, body, expect=422).message

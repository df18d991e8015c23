# SPDX-License-Identifier: Apache-2.0
"""From a committed event to a receiver: good and bad receivers, retries, pauses, suspension, cancelling, and the views
that tell of it."""
import base64
import email.utils
import json
import threading
import time

import pytest

from support.api import push_event
from support.raw import Raw, read_head
from support.receiver import Answer, redirect
from support.registry import free_port
from support.secrets import secret
from support.waiting import BOUND_S, wait_until

PERMANENT_TRIES = 3  # retry.permanent_tries
KEPT_ANSWER_BYTES = 4096
EARLY = Answer(raw=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def policy_path(project, policy):
    return f"/projects/{project}/webhook/policies/{policy}"


def change(api, project, policy, **fields):
    """PUT of the policy as it reads, with these fields."""
    body = api.get(policy_path(project, policy)).json
    body.update(fields)
    return api.put(policy_path(project, policy), body)


def deliveries(api, project, policy, **query):
    return api.get(policy_path(project, policy) + "/deliveries", query=query).json


def delivery(api, project, identity):
    return api.get(f"/projects/{project}/webhook/deliveries/{identity}").json


def ended(api, project, policy):
    """The one delivery of the policy, once it has ended."""
    identity = api.execution_ended(project, policy)[0]["id"]
    return delivery(api, project, identity)


def attempted(api, project, policy, count=1):
    """The newest delivery of the policy, once this many tries are recorded."""
    found = wait_until(lambda: [one for one in deliveries(api, project, policy) if one["attempts"] >= count],
                       f"{count} tries recorded")
    return delivery(api, project, found[0]["id"])


class Marker:
    """A webhook beside the one under test. pass_by() returns once `tries` tries to it are over, each of them as far from
    the one before as a retry is: what was to come elsewhere in that time has come."""

    def __init__(self, api, project, receiver, name="marker"):
        self.api, self.project, self.receiver = api, project, receiver
        api.webhook(project, receiver.url, events=["DELETE_ARTIFACT"], name=name)

    def pass_by(self, tries=4):
        self.receiver.answers(*[Answer(500)] * (tries - 1))
        self.api.submit(self.project, push_event(type="DELETE_ARTIFACT"))
        self.receiver.take(tries)


@pytest.fixture
def marker(api, project, new_receiver):
    return Marker(api, project, new_receiver())


@pytest.fixture
def new_raw():
    made = []

    def make(*arguments, **options):
        made.append(Raw(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


# -- the request ------------------------------------------------------------------------------------------------------


def test_the_request_is_what_the_contract_says(api, project, receiver):
    policy = api.webhook(project, receiver.url + "/hook/a%20b?token=x&y=%C3%A4")
    before = int(time.time())
    event = api.submit(project)
    request = receiver.next()
    assert (request.method, request.target) == ("POST", "/hook/a%20b?token=x&y=%C3%A4")
    assert request.header("Host") == f"127.0.0.1:{receiver.port}"
    assert request.header("Content-Type") == "application/json"
    assert request.header("Content-Length") == str(len(request.body))
    assert request.header("User-Agent").startswith("Harbinger/")
    assert request.header("webhook-id") == event["id"]
    assert before <= int(request.header("webhook-timestamp")) <= int(time.time())
    assert request.header("X-Harbinger-Delivery") == str(api.execution_ended(project, policy)[0]["id"])
    assert request.header("X-Harbinger-Attempt") == "1"
    for name in ("Authorization", "Accept-Encoding", "Expect", "Cookie", "Transfer-Encoding"):
        assert request.header(name) is None
    assert request.json["event_data"]["harbinger"]["event_id"] == event["id"]
    assert request.json["type"] == "PUSH_ARTIFACT"


@pytest.mark.parametrize("value", ["Bearer abc", "Token  two blanks", "  neither trimmed nor split, a=\"b\" ", "x"])
def test_the_auth_header_is_sent_verbatim(api, project, receiver, value):
    api.webhook(project, receiver.url, auth_header=value)
    api.submit(project)
    # Blanks around a value are no part of it: RFC 9110 5.5.
    assert receiver.next().header("Authorization") == value.strip()


def test_userinfo_is_sent_as_basic_and_never_in_the_target(api, project, receiver):
    api.webhook(project, receiver.url.replace("http://", "http://us%40er:p%3Aw%25@") + "/x")
    api.submit(project)
    request = receiver.next()
    assert base64.b64decode(request.header("Authorization").removeprefix("Basic ")) == b"us@er:p:w%"
    assert (request.target, request.header("Host")) == ("/x", f"127.0.0.1:{receiver.port}")


def test_auth_header_wins_over_userinfo(api, project, receiver):
    api.webhook(project, receiver.url.replace("http://", "http://user:pw@"), auth_header="Token t")
    api.submit(project)
    assert receiver.next().header("Authorization") == "Token t"


def test_connections_are_kept(api, project, receiver):
    policy = api.webhook(project, receiver.url)
    for count in (1, 2, 3):
        api.submit(project)
        assert receiver.next().connection == 1
        api.execution_ended(project, policy, count)
    reused = [delivery(api, project, one["id"])["attempts"][0]["connection_reused"]
              for one in deliveries(api, project, policy, sort="id")]
    assert reused == [False, True, True]


@pytest.mark.busy
def test_each_of_many_events_arrives_exactly_once_at_each_of_two_targets(api, project, new_receiver):
    receivers = [new_receiver(), new_receiver()]
    for number, one in enumerate(receivers):
        api.webhook(project, one.url, name=f"hook-{number}")
    ids, lock = set(), threading.Lock()

    def submit():
        for _ in range(50):
            made = api.submit(project)
            with lock:
                ids.add(made["id"])

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 200
    for one in receivers:
        got = [request.header("webhook-id") for request in one.take(200)]
        assert set(got) == ids
        assert all(request.header("X-Harbinger-Attempt") == "1" for request in one.requests)
    sequences = sorted(request.json["event_data"]["harbinger"]["seq"] for request in receivers[0].requests)
    assert sequences == list(range(1, 201))
    for one in receivers:
        assert len(one.requests) == 200


# -- receivers that fail, then work -----------------------------------------------------------------------------------


FAILURES = {
    "500": (Answer(500), "http_error", 500),
    "502": (Answer(502, body=b"<html>bad gateway</html>"), "http_error", 502),
    "503": (Answer(503), "http_error", 503),
    "599": (Answer(599), "http_error", 599),
    "408": (Answer(408), "http_error", 408),
    "425": (Answer(425), "http_error", 425),
    "429": (Answer(429), "http_error", 429),
    "301": (redirect("/elsewhere"), "http_error", 301),
    "404": (Answer(404), "http_error", 404),
    "reset": (Answer(reset=True), "closed", None),
    "close": (Answer(close=True), "closed", None),
    "not-http": (Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), "malformed", None),
    "half-a-head": (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Le"), "closed", None),
    "101": (Answer(raw=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "malformed",
            None),
    "two-lengths": (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "malformed", None),
    "too-many-1xx": (Answer(raw=b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9 + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                     "malformed", None),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failed_try_is_repeated_with_the_same_id_and_bytes(api, project, receiver, case):
    answer, outcome, status = FAILURES[case]
    policy = api.webhook(project, receiver.url, auth_header=f"Bearer {secret('header')}")
    receiver.answers(answer)
    event = api.submit(project)
    first, second = receiver.take(2)
    assert first.body == second.body
    assert first.header("webhook-id") == second.header("webhook-id") == event["id"]
    assert first.header("X-Harbinger-Delivery") == second.header("X-Harbinger-Delivery")
    assert [one.header("X-Harbinger-Attempt") for one in (first, second)] == ["1", "2"]
    assert int(first.header("webhook-timestamp")) <= int(second.header("webhook-timestamp"))
    assert first.header("Authorization") == second.header("Authorization") == f"Bearer {secret('header')}"
    tries = ended(api, project, policy)["attempts"]
    assert [one["outcome"] for one in tries] == [outcome, "success"]
    assert [one.get("status") for one in tries] == [status, 200]
    assert tries[0]["error"]
    assert len(receiver.requests) == 2


SLOW = {"delivery.first_byte_timeout_ms": 200, "delivery.total_timeout_ms": 400}


@pytest.mark.parametrize("case", ["no answer", "a head that trickles"])
def test_a_receiver_that_is_too_slow_times_out_and_is_tried_again(new_server, api_of, receiver, case):
    never = threading.Event()
    parts = [(b"HTTP/1.1 500 Sorry\r\n", None), (b"Content-Length: 5\r\n\r\n", never)]
    answer = Answer(hold=never) if case == "no answer" else Answer(trickle=parts)
    api = api_of(new_server(settings=SLOW))
    api.project("slow")
    policy = api.webhook("slow", receiver.url)
    receiver.answers(answer)
    api.submit("slow")
    first, second = receiver.take(2)
    assert first.body == second.body and first.header("webhook-id") == second.header("webhook-id")
    tries = ended(api, "slow", policy)["attempts"]
    outcomes = [one["outcome"] for one in tries]
    # On a busy machine a try that is answered at once may take longer than the fifth of a second that it has here.
    assert outcomes[0] == "timeout" and outcomes[-1] == "success" and set(outcomes[1:-1]) <= {"timeout"}, outcomes
    assert "within" in tries[0]["error"] and "ms" in tries[0]["error"]


@pytest.mark.parametrize("status, outcome", [(200, "success"), (500, "http_error")])
def test_the_head_of_an_answer_counts_although_its_body_never_ends(new_server, api_of, receiver, status, outcome):
    api = api_of(new_server(settings=SLOW))
    api.project("slow")
    policy = api.webhook("slow", receiver.url)
    head = b"HTTP/1.1 %d Well\r\nContent-Length: 5\r\n\r\nab" % status
    receiver.answers(Answer(trickle=[(head, None), (b"cde", threading.Event())]))
    api.submit("slow")
    attempt = ended(api, "slow", policy)["attempts"][0]
    assert (attempt["outcome"], attempt["status"], attempt["response_body"]) == (outcome, status, "ab")


def test_a_slow_answer_within_the_deadlines_is_taken(api, project, receiver):
    gates = [threading.Event() for _ in range(3)]
    parts = [b"HTTP/1.1 200 OK\r\n", b"Content-Length: 4\r\n\r\n", b"slow"]
    receiver.answers(Answer(trickle=list(zip(parts, gates))))
    policy = api.webhook(project, receiver.url)
    api.submit(project)
    receiver.next()
    for gate in gates:
        gate.set()
    attempt = ended(api, project, policy)["attempts"][0]
    assert (attempt["outcome"], attempt["response_body"]) == ("success", "slow")
    assert len(receiver.requests) == 1


def test_a_receiver_that_is_down_gets_what_waits_once_it_is_up(api, project, new_receiver):
    port = free_port()
    policy = api.webhook(project, f"http://127.0.0.1:{port}/hook")
    ids = [api.submit(project)["id"] for _ in range(5)]
    failed = attempted(api, project, policy)["attempts"][0]
    assert failed["outcome"] == "connect" and "refused" in failed["error"] and f"port {port}" in failed["error"]
    assert api.executions(project, policy)[0]["status"] == "Running"
    up = new_receiver(port=port)
    assert sorted(request.header("webhook-id") for request in up.take(5)) == sorted(ids)
    assert {one["status"] for one in api.execution_ended(project, policy, 5)} == {"Success"}
    assert len(up.requests) == 5


def test_interim_answers_are_skipped(api, project, receiver):
    receiver.answers(EARLY)
    policy = api.webhook(project, receiver.url)
    api.submit(project)
    attempt = ended(api, project, policy)["attempts"][0]
    assert (attempt["outcome"], attempt["status"], attempt["response_body"]) == ("success", 200, "ok")
    assert len(receiver.requests) == 1


def big_event():
    """Most of a megabyte: more than the buffers between two sockets hold where the test makes them small."""
    artifacts = [{"digest": f"sha256:{number:064x}", "tags": [f"v{tag}-".ljust(100, "x") for tag in range(256)]}
                 for number in range(32)]
    return push_event(artifacts=artifacts)


@pytest.mark.parametrize("status", [200, 413])
def test_an_answer_before_the_body_was_read_counts(api, project, new_raw, status):
    gone = threading.Event()

    def answer_early(connection):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 %d Early\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        gone.wait(BOUND_S)  # never reads the rest

    raw = new_raw(answer_early, receive_bytes=4096)
    policy = api.webhook(project, raw.url)
    api.submit(project, big_event())
    attempt = attempted(api, project, policy)["attempts"][0]
    gone.set()
    assert attempt.get("status") == status, attempt
    assert attempt["outcome"] == ("success" if status == 200 else "http_error")


def test_a_large_body_arrives_whole(api, project, receiver):
    api.webhook(project, receiver.url)
    event = big_event()
    api.submit(project, event)
    request = receiver.next()
    assert len(request.body) > 800000
    got = request.json["event_data"]["harbinger"]["artifacts"]
    assert [(one["digest"], one["tags"]) for one in got] == [(one["digest"], one["tags"]) for one in event["artifacts"]]


def test_of_an_answer_four_kib_are_kept(api, project, receiver):
    receiver.answers(Answer(500, body=b"x" * 100000), Answer(200, body=b"\xff\xfe\x00 no text"))
    policy = api.webhook(project, receiver.url)
    api.submit(project)
    first, second = ended(api, project, policy)["attempts"]
    assert first["response_body"] == "x" * KEPT_ANSWER_BYTES
    assert "no text" in second["response_body"]


# -- what no retry mends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 413, 415, 418, 422, 451])
def test_three_tries_and_no_more(api, project, receiver, marker, status):
    receiver.always(redirect(receiver.url + "/elsewhere", status) if status < 400 else Answer(status))
    policy = api.webhook(project, receiver.url + "/hook")
    api.submit(project)
    result = ended(api, project, policy)
    assert (result["status"], len(result["attempts"])) == ("Error", PERMANENT_TRIES)
    assert {one["status"] for one in result["attempts"]} == {status}
    assert str(status) in result["last_error"]
    marker.pass_by()
    # A redirect is not followed: nothing has come to another place, nor with another method.
    assert [(one.method, one.target) for one in receiver.requests] == [("POST", "/hook")] * PERMANENT_TRIES


def test_a_target_that_answers_again_gets_later_events_after_a_failed_one(api, project, receiver):
    receiver.answers(*[Answer(400)] * PERMANENT_TRIES)
    policy = api.webhook(project, receiver.url)
    first = api.submit(project)
    assert ended(api, project, policy)["status"] == "Error"
    second = api.submit(project)
    assert {one["status"] for one in api.execution_ended(project, policy, 2)} == {"Success", "Error"}
    assert [one.header("webhook-id") for one in receiver.requests] == [first["id"]] * PERMANENT_TRIES + [second["id"]]


# -- 410 --------------------------------------------------------------------------------------------------------------


def test_gone_suspends_the_target_and_its_deliveries_wait_until_it_is_enabled_again(api, project, receiver, marker):
    receiver.always(Answer(410))
    policy = api.webhook(project, receiver.url)
    ids = [api.submit(project)["id"]]
    receiver.next()
    suspended = wait_until(lambda: api.get(policy_path(project, policy)).json["targets"][0].get("harbinger"),
                           "the target is suspended")
    assert suspended["suspended"] is True and "410" in suspended["suspended_reason"]
    ids += [api.submit(project)["id"] for _ in range(2)]
    marker.pass_by()
    assert len(receiver.requests) == 1
    assert [one["status"] for one in api.executions(project, policy)] == ["Running"] * 3
    assert api.get(policy_path(project, policy)).json["enabled"] is True

    receiver.always(Answer(200))
    change(api, project, policy, enabled=True)
    again = receiver.take(3)
    assert sorted(one.header("webhook-id") for one in again) == sorted(ids)
    attempts = {one.header("webhook-id"): one.header("X-Harbinger-Attempt") for one in again}
    assert attempts == {ids[0]: "2", ids[1]: "1", ids[2]: "1"}
    assert {one["status"] for one in api.execution_ended(project, policy, 3)} == {"Success"}
    assert "harbinger" not in api.get(policy_path(project, policy)).json["targets"][0]


@pytest.mark.parametrize("status, words, suspends", [(404, b"no_service", True), (200, b"channel_not_found", True),
                                                     (400, b"invalid_payload", False)])
def test_slack_is_judged_by_its_words(api, project, receiver, marker, status, words, suspends):
    receiver.always(Answer(status, body=words))
    policy = api.webhook(project, receiver.url + "/services/T0/B0/SECRET", type="slack")
    api.submit(project)
    receiver.next()
    if suspends:
        wait_until(lambda: api.get(policy_path(project, policy)).json["targets"][0].get("harbinger", {}).get("suspended"),
                   "the target is suspended")
        assert words.decode() in api.get(policy_path(project, policy)).json["targets"][0]["harbinger"]["suspended_reason"]
    else:
        result = ended(api, project, policy)
        assert (result["status"], len(result["attempts"])) == ("Error", 1)
        assert words.decode() in result["last_error"]
    marker.pass_by()
    assert len(receiver.requests) == 1


# -- 429 and 503 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_pauses_the_whole_target_and_nothing_comes_earlier(api, project, receiver, status, form):
    not_before = time.time() + 2
    value = "1" if form == "seconds" else email.utils.formatdate(not_before, usegmt=True)
    receiver.answers(Answer(status, headers={"Retry-After": value}))
    policy = api.webhook(project, receiver.url)
    ids = [api.submit(project)["id"]]
    first = receiver.next()
    attempted(api, project, policy)
    ids += [api.submit(project)["id"] for _ in range(3)]
    waiting = delivery(api, project, deliveries(api, project, policy, sort="id")[0]["id"])
    assert waiting["lane"]["paused"] is True
    later = receiver.take(4)
    assert sorted(one.header("webhook-id") for one in later) == sorted(ids)
    if form == "seconds":
        assert min(one.at for one in later) - first.at >= 1.0
    else:
        now = time.time()
        earliest = now - (time.monotonic() - min(one.at for one in later))
        assert earliest >= int(not_before) - 0.001


def test_retry_after_that_is_none_is_ignored(api, project, receiver):
    receiver.answers(Answer(429, headers={"Retry-After": "soon"}), Answer(500, headers={"Retry-After": "-5"}))
    policy = api.webhook(project, receiver.url)
    api.submit(project)
    receiver.take(3)
    assert ended(api, project, policy)["status"] == "Success"


# -- nobody waits for anybody -----------------------------------------------------------------------------------------


def test_dead_targets_do_not_delay_another(api, project, new_receiver):
    """With eight targets that answer nothing, fifty events reach the living one in a time that is no multiple of what
    they take without them; the bound is far above noise and far below one deadline of the dead ones for each event."""
    live, dead, never = new_receiver(), new_receiver(), threading.Event()
    dead.always(Answer(hold=never))
    events = 50

    def run():
        began = time.monotonic()
        for _ in range(events):
            api.submit(project)
        live.take(events)
        return time.monotonic() - began

    api.webhook(project, live.url, name="live")
    alone_s = run()
    for number in range(8):
        api.webhook(project, f"{dead.url}/{number}", name=f"dead-{number}")
    api.submit(project)
    live.next()
    dead.wait_for(8)
    beside_s = run()
    assert beside_s < 10 * alone_s + 1.0, (beside_s, alone_s)
    never.set()


# -- delete, disable --------------------------------------------------------------------------------------------------


def waiting_work(api, project, receiver, count=6):
    """A policy whose receiver holds the first request; (policy, release, event ids)."""
    release = threading.Event()
    receiver.always(Answer(hold=release))
    policy = api.webhook(project, receiver.url)
    ids = [api.submit(project)["id"] for _ in range(count)]
    receiver.next()
    return policy, release, ids


def statuses_of_event(api, project, event):
    rows = api.get(f"/projects/{project}/events/{event}").json["deliveries"]
    return [one["status"] for row in rows for one in row["deliveries"]]


def test_deleting_a_policy_ends_its_waiting_deliveries_and_no_request_comes_after_the_answer(api, project, receiver,
                                                                                            marker):
    policy, release, ids = waiting_work(api, project, receiver)
    # One request is on its way, for which a new target's concurrency is the reason; the others wait.
    api.delete(policy_path(project, policy))
    seen = len(receiver.requests)
    release.set()
    marker.pass_by()
    assert len(receiver.requests) == seen == 1
    api.get(policy_path(project, policy), expect=404)
    api.get(policy_path(project, policy) + "/executions", expect=404)
    for event in ids[1:]:
        assert statuses_of_event(api, project, event) == ["Stopped"]


def test_disabling_a_policy_ends_its_waiting_deliveries_and_enabling_it_does_not_revive_them(api, project, receiver,
                                                                                             marker):
    policy, release, _ = waiting_work(api, project, receiver)
    change(api, project, policy, enabled=False)
    release.set()
    marker.pass_by()
    assert len(receiver.requests) == 1
    by_status = sorted(one["status"] for one in api.execution_ended(project, policy, 6))
    assert by_status.count("Stopped") >= 5 and len(by_status) == 6
    api.submit(project)  # nobody wants it
    change(api, project, policy, enabled=True)
    last = api.submit(project)
    assert receiver.next().header("webhook-id") == last["id"]
    marker.pass_by()
    assert len(receiver.requests) == 2
    assert len(api.execution_ended(project, policy, 7)) == 7


def test_deleting_a_policy_ends_its_retries(api, project, receiver, marker):
    receiver.always(Answer(500))
    policy = api.webhook(project, receiver.url)
    for _ in range(5):
        api.submit(project)
    receiver.take(5)
    api.delete(policy_path(project, policy))
    marker.pass_by(2)  # what was on its way when it was deleted has been taken by the receiver's threads
    seen = len(receiver.requests)
    marker.pass_by(6)
    assert len(receiver.requests) == seen


def test_a_request_whose_kept_connection_dies_after_the_delete_is_not_sent_on_a_new_one(api, project, receiver, marker):
    policy = api.webhook(project, receiver.url)
    api.submit(project)
    receiver.next()
    api.execution_ended(project, policy, 1)
    release = threading.Event()
    receiver.always(Answer(hold=release, close=True))
    api.submit(project)
    assert receiver.next().connection == 1  # the kept one, which may be dead already when a request is sent on it
    api.delete(policy_path(project, policy))
    release.set()
    marker.pass_by(4)
    assert len(receiver.requests) == 2


@pytest.mark.busy
def test_no_request_begins_after_a_delete_was_answered(api, project, new_receiver, marker):
    """Under load, several times: what the receiver has accepted by the time of the answer is all there is, but for
    requests on connections that stood open and whose bytes were already sent."""
    for turn in range(5):
        target = new_receiver()
        policy = api.webhook(project, target.url, name=f"turn-{turn}")
        for _ in range(30):
            api.submit(project)
        target.next()
        api.delete(policy_path(project, policy))
        answered = time.monotonic()
        marker.pass_by(2)
        late = [one for one in target.requests if one.at > answered]
        assert len(late) <= 8, "more than the requests that can have been on their way"
        marker.pass_by(4)
        assert [one for one in target.requests if one.at > answered] == late


def test_a_target_taken_out_of_a_policy_gets_nothing_more(api, project, new_receiver, marker):
    kept, dropped, release = new_receiver(), new_receiver(), threading.Event()
    dropped.always(Answer(hold=release))
    policy = api.webhook(project, kept.url)
    body = api.get(policy_path(project, policy)).json
    change(api, project, policy, targets=body["targets"] + [{"type": "http", "address": dropped.url}])
    for _ in range(4):
        api.submit(project)
    kept.take(4)
    dropped.next()
    change(api, project, policy, targets=body["targets"])
    release.set()
    api.submit(project)
    kept.next()
    marker.pass_by()
    assert len(dropped.requests) == 1


# -- the switch for all -----------------------------------------------------------------------------------------------


def test_notifications_switched_off_record_events_and_deliver_none(new_server, api_of, receiver):
    api = api_of(new_server())
    api.project("switched")
    policy = api.webhook("switched", receiver.url)
    api.put("/configurations", {"notification_enable": False})
    assert api.get("/systeminfo").json["notification_enable"] is False
    off = api.submit("switched")
    assert off["deliveries"] == 0
    seen = api.get(f"/projects/switched/events/{off['id']}").json
    assert seen["seq"] == 1 and "switched off" in seen["deliveries"][0]["reason"]
    api.put("/configurations", {"notification_enable": True})
    on = api.submit("switched")
    assert receiver.next().header("webhook-id") == on["id"]
    assert [one["status"] for one in api.execution_ended("switched", policy)] == ["Success"]
    assert len(receiver.requests) == 1


# -- the views --------------------------------------------------------------------------------------------------------


def test_execution_task_log_and_delivery_agree_with_what_the_receiver_saw(api, project, receiver):
    receiver.answers(Answer(500, headers={"X-Trace": "t-1", "Set-Cookie": "session=of-the-receiver"}, body=b"database\nis \"down\""))
    policy = api.webhook(project, receiver.url.replace("http://", "http://us:pw@") + "/hook/secret?key=k",
                         auth_header=f"Bearer {secret('header')}", payload_format="CloudEvents")
    event = api.submit(project)
    first, second = receiver.take(2)
    execution = api.execution_ended(project, policy)[0]
    assert (execution["status"], execution["trigger"], execution["vendor_type"]) == ("Success", "EVENT", "WEBHOOK")
    assert execution["vendor_id"] == policy and execution["metrics"] == {"success_task_count": 1, "task_count": 1}
    assert execution["extra_attrs"]["event_type"] == "PUSH_ARTIFACT"
    assert execution["extra_attrs"]["payload"].encode() == first.body == second.body

    tasks_path = f"{policy_path(project, policy)}/executions/{execution['id']}/tasks"
    tasks = api.get(tasks_path).json
    assert len(tasks) == 1
    assert tasks[0]["id"] == tasks[0]["execution_id"] == execution["id"] == int(first.header("X-Harbinger-Delivery"))
    assert (tasks[0]["status"], tasks[0]["run_count"]) == ("Success", 2)

    shown = delivery(api, project, execution["id"])
    assert shown["event_id"] == event["id"] and shown["payload"].encode() == first.body
    for request, attempt in zip((first, second), shown["attempts"]):
        sent = {f"{name}: {value}" for name, value in request.headers if name != "Authorization"}
        assert sent <= set(attempt["request_headers"])
        assert "Authorization: ********" in attempt["request_headers"]
    assert shown["attempts"][0]["response_body"] == 'database\nis "down"'
    assert "X-Trace: t-1" in shown["attempts"][0]["response_headers"]
    # What the receiver keeps to itself, or got from us as a secret, is not for those who read the history.
    assert "Set-Cookie: ********" in shown["attempts"][0]["response_headers"]

    log = api.get(f"{tasks_path}/{execution['id']}/log").text
    for words in ("start to run webhook job", first.body.decode(), "response code: 500", "500", "X-Trace: t-1",
                  "response code: 200", "success to run webhook job", "[attempt 1]", "[attempt 2]"):
        assert words in log
    # An answer cannot write lines of its own into the log.
    assert "database\\nis" in log and "\nis " not in log
    everything = log + json.dumps([execution, tasks, shown["attempts"]])
    assert secret("header") not in everything and "us:pw" not in everything


def test_a_delivery_sent_again_is_a_new_one_of_the_same_event_and_bytes(api, project, receiver):
    receiver.always(Answer(400))
    policy = api.webhook(project, receiver.url)
    event = api.submit(project)
    old = ended(api, project, policy)
    receiver.take(PERMANENT_TRIES)
    receiver.always(Answer(200))
    answer = api.post(f"/projects/{project}/webhook/deliveries/{old['id']}/redeliver")
    new = answer.json["id"]
    assert answer.location_id == new != old["id"]
    again = receiver.next()
    assert again.header("webhook-id") == event["id"]
    assert (again.header("X-Harbinger-Delivery"), again.header("X-Harbinger-Attempt")) == (str(new), "1")
    assert again.body == receiver.requests[0].body
    by_id = {one["id"]: one["status"] for one in api.execution_ended(project, policy, 2)}
    assert by_id == {old["id"]: "Error", new: "Success"}
    # The first one's history stays as it was.
    assert len(delivery(api, project, old["id"])["attempts"]) == PERMANENT_TRIES


def test_a_page_of_deliveries_of_the_largest_events_is_listed(new_server, api_of):
    """What is read of one event is forgotten before the next: 100 at once would not fit into a call's memory."""
    api = api_of(new_server())
    api.project("large")
    policy = api.webhook("large", f"http://127.0.0.1:{free_port()}")
    artifacts = [{"digest": f"sha256:{number:064x}", "tags": [f"{tag:03}{'x' * 100}" for tag in range(120)]}
                 for number in range(60)]
    api.submit("large", {**push_event(), "artifacts": artifacts})
    first = deliveries(api, "large", policy)[0]["id"]
    for _ in range(99):
        api.post(f"/projects/large/webhook/deliveries/{first}/redeliver")
    rows = deliveries(api, "large", policy, page_size=100)
    assert len(rows) == 100 and {row["artifact"] for row in rows} == {rows[0]["artifact"]} != {None}


def test_the_open_breaker_spends_no_tries_of_the_followers(new_server, api_of, new_receiver):
    port = free_port()
    api = api_of(new_server(settings={"breaker.failures": 3, "breaker.span_ms": 1, "breaker.probe_min_ms": 50,
                                      "breaker.probe_max_ms": 200}))
    api.project("broken")
    policy = api.webhook("broken", f"http://127.0.0.1:{port}")
    ids = [api.submit("broken")["id"] for _ in range(20)]

    def breaker_is_open():
        rows = deliveries(api, "broken", policy, page_size=100)
        return delivery(api, "broken", rows[-1]["id"]).get("lane", {}).get("breaker_open") and \
            sum(one["attempts"] for one in rows) >= 12
    wait_until(breaker_is_open, "the breaker is open and the head has probed")
    rows = deliveries(api, "broken", policy, page_size=100, sort="id")
    assert sum(1 for one in rows if one["attempts"] == 0) >= 5, [one["attempts"] for one in rows]
    up = new_receiver(port=port)
    assert sorted(one.header("webhook-id") for one in up.take(20)) == sorted(ids)
    assert {one["status"] for one in api.execution_ended("broken", policy, 20)} == {"Success"}

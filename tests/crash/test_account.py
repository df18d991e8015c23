# SPDX-License-Identifier: Apache-2.0
"""The account on journals made by hand: each way in which a promise can be broken has its word, and a good one has none."""
import pytest

from harness.account import ALL, Hook, Kill, judge, struck_sends
from harness.journal import Request
from harness.load import Sent

PUSH, PULL = "PUSH_ARTIFACT", "PULL_ARTIFACT"


def hook(name="hook", kinds=(PUSH,), enabled=True, asked_at=10, deleted_at=None):
    one = Hook("team", f"/team/{name}", kinds, enabled)
    one.policy, one.asked_at, one.made_at = 1, asked_at, asked_at + 1
    one.deleting_at, one.deleted_at = deleted_at and deleted_at - 5, deleted_at
    return one


def sent(digest, kind=PUSH, begun_at=100, acknowledged_at=200):
    one = Sent("team", kind, digest)
    one.begun_at, one.acknowledged_at = begun_at, acknowledged_at
    return one


def request(number, digest="d1", at=300, target="/team/hook", event=None, delivery="1", attempt="1", body=b"body", seq=None,
            status=200):
    one = Request(number, at)
    one.target, one.event, one.delivery, one.attempt = target, event or f"event-{digest}", delivery, attempt
    one.digest, one.seq, one.body_hash, one.status = digest, seq or int(digest[1:]), body, status
    return one


def garbled(number):
    one = Request(number, 300)
    one.take("/team/hook", {"webhook-id": "event-d1"}, '{"event_data": {"resources": []}}')
    return one


def kinds(hooks, all_sent, requests):
    return {problem.split(":")[0] for problem in judge(hooks, {one.digest: one for one in all_sent}, requests)}


def test_a_good_journal_has_no_problem():
    requests = [request(1, status=0), request(2), request(3, "d2", delivery="2", status=500),
                request(4, "d2", delivery="2", attempt="2"), request(5, target="/team/gone", at=390)]
    all_sent = [sent("d1"), sent("d2"), sent("d3", PULL), sent("d4", acknowledged_at=None)]
    assert kinds([hook(), hook("off", enabled=False), hook("gone", deleted_at=400)], all_sent, requests) == set()


@pytest.mark.parametrize("kind, requests", [
    ("lost", []),
    ("lost", [request(1, status=0)]),
    ("lost", [request(1, status=500)]),
    ("invented", [request(1), request(2, "d9")]),
    ("garbled", [request(1), garbled(2)]),
    ("stray", [request(1), request(2, target="/team/off")]),
    ("stray", [request(1), request(2, target="/team/pulls")]),
    ("stray", [request(1), request(2, target="/nowhere/x")]),
    ("stray", [request(1), request(2, target="/team/newer")]),
    ("late", [request(1), request(2, target="/team/gone", at=401)]),
    ("changed", [request(1), request(2, event="event-other", seq=7)]),
    ("changed", [request(1), request(2, body=b"other")]),
    ("changed", [request(1), request(2, delivery="2")]),
    ("changed", [request(1), request(2, "d2", delivery="2", seq=1)]),
    ("gap", [request(1), request(2, "d2", target="/team/all"), request(3, "d2")]),
])
def test_each_broken_promise_has_its_word(kind, requests):
    hooks = [hook(), hook("off", enabled=False), hook("pulls", (PULL,)), hook("newer", asked_at=250),
             hook("gone", deleted_at=400)]
    if kind == "gap":
        hooks.append(hook("all", ALL, asked_at=150))
    all_sent = [sent("d1")] + ([sent("d2", begun_at=160)] if any(one.digest == "d2" for one in requests) else [])
    assert kinds(hooks, all_sent, requests) == {kind}


def test_a_webhook_that_came_later_is_owed_only_what_was_posted_after_it():
    all_sent = [sent("d1", begun_at=100), sent("d2", begun_at=300, acknowledged_at=400)]
    assert kinds([hook(asked_at=150)], all_sent, [request(1, "d2")]) == set()
    assert kinds([hook(asked_at=150)], all_sent, []) == {"lost"}


def test_a_kill_struck_a_send_that_came_again_as_the_same_attempt():
    kills = [Kill(400, 0, ""), Kill(500, 0, ""), Kill(600, 0, "")]
    again = [request(1, at=390), request(2, at=410)]
    assert struck_sends(kills, again) == 1
    assert struck_sends(kills, [request(1, at=390), request(2, at=410, attempt="2")]) == 0
    assert struck_sends(kills, [request(1, at=390), request(2, at=395)]) == 0
    assert struck_sends(kills, again + [Request(3, 550)]) == 2  # it never became whole

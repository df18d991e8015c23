# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the gateway under a storm of pushes and deletes, at random moments and at each fault point of the way: every tag
that moved through it has its event, in order, no event is without a cause, and the catalogue is the registry's."""
import pytest

from harness import faults
from harness.gateway_campaign import GatewayCampaign
from harness.push_account import Event, judge
from harness.registry_proxy import Change

NORMAL_KILLS, LONG_KILLS = 20, 300


def run(folder, kills):
    with GatewayCampaign(folder) as campaign:
        campaign.begin()
        for _ in range(kills):
            if not campaign.kill_at_random():
                break
        report = campaign.finish()
    assert report.problems == [], report
    assert report.kills == kills
    # A kill of an idle server proves nothing.
    assert report.caught >= kills / 4, f"too few kills struck with changes in flight: {report}"


@pytest.mark.busy
def test_twenty_kills_under_a_storm_of_pushes_lose_and_invent_nothing(tmp_path):
    run(tmp_path, NORMAL_KILLS)


@pytest.mark.long
def test_three_hundred_kills_under_a_storm_of_pushes_lose_and_invent_nothing(tmp_path):
    run(tmp_path, LONG_KILLS)


def test_a_kill_at_each_fault_point_of_a_change_loses_and_invents_nothing(tmp_path):
    points = [name for name in faults.names()["point"] if name.startswith("change.")]
    assert points
    with GatewayCampaign(tmp_path, program=faults.program()) as campaign:
        campaign.begin()
        for name in points:
            assert campaign.kill_at_point(name), \
                f"{name} was not passed: {campaign.problems}\n{campaign.server.log()[-2000:]}"
        report = campaign.finish()
    assert report.problems == [], report
    assert report.kills == len(points)


def test_intents_that_a_start_forgets_are_found(tmp_path):
    with GatewayCampaign(tmp_path, program=faults.program(), planted="forget_intents=plant") as campaign:
        campaign.begin()
        for _ in range(3):
            campaign.kill_at_random()
        report = campaign.finish()
    assert any(problem.startswith("tag ") for problem in report.problems), report
    assert any(problem.endswith("intents are left") for problem in report.problems), report


# What account and proxy say of a history of one tag: (what the registry did, the events, words that the account must find).
APP, ONE, TWO = "alpha/app", "sha256:" + "1" * 64, "sha256:" + "2" * 64
PUT_ONE, PUT_TWO, GONE = Change("PUT", APP, "v1", ONE), Change("PUT", APP, "v1", TWO), Change("DELETE", APP, ONE, ONE)


def told(change, seq):
    tags = ["v1"] if change.kind == "DELETE" or not change.reference.startswith("sha256:") else []
    return Event(change.kind, change.repository, change.digest, tags, seq, False, False)


@pytest.mark.parametrize("made, said, words", [
    ([PUT_ONE, PUT_TWO], [PUT_ONE, PUT_TWO], None),
    ([PUT_ONE, PUT_ONE], [PUT_ONE], None),
    ([PUT_ONE, GONE], [PUT_ONE, GONE], None),
    ([PUT_ONE, PUT_TWO], [PUT_ONE], "tag "),
    ([PUT_ONE, PUT_TWO], [PUT_TWO, PUT_ONE], "tag "),
    ([PUT_ONE], [PUT_ONE, PUT_TWO], "an event of what the registry never did"),
    ([PUT_ONE], [PUT_ONE, PUT_ONE], "2 events of "),
    ([PUT_ONE, GONE], [PUT_ONE], "digest "),
    ([PUT_ONE, GONE], [PUT_ONE, GONE, GONE], "2 events of "),
])
def test_the_account_of_pushes_finds_what_is_wrong(made, said, words):
    asked = {("DELETE" if one.kind == "DELETE" else "PUT", APP, "" if one is GONE else "v1", one.digest): 1 for one in made}
    last = next((one for one in reversed(made) if one.kind == "PUT"), None)
    upstream = {} if made[-1] is GONE else {(APP, "v1"): last.digest}
    problems = judge(made, [told(one, seq) for seq, one in enumerate(said)], asked, set(asked), upstream, upstream)
    if words is None:
        assert problems == []
    else:
        assert any(problem.startswith(words) for problem in problems), problems


def test_the_account_of_pushes_compares_the_catalogue_and_the_answers():
    asked = {("PUT", APP, "v1", ONE): 1}
    upstream = {(APP, "v1"): ONE}
    assert judge([PUT_ONE], [told(PUT_ONE, 1)], asked, set(asked), {}, upstream)[0].startswith("catalogue and registry differ")
    problems = judge([], [], asked, set(asked), {}, {})
    assert problems == [f"answered as done, and no event: {('PUT', APP, 'v1', ONE)}"]

# SPDX-License-Identifier: Apache-2.0
"""A receiver that causes what it is told of is warned of: in the log, in the metrics, at the webhook."""
import re

from support.api import push_event
from support.waiting import wait_until

ROBOT = {"actor": {"kind": "robot", "name": "robot$ci"}}


def go_round(api, receiver, project, times, **fields):
    """A build that pushes the tag whose push started it."""
    for _ in range(times):
        api.submit(project, push_event(tag="latest", **fields))
        receiver.next()


def test_a_loop_is_warned_of_in_log_metrics_and_webhook(api, server, project, receiver):
    policy = api.webhook(project, receiver.url, harbinger={"tagged": "only"})
    path = f"/projects/{project}/webhook/policies/{policy}"
    before = len(re.findall("looks like a loop", server.log()))
    go_round(api, receiver, project, 15, **ROBOT)
    assert api.get(path).json["harbinger"] == {"tagged": "only"}
    go_round(api, receiver, project, 15, **ROBOT)
    words = wait_until(lambda: api.get(path).json["harbinger"].get("warning"), "the webhook shows a warning")
    assert re.fullmatch(r"2\d times within an hour the event PUSH_ARTIFACT came again within a minute of its delivery, by "
                        rf"robot\$ci on {project}/app:latest: perhaps the receiver causes what it is told of", words)
    assert "warning" in api.get(f"/projects/{project}/webhook/policies").json[0]["harbinger"]
    lines = [line for line in server.log().splitlines() if "looks like a loop" in line]
    assert len(lines) == before + 1 and f"warn dispatch: webhook {policy} looks like a loop: 21 times" in lines[-1]
    metrics = server.request("GET", "/metrics", headers={"Authorization": api.authorization})[2].decode()
    assert re.search(r"^harbinger_loop_warnings_total [1-9]", metrics, re.MULTILINE)
    # What a client read it may send back.
    api.put(path, api.get(path).json)


def test_many_pushes_of_many_people_are_no_loop(api, project, receiver):
    policy = api.webhook(project, receiver.url)
    for number in range(30):
        go_round(api, receiver, project, 1, actor={"kind": "user", "name": f"person-{number}"})
    for number in range(30):
        api.submit(project, push_event(tag=f"v{number}", **ROBOT))
        receiver.next()
    assert "harbinger" not in api.get(f"/projects/{project}/webhook/policies/{policy}").json

# SPDX-License-Identifier: Apache-2.0
"""Events over the API: submitting (checks, idempotency, durability's edges), reading, and why a webhook got one or not."""
import copy
import datetime
import json
import pathlib

import pytest
from support.api import Api, push_event
from support.receiver import Answer

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
CASES = sorted(path.name[: -len(".event.json")] for path in GOLDEN.glob("*.event.json"))
DIGEST = "sha256:" + "5" * 64


def events(project):
    return f"/projects/{project}/events"


# -- submitting -----------------------------------------------------------------------------------------------------------


def test_an_event_is_answered_with_its_id_number_and_deliveries_and_reaches_the_webhook(api, project, receiver):
    api.webhook(project, receiver.url)
    api.webhook(project, receiver.url, name="other", events=["QUOTA_EXCEED"])
    answer = api.post(events(project), push_event(digest=DIGEST))
    assert list(answer.json) == ["id", "seq", "deliveries"]
    assert (answer.json["seq"], answer.json["deliveries"]) == (1, 1)
    assert answer.header("Location") == f"/api/v2.0/projects/{project}/events/{answer.json['id']}"
    request = receiver.next()
    assert request.header("webhook-id") == answer.json["id"]
    body = request.json
    assert (body["type"], body["occur_at"], body["operator"]) == ("PUSH_ARTIFACT", 1787300000, "alice")
    assert body["event_data"]["repository"]["repo_full_name"] == f"{project}/app"
    assert body["event_data"]["resources"][0]["digest"] == DIGEST
    assert api.submit(project)["seq"] == 2


@pytest.mark.parametrize("case", CASES)
def test_every_type_of_event_is_taken_and_shown_as_it_was_sent(api, project, case):
    """Each event of tests/golden, which hold every type and its data."""
    sent = json.loads((GOLDEN / f"{case}.event.json").read_text(encoding="utf-8"))["event"]
    answer = api.post(events(project), sent)
    shown = api.get(answer.header("Location")).json
    assert shown["type"] == sent["type"] and shown["occurred_at"] == sent["occurred_at"]
    assert shown["actor"] == in_our_order(sent.get("actor", {"kind": "user", "name": "admin"}))
    assert shown["artifacts"] == [in_our_order(one) for one in sent.get("artifacts", [])]
    assert shown["source"] == {"kind": "api", "instance": "admin"}
    data = in_our_order(sent.get("data") or {})
    assert set(data) <= set(shown["data"] or {})
    assert shown["repository"]["full_name"] == "/".join(filter(None, [project, sent.get("repository", {}).get("name")]))


def in_our_order(value):
    """Empty members are left out of what is shown."""
    return {key: member for key, member in value.items() if member not in ("", [])}


def test_what_a_body_leaves_out_is_filled_in(api, project):
    body = {"type": "PUSH_ARTIFACT", "repository": {"name": "app"}, "artifacts": [{"digest": DIGEST}]}
    answer = api.post(events(project), body, headers={"User-Agent": "scan-job/7", "X-Request-Id": "of-the-job"})
    one = api.get(answer.header("Location")).json
    assert one["actor"] == {"kind": "user", "name": "admin"} and one["trigger"] == "api"
    assert one["client"] == {"address": "127.0.0.1", "user_agent": "scan-job/7", "request_id": "of-the-job"}
    assert one["repository"]["project"] == project and one["repository"]["public"] is False
    assert abs_seconds(one["occurred_at"], one["recorded_at"]) < 60


def abs_seconds(one, other):
    first, second = (datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (one, other))
    return abs((first - second).total_seconds())


def without(event, *path):
    changed = copy.deepcopy(event)
    place = changed
    for name in path[:-1]:
        place = place[name]
    del place[path[-1]]
    return changed


def with_(event, value, *path):
    changed = copy.deepcopy(event)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return changed


PUSH = push_event(digest=DIGEST)
SCAN = {"type": "SCANNING_FAILED", "repository": {"name": "app"}, "artifacts": [{"digest": DIGEST}],
        "data": {"scan_type": "vulnerability", "error": "out of disk"}}
REFUSED = [
    (without(PUSH, "type"), "type: is required"),
    (with_(PUSH, "UPLOAD_CHART", "type"), "type: is not one of the ten event types: UPLOAD_CHART"),
    (with_(PUSH, 7, "type"), "type: "),
    (with_(PUSH, "yesterday", "occurred_at"), "occurred_at: "),
    (with_(PUSH, "1969-12-31T23:59:59Z", "occurred_at"), "occurred_at: is before 1970"),
    (with_(PUSH, "cat", "actor", "kind"), "actor.kind: must be user, robot, system or anonymous"),
    (without(PUSH, "actor", "name"), "actor.name: is required unless the actor is anonymous"),
    (with_(PUSH, "a\nb", "actor", "name"), "actor.name: "),
    (with_(PUSH, "x" * 256, "actor", "name"), "actor.name: "),
    (without(PUSH, "repository"), "repository.name: is required"),
    (with_(PUSH, "Upper", "repository", "name"), "repository.name: is not a repository name"),
    (with_(PUSH, "../etc", "repository", "name"), "repository.name: is not a repository name"),
    (with_(PUSH, [], "artifacts"), "artifacts: must name the artifact"),
    (with_(PUSH, "sha256:abc", "artifacts", 0, "digest"), "artifacts[0].digest: "),
    (with_(PUSH, ["-bad"], "artifacts", 0, "tags"), "artifacts[0].tags[0]: "),
    (with_(PUSH, -5, "artifacts", 0, "size"), "artifacts[0].size: "),
    (with_(PUSH, 1.5, "artifacts", 0, "size"), "artifacts[0].size: "),
    (with_(PUSH, 1, "unheard_of"), "unheard_of: "),
    (with_(PUSH, 1, "artifacts", 0, "colour"), "artifacts[0].colour: "),
    (with_(PUSH, {"details": "x"}, "data"), "data.details: "),
    (with_(SCAN, 7, "data", "scan_type"), "data.scan_type: "),
    (with_(SCAN, 1, "data", "unheard_of"), "data.unheard_of: "),
    ({"type": "QUOTA_EXCEED"}, "data.details: is required"),
    ({"type": "REPLICATION", "repository": {"name": "app"}}, "data: is required for REPLICATION"),
    ({"type": "TAG_RETENTION", "repository": {"name": "app"}}, "data: is required for TAG_RETENTION"),
]


@pytest.mark.parametrize("body,words", REFUSED, ids=[words for _, words in REFUSED])
def test_each_field_is_checked_and_named(api, project, body, words):
    answer = api.post(events(project), body, expect=422)
    assert answer.code == "UNPROCESSABLE_ENTITY"
    assert answer.message.startswith("validation failure list:\nevent in body: " + words)
    assert api.get(events(project)).json == []


def test_an_event_larger_than_the_store_takes_is_413(api, project):
    children = [{"digest": "sha256:" + f"{number:064x}", "platform": "linux/" + "x" * 200} for number in range(256)]
    body = push_event()
    body["artifacts"] = [{"digest": "sha256:" + f"{number:064x}", "children": children} for number in range(12)]
    assert len(json.dumps(body)) < 1024 * 1024
    body["artifacts"][0]["platform"] = "<" * 255  # six bytes each as it is stored
    for artifact in body["artifacts"]:
        artifact["children"] = [{**child, "platform": "<" * 200} for child in children]
    assert len(json.dumps(body, separators=(",", ":"))) < 1024 * 1024
    api.request("POST", events(project), raw=json.dumps(body, separators=(",", ":")).encode(), expect=413,
                headers={"Content-Type": "application/json"})


# -- idempotency ----------------------------------------------------------------------------------------------------------


def test_the_same_key_and_body_is_the_same_event_with_the_same_answer(api, project, receiver):
    number = api.webhook(project, receiver.url)
    key = {"Idempotency-Key": "job-4711"}
    first = api.post(events(project), PUSH, headers=key)
    receiver.next()
    # Sent again by a person: the answer to the job does not change.
    one = api.execution_ended(project, number)[0]["id"]
    api.post(f"/projects/{project}/webhook/deliveries/{one}/redeliver")
    receiver.next()
    again = api.post(events(project), PUSH, headers=key, expect=200)
    assert again.body == first.body and again.header("Location") == first.header("Location")
    assert len(api.get(events(project)).json) == 1
    assert len(api.executions(project, number)) == 2


def test_the_same_key_with_another_body_is_409(api, project):
    key = {"Idempotency-Key": "job-4712"}
    api.post(events(project), PUSH, headers=key)
    refused = api.post(events(project), with_(PUSH, "v2", "artifacts", 0, "reference"), headers=key, expect=409)
    assert refused.code == "CONFLICT" and "Idempotency-Key" in refused.message
    assert len(api.get(events(project)).json) == 1


def test_a_key_belongs_to_its_project(api, project):
    other = project + "-other"
    api.project(other)
    key = {"Idempotency-Key": "job-4713"}
    api.post(events(project), PUSH, headers=key)
    api.post(events(other), with_(PUSH, "v2", "artifacts", 0, "reference"), headers=key)


def test_a_key_has_1_to_255_bytes(api, project):
    api.post(events(project), PUSH, headers={"Idempotency-Key": "k" * 255})
    for key in ("k" * 256, ""):
        answer = api.post(events(project), PUSH, headers={"Idempotency-Key": key}, expect=400)
        assert answer.message.startswith("Idempotency-Key must have 1 to 255 bytes")


def test_a_key_outlives_a_kill(new_server):
    server = new_server()
    api = Api(server)
    api.project("p")
    first = api.post(events("p"), PUSH, headers={"Idempotency-Key": "before"})
    server.kill()
    server.start()
    again = api.post(events("p"), PUSH, headers={"Idempotency-Key": "before"}, expect=200)
    assert again.body == first.body
    assert api.submit("p")["seq"] == 2


# -- what the store refuses -------------------------------------------------------------------------------------------------


def test_below_the_floor_of_free_space_no_event_is_taken_and_everything_else_works(new_server):
    server = new_server(settings={"store.min_free_bytes": 2**40})
    api = Api(server)
    api.project("p")
    refused = api.post(events("p"), PUSH, expect=503)
    assert (refused.code, refused.header("Retry-After")) == ("UNAVAILABLE", "1")
    assert api.get(events("p")).json == []
    api.webhook("p", "http://receiver.example/")


# -- reading --------------------------------------------------------------------------------------------------------------


def test_events_are_listed_newest_first_and_filtered(api, project):
    sent = [api.submit(project, push_event(repository=name)) for name in ("app", "web", "app")]
    api.submit(project, {"type": "QUOTA_WARNING", "data": {"details": "full soon"}})
    shown = api.get(events(project))
    assert [one["seq"] for one in shown.json] == [4, 3, 2, 1] and shown.header("X-Total-Count") == "4"
    assert [one["id"] for one in shown.json[1:]] == [one["id"] for one in reversed(sent)]

    def found(q, **query):
        return [one["seq"] for one in api.get(events(project), query={"q": q, **query}).json]

    assert found("type=QUOTA_WARNING") == [4]
    assert found("repository=app") == [3, 1] and found("repository=~we") == [2]
    assert found("seq=[2~3]", sort="seq") == [2, 3]
    assert found("occurred_at=[2027-01-01T00:00:00~]") == []
    assert [one["seq"] for one in api.get(events(project), query={"page": 2, "page_size": 3}).json] == [1]


def test_an_event_of_another_project_or_none_is_404_and_a_broken_id_422(api, project):
    other = project + "-other"
    api.project(other)
    one = api.submit(project)["id"]
    assert api.get(f"{events(other)}/{one}", expect=404).message == f"event {one} not found"
    api.get(f"{events(project)}/00000000-0000-7000-8000-000000000000", expect=404)
    answer = api.get(f"{events(project)}/abc", expect=422)
    assert answer.message == 'validation failure list:\nevent_id in path must be of type uuid: "abc"'


# -- why ------------------------------------------------------------------------------------------------------------------


def test_an_event_says_for_each_webhook_why_it_was_sent_or_not(api, project, receiver):
    receiver.always(Answer(404))
    got = api.webhook(project, receiver.url, name="got")
    gone = api.webhook(project, receiver.url, name="gone")
    api.webhook(project, receiver.url, name="off", enabled=False)
    api.webhook(project, receiver.url, name="other", events=["QUOTA_EXCEED"])
    api.webhook(project, receiver.url, name="tagged", harbinger={"tagged": "only"})
    body = push_event()
    del body["artifacts"][0]["tags"], body["artifacts"][0]["reference"]
    answer = api.post(events(project), body)
    assert answer.json["deliveries"] == 2
    api.execution_ended(project, got)
    api.execution_ended(project, gone)
    api.delete(f"/projects/{project}/webhook/policies/{gone}")
    api.webhook(project, receiver.url, name="late")
    why = {one.get("policy_name"): one for one in api.get(answer.header("Location")).json["deliveries"]}
    assert {name: one["matched"] for name, one in why.items()} == {
        "got": True, "off": False, "other": False, "tagged": False, "late": False, None: True}
    assert why["got"]["reason"] == "the policy matches" and why["got"]["deliveries"][0]["status"] == "Error"
    assert why["off"]["reason"] == "the policy is disabled"
    assert why["other"]["reason"] == "the policy does not subscribe to this event type"
    assert why["tagged"]["reason"] == "the policy takes only tagged artifacts, and this one has no tag"
    assert why["late"]["reason"] == "the policy was created after the event"
    assert why[None]["policy_id"] == gone and "deleted later" in why[None]["reason"]
    assert all(bool(one["deliveries"]) == one["matched"] for one in why.values())


def test_with_notifications_off_events_are_recorded_and_nothing_is_sent(new_server, receiver):
    api = Api(new_server())
    api.project("p")
    api.webhook("p", receiver.url)
    api.put("/configurations", {"notification_enable": False})
    assert api.get("/configurations").json["notification_enable"] == {"editable": True, "value": False}
    assert api.get("/systeminfo").json["notification_enable"] is False
    off = api.post(events("p"), PUSH)
    assert off.json["deliveries"] == 0
    why = api.get(off.header("Location")).json["deliveries"][0]
    assert why["matched"] is False and "notifications were switched off" in why["reason"]
    api.put("/configurations", {"notification_enable": True})
    on = api.submit("p")
    assert on["deliveries"] == 1 and receiver.next().header("webhook-id") == on["id"]
    assert len(receiver.requests) == 1

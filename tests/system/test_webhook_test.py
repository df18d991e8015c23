# SPDX-License-Identifier: Apache-2.0
"""Testing a webhook, saved or not, and the sample of a body: what goes out is what a delivery would send, what comes back is
shown at once, and nothing is left of it but a line of the audit."""
import json
import re
import socket
import threading

import pytest
from support.names import Names
from support.receiver import Answer, Receiver, redirect
from support.waiting import wait_until

SERVER = {"settings": {"api.webhook_tests_per_minute": 6000}}
TEN = ["PUSH_ARTIFACT", "PULL_ARTIFACT", "DELETE_ARTIFACT", "QUOTA_EXCEED", "QUOTA_WARNING", "SCANNING_FAILED",
       "SCANNING_STOPPED", "SCANNING_COMPLETED", "REPLICATION", "TAG_RETENTION"]
MASK = "********"
AGAIN = "auth_header must be given again when the address changes"


def policies(project):
    return f"/projects/{project}/webhook/policies"


def target(address, **fields):
    return {"type": "http", "address": address, **fields}


def unsaved(api, project, address, expect=200, event_type="PUSH_ARTIFACT", fields=None, **target_fields):
    body = {"event_type": event_type, "targets": [target(address, **target_fields)], **(fields or {})}
    return api.post(f"{policies(project)}/test", body, expect=expect)


def saved(api, project, policy, expect=200, **body):
    return api.post(f"{policies(project)}/{policy}/test", body, expect=expect)


def audited(api):
    return [(one["actor"], one["operation"], one["kind"], one["subject"]) for one in api.get("/harbinger/audit").json
            if one["operation"] == "test"]


def sample(api, project, event_type, expect=200, **query):
    return api.get(f"/projects/{project}/webhook/sample", query={"event_type": event_type, **query}, expect=expect)


# -- what goes out ----------------------------------------------------------------------------------------------------


def test_an_unsaved_webhook_gets_a_sample_and_the_answer_is_shown(api, project, receiver):
    receiver.always(Answer(202, headers={"X-Kind": "yes"}, body=b"taken"))
    shown = unsaved(api, project, receiver.url + "/hook?x=1", auth_header="Bearer t0p-s3cret").json
    request = receiver.next()
    assert (request.method, request.target) == ("POST", "/hook?x=1")
    assert request.header("Authorization") == "Bearer t0p-s3cret"
    assert request.header("X-Harbinger-Test") == "true"
    assert request.header("X-Harbinger-Delivery") == "0" and request.header("X-Harbinger-Attempt") == "1"
    assert request.header("X-Harbinger-Event") == "PUSH_ARTIFACT"
    assert request.header("webhook-id") == shown["event_id"] == request.json["event_data"]["harbinger"]["event_id"]
    assert request.json["event_data"]["harbinger"]["trigger"] == "test"
    assert request.json["event_data"]["repository"]["namespace"] == project
    assert (shown["outcome"], shown["status"], shown["response_body"]) == ("success", 202, "taken")
    assert "X-Kind: yes" in shown["response_headers"]
    assert "Authorization: ********" in shown["request_headers"] and "X-Harbinger-Test: true" in shown["request_headers"]
    assert shown["request_body"] == request.body.decode()
    assert shown["address"] == receiver.url + "/hook?x=1"
    assert "error" not in shown and "response_truncated" not in shown
    assert 0 < shown["timings_us"]["connect"] <= shown["timings_us"]["first_byte"] <= shown["timings_us"]["total"]


def shape(value):
    """The keys of a JSON value in order, and what kind each is."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


@pytest.mark.parametrize("payload_format", ["Default", "CloudEvents"])
def test_a_test_is_a_delivery_but_for_its_header_and_ids(api, project, receiver, payload_format):
    policy = api.webhook(project, receiver.url + "/a", payload_format=payload_format, auth_header="Basic Y2k6Y2k=")
    shown = saved(api, project, policy).json
    tested = receiver.next()
    # The same facts, reported as an event that happened.
    facts = json.loads(shown["request_body"])
    facts = (facts if payload_format == "Default" else {"event_data": facts["data"]})["event_data"]
    artifact = {key: value for key, value in facts["harbinger"]["artifacts"][0].items() if key != "name"}
    api.submit(project, {"type": "PUSH_ARTIFACT", "actor": facts["harbinger"]["actor"], "trigger": "test",
                         "repository": {"name": facts["repository"]["name"]},
                         "artifacts": [{**artifact, "reference": "v1.2.0"}]})
    delivered = receiver.next()
    names = lambda request: [name for name, _ in request.headers]  # noqa: E731
    assert [name for name in names(tested) if name != "X-Harbinger-Test"] == names(delivered)
    assert delivered.header("X-Harbinger-Test") is None
    for name in ("Content-Type", "Authorization", "User-Agent", "Host", "X-Harbinger-Attempt", "X-Harbinger-Event"):
        assert tested.header(name) == delivered.header(name)
    one, other = tested.json, delivered.json
    assert "seq" not in (one.get("event_data") or one["data"])["harbinger"]
    for body in (one, other):
        data = body.get("event_data") or body["data"]
        for key in ("event_id", "seq", "occurred_at", "client"):
            data["harbinger"].pop(key, None)
        del data["repository"]["date_created"]
        for key in ("occur_at", "id", "time", "requestid"):
            body.pop(key, None)
    assert json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize("event_type", TEN)
def test_every_event_and_format_goes_out_as_its_sample_says(api, project, receiver, event_type):
    for notify, payload_format, media in (("http", "Default", "application/json"), ("slack", "", "application/json"),
                                          ("http", "CloudEvents", "application/cloudevents+json")):
        fields = {"type": notify, **({"payload_format": payload_format} if payload_format else {})}
        shown = unsaved(api, project, receiver.url, event_type=event_type, **fields).json
        request = receiver.next()
        assert request.header("Content-Type") == media
        query = {"notify_type": notify, **({"payload_format": payload_format} if payload_format else {})}
        preview = sample(api, project, event_type, **query).json
        assert preview["content_type"] == media and preview["event_type"] == event_type
        assert shape(json.loads(preview["body"])) == shape(request.json)
        assert shown["event_type"] == event_type


def test_extras_are_left_out_when_the_target_says_so(api, project, receiver):
    unsaved(api, project, receiver.url, harbinger={"extras": False})
    assert "harbinger" not in receiver.next().json["event_data"]
    assert '"harbinger"' not in sample(api, project, "PUSH_ARTIFACT", extras="false").json["body"]
    assert '"trigger":"test"' in sample(api, project, "PUSH_ARTIFACT").json["body"]


def test_the_target_that_is_named_is_sent_to(api, project, new_receiver):
    first, second = new_receiver(), new_receiver()
    body = {"event_type": "PUSH_ARTIFACT", "targets": [target(first.url), target(second.url)], "target": 1}
    api.post(f"{policies(project)}/test", body, expect=200)
    second.next()
    policy = api.post(policies(project), {"name": "two", "enabled": False, "event_types": ["QUOTA_WARNING", "REPLICATION"],
                                          "targets": body["targets"]}).location_id
    assert saved(api, project, policy, target=1).json["event_type"] == "QUOTA_WARNING"  # disabled, and the first it wants
    assert second.next().json["type"] == "QUOTA_WARNING"
    assert saved(api, project, policy, event_type="PUSH_ARTIFACT").json["event_type"] == "PUSH_ARTIFACT"
    first.next()
    assert first.requests[1:] == [] and len(second.requests) == 2


# -- what comes back --------------------------------------------------------------------------------------------------


def test_answers_that_are_no_success_are_shown_with_words(api, project, receiver):
    receiver.answers(Answer(500, body=b"broken"), redirect("http://elsewhere.example/"), Answer(410), Answer(429))
    shown = [unsaved(api, project, receiver.url).json for _ in range(4)]
    assert [(one["outcome"], one["status"]) for one in shown] == [("http_error", status) for status in (500, 301, 410, 429)]
    assert shown[0]["error"].startswith("the receiver answered 500") and shown[0]["response_body"] == "broken"
    assert "Location: http://elsewhere.example/" in shown[1]["response_headers"]
    assert len(receiver.requests) == 4  # no second try, no redirect followed


def test_a_long_answer_is_shown_to_4_kib(api, project, receiver):
    receiver.answers(Answer(200, body=b"x" * 5120))
    shown = unsaved(api, project, receiver.url).json
    assert shown["response_body"] == "x" * 4096 and shown["response_truncated"] is True and shown["outcome"] == "success"


def test_answers_of_bytes_and_none_are_shown_too(api, project, receiver):
    receiver.answers(Answer(200, body=b"\xff\x00<img onerror=1>"), Answer(204), Answer(raw=b"SMTP ready\r\n"), Answer(close=True))
    assert "<img onerror=1>" in unsaved(api, project, receiver.url).json["response_body"]
    assert "response_body" not in unsaved(api, project, receiver.url).json
    assert unsaved(api, project, receiver.url).json["outcome"] == "malformed"
    closed = unsaved(api, project, receiver.url).json
    assert closed["outcome"] == "closed" and "status" not in closed and closed["response_headers"] == []


def test_a_port_where_nobody_listens_and_a_name_that_is_none(new_server, api_of):
    names = Names()
    try:
        api = api_of(new_server(settings={"resolver.servers": names.address}))
        api.project("p")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            refused = unsaved(api, "p", f"http://127.0.0.1:{free.getsockname()[1]}/").json
        assert refused["outcome"] == "connect" and "connect" not in refused["timings_us"]
        unknown = unsaved(api, "p", "http://nowhere.example/").json
        assert unknown["outcome"] == "dns" and "nowhere.example" in unknown["error"]
    finally:
        names.close()


def test_a_receiver_that_does_not_answer_is_a_timeout(new_server, api_of, receiver):
    api = api_of(new_server(settings={"delivery.first_byte_timeout_ms": 200}))
    api.project("p")
    receiver.always(Answer(hold=threading.Event()))
    shown = unsaved(api, "p", receiver.url).json
    assert shown["outcome"] == "timeout" and shown["timings_us"]["total"] >= 200_000


def test_a_certificate_that_does_not_hold_is_said_and_nothing_is_sent(new_server, api_of, new_receiver, certificates):
    api = api_of(new_server(settings={"tls.ca_file": certificates.ca}))
    api.project("p")
    bad, good = new_receiver(tls=certificates.expired, name="localhost"), new_receiver(tls=certificates.good, name="localhost")
    shown = unsaved(api, "p", bad.url, auth_header="Bearer t0p-s3cret").json
    assert shown["outcome"] == "tls" and "expired" in shown["error"] and bad.requests == []
    assert unsaved(api, "p", bad.url, skip_cert_verify=True).json["outcome"] == "success"
    assert unsaved(api, "p", good.url).json["timings_us"]["tls"] > 0


# -- the guard --------------------------------------------------------------------------------------------------------


def test_addresses_that_cannot_be_saved_cannot_be_tested_and_the_words_say_who_can_allow_them(api, project, server):
    for address in (f"http://127.0.0.1:{server.port}/", "http://169.254.169.254/", "http://receiver.example:22/"):
        words = unsaved(api, project, address, expect=400).message
        body = {"name": "x", "event_types": ["PUSH_ARTIFACT"], "targets": [target(address)]}
        assert words == api.post(policies(project), body, expect=400).message
    private = unsaved(api, project, "http://10.7.8.9/hook", expect=400).message
    assert "an administrator can allow it: `harbinger egress allow 10.7.8.9/32`" in private
    assert "PUT /api/v2.0/harbinger/egress" in private
    assert audited(api) == [] or all(subject.split("/")[0] != project for *_, subject in audited(api))


def test_a_name_that_leads_to_a_forbidden_or_private_address_is_blocked(new_server, api_of):
    names = Names()
    forbidden = Receiver(host="127.0.0.77")
    try:
        names.answers("inside.example", ["127.0.0.77"])
        names.answers("office.example", ["10.9.8.7"])
        api = api_of(new_server(settings={"resolver.servers": names.address}, egress_allow=("127.0.0.9/32",)))
        api.project("p")
        shown = unsaved(api, "p", f"http://inside.example:{forbidden.port}/").json
        assert shown["outcome"] == "blocked" and "refused by policy" in shown["error"] and "127.0.0" not in shown["error"]
        assert forbidden.connections == 0
        office = unsaved(api, "p", "http://office.example/").json
        assert office["outcome"] == "blocked" and "administrator" in office["error"]
        assert "harbinger egress allow CIDR" in office["error"] and "PUT /api/v2.0/harbinger/egress" in office["error"]
        assert "10.9" not in office["error"]  # what the name stands for is nobody's business
    finally:
        forbidden.close()
        names.close()


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_the_mask_stands_for_the_secret_by_the_rule_of_an_update(api, project, receiver, new_receiver):
    policy = api.webhook(project, receiver.url + "/a", auth_header="Bearer k3pt-s3cret", skip_cert_verify=False)
    with_policy = {"policy_id": policy}
    for path in ("/a", "/b"):  # the address, and another of its origin
        shown = unsaved(api, project, receiver.url + path, fields=with_policy, auth_header=MASK)
        assert receiver.next().header("Authorization") == "Bearer k3pt-s3cret"
        assert "k3pt-s3cret" not in shown.text
    other = new_receiver()
    for address, fields, extra in ((other.url, with_policy, {}),                              # another host
                                   (receiver.url + "/a", {}, {}),                             # no policy to have it from
                                   (receiver.url + "/a", with_policy, {"skip_cert_verify": True})):
        assert unsaved(api, project, address, expect=400, fields=fields, auth_header=MASK, **extra).message == AGAIN
    assert other.connections == 0
    unsaved(api, project, other.url, fields=with_policy)
    assert other.next().header("Authorization") is None  # absent is none
    assert saved(api, project, policy).json["outcome"] == "success"
    assert receiver.next().header("Authorization") == "Bearer k3pt-s3cret"
    body = {"name": "hook", "enabled": True, "event_types": ["PUSH_ARTIFACT"]}
    # A PUT says the same.
    assert api.put(f"{policies(project)}/{policy}", {**body, "targets": [target(other.url, auth_header=MASK)]},
                   expect=400).message == AGAIN


def test_the_secrets_of_another_projects_policy_are_out_of_reach(api, project, receiver):
    policy = api.webhook(project, receiver.url, auth_header="Bearer k3pt-s3cret")
    api.project(project + "-b")
    words = unsaved(api, project + "-b", receiver.url, expect=404, fields={"policy_id": policy}, auth_header=MASK).message
    assert words == f"notificationPolicy {policy} not found"
    assert receiver.requests == []


def test_a_receiver_that_echoes_shows_no_secret(api, project, receiver):
    policy = api.webhook(project, receiver.url, auth_header="Bearer k3pt-s3cret")
    receiver.always(Answer(500, headers={"X-Got": "Bearer k3pt-s3cret", "Set-Cookie": "sid=1234567"},
                           body=b'{"authorization":"Bearer k3pt-s3cret","token":"k3pt-s3cret"}'))
    shown = saved(api, project, policy)
    assert receiver.next().header("Authorization") == "Bearer k3pt-s3cret"
    assert "k3pt-s3cret" not in shown.text and "1234567" not in shown.text
    assert MASK in shown.json["response_body"]
    assert f"X-Got: {MASK}" in shown.json["response_headers"] and f"Set-Cookie: {MASK}" in shown.json["response_headers"]


def test_a_secret_that_the_cut_at_4_kib_goes_through_is_not_shown_either(api, project, receiver):
    policy = api.webhook(project, receiver.url, auth_header="Bearer k3pt-s3cret-of-32-characters-....")
    for shift, echoed in ((20, b"k3pt-s3cret-of-32-characters-...."), (33, b"Bearer k3pt-s3cret-of-32-characters-....")):
        receiver.answers(Answer(200, body=b"x" * (4096 - shift) + echoed + b"x" * 100))
        shown = saved(api, project, policy).json
        assert shown["response_body"] == "x" * (4096 - shift) + MASK and shown["response_truncated"] is True


def test_the_log_and_the_audit_name_no_address_and_no_secret(new_server, api_of, receiver):
    server = new_server(settings={"log.level": "debug"})
    api = api_of(server)
    api.project("p")
    policy = api.webhook("p", receiver.url + "/p4th-s3cret", name="ci", auth_header="Bearer k3pt-s3cret")
    unsaved(api, "p", receiver.url + "/p4th-s3cret", auth_header="Bearer k3pt-s3cret")
    unsaved(api, "p", receiver.url + "/p4th-s3cret", fields={"policy_id": policy})
    saved(api, "p", policy)
    assert sorted(audited(api)) == [("admin", "test", "policy", "p/(unsaved)"), ("admin", "test", "policy", "p/ci"),
                                    ("admin", "test", "policy", "p/ci")]
    text = server.log() + api.get("/harbinger/audit").text
    assert "s3cret" not in text and str(receiver.port) not in api.get("/harbinger/audit").text


# -- what is left of it -----------------------------------------------------------------------------------------------


def test_a_test_makes_no_execution_and_no_event_and_disturbs_no_lane(new_server, api_of, receiver):
    server = new_server(settings={"breaker.failures": 1, "breaker.span_ms": 1})
    api = api_of(server)
    api.project("p")
    policy = api.webhook("p", receiver.url)
    receiver.answers(Answer(410), Answer(500), Answer(503, headers={"Retry-After": "3600"}))
    for _ in range(3):
        saved(api, "p", policy)
    assert api.executions("p", policy) == [] and api.get("/projects/p/events").json == []
    assert api.get(policies("p")).json[0]["targets"][0].get("harbinger") is None  # not suspended by the 410
    event = api.submit("p")
    assert event["seq"] == 1
    receiver.take(3)
    assert receiver.next().header("webhook-id") == event["id"]  # neither paused nor behind a breaker
    assert api.execution_ended("p", policy)[0]["status"] == "Success"


# -- how often --------------------------------------------------------------------------------------------------------


def test_too_many_tests_are_refused_with_when_to_come_again(new_server, api_of, receiver):
    api = api_of(new_server(settings={"api.webhook_tests_per_minute": 2}))
    api.project("p")
    policy = api.webhook("p", receiver.url)
    unsaved(api, "p", receiver.url)
    saved(api, "p", policy)
    for refused in (unsaved(api, "p", receiver.url, expect=429), saved(api, "p", policy, expect=429)):
        assert refused.code == "TOO_MANY_REQUESTS" and 1 <= int(refused.header("Retry-After")) <= 30
        assert "at most 2 tests a minute" in refused.message
    api.project("q")
    unsaved(api, "q", receiver.url, expect=429)  # the user's, whatever the project
    assert len(receiver.requests) == 2 and len(audited(api)) == 2
    unsaved(api, "p", "http://10.1.1.1/", expect=400)  # what is refused anyway says why


def asking(api, project, address, answers):
    thread = threading.Thread(target=lambda: answers.append(unsaved(api, project, address).json), daemon=True)
    thread.start()
    return thread


def test_two_wait_at_once_and_a_third_is_told_while_everything_else_goes_on(api, project, receiver):
    gate, answers = threading.Event(), []
    receiver.always(Answer(hold=gate))
    waiting = [asking(api, project, receiver.url, answers) for _ in range(2)]
    receiver.wait_for(2)
    refused = unsaved(api, project, receiver.url, expect=429)
    assert refused.header("Retry-After") == "2" and "2 tests are on their way" in refused.message
    for _ in range(8):
        api.get("/projects")  # threads are left
    gate.set()
    for thread in waiting:
        thread.join()
    assert [one["outcome"] for one in answers] == ["success"] * 2
    assert unsaved(api, project, receiver.url).json["outcome"] == "success"  # the places are free again


def test_tests_that_wait_keep_nobody_from_logging_in(new_server, api_of, receiver):
    """Whose password must be hashed first comes over the two login threads, which must not be held."""
    server = new_server(settings={"auth.cache_ms": 1})  # every call hashes
    api = api_of(server)
    api.project("p")
    gate, answers = threading.Event(), []
    receiver.always(Answer(hold=gate))
    waiting = [asking(api, "p", receiver.url, answers) for _ in range(2)]
    receiver.wait_for(2)
    api.get("/users/current")
    gate.set()
    for thread in waiting:
        thread.join()
    assert [one["outcome"] for one in answers] == ["success"] * 2


def test_who_goes_away_frees_the_place_when_the_request_has_ended(api, project, server, receiver):
    gate = threading.Event()
    receiver.always(Answer(hold=gate))
    body = json.dumps({"event_type": "PUSH_ARTIFACT", "targets": [target(receiver.url)]}).encode()
    for _ in range(2):
        with server.socket() as connection:
            connection.sendall(f"POST /api/v2.0{policies(project)}/test HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                               f"Authorization: {api.authorization}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            receiver.wait_for(1)
    receiver.wait_for(2)
    gate.set()
    wait_until(lambda: api.post(f"{policies(project)}/test", json.loads(body), expect=None).status == 200,
               "the places are free again")


def test_a_stop_ends_waiting_tests_at_once(new_server, api_of, receiver):
    server = new_server(settings={"limits.drain_ms": 600000, "delivery.first_byte_timeout_ms": 600000,
                                  "delivery.total_timeout_ms": 600000})
    api = api_of(server)
    api.project("p")
    receiver.always(Answer(hold=threading.Event()))
    body = json.dumps({"event_type": "PUSH_ARTIFACT", "targets": [target(receiver.url)]}).encode()
    answers = []

    def ask():
        answers.append(server.request("POST", f"/api/v2.0{policies('p')}/test", body,
                                      {"Content-Type": "application/json", "Authorization": api.authorization}))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    receiver.wait_for(2)
    server.stop()  # within the bound, though everything else may take ten minutes
    for thread in threads:
        thread.join()
    assert [status for status, _, _ in answers] == [503, 503]


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_what_is_malformed_is_422_whoever_asks(api, project, receiver):
    policy = api.webhook(project, receiver.url)
    good = {"event_type": "PUSH_ARTIFACT", "targets": [target(receiver.url)]}
    for asker in (api, api.anonymous()):
        for change in ({"event_type": 1}, {"event_type": None}, {"target": "first"}, {"policy_id": "x"}, {"targets": {}}):
            answer = asker.post(f"{policies(project)}/test", {**good, **change}, expect=422)
            assert answer.message.startswith("validation failure list:\n")
        for body in ({"event_type": 1}, {"target": "first"}):
            assert saved(asker, project, policy, expect=422, **body).message.startswith("validation failure list:\n")
        asker.post(f"{policies(project)}/{policy}/test", expect=422)
        asker.post(f"{policies(project)}/x/test", {}, expect=422)
        asker.get(f"/projects/{project}/webhook/sample", expect=422)
    assert receiver.requests == []


def test_what_cannot_be_is_400_in_the_words_of_saving(api, project, receiver):
    policy = api.webhook(project, receiver.url)
    assert unsaved(api, project, receiver.url, expect=400, event_type="UPLOAD_CHART").message == \
        "unsupported event type UPLOAD_CHART"
    assert unsaved(api, project, "ftp://receiver.example", expect=400).message == "invalid scheme: ftp"
    assert unsaved(api, project, receiver.url, expect=400, payload_format="XML").message == \
        "unsupported payload format type: XML"
    assert "there is no target 1" in unsaved(api, project, receiver.url, expect=400, fields={"target": 1}).message
    api.post(f"{policies(project)}/test", {"event_type": "PUSH_ARTIFACT", "targets": []}, expect=400)
    assert saved(api, project, policy, expect=400, event_type="UPLOAD_CHART").message == \
        "unsupported event type UPLOAD_CHART"
    for number in (1, -1):
        assert f"there is no target {number}" in saved(api, project, policy, expect=400, target=number).message
    assert sample(api, project, "UPLOAD_CHART", expect=400).message == "unsupported event type UPLOAD_CHART"
    assert sample(api, project, "PUSH_ARTIFACT", expect=400, notify_type="email").message == "unsupported target type email"
    assert sample(api, project, "PUSH_ARTIFACT", expect=400, payload_format="XML").message == \
        "unsupported payload format type: XML"
    assert receiver.requests == []


def test_strangers_and_what_is_not_there(api, project, receiver):
    policy = api.webhook(project, receiver.url)
    unsaved(api.anonymous(), project, receiver.url, expect=401)
    saved(api.anonymous(), project, policy, expect=401)
    sample(api.anonymous(), project, "PUSH_ARTIFACT", expect=401)
    unsaved(api, "nowhere", receiver.url, expect=404)
    sample(api, "nowhere", "PUSH_ARTIFACT", expect=404)
    saved(api, project, 999999, expect=404)
    public = project + "-public"
    api.project(public, public=True)
    sample(api.anonymous(), public, "PUSH_ARTIFACT", expect=401)  # webhooks are for members
    assert receiver.requests == []


@pytest.mark.parametrize("path", ["test", "1/test"])
def test_a_body_that_is_too_large_is_refused(api, project, path):
    body = b'{"event_type":"' + b"x" * (1024 * 1024) + b'"}'
    api.request("POST", f"{policies(project)}/{path}", raw=body, headers={"Content-Type": "application/json"}, expect=413)


def test_a_sample_is_of_the_project_and_new_each_time(api, project):
    first, second = (json.loads(sample(api, project, "PUSH_ARTIFACT").json["body"]) for _ in range(2))
    assert first["event_data"]["repository"]["repo_full_name"] == f"{project}/sample/app"
    assert re.fullmatch(rf"[^/]+/{project}/sample/app:v1\.2\.0", first["event_data"]["resources"][0]["resource_url"])
    assert first["event_data"]["harbinger"]["event_id"] != second["event_data"]["harbinger"]["event_id"]

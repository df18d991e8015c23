# SPDX-License-Identifier: Apache-2.0
"""Harbor's webhook API (policies, executions, tasks, log, jobs, last triggers) and our deliveries, over HTTP."""
import re
import threading

import pytest
from support.api import Api, links, push_event
from support.receiver import Answer
from support.server import basic
from support.waiting import wait_until

ZERO_MS, ZERO_S = "0001-01-01T00:00:00.000Z", "0001-01-01T00:00:00Z"
ALL_TYPES = ["PUSH_ARTIFACT", "PULL_ARTIFACT", "DELETE_ARTIFACT", "QUOTA_EXCEED", "QUOTA_WARNING", "SCANNING_FAILED",
             "SCANNING_STOPPED", "SCANNING_COMPLETED", "REPLICATION", "TAG_RETENTION"]


def policies(project):
    return f"/projects/{project}/webhook/policies"


def policy_body(address="http://receiver.example/hook", **changes):
    body = {"name": "ci", "enabled": True, "event_types": ["PUSH_ARTIFACT"],
            "targets": [{"type": "http", "address": address}]}
    body.update(changes)
    return body


def target(**changes):
    return {"targets": [{"type": "http", "address": "http://receiver.example/hook", **changes}]}


def delivery(api, project, number):
    return api.get(f"/projects/{project}/webhook/deliveries/{number}").json


def delivery_in(api, project, number, state):
    """The delivery once it is in this state."""
    return wait_until(lambda: (lambda one: one if one["state"] == state else None)(delivery(api, project, number)),
                      f"delivery {number} is {state}")


# -- policies: create, read ---------------------------------------------------------------------------------------------


def test_create_answers_201_with_location_of_the_path_as_sent_and_no_body(api, project):
    answer = api.post(policies(project) + "/", policy_body())
    location = answer.header("Location")
    assert re.fullmatch(rf"/api/v2\.0/projects/{project}/webhook/policies/\d+", location)
    assert answer.body == b"" and answer.header("Content-Length") == "0"
    assert api.get(location).json["name"] == "ci"


def test_a_policy_is_harbors_object_byte_for_byte(api, project):
    body = policy_body(address="https://ci.example.com/hook", description="build trigger",
                       event_types=["PUSH_ARTIFACT", "DELETE_ARTIFACT"])
    body["targets"][0].update(auth_header="Bearer t0k3n", skip_cert_verify=False, payload_format="CloudEvents")
    number = api.post(policies(project), body).location_id
    shown = api.get(f"{policies(project)}/{number}")
    one = shown.json
    assert shown.text == (
        f'{{"creation_time":"{one["creation_time"]}","creator":"admin","description":"build trigger","enabled":true,'
        f'"event_types":["PUSH_ARTIFACT","DELETE_ARTIFACT"],"id":{number},"name":"ci","project_id":{one["project_id"]},'
        '"targets":[{"address":"https://ci.example.com/hook","auth_header":"********","payload_format":"CloudEvents",'
        f'"type":"http"}}],"update_time":"{one["update_time"]}"}}\n')
    assert api.get(policies(project)).text == "[" + shown.text.rstrip("\n") + "]\n"


def test_absent_fields_have_harbors_defaults(api, project):
    body = {"name": "bare", "event_types": ["PUSH_ARTIFACT"], "targets": [{"type": "http", "address": "http://a.example"}]}
    one = api.get(api.post(policies(project), body).header("Location")).json
    assert one["enabled"] is False
    assert "description" not in one
    assert one["targets"] == [{"address": "http://a.example", "payload_format": "Default", "type": "http"}]


def test_a_slack_target_has_no_format_and_skip_cert_verify_shows_only_when_true(api, project):
    body = policy_body(**target(type="slack", skip_cert_verify=True))
    one = api.get(api.post(policies(project), body).header("Location")).json
    assert one["targets"] == [{"address": "http://receiver.example/hook", "skip_cert_verify": True, "type": "slack"}]


def test_the_body_that_terraform_sends_is_taken(api, project):
    """Unknown keys, a misspelt payload_format, zero ids and zero times (harbor.md 6.1)."""
    body = policy_body(id=0, project_id=0, creator="", creation_time="0001-01-01T00:00:00Z",
                       update_time="0001-01-01T00:00:00Z")
    body["targets"][0]["payload_format:omitempty"] = "CloudEvents"
    location = api.post(policies(project), body).header("Location")
    before = api.get(location).json
    assert before["targets"][0]["payload_format"] == "Default"
    body["description"] = "changed"
    assert api.put(location, body).body == b""
    after = api.get(location).json
    assert after["description"] == "changed"
    assert after["creation_time"] == before["creation_time"] and after["creation_time"] != ZERO_MS
    assert after["update_time"] >= before["update_time"]
    assert after["creator"] == before["creator"]


def test_a_project_named_by_digits_needs_the_header_that_says_so(api):
    name = "9007199254740991"
    api.project(name)
    api.get(policies(name), expect=404)
    api.get(policies(name), headers={"X-Is-Resource-Name": "true"})


def test_a_project_is_found_by_its_id(api, project):
    number = api.get(f"/projects/{project}").json["project_id"]
    location = api.post(policies(number), policy_body()).header("Location")
    assert location.startswith(f"/api/v2.0/projects/{number}/webhook/policies/")


# -- policies: refusals ---------------------------------------------------------------------------------------------------


REFUSED = [
    ({"event_types": []}, "empty event type"),
    ({"event_types": None}, "empty event type"),
    ({"event_types": ["PUSH_ARTIFACT", "UPLOAD_CHART"]}, "unsupported event type UPLOAD_CHART"),
    ({"targets": []}, "empty notification target with policy ci"),
    (target(address=" / "), "empty URL"),
    (target(address=""), "empty URL"),
    (target(address="ftp://receiver.example"), "invalid scheme: ftp"),
    (target(address="HTTP://receiver.example"), "invalid scheme: HTTP"),
    (target(type="email"), "unsupported target type email with policy ci"),
    (target(type="slack", payload_format="Default"), "set payload format is not allowed for slack"),
    (target(payload_format="XML"), "unsupported payload format type: XML"),
    ({"name": ""}, "name is required"),
    ({"name": "n" * 257}, "name is longer than 256 characters"),
]


@pytest.mark.parametrize("change,words", REFUSED, ids=[words for _, words in REFUSED])
def test_what_harbor_refuses_is_refused_in_its_words(api, project, change, words):
    answer = api.post(policies(project), policy_body(**change), expect=400)
    assert (answer.code, answer.message) == ("BAD_REQUEST", words)
    assert api.get(policies(project)).json == []


@pytest.mark.parametrize("address", ["ci.example.com/hook", " http://receiver.example", "https://", "http:///path",
                                     "http://127.1/", "http://0x7f.1/", "http://2130706433/", "http://receiver.example:0/"])
def test_addresses_that_could_never_be_delivered_to_are_refused_with_the_place(api, project, address):
    answer = api.post(policies(project), policy_body(address=address), expect=400)
    assert answer.message.startswith("targets[0]: ")


@pytest.mark.parametrize("change,words", [
    ({"name": 1}, 'name in body must be of type string: "'), ({"enabled": "yes"}, 'enabled in body must be of type boolean'),
    ({"targets": {}}, "targets in body must be of type array"), ({"event_types": [1]}, "event_types in body must be of type"),
    (target(skip_cert_verify=1), "targets.skip_cert_verify in body must be of type"),
    ({"harbinger": {"tagged": "sometimes"}}, "harbinger.tagged in body should be one of"),
])
def test_a_wrong_type_is_422_and_told_before_rights_are_asked(api, project, change, words):
    for asker in (api, api.anonymous()):
        answer = asker.post(policies(project), policy_body(**change), expect=422)
        assert answer.message.startswith("validation failure list:\n" + words)


def test_a_create_judges_the_body_before_it_looks_for_the_project(api):
    assert api.post(policies("nowhere"), policy_body(event_types=[]), expect=400).message == "empty event type"
    api.post(policies("nowhere"), policy_body(), expect=404)


def test_an_update_looks_for_the_policy_before_it_judges_the_body(api, project):
    answer = api.put(f"{policies(project)}/999999", policy_body(event_types=[]), expect=404)
    assert answer.message == "notificationPolicy 999999 not found"
    location = api.post(policies(project), policy_body()).header("Location")
    assert api.put(location, policy_body(event_types=[]), expect=400).message == "empty event type"


def test_a_name_is_there_once_in_a_project_and_free_after_its_policy_is_gone(api, project):
    first = api.post(policies(project), policy_body()).header("Location")
    taken = api.post(policies(project), policy_body(), expect=409)
    assert (taken.code, taken.message) == ("CONFLICT", "notification policy named ci already exists")
    second = api.post(policies(project), policy_body(name="cd")).header("Location")
    api.put(second, policy_body(), expect=409)
    api.delete(first)
    api.put(second, policy_body())


def test_a_policy_of_another_project_is_not_found(api, project):
    other = project + "-other"
    api.project(other)
    number = api.post(policies(project), policy_body()).location_id
    for path in ("", "/executions", "/deliveries"):
        api.get(f"{policies(other)}/{number}{path}", expect=404)
    api.put(f"{policies(other)}/{number}", policy_body(), expect=404)
    api.delete(f"{policies(other)}/{number}", expect=404)
    api.get(f"{policies(project)}/{number}")


# -- the egress guard when saving -----------------------------------------------------------------------------------------


def test_addresses_that_the_guard_forbids_are_refused_with_who_can_allow_them(api, project, server):
    for address in (f"http://127.0.0.1:{server.port}/", "http://169.254.169.254/latest", "http://0.0.0.0/",
                    "http://receiver.example:22/"):
        refused = api.post(policies(project), policy_body(address=address), expect=400)
        assert refused.code == "BAD_REQUEST" and refused.message.startswith("targets[0]: ")
    private = api.post(policies(project), policy_body(address="http://10.7.8.9/hook"), expect=400)
    assert "administrator" in private.message and "harbinger egress allow" in private.message


def test_a_private_range_is_reached_once_an_administrator_allows_it(new_server):
    api = Api(new_server())
    api.project("p")
    api.post(policies("p"), policy_body(address="http://10.7.8.9/hook"), expect=400)
    api.put("/harbinger/egress", {"allowed": ["10.7.0.0/16"]})
    assert api.get("/harbinger/egress").json == {"allowed": ["10.7.0.0/16"]}
    location = api.post(policies("p"), policy_body(address="http://10.7.8.9/hook", enabled=False)).header("Location")
    api.put("/harbinger/egress", {"allowed": []})
    answer = api.put(location, policy_body(address="http://10.7.8.9/hook", enabled=False), expect=400)
    assert answer.message.startswith("targets[0]: ")


# -- secrets --------------------------------------------------------------------------------------------------------------


def test_a_secret_is_sent_to_its_receiver_and_shown_nowhere(new_server, receiver):
    server = new_server()
    api = Api(server)
    api.project("p")
    number = api.webhook("p", receiver.url + "/hook", auth_header="Bearer S3CR3T-OF-CI")
    api.submit("p")
    assert receiver.next().header("Authorization") == "Bearer S3CR3T-OF-CI"
    execution = api.execution_ended("p", number)[0]["id"]
    base = f"{policies('p')}/{number}"
    shown = [api.get(path).text for path in (
        base, policies("p"), f"{base}/executions", f"{base}/executions/{execution}/tasks",
        f"{base}/executions/{execution}/tasks/{execution}/log", f"{base}/deliveries",
        f"/projects/p/webhook/deliveries/{execution}", f"/projects/p/webhook/jobs?policy_id={number}",
        "/harbinger/audit", "/projects/p/events")]
    assert not any("S3CR3T-OF-CI" in text for text in shown)
    assert "Authorization: ********" in shown[4]
    server.stop()
    assert "S3CR3T-OF-CI" not in server.log()
    for path in server.data.rglob("*"):
        assert path.is_dir() or b"S3CR3T-OF-CI" not in path.read_bytes(), path


def test_a_put_with_the_mask_keeps_the_secret(api, project, receiver):
    location = api.post(policies(project), policy_body(**target(address=receiver.url + "/a", auth_header="Bearer one"))
                        ).header("Location")
    read = api.get(location).json
    assert read["targets"][0]["auth_header"] == "********"
    api.put(location, read)
    api.submit(project)
    assert receiver.next().header("Authorization") == "Bearer one"
    # Another path of the same origin is the same target.
    api.put(location, policy_body(**target(address=receiver.url + "/b", auth_header="********")))
    api.submit(project)
    request = receiver.next()
    assert (request.target, request.header("Authorization")) == ("/b", "Bearer one")
    # Absent is none.
    api.put(location, policy_body(address=receiver.url + "/b"))
    api.submit(project)
    assert receiver.next().header("Authorization") is None


def test_a_masked_secret_goes_to_no_other_host_and_to_no_unverified_one(api, project):
    words = "auth_header must be given again when the address changes"
    secret = target(address="https://receiver.example/hook", auth_header="Bearer one")
    location = api.post(policies(project), policy_body(**secret)).header("Location")
    for change in ({"address": "https://other.example/hook"}, {"address": "https://receiver.example:8443/hook"},
                   {"address": "http://receiver.example/hook"}, {"address": "https://receiver.example/hook", "skip_cert_verify": True}):
        refused = api.put(location, policy_body(**target(auth_header="********", **change)), expect=400)
        assert refused.message == words
    assert api.post(policies(project), policy_body(name="new", **target(auth_header="********")), expect=400).message == words


def test_the_setting_for_terraform_shows_the_secret_to_those_who_may_change_it(new_server):
    api = Api(new_server(settings={"harbor_api.reveal_auth_header": True}))
    api.project("p")
    location = api.post(policies("p"), policy_body(**target(auth_header="Bearer one"))).header("Location")
    assert api.get(location).json["targets"][0]["auth_header"] == "Bearer one"


def test_an_address_is_stored_as_the_client_sent_it(api, project):
    address = "http://user:pw@receiver.example/hook?token=1"
    location = api.post(policies(project), policy_body(address=address)).header("Location")
    assert api.get(location).json["targets"][0]["address"] == address


# -- our extensions -------------------------------------------------------------------------------------------------------


def test_extensions_live_under_one_key_and_a_put_without_it_keeps_them(api, project):
    body = policy_body(harbinger={"tagged": "only"}, **target(harbinger={"extras": False}))
    location = api.post(policies(project), body).header("Location")
    api.put(location, policy_body(description="by a client of Harbor"))
    one = api.get(location).json
    assert one["harbinger"] == {"tagged": "only"}
    assert one["targets"][0]["harbinger"] == {"extras": False}
    api.put(location, policy_body(harbinger={"tagged": "any"}, **target(harbinger={"extras": True})))
    one = api.get(location).json
    assert "harbinger" not in one and "harbinger" not in one["targets"][0]


def test_tagged_only_leaves_pushes_by_digest_out(api, project, receiver):
    number = api.webhook(project, receiver.url, harbinger={"tagged": "only"})
    untagged = push_event()
    del untagged["artifacts"][0]["tags"], untagged["artifacts"][0]["reference"]
    assert api.submit(project, untagged)["deliveries"] == 0
    assert api.submit(project)["deliveries"] == 1
    assert len(api.execution_ended(project, number)) == 1


def test_without_extras_the_body_is_harbors_alone(api, project, receiver):
    api.webhook(project, receiver.url, target={"harbinger": {"extras": False}})
    api.submit(project)
    body = receiver.next().json
    assert list(body) == ["type", "occur_at", "operator", "event_data"]
    assert list(body["event_data"]) == ["resources", "repository"]


# -- lists: pages, q, sort ------------------------------------------------------------------------------------------------


@pytest.fixture
def five(api, project):
    """Five policies named a0 to a4 in order of age."""
    for number in range(5):
        api.post(policies(project), policy_body(name=f"a{number}", enabled=number % 2 == 0))
    return policies(project)


def names(answer):
    return [one["name"] for one in answer.json]


def test_pages_have_harbors_headers(api, five):
    first = api.get(five, query={"page_size": 2})
    assert names(first) == ["a4", "a3"] and first.header("X-Total-Count") == "5"
    assert first.header("Link") == f'</api/v2.0{five}?page=2&page_size=2>; rel="next"'
    second = api.get(five + "?page_size=2&sort=-name&page=2")
    assert second.header("Link") == (f'</api/v2.0{five}?page=1&page_size=2&sort=-name>; rel="prev" , '
                                     f'</api/v2.0{five}?page=3&page_size=2&sort=-name>; rel="next"')
    last = api.get(links(second)["next"])
    assert names(last) == ["a0"] and set(links(last)) == {"prev"}
    beyond = api.get(five, query={"page_size": 2, "page": 9})
    assert beyond.json == [] and beyond.header("X-Total-Count") == "5" and beyond.header("Link") is None
    everything = api.get(five, query={"page_size": 0})
    assert len(everything.json) == 5 and everything.header("Link") is None
    assert api.get(five).header("Link") is None


def test_an_empty_list_is_an_array_with_its_count(api, project):
    answer = api.get(policies(project))
    assert answer.text == "[]\n" and answer.header("X-Total-Count") == "0"


@pytest.mark.parametrize("q,found", [
    ("name=a3", ["a3"]), ("Name=a3", ["a3"]), ("name=%7Ea", ["a0", "a1", "a2", "a3", "a4"]), ("name=~A1", ["a1"]),
    ("name={a1 a2}", ["a1", "a2"]), ("name={}", []), ("enabled=true", ["a0", "a2", "a4"]), ("enabled=false,name=~1", ["a1"]),
    ("unknown=1", ["a0", "a1", "a2", "a3", "a4"]), ("name__icontains=a4", ["a4"]), ("name%3Da3", ["a3"]),
    ("creation_time=[2020-01-01T00:00:00~]", ["a0", "a1", "a2", "a3", "a4"]), ("creation_time=[~2020-01-01T00:00:00]", []),
    ("Name=\\a0", ["a0"]),
])
def test_q_is_harbors_grammar(api, five, q, found):
    assert names(api.get(five, query={"q": q, "sort": "name"})) == found


def test_sort_ignores_unknown_keys(api, five):
    assert names(api.get(five, query={"sort": "-name,nonsense"})) == ["a4", "a3", "a2", "a1", "a0"]
    assert names(api.get(five, query={"sort": "nonsense"})) == ["a4", "a3", "a2", "a1", "a0"]
    assert names(api.get(five, query={"sort": "enabled,name"})) == ["a1", "a3", "a0", "a2", "a4"]


# -- executions, tasks, log -----------------------------------------------------------------------------------------------


def test_a_delivery_is_one_execution_with_one_task_and_the_payload_that_was_sent(api, project, receiver):
    number = api.webhook(project, receiver.url)
    api.submit(project)
    request = receiver.next()
    execution = api.execution_ended(project, number)[0]
    assert execution["extra_attrs"] == {"event_type": "PUSH_ARTIFACT", "payload": request.body.decode()}
    assert execution["status"] == "Success" and "status_message" not in execution
    assert execution["metrics"] == {"success_task_count": 1, "task_count": 1}
    assert (execution["trigger"], execution["vendor_id"], execution["vendor_type"]) == ("EVENT", number, "WEBHOOK")
    assert execution["end_time"] >= execution["start_time"] > ZERO_S
    answer = api.get(f"{policies(project)}/{number}/executions/{execution['id']}/tasks")
    task = answer.json[0]
    assert answer.header("X-Total-Count") == "1" and len(answer.json) == 1
    assert list(task) == ["creation_time", "end_time", "execution_id", "id", "run_count", "start_time", "status",
                          "update_time"]
    assert task["execution_id"] == task["id"] == execution["id"]
    assert (task["run_count"], task["status"]) == (1, "Success")
    assert request.header("X-Harbinger-Delivery") == str(execution["id"])


def test_what_waits_is_running_and_its_task_pending_or_scheduled(new_server, receiver):
    # The retry comes late enough to be looked at, and the second delivery waits behind a receiver that holds the first.
    server = new_server(settings={"retry.schedule_ms": "3600000", "delivery.concurrency": 1,
                                  "delivery.first_byte_timeout_ms": 60000, "delivery.total_timeout_ms": 120000})
    api = Api(server)
    api.project("p")
    hold = threading.Event()
    receiver.answers(Answer(500, hold=hold))
    number = api.webhook("p", receiver.url)
    first = api.submit("p")
    receiver.next()
    api.submit("p")
    waiting = api.executions("p", number)
    assert [one["status"] for one in waiting] == ["Running", "Running"]
    assert all(one["end_time"] == ZERO_S and one["metrics"] == {"pending_task_count": 1, "task_count": 1} for one in waiting)
    # Not sent yet, and its payload can be read already: the bytes that will be sent.
    assert waiting[0]["extra_attrs"]["payload"].startswith('{"type":"PUSH_ARTIFACT"')
    base = f"{policies('p')}/{number}/executions/{waiting[1]['id']}/tasks"
    pending = api.get(base).json[0]
    assert pending["status"] == "Pending" and "run_count" not in pending and pending["start_time"] == ZERO_S
    hold.set()
    scheduled = wait_until(lambda: (lambda one: one if one["status"] == "Scheduled" else None)(api.get(base).json[0]),
                           "the task is scheduled")
    assert scheduled["run_count"] == 1 and "500" in scheduled["status_message"]
    assert scheduled["end_time"] == ZERO_S and scheduled["start_time"] > ZERO_S
    assert [one["id"] for one in api.get(base, query={"q": "status=Scheduled"}).json] == [waiting[1]["id"]]
    assert api.get(base, query={"q": "status=Pending"}).json == []
    assert api.get(base, query={"q": f"id={waiting[1]['id']}"}).json[0]["id"] == waiting[1]["id"]
    assert api.get(base, query={"q": "id=1999"}).json == []
    failed = api.get(f"{policies('p')}/{number}/executions", query={"q": f"id={waiting[1]['id']}"}).json[0]
    assert failed["status"] == "Running" and failed["metrics"] == {"scheduled_task_count": 1, "task_count": 1}
    explained = delivery(api, "p", waiting[1]["id"])
    assert explained["state"] == "retrying" and explained["next_try_at"] > explained["started_at"]
    assert explained["event_id"] == first["id"] and explained["last_status"] == 500
    log = api.get(f"{base}/{waiting[1]['id']}/log").text
    assert log.rstrip("\n").endswith("[attempt 2]: waiting for this try")


def test_the_log_has_all_tries_in_order_with_status_and_timings(api, project, receiver):
    receiver.answers(Answer(500, body=b"line one\nline \x1b[31mtwo"), Answer(502), Answer(204))
    number = api.webhook(project, receiver.url)
    api.submit(project)
    requests = receiver.take(3)
    execution = api.execution_ended(project, number)[0]
    assert execution["status"] == "Success" and execution["extra_attrs"]["payload"] == requests[0].body.decode()
    answer = api.get(f"{policies(project)}/{number}/executions/{execution['id']}/tasks/{execution['id']}/log")
    assert answer.header("Content-Type").startswith("text/plain")
    lines = answer.text.splitlines()
    line = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[(INFO|ERROR)\] \[attempt (\d)\]: (.+)")
    parts = [line.fullmatch(one) for one in lines]
    assert all(parts), lines
    assert [int(part.group(2)) for part in parts] == sorted(int(part.group(2)) for part in parts)
    words = [part.group(3) for part in parts]
    assert [one for one in words if one.startswith("response code")] == [f"response code: {n}" for n in (500, 502, 204)]
    assert sum(one == "start to run webhook job" for one in words) == 3
    assert words.count("send request to remote endpoint, body: " + requests[0].body.decode()) == 1
    assert 'response body: "line one\\nline \\u001b[31mtwo"' in words
    assert len([one for one in words if re.match(r"timings: (new|reused) connection, .*total [0-9.]+ ms", one)]) == 3
    assert len([one for one in words if one.startswith("exit webhook job, error: the receiver answered 50")]) == 2
    assert words[-1] == "success to run webhook job, response code: 204"


def test_a_failure_says_what_was_wrong(api, project, new_receiver):
    down = new_receiver()
    down.close()
    number = api.webhook(project, down.url)
    api.submit(project)
    one = wait_until(lambda: next((one for one in api.executions(project, number) if "status_message" in one), None),
                     "a try has failed")
    assert "refused" in one["status_message"]
    api.delete(f"{policies(project)}/{number}")


def test_three_tries_of_a_permanent_refusal_end_in_error(api, project, receiver):
    receiver.always(Answer(404, body=b"no such hook"))
    number = api.webhook(project, receiver.url)
    api.submit(project)
    execution = api.execution_ended(project, number)[0]
    assert (execution["status"], execution["metrics"]) == ("Error", {"error_task_count": 1, "task_count": 1})
    assert execution["status_message"] == "the receiver answered 404 Not Found"
    one = delivery(api, project, execution["id"])
    assert (one["state"], one["last_status"], len(one["attempts"])) == ("failed", 404, 3)
    assert [attempt["number"] for attempt in one["attempts"]] == [1, 2, 3]
    assert {attempt["outcome"] for attempt in one["attempts"]} == {"http_error"}
    assert one["attempts"][0]["response_body"] == "no such hook"
    assert one["attempts"][0]["timings_us"]["total"] > 0
    assert "next_try_at" not in one and one["address"] == receiver.url


def test_executions_and_tasks_that_are_not_there_are_named(api, project, receiver):
    number, other = api.webhook(project, receiver.url), api.webhook(project, receiver.url, name="second")
    api.submit(project)
    receiver.take(2)
    mine, theirs = api.execution_ended(project, number)[0]["id"], api.execution_ended(project, other)[0]["id"]
    base = f"{policies(project)}/{number}/executions"

    def words(path):
        return api.get(path, expect=404).message

    assert words(f"{base}/999999/tasks") == "execution 999999 not found"
    assert words(f"{base}/{theirs}/tasks") == f"resource not found: execution {theirs} not found in policy {number}"
    assert words(f"{base}/{mine}/tasks/999999/log") == "task 999999 not found"
    assert words(f"{base}/{mine}/tasks/{theirs}/log") == f"resource not found: task {theirs} not found in execution {mine}"
    assert words(f"/projects/{project}/webhook/deliveries/999999") == "delivery 999999 not found"
    assert words(f"{policies(project)}/999999/executions") == "notificationPolicy 999999 not found"


def test_executions_are_filtered_and_paged(api, project, receiver):
    number = api.webhook(project, receiver.url, events=["PUSH_ARTIFACT", "DELETE_ARTIFACT"])
    for kind in ("PUSH_ARTIFACT", "PUSH_ARTIFACT", "DELETE_ARTIFACT"):
        api.submit(project, push_event(type=kind))
    api.execution_ended(project, number, 3)
    base = f"{policies(project)}/{number}/executions"
    newest = [one["id"] for one in api.get(base).json]
    assert newest == sorted(newest, reverse=True)

    def count(**query):
        return int(api.get(base, query=query).header("X-Total-Count"))

    assert count(q="extra_attrs.event_type=PUSH_ARTIFACT") == 2
    assert count(q="ExtraAttrs.event_type=DELETE_ARTIFACT") == 1
    assert count(q="status=Success") == 3 and count(q="status=Error") == 0
    assert count(q=f"id={newest[0]}") == 1 and count(q=f"id=~{newest[0]}") >= 1
    assert count(q="vendor_type=SLACK") == 0
    assert [one["id"] for one in api.get(base, query={"sort": "id", "page_size": 2}).json] == sorted(newest)[:2]
    assert len(api.get(base, query={"page_size": 0}).json) == 3
    assert count(page=7) == 3


# -- the deprecated ones ----------------------------------------------------------------------------------------------------


def test_jobs_are_executions_in_the_old_shape(api, project, receiver):
    number = api.webhook(project, receiver.url, type="slack")
    api.submit(project)
    payload = receiver.next().body.decode()
    execution = api.execution_ended(project, number)[0]
    assert execution["vendor_type"] == "SLACK"
    answer = api.get(f"/projects/{project}/webhook/jobs", query={"policy_id": number})
    job = answer.json[0]
    assert answer.header("X-Total-Count") == "1"
    assert list(job) == ["creation_time", "event_type", "id", "job_detail", "notify_type", "policy_id", "status",
                         "update_time"]
    assert (job["id"], job["job_detail"], job["notify_type"], job["status"]) == (execution["id"], payload, "slack", "Success")
    for status, found in (("Success", 1), ("Error", 0), ("Error,Success", 1), ("Error,Stopped", 0)):
        jobs = api.get(f"/projects/{project}/webhook/jobs", query={"policy_id": number, "status": status}).json
        assert len(jobs) == found, status
    missing = api.get(f"/projects/{project}/webhook/jobs", expect=422)
    assert missing.message == "validation failure list:\npolicy_id in query is required"
    api.get(f"/projects/{project}/webhook/jobs", query={"policy_id": 999999}, expect=404)


def test_last_triggers_are_one_per_policy_and_event_type(api, project, receiver):
    api.webhook(project, receiver.url, events=["PUSH_ARTIFACT", "DELETE_ARTIFACT"], name="on")
    api.webhook(project, receiver.url, name="off", enabled=False)
    api.submit(project)
    found = {(one["policy_name"], one["event_type"]): one for one in api.get(f"/projects/{project}/webhook/lasttrigger").json}
    assert set(found) == {("on", "PUSH_ARTIFACT"), ("on", "DELETE_ARTIFACT"), ("off", "PUSH_ARTIFACT")}
    assert found["on", "PUSH_ARTIFACT"]["last_trigger_time"] > ZERO_MS
    assert found["on", "DELETE_ARTIFACT"]["last_trigger_time"] == ZERO_MS
    assert "enabled" not in found["off", "PUSH_ARTIFACT"] and found["on", "PUSH_ARTIFACT"]["enabled"] is True


def test_supported_events_are_harbors(api, project):
    assert api.get(f"/projects/{project}/webhook/events").text == (
        '{"event_type":[' + ",".join(f'"{kind}"' for kind in ALL_TYPES) + '],"notify_type":["http","slack"],'
        '"payload_formats":[{"formats":["Default","CloudEvents"],"notify_type":"http"}]}\n')


# -- changing what waits ----------------------------------------------------------------------------------------------------


def waiting_behind(receiver, api, project, number, count=3, pause_s=3600):
    """Deliveries that wait because the receiver asked for a pause; their ids."""
    receiver.always(Answer(503, headers={"Retry-After": str(pause_s)}))
    for _ in range(count):
        api.submit(project)
    receiver.next()
    return [one["id"] for one in api.executions(project, number)]


def test_deleting_a_policy_always_works_and_ends_what_waits(api, project, receiver):
    number = api.webhook(project, receiver.url)
    waiting = waiting_behind(receiver, api, project, number)
    assert api.delete(f"{policies(project)}/{number}").body == b""
    # Nothing leaves after the answer: what had arrived by now is all.
    sent = len(receiver.requests)
    api.get(f"{policies(project)}/{number}", expect=404)
    api.get(f"{policies(project)}/{number}/executions", expect=404)
    api.delete(f"{policies(project)}/{number}", expect=404)
    for one in waiting:
        stopped = delivery_in(api, project, one, "cancelled")
        assert stopped["status"] == "Stopped" and "next_try_at" not in stopped and stopped["ended_at"]
    refused = api.post(f"/projects/{project}/webhook/deliveries/{waiting[0]}/redeliver", expect=412)
    assert "was deleted" in refused.message
    # The same receiver hears of another policy at once: had the old ones been sent, they would have come before.
    receiver.always(Answer())
    api.webhook(project, receiver.url + "/marker")
    api.submit(project)
    wait_until(lambda: any(one.target == "/marker" for one in receiver.requests), "the marker arrives")
    assert [one.target for one in receiver.requests[sent:]] == ["/marker"]


def test_disabling_cancels_what_waits_and_enabling_brings_nothing_back(api, project, receiver):
    location = api.post(policies(project), policy_body(address=receiver.url)).header("Location")
    number = int(location.rsplit("/", 1)[1])
    # The pause is the receiver's and outlives a policy's change: a short one, for the end of the test.
    waiting = waiting_behind(receiver, api, project, number, pause_s=1)
    api.put(location, policy_body(address=receiver.url, enabled=False))
    states = {one["id"]: one["status"] for one in api.executions(project, number)}
    assert states == dict.fromkeys(waiting, "Stopped")
    assert api.submit(project)["deliveries"] == 0
    refused = api.post(f"/projects/{project}/webhook/deliveries/{waiting[0]}/redeliver", expect=412)
    assert "disabled" in refused.message
    sent = len(receiver.requests)
    receiver.always(Answer())
    api.put(location, policy_body(address=receiver.url))
    marker = api.submit(project)
    request = wait_until(lambda: receiver.requests[sent:], "the new event arrives")
    assert [one.header("webhook-id") for one in request] == [marker["id"]]
    log = api.get(f"{policies(project)}/{number}/executions/{waiting[0]}/tasks/{waiting[0]}/log").text
    assert "cancelled: the webhook was disabled, changed or deleted" in log


def test_taking_a_target_away_cancels_its_deliveries_alone(api, project, new_receiver):
    stays, goes = new_receiver(), new_receiver()
    body = policy_body(targets=[{"type": "http", "address": stays.url}, {"type": "http", "address": goes.url}])
    location = api.post(policies(project), body).header("Location")
    number = int(location.rsplit("/", 1)[1])
    for one in (stays, goes):
        one.answers(Answer(503, headers={"Retry-After": "1"}))
        one.always(Answer(200))
    api.submit(project)
    stays.next()
    goes.next()
    api.put(location, policy_body(address=stays.url))
    assert stays.next().header("X-Harbinger-Attempt") == "2"
    states = sorted(one["status"] for one in api.execution_ended(project, number, 2))
    assert states == ["Stopped", "Success"]
    # The payload of a target that is gone can still be read.
    assert all("payload" in one["extra_attrs"] for one in api.executions(project, number))


def test_410_suspends_a_target_and_saving_the_policy_resumes_it(api, project, receiver):
    receiver.answers(Answer(410))
    location = api.post(policies(project), policy_body(address=receiver.url)).header("Location")
    number = int(location.rsplit("/", 1)[1])
    api.submit(project)
    receiver.next()
    suspended = wait_until(lambda: api.get(location).json["targets"][0].get("harbinger"), "the target is suspended")
    assert suspended["suspended"] is True and "410" in suspended["suspended_reason"]
    execution = api.executions(project, number)[0]
    assert execution["status"] == "Running"
    one = delivery(api, project, execution["id"])
    assert one["suspended"] is True and "410" in one["suspended_reason"]
    api.put(location, api.get(location).json)
    receiver.next()
    assert api.execution_ended(project, number)[0]["status"] == "Success"
    assert "harbinger" not in api.get(location).json["targets"][0]


def test_a_redelivery_is_a_new_delivery_of_the_same_event(api, project, receiver):
    number = api.webhook(project, receiver.url)
    event = api.submit(project)
    first = receiver.next()
    old = api.execution_ended(project, number)[0]["id"]
    path = f"/projects/{project}/webhook/deliveries/{old}"
    answer = api.post(path + "/redeliver")
    new = answer.json["id"]
    assert answer.header("Location") == f"/api/v2.0/projects/{project}/webhook/deliveries/{new}"
    second = receiver.next()
    assert second.body == first.body
    assert second.header("webhook-id") == first.header("webhook-id") == event["id"]
    assert second.header("X-Harbinger-Delivery") == str(new) != first.header("X-Harbinger-Delivery")
    assert {one["id"] for one in api.execution_ended(project, number, 2)} == {old, new}
    assert api.get(answer.header("Location")).json["event_id"] == event["id"]
    rows = api.get(f"{policies(project)}/{number}/deliveries")
    assert rows.header("X-Total-Count") == "2" and [one["attempts"] for one in rows.json] == [1, 1]
    # Of another project it is not there.
    other = project + "-other"
    api.project(other)
    api.post(f"/projects/{other}/webhook/deliveries/{old}/redeliver", expect=404)
    api.get(f"/projects/{other}/webhook/deliveries/{old}", expect=404)


def test_changes_are_in_the_audit_without_addresses(api, project):
    location = api.post(policies(project), policy_body(address="http://receiver.example/SECRETPATH")).header("Location")
    api.put(location, policy_body(address="http://receiver.example/SECRETPATH", name="renamed"))
    api.delete(location)
    entries = api.get("/harbinger/audit", query={"q": f"subject=~{project}/", "sort": "id"}).json
    assert [(one["operation"], one["kind"]) for one in entries] == [
        ("create", "policy"), ("update", "policy"), ("delete", "policy")]
    assert all(one["actor"] == "admin" and one["address"] == "127.0.0.1" and one["request_id"] for one in entries)
    assert "SECRETPATH" not in str(entries)


def test_a_token_may_do_what_its_user_may(api, project):
    token = api.post("/harbinger/tokens", {"name": f"for {project}"}).json
    bearer = api.as_user("Bearer " + token["token"])
    assert bearer.get(policies(project)).json == []
    bearer.post(policies(project), policy_body())
    api.delete(f"/harbinger/tokens/{token['id']}")
    bearer.get(policies(project), expect=401)
    api.as_user(basic("nobody", "nothing")).get(policies(project), expect=401)

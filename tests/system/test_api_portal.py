# SPDX-License-Identifier: Apache-2.0
"""What the portal reads beside Harbor's API: ETag and If-Match, summaries, first steps, what deliveries are about and why
they were tried again, and the lists as its tables sort and search them."""
import json
import os
import re
import threading

import pytest

from support.api import Api, push_event
from support.raw import read_head
from support.receiver import Answer
from support.registry import envelope, notification
from support.waiting import wait_until

DIGEST = "sha256:" + "0123456789abcdef" * 4
ZERO_MS = "0001-01-01T00:00:00.000Z"
# Nothing may come of these but an answer that the specification knows.
HOSTILE = ["' OR 1=1 --", "%", "_", "\\", "*", "\0", "\x1b[2J", "<img onerror=x>", "‮", "[a~b]", "{(", "~", "=~", "a" * 3000,
           "name", "id)--", "name;drop table policy", "-", "--name", "-,-", "name," * 50, "9" * 40, "-9223372036854775809"]


def policies(project):
    return f"/projects/{project}/webhook/policies"


def path_of(project, policy):
    return f"{policies(project)}/{policy}"


def deliveries(api, project, policy, **query):
    return api.get(path_of(project, policy) + "/deliveries", query=query).json


def delivery(api, project, number):
    return api.get(f"/projects/{project}/webhook/deliveries/{number}").json


def summary(api, project, policy):
    return api.get(path_of(project, policy) + "/summary").json


def ended(api, project, policy):
    """The one delivery of the policy, once it has ended."""
    return delivery(api, project, api.execution_ended(project, policy)[0]["id"])


def attempted(api, project, policy, count=1):
    """The one delivery of the policy, once so many tries are recorded."""
    wait_until(lambda: deliveries(api, project, policy)[0]["attempts"] >= count, f"{count} tries recorded")
    return delivery(api, project, deliveries(api, project, policy)[0]["id"])


def reasons(one):
    return [attempt.get("retry_reason") for attempt in one["attempts"]]


# -- ETag and If-Match ------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(api, project):
    """(path of a policy, a body that may be PUT there, its ETag)."""
    path = path_of(project, api.webhook(project, "http://receiver.example/hook"))
    answer = api.get(path)
    return path, answer.json, answer.header("ETag")


def put(api, path, body, *matches, expect=200):
    """PUT with so many If-Match headers."""
    return api.put(path, body, expect=expect, headers={"If-Match": matches[0]} if matches else None)


def description(api, path):
    return api.get(path).json.get("description")


def test_an_etag_names_one_state_of_a_policy(api, saved):
    path, body, etag = saved
    assert re.fullmatch(r'"\d+"', etag)
    assert api.get(path).header("ETag") == etag
    seen = {etag}
    for number in range(20):  # however close to each other
        put(api, path, {**body, "description": str(number)})
        seen.add(api.get(path).header("ETag"))
    put(api, path, {**body, "description": "19"})  # a change that changes nothing was still made by somebody
    seen.add(api.get(path).header("ETag"))
    assert len(seen) == 22


def test_two_policies_that_were_made_at_once_have_etags_of_their_own_states(api, project):
    path = [path_of(project, api.webhook(project, "http://receiver.example", name=name)) for name in "ab"]
    etag = [api.get(one).header("ETag") for one in path]
    put(api, path[0], api.get(path[0]).json, etag[0])
    put(api, path[1], api.get(path[1]).json, etag[1])


@pytest.mark.parametrize("form", ["{}", " {} ", "*", '"1", {}', '{},"1"', 'W/"1", {}', '"a,b", {}'])
def test_a_change_of_what_was_read_is_made(api, saved, form):
    path, body, etag = saved
    put(api, path, {**body, "description": "changed"}, form.format(etag))
    assert description(api, path) == "changed"


@pytest.mark.parametrize("form", ["W/{}", '"1"', "", ",", "garbage", "{bare}", "'{bare}'", '"{bare}', "{}x", '"*"', "*, *",
                                  '"\x80"', "{}" * 2, '"' + "9" * 2000 + '"'])
def test_a_change_of_anything_else_is_412_and_changes_nothing(api, saved, form):
    path, body, etag = saved
    refused = put(api, path, {**body, "description": "changed"}, form.format(etag, etag, bare=etag.strip('"')), expect=412)
    assert refused.code == "PRECONDITION"
    assert refused.message == f"this webhook was changed since you read it (at {body['update_time']}): read it again"
    after = api.get(path)
    assert (after.json, after.header("ETag")) == (body, etag)


def test_without_if_match_a_change_is_made_whatever_was_there(api, saved):
    path, body, _ = saved
    for words in ("one", "two"):
        put(api, path, {**body, "description": words})
        assert description(api, path) == words


@pytest.mark.parametrize("first, second, status", [("{}", '"1"', 200), ('"1"', "{}", 200), ("garbage", "{}", 200),
                                                   ('"1"', '"2"', 412), ("W/{}", '"1"', 412)])
def test_two_headers_are_one_list(api, server, saved, first, second, status):
    path, body, etag = saved
    content = json.dumps(body).encode()
    with server.socket() as connection:
        connection.sendall((f"PUT /api/v2.0{path} HTTP/1.1\r\nHost: {server.host}\r\nAuthorization: {api.authorization}\r\n"
                            f"If-Match: {first.format(etag)}\r\nContent-Type: application/json\r\n"
                            f"if-match: {second.format(etag)}\r\nContent-Length: {len(content)}\r\n\r\n").encode() + content)
        head = read_head(connection)
    assert int(head.split(b" ")[1]) == status


def test_the_second_of_two_who_edit_one_webhook_is_told(api, saved):
    path, body, etag = saved
    put(api, path, {**body, "description": "mine"}, etag)
    refused = put(api, path, {**body, "description": "theirs"}, etag, expect=412)
    shown = api.get(path)
    assert f"(at {shown.json['update_time']})" in refused.message and shown.json["description"] == "mine"
    put(api, path, {**body, "description": "theirs, after reading"}, shown.header("ETag"))
    assert description(api, path) == "theirs, after reading"


def test_of_two_puts_at_once_with_one_etag_one_is_made(api, saved):
    path, body, etag = saved
    for turn in range(8):
        gate, answers = threading.Barrier(2), []

        def change(words):
            gate.wait()
            answers.append((api.request("PUT", path, {**body, "description": words}, headers={"If-Match": etag}), words))

        threads = [threading.Thread(target=change, args=(f"{turn}-{who}",)) for who in "ab"]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert sorted(answer.status for answer, _ in answers) == [200, 412]
        assert [description(api, path)] == [words for answer, words in answers if answer.status == 200]
        etag = api.get(path).header("ETag")


def test_rights_and_the_policy_are_judged_before_the_etag_and_the_etag_before_the_name(api, project, saved):
    path, body, _ = saved
    api.webhook(project, "http://receiver.example", name="other")
    api.anonymous().put(path, body, expect=401, headers={"If-Match": '"1"'})
    api.put(path_of(project, 999999), body, expect=404, headers={"If-Match": "*"})
    api.put(path, {**body, "event_types": ["NONE"]}, expect=400, headers={"If-Match": '"1"'})
    api.put(path, {**body, "name": "other"}, expect=412, headers={"If-Match": '"1"'})
    api.put(path, {**body, "name": "other"}, expect=409, headers={"If-Match": "*"})
    api.delete(path)
    api.put(path, body, expect=404, headers={"If-Match": "*"})


# -- what a delivery is about -------------------------------------------------------------------------------------------


JOB_SIDE = {"registry_name": "local", "registry_type": "harbor", "endpoint": "http://a.example", "namespace": "p"}


@pytest.mark.parametrize("event, artifact", [
    (push_event("app", "v1"), "{}/app:v1"),
    (push_event("deep/er/app", "v1"), "{}/deep/er/app:v1"),
    ({**push_event(), "artifacts": [{"digest": DIGEST, "reference": DIGEST}]}, "{}/app@" + DIGEST),
    ({**push_event(), "artifacts": [{"digest": DIGEST, "reference": DIGEST, "tags": ["v1"]}]}, "{}/app:v1"),
    ({**push_event(), "artifacts": [{"digest": DIGEST, "reference": "v2", "tags": ["v1", "v2"]}]}, "{}/app:v2"),
    ({**push_event(), "artifacts": [{"digest": DIGEST, "reference": "v2"}, {"digest": DIGEST, "reference": "v3"}]}, "{}/app:v2"),
    ({**push_event(type="DELETE_ARTIFACT"), "artifacts": [{"digest": DIGEST, "tags": ["v1", "v2", "v3"]}]}, "{}/app:v1"),
    ({**push_event(type="PULL_ARTIFACT"), "artifacts": [{"digest": DIGEST, "reference": DIGEST}]}, "{}/app@" + DIGEST),
    (push_event(type="QUOTA_EXCEED", data={"details": "full"}), "{}/app:v1"),
    ({"type": "QUOTA_WARNING", "data": {"details": "full soon"}}, "{}"),
    ({"type": "REPLICATION", "repository": {"name": "app"},
      "data": {"job_status": "Success", "src_resource": JOB_SIDE, "dest_resource": JOB_SIDE}}, "{}/app"),
    ({"type": "TAG_RETENTION", "repository": {"name": "app"}, "data": {"total": 3, "retained": 1}}, "{}/app"),
])
def test_a_delivery_names_what_it_is_about(api, project, receiver, event, artifact):
    policy = api.webhook(project, receiver.url, events=[event["type"]])
    assert api.submit(project, event)["deliveries"] == 1
    one = ended(api, project, policy)
    assert (one["status"], one["artifact"]) == ("Success", artifact.format(project))
    row = deliveries(api, project, policy)[0]
    assert row["artifact"] == one["artifact"]
    assert summary(api, project, policy)["last"] == row


def test_a_row_says_how_long_its_last_try_took(api, project, receiver):
    receiver.always(Answer(503, headers={"Retry-After": "3600"}))
    policy = api.webhook(project, receiver.url)
    for _ in range(2):
        api.submit(project)
    # The newer one waits behind the pause that the older one met.
    tried, waiting = wait_until(lambda: (lambda rows: rows if rows[0]["attempts"] == 1 else None)
                                (deliveries(api, project, policy, sort="id")), "one try is recorded")
    shown = delivery(api, project, tried["id"])
    assert tried["last_duration_us"] == shown["attempts"][0]["timings_us"]["total"] > 0
    assert "last_duration_us" not in waiting and waiting["attempts"] == 0


# -- why it was tried again ---------------------------------------------------------------------------------------------

# By tests/system/support/server.py: tries after 50, 100, 200 ms; three tries of what a retry will hardly change.
PAUSED = " or when the pause that it asked for is over"
FEW = "; such an answer is tried 3 times"


def test_each_try_says_why_another_followed_and_a_success_needs_no_reason(api, project, receiver):
    receiver.answers(Answer(500), Answer(503), Answer(429))
    policy = api.webhook(project, receiver.url)
    api.submit(project)
    assert reasons(ended(api, project, policy)) == [
        "the receiver failed: tried again, up to 50 ms later",
        "the receiver is not there just now: tried again, up to 100 ms later" + PAUSED,
        "the receiver asks for less: tried again, up to 200 ms later" + PAUSED,
        None]


def test_an_answer_that_a_retry_will_hardly_change(api, project, receiver):
    receiver.always(Answer(404))
    policy = api.webhook(project, receiver.url)
    api.submit(project)
    words = "the receiver does not want this request: "
    one = ended(api, project, policy)
    assert one["status"] == "Error"
    assert reasons(one) == [words + "tried again, up to 50 ms later" + FEW, words + "tried again, up to 100 ms later" + FEW,
                            words + "such an answer is tried 3 times and no more"]


def test_the_guards_refusal_is_explained_as_ours(api, new_server, api_of):
    api = api_of(new_server(egress_allow=()))
    api.put("/harbinger/egress", {"allowed": ["10.0.0.0/8"]})
    api.project("p")
    policy = api.webhook("p", "http://10.0.0.1/hook")
    api.put("/harbinger/egress", {"allowed": []})
    api.submit("p")
    one = ended(api, "p", policy)
    assert [attempt["outcome"] for attempt in one["attempts"]] == ["blocked"] * 3
    words = "our egress guard refused the address; nothing was sent: "
    assert reasons(one) == [words + "tried again, up to 50 ms later" + FEW, words + "tried again, up to 100 ms later" + FEW,
                            words + "such an answer is tried 3 times and no more"]


def test_a_receiver_that_is_down_and_comes_back(api, project, new_receiver):
    down = new_receiver()
    down.close()
    policy = api.webhook(project, down.url)
    api.submit(project)
    one = attempted(api, project, policy, 2)
    assert one["attempts"][0]["retry_reason"] == "no connection: refused, unreachable: tried again, up to 50 ms later"
    new_receiver(port=down.port)
    one = ended(api, project, policy)
    assert one["status"] == "Success" and "retry_reason" not in one["attempts"][-1]
    assert all(attempt["retry_reason"].startswith("no connection: ") for attempt in one["attempts"][:-1])


def test_a_schedule_that_ends_is_named(new_server, api_of, new_receiver):
    api, receiver = api_of(new_server(settings={"retry.give_up_ms": 1000})), new_receiver()
    receiver.always(Answer(500))
    api.project("p")
    policy = api.webhook("p", receiver.url)
    api.submit("p")
    one = ended(api, "p", policy)
    assert one["status"] == "Error"
    assert reasons(one)[-1] == "the receiver failed: given up, as the schedule ends 1 s after the first try"
    assert {words.split(":")[1].split(",")[0] for words in reasons(one)[:-1]} == {" tried again"}


def test_gone_waits_for_a_person_and_says_so_before_and_after(api, project, receiver):
    receiver.answers(Answer(410))
    policy = api.webhook(project, receiver.url)
    api.submit(project)
    one = attempted(api, project, policy)
    assert reasons(one) == ["the endpoint is gone: the target is suspended; its deliveries wait until it is resumed"]
    api.put(path_of(project, policy), api.get(path_of(project, policy)).json)
    assert reasons(ended(api, project, policy)) == [
        "the endpoint is gone: the target was suspended, and tried again once it was resumed", None]


def test_a_cancelled_delivery_says_why_it_is_not_tried_again(api, project, receiver):
    receiver.always(Answer(503, headers={"Retry-After": "3600"}))
    policy = api.webhook(project, receiver.url)
    api.submit(project)
    one = attempted(api, project, policy)
    assert reasons(one) == ["the receiver is not there just now: tried again, within 50 ms" + PAUSED]
    api.put(path_of(project, policy), {**api.get(path_of(project, policy)).json, "enabled": False})
    assert reasons(delivery(api, project, one["id"])) == [
        "the receiver is not there just now: not tried again, because the webhook was disabled, changed or deleted"]


def test_slacks_words_are_the_reason_whatever_the_status(api, project, receiver):
    receiver.always(Answer(200, body=b"invalid_payload"))
    policy = api.webhook(project, receiver.url + "/services/T0/B0/SECRET", type="slack")
    api.submit(project)
    assert reasons(ended(api, project, policy)) == ["Slack names the reason in its answer: another try cannot help"]


# -- the summary of a policy --------------------------------------------------------------------------------------------


def test_a_summary_counts_what_waits_and_shows_the_newest(api, project, receiver):
    receiver.always(Answer(503, headers={"Retry-After": "3600"}))
    policy = api.webhook(project, receiver.url)
    assert api.get(path_of(project, policy) + "/summary").text == '{"waiting":0,"waiting_is_more":false}\n'
    for number in range(5):
        api.submit(project)
        assert summary(api, project, policy)["waiting"] == number + 1
    wait_until(lambda: any(one["attempts"] for one in deliveries(api, project, policy)), "one try is recorded")
    shown = summary(api, project, policy)
    assert (shown["waiting"], shown["waiting_is_more"]) == (5, False)  # one that waits for its retry is one of them
    assert shown["last"] == deliveries(api, project, policy)[0]
    assert summary(api, project, api.webhook(project, receiver.url, name="other")) == {"waiting": 0, "waiting_is_more": False}

    api.put(path_of(project, policy), {**api.get(path_of(project, policy)).json, "enabled": False})
    shown = summary(api, project, policy)
    assert (shown["waiting"], shown["last"]["status"]) == (0, "Stopped")
    api.submit(project)
    assert summary(api, project, policy) == shown


def test_a_summary_counts_each_target_and_forgets_one_that_was_taken_away(api, project, new_receiver):
    one, two = new_receiver(), new_receiver()
    for receiver in (one, two):
        receiver.always(Answer(410))
    targets = [{"type": "http", "address": receiver.url} for receiver in (one, two)]
    body = {"name": "two", "enabled": True, "event_types": ["PUSH_ARTIFACT"], "targets": targets}
    policy = api.post(policies(project), body).location_id
    for _ in range(2):
        api.submit(project)
    wait_until(lambda: [target.get("harbinger", {}).get("suspended") for target in
                        api.get(path_of(project, policy)).json["targets"]] == [True, True], "both are suspended")
    assert summary(api, project, policy)["waiting"] == 4
    one.always(Answer(200))  # saving resumes what is suspended
    api.put(path_of(project, policy), {**body, "targets": targets[:1]})
    wait_until(lambda: summary(api, project, policy)["waiting"] == 0, "nothing waits")
    assert sorted(row["status"] for row in deliveries(api, project, policy)) == ["Stopped", "Stopped", "Success", "Success"]


def test_a_summary_is_of_a_policy_of_the_project_for_those_who_may_read_it(api, project, receiver):
    policy = api.webhook(project, receiver.url)
    other = project + "-other"
    api.project(other, public=True)
    api.get(path_of(other, policy) + "/summary", expect=404)
    api.get(path_of(project, 999999) + "/summary", expect=404)
    api.get(path_of("no-such-project", policy) + "/summary", expect=404)
    api.get(path_of(project, "x") + "/summary", expect=422)
    api.anonymous().get(path_of(project, policy) + "/summary", expect=401)
    api.anonymous().get(path_of(other, 1) + "/summary", expect=401)
    headers = {"X-Is-Resource-Name": "true"}
    assert api.get(path_of(project, policy) + "/summary", headers=headers).json["waiting"] == 0
    api.get(path_of("%25zz", policy) + "/summary", expect=404)
    api.get("/projects/%zz/webhook/policies/1/summary", expect=400)
    api.delete(path_of(project, policy))
    api.get(path_of(project, policy) + "/summary", expect=404)


# -- the first steps ----------------------------------------------------------------------------------------------------


def test_the_first_steps_from_an_empty_server_to_a_delivery(new_server, api_of, new_receiver):
    api, receiver = api_of(new_server()), new_receiver()

    def steps():
        return api.get("/harbinger/first-steps").json

    assert steps() == {"registry": ""}
    project = {"id": api.project("first"), "name": "first"}
    assert steps() == {"registry": "", "project": project}
    receiver.answers(Answer(400), Answer(400), Answer(400))
    webhook = {"id": api.webhook("first", receiver.url), "name": "hook", "project_id": project["id"], "project_name": "first"}
    api.submit("first")
    assert ended(api, "first", webhook["id"])["status"] == "Error"
    assert steps() == {"registry": "", "project": project, "webhook": webhook}  # what failed is no delivery
    api.submit("first")
    done = api.execution_ended("first", webhook["id"], 2)[0]
    assert done["status"] == "Success"
    reached = {"id": done["id"], "policy_id": webhook["id"], "project_id": project["id"]}
    assert steps() == {"registry": "", "project": project, "webhook": webhook, "delivery": reached}
    api.anonymous().get("/harbinger/first-steps", expect=401)

    newer = {"id": api.project("second"), "name": "second"}
    assert steps() == {"registry": "", "project": newer, "webhook": webhook, "delivery": reached}
    api.delete("/projects/second")
    api.delete(path_of("first", webhook["id"]))
    assert steps() == {"registry": "", "project": project}  # what is deleted is there no more, with all that it sent


def test_the_first_steps_name_the_registry_that_is_pushed_to(new_server, api_of):
    api = api_of(new_server(settings={"registry_host": "registry.example:5000"}))
    api.project("gone")
    api.delete("/projects/gone")
    assert api.get("/harbinger/first-steps").text == '{"registry":"registry.example:5000"}\n'


# -- lists, as tables sort and search them --------------------------------------------------------------------------------


def names(api, path, key="name", **query):
    return [one[key] for one in api.get(path, query=query).json]


@pytest.fixture(scope="module")
def module_api(server):
    return Api(server)


@pytest.fixture(scope="module")
def projects(module_api):
    """A prefix of three projects: PREFIXa, PREFIXb, PREFIXc, made in the order b, c, a; c is public."""
    prefix = f"list{os.getpid()}-"
    for name in "bca":
        module_api.project(prefix + name, public=name == "c")
    return prefix


@pytest.mark.parametrize("query, found", [
    ({}, "abc"), ({"sort": "name"}, "abc"), ({"sort": "-name"}, "cba"), ({"sort": "creation_time"}, "bca"),
    ({"sort": "-creation_time"}, "acb"), ({"sort": "unknown"}, "abc"), ({"sort": "unknown,-name"}, "cba"),
    ({"public": "true"}, "c"), ({"public": "false"}, "ab"), ({"public": "false", "sort": "-name"}, "ba"),
    ({"page": 2, "page_size": 2, "sort": "-name"}, "a"), ({"page": 3, "page_size": 2}, ""),
])
def test_projects_are_sorted_and_filtered(module_api, projects, query, found):
    got = names(module_api, "/projects", **{"q": f"name=~{projects}", **query})
    assert got == [projects + name for name in found]


def test_projects_are_found_by_any_part_of_their_name(module_api, projects):
    answer = module_api.get("/projects", query={"name": projects.upper(), "page_size": 2})
    assert len(answer.json) == 2 and answer.header("X-Total-Count") == "3"
    assert names(module_api, "/projects", name=projects + "b") == [projects + "b"]
    assert names(module_api, "/projects", q=f"name={projects}b") == [projects + "b"]
    assert names(module_api, "/projects", q=f"name={projects}") == []
    for wildcard in ("%", "_", "*"):
        assert names(module_api, "/projects", name=projects.replace("-", wildcard)) == []


@pytest.fixture(scope="module")
def catalogue(server, module_api):
    """A project with the repositories web/b, web/c and lib/a, made in that order; web/b was pushed to again. Its name, and
    the digest that web/b has under two tags."""
    project = f"catalogue{os.getpid()}"
    module_api.project(project)

    def push(repository, tag, digest=None, size=100):
        digest = digest or "sha256:" + os.urandom(32).hex()
        status, _, body = server.ingest(envelope(notification("push", f"{project}/{repository}", digest, tag, size=size)))
        assert status == 200, body
        return digest

    digest = push("web/b", "v1")
    push("web/c", "v1")
    push("lib/a", "v1")
    push("web/b", "v2", digest)
    push("web/b", "v3", size=250)
    return project, digest


@pytest.mark.parametrize("query, found", [
    ({}, "acb"), ({"sort": "name"}, "abc"), ({"sort": "-name"}, "cba"), ({"sort": "creation_time"}, "bca"),
    ({"sort": "update_time"}, "bca"), ({"sort": "-update_time"}, "acb"), ({"sort": "-update_time", "page_size": 1}, "a"),
    ({"q": "name=~WEB/", "sort": "name"}, "bc"), ({"q": "name=~lib"}, "a"), ({"q": "name=~nothing"}, ""),
    ({"q": "name=~%"}, ""), ({"q": "name=web/b"}, ""),
])
def test_repositories_are_sorted_and_filtered(module_api, catalogue, query, found):
    got = names(module_api, f"/projects/{catalogue[0]}/repositories", **query)
    assert [name[-1] for name in got] == list(found)


def test_a_repository_counts_its_tags_and_sizes_and_knows_its_last_push(module_api, server, catalogue):
    project, digest = catalogue
    base = f"/projects/{project}/repositories"
    shown = module_api.get(f"{base}/web%252Fb").json
    artifacts = module_api.get(f"{base}/web%252Fb/artifacts").json
    assert (shown["artifact_count"], shown["harbinger"]["tag_count"]) == (2, 3)
    assert shown["harbinger"]["size"] == 0  # a notification has the size of a manifest, not of what it lists
    assert shown["harbinger"]["last_push_time"] == max(one["push_time"] for one in artifacts) > ZERO_MS
    assert module_api.get(base, query={"q": f"name={project}/web/b"}).json == [shown]

    status, _, body = server.ingest(envelope(notification("push", f"{project}/tmp", DIGEST, "v1", size=9),
                                             notification("delete", f"{project}/tmp", DIGEST)))
    assert status == 200, body
    left = [one for one in module_api.get(base, query={"q": "name=~/tmp"}).json]
    assert [one["harbinger"] for one in left] in ([], [{"last_push_time": ZERO_MS, "size": 0, "tag_count": 0}])


@pytest.fixture(scope="module")
def webhooks(module_api):
    """A project with the policies b, c (disabled) and a, made in that order; b was changed last."""
    project = f"webhooks{os.getpid()}"
    module_api.project(project)
    made = {name: module_api.webhook(project, "http://receiver.example", name=f"hook-{name}", enabled=name != "c",
                                     description=f"of {name.upper()}") for name in "bca"}
    path = path_of(project, made["b"])
    module_api.put(path, module_api.get(path).json)
    return project


@pytest.mark.parametrize("query, found", [
    ({}, "acb"), ({"sort": "name"}, "abc"), ({"sort": "-name"}, "cba"), ({"sort": "creation_time"}, "bca"),
    ({"sort": "-update_time"}, "bac"), ({"sort": "enabled,name"}, "cab"), ({"sort": "-id"}, "acb"), ({"sort": "secret"}, "acb"),
    ({"q": "name=~HOOK-B"}, "b"), ({"q": "name=hook-a"}, "a"), ({"q": "enabled=false"}, "c"), ({"q": "description=~of c"}, "c"),
    ({"q": "name=~hook-,enabled=true", "sort": "name"}, "ab"), ({"q": "name={hook-a hook-c}", "sort": "name"}, "ac"),
    ({"q": "address=~receiver"}, "acb"),  # no key of the list: ignored
])
def test_policies_are_sorted_and_filtered(module_api, webhooks, query, found):
    assert [name[-1] for name in names(module_api, policies(webhooks), **query)] == list(found)


@pytest.fixture(scope="module")
def history(server, module_api):
    """A project with a policy and its deliveries: a push that succeeded, a delete that failed, a push that was stopped, a
    delete that waits; (project, policy, ids in that order)."""
    from support.receiver import Receiver

    receiver, project = Receiver(), f"history{os.getpid()}"
    module_api.project(project)
    policy = module_api.webhook(project, receiver.url, events=["PUSH_ARTIFACT", "DELETE_ARTIFACT"])
    path, ids = path_of(project, policy), []

    def send(kind):
        module_api.submit(project, push_event(type=kind))
        ids.append(deliveries(module_api, project, policy)[0]["id"])

    def has(state):
        wait_until(lambda: deliveries(module_api, project, policy)[0]["state"] == state, f"the delivery is {state}")

    send("PUSH_ARTIFACT")
    has("succeeded")
    receiver.answers(Answer(400), Answer(400), Answer(400))
    send("DELETE_ARTIFACT")
    has("failed")
    receiver.always(Answer(410))
    send("PUSH_ARTIFACT")
    wait_until(lambda: module_api.get(path).json["targets"][0].get("harbinger"), "the target is suspended")
    body = module_api.get(path).json
    module_api.put(path, {**body, "enabled": False})
    has("cancelled")
    module_api.put(path, body)
    send("DELETE_ARTIFACT")
    wait_until(lambda: module_api.get(path).json["targets"][0].get("harbinger"), "the target is suspended")
    yield project, policy, ids
    receiver.close()


@pytest.mark.parametrize("query, found", [
    ({}, "3210"), ({"sort": "id"}, "0123"), ({"sort": "-id"}, "3210"), ({"sort": "start_time"}, "0123"),
    ({"sort": "-start_time"}, "3210"), ({"sort": "status,id"}, "1320"), ({"sort": "-status,id"}, "0231"),
    ({"sort": "event_type,-id"}, "3120"), ({"sort": "-id", "page": 2, "page_size": 3}, "0"),
    ({"q": "status=Running"}, "3"), ({"q": "status=Success"}, "0"), ({"q": "status=Error"}, "1"), ({"q": "status=Stopped"}, "2"),
    ({"q": "status={Success Error}", "sort": "id"}, "01"), ({"q": "status=success"}, ""), ({"q": "status=Pending"}, ""),
    ({"q": "event_type=PUSH_ARTIFACT"}, "20"), ({"q": "event_type=DELETE_ARTIFACT,status=Error"}, "1"),
    ({"q": "event_type=~delete"}, "31"), ({"q": "event_type=NONE"}, ""), ({"q": "run_count=3"}, "1"),
])
def test_deliveries_are_sorted_and_filtered(module_api, history, query, found):
    project, policy, ids = history
    answer = module_api.get(path_of(project, policy) + "/deliveries", query=query)
    assert [one["id"] for one in answer.json] == [ids[int(number)] for number in found]
    if "page" not in query:
        assert answer.header("X-Total-Count") == str(len(found))


def test_the_summary_of_a_long_history_shows_its_newest(module_api, history):
    project, policy, ids = history
    assert summary(module_api, project, policy)["waiting"] == 1
    assert summary(module_api, project, policy)["last"]["id"] == ids[-1]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_sort_or_query_finds_nothing_or_is_refused(module_api, projects, catalogue, webhooks, history, value):
    lists = ["/projects", "/repositories", f"/projects/{catalogue[0]}/repositories",
             f"/projects/{catalogue[0]}/repositories/web%252Fb/artifacts", policies(webhooks),
             path_of(*history[:2]) + "/deliveries", path_of(*history[:2]) + "/executions"]
    for path in lists:
        usual = module_api.get(path)
        sorted_ = module_api.request("GET", path, query={"sort": value})
        if sorted_.status == 200:
            assert sorted_.header("X-Total-Count") == usual.header("X-Total-Count")
        else:
            assert sorted_.status in (400, 422), sorted_
        for q in (value, f"name={value}", f"name=~{value}", f"status={value}", f"id={value}", f"{value}=1"):
            found = module_api.request("GET", path, query={"q": q})
            assert found.status in (200, 400, 422), found
        for key in ("page", "page_size"):
            if module_api.request("GET", path, query={key: value}).status != 422:
                assert not value or re.fullmatch(r"-?\d+", value), (key, value)

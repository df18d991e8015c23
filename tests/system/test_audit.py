# SPDX-License-Identifier: Apache-2.0
"""The audit: every operation of api/openapi.yaml that changes something leaves an entry with who, from where, in which
request and what, and no entry holds a value that is secret."""
import time

import pathlib

import pytest

from support.api import push_event
from support.openapi import SPEC
from support.secrets import secret
from support.server import ADMIN_PASSWORD, INGEST_TOKEN, basic
from support.session_client import SessionClient
from support.waiting import wait_until

DIGEST = "sha256:" + "ab" * 32

# What is POST, PUT or DELETE and yet changes nothing that an audit tells, with the reason.
NO_CHANGE = {
    "submitEvent": "the event is the entry: it has who submitted it, the address and the request's id",
}
# What needs a registry behind the server: the entries are looked at where that is.
ELSEWHERE = {"deleteRepository": "test_api_changes.py", "deleteArtifact": "test_api_changes.py",
             "createTag": "test_api_changes.py", "deleteTag": "test_api_changes.py",
             "beginSync": "test_sync.py", "stopSync": "test_sync.py"}
ALSO_CHANGES = {"logout"}  # a GET, as in Harbor


class World:
    """A project with one webhook and one delivery, on a server of its own."""

    def __init__(self, server, api, address):
        self.server, self.api, self.address = server, api, address
        self.address_secret, self.header_secret = secret("audit-address"), secret("audit-header")
        api.project("demo")
        self.policy = api.webhook("demo", self.target(), auth_header=self.header_secret, name="ci")
        self.policies = "/projects/demo/webhook/policies"

    def target(self):
        return f"{self.address}/{self.address_secret}"

    def body(self, **fields):
        return {"name": "ci", "enabled": True, "event_types": ["PUSH_ARTIFACT"],
                "targets": [{"type": "http", "address": self.target(), "auth_header": self.header_secret}], **fields}

    def delivery(self):
        self.api.submit("demo")
        self.api.execution_ended("demo", self.policy)
        return self.api.get(f"{self.policies}/{self.policy}/deliveries").json[0]["id"]

    def token(self):
        return self.api.post("/harbinger/tokens", {"name": "for a job"})

    def signed_in(self):
        client = SessionClient(self.server)
        return client, client.login()


def log_out(world):
    client, _ = world.signed_in()
    return client.get("/c/log_out")


def delete_project(world):
    world.api.project("short")
    return world.api.delete("/projects/short")


def change_password(world):
    new = secret("Password-1")
    world.api.put("/users/1/password", {"old_password": ADMIN_PASSWORD, "new_password": new})
    body = {"old_password": new, "new_password": ADMIN_PASSWORD}
    return world.api.as_user(basic("admin", new)).put("/users/1/password", body)


def delete_policy(world):
    other = world.api.webhook("demo", world.target(), name="other")
    return world.api.delete(f"{world.policies}/{other}")


def resume_policy(world):
    other = world.api.webhook("demo", world.target(), name="other", enabled=False)
    path = f"{world.policies}/{other}"
    answer = world.api.post(f"{path}/resume", {"backlog": "drop"}, expect=200)
    world.api.delete(path)
    return answer


def pause_policy(world):
    path = f"{world.policies}/{world.api.webhook('demo', world.target(), name='other')}"
    answer = world.api.post(f"{path}/pause", {"mode": "hold"}, expect=200)
    world.api.delete(path)
    return answer


def change_targets(world):
    number = world.api.webhook("demo", world.target(), auth_header=world.header_secret, name="changed")
    body = world.body(name="changed", description="what it is for", enabled=False)
    body["targets"] = [{**body["targets"][0], "auth_header": secret("audit-new-header")},
                       {"type": "slack", "address": f"{world.address}/{secret('audit-slack')}"}]
    return world.api.put(f"{world.policies}/{number}", body)


NEW_TARGET = ["targets[0].type", "targets[0].address (secret)", "targets[0].auth_header (secret)"]

# operationId -> (how to make it, operation, kind, subject, project, fields); a new operation that changes something needs
# a row.
CALLS = {
    "login": (lambda w: w.signed_in()[1], "login", "session", "admin", None, None),
    "logout": (log_out, "logout", "session", "admin", None, None),
    "updateConfigurations": (lambda w: w.api.put("/configurations", {"notification_enable": True}), "update",
                             "configuration", "notification_enable=true", None, ["notification_enable"]),
    "createProject": (lambda w: w.api.post("/projects", {"project_name": "new", "metadata": {"public": "true"}}),
                      "create", "project", "new", "new", ["project_name", "metadata.public"]),
    "updateProject": (lambda w: w.api.put("/projects/demo", {"metadata": {"severity": "high"}, "storage_limit": 1024}),
                      "update", "project", "demo", "demo", ["storage_limit", "metadata.severity"]),
    "deleteProject": (delete_project, "delete", "project", "short", "short", None),
    "CreateWebhookPolicyOfProject": (lambda w: w.api.post(w.policies, w.body(name="second")), "create", "policy",
                                     "demo/second", "demo", ["name", "enabled", "event_types", *NEW_TARGET]),
    "UpdateWebhookPolicyOfProject": (change_targets, "update", "policy", "demo/changed", "demo",
                                     ["description", "enabled", "targets[0].auth_header (secret)", "targets[1].type",
                                      "targets[1].address (secret)", "targets[1].payload_format"]),
    "DeleteWebhookPolicyOfProject": (delete_policy, "delete", "policy", "demo/other", "demo", None),
    "pauseWebhook": (pause_policy, "pause", "policy", "demo/other", "demo", ["harbinger.paused"]),
    "resumeWebhook": (resume_policy, "resume", "policy", "demo/other", "demo",
                      ["enabled", "waiting deliveries (dropped)"]),
    "testUnsavedWebhook": (lambda w: w.api.post(f"{w.policies}/test", {**w.body(), "event_type": "PUSH_ARTIFACT"}, expect=200), "test",
                           "policy", "demo/(unsaved)", "demo", None),
    "testWebhook": (lambda w: w.api.post(f"{w.policies}/{w.policy}/test", {}, expect=200), "test", "policy", "demo/ci",
                    "demo", None),
    "redeliver": (lambda w: w.api.post(f"/projects/demo/webhook/deliveries/{w.delivery()}/redeliver"), "redeliver",
                  "delivery", None, "demo", None),
    "createToken": (lambda w: w.token(), "create", "token", "for a job", None, ["name", "expires_at"]),
    "deleteToken": (lambda w: w.api.delete(f"/harbinger/tokens/{w.token().location_id}"), "delete", "token", None,
                    None, None),
    "setEgress": (lambda w: w.api.put("/harbinger/egress", {"allowed": ["10.1.0.0/16"]}), "allow", "egress",
                  "10.1.0.0/16", None, ["allowed"]),
    "setLogLevel": (lambda w: w.api.put("/harbinger/log-level", {"level": "debug"}), "update", "configuration",
                    "log_level=debug", None, ["level"]),
    "updateUserPassword": (change_password, "password", "user", "admin", None, ["password (secret)"]),
}


def changing_operations():
    return {one.id for one in SPEC.operations if one.method not in ("GET", "HEAD")} | ALSO_CHANGES


def entry_of(api, answer):
    """The entry that this request left, or None."""
    found = api.get("/harbinger/audit", query={"q": f"request_id={answer.header('X-Request-Id')}"}).json
    assert len(found) <= 1, found
    return found[0] if found else None


@pytest.fixture(scope="module")
def world(server, module_receiver):
    from support.api import Api
    return World(server, Api(server), module_receiver.url)


@pytest.fixture(scope="module")
def module_receiver():
    from support.receiver import Receiver
    one = Receiver()
    yield one
    one.close()


def test_every_operation_that_changes_something_is_in_the_table():
    operations = changing_operations()
    assert operations - set(CALLS) - set(NO_CHANGE) - set(ELSEWHERE) == set(), \
        "say in CALLS how to make it, and what its entry says"
    assert set(CALLS) | set(NO_CHANGE) | set(ELSEWHERE) == operations, "the table has operations that are no more"


def test_what_is_looked_at_elsewhere_is():
    for name in set(ELSEWHERE.values()):
        assert "/harbinger/audit" in (pathlib.Path(__file__).parent / name).read_text(encoding="utf-8")


@pytest.mark.xdist_group("audit")
@pytest.mark.parametrize("operation", list(CALLS))
def test_a_change_leaves_an_entry(world, operation):
    make, word, kind, subject, project, fields = CALLS[operation]
    answer = make(world)
    assert 200 <= answer.status < 300, answer
    found = SPEC.find(answer.method, answer.path)
    assert found.id == operation, f"this row made {found.id}"
    entry = entry_of(world.api, answer)
    assert entry, f"{answer} left nothing in the audit"
    assert (entry["operation"], entry["kind"], entry["actor"], entry["address"]) == (word, kind, "admin", "127.0.0.1")
    assert subject is None or entry["subject"] == subject
    assert entry.get("project") == project and entry.get("fields") == fields
    for value in (world.address_secret, world.header_secret, secret("audit-new-header"), secret("audit-slack")):
        assert value not in str(entry)


def test_a_change_that_was_refused_leaves_none(api, project):
    answer = api.post(f"/projects/{project}/webhook/policies", {"name": "", "event_types": ["PUSH_ARTIFACT"],
                                                               "targets": [{"type": "http", "address": "http://a.b/"}]}, expect=400)
    assert entry_of(api, answer) is None


def test_an_event_says_who_submitted_it(api, project):
    event = api.get(f"/projects/{project}/events/{api.submit(project, push_event())['id']}").json
    assert event["actor"]["name"] == "alice"  # as the job says
    assert event["source"] == {"kind": "api", "instance": "admin"}
    assert event["client"]["address"] == "127.0.0.1" and event["client"]["request_id"]


def test_wrong_credentials_leave_an_entry(new_server, api_of):
    api = api_of(new_server())
    for authorization, subject in ((basic("admin", "Wrong-12345"), "admin"),
                                   (basic("nobody", "Wrong-12345"), "an unknown user")):
        answer = api.as_user(authorization).get("/users/current", expect=401)
        entry = wait_until(lambda: entry_of(api, answer), "the failure was noted")
        assert (entry["operation"], entry["kind"], entry["actor"], entry["subject"], entry["address"]) == (
            "login refused", "session", "anonymous", subject, "127.0.0.1")


def test_a_wrong_token_leaves_an_entry_without_the_token(new_server, api_of):
    api = api_of(new_server())
    wrong = "hbt_" + "A" * 43
    answer = api.as_user(f"Bearer {wrong}").get("/users/current", expect=401)
    entry = wait_until(lambda: entry_of(api, answer), "the failure was noted")
    assert entry["subject"] == "an unknown or expired token" and wrong not in str(entry)


@pytest.mark.parametrize("page", ["/metrics", "/readyz"])
def test_wrong_credentials_for_a_page_of_the_operator_leave_an_entry_and_slow_down(new_server, api_of, page):
    server = new_server(settings={"auth.delay_min_ms": 100, "auth.delay_max_ms": 400})
    api = api_of(server)
    api.get("/users/current", expect=200)  # the right password is remembered

    def guess():
        begun = time.monotonic()
        _, headers, _ = server.request("GET", page, headers={"Authorization": basic("admin", "Wrong-12345")})
        return time.monotonic() - begun, headers["x-request-id"]

    waits, requests = zip(*[guess() for _ in range(4)])
    assert waits[3] >= 0.4 and waits[1] >= 0.2, waits
    entries = wait_until(lambda: api.get("/harbinger/audit", query={"q": "operation=login refused"}).json, "an entry")
    assert [(one["subject"], one["address"], one["request_id"]) for one in entries] == [("admin", "127.0.0.1", requests[0])]


def test_changes_of_targets_are_named_by_their_place(api, project):
    def target(address, **fields):
        return {"type": "http", "address": address, **fields}

    body = {"name": "w", "enabled": True, "event_types": ["PUSH_ARTIFACT"],
            "targets": [target("http://one.example/"), target("http://two.example/")]}
    answer = api.post(f"/projects/{project}/webhook/policies", body)
    location = answer.header("Location")

    def change(targets):
        return entry_of(api, api.put(location, {**body, "targets": targets})).get("fields")

    assert change(body["targets"]) is None
    assert change([target("http://two.example/", skip_cert_verify=True)]) == [
        "targets[0].skip_cert_verify", "targets[0] (removed)"]
    assert change([target("http://three.example/", payload_format="CloudEvents")]) == [
        "targets[0].type", "targets[0].address (secret)", "targets[0].payload_format", "targets[0] (removed)"]

# SPDX-License-Identifier: Apache-2.0
"""Projects, accounts and the system over the API: what clients ask around webhooks (harbor.md 6)."""
import pytest
from support.api import Api
from support.registry import envelope, notification
from support.server import ADMIN_PASSWORD, basic


# -- the system -------------------------------------------------------------------------------------------------------------


def test_what_clients_ask_first(api):
    nobody = api.anonymous()
    assert nobody.get("/api/version").text == '{"version":"v2.0"}\n'
    ping = nobody.get("/ping")
    assert ping.text == "Pong" and ping.header("Content-Type").startswith("text/plain")
    health = nobody.get("/health").json
    assert health["status"] == "healthy" and {"name": "core", "status": "healthy"} in health["components"]
    assert [one["name"] for one in health["components"]] == sorted(one["name"] for one in health["components"])
    less, more = nobody.get("/systeminfo").json, api.get("/systeminfo").json
    assert set(less) == {"auth_mode", "banner_message", "oidc_provider_name", "primary_auth_mode", "self_registration"}
    assert more["harbor_version"].startswith("v2.16.0-harbinger.") and more["notification_enable"] is True


def test_the_user_and_the_numbers(api, project):
    me = api.get("/users/current").json
    assert (me["username"], me["sysadmin_flag"]) == ("admin", True)
    before = api.get("/statistics").json
    api.project(project + "-public", public=True)
    assert api.get("/statistics").json["public_project_count"] == before["public_project_count"] + 1


def test_configurations_change_notification_enable_only(api):
    api.put("/configurations", {"notification_enable": True, "read_only": False})
    api.put("/configurations", {"read_only": True}, expect=400)
    api.put("/configurations", {"notification_enable": "no"}, expect=422)
    assert api.get("/configurations").json["read_only"] == {"editable": False, "value": False}


def test_egress_ranges_are_private_ones(api):
    for ranges, status in ((["8.8.8.0/24"], 400), (["10.0.0.1/8"], 400), (["nonsense"], 400), ([7], 422), (None, 422)):
        api.put("/harbinger/egress", {"allowed": ranges}, expect=status)
    api.put("/harbinger/egress", {"allowed": ["192.168.7.0/24", "fd00::/8"]})
    assert api.get("/harbinger/egress").json["allowed"] == ["192.168.7.0/24", "fd00::/8"]
    api.put("/harbinger/egress", {"allowed": []})


def test_the_log_level_is_set_at_run_time(new_server):
    server = new_server()
    api = Api(server)
    api.put("/harbinger/log-level", {"level": "error"})
    quiet = len(server.log())
    api.get("/users/current")
    assert len(server.log()) == quiet
    api.put("/harbinger/log-level", {"level": "loud"}, expect=400)
    api.put("/harbinger/log-level", {"level": 7}, expect=422)


def test_notifications_without_an_event_are_noted_with_the_reason(api, server, project):
    blob = notification("push", f"{project}/app", media_type="application/octet-stream")
    assert server.ingest(envelope(blob))[0] == 200
    notes = api.get("/harbinger/ingest-log", query={"q": f"repository={project}/app"}).json
    assert [(one["action"], one["reason"]) for one in notes] == [("push", "blob")]


# -- accounts ---------------------------------------------------------------------------------------------------------------


def test_a_token_is_told_once_listed_and_revoked(api):
    made = api.post("/harbinger/tokens", {"name": "ci"})
    token = made.json
    listed = [one for one in api.get("/harbinger/tokens").json if one["id"] == token["id"]]
    assert listed and "token" not in listed[0] and listed[0]["name"] == "ci"
    bearer = api.as_user("Bearer " + token["token"])
    assert bearer.get("/users/current").json["username"] == "admin"
    refused = bearer.post("/harbinger/tokens", {"name": "child"}, expect=403)
    assert refused.code == "FORBIDDEN"
    api.delete(f"/harbinger/tokens/{token['id']}")
    api.delete(f"/harbinger/tokens/{token['id']}", expect=404)
    bearer.get("/users/current", expect=401)


@pytest.mark.parametrize("body,status", [({}, 422), ({"name": ""}, 400), ({"name": 7}, 422),
                                         ({"name": "x", "expires_at": "soon"}, 422),
                                         ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, 400),
                                         ({"name": "x", "expires_at": "2999-01-01T00:00:00Z"}, 400)])
def test_tokens_that_cannot_be(api, body, status):
    api.post("/harbinger/tokens", body, expect=status)


def test_a_user_has_a_thousand_tokens_at_most(new_server):
    api = Api(new_server(settings={"log.level": "info"}))
    for number in range(1000):
        api.post("/harbinger/tokens", {"name": f"t{number}"})
    assert "1000 tokens" in api.post("/harbinger/tokens", {"name": "one more"}, expect=412).message


def test_a_password_is_changed_with_the_old_one(new_server):
    api = Api(new_server())
    me = api.get("/users/current").json["user_id"]
    path = f"/users/{me}/password"
    other = "Another-12345"
    assert api.put(path, {"old_password": "wrong", "new_password": other}, expect=403).code == "FORBIDDEN"
    for weak in ("short", "alllowercase1", ADMIN_PASSWORD):
        api.put(path, {"old_password": ADMIN_PASSWORD, "new_password": weak}, expect=400)
    api.put("/users/999999/password", {"new_password": other}, expect=404)
    api.put(path, {"old_password": ADMIN_PASSWORD, "new_password": other})
    api.get("/users/current", expect=401)
    api.as_user(basic("admin", other)).get("/users/current")


# -- projects ---------------------------------------------------------------------------------------------------------------


def test_a_project_is_created_read_changed_and_deleted(api):
    answer = api.post("/projects", {"project_name": "alpha", "metadata": {"public": "true"}, "storage_limit": -1})
    location = answer.header("Location")
    assert location == f"/api/v2.0/projects/{answer.location_id}" and answer.body == b""
    one = api.get(location).json
    assert (one["name"], one["metadata"]["public"], one["owner_name"], one["repo_count"]) == ("alpha", "true", "admin", 0)
    assert one["current_user_role_id"] == 1
    api.head("/projects", query={"project_name": "alpha"})
    api.head("/projects", query={"project_name": "beta"}, expect=404)
    api.head("/projects", expect=422)
    assert api.anonymous().get("/projects/alpha").json["name"] == "alpha"
    api.put(location, {"metadata": {"public": "false"}})
    api.anonymous().get("/projects/alpha", expect=401)
    assert api.get("/projects/alpha/summary").json["repo_count"] == 0
    taken = api.post("/projects", {"project_name": "alpha"}, expect=409)
    assert taken.code == "CONFLICT"
    assert api.delete(location).body == b""
    api.get(location, expect=404)
    named = api.post("/projects", {"project_name": "alpha"}, headers={"X-Resource-Name-In-Location": "true"})
    assert named.header("Location") == "/api/v2.0/projects/alpha"


@pytest.mark.parametrize("body,status", [({"project_name": "Upper"}, 400), ({"project_name": ""}, 400), ({"project_name": 7}, 422),
                                         ({"project_name": "x", "metadata": []}, 422), ({"project_name": "a" * 256}, 400),
                                         ({"project_name": "x", "registry_id": 4}, 400)])
def test_projects_that_cannot_be(api, body, status):
    api.post("/projects", body, expect=status)


def test_projects_are_listed_by_name_and_visibility(api, project):
    for letter in "abc":
        api.project(f"{project}-{letter}", public=letter == "a")
    found = api.get("/projects", query={"name": f"{project}-", "sort": "name"}).json
    assert [one["name"] for one in found] == [f"{project}-{letter}" for letter in "abc"]
    assert [one["name"] for one in api.get("/projects", query={"name": f"{project}-", "public": "true"}).json] == [f"{project}-a"]
    seen = api.anonymous().get("/projects", query={"name": f"{project}-"}).json
    assert [one["name"] for one in seen] == [f"{project}-a"]
    assert len(api.get("/projects", query={"page_size": 0}).json) == int(api.get("/projects").header("X-Total-Count"))


def test_a_project_takes_its_webhooks_with_it(api, project, receiver):
    api.webhook(project, receiver.url)
    api.delete(f"/projects/{project}")
    api.get(f"/projects/{project}/webhook/policies", expect=404)
    api.project(project)
    assert api.get(f"/projects/{project}/webhook/policies").json == []

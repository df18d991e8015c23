# SPDX-License-Identifier: Apache-2.0
"""Secrets of webhooks, tokens and sessions stay where they belong: not in the store's files in clear, not in the log, the
metrics or any answer. (That holds for the whole suite, too: support/secrets.py searches what all tests have left.)"""
import json
import pathlib

import pytest

from support.receiver import Answer
from support.secrets import Leak, find_leaks, forms, keep_server, report, secret
from support.session_client import SessionClient


def leaks_of(folder, *values):
    """Where one of the values is below the folder, in any spelling."""
    wanted = {form for value in values for form in forms(value)}
    found = []
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            found += [Leak(str(path), data.find(form), form) for form in wanted if form in data]
    return found


@pytest.fixture
def used(new_server, api_of, receiver):
    """A server on which webhooks with secrets everywhere were made, tested, delivered to, failed and changed."""
    server = new_server()
    api = api_of(server)
    values = {name: secret(name) for name in ("path", "userinfo", "query", "header", "slack", "new-header")}
    host = receiver.url.removeprefix("http://")
    api.project("p")
    plain = api.webhook("p", f"http://{values['userinfo']}:x@{host}/{values['path']}?key={values['query']}", name="plain")
    header = api.webhook("p", receiver.url + "/", name="header", auth_header=f"Bearer {values['header']}")
    api.webhook("p", f"{receiver.url}/services/{values['slack']}", name="chat", type="slack")
    receiver.on("/services", Answer(404, body=f"no such hook: {values['slack']}".encode()))
    receiver.on(f"/{values['path']}", Answer(200, body=f"thank you for {values['path']} and {values['query']}".encode()))
    receiver.on("/", Answer(404, body=f"what is {values['header']}?".encode(), headers={"X-Echo": values["header"]}))
    api.submit("p")
    for policy in (plain, header):
        api.execution_ended("p", policy)
        api.post(f"/projects/p/webhook/policies/{policy}/test", {}, expect=200)
    body = api.get(f"/projects/p/webhook/policies/{header}").json
    body["targets"][0]["auth_header"] = values["new-header"]
    api.put(f"/projects/p/webhook/policies/{header}", body)
    client = SessionClient(server)
    client.login()
    values["sid"] = client.cookies["sid"]
    values["token"] = api.post("/harbinger/tokens", {"name": "job"}).json["token"]
    return server, api, values


def test_no_file_of_the_store_holds_a_secret_in_clear(used):
    server, api, values = used
    targets = [policy["targets"][0] for policy in api.get("/projects/p/webhook/policies").json]
    assert any(values["path"] in target["address"] for target in targets), "the secrets are there"
    for stopped in (False, True):
        if stopped:
            server.stop()
        assert any(path.name == "harbinger.db" for path in server.data.iterdir())
        leaks = leaks_of(server.data, *values.values())
        assert not leaks, report(leaks)


def test_no_line_of_the_log_and_no_metric_holds_a_secret(used):
    server, api, values = used
    text = server.log() + api.get("/harbinger/audit", query={"page_size": 100}).text
    text += server.request("GET", "/metrics", headers={"Authorization": api.authorization})[2].decode()
    assert "harbinger_attempts_total" in text and '"operation":"test"' in text
    assert [name for name, value in values.items() for form in forms(value) if form in text.encode()] == []


def test_no_delivery_shows_a_secret_that_its_receiver_sent_back(used):
    _, api, values = used
    seen = 0
    for policy in api.get("/projects/p/webhook/policies").json:
        for delivery in api.get(f"/projects/p/webhook/policies/{policy['id']}/deliveries").json:
            shown = api.get(f"/projects/p/webhook/deliveries/{delivery['id']}").json
            assert shown["attempts"] and shown.pop("address")  # in clear, for who may change it
            text = json.dumps(shown)
            assert [name for name, value in values.items() if value in text] == []
            seen += 1
    assert seen >= 3


def test_the_search_over_the_whole_suite_would_see_it(used, monkeypatch, tmp_path):
    server, _, values = used
    folder = tmp_path / "traces"
    folder.mkdir()
    monkeypatch.setenv("HARBINGER_TRACES", str(folder))
    planted = tmp_path / "planted.log"
    keep_server(server.data, server.log_path, planted)
    assert find_leaks(folder) == []
    planted.write_text(f"POST /{values['path']}\n", encoding="utf-8")
    assert [(leak.path, leak.offset) for leak in find_leaks(folder)] == [(str(planted), 6)]
    planted.unlink()

# SPDX-License-Identifier: Apache-2.0
"""An API client that holds every answer against api/openapi.yaml: operation, status, content type, body.

Each (operation, status) that was seen goes to a file in $HARBINGER_OPENAPI_SEEN, when that is set; scripts/run-tests
compares them with the specification after the last test (openapi_coverage.py).
"""
import http.client
import json
import os
import re
import urllib.parse

from . import secrets
from .openapi import SPEC
from .server import ADMIN_PASSWORD, basic
from .waiting import BOUND_S, wait_until

BASE = "/api/v2.0"


class Answer:
    def __init__(self, method, path, status, headers, body):
        self.method, self.path, self.status, self.headers, self.body = method, path, status, headers, body

    def header(self, name):
        return self.headers.get(name.lower())

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def message(self):
        """The words of an error."""
        return self.json["errors"][0]["message"]

    @property
    def code(self):
        return self.json["errors"][0]["code"]

    @property
    def location_id(self):
        """The id at the end of Location."""
        return int(self.header("Location").rsplit("/", 1)[1])

    def __repr__(self):
        return f"<{self.method} {self.path}: {self.status} {self.body[:300]!r}>"


class Api:
    """Paths are below /api/v2.0 unless they begin with /api/ or /c/. `expect`: the status that the test is about.

    authorization: an Authorization header's value, or None for the anonymous.
    """

    def __init__(self, server, authorization=basic("admin", ADMIN_PASSWORD)):
        self.server = server
        self.authorization = authorization

    def as_user(self, authorization):
        return Api(self.server, authorization)

    def anonymous(self):
        return Api(self.server, None)

    def request(self, method, path, body=None, expect=None, query=None, headers=None, raw=None):
        """body: an object to send as JSON. raw: bytes to send as they are (Content-Type from headers)."""
        path = path if path.startswith(("/api/", "/c/")) else BASE + path
        if query:
            path += "?" + urllib.parse.urlencode(query)
        sent = dict(headers or {})
        if body is not None:
            secrets.remember_targets(body)
            raw = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        if self.authorization is not None:
            sent.setdefault("Authorization", self.authorization)
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=BOUND_S)
        try:
            connection.request(method, path, body=raw, headers=sent)
            return self.check_raw(method, path, connection.getresponse(), expect, body)
        finally:
            connection.close()

    def check_raw(self, method, path, got, expect=None, sent=None):
        """The answer of an http.client response, checked; for requests that this client would not send."""
        headers = {name.lower(): value for name, value in got.getheaders()}
        answer = Answer(method, path, got.status, headers, got.read())
        self.server.keep_answer(method, path, got.status, headers, answer.body)
        if got.status == 201 and path.split("?")[0].endswith("/harbinger/tokens"):
            secrets.remember(answer.json["token"])
        if expect is not None:
            assert answer.status == expect, f"{answer!r}, not {expect}"
        assert answer.header("X-Request-Id"), f"{answer!r} has no X-Request-Id"
        SPEC.check(answer, sent)
        return answer

    def get(self, path, expect=200, **options):
        return self.request("GET", path, expect=expect, **options)

    def head(self, path, expect=200, **options):
        return self.request("HEAD", path, expect=expect, **options)

    def post(self, path, body=None, expect=201, **options):
        return self.request("POST", path, body, expect=expect, **options)

    def put(self, path, body=None, expect=200, **options):
        return self.request("PUT", path, body, expect=expect, **options)

    def delete(self, path, expect=200, **options):
        return self.request("DELETE", path, expect=expect, **options)

    # -- what most tests begin with --

    def project(self, name, public=False):
        """Creates a project; its id."""
        body = {"project_name": name, "metadata": {"public": "true" if public else "false"}}
        return self.post("/projects", body).location_id

    def sync(self, **body):
        """Begins a sync of the catalogue with the registry and waits for its end; its state."""
        self.post("/harbinger/sync", body, expect=202)
        return self.sync_ended()

    def sync_ended(self):
        return wait_until(lambda: (lambda state: None if state["running"] else state)(self.get("/harbinger/sync").json),
                          "the sync has ended")

    def webhook(self, project, address, events=("PUSH_ARTIFACT",), name="hook", **fields):
        """Creates a policy with one target; its id. Fields of the target: auth_header, skip_cert_verify,
        payload_format, type, target (a dict over them); the others are the policy's."""
        target = {"type": "http", "address": address}
        for key in ("auth_header", "skip_cert_verify", "payload_format", "type"):
            if key in fields:
                target[key] = fields.pop(key)
        target.update(fields.pop("target", {}))
        body = {"name": name, "enabled": True, "event_types": list(events), "targets": [target], **fields}
        return self.post(f"/projects/{project}/webhook/policies", body).location_id

    def submit(self, project, event=None, expect=201, key=None):
        """POST /projects/{p}/events; the answer's object. By default a push of team/app."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.post(f"/projects/{project}/events", push_event() if event is None else event, expect=expect,
                         headers=headers).json

    def executions(self, project, policy, **query):
        return self.get(f"/projects/{project}/webhook/policies/{policy}/executions", query=query).json

    def execution_ended(self, project, policy, count=1):
        """Waits until this many executions of the policy are there and none of them is Running; newest first."""
        return wait_until(lambda: (lambda all_: all_ if len(all_) >= count and
                                   all(one["status"] != "Running" for one in all_) else None)
                          (self.executions(project, policy, page_size=100)), f"{count} executions ended")


def push_event(repository="app", tag="v1", digest=None, **fields):
    """A submission of PUSH_ARTIFACT."""
    digest = digest or "sha256:" + os.urandom(32).hex()
    return {"type": "PUSH_ARTIFACT", "occurred_at": "2026-08-21T08:13:20.123456Z",
            "actor": {"kind": "user", "name": "alice"}, "repository": {"name": repository},
            "artifacts": [{"digest": digest, "tags": [tag], "reference": tag}], **fields}


def links(answer):
    """rel -> target of the Link header."""
    found = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.header("Link") or "")
    return {rel: target for target, rel in found}

# SPDX-License-Identifier: Apache-2.0
"""Every golden over the wire: submitted to the real server, taken from real requests, compared byte by byte.

What the server adds by itself (ids, numbers, the client, when a repository was first seen) is put into the golden before
the comparison; everything else must be the golden's. tests/golden/README.md has the rules.
"""
import json
import pathlib
import string
import sys

import pytest
import yaml

from support.api import Api
from support.receiver import Receiver
from support.waiting import wait_until

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from checkers import cloudevents, contents, slack, strict_json  # noqa: E402

GOLDEN = TESTS / "golden"
CASES = sorted(path.name.removesuffix(".event.json") for path in GOLDEN.glob("*.event.json"))
TABLE = contents.load(TESTS / "seed_contents.yaml")
DIFFERENCES = yaml.safe_load((GOLDEN / "differences.yaml").read_text(encoding="utf-8"))
HOST, PORTAL = "registry.example.com", "https://harbinger.example.com"
SERVER = {"settings": {"registry_host": HOST, "portal_url": PORTAL}}
USER_AGENT = "golden/1.0"
GOLDEN_PROJECT, GOLDEN_CREATED = "team-a", b'"date_created":1787200000'
FORMS = {"default": {"payload_format": "Default"}, "cloudevents": {"payload_format": "CloudEvents"},
         "slack": {"type": "slack"}}
CONTENT_TYPES = {"default": "application/json", "cloudevents": "application/cloudevents+json",
                 "slack": "application/json"}
MEMBERS = ["event_id", "seq", "occurred_at", "trigger", "actor", "client", "artifacts", "scan", "quota", "replication",
           "retention"]


def dump(value):
    """As the goldens are written: compact, with Go's escapes (unit_py/test_goldens.py holds them to that)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode()


class Wire:
    """One case sent: the requests by form, with extras (`bodies`) and without (`bare`), and what the server added."""

    def __init__(self, api, receiver, case, project):
        source = json.loads((GOLDEN / f"{case}.event.json").read_text(encoding="utf-8").replace(GOLDEN_PROJECT, project))
        self.case, self.project, self.fixture, self.event = case, project, source["fixture"], source["event"]
        self.project_id = api.project(project, public=self.fixture["visibility"] == "public")
        self.created = self._make_repository(api) if self.fixture["repository_created"] else None
        self.policies = {}
        for form, fields in FORMS.items():
            for extras in (True, False):
                key = form if extras else f"{form}-bare"
                self.policies[key] = api.webhook(project, f"{receiver.url}/{project}/{key}", name=key,
                                                 events=[self.event["type"]], target={"harbinger": {"extras": extras}},
                                                 **fields)
        self.answer = self._submit(api)
        self.bodies = self._take(receiver)

    def _make_repository(self, api):
        """The golden's repository is known already; when it was first seen, in whole seconds."""
        name = self.event["repository"]["name"]
        first = {"type": "PUSH_ARTIFACT", "actor": {"kind": "user", "name": "first"}, "repository": {"name": name},
                 "artifacts": [{"digest": "sha256:" + "0" * 64, "tags": ["first"], "reference": "first"}]}
        api.submit(self.project, first)
        quoted = name.replace("/", "%252F")
        made = api.get(f"/projects/{self.project}/repositories/{quoted}").json["creation_time"]
        return contents.unix(made)

    def _submit(self, api):
        body = dict(self.event)
        if self.fixture["trigger"] is not None:
            body["trigger"] = self.fixture["trigger"]
        headers = {"X-Request-Id": self.fixture["client"]["request_id"], "User-Agent": USER_AGENT}
        return api.post(f"/projects/{self.project}/events", body, headers=headers).json

    def _take(self, receiver):
        prefix = f"/{self.project}/"

        def arrived():
            found = {one.target.removeprefix(prefix): one for one in receiver.requests if one.target.startswith(prefix)}
            return found if len(found) == len(self.policies) else None

        found = wait_until(arrived, f"six bodies of {self.case}")
        for key, request in found.items():
            assert request.header("webhook-id") == self.answer["id"]
            assert request.header("Content-Type") == CONTENT_TYPES[key.removesuffix("-bare")]
        return {key: request.body for key, request in found.items()}

    def replaced(self, body, form, key):
        """A golden with the server's facts in place of the fixture's, as text."""
        body = body.replace(GOLDEN_PROJECT.encode(), self.project.encode())
        body = body.replace(self.fixture["id"].encode(), self.answer["id"].encode())
        if self.created is not None:
            body = body.replace(GOLDEN_CREATED, b'"date_created":%d' % self.created)
        if form == "cloudevents":
            body = body.replace(b'"source":"/projects/%d/webhook/policies/%d"'
                                % (self.fixture["project_id"], self.fixture["policy_id"]),
                                b'"source":"/projects/%d/webhook/policies/%d"' % (self.project_id, self.policies[key]))
        if form == "slack":
            body = body.replace(f"{PORTAL}/harbor/projects/{self.fixture['project_id']}/webhook".encode(),
                                f"{PORTAL}/harbor/projects/{self.project_id}/webhook".encode())
        return body

    def expected(self, form):
        body = self.replaced((GOLDEN / f"{self.case}.{form}.json").read_bytes(), form, form)
        if form == "slack":
            return body
        document = json.loads(body)
        data = document["event_data" if form == "default" else "data"]
        ours = data["harbinger"]
        ours["seq"] = self.answer["seq"]
        ours["client"] = {"address": "127.0.0.1", "user_agent": USER_AGENT,
                          "request_id": self.fixture["client"]["request_id"]}
        ours.setdefault("trigger", "api")
        data["harbinger"] = {name: ours[name] for name in MEMBERS if name in ours}
        return dump(document)


@pytest.fixture(scope="module")
def wires(server):
    """Every case is sent once, each in a project of its own whose name is as long as the goldens'."""
    receiver, made = Receiver(), {}

    def get(case):
        if case not in made:
            letter = string.ascii_lowercase[1 + CASES.index(case)]
            made[case] = Wire(Api(server), receiver, case, GOLDEN_PROJECT[:-1] + letter)
        return made[case]

    yield get
    receiver.close()


pytestmark = pytest.mark.xdist_group("formats")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_the_body_on_the_wire_is_the_golden(wires, case, form):
    wire = wires(case)
    assert wire.bodies[form].decode() == wire.expected(form).decode()


@pytest.mark.parametrize("form", ["default", "cloudevents"])
@pytest.mark.parametrize("case", CASES)
def test_without_extras_it_is_harbors_bytes(wires, case, form):
    wire = wires(case)
    assert wire.bodies[f"{form}-bare"].decode() == bare_golden(wire, form).decode()


def bare_golden(wire, form):
    """Our golden cut. It is Harbor's own bytes but for the listed values that are right where Harbor's are wrong."""
    cut = contents.cut_last_member((GOLDEN / f"{wire.case}.{form}.json").read_bytes(), form)
    harbors = cut
    for difference in DIFFERENCES.get(wire.case, []):
        assert harbors.count(difference["ours"].encode()) == 1
        harbors = harbors.replace(difference["ours"].encode(), difference["harbors"].encode())
    assert harbors == (GOLDEN / "harbor" / f"{wire.case}.{form}.json").read_bytes()
    return wire.replaced(cut, form, f"{form}-bare")


@pytest.mark.parametrize("case", CASES)
def test_cutting_our_member_off_the_wire_gives_the_bytes_without_extras(wires, case):
    wire = wires(case)
    for form in ("default", "cloudevents"):
        cut = contents.cut_last_member(wire.bodies[form], form)
        if form == "cloudevents":  # each policy is a source of its own
            cut = cut.replace(b"/policies/%d\"" % wire.policies[form], b"/policies/%d\"" % wire.policies[f"{form}-bare"])
        assert cut == wire.bodies[f"{form}-bare"]


@pytest.mark.parametrize("case", CASES)
def test_every_body_is_strict_and_keeps_its_formats_rules(wires, case):
    wire = wires(case)
    for key, body in wire.bodies.items():
        assert strict_json.loads(body)
        if key.startswith("cloudevents"):
            assert cloudevents.check(body, CONTENT_TYPES["cloudevents"]) == []
        if key.startswith("slack"):
            assert slack.check(body, PORTAL) == []
    # A chat message has nothing to leave out.
    assert wire.bodies["slack-bare"] == wire.bodies["slack"]


def test_no_cell_of_the_vendors_table_is_empty_on_the_wire(wires):
    types = {cell["event"] for cell in TABLE["cells"]}
    assert len(types) == 10
    bodies = {event: {form: wires(event).bodies[form] for form in FORMS} for event in types}
    assert contents.walk(TABLE, bodies) == []


def test_the_sample_of_the_vendors_document_has_every_key_at_its_path(api, receiver):
    """The body that msr4-webhooks.txt shows, reported by a job, comes out with the same values."""
    digest = "sha256:954b378c375d852eb3c63ab88978f640b4348b01c1b3e0e1e4e4e4e4e4e4e4e4"
    api.project("project")
    api.webhook("project", receiver.url)
    api.submit("project", {"type": "PUSH_ARTIFACT", "occurred_at": "2023-04-03T06:04:53Z",
                           "actor": {"kind": "system", "name": "harbor-jobservice"},
                           "repository": {"name": "repository"},
                           "artifacts": [{"digest": digest, "tags": ["latest"], "reference": "latest"}]})
    request = receiver.next()
    assert contents.check_sample(TABLE, request.body) == []
    body = request.json
    assert {key: body[key] for key in ("type", "occur_at", "operator")} == {
        "type": "PUSH_ARTIFACT", "occur_at": 1680501893, "operator": "harbor-jobservice"}
    assert body["event_data"]["resources"] == [
        {"digest": digest, "tag": "latest", "resource_url": f"{HOST}/project/repository:latest"}]
    repository = dict(body["event_data"]["repository"])
    repository.pop("date_created")
    assert repository == {"name": "repository", "namespace": "project", "repo_full_name": "project/repository",
                          "repo_type": "private"}


def test_the_payload_that_the_api_shows_is_the_body_that_was_sent(api, wires):
    wire = wires("PUSH_ARTIFACT")
    for key, policy in wire.policies.items():
        execution = api.execution_ended(wire.project, policy)[0]
        assert execution["extra_attrs"]["payload"].encode() == wire.bodies[key]

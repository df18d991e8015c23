"""The goldens obey the rules of their formats, are Harbor's bytes once our member is cut off, and hold every
content that the vendor's table promises; and each checker turns red when a fault is planted."""

import copy
import json
import pathlib
import re
import sys

import pytest
import yaml

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from checkers import cloudevents, contents, slack, strict_json  # noqa: E402

GOLDEN = TESTS / "golden"
CASES = sorted(path.name[: -len(".event.json")] for path in GOLDEN.glob("*.event.json"))
TYPES = [
    "PUSH_ARTIFACT", "PULL_ARTIFACT", "DELETE_ARTIFACT", "QUOTA_EXCEED", "QUOTA_WARNING",
    "SCANNING_FAILED", "SCANNING_STOPPED", "SCANNING_COMPLETED", "REPLICATION", "TAG_RETENTION",
]  # fmt: skip
FORMS = ["default", "cloudevents", "slack"]
LINK_BASE = "https://harbinger.example.com"
MEMBERS = [
    "event_id", "seq", "occurred_at", "trigger", "actor", "client", "artifacts",
    "scan", "quota", "replication", "retention",
]  # fmt: skip
ARTIFACT_MEMBERS = ["name", "digest", "tags", "media_type", "kind", "platform", "size", "children"]
SCAN_MEMBERS = ["status", "critical", "major", "minor", "error", "completed_at"]
PROMISED_CELLS = {
    "PUSH_ARTIFACT": 8, "PULL_ARTIFACT": 6, "DELETE_ARTIFACT": 7, "SCANNING_COMPLETED": 10, "SCANNING_STOPPED": 5,
    "SCANNING_FAILED": 6, "QUOTA_EXCEED": 7, "QUOTA_WARNING": 7, "REPLICATION": 7, "TAG_RETENTION": 5,
}  # fmt: skip


def golden(case, form):
    return (GOLDEN / f"{case}.{form}.json").read_bytes()


def source(case):
    return json.loads((GOLDEN / f"{case}.event.json").read_text(encoding="utf-8"))


def table():
    return contents.load(TESTS / "seed_contents.yaml")


def bodies():
    return {event: {form: golden(event, form) for form in FORMS} for event in TYPES}


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def ours(case):
    return json.loads(golden(case, "default"))["event_data"]["harbinger"]


def in_order(members, order):
    return [name for name in order if name in members] == list(members)


def test_every_type_has_its_goldens():
    assert set(TYPES) <= set(CASES)
    assert {case.split("-")[0] for case in CASES} == set(TYPES)
    files = {path.name for path in GOLDEN.glob("*.json")}
    assert files == {f"{case}.{form}.json" for case in CASES for form in ["event", *FORMS]}
    harbor = {path.name for path in (GOLDEN / "harbor").iterdir()}
    assert harbor == {f"{case}.{form}.json" for case in CASES for form in FORMS[:2]}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_golden_is_compact_and_escaped_as_go_does(case, form):
    body = golden(case, form)
    parsed = strict_json.loads(body)
    text = body.decode()
    assert not set(text) & set("<>&\u2028\u2029\n\t ") - {" "}
    plain = json.dumps(parsed, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        plain = plain.replace(char, f"\\u{ord(char):04x}")
    assert plain == text


@pytest.mark.parametrize("form", ["default", "cloudevents"])
@pytest.mark.parametrize("case", CASES)
def test_cut_golden_is_harbors_bytes(case, form):
    cut = contents.cut_last_member(golden(case, form), form)
    for difference in yaml.safe_load((GOLDEN / "differences.yaml").read_text(encoding="utf-8")).get(case, []):
        right, wrong = difference["ours"].encode(), difference["harbors"].encode()
        assert cut.count(right) == 1
        cut = cut.replace(right, wrong)
    assert cut == (GOLDEN / "harbor" / f"{case}.{form}.json").read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_default_golden_and_event_tell_the_same(case):
    event, fixture = source(case)["event"], source(case)["fixture"]
    body, added = json.loads(golden(case, "default")), ours(case)
    assert body["type"] == event["type"] == case.split("-")[0]
    assert body["operator"] == event["actor"]["name"]
    assert body["occur_at"] == contents.unix(event["occurred_at"])
    assert added["event_id"] == fixture["id"] and added["seq"] == fixture["seq"]
    assert added["occurred_at"] == event["occurred_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", added["occurred_at"])
    milliseconds = body["occur_at"] * 1000 + int(added["occurred_at"][20:23])
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", fixture["id"])
    assert int(fixture["id"].replace("-", "")[:12], 16) == milliseconds
    listed = added.get("artifacts") or added.get("retention", {}).get("artifacts") or []
    assert [item["digest"] for item in listed] == [item["digest"] for item in event["artifacts"]]
    assert [item.get("tags", []) for item in listed] == [item["tags"] for item in event["artifacts"]]
    assert [item.get("size") for item in listed] == [item.get("size") for item in event["artifacts"]]


@pytest.mark.parametrize("case", CASES)
def test_our_member_keeps_the_order_of_the_wire_rule(case):
    added = ours(case)
    assert in_order(added, MEMBERS)
    for item in added.get("artifacts", []) + added.get("retention", {}).get("artifacts", []):
        assert in_order(item, ARTIFACT_MEMBERS)
        assert all(in_order(child, ARTIFACT_MEMBERS) for child in item.get("children", []))
    assert in_order(added.get("scan", {}), SCAN_MEMBERS)
    assert in_order(added.get("actor", {}), ["kind", "name"])
    assert in_order(added.get("client", {}), ["address", "user_agent", "request_id"])
    assert len(set(added) & set(MEMBERS[-4:])) == (0 if case.split("_")[-1].startswith("ARTIFACT") else 1)


@pytest.mark.parametrize("case", CASES)
def test_cloudevents_golden_obeys_the_specification(case):
    body = golden(case, "cloudevents")
    assert cloudevents.check(body, "application/cloudevents+json") == []
    event, default = json.loads(body), json.loads(golden(case, "default"))
    assert list(event) == ["specversion", "id", "source", "type", "datacontenttype", "time", "data", "operator", "requestid"]
    assert event["id"] == source(case)["fixture"]["id"]
    assert event["data"] == default["event_data"]
    assert contents.unix(event["time"]) == default["occur_at"] and len(event["time"]) == 20


@pytest.mark.parametrize("case", CASES)
def test_slack_golden_is_within_limits_and_harmless(case):
    assert slack.check(golden(case, "slack"), LINK_BASE) == []


def test_hostile_and_long_goldens_reach_the_limits():
    details = json.loads(golden("SCANNING_FAILED-hostile", "slack"))["blocks"][2]["text"]["text"]
    assert slack.MAX_SECTION_TEXT - 5 <= len(details) <= slack.MAX_SECTION_TEXT and details.endswith("…")
    blocks = json.loads(golden("TAG_RETENTION-many", "slack"))["blocks"]
    assert len(blocks[0]["text"]["text"]) == slack.MAX_HEADER and blocks[0]["text"]["text"].endswith("…")
    assert blocks[1]["fields"][2]["text"].endswith("\nand 2 more")


def test_ids_are_unique():
    ids = [source(case)["fixture"]["id"] for case in CASES]
    assert len(set(ids)) == len(ids)


def test_table_has_a_cell_for_every_promise_and_none_is_empty():
    cells = table()["cells"]
    assert {event: sum(cell["event"] == event for cell in cells) for event in TYPES} == PROMISED_CELLS
    assert all(cell.get(name) for cell in cells for name in ["content", *FORMS])
    assert contents.walk(table(), bodies()) == []


def test_sample_of_the_document_is_covered():
    assert len(table()["sample"]) == 14
    assert contents.check_sample(table(), golden("PUSH_ARTIFACT", "default")) == []


@pytest.mark.parametrize("form", FORMS)
def test_walk_turns_red_when_one_format_lacks_its_contents(form):
    for event in TYPES:
        planted = bodies()
        empty = {"default": {"event_data": {}}, "cloudevents": {"data": {}}, "slack": {"blocks": []}}[form]
        planted[event][form] = dump(empty)
        faults = contents.walk(table(), planted)
        assert len(faults) == PROMISED_CELLS[event]
        assert all(fault.startswith(event + ",") for fault in faults)


def test_walk_turns_red_when_formats_differ():
    planted = bodies()
    planted["DELETE_ARTIFACT"]["slack"] = golden("DELETE_ARTIFACT", "slack").replace(b"27.0 MiB", b"27.1 MiB")
    planted["PUSH_ARTIFACT"]["cloudevents"] = golden("PUSH_ARTIFACT", "cloudevents").replace(b":20Z", b":21Z")
    planted["SCANNING_COMPLETED"]["slack"] = golden("SCANNING_COMPLETED", "slack").replace(b"1 critical", b"4 critical")
    faults = contents.walk(table(), planted)
    assert [fault.split(":")[0] for fault in faults] == [
        "PUSH_ARTIFACT, push time", "DELETE_ARTIFACT, artifact size", "SCANNING_COMPLETED, number of critical issues",
    ]  # fmt: skip


def test_walk_turns_red_for_an_event_without_bodies_and_an_empty_value():
    planted = bodies()
    del planted["PULL_ARTIFACT"]
    planted["PUSH_ARTIFACT"]["default"] = golden("PUSH_ARTIFACT", "default").replace(b'"alice","event_data', b'"","event_data')
    faults = contents.walk(table(), planted)
    assert len(faults) == 1 + PROMISED_CELLS["PULL_ARTIFACT"]


def test_sample_turns_red_for_a_wrong_type_and_a_missing_key():
    body = golden("PUSH_ARTIFACT", "default")
    assert contents.check_sample(table(), body.replace(b'"occur_at":1787300000', b'"occur_at":"1787300000"'))
    assert contents.check_sample(table(), body.replace(b'"repo_type"', b'"repo_kind"'))


def test_cut_takes_the_member_and_nothing_else():
    body = b'{"a":"\\"harbinger\\":{}","event_data":{"x":[1,{"harbinger":2}],"y":"}","harbinger":{"z":["]\\\\"]}},"b":null}'
    assert contents.cut_last_member(body, "default") == (
        b'{"a":"\\"harbinger\\":{}","event_data":{"x":[1,{"harbinger":2}],"y":"}"},"b":null}'
    )
    assert contents.cut_last_member(b'{"data":{"harbinger":{}}}', "cloudevents") == b'{"data":{}}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"event_data":{"harbinger":{},"x":1}}',
        b'{"event_data":{"x":1}}',
        b'{"harbinger":{},"data":{}}',
        b'{"event_data":{"harbinger":{"x":1}',
        b'{"event_data": {"harbinger":{}}}',
    ],
)
def test_cut_refuses_a_body_where_the_member_is_not_last(body):
    with pytest.raises(ValueError):
        contents.cut_last_member(body, "default")


def planted_slack(plant):
    message = json.loads(golden("SCANNING_FAILED", "slack"))
    header, fields, detail, context = message["blocks"]
    plant(message, header["text"], fields["fields"], detail["text"], context["elements"])
    return slack.check(dump(message), LINK_BASE)


SLACK_FAULTS = {
    "a channel mention in a field": lambda m, h, f, d, c: f[0].update(text="*Project*\n`<!channel>`"),
    "a user mention in plain text": lambda m, h, f, d, c: d.update(text="<@U024BE7LH>"),
    "a foreign link in the context": lambda m, h, f, d, c: c[0].update(text="<https://evil.example/x|Open in Harbinger>"),
    "a mention in the fallback": lambda m, h, f, d, c: m.update(text="Scan failed: `<!here>`"),
    "our link in the fallback": lambda m, h, f, d, c: m.update(text=f"<{LINK_BASE}/x|Open>"),
    "formatting from a name": lambda m, h, f, d, c: f[0].update(text="*Project*\n*team-a*"),
    "formatting in the fallback": lambda m, h, f, d, c: m.update(text="Scan failed: *bold*"),
    "an open code span": lambda m, h, f, d, c: f[0].update(text="*Project*\n`team-a"),
    "a code span over two lines": lambda m, h, f, d, c: f[0].update(text="*Project*\n`team\n-a`"),
    "a split entity": lambda m, h, f, d, c: d.update(text="a &am…"),
    "a bare ampersand": lambda m, h, f, d, c: h.update(text="a & b"),
    "an unknown entity": lambda m, h, f, d, c: h.update(text="a&quot;b"),
    "a long header": lambda m, h, f, d, c: h.update(text="x" * 151),
    "a header of markup": lambda m, h, f, d, c: h.update(type="mrkdwn"),
    "emoji in plain text": lambda m, h, f, d, c: h.update(emoji=True),
    "a long section": lambda m, h, f, d, c: d.update(text="x" * 3001),
    "an empty section": lambda m, h, f, d, c: d.update(text=""),
    "a long field": lambda m, h, f, d, c: f[0].update(text="*Project*\n`" + "x" * 1990 + "`"),
    "eleven fields": lambda m, h, f, d, c: f.extend([f[0]] * (11 - len(f))),
    "eleven context elements": lambda m, h, f, d, c: c.extend([c[0]] * 7),
    "automatic links": lambda m, h, f, d, c: f[0].pop("verbatim"),
    "51 blocks": lambda m, h, f, d, c: m["blocks"].extend([{"type": "context", "elements": c}] * 47),
    "too much in all": lambda m, h, f, d, c: m["blocks"].extend(
        [{"type": "section", "text": {"type": "plain_text", "text": "x" * 3000, "emoji": False}}] * 5
    ),
    "no blocks": lambda m, h, f, d, c: m.update(blocks=[]),
    "a button": lambda m, h, f, d, c: m["blocks"].append({"type": "actions", "elements": []}),
    "no fallback": lambda m, h, f, d, c: m.pop("text"),
    "a long fallback": lambda m, h, f, d, c: m.update(text="x" * 4001),
    "an unknown member": lambda m, h, f, d, c: m.update(channel="#general"),
}


@pytest.mark.parametrize("name", SLACK_FAULTS)
def test_slack_checker_turns_red(name):
    assert planted_slack(SLACK_FAULTS[name])


def test_slack_checker_takes_the_limits_themselves():
    def plant(message, header, fields, detail, context):
        header.update(text="x" * 150)
        detail.update(text="&amp;" * 600)
        fields.extend([fields[0]] * (10 - len(fields)))
        context.extend([context[0]] * 6)

    assert planted_slack(plant) == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"text":"a","text":"b","blocks":[]}',
        b'{"text":"a\nb","blocks":[]}',
        b'{"text":"\xff","blocks":[]}',
        b'{"text":"\\ud800","blocks":[]}',
        b'{"text":"a","blocks":[NaN]}',
        b'{"text":"a","blocks":[]} x',
        b'\xef\xbb\xbf{"text":"a","blocks":[]}',
        b"",
    ],
)
def test_strict_json_refuses(body):
    with pytest.raises(strict_json.NotStrict):
        strict_json.loads(body)
    assert slack.check(body) and cloudevents.check(body)


CLOUDEVENTS_FAULTS = {
    "no id": {"id": None},
    "empty id": {"id": ""},
    "no source": {"source": None},
    "empty source": {"source": ""},
    "a source with a space": {"source": "/projects/a b"},
    "another version": {"specversion": "0.3"},
    "no type": {"type": None},
    "a time without zone": {"time": "2026-08-21T08:13:20"},
    "a time that is none": {"time": "2026-13-21T08:13:20Z"},
    "a time in seconds": {"time": 1787300000},
    "an upper-case name": {"requestId": "x"},
    "a name with an underscore": {"request_id": "x"},
    "a long name": {"abcdefghijklmnopqrstu": "x"},
    "an object as attribute": {"operator": {"name": "alice"}},
    "a float": {"operator": 1.5},
    "a big integer": {"operator": 2**31},
    "a control character": {"operator": "a\u0007"},
    "a C1 control character": {"operator": "a\u0085"},
    "a non-character": {"operator": "a\uffff"},
    "data twice": {"data_base64": "e30="},
    "JSON in a string": {"data": '{"resources":[]}'},
    "an object under a text type": {"datacontenttype": "text/plain"},
    "a content type that is none": {"datacontenttype": "json"},
    "an empty subject": {"subject": ""},
    "a relative schema": {"dataschema": "/schema"},
}


@pytest.mark.parametrize("name", CLOUDEVENTS_FAULTS)
def test_cloudevents_checker_turns_red(name):
    event = copy.deepcopy(json.loads(golden("PUSH_ARTIFACT", "cloudevents")))
    event.update(CLOUDEVENTS_FAULTS[name])
    assert cloudevents.check(dump(event))


def test_cloudevents_checker_turns_red_for_another_content_type():
    body = golden("PUSH_ARTIFACT", "cloudevents")
    assert cloudevents.check(body, "application/json")
    assert cloudevents.check(body, "application/cloudevents-batch+json")
    assert cloudevents.check(body, "application/cloudevents+json; charset=utf-8") == []

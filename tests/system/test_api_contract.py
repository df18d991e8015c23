# SPDX-License-Identifier: Apache-2.0
"""What holds for every operation of api/openapi.yaml alike: credentials, malformed paths, sizes, lists, methods.

The client checks each answer against the specification (support/openapi.py); these tests see to it that the refusals are
produced for each operation, one by one.
"""
import http.client
import json

import pytest
from support.api import Api
from support.openapi import SPEC
from support.server import basic
from support.waiting import BOUND_S

OPERATIONS = sorted(SPEC.operations, key=lambda operation: (operation.path, operation.method))
VALUES = {"project_name_or_id": "contract", "webhook_policy_id": "1", "execution_id": "1", "task_id": "1",
          "delivery_id": "1", "event_id": "01a20c58-2118-7001-8684-922ff532fe80", "repository_name": "web%252Fapi",
          "reference": "v1", "tag_name": "v1", "user_id": "1", "token_id": "1"}
INTEGERS = ("webhook_policy_id", "execution_id", "task_id", "delivery_id", "user_id", "token_id")


def parameters(operation, place):
    return [one for one in map(SPEC.resolve, operation.parameters) if one["in"] == place]


def having(condition):
    chosen = [operation for operation in OPERATIONS if condition(operation)]
    assert chosen
    return pytest.mark.parametrize("operation", chosen, ids=[operation.id for operation in chosen])


def path_of(operation, **changes):
    path = operation.path
    for name, value in {**VALUES, **changes}.items():
        path = path.replace("{" + name + "}", value)
    return path


def takes_json(operation):
    return "application/json" in SPEC.resolve(operation.value.get("requestBody", {})).get("content", {})


def lists(operation):
    return any(one["name"] == "page_size" for one in parameters(operation, "query"))


def required_query(operation):
    return {one["name"]: "1" for one in parameters(operation, "query") if one.get("required")}


@pytest.fixture(scope="module")
def known(server):
    """A server that has a project `contract`."""
    api = Api(server)
    api.project("contract")
    return api


@having(lambda operation: True)
def test_wrong_credentials_are_401_on_every_path(operation, server):
    Api(server, basic("admin", "wrong")).request(operation.method, path_of(operation), expect=401)


@having(lambda operation: {} not in operation.value.get("security", []))
def test_without_credentials_nothing_private_is_told(operation, known):
    body = {} if "requestBody" not in operation.value else BODIES.get(operation.id, {})
    sent = body if "requestBody" in operation.value else None
    answer = known.anonymous().request(operation.method, path_of(operation), sent, expect=401,
                                       query=required_query(operation))
    assert operation.method == "HEAD" or answer.message == "unauthorized"


# Bodies that are well-formed: what is malformed is told before rights are asked.
BODIES = {
    "CreateWebhookPolicyOfProject": {"name": "x"}, "UpdateWebhookPolicyOfProject": {"name": "x"},
    "submitEvent": {"type": "PUSH_ARTIFACT", "repository": {"name": "app"},
                    "artifacts": [{"digest": "sha256:" + "0" * 64}]},
    "createToken": {"name": "x"}, "setEgress": {"allowed": []}, "setLogLevel": {"level": "info"},
    "createProject": {"project_name": "anonymous"},
    "testUnsavedWebhook": {"event_type": "PUSH_ARTIFACT"},
    "pauseWebhook": {"mode": "hold"},
    "createTag": {"name": "v2"}, "beginSync": {},
}


@having(lambda operation: parameters(operation, "path"))
def test_a_path_that_is_not_percent_encoded_text_is_400(operation, known):
    name = parameters(operation, "path")[0]["name"]
    for broken in ("%zz", "%ff", "%00"):
        known.request(operation.method, path_of(operation, **{name: broken}), expect=400)


@having(lambda operation: any(one["name"] in INTEGERS for one in parameters(operation, "path")))
def test_an_id_that_is_no_number_is_422_with_its_name(operation, known):
    for name in (one["name"] for one in parameters(operation, "path") if one["name"] in INTEGERS):
        body = BODIES.get(operation.id, {}) if "requestBody" in operation.value else None
        answer = known.request(operation.method, path_of(operation, **{name: "abc"}), body, expect=422)
        assert answer.message == f'validation failure list:\n{name} in path must be of type int64: "abc"'
        assert answer.code == "UNPROCESSABLE_ENTITY"


@having(takes_json)
def test_a_body_must_be_there_and_be_json(operation, known):
    path = path_of(operation)
    problem = "validation failure list:\n"
    missing = known.request(operation.method, path, expect=422)
    assert missing.message.startswith(problem) and missing.message.endswith("in body is required")
    json_type = {"Content-Type": "application/json"}
    for raw in (b"{", b"[]", b'"x"', b"null", b'{"a":1}x', b'{"a":"\xff"}', b"{" + b'"a":{' * 64, b'{"a":"\\u0000"}'):
        broken = known.request(operation.method, path, raw=raw, headers=json_type, expect=422)
        assert broken.message.startswith(problem), raw
    wrong = known.request(operation.method, path, raw=b"{}", headers={"Content-Type": "text/xml"}, expect=422)
    assert wrong.message == problem + 'unsupported media type "text/xml", only [application/json] are allowed'


@having(lambda operation: "requestBody" in operation.value)
def test_a_body_over_a_mebibyte_is_413_before_it_is_read(operation, known):
    connection = http.client.HTTPConnection(known.server.host, known.server.port, timeout=BOUND_S)
    try:
        connection.putrequest(operation.method, path_of(operation))
        for name, value in (("Authorization", known.authorization), ("Content-Type", "application/json"),
                            ("Content-Length", str(1024 * 1024 + 1))):
            connection.putheader(name, value)
        connection.endheaders()
        known.check_raw(operation.method, path_of(operation), connection.getresponse(), expect=413)
    finally:
        connection.close()


@having(lists)
def test_a_list_refuses_pages_over_100_and_broken_queries(operation, known):
    path, query = path_of(operation), required_query(operation)
    big = known.get(path, query={**query, "page_size": 101}, expect=422)
    assert big.message == "validation failure list:\npage_size in query should be less than or equal to 100"
    known.get(path, query={**query, "page": "x"}, expect=422)
    for q, words in (("name", 'the query string must contain "=" and the key/value cannot be empty'),
                     ("=x", 'the query string must contain "=" and the key/value cannot be empty'),
                     ("a=[1]", "invalid query string value: [1]"), ("a=[~]", "invalid query string value: [~]")):
        refused = known.get(path, query={**query, "q": q}, expect=400)
        assert (refused.code, refused.message) == ("BAD_REQUEST", words)


@having(lambda operation: "{project_name_or_id}" in operation.path)
def test_an_unknown_project_is_404_for_administrators_and_401_for_the_anonymous(operation, known):
    if operation.id == "CreateWebhookPolicyOfProject":
        body = {"name": "x", "event_types": ["PUSH_ARTIFACT"], "targets": [{"type": "http", "address": "http://a.example"}]}
    else:
        body = BODIES.get(operation.id, {}) if "requestBody" in operation.value else None
    query = required_query(operation)
    path = path_of(operation, project_name_or_id="no-such-project")
    answer = known.request(operation.method, path, body, expect=404, query=query)
    assert (answer.code, answer.message) == ("NOT_FOUND", "project no-such-project not found")
    known.anonymous().request(operation.method, path, body, expect=401, query=query)
    known.request(operation.method, path_of(operation, project_name_or_id="with%20blank"), body, expect=400, query=query)


def test_another_method_is_405_with_the_list_of_those_allowed(known):
    answer = known.request("PATCH", "/projects/contract/webhook/policies/1", {}, expect=405)
    assert answer.code == "METHOD_NOT_ALLOWED"
    assert answer.message == "method PATCH is not allowed, but [DELETE,GET,PUT] are"
    assert answer.header("Allow") == "DELETE,GET,PUT"


def test_an_unknown_path_is_404_in_harbors_words(known):
    answer = known.get("/nothing/here", expect=404)
    assert answer.code == "NOT_FOUND"
    assert answer.header("Content-Type") == "application/json; charset=utf-8"
    assert answer.body.endswith(b"\n")


def test_the_request_id_of_the_client_comes_back(known):
    assert known.get("/users/current", headers={"X-Request-Id": "of-the-client"}).header("X-Request-Id") == "of-the-client"
    first, second = (known.get("/users/current").header("X-Request-Id") for _ in range(2))
    assert first != second


def test_success_bodies_end_in_a_newline_and_are_not_html_escaped(known):
    known.webhook("contract", "http://receiver.example/a?b=1&c=<2>".replace("<", "%3C").replace(">", "%3E"), name="a & b")
    answer = known.get("/projects/contract/webhook/policies")
    assert answer.header("Content-Type") == "application/json"
    assert b'"a & b"' in answer.body and answer.body.endswith(b"]\n")


def test_the_specification_is_served_as_it_stands(known):
    with open(SPEC.path, "rb") as file:
        assert known.get("/api/openapi.yaml").body == file.read()


def test_every_operation_lists_the_refusals_that_any_may_meet():
    """The specification itself: 401 everywhere, closed answers."""
    document = SPEC.document if SPEC.operations else None
    for operation in OPERATIONS:
        assert "401" in operation.value["responses"], operation.id
    request_only = {"ConfigurationsChange", "LogLevel", "PasswordChange", "TokenReq", "ProjectReq", "WebhookPolicyReq",
                    "WebhookTargetReq", "WebhookTestReq", "SavedWebhookTestReq", "WebhookPauseReq", "WebhookResumeReq",
                    "SyncReq"}
    for name, schema in document["components"]["schemas"].items():
        if schema.get("type") == "object" and name not in request_only:
            assert "additionalProperties" in schema, f"{name} is open: {json.dumps(schema)[:200]}"

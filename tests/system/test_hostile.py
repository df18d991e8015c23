# SPDX-License-Identifier: Apache-2.0
"""Hostile input against the real server: each is answered clearly, nothing accepted is lost, the server goes on serving.

Every test works on a `street`: a project with a webhook. A push is accepted before the hostile input and another one
after it; at the end both, and nothing else, have become events and were delivered once.
"""
import json
import os
import re
import resource
import socket
import threading

import pytest

from support.api import Api
from support.registry import envelope, notification
from support.server import ADMIN_PASSWORD, INGEST_TOKEN, basic
from support.waiting import BOUND_S, wait_until

MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_EVENTS = 10_000
IDLE_CONNECTIONS = 10_000
IDLE_BYTES_EACH = 4096  # of the server's memory, at most
PROMPT_S = 2.0 * (4 if os.environ.get("HARBINGER_SANITIZER") else 1)
STATUS_LINE = re.compile(rb"HTTP/1\.[01] \d{3} ")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Street:
    """Pushes that a server has accepted, and what its receiver got of them."""

    def __init__(self, server, project, receiver):
        self.server, self.project, self.receiver = server, project, receiver
        self.api = Api(server)
        self.api.webhook(project, receiver.url)
        self.accepted = []

    def push(self):
        event = notification(repository=f"{self.project}/app", tag="v1")
        status, _, body = self.server.ingest(envelope(event))
        assert (status, json.loads(body)) == (200, {"accepted": 1, "events": 1})
        self.accepted.append(event["target"]["digest"])

    def events(self):
        return int(self.api.get(f"/projects/{self.project}/events").header("X-Total-Count"))

    def check(self):
        """The server still takes and delivers; all that it accepted, and nothing else, is there once."""
        self.push()
        requests = self.receiver.wait_for(len(self.accepted))
        got = [request.json["event_data"]["resources"][0]["digest"] for request in requests]
        assert sorted(got) == sorted(self.accepted)
        assert self.events() == len(self.accepted)
        status, _, body = self.server.request("GET", "/readyz")
        assert (status, body) == (200, b"ready\n")


@pytest.fixture
def street(server, project, receiver):
    one = Street(server, project, receiver)
    one.push()
    yield one
    one.check()


@pytest.fixture
def new_street(new_server, receiver):
    """A street on a server of its own, with settings."""
    made = []

    def make(**settings):
        server = new_server(settings=settings)
        Api(server).project("hostile")
        one = Street(server, "hostile", receiver)
        one.push()
        made.append(one)
        return one

    yield make
    for one in made:
        one.check()


# ---- raw bytes ---------------------------------------------------------------------------------------------------------

class Reply:
    def __init__(self, raw):
        self.raw = raw
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if lines[0] else None
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:]]

    def header(self, name):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} stands {len(values)} times in {self.raw[:500]!r}"
        return values[0] if values else None

    @property
    def message(self):
        return json.loads(self.body)["errors"][0]["message"]


def read_to_end(connection):
    """All bytes until the server closes."""
    parts = []
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def send_what_it_takes(connection, data):
    """The server may answer and close before it has read everything."""
    try:
        connection.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


def exchange(server, data, half_close=False):
    """Sends bytes; returns the only answer. The server must have closed the connection after it."""
    with server.socket() as connection:
        send_what_it_takes(connection, data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        raw = read_to_end(connection)
    assert len(STATUS_LINE.findall(raw)) == 1, raw[:1000]
    return Reply(raw)


def ingest_head(*lines, target="/ingest/distribution", method="POST"):
    head = [f"{method} {target} HTTP/1.1", "Host: harbinger.test", f"Authorization: Bearer {INGEST_TOKEN}",
            "Content-Type: application/json", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n"


def good_body(street):
    """What would be an event, were it taken."""
    return json.dumps(envelope(notification(repository=f"{street.project}/smuggled", tag="v1"))).encode()


# ---- bodies ------------------------------------------------------------------------------------------------------------

def deep(opening, closing, levels=10_000):
    return (opening * levels + closing * levels).encode()


NOT_JSON = {
    "not_json": b"this is not JSON",
    "form": b"events=1&more=2",
    "empty": b"",
    "blank": b"   \n",
    "truncated": b'{"events":[{"id":"1","action":"pu',
    "truncated_escape": b'{"events":[{"id":"\\u12',
    "two_values": b'{"events":[]}{"events":[]}',
    "trailing_comma": b'{"events":[],}',
    "deep_arrays": deep("[", "]"),
    "deep_objects": deep('{"events":', "}").replace(b":}", b":1}", 1),
    "deep_and_open": b"[" * 10_000,
    "invalid_utf8": b'{"events":[{"id":"\xff\xfe"}]}',
    "overlong_utf8": b'{"events":[{"id":"\xc0\xaf"}]}',
    "surrogate_utf8": b'{"events":[{"id":"\xed\xa0\x80"}]}',
    "nul": b'{"events":[{"id":"a\x00b"}]}',
    "nul_after": b'{"events":[]}\x00',
    "newline_in_string": b'{"events":[{"id":"a\nb"}]}',
    "bom": b'\xef\xbb\xbf{"events":[]}',
    "nan": b'{"events":[{"target":{"size":NaN}}]}',
    "hexadecimal": b'{"events":[{"target":{"size":0x10}}]}',
    "integer_of_65_bits": b'{"events":[{"target":{"size":9223372036854775808}}]}',
    "negative_of_65_bits": b'{"events":[{"target":{"size":-9223372036854775809}}]}',
    "decimal_too_large": b'{"events":[{"target":{"size":1e999}}]}',
    "number_of_4000_digits": b'{"events":[{"target":{"size":' + b"1" * 4000 + b"}}]}",
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_body_that_is_no_json_is_refused_by_ingest(street, name):
    status, headers, body = street.server.ingest(NOT_JSON[name])
    assert status == 400, body
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert json.loads(body)["errors"][0]["message"].startswith("the body ")


@pytest.mark.parametrize("name", NOT_JSON)
def test_body_that_is_no_json_is_refused_by_the_api(street, name):
    answer = street.api.post("/projects", expect=422, raw=NOT_JSON[name], headers={"Content-Type": "application/json"})
    assert answer.message.startswith("validation failure list:\n")
    assert street.api.get("/projects", query={"q": "name=~hostile-"}).json == []


WRONG_ENVELOPES = {
    "array": b"[]",
    "null": b"null",
    "number": b"7",
    "text": b'"events"',
    "events_missing": b'{"event":[]}',
    "events_object": b'{"events":{"0":{}}}',
    "events_null": b'{"events":null}',
}


@pytest.mark.parametrize("name", WRONG_ENVELOPES)
def test_json_that_is_no_envelope_is_refused(street, name):
    status, _, body = street.server.ingest(WRONG_ENVELOPES[name])
    assert status == 400
    assert "no array `events`" in json.loads(body)["errors"][0]["message"]


WRONG_NOTIFICATIONS = [
    None, 7, "push", [], [[]], {}, {"action": 7}, {"action": "push"}, {"action": "push", "target": "app"},
    {"action": "push", "target": []}, {"action": "push", "target": {"repository": ["a"], "digest": 1}},
    {"action": "push", "target": {"repository": "team/app", "digest": "sha256:short", "tag": "v1"}},
    {"action": "push", "target": {"repository": "team/../app", "digest": "sha256:" + "0" * 64, "tag": "v1"}},
    {"action": "push", "target": {"repository": "team/app", "digest": "sha256:" + "0" * 64, "tag": "v 1"}},
    {"action": "push", "target": {"repository": "team/" + "a" * 5000, "digest": "sha256:" + "0" * 64, "tag": "v1"}},
    {"action": "explode", "target": {"repository": "team/app", "digest": "sha256:" + "0" * 64}},
]


def test_notifications_of_wrong_types_are_noted_and_hold_up_nothing(street):
    """A registry sends an envelope again and again until it is taken: one that it cannot mend must not block the rest."""
    good = notification(repository=f"{street.project}/app", tag="v1")
    status, _, body = street.server.ingest(envelope(*WRONG_NOTIFICATIONS, good))
    assert (status, json.loads(body)) == (200, {"accepted": len(WRONG_NOTIFICATIONS) + 1, "events": 1})
    street.accepted.append(good["target"]["digest"])
    notes = street.api.get("/harbinger/ingest-log", query={"page_size": 100}).json
    assert len(notes) >= len(WRONG_NOTIFICATIONS)
    assert {note["reason"] for note in notes} >= {"malformed"}


@pytest.mark.parametrize("number", ["-1", "-9223372036854775808", "9223372036854775807", "1.5", "1e300", "-0"])
def test_size_that_can_be_none_holds_up_nothing(street, number):
    event = notification(repository=f"{street.project}/app", tag="v1", size=None)
    text = json.dumps(envelope(event)).replace('"size": null', f'"size": {number}')
    assert number in text
    status, _, body = street.server.ingest(text.encode())
    assert (status, json.loads(body)["events"]) == (200, 1)
    street.accepted.append(event["target"]["digest"])


@pytest.mark.parametrize("number", ["1e999", "9223372036854775808", "-9223372036854775809", "1.5"])
def test_numbers_out_of_range_are_refused_by_the_api(street, number):
    body = f'{{"project_name":"hostile-number","storage_limit":{number}}}'.encode()
    answer = street.api.post("/projects", expect=422, raw=body, headers={"Content-Type": "application/json"})
    assert answer.message.startswith("validation failure list:\n")
    for name in ("page", "page_size"):
        answer = street.api.get(f"/projects?{name}={number}", expect=422)
        assert name in answer.message


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b'"x"', b'{"project_name":7}', b'{"project_name":["a"]}',
                                  b'{"project_name":{"a":1}}', b'{"project_name":"hostile-type","metadata":7}'])
def test_wrong_types_are_refused_by_the_api(street, body):
    answer = street.api.post("/projects", expect=422, raw=body, headers={"Content-Type": "application/json"})
    assert answer.message.startswith("validation failure list:\n")


def test_nul_in_a_name_is_refused(street):
    answer = street.api.post("/projects", {"project_name": "hostile\0name"}, expect=422)
    assert "U+0000" in answer.message


@pytest.mark.parametrize("chunked", [False, True])
def test_body_of_10_mib_and_one_byte_is_refused(street, chunked):
    body = good_body(street)
    body += b" " * (MAX_BODY_BYTES + 1 - len(body))
    if chunked:
        chunks = [body[at:at + 65536] for at in range(0, len(body), 65536)]
        framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        reply = exchange(street.server, ingest_head("Transfer-Encoding: chunked") + framed)
    else:
        reply = exchange(street.server, ingest_head(f"Content-Length: {len(body)}") + body)
    assert reply.status == 413
    assert str(MAX_BODY_BYTES) in reply.message


def test_body_of_exactly_10_mib_is_taken(street):
    event = notification(repository=f"{street.project}/app", tag="v1")
    body = json.dumps(envelope(event)).encode()
    status, _, answer = street.server.ingest(body + b" " * (MAX_BODY_BYTES - len(body)))
    assert (status, json.loads(answer)["events"]) == (200, 1)
    street.accepted.append(event["target"]["digest"])


def test_envelope_of_10001_events_is_refused_as_a_whole(street):
    small = {"id": "1", "action": "push", "target": {"repository": f"{street.project}/app", "tag": "v1",
                                                     "digest": "sha256:" + "0" * 64}}
    body = json.dumps(envelope(*[small] * (MAX_EVENTS + 1)), separators=(",", ":")).encode()
    assert len(body) < MAX_BODY_BYTES
    status, _, answer = street.server.ingest(body)
    assert status == 413
    assert "nothing of it was taken" in json.loads(answer)["errors"][0]["message"]


def test_big_body_without_a_token_is_not_read(street):
    head = (b"POST /ingest/distribution HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % MAX_BODY_BYTES)
    assert exchange(street.server, head).status == 413  # answered although no byte of the body has come


# ---- who, where, how ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("authorization", [
    None, "Bearer", "Bearer ", "Bearer wrong", f"Bearer {INGEST_TOKEN}x", f"Bearer {INGEST_TOKEN[:-1]}",
    f"Basic {INGEST_TOKEN}", basic("admin", ADMIN_PASSWORD), INGEST_TOKEN, "Bearer " + "x" * 20_000])
def test_bad_ingest_token_is_401(street, authorization):
    headers = {"Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    status, answer, _ = street.server.request("POST", "/ingest/distribution", good_body(street), headers)
    assert status == 401
    assert answer["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("authorization", [
    "Basic", "Basic !!!", "Basic " + "A" * 20_000, basic("admin", "wrong"), basic("nobody", "wrong"), "Bearer hbt_wrong",
    "Bearer ", "Digest a=b", basic("admin\n2026 error app: forged", "wrong"), basic("admin\0", ADMIN_PASSWORD)])
def test_bad_credentials_are_401(street, authorization):
    assert street.api.as_user(authorization).get("/projects", expect=401).code == "UNAUTHORIZED"


@pytest.mark.parametrize("path", ["/nothing", "/ingest/nothing", "/ingest/distribution/", "/INGEST/distribution",
                                  "/api/v2.0/nothing", "/api/v1/projects", "/api/v2.0/projects/%2e%2e/%2e%2e/etc/passwd",
                                  "/../../etc/passwd", "//api/v2.0/projects", "/" + "a/" * 5000])
def test_unknown_path_is_404(street, path):
    status, headers, body = street.server.request(
        "GET", path, headers={"Authorization": basic("admin", ADMIN_PASSWORD)})
    assert status == 404
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert json.loads(body)["errors"][0]["code"] == "NOT_FOUND"


def test_registry_path_has_the_registrys_errors(street):
    status, _, body = street.server.request("GET", "/v2/team/app/manifests/v1")
    assert status == 404
    assert json.loads(body)["errors"][0]["code"] == "NAME_UNKNOWN"


@pytest.mark.parametrize("method,path", [("GET", "/ingest/distribution"), ("DELETE", "/ingest/distribution"),
                                         ("PATCH", "/api/v2.0/projects"), ("TRACE", "/api/v2.0/projects"),
                                         ("BREW", "/api/v2.0/projects"), ("POST", "/healthz"), ("DELETE", "/metrics")])
def test_wrong_method_is_405(street, method, path):
    status, _, body = street.server.request(method, path, headers={"Authorization": basic("admin", ADMIN_PASSWORD)})
    assert status == 405
    assert "not allowed" in json.loads(body)["errors"][0]["message"]


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/xml", "application/jsonp", "\t", "application/"])
def test_wrong_content_type_is_415(street, content_type):
    headers = {"Authorization": f"Bearer {INGEST_TOKEN}"}
    if content_type:
        headers["Content-Type"] = content_type
    assert street.server.request("POST", "/ingest/distribution", good_body(street), headers)[0] == 415


# ---- HTTP --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("lines", [["X-Long: " + "x" * 65536], [f"X-{i}: {'y' * 1000}" for i in range(70)],
                                   [f"X-{i}: y" for i in range(200)]], ids=["one", "many_long", "many"])
def test_header_over_64_kib_or_128_lines_is_431(street, lines):
    assert exchange(street.server, ingest_head(*lines, "Content-Length: 0")).status == 431


def test_endless_header_is_431(street):
    """Not a byte more than the limit is kept of a header line that never ends."""
    with street.server.socket() as connection:
        send_what_it_takes(connection, b"GET / HTTP/1.1\r\nHost: h\r\nX: ")
        send_what_it_takes(connection, b"x" * 1_000_000)
        assert Reply(read_to_end(connection)).status == 431


def framed(street, *lines):
    """A request whose body is framed as the lines say, with a second one behind it that must never be answered."""
    body = good_body(street)
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    shown = [line.replace("LENGTH", str(len(body))) for line in lines]
    second = ingest_head(f"Content-Length: {len(body)}") + body
    return ingest_head(*shown) + (chunk if "Transfer-Encoding" in "".join(lines) else body) + second


FRAMING = {
    "two_lengths": (400, ["Content-Length: LENGTH", "Content-Length: LENGTH"]),
    "two_different_lengths": (400, ["Content-Length: LENGTH", "Content-Length: 5"]),
    "length_list": (400, ["Content-Length: LENGTH, LENGTH"]),
    "length_negative": (400, ["Content-Length: -1"]),
    "length_plus": (400, ["Content-Length: +LENGTH"]),
    "length_hexadecimal": (400, ["Content-Length: 0x10"]),
    "length_huge": (400, ["Content-Length: 99999999999999999999999"]),
    "length_empty": (400, ["Content-Length:"]),
    "length_and_chunked": (400, ["Content-Length: LENGTH", "Transfer-Encoding: chunked"]),
    "chunked_and_length": (400, ["Transfer-Encoding: chunked", "Content-Length: LENGTH"]),
    "gzip_chunked": (501, ["Transfer-Encoding: gzip, chunked"]),
    "chunked_gzip": (501, ["Transfer-Encoding: chunked, gzip"]),
    "chunked_twice": (501, ["Transfer-Encoding: chunked, chunked"]),
    "two_chunked": (400, ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]),
    "chunked_quoted": (501, ['Transfer-Encoding: "chunked"']),
    "identity": (501, ["Transfer-Encoding: identity"]),
    "coding_vertical_tab": (400, ["Transfer-Encoding: \x0bchunked"]),
    "blank_before_colon": (400, ["Transfer-Encoding : chunked"]),
    "obs_fold": (400, ["X-Folded: a", " b", "Content-Length: LENGTH"]),
    "obs_fold_length": (400, ["Content-Length:", " LENGTH"]),
    "no_name": (400, [": value", "Content-Length: LENGTH"]),
    "no_colon": (400, ["garbage", "Content-Length: LENGTH"]),
    "duplicate_host": (400, ["Host: other.test", "Content-Length: LENGTH"]),
    "bare_cr": (400, ["X-Cr: a\rX-Injected: b", "Content-Length: LENGTH"]),
    "bare_lf": (400, ["X-Lf: a\nX-Injected: b", "Content-Length: LENGTH"]),
    "nul": (400, ["X-Nul: a\0b", "Content-Length: LENGTH"]),
    "bell": (400, ["X-Bell: a\x07b", "Content-Length: LENGTH"]),
}


@pytest.mark.parametrize("name", FRAMING)
def test_ambiguous_message_is_refused_and_ends_the_connection(street, name):
    status, lines = FRAMING[name]
    reply = exchange(street.server, framed(street, *lines))
    assert reply.status == status, reply.raw
    assert reply.header("Connection") == "close"
    assert reply.message


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\nhello\r\n0\r\n\r\n", b"-5\r\n", b"0x5\r\nhello\r\n0\r\n\r\n",
                                    b"ffffffffffffffff\r\n", b"00000000000000000005\r\n", b"5 \r\nhello\r\n0\r\n\r\n",
                                    b"5\r\nhelloworld\r\n0\r\n\r\n", b"5;" + b"x" * 300 + b"\r\n",
                                    b"2\r\n[]\r\n0\r\nbad trailer\r\n\r\n"])
def test_malformed_chunks_are_refused(street, chunks):
    assert exchange(street.server, ingest_head("Transfer-Encoding: chunked") + chunks).status in (400, 413)


BAD_STARTS = {
    "absolute_form": (400, b"GET http://harbinger.test/healthz HTTP/1.1\r\nHost: harbinger.test\r\n\r\n"),
    "authority_form": (400, b"CONNECT harbinger.test:443 HTTP/1.1\r\nHost: harbinger.test\r\n\r\n"),
    "asterisk": (400, b"GET * HTTP/1.1\r\nHost: h\r\n\r\n"),
    "no_host": (400, b"GET /healthz HTTP/1.1\r\n\r\n"),
    "bad_host": (400, b"GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "two_hosts": (400, b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    "bare_lf_everywhere": (400, b"GET /healthz HTTP/1.1\nHost: h\n\n"),
    "two_blanks": (400, b"GET  /healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
    "tab": (400, b"GET\t/healthz\tHTTP/1.1\r\nHost: h\r\n\r\n"),
    "version_2": (505, b"GET /healthz HTTP/2.0\r\nHost: h\r\n\r\n"),
    "version_1_2": (505, b"GET /healthz HTTP/1.2\r\nHost: h\r\n\r\n"),
    "no_version": (400, b"GET /healthz\r\n\r\n"),
    "lower_case_version": (400, b"GET /healthz http/1.1\r\nHost: h\r\n\r\n"),
    "nul_in_target": (400, b"GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n"),
    "utf8_in_target": (400, "GET /ä HTTP/1.1\r\nHost: h\r\n\r\n".encode()),
    "bad_escape": (400, b"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n"),
    "http2_preface": (None, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "binary": (400, bytes(range(128, 256)) * 4),
    "nothing_but_lines": (400, b"\r\n" * 50),
}


@pytest.mark.parametrize("name", BAD_STARTS)
def test_malformed_request_is_refused(street, name):
    status, data = BAD_STARTS[name]
    reply = exchange(street.server, data)
    assert reply.status == status if status else reply.status >= 400
    assert reply.message


def test_tls_on_the_plain_port_is_told_so(street):
    reply = exchange(street.server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64))
    assert reply.status == 400
    assert b"HTTPS request to a port that speaks plain HTTP" in reply.body


def test_pipelined_requests_are_answered_in_order(street):
    ids = [f"pipelined-{number}" for number in range(100)]
    data = b"".join(f"GET /healthz HTTP/1.1\r\nHost: h\r\nX-Request-Id: {one}\r\n\r\n".encode() for one in ids)
    with street.server.socket() as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        raw = read_to_end(connection).decode()
    assert re.findall(r"X-Request-Id: (\S+)\r\n", raw) == ids


# ---- half-closed, gone -------------------------------------------------------------------------------------------------

def test_half_closed_whole_request_is_answered(street):
    event = notification(repository=f"{street.project}/app", tag="v1")
    body = json.dumps(envelope(event)).encode()
    reply = exchange(street.server, ingest_head(f"Content-Length: {len(body)}", "Connection: close") + body,
                     half_close=True)
    assert reply.status == 200
    street.accepted.append(event["target"]["digest"])


@pytest.mark.parametrize("data", [b"GET /hea", b"GET /healthz HTTP/1.1\r\nHost: h\r\n"], ids=["line", "head"])
def test_half_closed_head_is_refused(street, data):
    assert exchange(street.server, data, half_close=True).status == 400


def test_half_closed_body_is_refused_and_nothing_is_stored(street):
    body = good_body(street)
    reply = exchange(street.server, ingest_head(f"Content-Length: {len(body) + 1}") + body, half_close=True)
    assert reply.status == 400
    assert "ended before it was complete" in reply.message


def test_connections_that_reset_in_the_middle_of_a_body_leave_nothing(street):
    body = good_body(street)
    for _ in range(50):
        with street.server.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(ingest_head(f"Content-Length: {len(body)}") + body[:-1])


# ---- slow --------------------------------------------------------------------------------------------------------------

def drip(connection, data):
    """A byte now and then, until the server answers; returns the answer."""
    pace = threading.Event()
    connection.settimeout(0.02)
    parts, at = [], 0
    while True:
        try:
            part = connection.recv(65536)
            if not part:
                return Reply(b"".join(parts))
            parts.append(part)
        except TimeoutError:
            pass
        except ConnectionResetError:
            return Reply(b"".join(parts))
        if not parts:
            assert at < len(data), "all bytes were taken"
            send_what_it_takes(connection, data[at:at + 1])
            at += 1
        pace.wait(0.001)


def test_slow_header_is_408(new_street):
    street = new_street(**{"server.header_timeout_ms": 300})
    with street.server.socket() as silent, street.server.socket() as dripping:
        silent.sendall(b"GET /healthz HTTP/1.1\r\nHost")
        reply = drip(dripping, b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"x" * 10_000)
        for one in (reply, Reply(read_to_end(silent))):
            assert one.status == 408
            assert one.header("Connection") == "close"
            assert "too long" in one.message


def test_connection_that_says_nothing_is_closed(new_street):
    street = new_street(**{"server.header_timeout_ms": 300, "server.keep_alive_timeout_ms": 300})
    with street.server.socket() as silent, street.server.socket() as parked:
        parked.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert read_to_end(parked).startswith(b"HTTP/1.1 200 ")
        assert read_to_end(silent) == b""


@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_body_that_stops_is_408(new_street, framing):
    street = new_street(**{"server.body_idle_timeout_ms": 300})
    with street.server.socket() as connection:
        connection.sendall(ingest_head(framing) + b"2710\r\n" + good_body(street)[:100])
        reply = Reply(read_to_end(connection))
    assert reply.status == 408
    assert "stopped" in reply.message


def test_body_that_drips_is_408(new_street):
    street = new_street(**{"server.body_rate_window_ms": 500})
    with street.server.socket() as connection:
        connection.sendall(ingest_head("Content-Length: 100000"))
        reply = drip(connection, b" " * 100_000)
    assert reply.status == 408
    assert "slowly" in reply.message


def test_client_that_reads_no_answer_is_cut_off(new_street):
    street = new_street(**{"server.write_timeout_ms": 300})
    request = b"GET /api/openapi.yaml HTTP/1.1\r\nHost: h\r\n\r\n"
    with street.server.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(BOUND_S)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while True:
                connection.sendall(request * 1000)


# ---- many --------------------------------------------------------------------------------------------------------------

@pytest.fixture
def descriptors():
    """Raises this process's limit as far as it may; the limit before comes back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE_CONNECTIONS + 1000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"the system allows {hard} descriptors and {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_10000_idle_connections_cost_little_and_delay_nobody(descriptors, new_street):
    day_ms = 86_400_000
    street = new_street(**{"limits.descriptors": 16384, "server.header_timeout_ms": day_ms,
                           "server.keep_alive_timeout_ms": day_ms})
    street.check()
    before = street.server.resident_bytes()
    idle = []
    try:
        for number in range(IDLE_CONNECTIONS):
            idle.append(street.server.socket())
            if number % 2:  # every other one has been served before it was parked
                idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        for connection in idle[1::2]:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        wait_until(lambda: len(os.listdir(f"/proc/{street.server.process.pid}/fd")) > IDLE_CONNECTIONS,
                   "all connections were accepted")
        grown = street.server.resident_bytes() - before
        if not os.environ.get("HARBINGER_SANITIZER"):
            assert grown < IDLE_CONNECTIONS * IDLE_BYTES_EACH, f"{grown} bytes for {IDLE_CONNECTIONS} connections"
        assert street.server.request("GET", "/healthz", timeout=PROMPT_S)[0] == 200
        street.check()
        for connection in (idle[0], idle[1], idle[-1]):  # none of them was given up
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    finally:
        for connection in idle:
            connection.close()


def test_above_the_cap_the_longest_idle_connection_makes_room(new_street):
    street = new_street(**{"server.max_connections": 16})
    idle = [street.server.socket() for _ in range(64)]
    try:
        assert street.server.request("GET", "/healthz")[0] == 200
        assert read_to_end(idle[0]) == b""
    finally:
        for connection in idle:
            connection.close()


# ---- injection ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("value", ["a b", "<script>", "a;b=c\"d", "x" * 129, "", "ä", "a\tb", "../../x"])
def test_request_id_that_is_no_token_is_replaced(street, value):
    head = f"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Request-Id: {value}\r\n\r\n"
    reply = exchange(street.server, head.encode())
    assert reply.status == 200
    given = reply.header("X-Request-Id")
    assert given == value and re.fullmatch(r"[-.\w~!#$%&'*+^`|]{1,128}", given) or UUID.fullmatch(given)


@pytest.mark.parametrize("ending", [b"\r", b"\n", b"\r\n ", b"\r\n\t", b"\0"])
def test_request_id_cannot_inject_a_header(street, ending):
    head = b"GET /healthz HTTP/1.1\r\nHost: h\r\nX-Request-Id: a" + ending + b"Set-Cookie: sid=stolen\r\n\r\n"
    reply = exchange(street.server, head)
    assert reply.status == 400
    assert reply.header("Set-Cookie") is None
    assert UUID.fullmatch(reply.header("X-Request-Id"))


def test_path_cannot_inject_a_header(street):
    """Location is made of the path as it came; it is never decoded."""
    policy = {"name": "injection", "enabled": False, "event_types": ["PUSH_ARTIFACT"],
              "targets": [{"type": "http", "address": street.receiver.url}]}
    answer = street.api.request("POST", f"/projects/{street.project}%0d%0aSet-Cookie:%20sid=stolen/webhook/policies", policy)
    assert answer.status in (400, 404)
    assert answer.header("Set-Cookie") is None


FORGED = "2026-08-21T00:00:00.000Z error app: FORGED"


@pytest.mark.parametrize("log_format", ["plain", "json"])
def test_nothing_from_outside_makes_a_log_line(new_street, log_format):
    street = new_street(**{"log.format": log_format})
    evil = f"a\n{FORGED}\r\n{FORGED}\x1b[2J\u2028{FORGED}"
    event = notification(repository=f"hostile/{evil}", tag=evil, actor=evil, host=evil, request_id=evil, identity=evil)
    assert street.server.ingest(envelope(event))[0] == 200
    known = notification(repository="hostile/app", tag="v1", actor=evil, host=evil, request_id=evil)
    assert street.server.ingest(envelope(known))[0] == 200
    street.accepted.append(known["target"]["digest"])
    Api(street.server, basic(evil, "wrong")).get("/projects", expect=401)
    street.api.request("POST", "/projects", {"project_name": evil}, expect=400)
    street.server.request("GET", "/%0a2026-08-21T00:00:00.000Z%20error%20app:%20FORGED")
    exchange(street.server, b"GET /healthz HTTP/1.1\r\nHost: h\r\nUser-Agent: a\n" + FORGED.encode() + b"\r\n\r\n")
    street.check()
    lines = street.server.log().split("\n")
    assert any("/%0a2026" in line for line in lines), "the log holds no request"
    for line in lines[:-1]:
        assert not line.startswith(FORGED)
        assert "\x1b" not in line and "\u2028" not in line
        if log_format == "json":
            assert set(json.loads(line)) >= {"time", "level", "room", "message"}
        else:
            assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warn|error) \w+( \[\S+\])?: ", line), line

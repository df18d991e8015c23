# SPDX-License-Identifier: Apache-2.0
"""Following deliveries as they happen: server-sent events, their bounds, and every way in which they end."""
import http.client
import json
import os
import socket
import ssl
import threading

import pytest

from support.receiver import Answer
from support.server import ADMIN_PASSWORD, basic
from support.waiting import BOUND_S, wait_until

ADMIN = basic("admin", ADMIN_PASSWORD)
ADMITTED = b"HTTP/1.1 200"
SILENT = 64  # clients that never read
SILENT_BYTES_EACH = 256 * 1024  # of the server's memory, at most: request, head and what the client has not taken


def stream_path(project, policy):
    return f"/api/v2.0/projects/{project}/webhook/policies/{policy}/deliveries/stream"


class Stream:
    """One stream: events as (name, data) in the order in which they come."""

    def __init__(self, server, project, policy, context=None):
        make = http.client.HTTPConnection if context is None else http.client.HTTPSConnection
        options = {} if context is None else {"context": context}
        self.connection = make(server.host, server.port, timeout=BOUND_S, **options)
        self.connection.request("GET", stream_path(project, policy), headers={"Authorization": ADMIN})
        self.answer = self.connection.getresponse()

    def next(self):
        """The next event; None when the stream has ended as it should."""
        name = data = None
        while True:
            line = self.answer.readline().decode()
            if not line:
                return None
            field, _, value = line.rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data = json.loads(value)
            elif line == "\n" and name is not None:
                return name, data

    def close(self):
        self.connection.close()


def silent_client(request, server, project, policy):
    """Asks for a stream, looks at the first of it where it lies, and never reads."""
    client = server.socket()
    request.addfinalizer(client.close)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(f"GET {stream_path(project, policy)} HTTP/1.1\r\nHost: h\r\n"
                   f"Authorization: {ADMIN}\r\n\r\n".encode())
    assert client.recv(len(ADMITTED), socket.MSG_PEEK | socket.MSG_WAITALL) == ADMITTED


def admitted(server, project, policy):
    """A stream if there is a place for one."""
    stream = Stream(server, project, policy)
    return stream if stream.answer.status == 200 else stream.close()


@pytest.fixture
def follow(request):
    """follow(server, project, policy) -> Stream that has been told that it is heard; closed at the end."""
    def make(server, project, policy, **options):
        stream = Stream(server, project, policy, **options)
        request.addfinalizer(stream.close)
        assert stream.answer.status == 200
        assert stream.next() == ("ready", {"policy_id": policy})
        return stream
    return make


def test_a_retry_that_succeeds_is_seen_without_asking(server, api, project, receiver, follow):
    policy = api.webhook(project, receiver.url)
    receiver.answers(Answer(503, headers={"Retry-After": "0"}))
    stream = follow(server, project, policy)
    assert stream.answer.getheader("Content-Type") == "text/event-stream"
    assert stream.answer.getheader("Cache-Control") == "no-store"
    api.submit(project)
    states = []
    while "succeeded" not in states:
        assert stream.next() == ("deliveries", {"policy_id": policy})
        states += [one["state"] for one in api.get(f"/projects/{project}/webhook/policies/{policy}/deliveries").json]
    assert receiver.next() and receiver.next()


def test_another_policy_says_nothing(server, api, project, receiver, follow):
    quiet = api.webhook(project, receiver.url, name="quiet", events=("DELETE_ARTIFACT",))
    busy = api.webhook(project, receiver.url, name="busy")
    stream = follow(server, project, quiet)
    api.submit(project)
    api.execution_ended(project, busy)
    api.delete(f"/projects/{project}/webhook/policies/{quiet}")
    assert stream.next() == ("gone", {"policy_id": quiet})  # and nothing before it
    assert stream.next() is None


def test_a_redelivery_and_a_change_of_the_policy_are_told(server, api, project, receiver, follow):
    policy = api.webhook(project, receiver.url)
    api.submit(project)
    delivery = api.execution_ended(project, policy)[0]["id"]
    stream = follow(server, project, policy)
    api.post(f"/projects/{project}/webhook/deliveries/{delivery}/redeliver")
    assert stream.next() == ("deliveries", {"policy_id": policy})
    api.execution_ended(project, policy, count=2)
    other = follow(server, project, policy)
    body = api.get(f"/projects/{project}/webhook/policies/{policy}").json
    api.put(f"/projects/{project}/webhook/policies/{policy}", {**body, "enabled": False})
    assert other.next() == ("deliveries", {"policy_id": policy})


def test_a_deleted_project_is_told(server, api, follow):
    api.project("goes-away")
    policy = api.webhook("goes-away", "http://127.0.0.1:9099/")
    stream = follow(server, "goes-away", policy)
    api.delete("/projects/goes-away")
    assert stream.next() == ("gone", {"policy_id": policy})
    assert stream.next() is None
    api.get(f"/projects/goes-away/webhook/policies/{policy}", expect=404)


def test_the_stream_ends_after_its_life_and_the_connection_serves_on(new_server, api_of, follow):
    server = new_server(settings={"api.stream_lifetime_s": 1})
    api = api_of(server)
    api.project("short")
    policy = api.webhook("short", "http://127.0.0.1:9099/")
    stream = follow(server, "short", policy)
    assert stream.next() is None
    stream.connection.request("GET", "/api/v2.0/ping")
    assert stream.connection.getresponse().read() == b"Pong"
    api.get(stream_path("short", policy))  # held against the description


def test_more_streams_than_allowed_are_refused_until_one_ends(new_server, api_of, follow):
    server = new_server(settings={"api.max_streams_per_user": 2, "api.max_streams": 3})
    api = api_of(server)
    api.project("busy")
    policy = api.webhook("busy", "http://127.0.0.1:9099/")
    first = follow(server, "busy", policy)
    follow(server, "busy", policy)
    refused = api.get(stream_path("busy", policy), expect=429)
    assert refused.header("Retry-After") == "5" and "you have 2 streams open" in refused.message
    first.close()
    wait_until(lambda: admitted(server, "busy", policy), "a place came free").close()


def test_clients_that_never_read_cost_little(request, new_server, api_of, receiver):
    server = new_server(settings={"api.max_streams_per_user": SILENT})
    api = api_of(server)
    api.project("silent")
    policy = api.webhook("silent", receiver.url)
    before = server.resident_bytes()
    for _ in range(SILENT):
        silent_client(request, server, "silent", policy)
    assert admitted(server, "silent", policy) is None, "all places are taken"
    for count in range(1, 11):
        api.submit("silent")
        api.execution_ended("silent", policy, count=count)
    grown = server.resident_bytes() - before
    if not os.environ.get("HARBINGER_SANITIZER"):  # AddressSanitizer keeps what was freed
        assert grown < SILENT * SILENT_BYTES_EACH, f"{grown} bytes for {SILENT} clients"


def test_a_client_that_never_reads_loses_its_place(request, new_server, api_of):
    server = new_server(settings={"api.stream_lifetime_s": 1, "api.max_streams": 1})
    api = api_of(server)
    api.project("silent")
    policy = api.webhook("silent", "http://127.0.0.1:9099/")
    silent_client(request, server, "silent", policy)
    wait_until(lambda: admitted(server, "silent", policy), "the place came free").close()


def test_who_may_not_see_deliveries_may_not_follow_them(server, api, project):
    policy = api.webhook(project, "http://127.0.0.1:9099/")
    api.anonymous().get(stream_path(project, policy), expect=401)
    api.get(stream_path(project, 999999), expect=404)
    api.get(stream_path("no-such-project", policy), expect=404)
    api.get(stream_path(project, "abc"), expect=422)
    api.get(stream_path("%FF", policy), expect=400)


def test_stopping_does_not_wait_for_streams(new_server, api_of, follow):
    server = new_server()
    api = api_of(server)
    api.project("stops")
    policy = api.webhook("stops", "http://127.0.0.1:9099/")
    streams = [follow(server, "stops", policy) for _ in range(4)]
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert all(stream.next() is None for stream in streams)
    stopping.join(BOUND_S)
    assert not stopping.is_alive()
    assert "stopping with work running" not in server.log()


def test_over_tls(new_server, api_of, certificates, receiver, follow):
    server = new_server(settings={"tls.cert_file": certificates.good[0], "tls.key_file": certificates.good[1]})
    context = ssl.create_default_context(cafile=certificates.ca)
    context.check_hostname = False  # the certificate is for localhost, and the stream asks for the address
    connection = http.client.HTTPSConnection(server.host, server.port, timeout=BOUND_S, context=context)

    def call(method, path, body=None):
        headers = {"Authorization": ADMIN, "Content-Type": "application/json"}
        connection.request(method, "/api/v2.0" + path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status in (200, 201), answer.status
        return answer

    call("POST", "/projects", {"project_name": "safe"})
    made = call("POST", "/projects/safe/webhook/policies", {
        "name": "hook", "enabled": True, "event_types": ["PUSH_ARTIFACT"],
        "targets": [{"type": "http", "address": receiver.url}]})
    policy = int(made.getheader("Location").rsplit("/", 1)[1])
    stream = follow(server, "safe", policy, context=context)
    call("DELETE", f"/projects/safe/webhook/policies/{policy}")
    assert stream.next() == ("gone", {"policy_id": policy})
    connection.close()

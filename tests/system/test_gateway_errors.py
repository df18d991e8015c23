# SPDX-License-Identifier: Apache-2.0
"""/v2/: what is outside of the grammar, what may not be, and a registry that fails; each with the error body of the OCI
distribution specification and words that name cause and next step."""
import os
import socket
import threading

import pytest

from support.oci import MANIFEST, Image, Oci, digest_of
from support.raw import read_head
from support.server import ADMIN_PASSWORD, basic
from support.upstream import FalseRegistry, before_body, hangs, raw, reply
from support.waiting import wait_until

ADMIN = basic("admin", ADMIN_PASSWORD)
DIGEST = digest_of(b"content")


@pytest.fixture
def false_registry():
    one = FalseRegistry()
    yield one
    one.close()


def raw_request(server, data):
    """These bytes as they are; everything that comes back until the end."""
    with server.socket() as client:
        client.sendall(data)
        got = b""
        try:
            while part := client.recv(65536):
                got += part
        except ConnectionResetError:
            pass
        return got


def ask(server, line, *headers, body=b""):
    """One raw request as admin: (status, body as bytes)."""
    head = "\r\n".join([f"{line} HTTP/1.1", "Host: registry.example.com", f"Authorization: {ADMIN}", "Connection: close",
                        *headers])
    got = raw_request(server, head.encode("latin-1") + b"\r\n\r\n" + body)
    return int(got.split(b" ", 2)[1]), got.split(b"\r\n\r\n", 1)[1]


# ---- the grammar -----------------------------------------------------------------------------------------------------------


OUTSIDE = [
    ("/v2/team/../other/manifests/1", 400, "NAME_INVALID"),
    ("/v2/team%2f..%2fother/app/manifests/1", 400, "NAME_INVALID"),
    ("/v2/team%2Fapp/manifests/1", 400, "NAME_INVALID"),
    ("/v2/team/app/manifests/%2e%2e", 400, "NAME_INVALID"),
    ("/v2/team//app/manifests/1", 400, "NAME_INVALID"),
    ("/v2/Team/app/manifests/1", 400, "NAME_INVALID"),
    ("/v2/team/app;x=y/manifests/1", 400, "NAME_INVALID"),
    ("/v2/team/app/manifests/.hidden", 400, "TAG_INVALID"),
    ("/v2/team/app/manifests/" + "t" * 129, 400, "TAG_INVALID"),
    ("/v2/team/app/manifests/sha256:abc", 400, "DIGEST_INVALID"),
    ("/v2/team/app/blobs/latest", 400, "DIGEST_INVALID"),
    ("/v2/team/app/referrers/latest", 400, "DIGEST_INVALID"),
    ("/v2/team/app/blobs/uploads/../../x", 404, "NAME_UNKNOWN"),
    ("/v2/team/app/nothing", 404, "NAME_UNKNOWN"),
    ("/v2/" + "a" * 256 + "/app/tags/list", 400, "NAME_INVALID"),
]


def test_paths_outside_of_the_grammar_never_reach_the_registry(new_gateway, false_registry):
    server = new_gateway(false_registry.url)
    for path, status, code in OUTSIDE:
        got, body = ask(server, f"GET {path}")
        assert got == status and f'"code":"{code}"'.encode() in body, (path, got, body)
    assert false_registry.requests == []


def test_methods_that_an_end_point_does_not_take(gateway, oci):
    for method, path, allowed in (("PATCH", "/v2/a/b/manifests/1", "GET, HEAD, PUT, DELETE"),
                                  ("POST", f"/v2/a/b/blobs/{DIGEST}", "GET, HEAD, DELETE"),
                                  ("GET", "/v2/a/b/blobs/uploads/", "POST"), ("DELETE", "/v2/_catalog", "GET"),
                                  ("PUT", "/v2/", "GET, HEAD"), ("TRACE", "/v2/a/b/tags/list", "GET, HEAD")):
        answer = oci.request(method, path, expect=405)
        assert answer.code == "UNSUPPORTED" and answer.header("Allow") == allowed, answer


def test_a_name_without_project_says_where_to_push(oci):
    answer = oci.get("/v2/ubuntu/manifests/latest", expect=400)
    assert answer.code == "NAME_INVALID" and "HOST/PROJECT/ubuntu" in answer.message


# ---- rights ----------------------------------------------------------------------------------------------------------------


def test_wrong_passwords_are_401_everywhere_and_say_what_to_do(oci, gateway_project):
    stranger = oci.as_user(basic("admin", "Wrong-12345"))
    for method, path in (("GET", "/v2/"), ("GET", f"/v2/{gateway_project}/app/manifests/1"), ("GET", "/v2/_catalog"),
                         ("PUT", f"/v2/{gateway_project}/app/manifests/1"),
                         ("POST", f"/v2/{gateway_project}/app/blobs/uploads/")):
        answer = stranger.request(method, path, body=b"{}" if method != "GET" else None, expect=401)
        assert answer.code == "UNAUTHORIZED" and "password is wrong" in answer.message
        assert answer.header("WWW-Authenticate") == 'Basic realm="harbinger"'
    for header in ("Bearer hbt_wrong", "Basic !!!", "Basic", "Digest x", "Basic " + "A" * 5000):
        oci.as_user(header).get("/v2/", expect=401)


def test_private_and_unknown_projects_are_told_apart_by_nobody_without_rights(oci, gateway_project):
    nobody = oci.anonymous()
    private = nobody.get(f"/v2/{gateway_project}/app/manifests/1", expect=401)
    unknown = nobody.get(f"/v2/{gateway_project}-none/app/manifests/1", expect=401)
    assert private.message.replace(gateway_project, "X") == unknown.message.replace(f"{gateway_project}-none", "X")
    assert "docker login" in private.message


def test_unknown_project_is_refused_with_the_command_that_makes_it(new_gateway, upstream):
    server = new_gateway(upstream.url, settings={"gateway.unknown_project": "refuse"})
    oci = Oci(server)
    for method, path in (("POST", "/v2/foo/app/blobs/uploads/"), ("PUT", "/v2/foo/app/manifests/1"),
                         ("GET", "/v2/foo/app/manifests/1")):
        answer = oci.request(method, path, body=b"{}" if method != "GET" else None, expect=404)
        assert answer.code == "NAME_UNKNOWN" and "harbinger project create foo" in answer.message
    oci.anonymous().get("/v2/foo/app/manifests/1", expect=401)


def test_mount_from_a_repository_that_the_caller_may_not_read_is_not_forwarded(new_gateway, false_registry):
    false_registry.on("POST /v2/", reply(202, headers={"Location": "/v2/team/app/blobs/uploads/1"}))
    server = new_gateway(false_registry.url, settings={"gateway.unknown_project": "create"})
    oci = Oci(server)
    oci.post(f"/v2/team/app/blobs/uploads/?mount={DIGEST}&from=other/app", body=b"")
    assert false_registry.requests[-1].target == f"/v2/team/app/blobs/uploads/?mount={DIGEST}&from=other/app"
    # Without a source the registry would look everywhere; a second source is not passed on, and what is disguised is seen.
    for query, forwarded in ((f"mount={DIGEST}", ""),
                             (f"mount={DIGEST}&from=team/x&from=secret/x", f"?mount={DIGEST}&from=team/x"),
                             (f"%6dount={DIGEST}&from=team/x", f"?mount={DIGEST}&from=team/x"), (f"from=team/x&x=y&mount={DIGEST}",
                                                                      f"?mount={DIGEST}&from=team/x"),
                             (f"mount={DIGEST}&from=noproject", ""), (f"mount={DIGEST}&from=a/../b", "")):
        oci.post(f"/v2/team/app/blobs/uploads/?{query}", body=b"")
        target = false_registry.requests[-1].target
        assert target in (f"/v2/team/app/blobs/uploads/{forwarded}",), (query, target)


# ---- a registry that fails -------------------------------------------------------------------------------------------------


def every_way(oci):
    """(what, a function that asks) for reads, uploads and changes."""
    return [
        ("manifest", lambda **o: oci.get("/v2/team/app/manifests/1", **o)),
        ("blob", lambda **o: oci.get(f"/v2/team/app/blobs/{DIGEST}", **o)),
        ("head", lambda **o: oci.head(f"/v2/team/app/blobs/{DIGEST}", **o)),
        ("tags", lambda **o: oci.get("/v2/team/app/tags/list", **o)),
        ("begin", lambda **o: oci.post("/v2/team/app/blobs/uploads/", body=b"", **o)),
        ("put blob", lambda **o: oci.request("PUT", f"/v2/team/app/blobs/uploads/1?digest={DIGEST}", body=b"content", **o)),
        ("put", lambda **o: oci.put_manifest("team/app", "1", Image().manifest, **o)),
        ("delete", lambda **o: oci.delete(f"/v2/team/app/manifests/{DIGEST}", **o)),
    ]


def test_a_registry_that_is_down_is_named(new_gateway):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = new_gateway(f"http://127.0.0.1:{free.getsockname()[1]}")
        for what, way in every_way(Oci(server)):
            answer = way(expect=502)
            if what != "head":
                assert answer.code == "UNAVAILABLE" and "registry" in answer.message, (what, answer)
                assert "127.0.0.1" not in answer.message, (what, answer)
    figures = server.request("GET", "/metrics", headers={"Authorization": ADMIN})[2].decode()
    assert 'harbinger_gateway_upstream_errors_total{reason="connect"}' in figures


def test_a_registry_that_closes_or_speaks_nonsense_is_named(new_gateway, false_registry):
    server = new_gateway(false_registry.url)
    oci = Oci(server)
    for answer in (raw(b""), raw(b"SSH-2.0-x\r\n"), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
                   raw(b"HTTP/1.1 101 Switching\r\n\r\n"), raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n")):
        false_registry.on("", answer)
        for what, way in every_way(oci)[:6]:
            got = way(expect=502)
            assert what == "head" or got.code == "UNAVAILABLE", (what, got)


def test_a_registry_that_is_slow_is_given_up(new_gateway, false_registry):
    false_registry.on("", hangs)
    server = new_gateway(false_registry.url, settings={"gateway.upstream_timeout_ms": 200, "gateway.idle_timeout_ms": 200})
    for what, way in every_way(Oci(server))[:6]:
        answer = way(expect=504)
        assert what == "head" or (answer.code == "UNAVAILABLE" and "in time" in answer.message), (what, answer)


def test_errors_of_the_registry_are_passed_on_and_those_without_the_shape_are_given_one(new_gateway, false_registry):
    server = new_gateway(false_registry.url)
    oci = Oci(server)
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down","detail":{"a":1}}]}'
    false_registry.on("", reply(429, body, {"Content-Type": "application/json", "Retry-After": "7"}))
    answer = oci.get("/v2/team/app/manifests/1", expect=429)
    assert answer.body == body and answer.header("Retry-After") == "7"
    false_registry.on("", reply(503, b"<html>bad day</html>", {"Content-Type": "text/html"}))
    for what, way in every_way(oci)[:6]:
        answer = way(expect=503)
        assert what == "head" or (answer.code == "UNAVAILABLE" and "reports an error" in answer.message), (what, answer)


def test_a_registry_that_refuses_our_credentials_is_not_the_clients_fault(new_gateway, false_registry):
    false_registry.on("", reply(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"?"}]}', {
        "Content-Type": "application/json", "WWW-Authenticate": f'Bearer realm="{false_registry.url}/token"'}))
    server = new_gateway(false_registry.url, settings={"upstream.authorization": "Basic b3VyczpzZWNyZXQ="})
    for what, way in every_way(Oci(server))[:6]:
        answer = way(expect=502)
        assert answer.header("WWW-Authenticate") is None
        assert what == "head" or "upstream.authorization" in answer.message
    sent = {one.headers.get("authorization") for one in false_registry.requests}
    assert sent == {"Basic b3VyczpzZWNyZXQ="}  # never the client's


# ---- between the two -------------------------------------------------------------------------------------------------------


def test_a_client_that_goes_away_aborts_the_registrys_upload(new_gateway, false_registry):
    server = new_gateway(false_registry.url)
    for length in ("Content-Length: 100000", "Transfer-Encoding: chunked"):
        before = len(false_registry.requests)
        with server.socket() as client:
            client.sendall((f"PATCH /v2/team/app/blobs/uploads/1 HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\n"
                            f"{length}\r\n\r\n").encode() + (b"x" * 50_000 if "Length" in length else b"5\r\nhello\r\n"))
            false_registry.wait_for("PATCH ", also=lambda one: one.body and one in false_registry.requests[before:])
        asked = false_registry.wait_for("PATCH ", also=lambda one: one in false_registry.requests[before:])
        wait_until(lambda: asked.cut, "the registry's request is broken off")
        assert asked.cut == "reset"  # never an orderly end, which a chunked body might be taken for
        assert not asked.raw.endswith(b"0\r\n\r\n")


def test_a_client_that_goes_away_ends_the_registrys_download(new_gateway, false_registry):
    ended = []

    def endless(connection, _request):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                connection.sendall(b"x" * 65536)
        except OSError as problem:
            ended.append(problem)
        return False

    false_registry.on("GET ", endless)
    server = new_gateway(false_registry.url)
    with server.socket() as client:
        client.sendall(f"GET /v2/team/app/blobs/{DIGEST} HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\n\r\n".encode())
        assert read_head(client).startswith(b"HTTP/1.1 200 ")
    wait_until(lambda: ended, "the registry's answer is broken off")


def test_an_early_answer_to_an_upload_reaches_the_client(new_gateway, false_registry):
    """The registry refuses while the content is still on its way: the client hears it, and is not asked for the rest."""
    body = b'{"errors":[{"code":"DENIED","message":"quota"}]}'
    false_registry.on("PATCH ", before_body(reply(403, body, {"Content-Type": "application/json"}, close=True)))
    server = new_gateway(false_registry.url)
    with server.socket() as client:
        client.sendall(f"PATCH /v2/team/app/blobs/uploads/1 HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\n"
                       "Content-Length: 1000000\r\n\r\n".encode() + b"x" * 1000)
        got = read_head(client)
        while part := client.recv(65536):
            got += part
    assert got.startswith(b"HTTP/1.1 403 ") and got.endswith(body) and b"\r\nConnection: close\r\n" in got


def test_a_thousand_half_open_uploads_cost_little_and_the_next_is_served(new_gateway, upstream):
    server = new_gateway(upstream.url)
    oci = Oci(server)
    location = oci.begin("team/app")
    before, clients = server.resident_bytes(), []
    head = (f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\nContent-Length: 1000000\r\n"
            "Expect: 100-continue\r\n\r\n").encode()
    try:
        for _ in range(1000):
            clients.append(server.socket())
            clients[-1].sendall(head)
        for client in clients:
            assert client.recv(1024).startswith(b"HTTP/1.1 100 ")
        assert server.resident_bytes() - before < 100 << 20
        oci.push(Image(), "team/other", "1")
    finally:
        for client in clients:
            client.close()
    wait_until(lambda: "harbinger_gateway_streams 0" in server.request(
        "GET", "/metrics", headers={"Authorization": ADMIN})[2].decode(), "all half-open uploads are given up")


def test_more_requests_than_allowed_are_429(new_gateway, false_registry):
    release = threading.Event()
    false_registry.on("GET ", lambda connection, request: release.wait() and False)
    server = new_gateway(false_registry.url, settings={"gateway.max_streams": 2})
    oci, clients = Oci(server), []
    try:
        for count in (1, 2):
            clients.append(server.socket())
            clients[-1].sendall(f"GET /v2/team/app/tags/list HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\n\r\n".encode())
            false_registry.wait_for("GET ", count=count)
        answer = oci.get("/v2/", expect=429)
        assert answer.code == "TOOMANYREQUESTS" and "gateway.max_streams" in answer.message
        assert answer.header("Retry-After") == "1"
    finally:
        release.set()
        for client in clients:
            client.close()


def test_without_an_upstream_there_is_no_registry(server):
    status, _, body = server.request("GET", "/v2/")
    assert status == 404 and b"this server is not a registry: push to the registry itself" in body


def test_a_gateway_can_be_switched_off(new_gateway, upstream):
    server = new_gateway(upstream.url, settings={"gateway.enabled": False})
    status, _, body = server.request("GET", "/v2/")
    assert status == 404 and b"not a registry" in body


def test_an_upstream_with_a_path_is_refused_at_start(new_gateway):
    server = new_gateway("http://127.0.0.1:5000/registry", start=False)
    code, words = server.refusal()
    assert code != 0 and "upstream.url has a path" in words


def test_pushes_wait_for_the_store_and_pulls_do_not(new_gateway, upstream, tmp_path):
    """The store broken: manifests are refused with a reason, what is there can be pulled."""
    import errno

    from support.faults import Faults, faults_binary
    faults = Faults(tmp_path / "control")
    server = new_gateway(upstream.url, program=faults_binary(), env=faults.env)
    oci, image = Oci(server), Image()
    oci.push(image, "team/app", "1")
    with faults.disk(errno.ENOSPC):
        other = Image()
        for blob in other.blobs:
            oci.push_blob("team/app", blob)
        answer = oci.put_manifest("team/app", "2", other.manifest, expect=503)
        assert answer.code == "UNAVAILABLE" and answer.header("Retry-After"), answer
        assert oci.delete(f"/v2/team/app/manifests/{image.digest}", expect=503).code == "UNAVAILABLE"
        assert oci.pull("team/app", "1").body == image.manifest
        assert oci.get(f"/v2/team/app/blobs/{digest_of(image.layer)}").body == image.layer
        oci.get("/v2/team/app/manifests/2", headers={"Accept": MANIFEST}, expect=404)
    wait_until(lambda: oci.request("PUT", "/v2/team/app/manifests/2", body=other.manifest,
                                   headers={"Content-Type": MANIFEST}).status == 201, "pushes go on when the store does")
    assert os.path.isdir(server.data)

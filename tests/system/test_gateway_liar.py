# SPDX-License-Identifier: Apache-2.0
"""A registry behind /v2/ that lies, redirects, or is to be lied to: nothing false reaches a client as true, and what one side
sends cannot become a second request, a header or a secret on the other."""
import os
import threading

import pytest

from support.oci import MANIFEST, Image, Oci, digest_of
from support.raw import read_head
from support.server import ADMIN_PASSWORD, basic
from support.upstream import FalseRegistry, raw, reply

ADMIN = basic("admin", ADMIN_PASSWORD)
CONTENT = os.urandom(3000)
DIGEST = digest_of(CONTENT)
JSON = {"Content-Type": MANIFEST}


@pytest.fixture
def false_registry():
    one = FalseRegistry()
    yield one
    one.close()


@pytest.fixture
def other_host():
    one = FalseRegistry()
    yield one
    one.close()


@pytest.fixture
def lied_to(new_gateway, false_registry):
    return new_gateway(false_registry.url, settings={"upstream.authorization": "Basic b3VyczpzZWNyZXQ="})


def exchange(server, data):
    """Sends these bytes: (what came until the end, whether the end was a reset)."""
    with server.socket() as client:
        client.sendall(data)
        got = b""
        while True:
            try:
                part = client.recv(65536)
            except ConnectionResetError:
                return got, True
            if not part:
                return got, False
            got += part


def get(server, path, *headers):
    lines = [f"GET {path} HTTP/1.1", "Host: registry.example.com", f"Authorization: {ADMIN}", "Connection: close", *headers]
    return exchange(server, "\r\n".join(lines).encode() + b"\r\n\r\n")


# ---- content that is not what it is said to be -----------------------------------------------------------------------------


def test_a_manifest_that_is_not_its_digest_reaches_nobody(lied_to, false_registry):
    image, other = Image(), Image()
    oci = Oci(lied_to)
    path = f"/v2/team/app/manifests/{image.digest}"
    for told in ({}, {"Docker-Content-Digest": image.digest}, {"Docker-Content-Digest": other.digest},
                 {"Docker-Content-Digest": "md5:x"}):
        false_registry.on("GET /v2/", reply(200, other.manifest, {**JSON, **told}))
        answer = oci.get(path, expect=502)
        assert answer.code == "UNAVAILABLE" and "digest" in answer.message
    # By tag: the header must be true.
    answer = oci.get("/v2/team/app/manifests/1", expect=502)
    assert "digest" in answer.message
    false_registry.on("GET /v2/", reply(200, other.manifest, {**JSON, "Docker-Content-Digest": other.digest}))
    assert oci.get("/v2/team/app/manifests/1").body == other.manifest
    sha512 = digest_of(other.manifest, "sha512")
    false_registry.on("GET /v2/", reply(200, other.manifest, {**JSON, "Docker-Content-Digest": sha512}))
    assert oci.get(f"/v2/team/app/manifests/{sha512}").body == other.manifest


def test_a_manifest_that_ends_early_or_never_is_an_error(lied_to, false_registry):
    oci = Oci(lied_to)
    false_registry.on("GET /v2/", reply(200, b"{}", JSON, length=100))
    assert "cut off" in oci.get("/v2/team/app/manifests/1", expect=502).message
    false_registry.on("GET /v2/", reply(200, b"{}", JSON, length=5 << 20))
    assert "4 MiB" in oci.get("/v2/team/app/manifests/1", expect=502).message

    def endless(connection, _request):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")

    false_registry.on("GET /v2/", endless)
    assert "4 MiB" in oci.get("/v2/team/app/manifests/1", expect=502).message


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_a_blob_that_falls_short_is_a_reset_and_never_a_clean_end(lied_to, false_registry, kind):
    if kind == "length":
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 100_000
    else:
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n" + b"x" * 100_000 + b"\r\n"
    false_registry.on("GET /v2/", raw(answer))
    got, was_reset = get(lied_to, f"/v2/team/app/blobs/{DIGEST}")
    assert was_reset and b"\r\n0\r\n\r\n" not in got
    figures = lied_to.request("GET", "/metrics", headers={"Authorization": ADMIN})[2].decode()
    assert "harbinger_gateway_answers_cut_total 1" in figures


def test_a_blob_longer_than_its_length_ends_at_its_length(lied_to, false_registry):
    false_registry.on("GET /v2/", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n"
                                      b"Content-Length: 4\r\n\r\nevil"))
    for _ in range(2):
        got, was_reset = get(lied_to, f"/v2/team/app/blobs/{DIGEST}")
        assert not was_reset and got.endswith(b"\r\n\r\nhello") and b"evil" not in got


# ---- redirects -------------------------------------------------------------------------------------------------------------


def test_redirects_to_another_host_are_passed_on(lied_to, false_registry, other_host):
    where = f"{other_host.url}/bucket/key?X-Signature={'s' * 3000}"
    false_registry.on("GET /v2/", reply(307, headers={"Location": where}))
    answer = Oci(lied_to).get(f"/v2/team/app/blobs/{DIGEST}", expect=307)
    assert answer.header("Location") == where and other_host.requests == []


def test_redirects_are_followed_when_configured_and_without_our_credentials(new_gateway, false_registry, other_host):
    server = new_gateway(false_registry.url, settings={"gateway.redirects": "follow", "upstream.authorization": "Basic b3Vycw=="})
    oci = Oci(server)
    target = f"/bucket/key?X-Signature={'s' * 3000}"
    false_registry.on("GET /v2/", reply(307, b"go away", {"Location": other_host.url + target}))
    false_registry.on("HEAD /v2/", reply(307, headers={"Location": other_host.url + target}))
    other_host.on(f"GET {target}", reply(200, CONTENT, {"ETag": '"1"'}))
    other_host.on(f"HEAD {target}", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n"))
    answer = oci.get(f"/v2/team/app/blobs/{DIGEST}", headers={"Range": "bytes=0-9"})
    assert answer.body == CONTENT and answer.header("Location") is None
    (asked,) = other_host.requests
    assert "authorization" not in asked.headers and asked.headers["range"] == "bytes=0-9"
    assert asked.headers["host"] == f"127.0.0.1:{other_host.port}" and "x-forwarded-for" not in asked.headers
    assert {one.headers["authorization"] for one in false_registry.requests} == {"Basic b3Vycw=="}
    assert oci.head(f"/v2/team/app/blobs/{DIGEST}").header("Content-Length") == "3000"
    # Back to the registry: our own credentials again, and only there.
    false_registry.on("GET /v2/team/app/blobs/", reply(302, headers={"Location": f"{other_host.url}/back"}))
    other_host.on("GET /back", reply(302, headers={"Location": f"{false_registry.url}/storage/x"}))
    false_registry.on("GET /storage/x", reply(302, headers={"Location": "/storage/y"}))
    false_registry.on("GET /storage/y", reply(200, CONTENT))
    assert oci.get(f"/v2/team/app/blobs/{DIGEST}").body == CONTENT
    assert false_registry.requests[-1].headers["authorization"] == "Basic b3Vycw=="
    assert "authorization" not in other_host.requests[-1].headers


def test_where_a_registry_redirects_to_stays_an_address_like_any_other(new_gateway, false_registry):
    # On an address of its own: what is the registry's own nobody may be redirected to.
    store = FalseRegistry(host="127.0.0.2")
    try:
        oci = Oci(new_gateway(false_registry.url, settings={"gateway.redirects": "follow"}))
        false_registry.on("GET /v2/", reply(307, headers={"Location": f"{store.url}/bucket/key"}))
        store.on("GET /bucket/key", reply(200, CONTENT))
        for _ in range(3):
            assert oci.get(f"/v2/team/app/blobs/{DIGEST}").body == CONTENT
    finally:
        store.close()


def test_redirects_without_end_are_given_up(lied_to, false_registry):
    oci = Oci(lied_to)
    false_registry.on("GET /v2/", reply(302, headers={"Location": f"/v2/team/app/blobs/{DIGEST}"}))
    assert "more than 5 times" in oci.get(f"/v2/team/app/blobs/{DIGEST}", expect=502).message
    assert len(false_registry.requests) == 6
    for bad in ("ftp://x/", "relative", "http://", "http://user:pw@127.0.0.1/", ""):
        false_registry.on("GET /v2/", reply(302, headers={"Location": bad}))
        assert oci.get(f"/v2/team/app/blobs/{DIGEST}", expect=502).code == "UNAVAILABLE"


def test_redirects_cannot_lead_to_addresses_that_are_not_allowed(new_gateway, false_registry):
    server = new_gateway(false_registry.url, settings={"gateway.redirects": "follow"}, egress_allow=())
    for where in ("http://169.254.169.254/latest/meta-data", "http://127.0.0.1:8080/api/v2.0/users", "http://[::1]:8080/"):
        false_registry.on("GET /v2/", reply(307, headers={"Location": where}))
        answer = Oci(server).get(f"/v2/team/app/blobs/{DIGEST}", expect=502)
        assert "not allowed" in answer.message


def test_an_upload_cannot_be_sent_elsewhere(new_gateway, false_registry, other_host):
    oci = Oci(new_gateway(false_registry.url, settings={"gateway.redirects": "follow"}))
    false_registry.on("POST /v2/", reply(307, headers={"Location": f"{other_host.url}/upload"}))
    assert "redirects an upload" in oci.post("/v2/team/app/blobs/uploads/", body=b"", expect=502).message
    # Where an upload goes on: below /v2/ it is behind us whatever host the registry names; elsewhere it is nowhere.
    false_registry.on("POST /v2/", reply(202, headers={"Location": f"{other_host.url}/v2/team/app/blobs/uploads/7?_state=x"}))
    assert oci.post("/v2/team/app/blobs/uploads/", body=b"").header("Location") == "/v2/team/app/blobs/uploads/7?_state=x"
    false_registry.on("POST /v2/", reply(202, headers={"Location": f"{other_host.url}/elsewhere"}))
    assert "not below its /v2/" in oci.post("/v2/team/app/blobs/uploads/", body=b"", expect=502).message
    assert other_host.requests == []


def test_addresses_are_those_of_external_url(new_gateway, false_registry):
    server = new_gateway(false_registry.url, settings={"external_url": "https://registry.example.com"})
    oci = Oci(server)
    false_registry.on("POST /v2/", reply(202, headers={"Location": f"{false_registry.url}/v2/team/app/blobs/uploads/7?_state=x"}))
    assert oci.post("/v2/team/app/blobs/uploads/", body=b"").header("Location") == (
        "https://registry.example.com/v2/team/app/blobs/uploads/7?_state=x")
    link = f'<{false_registry.url}/v2/team/app/tags/list?last=b&n=2>; rel="next"'
    false_registry.on("GET /v2/team/app/tags/list", reply(200, b'{"tags":["a","b"]}', {"Link": link}))
    answer = oci.get("/v2/team/app/tags/list?n=2")
    assert answer.header("Link") == '<https://registry.example.com/v2/team/app/tags/list?last=b&n=2>; rel="next"'
    assert false_registry.requests[-1].target == "/v2/team/app/tags/list?n=2"


def test_referrers_and_their_headers_are_passed_on(lied_to, false_registry):
    body = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    false_registry.on("GET /v2/team/app/referrers/", reply(200, body, {
        "Content-Type": "application/vnd.oci.image.index.v1+json", "OCI-Filters-Applied": "artifactType"}))
    answer = Oci(lied_to).get(f"/v2/team/app/referrers/{DIGEST}?artifactType=a%2Fb")
    assert answer.body == body and answer.header("OCI-Filters-Applied") == "artifactType"
    assert false_registry.requests[-1].target == f"/v2/team/app/referrers/{DIGEST}?artifactType=a%2Fb"


def test_a_put_passes_on_what_the_registry_says_of_the_subject(lied_to, false_registry):
    image = Image()
    false_registry.on("HEAD /v2/team/app/manifests/", reply(404))
    false_registry.on("PUT /v2/team/app/manifests/1", reply(201, headers={
        "Location": f"{false_registry.url}/v2/team/app/manifests/{image.digest}", "OCI-Subject": DIGEST,
        "Docker-Content-Digest": image.digest}))
    answer = Oci(lied_to).put_manifest("team/app", "1", image.manifest, "application/vnd.example.thing+json")
    assert answer.header("OCI-Subject") == DIGEST
    assert answer.header("Location") == f"/v2/team/app/manifests/{image.digest}"
    asked = false_registry.asked("PUT ")[-1]
    assert asked.body == image.manifest and asked.headers["content-type"] == "application/vnd.example.thing+json"


# ---- what the registry gets ------------------------------------------------------------------------------------------------

BODIES = [  # shapes that have let two parsers disagree about where a request ends
    ("two lengths", "Content-Length: 5\r\nContent-Length: 6", b"hello"),
    ("a list of lengths", "Content-Length: 5, 5", b"hello"),
    ("a signed length", "Content-Length: +5", b"hello"),
    ("length and chunked", "Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
    ("chunked twice", "Transfer-Encoding: chunked, chunked", b"0\r\n\r\n"),
    ("chunked and identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n"),
    ("a coding nobody knows", "Transfer-Encoding: xchunked", b"0\r\n\r\n"),
    ("a blank before the colon", "Transfer-Encoding : chunked", b"0\r\n\r\n"),
    ("a folded header", "Transfer-Encoding:\r\n chunked", b"0\r\n\r\n"),
    ("a bare line feed", "X: y\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
    ("a bare return", "X: y\rTransfer-Encoding: chunked", b"0\r\n\r\n"),
    ("a NUL", "X: y\0", b""),
]
SMUGGLED = b"GET /v2/secret/app/manifests/1 HTTP/1.1\r\nHost: evil\r\n\r\n"


def test_smuggling_shapes_never_reach_the_registry(lied_to, false_registry):
    for what, headers, body in BODIES:
        data = (f"PATCH /v2/team/app/blobs/uploads/1 HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\n{headers}\r\n"
                "Connection: close\r\n\r\n").encode("latin-1") + body + SMUGGLED
        got, _ = exchange(lied_to, data)
        assert got.split(b" ")[1] in (b"400", b"501"), (what, got)
        assert got.count(b"HTTP/1.1 ") == 1, (what, got)
    assert false_registry.requests == []


def test_a_broken_chunk_ends_the_registrys_request_by_a_reset(lied_to, false_registry):
    for body in (b"5\r\nhelloX", b"5;a\r\nhello\r\nzz\r\n", b"5\r\nhello\r\n-1\r\n", b"5\r\nhello\r\nFFFFFFFFFFFFFFFFF\r\n"):
        before = len(false_registry.requests)
        got, _ = exchange(lied_to, f"PATCH /v2/team/app/blobs/uploads/1 HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\n"
                                   "Transfer-Encoding: chunked\r\n\r\n".encode() + body + SMUGGLED)
        assert got.startswith(b"HTTP/1.1 400 "), got
        for asked in false_registry.requests[before:]:
            assert asked.method == "PATCH" and b"secret" not in asked.raw


def test_what_follows_a_body_is_a_request_of_its_own_with_its_own_rights(lied_to, false_registry):
    """Pipelined behind an upload without credentials: judged as nobody, and not forwarded as a part of anything."""
    false_registry.on("PATCH ", reply(202, headers={"Location": "/v2/team/app/blobs/uploads/1"}))
    data = (f"PATCH /v2/team/app/blobs/uploads/1 HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\nContent-Length: 5\r\n\r\n"
            "hello").encode() + SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    got, _ = exchange(lied_to, data)
    assert got.startswith(b"HTTP/1.1 202 ") and b"HTTP/1.1 401 " in got
    assert [one.method for one in false_registry.requests] == ["PATCH"]
    assert false_registry.requests[0].body == b"hello"


def test_the_registry_sees_one_framing_and_our_headers(lied_to, false_registry):
    false_registry.on("PATCH ", reply(202, headers={"Location": "/v2/team/app/blobs/uploads/1"}))
    for framing, body in (("Content-Length: 10", b"0123456789"), ("Transfer-Encoding: chunked", b"A;x=y\r\n0123456789\r\n0\r\nT: r\r\n\r\n")):
        exchange(lied_to, (f"PATCH /v2/team/app/blobs/uploads/1?_state=a%2Bb HTTP/1.1\r\nHost: registry.example.com\r\n"
                           f"Authorization: {ADMIN}\r\nCookie: sid=1\r\nX-Forwarded-For: 10.9.8.7\r\nX-Forwarded-Host: evil\r\n"
                           f"Forwarded: for=10.9.8.7\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\n"
                           f"User-Agent: docker/27\r\nContent-Range: 0-9\r\n{framing}\r\n\r\n").encode() + body)
        asked = false_registry.requests[-1]
        names = [name.lower() for name, _ in asked.fields]
        assert len(names) == len(set(names)), asked.fields
        assert asked.body == b"0123456789" and asked.target == "/v2/team/app/blobs/uploads/1?_state=a%2Bb"
        assert ("content-length" in names) != ("transfer-encoding" in names)
        assert asked.headers["host"] == f"127.0.0.1:{false_registry.port}"
        assert asked.headers["authorization"] == "Basic b3VyczpzZWNyZXQ="
        assert asked.headers["content-range"] == "0-9" and asked.headers["x-forwarded-for"] == "127.0.0.1"
        assert not {"cookie", "x-forwarded-host", "forwarded", "x-hop", "te", "expect"} & set(names)
        assert asked.headers["user-agent"].startswith("Harbinger")


def test_a_get_with_a_body_leaves_nothing_behind_for_the_registry(lied_to, false_registry):
    false_registry.on("GET ", reply(200, b"{}", JSON))
    exchange(lied_to, f"GET /v2/team/app/tags/list HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\nContent-Length: "
                      f"{len(SMUGGLED)}\r\nConnection: close\r\n\r\n".encode() + SMUGGLED)
    (asked,) = false_registry.requests
    assert asked.body == b"" and "content-length" not in asked.headers


def test_headers_of_the_registry_cannot_split_an_answer(lied_to, false_registry):
    false_registry.on("GET ", raw(b"HTTP/1.1 200 OK\r\nX-A: b\rSet-Cookie: c\r\nContent-Length: 0\r\n\r\n"))
    got, _ = get(lied_to, "/v2/team/app/tags/list")
    assert got.startswith(b"HTTP/1.1 502 ") and b"Set-Cookie" not in got
    false_registry.on("GET ", raw(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nServer: x\r\nX-Request-Id: fake\r\nContent-Length: 2"
                                  b"\r\nStrict-Transport-Security: max-age=1\r\nConnection: X-Own\r\nX-Own: 1\r\n\r\n{}"))
    got, _ = get(lied_to, "/v2/team/app/tags/list")
    assert got.endswith(b"\r\n\r\n{}")
    for name in (b"Set-Cookie", b"Server:", b"fake", b"Strict-Transport", b"X-Own"):
        assert name not in got, got


def test_interim_answers_are_not_passed_on(lied_to, false_registry):
    false_registry.on("GET ", raw(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
                                  b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
    got, _ = get(lied_to, "/v2/team/app/tags/list")
    assert got.startswith(b"HTTP/1.1 200 ") and got.count(b"HTTP/1.1 ") == 1
    false_registry.on("GET ", raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100))
    assert get(lied_to, "/v2/team/app/tags/list")[0].startswith(b"HTTP/1.1 502 ")


def test_old_clients_of_http_1_0_get_the_content_to_the_end_of_the_connection(lied_to, false_registry):
    false_registry.on("GET ", raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"))
    got, was_reset = exchange(lied_to, f"GET /v2/team/app/blobs/{DIGEST} HTTP/1.0\r\nAuthorization: {ADMIN}\r\n\r\n".encode())
    assert got.endswith(b"\r\n\r\nabcdef") and b"chunked" not in got and not was_reset
    false_registry.on("GET ", raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"))
    got, was_reset = exchange(lied_to, f"GET /v2/team/app/blobs/{DIGEST} HTTP/1.0\r\nAuthorization: {ADMIN}\r\n\r\n".encode())
    assert was_reset


def test_many_slow_answers_at_once_are_each_whole(lied_to, false_registry):
    contents = {digest_of(str(number).encode() * 50_000): str(number).encode() * 50_000 for number in range(32)}

    def answer(connection, request):
        body = contents[request.target.rsplit("/", 1)[1]]
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for start in range(0, len(body), 7000):
            connection.sendall(body[start:start + 7000])
        return True

    false_registry.on("GET ", answer)
    wrong = []

    def pull(digest):
        if Oci(lied_to).get(f"/v2/team/app/blobs/{digest}").body != contents[digest]:
            wrong.append(digest)

    threads = [threading.Thread(target=pull, args=(digest,)) for digest in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    with lied_to.socket() as client:  # one that takes no answer and goes
        client.sendall(f"GET /v2/team/app/blobs/{next(iter(contents))} HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\n\r\n".encode())
        assert read_head(client).startswith(b"HTTP/1.1 200 ")

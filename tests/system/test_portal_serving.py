# SPDX-License-Identifier: Apache-2.0
"""How the server hands out the portal: bytes, compression, caches, headers, a prefix that nginx takes away, hostile paths."""
import gzip
import http.client
import json
import os
import pathlib
import re
import subprocess
import urllib.parse

import pytest

from support.registry import free_port
from support.server import ADMIN_PASSWORD
from support.session_client import Cookie
from support.waiting import BOUND_S, wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]
DIST = TOP / "portal" / "dist"
INDEX = "index.html"
NONCE = re.compile(r"[A-Za-z0-9_-]{22}")
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'{}; img-src 'self' data:; font-src 'self'; "
          "connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'")
TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
ADDRESSES = ["/", "/index.html", "/harbor", "/harbor/", "/harbor/projects", "/harbor/projects/1/webhook?page=2",
             "/harbor/projects/1/repositories/a%2Fb", "/harbor/../api/v2.0/ping", "/harbor/%00", "/harbor/%3Cscript%3E"]


def files():
    """The paths of what was built, from portal/dist; index.html is a template and left out."""
    names = [str(path.relative_to(DIST)) for path in sorted(DIST.rglob("*")) if path.is_file()]
    return [name for name in names if name != INDEX and not name.startswith(".")]


def script():
    return next(name for name in files() if name.endswith(".js"))


class Answer:
    def __init__(self, got):
        self.status, self.body = got.status, got.read()
        self.pairs = [(name.lower(), value) for name, value in got.getheaders()]
        self.headers = dict(self.pairs)
        assert len(self.headers) == len(self.pairs), f"a header comes twice: {self.pairs}"


def ask(server, path, method="GET", **headers):
    """With no header but Host and those given (`_` for `-`)."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=BOUND_S)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return Answer(connection.getresponse())
    finally:
        connection.close()


def raw(server, target, method=b"GET"):
    """The whole answer to a request line that no client would write."""
    with server.socket() as connection:
        connection.sendall(method + b" " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        got = b""
        while part := connection.recv(65536):
            got += part
    return got


def assert_guarded(answer, nonce=None):
    assert answer.headers["content-security-policy"] == POLICY.format(f" 'nonce-{nonce}'" if nonce else "")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["x-frame-options"] == "DENY"


def nonce_of(answer):
    return re.search(rb'name="csp-nonce" content="([^"]*)"', answer.body)[1].decode()


# -- files ------------------------------------------------------------------------------------------------------------


def test_every_file_comes_as_it_was_built(server):
    assert len(files()) >= 3
    for name in files():
        built = (DIST / name).read_bytes()
        plain = ask(server, f"/{name}")
        assert (plain.status, plain.body) == (200, built), name
        assert plain.headers["content-type"] == TYPES[pathlib.Path(name).suffix]
        assert "content-encoding" not in plain.headers
        assert_guarded(plain)


def test_every_file_comes_compressed_to_whoever_takes_that(server):
    smaller = 0
    for name in files():
        built = (DIST / name).read_bytes()
        plain, packed = ask(server, f"/{name}"), ask(server, f"/{name}", Accept_Encoding="gzip, deflate, br")
        if "content-encoding" not in packed.headers:  # it would not have become smaller
            assert packed.body == built and "vary" not in packed.headers
            continue
        smaller += 1
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == built
        assert packed.body[4:8] == bytes(4), "a time in the bytes: two builds would differ"
        assert len(packed.body) == int(packed.headers["content-length"]) < len(built)
        assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
        assert packed.headers["etag"] != plain.headers["etag"]
        assert packed.headers["content-type"] == plain.headers["content-type"]
        assert_guarded(packed)
    assert smaller >= 2


@pytest.mark.parametrize("wish, coding", [
    ("gzip", "gzip"), ("br, gzip;q=0.2", "gzip"), ("*", "gzip"), ("identity;q=0, gzip", "gzip"), ("X-GZIP", "gzip"),
    ("br", None), ("gzip;q=0", None), ("identity, gzip;q=0.9", None), ("*;q=0", None), ("", None), ("gzip;q=nonsense", None)])
def test_the_coding_is_the_one_that_is_rather_taken(server, wish, coding):
    assert ask(server, f"/{script()}", Accept_Encoding=wish).headers.get("content-encoding") == coding


def test_what_has_a_hash_in_its_name_is_kept_for_ever(server):
    for name in files():
        kept = ask(server, f"/{name}").headers["cache-control"]
        assert kept == ("public, max-age=31536000, immutable" if name.startswith("assets/") else "no-cache"), name


def test_who_holds_a_file_is_told_so_without_it(server):
    path = f"/{script()}"
    for wish in ({}, {"Accept_Encoding": "gzip"}):
        whole = ask(server, path, **wish)
        tag = whole.headers["etag"]
        assert re.fullmatch(r'"[0-9a-f]{32}(-gzip)?"', tag)
        for held in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            told = ask(server, path, If_None_Match=held, **wish)
            assert (told.status, told.body) == (304, b""), held
            for name in ("etag", "cache-control", "vary"):
                assert told.headers[name] == whole.headers[name]
            assert "content-type" not in told.headers and "content-encoding" not in told.headers
    packed = ask(server, path, Accept_Encoding="gzip").headers["etag"]
    assert ask(server, path, If_None_Match=packed).status == 200  # other bytes
    assert ask(server, path, If_None_Match='"other"').status == 200


@pytest.mark.parametrize("path", ["/", "file"])
def test_head_is_get_without_the_body(server, path):
    path = f"/{script()}" if path == "file" else path
    got, head = ask(server, path), ask(server, path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    changing = ("date", "x-request-id", "content-security-policy")
    assert [pair for pair in head.pairs if pair[0] not in changing] == [pair for pair in got.pairs if pair[0] not in changing]
    assert ask(server, path, "HEAD", Accept_Encoding="gzip").headers["content-length"] == \
        str(len(ask(server, path, Accept_Encoding="gzip").body))


# -- index.html -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ADDRESSES)
def test_the_portals_own_addresses_give_its_page(server, path):
    answer = ask(server, path, Accept_Encoding="gzip")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"
    nonce = nonce_of(answer)
    assert_guarded(answer, nonce)
    assert answer.body == (DIST / INDEX).read_bytes().replace(b"__CSP_NONCE__", nonce.encode())


def test_each_answer_has_a_nonce_of_its_own(server):
    nonces = [nonce_of(ask(server, "/")) for _ in range(50)]
    assert all(NONCE.fullmatch(nonce) for nonce in nonces) and len(set(nonces)) == 50


@pytest.mark.parametrize("settings, base", [
    ({}, "/"),
    ({"external_url": "https://h.example"}, "/"),
    ({"external_url": "https://h.example/a/b"}, "/a/b/"),
    ({"external_url": "https://h.example/a/", "portal_url": "https://p.example/c//"}, "/c/"),
    ({"portal_url": "https://p.example/c%22d&e/?x=1"}, "/c%22d&amp;e/")])
def test_the_page_knows_the_prefix_that_browsers_use(new_server, settings, base):
    answer = ask(new_server(settings=settings), "/harbor/projects")
    assert re.search(rb'<base href="([^"]*)" />', answer.body)[1].decode() == base


# -- what is not there ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/nope", "/harborx", "/assets", "/assets/", "/assets/nope.js", "/favicon.ico", "/.made-from",
                                  "/index.html/", "/C/login", "/API/v2.0/ping"])
def test_another_address_is_not_found(server, path):
    answer = ask(server, path)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/json; charset=utf-8")
    assert json.loads(answer.body) == {"errors": [{"code": "NOT_FOUND", "message": "path not found"}]}
    assert_guarded(answer)
    page = ask(server, path, Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"Page not found" in page.body and b'href="/"' in page.body and path.encode() not in page.body
    assert_guarded(page)
    assert page.headers["vary"] == answer.headers["vary"] == "Accept"
    assert ask(server, path, Accept="text/html;q=0").body == answer.body == ask(server, path, Accept="*/*").body


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "PROPFIND"])
def test_only_get_and_head_are_for_it(server, method):
    for path in ("/", "/harbor/projects", f"/{script()}"):
        answer = ask(server, path, method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD"), path
        assert json.loads(answer.body)["errors"][0]["code"] == "METHOD_NOT_ALLOWED"
        assert_guarded(answer)
    assert ask(server, "/nope", method).status == 404


def hostile_paths():
    name = script().encode()
    return [b"/assets/../index.html", b"/assets/..%2findex.html", b"/assets/%2e%2e/index.html", b"/assets%2f" + name[7:],
            b"/./" + name, b"//" + name, b"/" + name + b"/", b"/" + name + b"%00", b"/" + name + b".gz", b"/" + name + b";x",
            b"/assets/../../../../etc/passwd", b"/..%5c..%5cetc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"/assets/%",
            b"/%68arbor/projects", b"/assets/" + b"a" * 8192, b"/" + b"../" * 2730, b"/" + b"%00" * 2730, b"*x", b"/" * 8192]


def test_a_hostile_path_gets_nothing(server):
    for path in hostile_paths():
        got = raw(server, path)
        assert re.match(rb"HTTP/1\.1 40[04] ", got), (path[:60], got[:200])
        assert b"<base" not in got and b"root:" not in got
    assert raw(server, b"/" + script().encode()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("target", [b"/assets/\x00", b"/harbor/\x01", b"/\xff", b"/a\tb", b"/harbor/<script>", b"harbor", b"http://h/", b""])
def test_a_target_that_is_none_is_refused(server, target):
    assert raw(server, target).startswith(b"HTTP/1.1 400 ")


def test_a_path_without_end_is_cut_off(server):
    assert raw(server, b"/harbor/" + b"a" * 8192).startswith(b"HTTP/1.1 200 ")
    assert raw(server, b"/assets/" + b"a" * 70000).startswith(b"HTTP/1.1 431 ")


def test_other_rooms_keep_their_paths_and_are_never_guessed(server):
    for path, status in (("/api/v2.0/ping", 200), ("/api/v2.0/nope", 404), ("/api/openapi.yaml", 200), ("/c/nope", 404),
                         ("/healthz", 200), ("/readyz", 200), ("/metrics", 401), ("/v2/", 404), ("/ingest/nope", 404)):
        answer = ask(server, path, Accept="text/html")
        assert (path, answer.status, answer.headers["x-content-type-options"]) == (path, status, "nosniff")
        assert b"<html" not in answer.body


# -- behind nginx -----------------------------------------------------------------------------------------------------


@pytest.fixture
def nginx(tmp_path, new_server):
    """A server that is reached below /registry-hooks/ as docs/portal.md says; host, port and the server itself."""
    port = free_port()
    server = new_server(settings={"portal_url": f"http://127.0.0.1:{port}/registry-hooks"})
    folder = tmp_path / "nginx"
    folder.mkdir()
    folder.chmod(0o755)
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(f"""
        daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
        events {{ }}
        http {{
            access_log off; {temporary}
            server {{
                listen 127.0.0.1:{port};
                location /registry-hooks/ {{
                    proxy_pass {server.url}/;
                    proxy_http_version 1.1;
                    proxy_set_header Host $http_host;
                    proxy_buffering off;
                }}
            }}
        }}""")
    process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "nginx", "-c", folder / "nginx.conf", "-e", folder / "error.log"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"})

    class Proxy:
        host, url = "127.0.0.1", f"http://127.0.0.1:{port}/registry-hooks/"

    Proxy.port, Proxy.server = port, server
    try:
        wait_until(lambda: _answers(Proxy) or process.poll() is not None, "nginx listens")
        assert process.poll() is None, process.stdout.read()
        yield Proxy
    finally:
        process.terminate()
        process.wait()


def _answers(proxy):
    try:
        return ask(proxy, "/registry-hooks/healthz").status == 200
    except OSError:
        return False


def test_behind_a_prefix_every_address_of_the_page_works(nginx):
    page = ask(nginx, "/registry-hooks/harbor/projects/1/webhook")
    assert page.status == 200
    base = urllib.parse.urljoin(nginx.url + "harbor/projects/1/webhook", re.search(rb'<base href="([^"]*)"', page.body)[1].decode())
    assert base == nginx.url
    names = re.findall(rb'(?:src|href)="(\./[^"]*|favicon[^"]*)"', page.body)
    assert len(names) >= 3
    for name in names:
        address = urllib.parse.urlsplit(urllib.parse.urljoin(base, name.decode()))
        assert ask(nginx, address.path).body == (DIST / name.decode()).read_bytes()
    missing = ask(nginx, "/registry-hooks/nope", Accept="text/html")
    assert missing.status == 404 and b'href="/registry-hooks/"' in missing.body


def test_behind_a_prefix_the_login_belongs_to_it(nginx):
    """Signing in as the page does: cookies that only this prefix gets, and an Origin that is the proxy's."""
    form = urllib.parse.urlencode({"principal": "admin", "password": ADMIN_PASSWORD})
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{nginx.port}"}
    cookies, connection = {}, http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=BOUND_S)
    for status in (403, 200):  # the first answer brings the token
        kept = "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies.values())
        connection.request("POST", "/registry-hooks/c/login", form, {**headers, **({"Cookie": kept} if kept else {})})
        got = connection.getresponse()
        body = got.read()
        assert got.status == status, body
        for text in got.headers.get_all("Set-Cookie") or []:
            cookie = Cookie(text)
            cookies[cookie.name] = cookie
            assert cookie.attributes["path"] == "/registry-hooks", text
        headers["X-Harbor-Csrf-Token"] = got.getheader("X-Harbor-Csrf-Token") or ""
    connection.request("GET", "/registry-hooks/api/v2.0/users/current", headers={"Cookie": f"sid={cookies['sid'].value}"})
    got = connection.getresponse()
    assert json.loads(got.read())["username"] == "admin"
    connection.close()

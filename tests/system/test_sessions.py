# SPDX-License-Identifier: Apache-2.0
"""Signing in with a browser: cookies, limits, CSRF tokens, and what the hostile make of them."""
import re
import select
import sqlite3
import ssl
import subprocess
import time

import pytest

from support.api import push_event
from support.openapi import SPEC
from support.raw import read_head
from support.server import ADMIN_PASSWORD, Server, basic
from support.session_client import TOKEN, SessionClient
from support.waiting import BOUND_S, wait_until

FORM = "application/x-www-form-urlencoded"
RIGHT = f"principal=admin&password={ADMIN_PASSWORD}".encode()
ENDED = "the session has ended: sign in again"
INVALID = "CSRF token invalid"
RANDOM = re.compile(r"[A-Za-z0-9_-]{43}")
NEW_PASSWORD = "Harbinger-67890"


@pytest.fixture
def client(server):
    return SessionClient(server)


@pytest.fixture
def signed_in(server):
    one = SessionClient(server)
    one.login()
    return one


def project_body(name):
    return {"project_name": name, "metadata": {"public": "false"}}


# -- in and out -------------------------------------------------------------------------------------------------------


def test_a_login_gives_a_session_and_a_logout_ends_it(server, client):
    assert client.who() is None
    answer = client.login()
    assert answer.body == b"" and answer.header("Content-Type") is None
    sid = client.cookies["sid"]
    assert RANDOM.fullmatch(sid) and client.who() == "admin"
    assert client.get("/c/log_out").body == b""
    assert "sid" not in client.cookies and client.who() is None
    client.cookies["sid"] = sid  # whoever kept it
    answer = client.get("/users/current", expect=401)
    assert (answer.code, answer.message) == ("UNAUTHORIZED", ENDED)
    client.get("/ping")  # what is for everybody still is
    client.get("/c/log_out")  # and twice is fine


def test_a_session_may_what_its_user_may(signed_in, receiver):
    signed_in.post("/projects", project_body("of-a-session"))
    target = {"type": "http", "address": receiver.url, "skip_cert_verify": False}
    signed_in.post("/projects/of-a-session/webhook/policies",
                   {"name": "hook", "enabled": True, "event_types": ["PUSH_ARTIFACT"], "targets": [target]})
    event = signed_in.post("/projects/of-a-session/events", push_event()).json
    assert receiver.next().header("webhook-id") == event["id"]
    token = signed_in.post("/harbinger/tokens", {"name": "of-a-session"})  # a person is there: it may be made
    signed_in.delete(f"/harbinger/tokens/{token.location_id}")


@pytest.mark.parametrize("principal, password", [
    ("admin", "Wrong-12345"), ("nobody", ADMIN_PASSWORD), ("", ADMIN_PASSWORD), ("admin", ""), ("ADMIN ", ADMIN_PASSWORD),
    ("a" * 5000, "b"), ("admin", "b" * 5000), ("admin\r\nSet-Cookie: sid=evil\r\n", "x"), ("' OR 1=1 --", "x"),
    ("<img onerror=alert(1)>", "x")])
def test_a_wrong_login_is_401_in_one_and_the_same_way(client, principal, password):
    answer = client.login(principal, password, expect=401)
    assert (answer.code, answer.message) == ("UNAUTHORIZED", "invalid user name or password")
    assert "sid" not in client.cookies and not client.set_cookie("sid")
    assert "basic" not in answer.header("Www-Authenticate").lower()  # it would open the browser's own window
    assert client.who() is None


def test_a_wrong_login_is_held_back_longer_each_time(new_server):
    client = SessionClient(new_server(settings={"auth.delay_min_ms": 100, "auth.delay_max_ms": 400}))
    took = []
    for _ in range(3):
        began = time.monotonic()
        client.login("admin", "Wrong-12345", expect=401)
        took.append(time.monotonic() - began)
    assert took[0] >= 0.1 and took[1] >= 0.2 and took[2] >= 0.4, took
    client.login()


@pytest.mark.parametrize("raw, content_type, words", [
    (b"", FORM, "principal in body is required"),
    (b"principal=admin", FORM, "password in body is required"),
    (b"password=x", FORM, "principal in body is required"),
    (b"principal=%zz&password=x", FORM, "principal in body is required"),
    (b"principal=a%00b&password=x", FORM, "principal in body must be UTF-8 text"),
    (b"principal=%ff&password=x", FORM, "principal in body must be UTF-8 text"),
    (b"principal=a&password=x%00", FORM, "password in body must be UTF-8 text"),
    (b'{"principal":"admin"}', "application/json",
     f'unsupported media type "application/json", only [{FORM}] are allowed'),
    (RIGHT, "", f'unsupported media type "application/octet-stream", only [{FORM}] are allowed'),
])
def test_a_malformed_login_is_422(client, raw, content_type, words):
    answer = client.request("POST", "/c/login", raw=raw, headers={"Content-Type": content_type}, expect=422)
    assert answer.message == "validation failure list:\n" + words


def test_other_methods_and_paths_of_c_are_harbors_errors(client):
    assert client.send("GET", "/c/login", expect=405).header("Allow") == "POST"
    assert client.send("GET", "/c/nothing", expect=404).code == "NOT_FOUND"


# -- cookies ----------------------------------------------------------------------------------------------------------


def check_cookies(client, path, secure):
    answer = client.send("POST", "/c/login", RIGHT, {"Content-Type": FORM}, expect=403)
    csrf = client.set_cookie("_gorilla_csrf")
    wanted = {"path": path, "httponly": True, **({"secure": True} if secure else {})}
    assert csrf.attributes == {**wanted, "samesite": "Strict", "max-age": "43200"}
    assert RANDOM.fullmatch(csrf.value) and answer.header(TOKEN) != csrf.value
    client.login()
    assert client.set_cookie("sid").attributes == {**wanted, "samesite": "Lax"}
    assert not client.set_cookie("_gorilla_csrf")  # it is there already
    client.get("/c/log_out")
    gone = client.set_cookie("sid")
    assert gone.value == "" and gone.attributes == {**wanted, "samesite": "Lax", "max-age": "0",
                                                    "expires": "Thu, 01 Jan 1970 00:00:00 GMT"}


def test_cookies_over_plain_http(client):
    check_cookies(client, "/", secure=False)


@pytest.mark.parametrize("settings, path, secure", [
    ({"external_url": "https://hooks.example.com"}, "/", True),
    ({"external_url": "https://hooks.example.com/registry/hooks/"}, "/registry/hooks", True),
    ({"external_url": "http://hooks.example.com/a?b=c"}, "/a", False),
    ({"external_url": "http://hooks.example.com/a", "portal_url": "https://portal.example.com/b"}, "/b", True),
    ({"external_url": "https://hooks.example.com/a", "portal_url": "http://portal.example.com/"}, "/", True),
    ({"external_url": "http://hooks.example.com/a;Domain=evil.example"}, "/", False),
])
def test_cookies_behind_another_address(new_server, settings, path, secure):
    check_cookies(SessionClient(new_server(settings=settings)), path, secure)


def test_cookies_over_tls(new_server, certificates):
    server = new_server(settings={"tls.cert_file": certificates.good[0], "tls.key_file": certificates.good[1]})
    check_cookies(SessionClient(server, ssl.create_default_context(cafile=certificates.ca)), "/", secure=True)


# -- CSRF -------------------------------------------------------------------------------------------------------------


def test_a_login_without_token_is_403_and_brings_what_the_second_try_needs(client):
    answer = client.send("POST", "/c/login", RIGHT, {"Content-Type": FORM}, expect=403)
    assert (answer.code, answer.message) == ("FORBIDDEN", INVALID)
    token = {"Content-Type": FORM, "X-Harbor-CSRF-Token": answer.header(TOKEN)}
    answer = client.send("POST", "/c/login", RIGHT, token, expect=200)
    # The token of the session is another one, and its login gave it.
    assert answer.header(TOKEN) not in (None, token["X-Harbor-CSRF-Token"])
    body = {"Content-Type": "application/json"}
    raw = b'{"project_name":"second-try"}'
    assert client.send("POST", "/projects", raw, {**body, **token}, expect=403).message == INVALID
    client.send("POST", "/projects", raw, {**body, TOKEN: answer.header(TOKEN)}, expect=201)


def test_a_terraform_provider_with_only_the_sid_gets_through_with_one_retry(server, signed_in):
    client = SessionClient(server)
    client.cookies["sid"] = signed_in.cookies["sid"]
    body = {"Content-Type": "application/json"}
    refused = client.send("POST", "/projects", b'{"project_name":"terraform"}', body, expect=403)
    assert refused.message == INVALID and client.cookies["_gorilla_csrf"]
    client.send("POST", "/projects", b'{"project_name":"terraform"}', {**body, TOKEN: refused.header(TOKEN)}, expect=201)


@pytest.mark.parametrize("method, path", [("POST", "/projects"), ("PUT", "/projects/1"), ("DELETE", "/projects/1"),
                                          ("PUT", "/configurations"), ("POST", "/nothing"), ("PATCH", "/projects/1")])
def test_what_changes_something_needs_the_token_of_its_session(server, signed_in, method, path):
    other = SessionClient(server)
    other.login()
    nobody = SessionClient(server)
    nobody.who()
    right, cookie = signed_in.token, signed_in.cookies["_gorilla_csrf"]
    wrong = [None, "", "x", right[:-1], right + "A", right.swapcase(), cookie, signed_in.cookies["sid"], other.token,
             nobody.token]
    for token in wrong:
        headers = {TOKEN: token} if token is not None else {}
        assert signed_in.send(method, path, b"{}", headers, expect=403).message == INVALID, token
    twice = [(TOKEN, right), (TOKEN, right)]
    assert signed_in.send(method, path, b"{}", twice, expect=403).message == INVALID
    # Another cookie with the token that belongs to it and to nobody: what a neighbouring host can plant.
    signed_in.cookies["_gorilla_csrf"] = nobody.cookies["_gorilla_csrf"]
    assert signed_in.send(method, path, b"{}", {TOKEN: nobody.token}, expect=403).message == INVALID
    signed_in.cookies["_gorilla_csrf"] = cookie
    answer = signed_in.send(method, path, b"{}", {TOKEN: right, "Content-Type": "application/json"})
    assert answer.status != 403 or answer.message != INVALID


def test_every_operation_that_changes_something_asks_for_it(signed_in):
    for operation in SPEC.operations:
        if operation.method in ("GET", "HEAD", "OPTIONS"):
            continue
        path = re.sub(r"{[^}]*}", "1", operation.path)
        answer = signed_in.send(operation.method, path, b"{}", {"Content-Type": "application/json"}, expect=403)
        assert (answer.code, answer.message) == ("FORBIDDEN", INVALID), operation.id


def test_a_broken_token_cookie_is_replaced(signed_in):
    for value in ("", "x", "A" * 44, "A" * 42 + "!", "A" * 5000):
        signed_in.cookies["_gorilla_csrf"] = value
        assert signed_in.send("POST", "/projects", b"{}", {TOKEN: signed_in.token}, expect=403).message == INVALID
        assert RANDOM.fullmatch(signed_in.set_cookie("_gorilla_csrf").value)


def test_reading_needs_no_token_and_gets_one(signed_in):
    assert signed_in.send("GET", "/users/current", expect=200).header(TOKEN) == signed_in.token
    assert signed_in.send("HEAD", "/projects?project_name=none", expect=404).header(TOKEN) == signed_in.token
    assert signed_in.send("GET", "/nothing", expect=404).header(TOKEN) == signed_in.token


def test_calls_with_an_authorization_header_need_no_token_and_cookies_do_not_count(server, api, signed_in, client):
    answer = signed_in.send("POST", "/projects", b'{"project_name":"with-both"}',
                            {"Authorization": basic("admin", ADMIN_PASSWORD), "Content-Type": "application/json"},
                            expect=201)
    assert answer.header(TOKEN) is None and not signed_in.set_cookies
    # Wrong credentials are wrong, whatever the cookie says.
    signed_in.send("GET", "/users/current", headers={"Authorization": basic("admin", "wrong")}, expect=401)
    signed_in.send("GET", "/c/log_out", headers={"Authorization": basic("admin", "wrong")}, expect=401)
    assert signed_in.who() == "admin"
    token = api.post("/harbinger/tokens", {"name": "bearer"})
    bearer = {"Authorization": f"Bearer {token.json['token']}"}
    assert signed_in.send("GET", "/users/current", headers=bearer, expect=200).json["username"] == "admin"
    made = {**bearer, "Content-Type": "application/json"}
    assert signed_in.send("POST", "/harbinger/tokens", b'{"name":"x"}', made, expect=403).message.startswith("a token cannot")
    # A login and a logout with it.
    login = {"Authorization": basic("admin", ADMIN_PASSWORD), "Content-Type": FORM}
    client.send("POST", "/c/login", RIGHT, login, expect=200)
    sid = client.cookies["sid"]
    client.send("GET", "/c/log_out", headers=bearer, expect=200)
    client.cookies["sid"] = sid
    assert client.who() is None


SITES = [
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "http://{host}"}, False),
    ({"Sec-Fetch-Site": "same-site", "Origin": "https://other.example.com"}, False),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "http://{host}.evil.example"}, False),
    ({"Origin": "http://evil.example@{host}"}, False),
    ({"Origin": "file://"}, False),
    ({"Origin": ""}, False),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "https://changed-by-a-proxy.example"}, True),
    ({"Origin": "http://{host}"}, True),
    ({"Host": "hooks.example.com", "Origin": "https://hooks.example.com"}, True),
    ({"Host": "hooks.example.com:443", "Origin": "https://HOOKS.example.com"}, True),
    ({"Host": "hooks.example.com:444", "Origin": "https://hooks.example.com"}, False),
    ({"Host": "inside:8080", "Origin": "https://outside.example.com"}, True),
    ({"Host": "inside:8080", "Origin": "https://portal.example.com:8443"}, True),
    ({"Host": "inside:8080", "Origin": "http://outside.example.com"}, False),
    ({}, True),
]


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    one = Server(tmp_path_factory.mktemp("proxied"), settings={"external_url": "https://outside.example.com/hooks",
                                                               "portal_url": "https://portal.example.com:8443/"})
    yield one.start()
    one.stop()


@pytest.mark.parametrize("headers, ours", SITES, ids=[str(headers) for headers, _ in SITES])
def test_a_call_from_another_site_is_refused_even_with_the_token(proxied, headers, ours):
    client = SessionClient(proxied)
    client.who()
    sent = {name: value.format(host=f"{proxied.host}:{proxied.port}") for name, value in headers.items()}
    login = {**sent, "Content-Type": FORM, TOKEN: client.token}
    answer = client.send("POST", "/c/login", RIGHT, login)
    assert answer.status == (200 if ours else 403), answer
    if not ours:
        assert answer.message != INVALID and "external_url" in answer.message
        client.login()
    right = {TOKEN: client.token, "Content-Type": "application/json"}
    answer = client.send("PUT", "/projects/1", b"{}", {**right, **sent})
    assert (answer.status == 403) == (not ours), answer
    assert client.send("GET", "/users/current", headers=sent, expect=200)  # a link to us is a link
    client.send("GET", "/c/log_out", headers=sent, expect=200 if ours else 403)
    assert (client.who() is None) == ours


# -- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("passive", [{"X-Harbor-No-Session-Renewal": "true"}, {"Accept": "text/event-stream"}],
                         ids=["asked", "stream"])
def test_an_idle_session_ends_and_use_keeps_it(new_server, passive):
    server = new_server(settings={"auth.session_idle_s": 3})
    used, idle = SessionClient(server), SessionClient(server)
    used.login()
    idle.login()

    def has_ended():
        assert used.who() == "admin", "use does not keep the session"
        return idle.send("GET", "/users/current", headers=passive).status == 401

    wait_until(has_ended, "the idle session ended although only calls that do not count were made")
    assert idle.get("/users/current", expect=401).message == ENDED
    assert idle.post("/projects", project_body("late"), expect=401).message == ENDED
    assert idle.login("admin", "Wrong-12345", expect=401).message == "invalid user name or password"
    idle.login()
    assert idle.who() == "admin"


def test_a_used_session_ends_at_the_absolute_limit(new_server):
    client = SessionClient(new_server(settings={"auth.session_max_s": 2}))
    client.login()
    wait_until(lambda: client.who() is None, "the session ended while it was used")
    assert client.get("/users/current", expect=401).message == ENDED


def test_sessions_outlive_a_restart_and_a_kill(new_server):
    server = new_server()
    client = SessionClient(server)
    client.login()
    server.stop()
    server.start()
    assert client.who() == "admin"
    client.post("/projects", project_body("after"))  # with the token of before
    server.kill()
    server.start()
    client.post("/projects", project_body("after-the-kill"))


def test_a_user_has_a_bounded_number_of_sessions(new_server):
    server = new_server(settings={"auth.max_sessions_per_user": 3})
    clients = [SessionClient(server) for _ in range(5)]
    for client in clients:
        client.login()
    assert [client.who() for client in clients] == [None, None, "admin", "admin", "admin"]
    for _ in range(5):  # a browser that signs in again takes its own place
        clients[4].login()
    assert [client.who() for client in clients[2:]] == ["admin", "admin", "admin"]


# -- passwords --------------------------------------------------------------------------------------------------------


def test_a_password_change_ends_the_other_sessions(new_server):
    server = new_server()
    mine, others = SessionClient(server), SessionClient(server)
    mine.login()
    others.login()
    mine.put("/users/1/password", {"old_password": ADMIN_PASSWORD, "new_password": NEW_PASSWORD})
    assert mine.who() == "admin" and others.who() is None
    others.login(expect=401)
    others.login(password=NEW_PASSWORD)
    done = subprocess.run([server.program, "user", "passwd", "admin", "--data", str(server.data), "--password-stdin"],
                          input=f"{ADMIN_PASSWORD}\n", text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert mine.who() is None and others.who() is None
    mine.login()
    server.stop()
    done = subprocess.run([server.program, "user", "passwd", "admin", "--data", str(server.data), "--password-stdin"],
                          input=f"{NEW_PASSWORD}\n", text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    server.start()
    assert mine.who() is None
    mine.login(password=NEW_PASSWORD)


# -- the hostile ------------------------------------------------------------------------------------------------------


def test_a_sid_that_a_client_brings_is_never_taken(server, client):
    planted = "A" * 43
    client.cookies["sid"] = planted
    client.login()
    assert client.cookies["sid"] != planted
    victim = client.cookies["sid"]
    attacker = SessionClient(server)
    attacker.cookies["sid"] = planted
    assert attacker.who() is None
    client.login()  # and a new login is a new session; the old one is over
    attacker.cookies["sid"] = victim
    assert client.cookies["sid"] != victim and attacker.who() is None and client.who() == "admin"


def test_of_many_cookies_named_sid_the_one_in_force_counts(server, signed_in):
    sid = signed_in.cookies["sid"]
    dead = "A" * 43
    for header, who in ((f"sid={dead}; sid={sid}", "admin"), (f"sid={sid}; sid={dead}", "admin"),
                        (f"sid=short; sid=; sid; sid={sid}", "admin"), (f"Sid={sid}; xsid={sid}; sidx={sid}", None),
                        (f"sid = {sid}", "admin"), (f'sid="{sid}"', None), (f"sid={sid}x", None), (f"sid={sid},", None),
                        (f"sid=%41{sid[1:]}", None), ("; " * 500 + f"sid={sid}", "admin"),
                        ("; ".join(f"sid={dead}" for _ in range(4)) + f"; sid={sid}", None)):
        client = SessionClient(server)
        answer = client.send("GET", "/users/current", headers={"Cookie": header})
        assert (answer.json["username"] if answer.status == 200 else None) == who, header
    answer = SessionClient(server).send("GET", "/users/current", headers=[("Cookie", "a=b"), ("Cookie", f"sid={sid}")])
    assert answer.status == 200  # a proxy may split them


def test_oversized_and_countless_cookies_harm_nobody(server, signed_in):
    fit = "; ".join(f"sid={'B' * 43}" for _ in range(1200))
    assert len(fit) < 60000
    assert SessionClient(server).send("GET", "/users/current", headers={"Cookie": fit}, expect=401).message == ENDED
    SessionClient(server).send("GET", "/users/current", headers={"Cookie": "sid=" + "C" * 60000}, expect=401)
    SessionClient(server).send("GET", "/nothing", headers={"Cookie": "sid=" + "C" * 70000}, expect=431)
    assert signed_in.who() == "admin"


@pytest.mark.parametrize("cookie", [b"sid=a\0b", b"sid=a\rb", b"sid=a\nb: c"])
def test_control_bytes_in_a_cookie_are_refused_before_anything_is_asked(server, cookie):
    with server.socket() as connection:
        connection.sendall(b"GET /api/v2.0/ping HTTP/1.1\r\nHost: x\r\nCookie: " + cookie + b"\r\n\r\n")
        assert read_head(connection).startswith(b"HTTP/1.1 400 ")


def test_nothing_secret_is_written_anywhere(new_server):
    server = new_server()  # with log.level debug
    client = SessionClient(server)
    client.login("admin", "Wrong-password-1", expect=401)
    client.login()
    client.put("/users/1/password", {"old_password": ADMIN_PASSWORD, "new_password": NEW_PASSWORD})
    secrets = [client.cookies["sid"], client.cookies["_gorilla_csrf"], client.token, "Wrong-password-1", ADMIN_PASSWORD,
               NEW_PASSWORD]
    client.get("/c/log_out")
    server.stop()
    for path in (server.log_path, *(path for path in server.data.iterdir() if path.is_file())):
        content = path.read_bytes()
        for secret in secrets:
            assert secret.encode() not in content, f"{secret} is in {path}"
    assert "POST /c/login" in server.log()


@pytest.mark.busy
def test_a_storm_of_logins_keeps_no_other_call_waiting(new_server):
    server = new_server()
    client = SessionClient(server)
    client.login()
    guesser = SessionClient(server)
    guesser.who()
    head = (f"POST /c/login HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nConnection: close\r\n{TOKEN}: {guesser.token}\r\n"
            f"Cookie: _gorilla_csrf={guesser.cookies['_gorilla_csrf']}\r\n")
    storm = []
    for number in range(56):
        body = f"principal=nobody-{number}&password=Wrong-12345"
        storm.append(server.socket(timeout=BOUND_S))
        storm[-1].sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    assert client.who() == "admin"
    assert not select.select([storm[-1]], [], [], 0)[0], "the call with a session waited for the storm"
    for connection in storm:
        assert b" 401 " in read_head(connection).split(b"\r\n")[0]
        connection.close()


# -- the audit --------------------------------------------------------------------------------------------------------


def audited(api):
    return [(one["operation"], one["actor"], one["subject"], one["address"])
            for one in api.get("/harbinger/audit", query={"q": "kind=session", "sort": "id", "page_size": 100}).json]


def test_logins_and_logouts_are_in_the_audit(new_server, api_of):
    server = new_server()
    client, api = SessionClient(server), api_of(server)
    client.login()
    client.get("/c/log_out")
    client.get("/c/log_out")  # nobody's
    assert audited(api) == [("login", "admin", "admin", "127.0.0.1"), ("logout", "admin", "admin", "127.0.0.1")]


def test_failed_logins_are_in_the_audit_without_filling_it(new_server, api_of):
    server = new_server()
    client, api = SessionClient(server), api_of(server)
    for _ in range(20):
        client.login("admin", "Wrong-12345", expect=401)
    for number in range(20):
        client.login(f"My-Secret-{number}", "x", expect=401)
    wait_until(lambda: len(audited(api)) == 2, "both kinds of failures were noted")
    client.login()
    assert audited(api) == [("login refused", "anonymous", "admin", "127.0.0.1"),
                            ("login refused", "anonymous", "an unknown user, and 19 failures before it", "127.0.0.1"),
                            ("login", "admin", "admin", "127.0.0.1")]


def test_ended_sessions_leave_the_store(new_server):
    server = new_server(settings={"auth.session_idle_s": 1})
    for _ in range(3):
        SessionClient(server).login()
    client = SessionClient(server)
    client.login()
    wait_until(lambda: client.send("GET", "/users/current", headers={"X-Harbor-No-Session-Renewal": "1"}).status == 401,
               "the session ended")
    server.stop()  # sweeps are due at each start
    server.start()

    def left():
        database = sqlite3.connect(f"file:{server.data / 'harbinger.db'}?mode=ro", uri=True)
        try:
            return database.execute("SELECT count(*) FROM session").fetchone()[0]
        finally:
            database.close()

    wait_until(lambda: left() == 0, "the sessions were swept")

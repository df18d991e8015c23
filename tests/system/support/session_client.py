# SPDX-License-Identifier: Apache-2.0
"""A client that signs in and keeps cookies and the CSRF token, as Harbor's portal does; answers are checked as Api's are.

    client = SessionClient(server)       # or context=... for a server with TLS
    client.login()                      # as admin; the first 403 brings the token that the second try shows
    client.post("/projects", {...})
"""
import http.client
import json
import urllib.parse

from . import secrets
from .api import BASE, Api
from .server import ADMIN_PASSWORD
from .waiting import BOUND_S

TOKEN = "X-Harbor-Csrf-Token"


class Cookie:
    """One Set-Cookie header: name, value, attributes (names in lower case, True for those without a value)."""

    def __init__(self, text):
        first, *rest = [part.strip() for part in text.split(";")]
        self.name, _, self.value = first.partition("=")
        self.attributes = {}
        for part in rest:
            name, equals, value = part.partition("=")
            assert name.lower() not in self.attributes, text
            self.attributes[name.lower()] = value if equals else True


class SessionClient:
    def __init__(self, server, context=None):
        self.server, self.context = server, context
        self.cookies = {}  # name -> value
        self.token = None
        self.set_cookies = []  # of the last answer

    def send(self, method, path, raw=None, headers=None, expect=None):
        """One request with the cookies that are there, and those of `headers` as they are (a list of pairs, or a dict)."""
        path = path if path.startswith(("/api/", "/c/")) else BASE + path
        pairs = list(headers.items() if isinstance(headers, dict) else headers or [])
        if self.cookies:
            pairs.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        if self.context:
            connection = http.client.HTTPSConnection("localhost", self.server.port, timeout=BOUND_S, context=self.context)
        else:
            connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=BOUND_S)
        try:
            connection.putrequest(method, path, skip_host=any(name == "Host" for name, _ in pairs))
            if raw is not None:
                pairs.append(("Content-Length", str(len(raw))))
            for name, value in pairs:
                connection.putheader(name, value)
            connection.endheaders(raw)
            got = connection.getresponse()
            self.set_cookies = [Cookie(value) for name, value in got.getheaders() if name.lower() == "set-cookie"]
            for cookie in self.set_cookies:
                secrets.remember(cookie.value)
            answer = Api(self.server).check_raw(method, path, got, expect)
        finally:
            connection.close()
        for cookie in self.set_cookies:
            if cookie.attributes.get("max-age") == "0":
                self.cookies.pop(cookie.name, None)
            else:
                self.cookies[cookie.name] = cookie.value
        self.token = answer.header(TOKEN) or self.token
        return answer

    def set_cookie(self, name):
        """The Set-Cookie of that name in the last answer, or None."""
        return next((cookie for cookie in self.set_cookies if cookie.name == name), None)

    def request(self, method, path, body=None, expect=None, headers=None, raw=None):
        """With the token on what changes something, and once more when it was refused, as Harbor's portal does."""
        if body is not None:
            raw, headers = json.dumps(body).encode(), {**(headers or {}), "Content-Type": "application/json"}
        for last in (False, True):
            tokens = {TOKEN: self.token} if self.token and method not in ("GET", "HEAD") else {}
            answer = self.send(method, path, raw, {**tokens, **(headers or {})})
            if last or answer.status != 403 or answer.message != "CSRF token invalid":
                break
        assert expect is None or answer.status == expect, f"{answer!r}, not {expect}"
        return answer

    def get(self, path, expect=200, **options):
        return self.request("GET", path, expect=expect, **options)

    def post(self, path, body=None, expect=201, **options):
        return self.request("POST", path, body, expect=expect, **options)

    def put(self, path, body=None, expect=200, **options):
        return self.request("PUT", path, body, expect=expect, **options)

    def delete(self, path, expect=200, **options):
        return self.request("DELETE", path, expect=expect, **options)

    def login(self, principal="admin", password=ADMIN_PASSWORD, expect=200):
        form = urllib.parse.urlencode({"principal": principal, "password": password}).encode()
        return self.request("POST", "/c/login", raw=form, expect=expect,
                            headers={"Content-Type": "application/x-www-form-urlencoded"})

    def who(self):
        """The name of who is signed in, or None."""
        answer = self.send("GET", "/users/current")
        assert answer.status in (200, 401), answer
        return answer.json["username"] if answer.status == 200 else None

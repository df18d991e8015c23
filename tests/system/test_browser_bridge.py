# SPDX-License-Identifier: Apache-2.0
"""The way from pytest to the browser, on pages of our own: calls, errors, what fails a test that looks well."""
import http.server
import re
import threading

import pytest
from support.browser import JS, BrowserError

_PAGES = {
    "/": """<title>Good</title><main><h1>Good</h1>
        <label>Name <input></label> <button onclick="this.textContent = 'PRESSED'">ADD</button>
        <ul><li>one</li><li>two</li></ul></main>""",
    "/mumbles": "<title>Bad</title><main><h1>Bad</h1><input><p style='color: #999; background: #aaa'>pale</p></main>",
    "/throws": "<title>Throws</title><script>console.error('said so'); throw new Error('thrown')</script>",
    "/strays": "<title>Strays</title><img alt='' src='http://elsewhere.example/pixel.png'>",
    "/strict": "<title>Strict</title><main><h1>Strict</h1><button onclick='document.title = 1'>Inline</button></main>",
    "/asks": "<title>Asks</title><script>fetch('/api/refused').then(() => document.title = 'Answered')</script>",
}


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = _PAGES.get(self.path)
        self.send_response(200 if body else 403)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        if self.path == "/strict":
            self.send_header("Content-Security-Policy", "default-src 'self'; img-src data:")
        self.end_headers()
        self.wfile.write(f"<!doctype html><html lang='en'><link rel='icon' href='data:,'>{body}".encode())

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def open_(new_page, site, path, **options):
    page = new_page(site, **options)
    page.goto(path)
    return page


def test_calls_are_playwrights(new_page, site):
    page = open_(new_page, site, "/", viewport=(400, 700), color_scheme="dark", locale="de-DE")
    assert page.title() == "Good"
    page.get_by_role("textbox", name="Name").fill("„ein Name“ <b>")
    assert page.get_by_label(re.compile("name", re.I)).input_value() == "„ein Name“ <b>"
    page.get_by_role("button", name="ADD").click()
    page.get_by_role("button", name="PRESSED").wait_for()
    rows = page.get_by_role("listitem")
    assert rows.count() == 2 and rows.all_text_contents() == ["one", "two"]
    assert [row.text_content() for row in rows.all()] == ["one", "two"]
    assert rows.filter(has=page.get_by_text("two")).or_(page.get_by_text("two")).first().text_content() == "two"
    assert page.evaluate(JS("(given) => [innerWidth, given.a_key, matchMedia('(prefers-color-scheme: dark)').matches, "
                            "navigator.language]"), {"a_key": 7}) == [400, 7, True, "de-DE"]
    page.keyboard.press("Tab")
    assert page.screenshot()[:4] == b"\x89PNG"


def test_an_error_says_the_call_and_playwrights_words(new_page, site):
    page = open_(new_page, site, "/")
    with pytest.raises(BrowserError, match=r'page\.getByRole\("button", {"name": "REMOVE"}\)\.click\((?s:.*)Timeout 50ms'):
        page.get_by_role("button", name="REMOVE").click(timeout=50)
    with pytest.raises(BrowserError, match="Page has no getByRoll"):
        page.get_by_roll("button").count()
    with pytest.raises(TypeError, match="call it"):
        assert page.get_by_role("button").is_visible
    assert page.title() == "Good", "the driver goes on after errors"


@pytest.mark.parametrize("path,words", [
    ("/throws", ["console: said so", "uncaught: thrown"]),
    ("/strays", ["request to another host: http://elsewhere.example/"])])
def test_what_a_page_does_wrong_unseen_is_found(new_page, site, path, words):
    page = open_(new_page, site, path)
    found = page.problems()
    assert all(any(line.startswith(word) for line in found) for word in words), found
    page.expects("said so|thrown|elsewhere|ERR_NAME_NOT_RESOLVED")
    assert page.problems() == []


def test_a_forbidden_script_is_found_and_axe_works_beside_the_policy(new_page, site):
    page = open_(new_page, site, "/strict")
    page.expects("script-src-attr|inline event handler")
    page.get_by_role("button").click()
    assert page.title() == "Strict"
    page.assert_accessible()
    unforgiving = open_(new_page, site, "/strict")
    assert any("content security policy: script-src-attr" in line for line in unforgiving.problems())
    unforgiving.expects(".")


def test_a_refused_call_of_the_api_is_no_error_of_the_page(new_page, site):
    page = open_(new_page, site, "/asks")
    page.wait_for_function(JS("() => document.title === 'Answered'"))
    assert page.problems() == []


def test_axe_names_the_rule_and_the_element(new_page, site):
    open_(new_page, site, "/").assert_accessible()
    with pytest.raises(AssertionError, match=r"(?s)color-contrast \(serious\).*<p style.*label \(critical\).*<input"):
        open_(new_page, site, "/mumbles").assert_accessible()


def test_pages_share_nothing_and_reach_nothing_but_this_machine(new_page, site):
    first, second = open_(new_page, site, "/"), open_(new_page, site, "/")
    first.evaluate("document.cookie = 'sid=1'; localStorage.setItem('a', 'b')")
    assert second.evaluate("document.cookie + localStorage.length") == "0"
    for address in ("http://elsewhere.example/", "http://192.0.2.1/"):
        with pytest.raises(BrowserError, match="ERR_NAME_NOT_RESOLVED"):
            second.goto(address)
    second.expects("another host|ERR_NAME_NOT_RESOLVED")

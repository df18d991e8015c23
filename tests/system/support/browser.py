# SPDX-License-Identifier: Apache-2.0
"""Playwright's own API, from pytest: what a test writes here is what Playwright's manual for JavaScript says, in Python.

    page.get_by_role("button", name="ADD").click()          # page.getByRole("button", {name: "ADD"}).click()
    page.keyboard.press("Tab")
    page.locator("body").evaluate(JS("(body) => body.clientWidth"))
    page.get_by_text(re.compile("^waits", re.I)).wait_for()

Names may be written with underscores, keywords make the object of options, a trailing underscore is dropped (`or_`).
What names an element without looking for it (`_LAZY`) asks nobody; everything else is done at once and waits as Playwright
does. A refusal is BrowserError: the call and Playwright's words. There is no timed waiting: `wait_for()` of a locator, or
wait_until() of support/waiting.py for what no locator can say.

One node program (browser_driver.mjs) per worker does the calls; it and playwright-core come with the portal.
"""
import base64
import json
import os
import pathlib
import queue
import re
import shutil
import subprocess
import threading
import urllib.parse

from .waiting import BOUND_S

TOP = pathlib.Path(__file__).resolve().parents[3]
_DRIVER = pathlib.Path(__file__).with_name("browser_driver.mjs")
_MODULES = TOP / "portal" / "node_modules"
_EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
# Nothing of Chromium's own goes out, and no page's: names other than this machine's are not found.
_ARGUMENTS = ["--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-sync",
              "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE ::1, EXCLUDE localhost"]
_LAZY = {"locator", "getByRole", "getByLabel", "getByText", "getByTitle", "getByPlaceholder", "getByAltText", "getByTestId",
         "frameLocator", "contentFrame", "first", "last", "nth", "filter", "and", "or"}
_SPELLED = {"base_url": "baseURL", "bypass_csp": "bypassCSP", "ignore_https_errors": "ignoreHTTPSErrors"}
_AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
# What the page refuses by its policy, in words that Chromium does not change with its version.
_TELL_VIOLATIONS = """document.addEventListener("securitypolicyviolation", (event) => console.error(
    `content security policy: ${event.effectiveDirective} forbids ${event.blockedURI} ${event.sample}`))"""
# The browser's own note of an answer to an API call; what a page makes of a refusal is the tests' matter.
_REFUSAL = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
_API = re.compile(r"/(api|c)/")


class BrowserError(AssertionError):
    """The call, and what Playwright said to it."""


class JS(str):
    """The source of a function that runs in the page, for evaluate() and its like."""


def _spelled(name):
    if name in _SPELLED:
        return _SPELLED[name]
    head, *rest = name.rstrip("_").split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _encoded(value):
    if isinstance(value, Handle):
        return {"$chain": [value._handle, value._chain]}
    if isinstance(value, JS):
        return {"$function": value}
    if isinstance(value, re.Pattern):
        return {"$regex": [value.pattern, "i" if value.flags & re.I else ""]}
    if isinstance(value, dict):
        return {key: _encoded(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encoded(member) for member in value]
    return str(value) if isinstance(value, pathlib.Path) else value


class Handle:
    """An object in the driver, or the way to one: (handle, chain of members). Calling it makes the last of them a call."""

    def __init__(self, driver, handle, chain=(), shown="playwright"):
        self._driver, self._handle, self._chain, self._shown = driver, handle, list(chain), shown

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return Handle(self._driver, self._handle, [*self._chain, [_spelled(name), None]], f"{self._shown}.{_spelled(name)}")

    def __call__(self, *arguments, **options):
        given = [_encoded(argument) for argument in arguments]
        if options:
            given.append({_spelled(key): _encoded(value) for key, value in options.items() if value is not None})
        name = self._chain[-1][0]
        chain = [*self._chain[:-1], [name, given]]
        shown = f"{self._shown}({', '.join(json.dumps(one, ensure_ascii=False)[:200] for one in given)})"
        if name in _LAZY:
            return Handle(self._driver, self._handle, chain, shown)
        return self._driver.call(self._handle, chain, shown)

    def __bool__(self):
        raise TypeError(f"{self._shown} is not an answer: call it")

    def __repr__(self):
        return self._shown


class Driver:
    """The node program. `home`: a folder for what Chromium keeps of its own."""

    def __init__(self, home):
        assert shutil.which("node"), "node is missing: scripts/bootstrap test installs it"
        assert (_MODULES / "playwright-core").is_dir(), "portal/node_modules is missing: scripts/build-portal makes it"
        self._process = subprocess.Popen(["node", str(_DRIVER)], env={**os.environ, "HOME": str(home)},
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        self._answers = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.playwright, self.notes = Handle(self, 0), Handle(self, 1, shown="notes")

    def _read(self):
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def call(self, handle, chain, shown):
        try:
            self._process.stdin.write(json.dumps({"on": handle, "chain": chain}) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=4 * BOUND_S)  # Playwright's own bounds are shorter
        except (OSError, queue.Empty):
            line = None
        if line is None:
            self._process.kill()  # what comes later would be taken for the answer to another call
            raise BrowserError(f"{shown}: the browser's driver has ended or does not answer")
        answer = json.loads(line)
        if "error" in answer:
            raise BrowserError(f"{shown}\n{answer['error']}")
        return self._decoded(answer["value"])

    def _decoded(self, value):
        if isinstance(value, list):
            return [self._decoded(member) for member in value]
        if not isinstance(value, dict):
            return value
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
        if "$handle" in value:
            return Handle(self, value["$handle"], shown=value["$type"][:1].lower() + value["$type"][1:])
        return {key: self._decoded(member) for key, member in value.items()}

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=BOUND_S)


class Browser:
    """Chromium, started once; pages are cheap, and each has a context (cookies, storage) of its own."""

    def __init__(self, home):
        self._driver = Driver(home)
        found = next((path for path in map(shutil.which, _EXECUTABLES) if path), None)
        assert found, f"none of {', '.join(_EXECUTABLES)} is there: scripts/bootstrap test installs Chromium"
        self._chromium = self._driver.playwright.chromium.launch(executable_path=found, args=_ARGUMENTS)
        self.pages = []  # open ones, for the report of a failed test

    def new_page(self, address, viewport=(1280, 800), color_scheme="light", locale="en-US", **options):
        """A page in a context of its own. address: of the server, to which paths are relative. options: newContext()'s."""
        context = self._chromium.new_context(
            base_url=address, viewport={"width": viewport[0], "height": viewport[1]}, color_scheme=color_scheme,
            locale=locale, timezone_id="UTC", reduced_motion="reduce", **options)
        context.set_default_timeout(BOUND_S * 1000)
        context.add_init_script({"content": _TELL_VIOLATIONS})
        page = Page(self._driver, context, address)
        self.pages.append(page)
        return page

    def close_page(self, page):
        """Ends it; returns what went wrong in it unseen, as lines."""
        self.pages.remove(page)
        return page.end()

    def close(self):
        self._driver.close()


class Page(Handle):
    """Playwright's page, with what our tests want besides. `context` is Playwright's."""

    def __init__(self, driver, context, address):
        super().__init__(driver, context.new_page()._handle, shown="page")
        self.context = context
        self._address = address
        self._expected = []
        driver.notes.take(self, "console", ["type", "text", "location"])
        driver.notes.take(self, "pageerror", ["message"])
        driver.notes.take(self, "request", ["url"])

    def expects(self, pattern):
        """A problem whose words match this is part of the test."""
        self._expected.append(re.compile(pattern))

    def problems(self):
        """Errors on the console (those of the content security policy, too), uncaught ones, requests to other hosts."""
        found = []
        for note in self._driver.notes.of(self):
            if note["event"] == "pageerror":
                found.append(f"uncaught: {note['message']}")
            elif note["event"] == "request":
                if self._is_elsewhere(note["url"]):
                    found.append(f"request to another host: {note['url']}")
            elif note["type"] in ("error", "assert") and not self._is_refusal(note):
                found.append(f"console: {note['text']}")
        return [words for words in found if not any(pattern.search(words) for pattern in self._expected)]

    def _is_elsewhere(self, url):
        asked = urllib.parse.urlsplit(url)
        return asked.scheme not in ("data", "blob", "about") and asked.netloc != urllib.parse.urlsplit(self._address).netloc

    @staticmethod
    def _is_refusal(note):
        return _REFUSAL.match(note["text"]) and _API.search(urllib.parse.urlsplit(note["location"]["url"]).path)

    def screenshot(self, name=None, **options):
        """name: the file's, without .png, in the folder of screenshots ($HARBINGER_SCREENSHOTS)."""
        if name:
            options["path"] = screenshots() / f"{name}.png"
        return Handle.__getattr__(self, "screenshot")(**options)

    def described(self, field):
        """What stands at a field: the text that its aria-describedby names. An error belongs there, not just near it."""
        return field.evaluate(JS("""(field) => (field.getAttribute("aria-describedby") ?? "").split(" ")
            .map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim()"""))

    def shown(self):
        """What is to be seen and what a screen reader finds, for a report: address, then the tree of roles and names."""
        return f"{self.url()}\n{self.locator('body').aria_snapshot(timeout=2000)}"

    def assert_accessible(self):
        """axe-core finds nothing on the page as it is: WCAG 2.0 to 2.2 A and AA, and its best practices."""
        self.evaluate(JS("""() => Promise.all(document.getAnimations()
            .filter((one) => one.effect?.getComputedTiming().endTime !== Infinity)
            .map((one) => one.finished.catch(() => undefined)))"""))
        if not self.evaluate("typeof axe === 'object'"):
            self.evaluate((_MODULES / "axe-core" / "axe.min.js").read_text(encoding="utf-8") + "; undefined")
        found = self.evaluate(JS("""async (tags) => (await axe.run({runOnly: tags, resultTypes: ["violations"]})).violations
            .map((rule) => `${rule.id} (${rule.impact}): ${rule.help}\\n` + rule.nodes.map((node) =>
                `    ${node.target.join(" ")}\\n        ${node.html.slice(0, 300)}\\n        ` +
                node.failureSummary.replace(/\\n/g, "\\n        ")).join("\\n"))"""), _AXE_TAGS)
        assert not found, f"axe-core at {self.url()}:\n" + "\n".join(found)

    def end(self):
        """Closes the context; the problems."""
        found = self.problems()
        self._driver.notes.forget(self)
        self.context.close()
        return found


def screenshots():
    """The folder: $HARBINGER_SCREENSHOTS, else screenshots/ of the build."""
    folder = os.environ.get("HARBINGER_SCREENSHOTS") or os.path.join(os.environ.get("HARBINGER_BUILD_DIR", "build"),
                                                                     "screenshots")
    return pathlib.Path(TOP, folder)


def sign_in(page, name, password):
    """Through the form, as a person does; waits until it has gone."""
    page.get_by_role("textbox", name="Username").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="SIGN IN").click()
    page.get_by_role("button", name="SIGN IN").wait_for(state="hidden")

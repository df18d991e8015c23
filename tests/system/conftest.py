# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests: real parts, driven from outside. support/ has the classes, with their documentation.

    server        a running server for all tests of a module, with receivers on loopback allowed; tests share it, so
                  each works in a project of its own (fixture `project`) and leaves settings as they were
                (a module that needs other options names them in SERVER, a dict of Server's arguments)
    new_server    makes a server for this test alone: new_server(settings={...}) -> Server; stopped and checked at the end
    api           the checked API client as `admin` on `server`; api_of(server) makes one for another
    project       the name of a fresh private project on `server`
    receiver      an HTTP endpoint for this test; new_receiver(tls=..., host=...) makes more
    certificates  a CA and certificates good and bad, made once per worker
    registry      a real docker-registry for this module that notifies `server`; new_registry(server) makes another
    images        small images (umoci) and skopeo: make, push, pull, delete
    upstream      a real docker-registry for this module that notifies nobody
    gateway       a running server in front of `upstream` for all tests of a module (GATEWAY: a dict of more settings)
    new_gateway   makes one in front of anything for this test alone: new_gateway(url, settings={...}) -> Server
    oci           the client of /v2/ as `admin` on `gateway` (support/oci.py); gateway_api the API client there;
                  gateway_project the name of a fresh private project there
    disk_of       a small file system for this test: disk_of(folder, size_bytes) -> Disk at folder/data (support/disk.py)
    browser       Chromium, one per worker; tests that use it (through a page) get the marker `portal`
    new_page      makes a page for this test: new_page(server, viewport=(400, 800), color_scheme="dark", locale="de-DE");
                  errors on its console, content security policy violations and requests to other hosts fail the test,
                  unless it said page.expects(pattern)
    signed_in_page   the same, with admin signed in and /harbor/projects open; the form is used once per server, and the
                  session shared: a test that signs out, or lets a session end, signs in by itself (support/browser.py)

A server that ends with another code than 0, or cannot be stopped, fails the test (or the module's last test). The log of
each server is printed with a test that failed.
"""
import itertools
import os
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.api import Api  # noqa: E402
from support.browser import Browser, BrowserError, screenshots, sign_in  # noqa: E402
from support.certificates import Certificates  # noqa: E402
from support.disk import Disk  # noqa: E402
from support.oci import Oci  # noqa: E402
from support.receiver import Receiver  # noqa: E402
from support.registry import Images, Registry  # noqa: E402
from support.server import ADMIN_PASSWORD, Server  # noqa: E402

_SHOWN_BYTES = 6000
_numbers = itertools.count(1)
_running = []  # servers, for the report of a failed test
_browsers = []  # the worker's browser, likewise


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for server in _running:
            report.sections.append((f"log of the server in {server.folder}", server.log()[-_SHOWN_BYTES:]))
        for number, page in enumerate(page for one in _browsers for page in one.pages):
            _report_page(report, page, f"failed-{re.sub('[^A-Za-z0-9]+', '-', item.name)[:80]}-{number + 1}")


def _report_page(report, page, name):
    try:
        page.screenshot(name=name)
        words = f"{page.shown()}\n\n" + "\n".join(page.problems())
    except BrowserError as problem:
        words = str(problem)
    report.sections.append((f"page, also in {screenshots() / name}.png", words[-2 * _SHOWN_BYTES:]))


def pytest_itemcollected(item):
    if "browser" in item.fixturenames:
        item.add_marker("portal")


def _end(server):
    try:
        server.keep_metrics()
        server.stop()
    finally:
        if server in _running:
            _running.remove(server)


@pytest.fixture(scope="module")
def server(request, tmp_path_factory):
    one = Server(tmp_path_factory.mktemp("server"), **getattr(request.module, "SERVER", {}))
    _running.append(one)
    one.start()
    yield one
    _end(one)


@pytest.fixture
def new_server(tmp_path):
    made = []

    def make(start=True, **options):
        """Options are those of support.server.Server; `folder` for a second server on the same directory."""
        options.setdefault("folder", tmp_path / f"server-{len(made) + 1}")
        one = Server(**options)
        made.append(one)
        _running.append(one)
        return one.start() if start else one

    yield make
    problems = []
    for one in made:
        try:
            _end(one)
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


@pytest.fixture
def api(server):
    return Api(server)


@pytest.fixture
def api_of():
    return Api


@pytest.fixture
def project(api):
    name = f"p{os.getpid()}-{next(_numbers)}"
    api.project(name)
    return name


@pytest.fixture
def disk_of(tmp_path, new_server):  # new_server: its servers end before the disk goes
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small disk")
    made = []

    def make(folder, size_bytes):
        made.append(Disk(folder / "data", size_bytes))
        return made[-1]

    yield make
    for one in made:
        one.unmount()


@pytest.fixture
def new_receiver():
    made = []

    def make(**options):
        made.append(Receiver(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def receiver(new_receiver):
    return new_receiver()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def new_registry(tmp_path):
    made = []

    def make(server, port=0):
        """server None: one that notifies nobody."""
        notify = f"{server.url}/ingest/distribution" if server else None
        made.append(Registry(tmp_path / f"registry-{len(made) + 1}", notify, port=port))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope="module")
def registry(server, tmp_path_factory):
    one = Registry(tmp_path_factory.mktemp("registry"), f"{server.url}/ingest/distribution")
    yield one
    one.stop()


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    one = Registry(tmp_path_factory.mktemp("upstream"), None)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def gateway(request, upstream, tmp_path_factory):
    settings = {"upstream.url": upstream.url, **getattr(request.module, "GATEWAY", {})}
    one = Server(tmp_path_factory.mktemp("gateway"), settings=settings)
    _running.append(one)
    one.start()
    yield one
    _end(one)


@pytest.fixture
def new_gateway(new_server):
    def make(url, settings=None, **options):
        return new_server(settings={"upstream.url": url, **(settings or {})}, **options)

    return make


@pytest.fixture
def oci(gateway):
    return Oci(gateway)


@pytest.fixture
def gateway_api(gateway):
    return Api(gateway)


@pytest.fixture
def gateway_project(gateway_api):
    name = f"g{os.getpid()}-{next(_numbers)}"
    gateway_api.project(name)
    return name


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return Images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    one = Browser(tmp_path_factory.mktemp("browser"))
    _browsers.append(one)
    yield one
    _browsers.remove(one)
    one.close()


@pytest.fixture
def new_page(browser, new_server):  # pages close before the servers that they ask
    made = []

    def make(server, **options):
        """Options are those of support.browser.Browser.new_page; `server` is a Server, or an address."""
        made.append(browser.new_page(getattr(server, "url", server), **options))
        return made[-1]

    yield make
    problems = [line for page in made for line in browser.close_page(page)]
    assert not problems, "in the browser:\n" + "\n".join(problems)


@pytest.fixture(scope="module")
def sessions():
    """Address of a server -> cookies of a session there."""
    return {}


@pytest.fixture
def signed_in_page(new_page, sessions):
    def make(server, **options):
        page = new_page(server, storage_state=sessions.get(server.url), **options)
        status = page.goto("/harbor/projects").status()
        assert status == 200, f"the server answered {status}: is the portal built (scripts/build-portal) and in the program?"
        if server.url not in sessions:
            sign_in(page, "admin", ADMIN_PASSWORD)
            sessions[server.url] = page.context.storage_state()
        page.get_by_role("heading", name="Projects", exact=True).wait_for()
        return page

    return make

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

A server that ends with another code than 0, or cannot be stopped, fails the test (or the module's last test). The log of
each server is printed with a test that failed.
"""
import itertools
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.api import Api  # noqa: E402
from support.certificates import Certificates  # noqa: E402
from support.receiver import Receiver  # noqa: E402
from support.registry import Images, Registry  # noqa: E402
from support.server import Server  # noqa: E402

_SHOWN_BYTES = 6000
_numbers = itertools.count(1)
_running = []  # servers, for the report of a failed test


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for server in _running:
            report.sections.append((f"log of the server in {server.folder}", server.log()[-_SHOWN_BYTES:]))


def _end(server):
    try:
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
        made.append(Registry(tmp_path / f"registry-{len(made) + 1}", f"{server.url}/ingest/distribution", port=port))
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
def images(tmp_path_factory):
    return Images(tmp_path_factory.mktemp("images"))

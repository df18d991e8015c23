# SPDX-License-Identifier: Apache-2.0
"""Markers, for all Python tests, and the search for leaked secrets after the last of them. Fixtures live beside the tests
that use them."""
import os
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "system"))

from support import secrets  # noqa: E402

MARKERS = {
    "long": "takes minutes; runs with ./test --long only",
    "portal": "in a browser; given to every test with a page",
    "busy": "many threads at work; .ci/run repeats it in the ThreadSanitizer build",
}


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", default=False, help="run the tests marked long, too")


def pytest_configure(config):
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    if not hasattr(config, "workerinput"):
        # Before there are workers: they inherit it.
        config.traces = os.environ["HARBINGER_TRACES"] = tempfile.mkdtemp(prefix="harbinger-traces-")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    # Deselected, not skipped: a campaign is another command, not a test that this one left out.
    short = [item for item in items if item.get_closest_marker("long") is None]
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long") is not None])
    items[:] = short


def _kept_folders(config):
    """Where the tests of this session, and of its workers, had their temporary folders."""
    factory = getattr(config, "_tmp_path_factory", None)
    return [factory.getbasetemp()] if factory else []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Everything that was produced is searched for the secrets that the tests used (support/secrets.py)."""
    config = session.config
    folder = getattr(config, "traces", None)
    if folder is None:
        return
    config.leaks = secrets.find_leaks(folder, trees=_kept_folders(config))
    config.leak_report = secrets.report(config.leaks) if config.leaks else ""
    if config.leaks and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    shutil.rmtree(folder, ignore_errors=True)


def pytest_terminal_summary(terminalreporter, config):
    if getattr(config, "leaks", None):
        terminalreporter.section("leaked secrets", red=True)
        terminalreporter.write_line(config.leak_report)

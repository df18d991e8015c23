# SPDX-License-Identifier: Apache-2.0
"""Markers, for all Python tests. Fixtures live beside the tests that use them."""
import pytest

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


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    # Deselected, not skipped: a campaign is another command, not a test that this one left out.
    short = [item for item in items if item.get_closest_marker("long") is None]
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long") is not None])
    items[:] = short

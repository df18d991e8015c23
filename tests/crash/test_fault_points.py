# SPDX-License-Identifier: Apache-2.0
"""One kill at each named fault point of the commit and send path (src/base/fault.c), one after another on the same data
directory; and the same as power cuts."""
import os
import pathlib
import re

import pytest

from harness import faults
from harness.campaign import Campaign

SRC = pathlib.Path(__file__).resolve().parents[2] / "src"
# By the first part of their names: what is tried together on one directory.
GROUPS = {"the way in": ("ingest", "http", "store", "api"), "the way out": ("dispatch", "client")}
ELSEWHERE = ("change.",)  # test_gateway_kills.py
FIRST = "store.migration.between"  # passed on a new directory alone


def group_of(name):
    return next((group for group, parts in GROUPS.items() if name.split(".")[0] in parts), None)


def kill_at_each(folder, group, env=None):
    points = [name for name in faults.names()["point"] if group_of(name) == group]
    assert points
    with Campaign(folder, program=faults.program(), env=env) as campaign:
        if FIRST in points:
            points.remove(FIRST)
            assert campaign.start(f"{FIRST}=kill@2") is False and campaign.problems == []
        campaign.begin()
        for name in points:
            assert campaign.kill_at_point(name), \
                f"{name} was not passed: {campaign.problems}\n{campaign.server.log()[-2000:]}"
        report = campaign.finish()
    assert report.problems == [], report
    assert report.kills == len(points)


@pytest.mark.parametrize("group", GROUPS)
def test_a_kill_at_each_fault_point_loses_nothing(tmp_path, group):
    kill_at_each(tmp_path, group)


@pytest.mark.parametrize("group", GROUPS)
def test_a_power_cut_at_each_fault_point_loses_nothing(tmp_path, group):
    kill_at_each(tmp_path, group, env={"HARBINGER_FAULT_VFS": "power"})


def test_the_table_of_fault_points_is_the_code(tmp_path):
    named = {"point": set(), "plant": set()}
    for path in SRC.rglob("*.c"):
        for macro, name in re.findall(r'\bFAULT_(POINT|PLANTED)\("([^"]*)"\)', path.read_text(encoding="utf-8")):
            named["point" if macro == "POINT" else "plant"].add(name)
    known = faults.names()
    assert named == {kind: set(names) for kind, names in known.items()}
    assert all(group_of(name) or name.startswith(ELSEWHERE) for name in known["point"]), "a point that no test kills at"


def test_the_release_has_nothing_of_the_faults():
    release = pathlib.Path(os.environ["HARBINGER_BINARY"]).read_bytes()
    fault_build = pathlib.Path(faults.program()).read_bytes()
    points = [name.encode() for name in faults.names()["point"]]
    for words in [b"HARBINGER_FAULT", b"fault_point", b"harbinger-faults", *points]:
        assert words in fault_build and words not in release, words

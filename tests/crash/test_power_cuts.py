# SPDX-License-Identifier: Apache-2.0
"""Power cuts: what was written and not yet synced is lost but for a share of its sectors (src/store/sqlite/fault_vfs.h). The
account is that of the kills."""
import pytest

from harness import faults
from harness.campaign import Campaign

NORMAL_CUTS, LONG_CUTS = 8, 150
POWER = {"HARBINGER_FAULT_VFS": "power"}


def run(folder, cuts):
    with Campaign(folder, program=faults.program(), env=POWER) as campaign:
        campaign.begin()
        for _ in range(cuts):
            if not campaign.kill_at_random():
                break
        report = campaign.finish()
    assert report.problems == [], report
    assert report.kills == cuts
    assert report.commits >= cuts / 4, f"too few cuts struck with commits in flight: {report}"
    assert report.sends >= cuts / 4, f"too few cuts struck with sends in flight: {report}"


def test_eight_power_cuts_lose_nothing_that_was_acknowledged(tmp_path):
    run(tmp_path, NORMAL_CUTS)


@pytest.mark.long
def test_a_hundred_and_fifty_power_cuts_lose_nothing_that_was_acknowledged(tmp_path):
    run(tmp_path, LONG_CUTS)

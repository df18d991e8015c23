# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the release at random moments under load: the account of docs/guarantees.md holds."""
import pytest

from harness.campaign import Campaign

NORMAL_KILLS, LONG_KILLS = 20, 500


def run(folder, kills):
    with Campaign(folder) as campaign:
        campaign.begin()
        for _ in range(kills):
            if not campaign.kill_at_random():
                break
        report = campaign.finish()
    assert report.problems == [], report
    assert report.kills == kills
    # A kill of an idle server proves nothing.
    assert report.commits >= kills / 4, f"too few kills struck with commits in flight: {report}"
    assert report.sends >= kills / 4, f"too few kills struck with sends in flight: {report}"


@pytest.mark.busy
def test_twenty_kills_at_random_moments_lose_nothing(tmp_path):
    run(tmp_path, NORMAL_KILLS)


@pytest.mark.long
def test_five_hundred_kills_at_random_moments_lose_nothing(tmp_path):
    run(tmp_path, LONG_KILLS)

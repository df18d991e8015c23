# SPDX-License-Identifier: Apache-2.0
"""The account itself is tried: with a defect planted in the server it must name a loss, without one it names none (the other
files)."""
from harness import faults
from harness.campaign import Campaign

MOST_KILLS = 30  # until the defect has had its chance


def account_of_planted(folder, name, env=None, kills=MOST_KILLS):
    """Kills until the account is red, at most so often."""
    with Campaign(folder, program=faults.program(), env={**(env or {}), "HARBINGER_FAULTS": f"{name}=plant"}) as campaign:
        campaign.begin()
        for _ in range(kills):
            if not campaign.kill_at_random() or campaign.is_lossy():
                break
        return campaign.finish()


def test_an_answer_before_its_commit_is_found(tmp_path):
    report = account_of_planted(tmp_path, "answer_before_commit")
    assert any(problem.startswith("lost: ") for problem in report.problems), report


def test_a_delivery_that_is_closed_before_its_answer_was_read_is_found(tmp_path):
    report = account_of_planted(tmp_path, "close_before_answer", kills=3)
    assert any(problem.startswith("lost: ") for problem in report.problems), report


def test_commits_that_are_not_synced_are_found_by_a_power_cut(tmp_path):
    report = account_of_planted(tmp_path, "synchronous_off", env={"HARBINGER_FAULT_VFS": "power"}, kills=3)
    assert any(problem.startswith(("lost: ", "not served: ")) for problem in report.problems), report

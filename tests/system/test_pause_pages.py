# SPDX-License-Identifier: Apache-2.0
"""PAUSE and RESUME in the portal: both ways to pause, both ways to resume, and a webhook that the server suspended."""
import pytest
from support.receiver import Answer
from support.waiting import wait_until
from test_documented_procedure import act, confirm, dialog_of, open_webhooks, policies, row_of, select, the_policy


@pytest.fixture
def page(signed_in_page, server):
    return signed_in_page(server)


def states(api, project):
    return [one["state"] for one in api.get(f"{policies(project)}/{the_policy(api, project)['id']}/deliveries").json]


def asked(page, item):
    """The dialog behind an item of ACTION."""
    act(page, item)
    return dialog_of(page, f"{item.capitalize()} Webhook")


def choose(dialog, answer, words):
    dialog.get_by_role("radio", name=answer, exact=True).check()
    dialog.get_by_text(words, exact=True).wait_for()


def menu_is(page, *items):
    page.get_by_role("button", name="ACTION").click()
    page.get_by_role("menuitem", name="DELETE", exact=True).wait_for()
    found = [one.strip() for one in page.get_by_role("menuitem").all_inner_texts()]
    page.keyboard.press("Escape")
    page.get_by_role("menuitem", name="DELETE", exact=True).wait_for(state="hidden")
    assert found == list(items)


def test_a_webhook_is_paused_with_hold_and_resumed_with_what_waited(page, api, project, receiver):
    api.webhook(project, receiver.url, name="ci")
    open_webhooks(page, project)
    select(page, "ci")
    menu_is(page, "EDIT", "TEST", "DEACTIVATE", "PAUSE", "DELETE")
    dialog = asked(page, "PAUSE")
    dialog.get_by_text("Nothing waits.").wait_for()
    page.assert_accessible()
    confirm(dialog, "PAUSE")
    row_of(page, "ci").get_by_text("Paused", exact=True).wait_for()
    assert the_policy(api, project)["harbinger"] == {"paused": "hold"}
    menu_is(page, "EDIT", "TEST", "DEACTIVATE", "RESUME", "DELETE")

    api.submit(project)
    api.submit(project)
    assert states(api, project) == ["pending"] * 2
    dialog = asked(page, "RESUME")
    dialog.get_by_text("2 deliveries that wait will be sent.", exact=True).wait_for()
    page.assert_accessible()
    confirm(dialog, "RESUME")
    receiver.take(2)
    row_of(page, "ci").get_by_text("Enabled", exact=True).wait_for()


def test_pausing_with_skip_says_what_it_cancels_and_is_a_deactivation(page, api, project, receiver):
    number = api.webhook(project, receiver.url, name="ci")
    api.post(f"{policies(project)}/{number}/pause", {"mode": "hold"}, expect=200)
    api.submit(project)
    receiver.always(Answer(410))
    api.post(f"{policies(project)}/{number}/resume", {"backlog": "keep"}, expect=200)
    wait_until(lambda: the_policy(api, project).get("harbinger"), "the target is suspended, with one that waits")
    open_webhooks(page, project)
    select(page, "ci")
    dialog = asked(page, "PAUSE")
    dialog.get_by_text("1 delivery that waits will be kept.", exact=True).wait_for()
    choose(dialog, "Skip", "1 delivery that waits will be cancelled.")
    confirm(dialog, "PAUSE")
    row_of(page, "ci").get_by_text("Deactivated", exact=True).wait_for()
    assert the_policy(api, project)["enabled"] is False and states(api, project) == ["cancelled"]
    menu_is(page, "EDIT", "TEST", "ENABLE", "DELETE")


@pytest.mark.parametrize("answer, words, becomes", [
    ("Keep", "1 delivery that waits will be sent.", "succeeded"),
    ("Drop", "1 delivery that waits will be cancelled.", "cancelled")])
def test_a_suspended_webhook_says_why_and_is_resumed(page, api, project, receiver, answer, words, becomes):
    receiver.always(Answer(410))
    api.webhook(project, receiver.url, name="ci")
    api.submit(project)
    wait_until(lambda: the_policy(api, project).get("harbinger"), "the target is suspended")
    receiver.always(Answer(200))
    open_webhooks(page, project)
    row_of(page, "ci").get_by_text("Suspended", exact=True).wait_for()
    row_of(page, "ci").get_by_text("410").wait_for()
    row_of(page, "ci").get_by_text("since").wait_for()
    select(page, "ci")
    menu_is(page, "EDIT", "TEST", "DEACTIVATE", "PAUSE", "RESUME", "DELETE")
    dialog = asked(page, "RESUME")
    choose(dialog, answer, words)
    confirm(dialog, "RESUME")
    row_of(page, "ci").get_by_text("Enabled", exact=True).wait_for()
    wait_until(lambda: states(api, project) == [becomes], f"what waited is {becomes}")
    assert "harbinger" not in the_policy(api, project)


def test_a_delivery_of_a_paused_webhook_says_what_it_waits_for(page, server, api, project, receiver):
    number = api.webhook(project, receiver.url, name="ci")
    api.post(f"{policies(project)}/{number}/pause", {"mode": "hold"}, expect=200)
    api.submit(project)
    open_webhooks(page, project)
    select(page, "ci")
    page.get_by_role("region", name="Deliveries", exact=True).get_by_role("link").first().click()
    page.get_by_text("The webhook is paused", exact=True).wait_for()
    page.assert_accessible()

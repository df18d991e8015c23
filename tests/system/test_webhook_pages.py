# SPDX-License-Identifier: Apache-2.0
"""The Webhooks tab when things are not as the documented procedure has them: somebody else changes or deletes the webhook
that is being edited, the receiver is hostile, nobody has a mouse; and trying a webhook, before and after it is saved.
"""
import json
import re

import pytest
from support.browser import JS
from support.receiver import Answer
from support.waiting import wait_until
from test_documented_procedure import (act, choose, choose_events, confirm, dialog_of, error_at, new_webhook, open_webhooks,
                                       policies, row_of, select, text_field, the_policy)

# The name of what has the focus; the page itself has it when nothing else does.
FOCUSED = JS("""() => {
    const one = document.activeElement;
    return one === document.body ? "" : one.getAttribute("aria-label") ?? one.labels?.[0]?.textContent ?? one.textContent;
}""")


def edit(page, project, name):
    open_webhooks(page, project)
    select(page, name)
    act(page, "EDIT")
    dialog = dialog_of(page, "Edit Webhook")
    text_field(dialog, "Name").wait_for()
    return dialog


def focused(page, words):
    wait_until(lambda: page.evaluate(FOCUSED).startswith(words), f"the focus is at {words}")


def changed_by_somebody(api, project):
    policy = the_policy(api, project)
    api.put(f"{policies(project)}/{policy['id']}", {**policy, "description": "theirs"})


@pytest.fixture
def page(signed_in_page, server):
    return signed_in_page(server)


# -- two at once ----------------------------------------------------------------------------------------------------------


def test_the_second_of_two_browsers_is_told_and_loads_what_the_first_saved(signed_in_page, server, api, project):
    api.webhook(project, "https://receiver.example/hook", name="ci")
    first, second = signed_in_page(server), signed_in_page(server)
    mine, yours = edit(first, project, "ci"), edit(second, project, "ci")
    text_field(mine, "Description").fill("first")
    confirm(mine, "SAVE")
    text_field(yours, "Description").fill("second")
    yours.get_by_role("button", name="SAVE", exact=True).click()
    told = yours.get_by_role("alert").filter(has_text="This webhook was changed by someone else while you were editing")
    told.wait_for()
    assert text_field(yours, "Description").input_value() == "second", "what was typed is lost"
    assert the_policy(api, project)["description"] == "first"
    second.assert_accessible()
    yours.get_by_role("button", name="LOAD THEIRS").click()
    wait_until(lambda: text_field(yours, "Description").input_value() == "first", "what the first one saved is loaded")
    told.wait_for(state="hidden")
    text_field(yours, "Description").fill("third")
    confirm(yours, "SAVE")
    assert the_policy(api, project)["description"] == "third"


def test_who_was_told_of_a_change_may_overwrite_it(page, api, project):
    api.webhook(project, "https://receiver.example/hook", name="ci")
    dialog = edit(page, project, "ci")
    changed_by_somebody(api, project)
    text_field(dialog, "Description").fill("mine")
    dialog.get_by_role("button", name="SAVE", exact=True).click()
    dialog.get_by_role("button", name="OVERWRITE").wait_for()
    text_field(dialog, "Description").fill("mine, and more of it")
    confirm(dialog, "OVERWRITE")
    assert the_policy(api, project)["description"] == "mine, and more of it"


def test_deactivating_keeps_what_somebody_else_changed_meanwhile(page, api, project):
    api.webhook(project, "https://receiver.example/hook", name="ci")
    open_webhooks(page, project)
    select(page, "ci")
    act(page, "DEACTIVATE")
    dialog = dialog_of(page, "Deactivate Webhook")
    dialog.get_by_text("Nothing waits.").wait_for()
    changed_by_somebody(api, project)
    dialog.get_by_role("button", name="DEACTIVATE").click()
    dialog.get_by_role("alert").filter(has_text="was changed since you read it").wait_for()
    confirm(dialog, "DEACTIVATE")
    policy = the_policy(api, project)
    assert (policy["description"], policy["enabled"]) == ("theirs", False)


def test_a_form_whose_webhook_was_deleted_says_so_and_keeps_what_was_typed(page, api, project):
    number = api.webhook(project, "https://receiver.example/hook", name="ci")
    dialog = edit(page, project, "ci")
    text_field(dialog, "Description").fill("three paragraphs of it")
    api.delete(f"{policies(project)}/{number}")
    dialog.get_by_role("button", name="SAVE", exact=True).click()
    dialog.get_by_role("alert").filter(has_text="This webhook was deleted while you were editing").wait_for()
    assert text_field(dialog, "Description").input_value() == "three paragraphs of it"
    assert api.get(policies(project)).json == []


def test_a_webhook_deleted_under_the_open_page_is_no_longer_selected(page, api, project):
    number = api.webhook(project, "https://receiver.example/hook", name="ci")
    api.webhook(project, "https://receiver.example/hook", name="stays")
    open_webhooks(page, project)
    select(page, "ci")
    page.get_by_role("region", name="Deliveries", exact=True).wait_for()
    page.get_by_text("Live", exact=True).wait_for()
    api.delete(f"{policies(project)}/{number}")
    said = page.get_by_role("alert").filter(has_text="The webhook that was selected was deleted.")
    said.wait_for()
    page.get_by_role("radio", name="Select ci", exact=True).wait_for(state="hidden")
    assert page.get_by_role("button", name="ACTION").is_disabled()
    page.assert_accessible()
    select(page, "stays")
    said.wait_for(state="hidden")


# -- a hostile receiver ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evil", ["<img src=x onerror=alert(1)>", "\u202egnp.exe"], ids=["element", "right-to-left"])
def test_a_hostile_name_and_a_hostile_answer_to_a_test_are_text(page, receiver, api, project, evil):
    receiver.always(Answer(500, headers={"X-Evil": evil.encode().decode("latin-1")}, body=evil.encode()))
    address = f"{receiver.url}/{'x' * 300}"
    api.webhook(project, address, name=evil, description=evil)
    open_webhooks(page, project)
    row = page.get_by_role("row").filter(has_text=address)
    row.get_by_role("radio", name=f"Select {evil}", exact=True).click()
    assert row.text_content().count(evil) == 2
    page.get_by_role("heading", name=f"Deliveries of {evil}", exact=True).wait_for()
    act(page, "TEST")
    dialog = dialog_of(page, "Test Webhook")
    dialog.get_by_text(evil, exact=True).first().wait_for()
    dialog.get_by_role("button", name="SEND TEST").click()
    body = dialog.get_by_role("region", name="Answer body", exact=True)
    body.wait_for()
    assert body.text_content() == evil
    dialog.get_by_role("button", name="CLOSE", exact=True).click()
    act(page, "EDIT")
    dialog = dialog_of(page, "Edit Webhook")
    assert text_field(dialog, "Name").input_value() == evil and text_field(dialog, "Description").input_value() == evil
    assert page.locator("img, [href^='javascript:']").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page has become wider than its window"


# -- trying a webhook -----------------------------------------------------------------------------------------------------


def send_test(dialog):
    dialog.get_by_role("button", name="SEND TEST").click()
    shown = dialog.get_by_role("region", name="Test result", exact=True)
    shown.wait_for()
    return shown


def test_a_form_is_tried_before_it_is_saved(page, receiver, api, project):
    receiver.always(Answer(202, headers={"X-Build": "17"}, body=b"b" * 5000))
    open_webhooks(page, project)
    dialog = new_webhook(page)
    # Without an address there is nothing to try: that stands at its field, and the focus goes there.
    dialog.get_by_role("button", name="SEND TEST").click()
    error_at(page, text_field(dialog, "Endpoint URL"), r"Endpoint URL is required\.")
    focused(page, "Endpoint URL")
    choose_events(dialog, "Artifact deleted")
    choose(dialog, "Payload Format", "CloudEvents")
    text_field(dialog, "Endpoint URL").fill(f"{receiver.url}/try")
    text_field(dialog, "Auth Header").fill("Bearer s3cr3t")
    # The sample beside the form is what is sent.
    sample = dialog.get_by_role("region", name="Sample body", exact=True)
    wait_until(lambda: "harbor.artifact.deleted" in sample.text_content(), "the sample follows the form")
    shown = send_test(dialog)
    request = receiver.next()
    assert (request.target, request.header("Authorization")) == ("/try", "Bearer s3cr3t")
    assert request.json["type"] == "harbor.artifact.deleted"
    assert json.loads(sample.text_content()).keys() == request.json.keys()
    shown.get_by_role("status").filter(has_text="Answered 202").wait_for()
    for stage in ("Connect", "First byte", "Total"):
        assert shown.get_by_role("table", name="Timings").get_by_role("rowheader", name=stage).count() == 1, stage
    assert shown.get_by_role("table", name="Answer headers").get_by_role("row", name="X-Build 17").count() == 1
    assert shown.get_by_role("region", name="Answer body", exact=True).text_content() == "b" * 4096
    shown.get_by_role("button", name="What was sent").click()
    shown.get_by_role("table", name="Request headers").get_by_role("row", name=re.compile(r"Authorization \*{8}")).wait_for()
    page.assert_accessible()
    assert api.get(policies(project)).json == []


def test_a_stored_secret_is_used_by_a_test_of_the_form(page, receiver, api, project):
    api.webhook(project, f"{receiver.url}/hook", name="ci", auth_header="Bearer kept")
    dialog = edit(page, project, "ci")
    send_test(dialog)
    assert receiver.next().header("Authorization") == "Bearer kept"
    assert "kept" not in text_field(dialog, "Auth Header").input_value()


def test_a_refusal_of_the_guard_stands_at_the_address_of_the_test(page, project):
    open_webhooks(page, project)
    dialog = new_webhook(page)
    text_field(dialog, "Endpoint URL").fill("http://10.1.2.3/hook")
    dialog.get_by_role("button", name="SEND TEST").click()
    error_at(page, text_field(dialog, "Endpoint URL"), "(?s)administrator.*harbinger egress allow 10.1.2.3/32")
    focused(page, "Endpoint URL")


def test_a_saved_webhook_is_tried_from_its_row_which_target_one_likes(page, new_receiver, api, project):
    first, second = new_receiver(), new_receiver()
    second.always(Answer(503, body=b"not today"))
    number = api.post(policies(project), {
        "name": "two", "enabled": False, "event_types": ["PUSH_ARTIFACT", "QUOTA_EXCEED"],
        "targets": [{"type": "http", "address": f"{one.url}/hook"} for one in (first, second)]}).location_id
    open_webhooks(page, project)
    select(page, "two")
    act(page, "TEST")
    dialog = dialog_of(page, "Test Webhook")
    choose(dialog, "Event", "Quota exceed")
    send_test(dialog).get_by_role("status").filter(has_text="Answered 200").wait_for()
    assert first.next().json["type"] == "QUOTA_EXCEED"
    choose(dialog, "Target", f"Target 2: {second.url}/hook")
    send_test(dialog).get_by_role("status").filter(has_text="Refused with 503").wait_for()
    dialog.get_by_text("not today").wait_for()
    page.assert_accessible()
    assert (len(first.requests), len(second.requests)) == (1, 1)
    assert api.executions(project, number) == [], "a test is no execution"


def test_too_many_tests_are_refused_in_words(signed_in_page, new_server, receiver, api_of):
    server = new_server(settings={"api.webhook_tests_per_minute": 1})
    api_of(server).project("team")
    api_of(server).webhook("team", receiver.url, name="ci")
    page = signed_in_page(server)
    open_webhooks(page, "team")
    select(page, "ci")
    act(page, "TEST")
    dialog = dialog_of(page, "Test Webhook")
    send_test(dialog)
    dialog.get_by_role("button", name="SEND TEST").click()
    dialog.get_by_role("alert").filter(has_text="at most 1 tests a minute").wait_for()
    assert len(receiver.requests) == 1


# -- the keyboard alone ---------------------------------------------------------------------------------------------------


def test_a_webhook_is_added_and_deleted_with_the_keyboard_alone(page, api, project):
    open_webhooks(page, project)
    page.get_by_role("button", name="NEW WEBHOOK").focus()
    page.keyboard.press("Enter")
    dialog = dialog_of(page, "Add Webhook")
    focused(page, "Name")
    page.keyboard.type("typed")
    # Escape asks before it throws away what was typed; a second one takes that back.
    page.keyboard.press("Escape")
    dialog_of(page, "Discard what you typed?")
    focused(page, "KEEP EDITING")
    page.keyboard.press("Escape")
    focused(page, "Name")
    # Enter sends; the focus goes to what is missing.
    page.keyboard.press("Enter")
    focused(page, "Endpoint URL")
    page.keyboard.type("https://receiver.example/hook")
    page.keyboard.press("Enter")
    dialog.wait_for(state="hidden")
    focused(page, "NEW WEBHOOK")
    assert the_policy(api, project)["name"] == "typed"
    # The new one is selected: ACTION is beside.
    row_of(page, "typed")
    wait_until(lambda: not page.get_by_role("button", name="ACTION").is_disabled(), "the new webhook is selected")
    page.keyboard.press("Tab")
    focused(page, "ACTION")
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="DELETE").wait_for()
    page.keyboard.press("Escape")
    focused(page, "ACTION")
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="DELETE").wait_for()
    wait_until(lambda: page.evaluate("document.activeElement.closest('[role=menu]') !== null"), "the menu has the focus")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    focused(page, "DELETE")
    page.keyboard.press("Enter")
    dialog = dialog_of(page, "Delete Webhook")
    focused(page, "CANCEL")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    dialog.wait_for(state="hidden")
    wait_until(lambda: api.get(policies(project)).json == [], "the webhook is deleted")

# SPDX-License-Identifier: Apache-2.0
"""Strict order and the warning of loops as the portal shows them."""
import threading

import pytest
from support.api import push_event
from support.receiver import Answer
from support.waiting import wait_until
from test_portal_pages import delivery_path
from test_documented_procedure import (act, confirm, dialog_of, new_webhook, open_webhooks, policies, row_of, select,
                                       text_field, the_policy)


@pytest.fixture
def page(signed_in_page, server):
    return signed_in_page(server)


def box(dialog):
    return dialog.get_by_role("checkbox", name="Strict order", exact=True)


def test_strict_order_is_a_box_of_the_form(page, api, project):
    open_webhooks(page, project)
    dialog = new_webhook(page)
    assert not box(dialog).is_checked()
    text_field(dialog, "Name").fill("ordered")
    text_field(dialog, "Endpoint URL").fill("https://receiver.example/hook")
    box(dialog).check()
    dialog.get_by_text("One delivery after the other, in the order of the events.").wait_for()
    page.assert_accessible()
    confirm(dialog, "ADD")
    assert the_policy(api, project)["targets"][0]["harbinger"] == {"strict_order": True}
    select(page, "ordered")
    act(page, "EDIT")
    dialog = dialog_of(page, "Edit Webhook")
    wait_until(box(dialog).is_checked, "the form shows what is stored")
    box(dialog).uncheck()
    confirm(dialog, "SAVE")
    assert "harbinger" not in the_policy(api, project)["targets"][0]


def test_the_page_of_a_held_delivery_says_what_it_waits_for(page, api, server, project, receiver):
    release = threading.Event()
    receiver.always(Answer(hold=release))
    api.webhook(project, receiver.url, target={"harbinger": {"strict_order": True}})
    for _ in range(2):
        api.submit(project)
    receiver.next()
    number = the_policy(api, project)["id"]
    held, head = api.get(f"{policies(project)}/{number}/deliveries").json
    page.goto(delivery_path(api, project, number, held["id"]))
    page.get_by_text(f"It goes out when delivery {head['id']} has ended.").wait_for()
    page.assert_accessible()
    release.set()
    page.get_by_text(f"It goes out when delivery {head['id']} has ended.").wait_for(state="hidden")


def test_a_webhook_that_looks_like_a_loop_says_so(page, api, project, receiver):
    api.webhook(project, receiver.url, name="ci")
    for _ in range(24):
        api.submit(project, push_event(tag="latest", actor={"kind": "robot", "name": "robot$ci"}))
        receiver.next()
    wait_until(lambda: "warning" in the_policy(api, project).get("harbinger", {}), "the webhook has a warning")
    open_webhooks(page, project)
    row = row_of(page, "ci")
    row.get_by_text("Perhaps a loop", exact=True).wait_for()
    row.get_by_text("perhaps the receiver causes what it is told of").wait_for()
    page.assert_accessible()

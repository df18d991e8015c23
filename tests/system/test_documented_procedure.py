# SPDX-License-Identifier: Apache-2.0
"""The vendor's page "Configuring Webhooks" (Mirantis Secure Registry 4) as a person follows it, in Chromium.

The parts "Configuring Webhook Notifications" and "Manage Existing Webhooks", each step under its sentence (in quotes).
Everything is found by role and by the name that the page gives it; what arrives comes from a real push to a real registry.
"""
import json
import re

import pytest
from support.browser import JS, sign_in
from support.receiver import Answer
from support.secrets import secret
from support.server import ADMIN_PASSWORD
from support.waiting import wait_until

# Check box -> type on the wire, and what its description must speak of (the page's table "Contents of Notification").
EVENT_TYPES = {
    "Artifact pushed": ("PUSH_ARTIFACT", ["repository", "tags", "digest", "time", "who pushed"]),
    "Artifact pulled": ("PULL_ARTIFACT", ["repository", "digest", "time", "who pulled"]),
    "Artifact deleted": ("DELETE_ARTIFACT", ["repository", "digest", "size", "time", "who deleted"]),
    "Scanning completed": ("SCANNING_COMPLETED", ["repository", "tag", "critical", "major", "minor", "status", "time"]),
    "Scanning stopped": ("SCANNING_STOPPED", ["repository", "tag", "status"]),
    "Scanning failed": ("SCANNING_FAILED", ["repository", "tag", "error"]),
    "Quota exceed": ("QUOTA_EXCEED", ["repository", "tags", "digest", "time"]),
    "Quota near threshold": ("QUOTA_WARNING", ["repository", "tags", "digest", "time"]),
    "Replication status changed": ("REPLICATION", ["repository", "artifact"]),
    "Tag retention finished": ("TAG_RETENTION", ["repository", "artifact"]),
}
DOWN = Answer(503)  # tried again for days: what is sent there waits


# -- what a person does over and over -------------------------------------------------------------------------------------


def open_webhooks(page, project):
    """"Navigate to the project where you want to configure webhooks." "Within the project, click on the Webhooks tab." """
    page.goto("/harbor/projects")
    page.get_by_role("table").get_by_role("link", name=project, exact=True).click()
    page.get_by_role("heading", name=project, exact=True).wait_for()
    page.get_by_role("tab", name="Webhooks").click()


def new_webhook(page):
    """"Click the NEW WEBHOOK button." The form that appears."""
    page.get_by_role("button", name="NEW WEBHOOK").click()
    return dialog_of(page, "Add Webhook")


def dialog_of(page, title):
    dialog = page.get_by_role("dialog", name=title, exact=True)
    dialog.wait_for()
    return dialog


def text_field(dialog, name):
    return dialog.get_by_role("textbox", name=name, exact=True)


def choose(dialog, name, option):
    dialog.get_by_role("combobox", name=name, exact=True).select_option({"label": option})


def event_types(dialog):
    return dialog.get_by_role("group", name="Event Type")


def choose_events(dialog, *chosen):
    for name in EVENT_TYPES:
        event_types(dialog).get_by_role("checkbox", name=name, exact=True).set_checked(name in chosen)


def confirm(dialog, button):
    """Presses the button that ends a form or a question, and waits until it has gone."""
    dialog.get_by_role("button", name=button, exact=True).click()
    dialog.wait_for(state="hidden")


def row_of(page, name):
    row = page.get_by_role("row").filter(has=page.get_by_role("radio", name=f"Select {name}", exact=True))
    row.wait_for()
    return row


def select(page, name):
    """"Select the existing webhook under Webhooks." """
    row_of(page, name).get_by_role("radio", name=f"Select {name}", exact=True).click()
    page.get_by_role("radio", name=f"Select {name}", exact=True, checked=True).wait_for()


def act(page, item):
    """"Click ACTION", then an item of its menu."""
    page.get_by_role("button", name="ACTION").click()
    page.get_by_role("menuitem", name=item, exact=True).click()


def question(page):
    """The dialog that asks before something is done; of two around each other, the inner one."""
    dialog = page.get_by_role("alertdialog").or_(page.get_by_role("dialog")).last()
    dialog.wait_for()
    return dialog


def error_at(page, field, words):
    """Waits until the field's own description, as a screen reader reads it with the field, says this."""
    return wait_until(lambda: (lambda shown: shown if re.search(words, shown) else None)(page.described(field)),
                      f"{words!r} stands at {field!r}")


def beside(box):
    """What is to be read at a check box besides its label."""
    return box.evaluate(JS("""(box) => {
        const label = box.labels[0].textContent;
        let around = box.parentElement;
        while (around.textContent.trim() === label.trim() || around.textContent === "") around = around.parentElement;
        return around.querySelectorAll("input").length === 1 ? around.textContent.replace(label, "") : "";
    }"""))


def policies(project):
    return f"/projects/{project}/webhook/policies"


def the_policy(api, project):
    found = api.get(policies(project)).json
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def page(signed_in_page, server):
    return signed_in_page(server)


# -- "Configuring Webhook Notifications" ----------------------------------------------------------------------------------


def check_default(request, project):
    assert request.header("Content-Type") == "application/json"
    assert request.json["type"] == "PUSH_ARTIFACT"
    return request.json["event_data"]


def check_cloudevents(request, project):
    assert request.header("Content-Type") == "application/cloudevents+json"
    assert request.json["specversion"] == "1.0" and request.json["type"] == "harbor.artifact.pushed"
    return request.json["data"]


@pytest.mark.parametrize("payload_format,check", [("Default", check_default), ("CloudEvents", check_cloudevents)])
def test_configuring_webhook_notifications(new_page, server, registry, images, new_receiver, api, project, payload_format,
                                           check):
    receiver, pulls = new_receiver(), new_receiver()
    api.webhook(project, pulls.url, name="Pulls", events=("PULL_ARTIFACT",))  # pulls that nobody wants are not written
    page = new_page(server)
    # "Log in to the Harbor web portal."
    page.goto("/")
    sign_in(page, "admin", ADMIN_PASSWORD)
    # "Navigate to the project where you want to configure webhooks."
    page.get_by_role("table").get_by_role("link", name=project, exact=True).click()
    # "Within the project, click on the Webhooks tab."
    page.get_by_role("tab", name="Webhooks").click()
    # "Click the NEW WEBHOOK button." "In the form that appears, provide the following details:"
    dialog = new_webhook(page)
    # "Name: A descriptive name for the webhook."
    text_field(dialog, "Name").fill("Build trigger")
    # "Description: (Optional) Add information about the webhook's purpose."
    text_field(dialog, "Description").fill("Starts the build of what was pushed")
    # "Notify Type: Choose between HTTP or SLACK, depending on your endpoint."
    choose(dialog, "Notify Type", "HTTP")
    # "Payload Format: Select either Default or CloudEvents."
    choose(dialog, "Payload Format", payload_format)
    # "Event Type: Check the boxes for events that should trigger notifications."
    choose_events(dialog, "Artifact pushed", "Artifact deleted")
    # "Endpoint URL: Enter the URL where webhook payloads should be sent."
    text_field(dialog, "Endpoint URL").fill(f"{receiver.url}/hook")
    # "Auth Header: (Optional) Provide authentication credentials if required by the endpoint."
    text_field(dialog, "Auth Header").fill("Bearer t0k3n-of-the-build")
    # "Verify Remote Certificate: Enable this to verify the SSL certificate of the endpoint." It is on already.
    assert dialog.get_by_role("checkbox", name="Verify Remote Certificate", exact=True).is_checked()
    # "After completing all required fields, click ADD to create the webhook."
    confirm(dialog, "ADD")
    row = row_of(page, "Build trigger")
    for shown in ("Enabled", "HTTP", payload_format, f"{receiver.url}/hook"):
        assert row.get_by_text(shown).count() > 0, f"{shown} is not in the row: {row.text_content()}"

    # And then it works: two pushes arrive; the pull between them, which went to who asked for it, does not.
    image = images.make()
    for tag in ("v1", "v2"):
        images.push(image if tag == "v1" else images.make(), registry, f"{project}/app:{tag}")
        request = receiver.next()
        assert (request.method, request.target) == ("POST", "/hook")
        assert request.header("Authorization") == "Bearer t0k3n-of-the-build"
        data = check(request, project)
        assert data["repository"]["repo_full_name"] == f"{project}/app"
        assert [one["tag"] for one in data["resources"]] == [tag]
        if tag == "v1":
            assert data["resources"][0]["digest"] == images.digest(image)
            images.pull(registry, f"{project}/app:v1")
            assert pulls.next().json["type"] == "PULL_ARTIFACT"
    policy = api.get(policies(project), query={"q": "name=Build trigger"}).json[0]
    assert len(api.execution_ended(project, policy["id"], 2)) == 2 and len(receiver.requests) == 2


def test_slack_has_no_payload_format_and_gets_its_own(page, registry, images, receiver, api, project):
    open_webhooks(page, project)
    dialog = new_webhook(page)
    text_field(dialog, "Name").fill("Channel")
    dialog.get_by_role("combobox", name="Payload Format", exact=True).wait_for()
    # "Harbor supports two types of webhook endpoints: HTTP and Slack."
    assert dialog.get_by_role("combobox", name="Notify Type").get_by_role("option").all_text_contents() == ["HTTP", "SLACK"]
    choose(dialog, "Notify Type", "SLACK")
    dialog.get_by_role("combobox", name="Payload Format", exact=True).wait_for(state="hidden")
    choose_events(dialog, "Artifact pushed")
    text_field(dialog, "Endpoint URL").fill(f"{receiver.url}/services/T0/B0/secret")
    confirm(dialog, "ADD")
    row_of(page, "Channel").get_by_text("SLACK", exact=True).wait_for()
    assert the_policy(api, project)["targets"][0]["type"] == "slack"
    images.push(images.make(), registry, f"{project}/app:v1")
    message = receiver.next().json
    assert f"{project}/app" in json.dumps(message["blocks"])


def test_the_form_has_the_documented_choices_and_says_what_each_event_contains(page, project):
    open_webhooks(page, project)
    dialog = new_webhook(page)
    # "Harbor supports two JSON payload formats": "Default", "CloudEvents".
    formats = dialog.get_by_role("combobox", name="Payload Format").get_by_role("option").all_text_contents()
    assert formats == ["Default", "CloudEvents"]
    # "The following table lists the events that trigger notifications and the contents of each message."
    boxes = event_types(dialog).get_by_role("checkbox")
    assert boxes.count() == len(EVENT_TYPES)
    for name, (_, contents) in EVENT_TYPES.items():
        box = event_types(dialog).get_by_role("checkbox", name=name, exact=True)
        said = beside(box)
        missing = [word for word in contents if word not in said.lower()]
        assert not missing, f"{name} does not speak of {missing}: {said!r}"


def test_every_check_box_is_its_event_type(page, api, project):
    open_webhooks(page, project)
    for name, (wire_type, _) in EVENT_TYPES.items():
        dialog = new_webhook(page)
        text_field(dialog, "Name").fill(name)
        choose_events(dialog, name)
        text_field(dialog, "Endpoint URL").fill("https://receiver.example/hook")
        confirm(dialog, "ADD")
        found = api.get(policies(project), query={"q": f"name={name}"}).json
        assert [one["event_types"] for one in found] == [[wire_type]]


# -- errors stand at the field, in words ----------------------------------------------------------------------------------


def test_what_is_missing_is_said_at_its_field(page, api, project):
    open_webhooks(page, project)
    dialog = new_webhook(page)
    choose_events(dialog)
    dialog.get_by_role("button", name="ADD", exact=True).click()
    error_at(page, text_field(dialog, "Name"), "^Name is required$")
    error_at(page, event_types(dialog), "Require at least one event type")
    error_at(page, text_field(dialog, "Endpoint URL"), r"Endpoint URL is required\.")
    assert text_field(dialog, "Name").get_attribute("aria-invalid") == "true"
    page.assert_accessible()
    assert api.get(policies(project)).json == []
    # Each goes away when it is mended, and the webhook can be made.
    text_field(dialog, "Name").fill("mended")
    choose_events(dialog, "Artifact pushed")
    text_field(dialog, "Endpoint URL").fill("https://receiver.example/hook")
    confirm(dialog, "ADD")
    row_of(page, "mended")


def test_a_name_that_is_taken_is_said_at_the_name(page, api, project):
    api.webhook(project, "https://receiver.example/", name="ci")
    open_webhooks(page, project)
    dialog = new_webhook(page)
    text_field(dialog, "Name").fill("ci")
    choose_events(dialog, "Artifact pushed")
    text_field(dialog, "Endpoint URL").fill("https://receiver.example/hook")
    dialog.get_by_role("button", name="ADD", exact=True).click()
    error_at(page, text_field(dialog, "Name"), "already exists")
    text_field(dialog, "Name").fill("ci-2")
    confirm(dialog, "ADD")
    row_of(page, "ci-2")


@pytest.mark.parametrize("address,words", [
    ("ftp://receiver.example/hook", "http"), ("receiver.example/hook", "http"), ("http://127.1/hook", "."),
    ("https://receiver.example:99999/", "port"), ("javascript:alert(1)", "http"),
    ("http://10.1.2.3/hook", "administrator.*harbinger egress allow 10.1.2.3/32"),
    ("http://169.254.169.254/latest", "refused by policy|never")],
    ids=["scheme", "no-scheme", "not-dotted", "port", "script", "private", "metadata"])
def test_an_address_that_cannot_be_is_refused_at_the_endpoint_url(page, api, project, address, words):
    open_webhooks(page, project)
    dialog = new_webhook(page)
    text_field(dialog, "Name").fill("ci")
    choose_events(dialog, "Artifact pushed")
    text_field(dialog, "Endpoint URL").fill(address)
    dialog.get_by_role("button", name="ADD", exact=True).click()
    said = error_at(page, text_field(dialog, "Endpoint URL"), f"(?s){words}")
    assert "targets[" not in said, f"said for a program, not for a person: {said}"
    assert dialog.is_visible() and text_field(dialog, "Endpoint URL").input_value() == address
    assert api.get(policies(project)).json == []


# -- "Manage Existing Webhooks" -------------------------------------------------------------------------------------------


def test_each_field_can_be_edited(page, registry, images, new_receiver, api, project):
    before, after = new_receiver(), new_receiver()
    number = api.webhook(project, f"{before.url}/old", name="Old name", auth_header="Bearer old", description="old words")
    # "Within the project, click the Webhooks tab." "Select the existing webhook under Webhooks."
    open_webhooks(page, project)
    select(page, "Old name")
    # "Click ACTION -> EDIT to update or modify webhook details."
    act(page, "EDIT")
    dialog = dialog_of(page, "Edit Webhook")
    assert text_field(dialog, "Name").input_value() == "Old name"
    assert text_field(dialog, "Description").input_value() == "old words"
    assert text_field(dialog, "Endpoint URL").input_value() == f"{before.url}/old"
    assert text_field(dialog, "Auth Header").input_value() in ("", "********"), "nobody is shown a secret"
    text_field(dialog, "Name").fill("New name")
    text_field(dialog, "Description").fill("new words")
    choose(dialog, "Payload Format", "CloudEvents")
    choose_events(dialog, "Artifact pushed", "Quota exceed")
    text_field(dialog, "Endpoint URL").fill(f"{after.url}/new")
    text_field(dialog, "Auth Header").fill("Bearer new")
    dialog.get_by_role("checkbox", name="Verify Remote Certificate", exact=True).uncheck()
    confirm(dialog, "SAVE")
    row_of(page, "New name").get_by_text(f"{after.url}/new").wait_for()
    policy = the_policy(api, project)
    assert (policy["id"], policy["name"], policy["description"]) == (number, "New name", "new words")
    assert policy["enabled"]
    assert sorted(policy["event_types"]) == ["PUSH_ARTIFACT", "QUOTA_EXCEED"]
    assert {key: policy["targets"][0].get(key) for key in ("type", "address", "payload_format", "skip_cert_verify")} == {
        "type": "http", "address": f"{after.url}/new", "payload_format": "CloudEvents", "skip_cert_verify": True}
    images.push(images.make(), registry, f"{project}/app:v1")
    request = after.next()
    assert (request.target, request.header("Authorization")) == ("/new", "Bearer new")
    assert request.header("Content-Type") == "application/cloudevents+json"
    assert before.requests == []

    act(page, "EDIT")
    dialog = dialog_of(page, "Edit Webhook")
    choose(dialog, "Notify Type", "SLACK")
    confirm(dialog, "SAVE")
    row_of(page, "New name").get_by_text("SLACK", exact=True).wait_for()
    images.push(images.make(), registry, f"{project}/app:v2")
    assert "blocks" in after.next().json


def test_what_is_not_touched_is_kept_the_secret_too(page, receiver, api, project):
    api.webhook(project, f"{receiver.url}/hook", name="ci", auth_header="Bearer kept")
    open_webhooks(page, project)
    select(page, "ci")
    act(page, "EDIT")
    dialog = dialog_of(page, "Edit Webhook")
    text_field(dialog, "Description").fill("now with words")
    confirm(dialog, "SAVE")
    wait_until(lambda: the_policy(api, project).get("description") == "now with words", "the description is saved")
    api.submit(project)
    assert receiver.next().header("Authorization") == "Bearer kept"


def test_a_secret_is_not_carried_to_another_host_and_its_field_says_so(page, new_receiver, api, project):
    mine, other = new_receiver(), new_receiver()
    api.webhook(project, f"{mine.url}/hook", name="ci", auth_header="Bearer mine")
    open_webhooks(page, project)
    select(page, "ci")
    act(page, "EDIT")
    dialog = dialog_of(page, "Edit Webhook")
    text_field(dialog, "Endpoint URL").fill(f"{other.url}/hook")
    dialog.get_by_role("button", name="SAVE", exact=True).click()
    error_at(page, text_field(dialog, "Auth Header"), "again when the address changes")
    text_field(dialog, "Auth Header").fill("Bearer other")
    confirm(dialog, "SAVE")
    api.submit(project)
    assert other.next().header("Authorization") == "Bearer other" and mine.requests == []


def test_editing_a_webhook_with_several_targets_loses_none(page, registry, images, new_receiver, api, project):
    first, second, third = new_receiver(), new_receiver(), new_receiver()
    targets = [
        {"type": "http", "address": f"{first.url}/a", "payload_format": "CloudEvents", "skip_cert_verify": True},
        {"type": "http", "address": f"{second.url}/b", "payload_format": "Default", "auth_header": "Bearer second"},
        {"type": "slack", "address": f"{third.url}/services/c"},
    ]
    api.post(policies(project), {"name": "three", "enabled": True, "event_types": ["PUSH_ARTIFACT"], "targets": targets})
    before = the_policy(api, project)
    open_webhooks(page, project)
    select(page, "three")
    act(page, "EDIT")
    dialog = dialog_of(page, "Edit Webhook")
    text_field(dialog, "Description").fill("edited")
    text_field(dialog, "Endpoint URL").first().fill(f"{first.url}/moved")
    confirm(dialog, "SAVE")
    wait_until(lambda: the_policy(api, project).get("description") == "edited", "the change is saved")
    moved = json.loads(json.dumps(before["targets"]))
    moved[0]["address"] = f"{first.url}/moved"
    assert the_policy(api, project)["targets"] == moved
    images.push(images.make(), registry, f"{project}/app:v1")
    assert first.next().target == "/moved"
    assert second.next().header("Authorization") == "Bearer second"
    assert third.next().target == "/services/c"


def test_deactivate_says_what_it_cancels_and_enable_goes_on(page, registry, images, receiver, api, project):
    number = api.webhook(project, f"{receiver.url}/hook", name="ci")
    receiver.always(DOWN)
    for tag in ("v1", "v2"):
        api.submit(project, {"type": "PUSH_ARTIFACT", "repository": {"name": "app"}, "artifacts": [
            {"digest": "sha256:" + "ab" * 32, "tags": [tag], "reference": tag}]})
    receiver.next()
    open_webhooks(page, project)
    select(page, "ci")
    act(page, "DEACTIVATE")
    asked = question(page)
    asked.get_by_text(re.compile("2 deliveries that wait will be cancelled")).wait_for()
    page.assert_accessible()
    confirm(asked, "DEACTIVATE")
    row_of(page, "ci").get_by_text("Deactivated", exact=True).wait_for()
    assert [one["status"] for one in api.execution_ended(project, number, 2)] == ["Stopped", "Stopped"]
    receiver.always(Answer(200))
    images.push(images.make(), registry, f"{project}/app:v3")
    wait_until(lambda: [one for one in api.get(f"/projects/{project}/events").json
                        if any("v3" in artifact.get("tags", []) for artifact in one.get("artifacts", []))], "v3 is known")
    act(page, "ENABLE")
    confirm(question(page), "ENABLE")
    row_of(page, "ci").get_by_text("Enabled", exact=True).wait_for()
    sent = len(receiver.requests)
    images.push(images.make(), registry, f"{project}/app:v4")
    assert [one["tag"] for one in receiver.wait_for(sent + 1)[-1].json["event_data"]["resources"]] == ["v4"]


def test_delete_says_what_it_cancels(page, receiver, api, project):
    number = api.webhook(project, f"{receiver.url}/hook", name="ci")
    api.webhook(project, f"{receiver.url}/other", name="stays", events=("DELETE_ARTIFACT",))
    receiver.always(DOWN)
    for _ in range(2):
        api.submit(project)
    receiver.next()
    open_webhooks(page, project)
    select(page, "ci")
    act(page, "DELETE")
    asked = question(page)
    asked.get_by_text(re.compile("2 deliveries that wait will be cancelled")).wait_for()
    # One who changes his mind has changed nothing.
    confirm(asked, "CANCEL")
    api.get(f"{policies(project)}/{number}")
    act(page, "DELETE")
    confirm(question(page), "DELETE")
    page.get_by_role("radio", name="Select ci", exact=True).wait_for(state="hidden")
    row_of(page, "stays")
    api.get(f"{policies(project)}/{number}", expect=404)


def test_a_selected_webhook_shows_its_executions_their_tasks_and_log(page, registry, images, receiver, api, project):
    number = api.webhook(project, f"{receiver.url}/hook", name="ci", auth_header=f"Bearer {secret('header')}")
    receiver.answers(Answer(500, body=b"not today"))
    receiver.always(Answer(202, headers={"X-Build": "17"}, body=b"queued"))
    open_webhooks(page, project)
    select(page, "ci")
    deliveries = page.get_by_role("region", name="Deliveries", exact=True)
    deliveries.wait_for()
    images.push(images.make(), registry, f"{project}/app:v1")
    execution = api.execution_ended(project, number)[0]
    # The row appears by itself, and ends by itself: nobody presses a button.
    row = deliveries.get_by_role("row").filter(has=page.get_by_role("link", name=f"Delivery {execution['id']}", exact=True))
    row.filter(has_text="Success").wait_for()
    for title in ("ID", "Status", "Event", "Artifact", "Attempts"):
        assert deliveries.get_by_role("columnheader", name=title, exact=True).count() == 1, f"no column {title}"
    assert row.get_by_text("Artifact pushed").count() == 1
    assert "app:v1" in row.text_content()

    row.get_by_role("link", name=f"Delivery {execution['id']}", exact=True).click()
    page.get_by_role("heading", name=f"Delivery {execution['id']}", exact=True).wait_for()
    attempts = page.get_by_role("region", name="Attempts", exact=True)
    attempts.get_by_role("button", name=re.compile("Attempt 1 .*500")).wait_for()
    attempts.get_by_role("button", name=re.compile("Attempt 2 .*202")).wait_for()
    newest = attempts.get_by_role("region", name=re.compile("Attempt 2"))
    newest.get_by_text("queued").first().wait_for()
    newest.get_by_role("table", name="Request headers").get_by_text("********").wait_for()
    assert secret("header") not in page.content()
    assert project in page.get_by_role("region", name="Request body", exact=True).text_content()
    log = page.get_by_role("region", name="Log", exact=True)
    log.get_by_role("button", name="Show the log").click()
    shown = log.get_by_role("region", name="Log text", exact=True)
    shown.wait_for()
    log_path = f"{policies(project)}/{number}/executions/{execution['id']}/tasks/{execution['id']}/log"
    assert shown.text_content().strip() == api.get(log_path).text.strip()
    page.assert_accessible()

# SPDX-License-Identifier: Apache-2.0
"""The portal beside the documented procedure: the way in, the first steps, projects, and how every page looks and reads in
both themes and on a small screen."""
import re

import pytest
from support.browser import JS, sign_in
from support.receiver import Answer
from support.server import ADMIN_PASSWORD
from test_documented_procedure import choose, confirm, dialog_of, error_at, new_webhook, open_webhooks, question, text_field

WIDE, SMALL = (1280, 800), (400, 800)


@pytest.fixture
def page(signed_in_page, server):
    return signed_in_page(server)


def open_webhook(page, project, policy, api):
    number = api.get(f"/projects/{project}").json["project_id"]
    page.goto(f"/harbor/projects/{number}/webhook?policy={policy}")
    page.get_by_role("region", name="Deliveries", exact=True).wait_for()


# -- signing in -----------------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_told_and_the_right_one_leads_on(new_page, server):
    page = new_page(server)
    page.goto("/harbor/first-steps")
    page.get_by_role("textbox", name="Username").fill("admin")
    page.get_by_label("Password", exact=True).fill("Wrong-12345")
    page.get_by_role("button", name="SIGN IN").click()
    page.get_by_role("alert").get_by_text("Username or password is wrong.").wait_for()
    assert page.get_by_role("textbox", name="Username").input_value() == "admin"
    page.assert_accessible()
    page.get_by_label("Password", exact=True).fill(ADMIN_PASSWORD)
    page.get_by_role("button", name="SIGN IN").click()
    page.get_by_role("heading", name="First steps", exact=True).wait_for()


def test_signing_out_ends_the_session(new_page, server):
    page = new_page(server)
    page.goto("/")
    sign_in(page, "admin", ADMIN_PASSWORD)
    page.get_by_role("button", name="Account admin").click()
    page.get_by_role("menuitem", name="Sign out").click()
    page.get_by_role("button", name="SIGN IN").wait_for()
    page.goto("/harbor/projects")
    page.get_by_role("button", name="SIGN IN").wait_for()


# -- what happens while a page is open --------------------------------------------------------------------------------------


def test_a_broken_receiver_is_seen_live_and_so_is_its_recovery(page, api, receiver, project):
    policy = api.webhook(project, f"{receiver.url}/hook", name="ci")
    receiver.always(Answer(503, headers={"Retry-After": "0"}))
    open_webhook(page, project, policy, api)
    page.get_by_text("Live", exact=True).wait_for()
    api.submit(project)
    row = page.get_by_role("region", name="Deliveries", exact=True).get_by_role("row").filter(has_text="Artifact pushed")
    row.filter(has_text=re.compile("Waits for try")).wait_for()
    row.get_by_role("link", name=re.compile("^Delivery ")).click()
    attempts = page.get_by_role("region", name="Attempts", exact=True)
    attempts.get_by_text(re.compile("the receiver is not there just now: tried again")).first().wait_for()
    receiver.always(Answer(200))
    attempts.get_by_role("button", name=re.compile("Attempt .*200")).wait_for()
    page.get_by_role("heading", name=re.compile("^Delivery ")).wait_for()
    page.get_by_text("Success", exact=True).first().wait_for()
    page.go_back()
    row.filter(has_text="Success").wait_for()


# -- trying a webhook -------------------------------------------------------------------------------------------------------


def test_the_sample_beside_the_form_follows_format_and_event(page, project):
    open_webhooks(page, project)
    dialog = new_webhook(page)
    sample = dialog.get_by_role("region", name="Sample body", exact=True)
    sample.filter(has_text='"type": "PUSH_ARTIFACT"').wait_for()
    choose(dialog, "Payload Format", "CloudEvents")
    sample.filter(has_text='"specversion": "1.0"').wait_for()
    choose(dialog, "Event", "Quota exceed")
    sample.filter(has_text="harbor.quota.exceeded").wait_for()
    choose(dialog, "Notify Type", "SLACK")
    sample.filter(has_text='"blocks"').wait_for()


# -- projects and the first steps -------------------------------------------------------------------------------------------


def test_an_empty_system_explains_itself_and_ticks_what_has_happened(new_page, new_server, api_of, receiver):
    server = new_server(settings={"registry_host": "registry.example:5000"})
    api = api_of(server)
    page = new_page(server)
    page.goto("/")
    sign_in(page, "admin", ADMIN_PASSWORD)

    def step(title, state):
        return page.get_by_role("listitem", name=f"{title}: {state}", exact=True)
    for title in ("Make a project", "Add a webhook", "Push an image"):
        step(title, "to do").wait_for()
    assert "harbinger project create demo" in step("Make a project", "to do").text_content()
    for tool in ("docker", "podman", "skopeo"):
        page.get_by_role("tab", name=tool, exact=True).click()
        command = page.get_by_role("region", name=f"Push with {tool}", exact=True).text_content()
        assert command.splitlines()[-1].startswith(tool) and "registry.example:5000/demo/hello:1" in command
    page.assert_accessible()
    page.screenshot(name="first-steps-light-1280", full_page=True)
    page.goto("/harbor/first-steps")
    api.project("one")
    step("Make a project", "done").wait_for()
    api.webhook("one", f"{receiver.url}/hook", name="first")
    step("Add a webhook", "done").wait_for()
    api.submit("one")
    step("Push an image", "done").wait_for()
    page.get_by_role("link", name="see what was sent").click()
    page.get_by_role("heading", name=re.compile("^Delivery ")).wait_for()


def test_projects_are_made_found_sorted_paged_and_opened_to_the_public(page, api):
    for number in range(20):
        api.project(f"many-{number:02}")
    page.goto("/harbor/projects")
    page.get_by_role("button", name="NEW PROJECT").click()
    dialog = dialog_of(page, "New Project")
    dialog.get_by_role("button", name="CREATE", exact=True).click()
    error_at(page, text_field(dialog, "Name"), "Name is required")
    text_field(dialog, "Name").fill("No Good")
    dialog.get_by_role("button", name="CREATE", exact=True).click()
    error_at(page, text_field(dialog, "Name"), "Lower-case")
    text_field(dialog, "Name").fill("many-03")
    dialog.get_by_role("button", name="CREATE", exact=True).click()
    error_at(page, text_field(dialog, "Name"), "already exists")
    text_field(dialog, "Name").fill("many-99")
    confirm(dialog, "CREATE")
    page.get_by_role("heading", name="many-99", exact=True).wait_for()
    page.get_by_role("tab", name="Summary").click()
    page.get_by_role("button", name="Make public").click()
    confirm(question(page), "Make public")
    page.get_by_role("button", name="Make private").wait_for()
    assert api.get("/projects/many-99").json["metadata"]["public"] == "true"

    page.goto("/harbor/projects?search=many-")
    page.get_by_role("status").filter(has_text="1 – 15 of 21").wait_for()
    page.get_by_role("button", name="Page 2", exact=True).click()
    page.get_by_role("status").filter(has_text="16 – 21 of 21").wait_for()
    page.get_by_role("columnheader", name="Name").get_by_role("button").click()
    page.get_by_role("row").nth(1).filter(has_text="many-00").wait_for()
    assert page.get_by_role("columnheader", name="Name").get_attribute("aria-sort") == "ascending"
    page.get_by_role("searchbox", name="Search projects").fill("many-07")
    page.get_by_role("status").filter(has_text="1 – 1 of 1").wait_for()
    page.get_by_role("searchbox", name="Search projects").fill("no-such-thing")
    page.get_by_text("No project has such a name").wait_for()


def overflow(page):
    """By how many pixels the page is wider than the window: 0 unless something pushes it."""
    return page.evaluate(JS("() => document.documentElement.scrollWidth - innerWidth"))


# -- every page, both themes, two sizes -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def furnished(server):
    """A project in use; what each page's address is."""
    from support.api import Api
    api = Api(server)
    number = api.project("furnished")
    policy = api.webhook("furnished", "http://127.0.0.1:9099/hook", name="Build trigger", auth_header="Bearer x",
                         description="Starts the build of what was pushed")
    api.webhook("furnished", "https://archive.example/events", name="Archive", enabled=False, payload_format="CloudEvents")
    for minor in range(4):
        api.submit("furnished", {"type": "PUSH_ARTIFACT", "repository": {"name": "web/api"}, "artifacts": [
            {"digest": f"sha256:{minor:064}", "tags": [f"1.{minor}.0", "latest"], "reference": f"1.{minor}.0",
             "size": 7340032 * (minor + 1), "platform": "linux/amd64"}]})
    delivery = api.executions("furnished", policy)[0]["id"]
    home = f"/harbor/projects/{number}"
    return {"projects": "/harbor/projects", "first-steps-done": "/harbor/first-steps", "summary": f"{home}/summary",
            "repositories": f"{home}/repositories", "repository": f"{home}/repositories/web/api",
            "webhooks": f"{home}/webhook?policy={policy}",
            "delivery": f"{home}/webhook/{policy}/executions/{delivery}/tasks", "not-found": "/harbor/nowhere",
            "no-project": "/harbor/projects/999999/webhook"}


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["1280", "400"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_fits(signed_in_page, server, furnished, theme, size):
    page = signed_in_page(server, viewport=size, color_scheme=theme)
    for name, path in furnished.items():
        page.goto(path)
        page.get_by_role("heading").first().wait_for()
        if name == "webhooks":
            page.get_by_role("region", name="Deliveries", exact=True).get_by_role("link").first().wait_for()
        page.screenshot(name=f"{name}-{theme}-{size[0]}", full_page=True)
        page.assert_accessible()
        assert overflow(page) <= 0, f"{name} is wider than the window"
    page.goto(furnished["webhooks"])
    dialog = new_webhook(page)
    dialog.get_by_role("region", name="Sample body", exact=True).wait_for()
    page.screenshot(name=f"form-{theme}-{size[0]}")
    page.assert_accessible()

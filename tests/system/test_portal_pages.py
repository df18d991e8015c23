# SPDX-License-Identifier: Apache-2.0
"""The portal's pages over time and under strain: a receiver that is gone and comes back, a session that ends while nobody
does anything, what is deleted under an open page, words of 10,000 characters, a path prefix, no mouse; and the dialogs and
states that are no page of their own, in both themes and on a small screen. test_portal.py has the pages themselves.
"""
import re

import pytest
from support.browser import JS, sign_in
from support.receiver import Answer
from support.registry import free_port
from support.secrets import secret
from support.server import ADMIN_PASSWORD
from support.waiting import BOUND_S, wait_until
from test_documented_procedure import act, choose_events, confirm, dialog_of, error_at, new_webhook, select, text_field
from test_portal_serving import nginx  # noqa: F401, a fixture

WIDE, SMALL = (1280, 800), (400, 800)
ELEMENT = "<img src=x onerror=alert(1)>"
SCRIPT = "javascript:alert(1)"
REVERSED = "\u202egnp.exe"
LONG = "w" * 10000
# A script that runs, a dialog that opens: each is an error on the console, and that fails the test.
TELL_SCRIPTS = "for (const name of ['alert', 'confirm', 'prompt']) window[name] = () => console.error(`${name} was called`)"
# Gone after a reload.
MARK, MARKED = JS("() => { window.isTheSamePage = true; }"), "window.isTheSamePage === true"


def project_number(api, project):
    return api.get(f"/projects/{project}").json["project_id"]


def webhooks_path(api, project, policy=None):
    return f"/harbor/projects/{project_number(api, project)}/webhook" + (f"?policy={policy}" if policy else "")


def delivery_path(api, project, policy, delivery):
    return f"{webhooks_path(api, project)}/{policy}/executions/{delivery}/tasks"


def live_deliveries(page, api, project, policy):
    page.goto(webhooks_path(api, project, policy))
    deliveries = page.get_by_role("region", name="Deliveries", exact=True)
    deliveries.get_by_role("status").get_by_text("Live", exact=True).wait_for()
    return deliveries


def assert_fits(page, what):
    wider = page.evaluate(JS("() => document.documentElement.scrollWidth - document.documentElement.clientWidth"))
    assert wider <= 0, f"{what} is {wider} pixels wider than the window"


def at_path(page, path):
    wait_until(lambda: page.url().endswith(path), f"the page is at {path}")


# -- live -----------------------------------------------------------------------------------------------------------------


def test_a_receiver_that_is_gone_and_comes_back_is_seen_on_both_open_pages(signed_in_page, new_receiver, server, api,
                                                                         project):
    gone = new_receiver()
    gone.close()
    policy = api.webhook(project, f"{gone.url}/hook", name="ci")
    listed, single = signed_in_page(server), signed_in_page(server)
    deliveries = live_deliveries(listed, api, project, policy)
    listed.evaluate(MARK)
    api.submit(project)
    row = deliveries.get_by_role("row").filter(has=listed.get_by_role("link", name=re.compile("^Delivery ")))
    row.filter(has_text=re.compile("Waits for try")).wait_for()
    number = api.executions(project, policy)[0]["id"]
    single.goto(delivery_path(api, project, policy, number))
    single.evaluate(MARK)
    attempts = single.get_by_role("region", name="Attempts", exact=True)
    second = attempts.get_by_role("button", name=re.compile("^Attempt 2 .*No connection"))
    second.wait_for()  # it was not there when the page was opened, or another will be the next one
    attempts.get_by_text(re.compile("refused", re.I)).first().wait_for()
    attempts.get_by_text(re.compile("tried again", re.I)).first().wait_for()
    row.filter(has_text=re.compile(r"Waits for try [3-9]|Waits for try \d\d")).wait_for()

    back = new_receiver(port=gone.port)
    back.next()
    row.filter(has_text="Success").wait_for()
    attempts.get_by_role("button", name=re.compile("^Attempt .*Delivered: 200")).wait_for()
    single.get_by_text("Success", exact=True).wait_for()
    single.get_by_role("status").get_by_text("Live", exact=True).wait_for(state="hidden")  # nothing more will come
    for page in (listed, single):
        assert page.evaluate(MARKED), "the page was loaded again"
        page.assert_accessible()


# -- sessions -------------------------------------------------------------------------------------------------------------


def test_a_session_that_ends_while_nobody_does_anything_leads_back_to_where_one_was(new_page, new_server, api_of):
    server = new_server(settings={"auth.session_max_s": 3, "api.stream_lifetime_s": 1})
    api = api_of(server)
    api.project("p")
    policy = api.webhook("p", "https://receiver.example/hook", name="ci")
    where = webhooks_path(api, "p") + f"?search=c&policy={policy}&d-state=Error"
    page = new_page(server)
    page.goto(where)
    sign_in(page, "admin", ADMIN_PASSWORD)
    page.get_by_role("region", name="Deliveries", exact=True).wait_for()
    # Nobody touches anything: the stream of the open list comes back after its lifetime, and is refused.
    page.get_by_text("Sign in to see this page.").wait_for(timeout=3 * BOUND_S * 1000)  # several waits of the browser's own
    assert "/harbor/sign-in?next=" in page.url()
    sign_in(page, "admin", ADMIN_PASSWORD)
    page.get_by_role("region", name="Deliveries", exact=True).wait_for()
    at_path(page, where)


def test_signing_out_in_one_tab_ends_the_other_with_its_next_click(new_page, server, api, project):
    where = webhooks_path(api, project)
    page = new_page(server)
    page.goto(where)
    sign_in(page, "admin", ADMIN_PASSWORD)
    page.get_by_role("button", name="NEW WEBHOOK").wait_for()
    other = page.context.new_page()  # of the same browser: the same cookies
    other.goto("/harbor/projects")
    other.get_by_role("button", name="Account admin").click()
    other.get_by_role("menuitem", name="Sign out").click()
    other.get_by_role("button", name="SIGN IN").wait_for()
    page.get_by_role("button", name="Refresh").click()
    page.get_by_role("button", name="SIGN IN").wait_for()
    sign_in(page, "admin", ADMIN_PASSWORD)
    page.get_by_role("button", name="NEW WEBHOOK").wait_for()
    at_path(page, where)


def test_after_signing_in_nobody_is_sent_to_another_site(new_page, server):
    for next_ in ("https://elsewhere.example/", "//elsewhere.example/", "/\\elsewhere.example", SCRIPT):
        page = new_page(server)
        page.goto(f"/harbor/sign-in?next={next_}")
        sign_in(page, "admin", ADMIN_PASSWORD)
        page.get_by_role("heading", name="Projects", exact=True).wait_for()
        assert page.url().startswith(server.url)


def test_a_refusal_does_not_tell_whether_the_name_or_the_password_was_wrong(new_page, server):
    page = new_page(server)
    page.goto("/harbor/sign-in")
    said = []
    for name in ("admin", "nobody-of-this-name", ELEMENT):
        page.get_by_role("textbox", name="Username").fill(name)
        page.get_by_label("Password", exact=True).fill("Wrong-12345")
        page.get_by_role("button", name="SIGN IN").click()
        page.get_by_role("alert").wait_for()
        said.append(page.get_by_role("alert").text_content())
        assert page.get_by_role("textbox", name="Username").input_value() == name
        assert "Wrong-12345" not in page.url() + page.locator("main").text_content()
    assert said == ["Username or password is wrong."] * 3


# -- deleted under an open page -------------------------------------------------------------------------------------------


def test_a_project_deleted_under_the_open_page_is_told(signed_in_page, server, api):
    api.project("short-lived")
    path = webhooks_path(api, "short-lived")
    page = signed_in_page(server)
    page.goto(path)
    page.get_by_text("No webhook", exact=True).wait_for()
    dialog = new_webhook(page)
    text_field(dialog, "Name").fill("late")
    text_field(dialog, "Endpoint URL").fill("https://receiver.example/hook")
    api.delete("/projects/short-lived")
    dialog.get_by_role("button", name="ADD", exact=True).click()
    dialog.get_by_role("alert").get_by_text("The webhook was not saved").wait_for()
    assert text_field(dialog, "Name").input_value() == "late"
    page.goto(path)
    page.get_by_role("heading", name="There is no such project", exact=True).wait_for()
    page.assert_accessible()
    page.get_by_role("link", name="To the projects").click()
    page.get_by_role("heading", name="Projects", exact=True).wait_for()


def test_a_webhook_deleted_under_the_page_of_its_delivery_stops_it_there(signed_in_page, server, api, receiver, project):
    policy = api.webhook(project, f"{receiver.url}/hook", name="ci")
    receiver.always(Answer(503))
    api.submit(project)
    receiver.next()
    page = signed_in_page(server)
    page.goto(delivery_path(api, project, policy, api.executions(project, policy)[0]["id"]))
    page.get_by_role("status").get_by_text("Live", exact=True).wait_for()
    api.delete(f"/projects/{project}/webhook/policies/{policy}")
    page.get_by_text("Stopped", exact=True).wait_for()  # what was tried stays to be read
    page.get_by_role("button", name=re.compile("^Attempt 1 .*503")).wait_for()
    page.get_by_role("button", name="REDELIVER").click()
    page.get_by_role("alert").get_by_text("It was not sent again").wait_for()
    page.assert_accessible()
    page.get_by_role("link", name=f"Webhook {policy}").click()
    page.get_by_text(re.compile("was deleted")).first().wait_for()


# -- hostile words ----------------------------------------------------------------------------------------------------------


def assert_only_text(page, what):
    assert page.locator("img, iframe, object, embed, [onerror], [onclick]").count() == 0, f"{what}: an element of theirs"
    hrefs = page.locator("a[href]").evaluate_all(JS("(links) => links.map((link) => link.href)"))
    strange = [href for href in hrefs if not href.startswith(("http://127.0.0.1", "http://[::1]"))]
    assert not strange, f"{what}: links to {strange}"
    assert_fits(page, what)


@pytest.fixture(scope="module")
def hostile(server):
    """A project whose every word is somebody's worst; its addresses by what they show."""
    from support.api import Api
    from support.receiver import Receiver
    api, receiver = Api(server), Receiver()
    api.project("hostile")
    number = api.webhook("hostile", f"{receiver.url}/{ELEMENT}{SCRIPT}/{'p' * 1500}".replace("<", "%3C").replace(">", "%3E").replace(" ", "%20"),
                         name=f"{ELEMENT} {SCRIPT} {REVERSED}", description=f"{ELEMENT} {REVERSED} {'d' * 1000}",
                         auth_header=f"Bearer <img src={secret('header')} onerror=alert(1)>")
    receiver.answers(Answer(400, headers={"X-Evil": f"{ELEMENT} {SCRIPT}", "X-Long": "h" * 3000}, body=(ELEMENT + LONG).encode()),
                     Answer(400, body=f'{{"{ELEMENT}": "{LONG}"}}'.encode()), Answer(400, body=REVERSED.encode()))
    api.submit("hostile", {"type": "PUSH_ARTIFACT", "actor": {"kind": "user", "name": f"{ELEMENT}{SCRIPT}{REVERSED}"},
                           "trigger": ELEMENT, "repository": {"name": "a" * 100 + "/" + "b" * 100},
                           "artifacts": [{"digest": "sha256:" + "ab" * 32, "tags": ["t" * 128, "v1"], "reference": "t" * 128,
                                          "platform": f"{ELEMENT}/{REVERSED}"}]})
    delivery = api.execution_ended("hostile", number)[0]["id"]
    receiver.close()
    home = f"/harbor/projects/{project_number(api, 'hostile')}"
    return {"webhooks": f"{home}/webhook?policy={number}", "delivery": f"{home}/webhook/{number}/executions/{delivery}/tasks",
            "repositories": f"{home}/repositories", "repository": f"{home}/repositories/{'a' * 100}/{'b' * 100}",
            "summary": f"{home}/summary", "projects": "/harbor/projects", "first-steps": "/harbor/first-steps"}


READY = {"webhooks": "Deliveries of", "delivery": "Delivery ", "repositories": "hostile", "repository": "aaaa", "summary": "hostile",
         "projects": "Projects", "first-steps": "First steps"}


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["1280", "400"])
def test_the_worst_words_are_text_on_every_page(signed_in_page, server, hostile, size):
    page = signed_in_page(server, viewport=size)
    page.context.add_init_script({"content": TELL_SCRIPTS})
    for name, path in hostile.items():
        page.goto(path)
        page.get_by_role("heading", name=re.compile(READY[name])).first().wait_for()
        page.locator("[aria-busy=true]").first().wait_for(state="detached")
        if name == "delivery":
            page.get_by_role("button", name="Show the log").click()
            page.get_by_role("region", name="Log text", exact=True).wait_for()
            for button in page.get_by_role("button", name=re.compile("^Attempt [12] ")).all():
                button.click()
            page.get_by_role("button", name=re.compile("^Attempt 1 .*400"), expanded=True).wait_for()
        assert_only_text(page, name)
        page.screenshot(name=f"hostile-{name}-light-{size[0]}", full_page=True)
        page.assert_accessible()


@pytest.mark.parametrize("evil", [ELEMENT, SCRIPT, REVERSED, LONG], ids=["element", "script-address", "right-to-left", "long"])
def test_the_worst_words_typed_into_every_field_stay_words(signed_in_page, server, api, project, evil):
    page = signed_in_page(server, viewport=SMALL)
    page.context.add_init_script({"content": TELL_SCRIPTS})
    page.goto(webhooks_path(api, project))
    dialog = new_webhook(page)
    for name in ("Name", "Description", "Auth Header"):
        text_field(dialog, name).fill(evil)
    text_field(dialog, "Endpoint URL").fill(f"https://receiver.example/{evil}")
    dialog.get_by_role("button", name="ADD", exact=True).click()
    # Refused in words at its field, or taken: never lost, never run.
    wait_until(lambda: not dialog.is_visible() or dialog.get_by_role("alert").count() > 0
               or dialog.locator("[aria-invalid=true]").count() > 0, "the form is answered")
    assert_only_text(page, "the form")
    if dialog.is_visible():
        page.assert_accessible()
        assert text_field(dialog, "Description").input_value() == evil


def test_a_search_for_anything_is_a_search(signed_in_page, server, project):
    page = signed_in_page(server)
    for evil in (ELEMENT, SCRIPT, REVERSED, "a=~b,c={d}", "%", "'", "\\"):
        page.get_by_role("searchbox", name="Search projects").fill(evil)
        page.get_by_text("No project has such a name").wait_for()
        page.get_by_role("searchbox", name="Search projects").fill(project)
        page.get_by_role("link", name=project, exact=True).wait_for()


# -- projects and repositories --------------------------------------------------------------------------------------------


def test_forty_projects_are_paged_by_the_server_and_the_page_survives_a_reload(signed_in_page, server, api):
    for number in range(40):
        api.project(f"forty-{number:02}")
    page = signed_in_page(server)
    page.goto("/harbor/projects?search=forty-&sort=name")
    shown = page.get_by_role("status")
    shown.filter(has_text="1 – 15 of 40").wait_for()
    page.get_by_role("button", name="Page 3", exact=True).click()
    shown.filter(has_text="31 – 40 of 40").wait_for()
    page.reload()
    shown.filter(has_text="31 – 40 of 40").wait_for()
    assert page.get_by_role("link", name=re.compile("^forty-")).all_text_contents() == [f"forty-{n:02}" for n in range(30, 40)]
    page.go_back()
    shown.filter(has_text="1 – 15 of 40").wait_for()
    page.get_by_role("combobox", name="Page size of Projects").select_option("100")
    shown.filter(has_text="1 – 40 of 40").wait_for()


def test_repositories_and_their_tags_are_there_after_a_real_push(signed_in_page, server, registry, images, api, project):
    image = images.make(platform=("linux", "arm64"))
    for tag in ("v1", "latest"):
        images.push(image, registry, f"{project}/team/app:{tag}")
    listed = wait_until(lambda: api.get(f"/projects/{project}/repositories").json, "the repository is known")[0]
    wait_until(lambda: api.get(f"/projects/{project}/repositories").json[0]["harbinger"]["tag_count"] == 2, "both tags are known")
    page = signed_in_page(server)
    page.goto(f"/harbor/projects/{project_number(api, project)}/summary")
    page.get_by_role("tab", name="Repositories").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="team/app", exact=True))
    row.wait_for()
    for title in ("Name", "Artifacts", "Tags", "Size", "Last push"):
        assert page.get_by_role("columnheader", name=title).count() == 1, f"no column {title}"
    cells = row.get_by_role("cell").all_text_contents()
    assert cells[:3] == ["team/app", "1", "2"] and re.match(r"[\d.]+ (bytes|B|KiB|MiB)$", cells[3]), cells
    assert re.search("ago|now|second", cells[5]), cells
    assert listed["name"] == f"{project}/team/app"
    row.get_by_role("link").click()
    page.get_by_role("heading", name="team/app", exact=True).wait_for()
    artifact = page.get_by_role("row").filter(has_text=images.digest(image)[:19])
    for tag in ("v1", "latest"):
        artifact.get_by_text(tag, exact=True).wait_for()


# -- behind a path prefix -------------------------------------------------------------------------------------------------


def test_behind_a_path_prefix_one_signs_in_and_deliveries_are_live(nginx, new_page, api_of, receiver):  # noqa: F811
    api = api_of(nginx.server)
    api.project("p")
    policy = api.webhook("p", f"{receiver.url}/hook", name="ci")
    page = new_page(nginx)
    page.goto("harbor/projects")
    sign_in(page, "admin", ADMIN_PASSWORD)
    page.get_by_role("link", name="p", exact=True).click()
    select(page, "ci")
    assert page.url() == nginx.url.rstrip("/") + webhooks_path(api, "p", policy)
    deliveries = page.get_by_role("region", name="Deliveries", exact=True)
    deliveries.get_by_role("status").get_by_text("Live", exact=True).wait_for()
    api.submit("p")
    deliveries.get_by_role("row").filter(has_text="Success").wait_for()
    page.reload()
    deliveries.get_by_role("row").filter(has_text="Success").wait_for()
    outside = [path for path in page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
               if not path.startswith((nginx.url, "data:"))]
    assert outside == []


# -- without a mouse ------------------------------------------------------------------------------------------------------


def test_from_signing_in_to_a_saved_webhook_with_keys_alone(new_page, server, api, project):
    page = new_page(server)
    keys = page.keyboard

    def to(locator, what):
        """Tab until it has the focus; a person gives up sooner."""
        locator.wait_for()
        for _ in range(100):
            if locator.evaluate(JS("(one) => one === document.activeElement")):
                return
            keys.press("Tab")
        raise AssertionError(f"{what} cannot be reached with Tab")

    page.goto("/harbor/projects")
    to(page.get_by_role("textbox", name="Username"), "Username")
    keys.type("admin")
    to(page.get_by_label("Password", exact=True), "Password")
    keys.type(ADMIN_PASSWORD)
    keys.press("Enter")
    to(page.get_by_role("link", name=project, exact=True), "the project")
    keys.press("Enter")
    summary, repositories, webhooks = (page.get_by_role("tab", name=name) for name in ("Summary", "Repositories", "Webhooks"))
    to(webhooks, "Webhooks")
    keys.press("ArrowLeft")
    page.get_by_text("Nothing was pushed yet").wait_for()
    keys.press("ArrowRight")
    page.get_by_text("No webhook", exact=True).wait_for()
    to(page.get_by_role("button", name="NEW WEBHOOK"), "NEW WEBHOOK")
    keys.press("Enter")
    dialog = dialog_of(page, "Add Webhook")
    wait_until(lambda: text_field(dialog, "Name").evaluate(JS("(one) => one === document.activeElement")), "the name has the focus")
    keys.type("by keys")
    to(dialog.get_by_role("combobox", name="Payload Format", exact=True), "Payload Format")
    keys.press("ArrowDown")
    to(dialog.get_by_role("button", name="None", exact=True), "None")
    keys.press("Space")
    to(dialog.get_by_role("checkbox", name="Artifact deleted", exact=True), "Artifact deleted")
    keys.press("Space")
    to(text_field(dialog, "Endpoint URL"), "Endpoint URL")
    keys.type("https://receiver.example/hook")
    keys.press("Enter")
    page.get_by_role("radio", name="Select by keys", exact=True, checked=True).wait_for()
    policy = api.get(f"/projects/{project}/webhook/policies").json[0]
    assert (policy["name"], policy["event_types"]) == ("by keys", ["DELETE_ARTIFACT"])
    assert policy["targets"][0]["payload_format"] == "CloudEvents"
    to(page.get_by_role("button", name="ACTION"), "ACTION")
    keys.press("Enter")
    page.get_by_role("menuitem", name="EDIT", exact=True).wait_for()
    page.locator("[role=menuitem]:focus").wait_for()  # the menu opens before it has the focus
    keys.press("Escape")
    page.get_by_role("menuitem", name="EDIT", exact=True).wait_for(state="hidden")


# -- what is no page of its own, in both themes and two sizes ---------------------------------------------------------------


def shown(page, name, theme, size, full_page=False):
    page.screenshot(name=f"{name}-{theme}-{size[0]}", full_page=full_page)
    page.assert_accessible()
    assert_fits(page, name)


@pytest.fixture(scope="module")
def workshop(server):
    """A webhook that works and a project without anything."""
    from support.api import Api
    api = Api(server)
    api.project("workshop-empty")
    api.project("workshop")
    return {"policy": api.webhook("workshop", f"http://127.0.0.1:{free_port()}/hook", name="Build trigger"), "api": api}


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["1280", "400"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_dialog_and_empty_state_is_accessible_and_fits(signed_in_page, server, workshop, theme, size):
    api, page = workshop["api"], signed_in_page(server, viewport=size, color_scheme=theme)

    def close(dialog):
        page.keyboard.press("Escape")
        dialog.wait_for(state="hidden")

    page.get_by_role("button", name="Account admin").click()
    page.get_by_role("menuitem", name="Sign out").wait_for()
    shown(page, "account-menu", theme, size)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="NEW PROJECT").click()
    dialog = dialog_of(page, "New Project")
    dialog.get_by_role("button", name="CREATE", exact=True).click()
    error_at(page, text_field(dialog, "Name"), "Name is required")
    shown(page, "new-project-refused", theme, size)
    close(dialog)

    empty = f"/harbor/projects/{project_number(api, 'workshop-empty')}"
    for name, path, words in (("no-webhook", "webhook", "No webhook"), ("no-repository", "repositories", "Nothing was pushed yet")):
        page.goto(f"{empty}/{path}")
        page.get_by_text(words, exact=True).wait_for()
        shown(page, name, theme, size)

    page.goto(webhooks_path(api, "workshop", workshop["policy"]))
    page.get_by_text("Nothing was sent yet").wait_for()
    shown(page, "nothing-sent", theme, size, full_page=True)
    page.get_by_role("button", name="ACTION").click()
    page.get_by_role("menuitem", name="EDIT", exact=True).wait_for()
    shown(page, "action-menu", theme, size)
    page.keyboard.press("Escape")
    for item, title, name in (("DELETE", "Delete Webhook", "delete"), ("DEACTIVATE", "Deactivate Webhook", "deactivate"),
                              ("PAUSE", "Pause Webhook", "pause")):
        act(page, item)
        dialog = dialog_of(page, title)
        dialog.get_by_text("Nothing waits.").wait_for()
        shown(page, name, theme, size)
        confirm(dialog, "CANCEL")
    act(page, "TEST")
    dialog = dialog_of(page, "Test Webhook")
    dialog.get_by_role("button", name="SEND TEST").click()
    dialog.get_by_role("region", name="Test result").get_by_text("No answer").wait_for()
    shown(page, "test-failed", theme, size)
    confirm(dialog, "CLOSE")
    dialog = new_webhook(page)
    choose_events(dialog)
    dialog.get_by_role("button", name="ADD", exact=True).click()
    error_at(page, text_field(dialog, "Name"), "Name is required")
    shown(page, "form-refused", theme, size)


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["1280", "400"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_way_in_is_accessible_and_fits_also_when_refused(new_page, server, theme, size):
    page = new_page(server, color_scheme=theme, viewport=size)
    page.goto("/harbor/projects")
    page.get_by_role("button", name="SIGN IN").click()
    error_at(page, page.get_by_role("textbox", name="Username"), "Username is required")
    shown(page, "sign-in-refused", theme, size)

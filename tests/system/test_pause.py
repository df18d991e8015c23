# SPDX-License-Identifier: Apache-2.0
"""Pausing a webhook with hold or skip, resuming it with its backlog or without, what we suspend ourselves, and the end of
what waits for a dead target."""
import sqlite3
import threading
import time

import pytest

from support.api import push_event
from support.names import Names
from support.receiver import Answer
from support.server import ADMIN_PASSWORD, basic
from support.waiting import wait_until

HOLD, SKIP, KEEP, DROP = {"mode": "hold"}, {"mode": "skip"}, {"backlog": "keep"}, {"backlog": "drop"}
JSON = {"Content-Type": "application/json"}


class Hook:
    """A webhook to `receiver`, and another one beside it whose receiver always answers: what was to come has come once
    an event later than it has."""

    def __init__(self, api, project, receiver, other):
        self.api, self.project, self.receiver, self.other = api, project, receiver, other
        self.id = api.webhook(project, receiver.url, name="tested")
        self.path = f"/projects/{project}/webhook/policies/{self.id}"
        api.webhook(project, other.url, name="beside", events=["DELETE_ARTIFACT"])

    def read(self):
        return self.api.get(self.path).json

    def extension(self):
        return self.read().get("harbinger", {})

    def pause(self, body, **options):
        return self.api.post(f"{self.path}/pause", body, **{"expect": 200, **options})

    def resume(self, body=None, **options):
        return self.api.post(f"{self.path}/resume", body or {}, **{"expect": 200, **options})

    def submit(self, count=1):
        return [self.api.submit(self.project)["id"] for _ in range(count)]

    def listed(self):
        """Oldest first."""
        return list(reversed(self.api.get(f"{self.path}/deliveries", query={"page_size": 100}).json))

    def states(self):
        return [one["state"] for one in self.listed()]

    def deliveries(self):
        path = f"/projects/{self.project}/webhook/deliveries"
        return [self.api.get(f"{path}/{one['id']}").json for one in self.listed()]

    def all_are(self, state, count):
        wait_until(lambda: self.states() == [state] * count, f"{count} deliveries {state}")

    def let_pass(self, tries=4):
        self.other.answers(*[Answer(500)] * (tries - 1))
        self.api.submit(self.project, push_event(type="DELETE_ARTIFACT"))
        self.other.take(tries)

    def waiting(self):
        return self.api.get(f"{self.path}/summary").json["waiting"]

    def suspended(self):
        return wait_until(lambda: self.extension().get("suspended"), "the target is suspended")


@pytest.fixture
def hook(api, project, receiver, new_receiver):
    return Hook(api, project, receiver, new_receiver())


def metric(server, name):
    status, _, text = server.request("GET", "/metrics", headers={"Authorization": basic("admin", ADMIN_PASSWORD)})
    assert status == 200
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.decode().splitlines() if line.startswith(name))


def let_age(seconds, request):
    """Waits until the request came that long ago."""
    wait_until(lambda: time.monotonic() > request.at + seconds, f"{seconds} s are over")


# -- hold -------------------------------------------------------------------------------------------------------------


def test_held_deliveries_are_made_and_wait_and_are_sent_in_order_when_resumed(hook):
    paused = hook.pause(HOLD).json
    assert paused["enabled"] is True and paused["harbinger"] == {"paused": "hold"} and hook.read() == paused
    ids = hook.submit(3)
    hook.let_pass()
    assert hook.receiver.requests == [] and hook.states() == ["pending"] * 3 and hook.waiting() == 3
    assert [one["webhook_paused"] for one in hook.deliveries()] == [True] * 3
    assert {one["status"] for one in hook.api.executions(hook.project, hook.id)} == {"Running"}

    resumed = hook.resume(KEEP).json
    assert resumed["enabled"] is True and "harbinger" not in resumed
    assert sorted(one.header("webhook-id") for one in hook.receiver.take(3)) == sorted(ids)
    hook.all_are("succeeded", 3)
    assert "webhook_paused" not in hook.deliveries()[0]


def test_resuming_keeps_what_waits_unless_told_otherwise(hook):
    hook.pause(HOLD)
    sent = hook.submit()
    hook.resume()
    assert [hook.receiver.next().header("webhook-id")] == sent


def test_resuming_with_drop_cancels_what_waits_and_sends_what_comes(hook):
    hook.pause(HOLD)
    hook.submit(3)
    hook.resume(DROP)
    assert hook.states() == ["cancelled"] * 3 and hook.waiting() == 0
    later = hook.submit()
    assert hook.receiver.next().header("webhook-id") == later[0]
    hook.let_pass()
    assert len(hook.receiver.requests) == 1


def test_no_request_begins_after_a_pause_was_answered_and_none_is_lost(hook):
    gate = threading.Event()
    hook.receiver.always(Answer(hold=gate))
    ids = hook.submit(12)
    hook.receiver.next()
    hook.pause(HOLD)
    begun = len(hook.receiver.requests)
    gate.set()
    hook.let_pass()
    assert len(hook.receiver.requests) == begun < 12
    hook.receiver.always(Answer(200))
    hook.resume(KEEP)
    wait_until(lambda: {one.header("webhook-id") for one in hook.receiver.requests} == set(ids), "all came")
    hook.all_are("succeeded", 12)


def test_a_try_that_fails_during_a_pause_is_tried_again_after_it(hook):
    gate = threading.Event()
    hook.receiver.answers(Answer(500, hold=gate))
    sent = hook.submit()
    hook.receiver.next()
    hook.pause(HOLD)
    gate.set()
    wait_until(lambda: hook.states() == ["retrying"], "the failure is recorded")
    hook.let_pass()
    assert len(hook.receiver.requests) == 1
    hook.resume()
    assert hook.receiver.next().header("webhook-id") == sent[0]


def test_a_hold_outlives_a_kill_of_the_server(new_server, api_of, new_receiver):
    server = new_server()
    api = api_of(server)
    api.project("demo")
    hook = Hook(api, "demo", new_receiver(), new_receiver())
    hook.pause(HOLD)
    sent = hook.submit(2)
    server.kill()
    server.start()
    hook.let_pass()
    assert hook.extension() == {"paused": "hold"} and hook.receiver.requests == [] and hook.waiting() == 2
    hook.resume(KEEP)
    assert sorted(one.header("webhook-id") for one in hook.receiver.take(2)) == sorted(sent)


def test_a_webhook_that_is_saved_unchanged_stays_held_and_one_that_is_disabled_does_not(hook):
    hook.pause(HOLD)
    hook.submit()
    body = hook.read()
    hook.api.put(hook.path, {**body, "description": "changed"})
    body.pop("harbinger")
    hook.api.put(hook.path, {**body, "description": "as Harbor's clients send it"})
    assert hook.extension() == {"paused": "hold"} and hook.states() == ["pending"]

    hook.api.put(hook.path, {**body, "enabled": False})
    assert "harbinger" not in hook.read() and hook.states() == ["cancelled"]
    hook.api.put(hook.path, {**body, "enabled": True})
    assert "harbinger" not in hook.read()
    assert hook.receiver.requests == []
    sent = hook.submit()
    assert hook.receiver.next().header("webhook-id") == sent[0]


def test_a_held_webhook_can_be_tested(hook):
    hook.pause(HOLD)
    assert hook.api.post(f"{hook.path}/test", {}, expect=200).json["outcome"] == "success"


def test_a_redelivery_of_a_held_webhook_waits(hook):
    hook.submit()
    hook.receiver.next()
    hook.all_are("succeeded", 1)
    hook.pause(HOLD)
    again = hook.deliveries()[0]["id"]
    hook.api.post(f"/projects/{hook.project}/webhook/deliveries/{again}/redeliver")
    hook.let_pass()
    assert hook.states() == ["succeeded", "pending"] and len(hook.receiver.requests) == 1
    hook.resume()
    hook.receiver.next()


def test_pausing_names_a_new_state_of_the_webhook(hook):
    before = hook.api.get(hook.path).header("ETag")
    paused = hook.pause(HOLD)
    assert paused.header("ETag") == hook.api.get(hook.path).header("ETag") != before
    body = hook.read()
    hook.api.put(hook.path, body, headers={"If-Match": before}, expect=412)


@pytest.mark.parametrize("action", ["pause", "resume", "delete"])
def test_a_change_of_another_state_than_was_read_is_refused_and_changes_nothing(hook, action):
    act = {"pause": lambda **options: hook.pause(SKIP, **options), "resume": lambda **options: hook.resume(DROP, **options),
           "delete": lambda **options: hook.api.delete(hook.path, **options)}[action]
    read = hook.api.get(hook.path).header("ETag")
    now = hook.pause(HOLD)
    assert "was changed since you read it" in act(headers={"If-Match": read}, expect=412).message
    after = hook.api.get(hook.path)
    assert (after.header("ETag"), after.json) == (now.header("ETag"), now.json)
    act(headers={"If-Match": now.header("ETag")}, expect=200)


def test_a_suspension_names_a_new_state_of_the_webhook(hook):
    before = hook.api.get(hook.path)
    suspend(hook)
    after = hook.api.get(hook.path)
    assert after.header("ETag") != before.header("ETag")
    hook.api.put(hook.path, before.json, headers={"If-Match": before.header("ETag")}, expect=412)
    hook.suspended()  # saving what was read before it would have ended it


def test_a_webhook_whose_secrets_cannot_be_opened_is_seen_paused_resumed_and_deleted(failing):
    server, hook = failing()
    server.stop()
    with sqlite3.connect(server.data / "harbinger.db") as store:
        store.execute("UPDATE target SET address = x'0022', auth_header = x'0011' WHERE id = 1")
    store.close()
    server.start()
    for seen in (hook.read(), hook.pause(HOLD).json, hook.pause(SKIP).json, hook.resume(KEEP).json,
                 hook.api.get("/projects/demo/webhook/policies", query={"q": "name=tested"}).json[0]):
        assert (seen["targets"][0]["address"], seen["targets"][0]["auth_header"]) == ("********", "********")
    hook.let_pass()  # and the webhook beside it is served
    hook.api.delete(hook.path, expect=200)


# -- skip -------------------------------------------------------------------------------------------------------------


def test_skipping_cancels_what_waits_and_makes_no_deliveries(hook):
    hook.receiver.always(Answer(500))
    hook.submit()
    hook.receiver.next()
    paused = hook.pause(SKIP).json
    assert paused["enabled"] is False and "harbinger" not in paused
    wait_until(lambda: hook.states() == ["cancelled"], "what waited is cancelled")
    hook.submit(2)
    assert len(hook.states()) == 1

    hook.receiver.always(Answer(200))
    hook.resume()
    assert hook.read()["enabled"] is True
    hook.let_pass()
    tried = len(hook.receiver.requests)
    sent = hook.submit()
    wait_until(lambda: len(hook.receiver.requests) > tried, "the new one is sent")
    assert hook.receiver.requests[-1].header("webhook-id") == sent[0] and len(hook.states()) == 2


def test_a_pause_changes_from_skip_to_hold_and_back(hook):
    hook.pause(SKIP)
    hook.submit()
    assert hook.pause(HOLD).json["harbinger"] == {"paused": "hold"} and hook.read()["enabled"] is True
    hook.submit()
    assert hook.states() == ["pending"]
    hook.pause(HOLD)
    assert hook.states() == ["pending"]
    assert hook.pause(SKIP).json["enabled"] is False and hook.states() == ["cancelled"]


# -- suspended by us --------------------------------------------------------------------------------------------------


def suspend(hook, count=2):
    hook.receiver.always(Answer(410))
    sent = hook.submit()
    listed = hook.suspended()
    sent += hook.submit(count - 1)
    hook.receiver.always(Answer(200))
    hook.let_pass()
    return sent, listed


def test_a_suspended_target_is_listed_with_reason_and_time_and_resumed_with_its_backlog(hook):
    sent, listed = suspend(hook)
    assert len(listed) == 1 and listed[0]["target"] == 0 and "410" in listed[0]["reason"] and listed[0]["since"]
    assert len(hook.receiver.requests) == 1 and hook.waiting() == 2
    entry = hook.api.get("/harbinger/audit", query={"q": f"operation=suspend,project={hook.project}"}).json[0]
    assert (entry["actor"], entry["kind"], entry["subject"]) == ("system", "policy", f"{hook.project}/tested")
    assert "harbinger" not in hook.resume(KEEP).json
    wait_until(lambda: {one.header("webhook-id") for one in hook.receiver.requests[1:]} == set(sent), "both came")
    hook.all_are("succeeded", 2)


def test_the_backlog_of_a_suspended_target_can_be_dropped(hook):
    suspend(hook)
    hook.resume(DROP)
    assert hook.states() == ["cancelled"] * 2
    sent = hook.submit()
    wait_until(lambda: len(hook.receiver.requests) == 2, "the new one is sent")
    assert hook.receiver.requests[-1].header("webhook-id") == sent[0]


def test_an_answer_of_an_old_address_does_not_suspend_the_new_one(hook):
    gate = threading.Event()
    hook.receiver.always(Answer(410, hold=gate))
    hook.submit()
    hook.receiver.next()
    body = hook.read()
    body["targets"][0]["address"] = f"{hook.receiver.url}/new"
    hook.receiver.on("/new", Answer(200))
    hook.api.put(hook.path, body, expect=200)
    gate.set()
    hook.all_are("succeeded", 1)
    assert hook.receiver.requests[-1].target.endswith("/new") and hook.extension() == {}


def test_suspensions_are_counted_by_their_reason(server, hook):
    before = metric(server, 'harbinger_targets_suspended_total{reason="gone"}')
    suspend(hook)
    assert metric(server, 'harbinger_targets_suspended_total{reason="gone"}') >= before + 1


@pytest.fixture
def failing(new_server, api_of, new_receiver):
    """make(settings) -> (server, hook) on a server of its own whose receiver answers 500."""
    def make(**settings):
        keys = {key.replace("__", "."): value for key, value in settings.items()}
        server = new_server(settings={"breaker.failures": 2, "breaker.probe_max_ms": 100, **keys})
        api = api_of(server)
        api.project("demo")
        hook = Hook(api, "demo", new_receiver(), new_receiver())
        hook.receiver.always(Answer(500))
        return server, hook
    return make


def test_a_target_that_fails_for_long_is_suspended_and_keeps_its_backlog(failing):
    server, hook = failing(delivery__suspend_after_s=1)
    hook.submit(3)
    listed = hook.suspended()
    assert "no delivery succeeded since" in listed[0]["reason"] and "500" in listed[0]["reason"]
    assert metric(server, 'harbinger_targets_suspended_total{reason="failing"}') == 1
    assert server.log().count("is suspended, its deliveries wait until it is resumed") == 1
    assert len(hook.api.get("/harbinger/audit", query={"q": "operation=suspend"}).json) == 1
    hook.let_pass()
    tried = len(hook.receiver.requests)
    hook.let_pass()
    assert len(hook.receiver.requests) == tried and hook.waiting() == 3

    hook.receiver.always(Answer(200))
    hook.resume(KEEP)
    hook.all_are("succeeded", 3)


def test_a_streak_of_failures_outlives_a_restart_and_ends_with_a_success_or_a_resumption(failing):
    server, hook = failing(delivery__suspend_after_s=86400)
    hook.submit()
    hook.receiver.take(2)
    server.kill()
    server.settings["delivery.suspend_after_s"] = 1
    let_age(1.2, hook.receiver.requests[0])
    server.start()
    hook.suspended()
    hook.resume(KEEP)  # the streak begins anew: the next failure suspends nothing
    seen = len(hook.receiver.requests)
    wait_until(lambda: len(hook.receiver.requests) > seen, "a try after it")
    assert hook.extension() == {}
    hook.receiver.always(Answer(200))
    hook.all_are("succeeded", 1)


def test_a_success_now_and_then_keeps_a_target_from_being_suspended(failing):
    _, hook = failing(delivery__suspend_after_s=1, breaker__failures=1000)
    for _ in range(3):
        hook.receiver.answers(Answer(500), Answer(500), Answer(500))
        hook.receiver.always(Answer(200))
        hook.submit()
        hook.let_pass(5)
    wait_until(lambda: set(hook.states()) == {"succeeded"}, "all succeeded")
    assert hook.extension() == {}


def age(server, by_us):
    """The store of a stopped server, as if it had been stopped so much earlier."""
    with sqlite3.connect(server.data / "harbinger.db") as store:
        for table, columns in (("target", ["failing_since_us", "suspended_us"]), ("delivery", ["created_us", "due_us", "started_us"]),
                               ("attempt", ["started_us", "ended_us"]), ("event", ["recorded_us"])):
            for column in columns:
                store.execute(f"UPDATE {table} SET {column} = {column} - ? WHERE {column} > 0", (by_us,))
        (ran,), = store.execute("SELECT value FROM setting WHERE key = 'ran'")
        store.execute("UPDATE setting SET value = ? WHERE key = 'ran'", (str(int(ran.split()[0]) - by_us),))
    store.close()


def test_time_in_which_the_program_was_stopped_suspends_and_ends_nothing(failing):
    server, hook = failing(delivery__suspend_after_s=86400, delivery__max_backlog_age_s=86400)
    hook.submit()
    hook.receiver.take(2)
    server.stop()
    age(server, 10 * 86400 * 1000000)
    server.start()
    seen = len(hook.receiver.requests)
    wait_until(lambda: len(hook.receiver.requests) >= seen + 4, "further tries")
    assert hook.extension() == {} and hook.states() == ["retrying"]
    hook.receiver.always(Answer(410))
    hook.suspended()
    server.stop()
    age(server, 10 * 86400 * 1000000)
    server.start()
    hook.let_pass()
    assert hook.states() == ["retrying"]
    hook.receiver.always(Answer(200))
    hook.resume(KEEP)
    hook.all_are("succeeded", 1)


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_name_server_that_does_not_answer_suspends_nobody_and_a_name_that_is_gone_does(failing, whose):
    names = Names()
    settings = {"resolver__servers": names.address, "resolver__negative_ttl_ms": 10, "resolver__budget_ms": 200}
    if whose == "ours":
        names.close()
    _, hook = failing(delivery__suspend_after_s=1, **settings)
    try:
        number = hook.api.webhook("demo", "http://gone.example/hook", name="by name", events=["PULL_ARTIFACT"])
        hook.api.submit("demo", push_event(type="PULL_ARTIFACT"))
        path = f"/projects/demo/webhook/policies/{number}"
        if whose == "theirs":
            wait_until(lambda: hook.api.get(path).json.get("harbinger", {}).get("suspended"), "it is suspended")
            return
        begun = time.monotonic()

        def tries():
            delivery = hook.api.get(f"{path}/deliveries").json[0]["id"]
            return len(hook.api.get(f"/projects/demo/webhook/deliveries/{delivery}").json["attempts"])

        wait_until(lambda: time.monotonic() - begun > 1.5 and tries() >= 6, "more tries than would suspend")
        assert hook.api.get(path).json.get("harbinger") is None
    finally:
        if whose == "theirs":
            names.close()


# -- the end of what waits too long -----------------------------------------------------------------------------------


def test_what_waits_too_long_for_a_paused_or_suspended_target_fails_with_words(failing):
    server, hook = failing()
    hook.receiver.always(Answer(410))
    hook.submit()
    hook.suspended()
    hook.submit()
    held = hook.api.webhook("demo", hook.receiver.url, name="held")
    hook.api.post(f"/projects/demo/webhook/policies/{held}/pause", HOLD, expect=200)
    hook.submit()
    server.stop()
    server.settings["delivery.max_backlog_age_s"] = 1
    server.settings["log.level"] = "info"
    let_age(2, hook.receiver.requests[0])
    server.start()
    hook.all_are("failed", 3)
    tried, never, _ = hook.deliveries()
    assert tried["last_error"].startswith("expired: it waited for more than 1 seconds while its target was suspended; the "
                                          "last try: ") and "410" in tried["last_error"]
    assert tried["attempts"][-1]["retry_reason"].endswith("not tried again, because the delivery had waited too long")
    assert never["last_error"] == "expired: it waited for more than 1 seconds while its target was suspended"
    assert never["status"] == "Error" and never["ended_at"] and hook.waiting() == 0
    other = hook.api.get(f"/projects/demo/webhook/policies/{held}/deliveries").json
    assert [one["last_error"] for one in other] == ["expired: it waited for more than 1 seconds while its webhook was paused"]
    assert metric(server, 'harbinger_deliveries_expired_total{by="backlog_age"}') == 4
    assert "3 deliveries of target" in server.log()

    hook.receiver.always(Answer(200))
    hook.resume()
    sent = hook.submit()
    wait_until(lambda: hook.receiver.requests[-1].header("webhook-id") == sent[0], "new ones are sent")


def test_what_waits_for_a_target_that_is_well_never_expires(failing):
    server, hook = failing()
    gate = threading.Event()
    hook.receiver.always(Answer(hold=gate))
    hook.submit(12)
    hook.receiver.next()
    server.kill()
    gate.set()
    hook.receiver.always(Answer(200))
    server.settings["delivery.max_backlog_age_s"] = 1
    let_age(2, hook.receiver.requests[0])
    server.start()
    hook.all_are("succeeded", 12)


def test_a_delivery_as_old_as_the_schedule_gets_one_try_of_a_target_that_failed_all_that_time(failing):
    server, hook = failing(retry__give_up_ms=1000, delivery__suspend_after_s=0)
    hook.submit(2)
    hook.receiver.take(4)
    wait_until(lambda: metric(server, "harbinger_breakers_open") == 1, "only the head is tried now")
    hook.submit(6)
    hook.all_are("failed", 8)
    words = [one["last_error"] for one in hook.deliveries()]
    expired = [text for text in words if text.startswith("expired: it waited for longer than the retry schedule lasts")]
    assert expired and all("the last try: " in text for text in expired)
    assert metric(server, 'harbinger_deliveries_expired_total{by="schedule"}') == len(expired)
    assert min(len(one["attempts"]) for one in hook.deliveries()) == 1
    hook.receiver.always(Answer(200))
    hook.submit()
    wait_until(lambda: hook.states()[-1] == "succeeded", "the target works again")


# -- what is asked ----------------------------------------------------------------------------------------------------

WORDS = {"pause": ("mode", "[hold skip]"), "resume": ("backlog", "[keep drop]")}


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_a_body_that_says_something_else_is_refused(hook, action):
    key, words = WORDS[action]
    path = f"{hook.path}/{action}"
    assert f"{key} in body should be one of {words}" in hook.api.post(path, {key: "soon"}, expect=422).message
    assert f"{key} in body must be of type string" in hook.api.post(path, {key: 1}, expect=422).message
    hook.api.request("POST", path, raw=b"{", headers=JSON, expect=422)
    large = b'{"%s": "%s"}' % (key.encode(), b"x" * (5 << 20))
    hook.api.request("POST", path, raw=large, headers=JSON, expect=413)
    hook.api.post(f"/projects/{hook.project}/webhook/policies/x/{action}", {key: "hold"}, expect=422)
    assert hook.extension() == {} and hook.read()["enabled"] is True


def test_the_mode_of_a_pause_has_to_be_said(hook):
    assert "mode in body is required" in hook.pause({}, expect=422).message
    hook.api.request("POST", f"{hook.path}/pause", expect=422)


@pytest.mark.parametrize("action, body", [("pause", HOLD), ("resume", KEEP)])
def test_only_who_may_change_a_webhook_pauses_and_resumes_it(hook, action, body):
    path = f"{hook.path}/{action}"
    hook.api.anonymous().post(path, body, expect=401)
    hook.api.post(f"/projects/{hook.project}/webhook/policies/999999/{action}", body, expect=404)
    hook.api.post(f"/projects/no%20name/webhook/policies/{hook.id}/{action}", body, expect=400)
    assert hook.extension() == {}


# -- what it costs ----------------------------------------------------------------------------------------------------

MANY = 800_000
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"


def many_wait(server, policy, count):
    """Copies the only delivery of the policy `count` times, behind the back of a server that is stopped."""
    with sqlite3.connect(server.data / "harbinger.db") as store:
        store.execute(f"""{NUMBERS} INSERT INTO delivery (event_rowid, policy_id, target_id, target_type, event_type, state,
            prio, attempts, due_us, created_us) SELECT event_rowid, policy_id, target_id, target_type, event_type, 0, 0, 0,
            due_us, created_us FROM delivery, n WHERE policy_id = ?""", (count, policy))
    store.close()


@pytest.mark.long
def test_new_deliveries_do_not_wait_for_the_sweep_of_many_cancelled_ones(new_server, api_of, new_receiver):
    """800,000 waiting rows are cancelled; what is made while the sweep goes over them is sent as if they were not there."""
    server = new_server(settings={"log.level": "info"})
    api = api_of(server)
    api.project("demo")
    hook = Hook(api, "demo", new_receiver(), new_receiver())
    hook.pause(HOLD)
    hook.submit()
    server.stop()
    many_wait(server, hook.id, MANY)
    server.start()
    began = time.monotonic()
    hook.resume(DROP)
    took = []
    while len(took) < 200:
        at = time.monotonic()
        sent = hook.submit()[0]
        request = hook.receiver.next()
        assert request.header("webhook-id") == sent
        took.append(request.at - at)
    with sqlite3.connect(f"file:{server.data}/harbinger.db?mode=ro", uri=True) as store:
        unswept = store.execute("SELECT count(*) FROM delivery WHERE state = 0").fetchone()[0]
    store.close()
    took.sort()
    print(f"submit to receiver beside {unswept} unswept rows: p50 {took[100] * 1000:.1f} ms, p99 {took[197] * 1000:.1f} ms, "
          f"{time.monotonic() - began:.1f} s for 200")
    assert unswept > MANY / 4, "the sweep was done before anything could be measured"
    assert took[100] < 0.05
    wait_until(lambda: metric(server, 'harbinger_store_swept_rows_total{sweep="cancelled"}') > MANY, "the sweep is done", 120)

# SPDX-License-Identifier: Apache-2.0
"""A campaign: one data directory, a load, kills and restarts, and the account at the end.

    with Campaign(tmp_path, program=...) as campaign:
        for _ in range(20):
            campaign.kill_at_random()
        report = campaign.finish()
    assert report.problems == []

Seeds come from HARBINGER_SEED, or chance; they are printed.
"""
import http.client
import os
import random
import re
import signal
import socket
import threading
import time

from support.api import Api
from support.server import ADMIN_PASSWORD, Server, basic
from support.waiting import BOUND_S

from . import account
from .account import ALL
from .journal import Journal
from .load import Load, PROJECTS
from .receiver import receive, stamp_arrivals

SPOILED_PER_MILLE = 40  # of first requests
MOST_EVENTS_TO_A_KILL = 120
MOST_JITTER_S = 0.012
DOOMED_ONE_IN = 3  # rounds in which a webhook is made, and deleted while the load runs
PASSES = 12  # a fault point kills at a pass up to this
SELDOM = ("api.", "store.checkpoint.", "store.move.", "store.sweep.")  # these at their first
# A round whose point is not passed is over after this; the rarest is a checkpoint.
POINT_BOUND_S = 20

SETTINGS = {"log.level": "info", "delivery.rescan_ms": 200, "limits.drain_ms": 10000}


class Report:
    """problems: of the account, in words. kills.

    commits: how many kills struck with an envelope that had left a client whole and had no answer: it was being read,
    waited for its commit, was in it, or its answer was on the way.
    sends: how many struck with a request that had begun at the receiver and of which no attempt was recorded; the journal
    says so, since it came again under the same number, or had come in part.
    """

    def __init__(self, problems, kills, sends, events, requests):
        self.problems, self.kills, self.sends = problems, len(kills), sends
        self.commits = sum(1 for kill in kills if kill.commits > 0)
        self.events, self.requests = events, requests

    def __str__(self):
        return (f"{self.kills} kills, {self.commits} with commits in flight, {self.sends} with sends in flight; "
                f"{self.events} events acknowledged, {self.requests} requests arrived, {len(self.problems)} problems"
                + "".join(f"\n  {problem}" for problem in self.problems))


class Campaign:
    """program: the server's. env: over its environment, for a fault build, at every start."""

    def __init__(self, folder, program=None, env=None, settings=None):
        self.seed = int(os.environ.get("HARBINGER_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
        print(f"HARBINGER_SEED={self.seed}")
        self._chance = random.Random(self.seed)
        self.env = dict(env or {})
        self.server = Server(folder / "server", settings={**SETTINGS, **(settings or {})}, program=program)
        self.server.env = self.env
        folder.mkdir(exist_ok=True)
        self.journal = Journal(folder, self.seed, SPOILED_PER_MILLE)
        self.load = Load(self.server)
        self.hooks, self.kills, self.problems = [], [], []
        self._doomed = 0
        self._starts = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.server.process is not None:
            self.server.kill()
        self.journal.close()

    # -- the server --

    def start(self, faults=""):
        """False: it did not become ready. faults: HARBINGER_FAULTS of this start, beside those of the campaign."""
        planted = self.env.get("HARBINGER_FAULTS", "")
        self._starts += 1
        self.server.env = {**self.env, "HARBINGER_FAULTS": ",".join(filter(None, (planted, faults))),
                           "HARBINGER_FAULT_SEED": str(self.seed + self._starts)}
        begun = time.monotonic()
        try:
            self.server.start()
        except AssertionError as problem:
            code, self.server.process = self.server.process.returncode, None
            if not faults or code != -signal.SIGKILL or time.monotonic() - begun >= BOUND_S:
                self.problems.append(f"not served: no start after kill {len(self.kills)}: {str(problem)[-600:]}")
            return False
        return True

    def begin(self):
        """The first start: projects, and webhooks that stay."""
        if not self.start():
            return
        api = Api(self.server)
        for project in PROJECTS:
            api.project(project)
        for project, name, kinds, fields in (
                ("alpha", "pushes", ("PUSH_ARTIFACT",), {}),
                ("alpha", "all", ALL, {"payload_format": "CloudEvents"}),
                ("beta", "deletions", ("DELETE_ARTIFACT",), {}),
                ("beta", "off", ALL, {"enabled": False}),
                ("gamma", "all", ALL, {}),
                ("gamma", "pulls", ("PULL_ARTIFACT",), {})):
            self._hook(api, project, name, kinds, **fields)

    def _hook(self, api, project, name, kinds, **fields):
        hook = account.Hook(project, f"/{project}/{name}", kinds, fields.get("enabled", True))
        self.hooks.append(hook)
        hook.asked_at = time.time_ns()
        hook.policy = api.webhook(project, self.journal.url + hook.path, events=kinds, name=name, **fields)
        hook.made_at = time.time_ns()
        return hook

    def _doomed_hook(self):
        self._doomed += 1
        return self._hook(Api(self.server), PROJECTS[self._doomed % len(PROJECTS)], f"doomed-{self._doomed}", ALL)

    def _delete(self, hook):
        """DELETE of its policy; notes when the answer's first byte arrived. Quietly nothing when the server goes."""
        hook.deleting_at = hook.deleting_at or time.time_ns()
        request = (f"DELETE /api/v2.0/projects/{hook.project}/webhook/policies/{hook.policy} HTTP/1.1\r\nHost: harbinger\r\n"
                   f"Authorization: {basic('admin', ADMIN_PASSWORD)}\r\n\r\n")  # kept open: no end joins the answer
        try:
            with socket.create_connection((self.server.host, self.server.port), timeout=BOUND_S) as connection:
                stamp_arrivals(connection)
                connection.sendall(request.encode())
                answer, at = receive(connection)
        except OSError:
            return
        status = re.match(rb"HTTP/1\.1 (\d+) ", answer)
        if not status:
            return
        if status.group(1) in (b"200", b"404"):
            hook.deleted_at = at or time.time_ns()
        else:
            self.problems.append(f"refused: the DELETE of {hook.path} was answered with {status.group(1).decode()}")

    def _delete_what_is_left(self):
        """Deletions that a kill cut short are asked for again, as their owner would."""
        for hook in self.hooks:
            if hook.deleting_at is not None and hook.deleted_at is None:
                self._delete(hook)

    # -- kills --

    def kill_at_random(self):
        """One round under load with a kill -9 at a random moment, and a restart. False: there is no server any more."""
        if self.server.process is None:
            return False
        doomed = self._doomed_hook() if self._chance.randrange(DOOMED_ONE_IN) == 0 else None
        self.load.start()
        if not self.load.wait_for(self.load.acknowledged + self._chance.randrange(1, MOST_EVENTS_TO_A_KILL)):
            self.problems.append("not served: nothing was acknowledged any more")
        deletion = self._begin_deletion(doomed)
        # Not a wait for something: the moment of the kill is what chance decides.
        threading.Event().wait(self._chance.uniform(0, MOST_JITTER_S))
        self._end_round("random", deletion)
        return self._restart()

    def _begin_deletion(self, hook):
        """In a thread of its own, None without a hook."""
        thread = threading.Thread(target=self._delete, args=(hook,), daemon=True) if hook else None
        if thread:
            thread.start()
        return thread

    def _end_round(self, where, deletion):
        """Kills the server, if it has not done so itself, and gathers what that cut off."""
        killed_at = time.time_ns()
        self.server.kill()
        self.load.join()
        if deletion:
            deletion.join()
        self.kills.append(account.Kill(killed_at, self.load.cut_off, where))
        self.journal.read_on()

    def kill_at_point(self, name):
        """Starts the server anew with a kill at this fault point, and lets the load run into it, then restarts. False: the
        point was not passed."""
        if self.server.process is not None:
            self.server.stop()
        passes = 1 if name.startswith(SELDOM) else self._chance.randrange(1, PASSES + 1)
        if self.start(f"{name}=kill@{passes}"):
            struck = self._run_into(name)
        else:
            struck = not self.problems
            self.kills.append(account.Kill(time.time_ns(), 0, name))
        return self._restart() and struck

    def _run_into(self, name):
        try:
            doomed = self._doomed_hook() if name.startswith("api.") else None
            self._delete_what_is_left()
        except (OSError, http.client.HTTPException):
            doomed = None  # killed while the webhook was made
        process = self.server.process
        self.load.start()
        deletion = self._begin_deletion(doomed)
        ends = time.monotonic() + POINT_BOUND_S
        self.load.wait_for(float("inf"), or_when=lambda: process.poll() is not None or time.monotonic() > ends)
        struck = process.poll() == -signal.SIGKILL
        self._end_round(name, deletion)
        return struck

    def _restart(self):
        if not self.start():
            return False
        self._delete_what_is_left()
        return True

    # -- the end --

    def finish(self):
        """The last repeats, everything delivered or nothing left that would be; then the account. Stops the server."""
        if self.server.process is not None:
            try:
                self.load.finish()
                self._wait_for_deliveries()
                self.server.stop()
            except (AssertionError, OSError, http.client.HTTPException) as problem:
                self.problems.append(f"not served: {str(problem)[-600:]}")
        self.journal.read_on()
        requests = self.journal.requests.values()
        problems = self.problems + account.judge(self.hooks, self.load.sent, requests)
        report = Report(problems, self.kills, account.struck_sends(self.kills, requests),
                        sum(1 for one in self.load.sent.values() if one.acknowledged_at is not None), len(requests))
        print(report)
        return report

    def _wait_for_deliveries(self):
        """Until all that is owed has arrived, or the store has nothing more to send: then what is missing is lost."""
        owed = {(one.digest, hook.path) for hook in self.hooks for one in self.load.sent.values() if hook.must_get(one)}
        self.journal.read_on()
        owed -= {(one.digest, one.target) for one in self.journal.requests.values() if one.status == 200}
        pause, idle = threading.Event(), 0
        ends = time.monotonic() + 4 * BOUND_S
        while owed and idle < 3 and time.monotonic() < ends:
            pause.wait(0.05)
            idle = idle + 1 if self._nothing_to_send() else 0
            owed -= {(one.digest, one.target) for one in self.journal.read_on()}

    def is_lossy(self):
        """Is something acknowledged owed that the server does not mean to send any more?"""
        if self.server.process is None:
            return True
        self._wait_for_deliveries()
        return any(account.missing(self.hooks, self.load.sent.values(), self.journal.requests.values()))

    def _nothing_to_send(self):
        _, _, text = self.server.request("GET", "/metrics", headers={"Authorization": basic("admin", ADMIN_PASSWORD)})
        found = {name: float(value) for name, value in
                 re.findall(rb"^(harbinger_deliveries_(?:waiting|running)) (\S+)$", text, re.MULTILINE)}
        return found[b"harbinger_deliveries_waiting"] == 0 and found[b"harbinger_deliveries_running"] == 0

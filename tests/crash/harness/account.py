# SPDX-License-Identifier: Apache-2.0
"""The account: what was acknowledged against what arrived, request by request, by the receiver's own journal."""
import bisect

ALL = ("PUSH_ARTIFACT", "PULL_ARTIFACT", "DELETE_ARTIFACT")
_SHOWN = 3  # of each kind of problem


class Hook:
    """A policy with one target, `path`, which no other policy has. Times are wall clock, nanoseconds.

    asked_at, made_at: before its making was asked for, and once it had been answered.
    deleting_at: before its deletion was asked for first; deleted_at: when the answer to that arrived.
    """

    def __init__(self, project, path, kinds, enabled=True):
        self.project, self.path, self.kinds, self.enabled = project, path, frozenset(kinds), enabled
        self.policy = self.asked_at = self.made_at = self.deleting_at = self.deleted_at = None

    def matches(self, sent):
        return self.enabled and sent.project == self.project and sent.kind in self.kinds

    def must_get(self, sent):
        """Acknowledged, and posted while the hook was there for as long as it wanted."""
        return (sent.acknowledged_at is not None and self.matches(sent) and self.deleting_at is None
                and self.made_at is not None and sent.begun_at >= self.made_at)


class Kill:
    """commits: envelopes that had left whole for the server and had no answer."""

    def __init__(self, at, commits, where):
        self.at, self.commits, self.where = at, commits, where


def missing(hooks, sent, requests):
    """(Sent, Hook) pairs that a request answered with 200 is owed for."""
    have = {(one.digest, one.target) for one in requests if one.status == 200}
    return [(one, hook) for hook in hooks for one in sent
            if hook.must_get(one) and (one.digest, hook.path) not in have]


def judge(hooks, sent, requests):
    """All that is wrong, in words; empty: every promise was kept.

    hooks: every Hook there ever was. sent: digest -> Sent. requests: of the journal.
    """
    found = {}
    whole = [one for one in requests if one.target is not None]
    readable = [one for one in whole if one.seq is not None]
    for one, hook in missing(hooks, sent.values(), requests):
        _say(found, "lost", f"{one.kind} of {one.project} {one.digest[-12:]} was acknowledged and never delivered to "
                            f"{hook.path}")
    by_path = {hook.path: hook for hook in hooks}
    for one in whole:
        _check_place(found, one, by_path.get(one.target), sent.get(one.digest))
    _check_sameness(found, readable)
    for hook in hooks:
        if hook.enabled and hook.kinds == set(ALL) and hook.deleting_at is None:
            _check_numbers(found, hook, readable)
    return [f"{kind}: {words}" for kind, all_ in found.items()
            for words in all_[:_SHOWN] + ([f"and {len(all_) - _SHOWN} more"] if len(all_) > _SHOWN else [])]


def _say(found, kind, words):
    found.setdefault(kind, []).append(words)


def _check_place(found, one, hook, sent):
    """Was this request to go there, and might it?"""
    if one.seq is None:
        _say(found, "garbled", f"request {one.number} to {one.target} has a body that no delivery has")
    elif sent is None:
        _say(found, "invented", f"request {one.number} tells of {one.digest}, which nobody sent")
    elif hook is None:
        _say(found, "stray", f"request {one.number} came to {one.target}, which no webhook has")
    elif not hook.matches(sent):
        _say(found, "stray", f"{sent.kind} of {sent.project} came to {hook.path} of {hook.project}, which did not ask")
    elif sent.acknowledged_at is not None and sent.acknowledged_at < hook.asked_at:
        _say(found, "stray", f"{sent.kind} of {sent.project} came to {hook.path}, which was made after it")
    elif hook.deleted_at is not None and one.at > hook.deleted_at:
        late_ms = (one.at - hook.deleted_at) / 1e6
        _say(found, "late", f"the first byte of request {one.number} to {hook.path} came {late_ms:.3f} ms after the DELETE "
                            "of its webhook had been answered")


def _check_sameness(found, whole):
    """One notification is one event with one number; one delivery of it per target, with the same bytes each time."""
    events, bodies, deliveries, numbers = {}, {}, {}, {}
    for one in whole:
        if events.setdefault(one.digest, one.event) != one.event:
            _say(found, "changed", f"{one.digest[-12:]} came under the ids {events[one.digest]} and {one.event}")
        if bodies.setdefault((one.event, one.target), one.body_hash) != one.body_hash:
            _say(found, "changed", f"event {one.event} came to {one.target} with two bodies")
        if deliveries.setdefault((one.event, one.target), one.delivery) != one.delivery:
            _say(found, "changed", f"event {one.event} came to {one.target} as deliveries "
                                   f"{deliveries[(one.event, one.target)]} and {one.delivery}")
        project = one.target.split("/")[1]
        if numbers.setdefault((project, one.seq), one.event) != one.event:
            _say(found, "changed", f"events {numbers[(project, one.seq)]} and {one.event} of {project} are both number "
                                   f"{one.seq}")


def _check_numbers(found, hook, whole):
    """A webhook for everything, there from the first event on, gets every number once: nothing was stored and lost again."""
    numbers = {one.seq for one in whole if one.target == hook.path}
    gaps = sorted(set(range(1, max(numbers, default=0) + 1)) - numbers)
    if gaps:
        _say(found, "gap", f"{hook.path} never got number {gaps[0]} of {hook.project}, nor {len(gaps) - 1} others")


def struck_sends(kills, requests):
    """How many kills struck with sends in flight: with a request that had begun and of which no attempt was recorded. Such a
    one never became whole, or came again after the kill as the same attempt of the same delivery."""
    times = [kill.at for kill in kills]
    again, struck = {}, set()
    for one in sorted(requests, key=lambda one: -one.at):
        before = bisect.bisect_left(times, one.at)  # the first kill after it
        key = (one.delivery, one.attempt)
        if before < len(times) and (one.target is None or again.get(key, 0) > times[before]):
            struck.add(before)
        again[key] = one.at
    return len(struck)

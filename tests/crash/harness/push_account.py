# SPDX-License-Identifier: Apache-2.0
"""The account of pushes and deletes through the gateway: what the registry did, by the proxy before it, against the events
in the store, what clients were told, and the catalogue.

Of each tag the registry's history and the events' are the same, where the same digest again and again is one entry: so every
move has its event, in order, and no event is without a cause. Of each digest likewise: it is there, or gone.
"""
_SHOWN = 3


class Event:
    """kind: PUT or DELETE; tags: of a push the one that it went to, of a delete all that went with it."""
    __slots__ = ("kind", "repository", "digest", "tags", "seq", "unchanged", "inferred")

    def __init__(self, kind, repository, digest, tags, seq, unchanged, inferred):
        self.kind, self.repository, self.digest, self.tags = kind, repository, digest, tags
        self.seq, self.unchanged, self.inferred = seq, unchanged, inferred

    def __repr__(self):
        return f"{self.kind} {self.repository} {self.tags} {self.digest} (seq {self.seq})"


class _Histories:
    """Of every tag what it led to, and of every digest whether it was there."""

    def __init__(self):
        self.tags, self.digests, self.now = {}, {}, {}

    @staticmethod
    def _add(histories, key, value):
        history = histories.setdefault(key, [None])
        if history[-1] != value:
            history.append(value)

    def put(self, repository, tag, digest):
        if tag:
            self._add(self.tags, (repository, tag), digest)
            self.now[repository, tag] = digest
        self._add(self.digests, (repository, digest), True)

    def delete(self, repository, digest, tags=None):
        """tags None: those that lead to it now."""
        if tags is None:
            tags = [tag for (where, tag), what in self.now.items() if where == repository and what == digest]
        for tag in tags:
            self._add(self.tags, (repository, tag), None)
            self.now.pop((repository, tag), None)
        self._add(self.digests, (repository, digest), None)


def _of_registry(changes):
    histories = _Histories()
    for change in changes:
        if change.kind == "DELETE":
            histories.delete(change.repository, change.digest)
        else:
            histories.put(change.repository, None if change.reference.startswith("sha256:") else change.reference,
                          change.digest)
    return histories


def _of_events(events):
    histories = _Histories()
    for event in events:
        if event.kind == "DELETE":
            histories.delete(event.repository, event.digest, event.tags)
        else:
            histories.put(event.repository, event.tags[0] if event.tags else None, event.digest)
    return histories


def _differences(what, theirs, ours):
    for key in sorted(set(theirs) | set(ours)):
        if theirs.get(key, [None]) != ours.get(key, [None]):
            theirs_had, ours_say = theirs.get(key, [None]), ours.get(key, [None])
            same = next((i for i, (one, other) in enumerate(zip(theirs_had, ours_say)) if one != other),
                        min(len(theirs_had), len(ours_say)))
            yield (f"{what} {key[0]}:{key[1]}: the registry had {_short(theirs_had, same)}, "
                   f"the events say {_short(ours_say, same)}")


def _short(history, same):
    """From the last entry in which both agree."""
    shown = history[max(0, same - 1):same + 4]
    return " > ".join(one[7:15] if isinstance(one, str) else str(one) for one in shown) or "nothing more"


def _unmatched(changes, events, asked):
    """More events of one kind, place and digest than times that anybody asked for it."""
    counts = {}
    for event in events:
        key = event.kind, event.repository, event.tags[0] if event.kind == "PUT" and event.tags else "", event.digest
        counts[key] = counts.get(key, 0) + 1
    for key, count in counts.items():
        if count > asked.get(key, 0):
            yield f"{count} events of {key}, which was asked for {asked.get(key, 0)} times"
    made = {(change.repository, change.digest) for change in changes}
    for event in events:
        if (event.repository, event.digest) not in made:
            yield f"an event of what the registry never did: {event}"


def _unkept(answered, events):
    """What a client was told is done, and no event tells."""
    have = {(event.kind, event.repository, event.tags[0] if event.kind == "PUT" and event.tags else "", event.digest)
            for event in events}
    for key in answered:
        if key not in have:
            yield f"answered as done, and no event: {key}"


def judge(changes, events, asked, answered, catalogue, upstream):
    """asked: (kind, repository, tag, digest) -> times. answered: the same keys of 2xx. catalogue, upstream: {(repository,
    tag): digest} at the end. Words of what is wrong."""
    theirs, ours = _of_registry(changes), _of_events(events)
    problems = []
    for found in (_differences("tag", theirs.tags, ours.tags), _differences("digest", theirs.digests, ours.digests),
                  _unmatched(changes, events, asked), _unkept(answered, events)):
        found = list(found)
        problems += found[:_SHOWN] + ([f"and {len(found) - _SHOWN} more like it"] if len(found) > _SHOWN else [])
    if theirs.now != upstream:
        problems.append(f"the proxy's account is wrong: {sorted(set(theirs.now.items()) ^ set(upstream.items()))[:4]}")
    if catalogue != upstream:
        problems.append(f"catalogue and registry differ: {sorted(set(catalogue.items()) ^ set(upstream.items()))[:4]}")
    return problems

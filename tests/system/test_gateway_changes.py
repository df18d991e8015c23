# SPDX-License-Identifier: Apache-2.0
"""What becomes of a push or a delete through the gateway: its event, what it is marked with, and what happens when the store
cannot take it. Kills are tests/crash/test_gateway_kills.py's."""
import json
import re
import threading

import pytest

from support.oci import Image, Oci, digest_of
from support.server import ADMIN_PASSWORD, basic
from support.waiting import wait_until

MIB = 1 << 20
ADMIN = {"Authorization": basic("admin", ADMIN_PASSWORD)}


def events(api, project, query=""):
    return api.get(f"/projects/{project}/events?page_size=100{query}").json


def metric(server, name):
    text = server.request("GET", "/metrics", headers=ADMIN)[2].decode()
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE).group(1))


def another(image, number):
    """A manifest of the same blobs."""
    manifest = json.loads(image.manifest)
    manifest["annotations"] = {"number": str(number)}
    return json.dumps(manifest).encode()


def test_a_push_that_changes_nothing_is_sent_marked_and_left_out_of_lists(oci, gateway_api, gateway_project, receiver):
    gateway_api.webhook(gateway_project, receiver.url + "/hook", events=["PUSH_ARTIFACT"])
    image = Image()
    oci.push(image, f"{gateway_project}/app", "v1")
    oci.put_manifest(f"{gateway_project}/app", "v1", image.manifest)
    first, second = (json.loads(one.body)["event_data"]["harbinger"] for one in receiver.wait_for(2))
    assert sorted([first.get("unchanged", False), second.get("unchanged", False)]) == [False, True]
    assert [one.get("unchanged") for one in events(gateway_api, gateway_project)] == [None]
    assert [one.get("unchanged") for one in events(gateway_api, gateway_project, "&q=unchanged%3Dtrue")] == [True]
    every = events(gateway_api, gateway_project, "&q=unchanged%3D%7Btrue%20false%7D")
    assert [one.get("unchanged") for one in every] == [True, None]
    assert gateway_api.get(f"/projects/{gateway_project}/events/{every[0]['id']}").json["unchanged"] is True


def test_facts_of_a_push_are_in_its_event_at_once(oci, gateway_api, gateway_project):
    image = Image()
    oci.push(image, f"{gateway_project}/app", "v1")
    artifact = events(gateway_api, gateway_project)[0]["artifacts"][0]
    assert artifact["digest"] == image.digest and artifact["tags"] == ["v1"] and artifact["reference"] == "v1"
    assert artifact["kind"] == "image" and artifact["platform"] == "linux/amd64"
    assert artifact["media_type"] == image.media_type and artifact["size"] == image.size


def test_a_delete_names_every_tag_that_went_and_the_size(oci, gateway_api, gateway_project):
    image = Image()
    oci.push(image, f"{gateway_project}/app", "v1")
    oci.put_manifest(f"{gateway_project}/app", "v2", image.manifest)
    oci.delete(f"/v2/{gateway_project}/app/manifests/{image.digest}")
    event = events(gateway_api, gateway_project)[0]
    assert event["type"] == "DELETE_ARTIFACT"
    assert sorted(event["artifacts"][0]["tags"]) == ["v1", "v2"] and event["artifacts"][0]["size"] == image.size


def test_many_pushes_to_one_tag_at_once_are_told_in_the_order_of_the_registry(oci, gateway_api, gateway_project):
    image, repository = Image(), f"{gateway_project}/app"
    oci.push(image, repository, "v1")
    bodies = [another(image, number) for number in range(12)]
    threads = [threading.Thread(target=oci.put_manifest, args=(repository, "v1", body)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = events(gateway_api, gateway_project)
    assert len(told) == 13
    assert told[0]["artifacts"][0]["digest"] == oci.head(f"/v2/{repository}/manifests/v1", headers={"Accept": image.media_type}).header("Docker-Content-Digest")
    assert {one["artifacts"][0]["digest"] for one in told} == {digest_of(body) for body in [image.manifest, *bodies]}


# -- the store cannot take it ---------------------------------------------------------------------------------------------


@pytest.fixture
def small(disk_of, new_gateway, upstream, api_of, tmp_path):
    """A gateway with its store on a small disk: small(setting) -> (disk, server, Oci, Api)."""

    def make(on_store_failure):
        disk = disk_of(tmp_path / "small", 24 * MIB)
        server = new_gateway(upstream.url, folder=tmp_path / "small",
                             settings={"store.min_free_bytes": 0, "gateway.on_store_failure": on_store_failure})
        api = api_of(server)
        api.project("team")
        return disk, server, Oci(server), api

    return make


def unready(server):
    return server.request("GET", "/readyz")[0] == 503


def fill(disk, server, oci, image):
    """Until the store has noticed."""
    disk.fill()
    number = iter(range(1000, 2000))

    def broken():
        oci.request("PUT", "/v2/team/filler/manifests/v", body=another(image, next(number)),
                    headers={"Content-Type": image.media_type})
        return unready(server)

    wait_until(broken, "a broken store")


def test_on_a_full_disk_pushes_and_deletes_are_refused_and_pulls_go_on(small):
    disk, server, oci, api = small("refuse")
    image = Image()
    oci.push(image, "team/app", "v1")
    oci.push(image, "team/filler", "v")
    fill(disk, server, oci, image)
    changed = another(image, 1)
    refused = oci.put_manifest("team/app", "v1", changed, expect=503)
    assert "refused until it can" in refused.message and refused.header("Retry-After")
    oci.delete(f"/v2/team/app/manifests/{image.digest}", expect=503)
    assert oci.pull("team/app", "v1").header("Docker-Content-Digest") == image.digest  # it was not forwarded
    disk.empty()
    wait_until(lambda: not unready(server), "a store that works")
    oci.put_manifest("team/app", "v1", changed)
    told = [one for one in events(api, "team") if one["repository"]["name"] == "app"]
    assert [one["artifacts"][0]["digest"] for one in told if one["type"] == "PUSH_ARTIFACT"] == [digest_of(changed), image.digest]
    assert not any(one.get("inferred") for one in told)


def test_on_a_full_disk_changes_may_pass_and_are_told_when_there_is_room(small, receiver):
    disk, server, oci, api = small("pass")
    api.webhook("team", receiver.url + "/hook", events=["PUSH_ARTIFACT", "DELETE_ARTIFACT"])
    image = Image()
    oci.push(image, "team/app", "v1")
    oci.push(image, "team/filler", "v")
    fill(disk, server, oci, image)
    bodies = [another(image, number) for number in range(3)]
    for body in bodies:
        oci.put_manifest("team/app", "v1", body)
    oci.delete(f"/v2/team/app/manifests/{image.digest}")
    assert metric(server, "harbinger_changes_without_store_total") >= 4
    disk.empty()
    wait_until(lambda: not unready(server), "a store that works")
    wait_until(lambda: metric(server, "harbinger_changes_open") == 0, "nothing open")
    told = [one for one in reversed(events(api, "team")) if one["repository"]["name"] == "app"]
    assert [(one["type"], one["artifacts"][0]["digest"]) for one in told] == [
        ("PUSH_ARTIFACT", image.digest), *(("PUSH_ARTIFACT", digest_of(body)) for body in bodies),
        ("DELETE_ARTIFACT", image.digest)]
    assert [one.get("inferred", False) for one in told] == [False, True, True, True, True]
    assert metric(server, "harbinger_changes_lost_total") == 0
    tags = api.get("/projects/team/repositories/app/artifacts?with_tag=true").json
    assert {one["digest"]: [tag["name"] for tag in one["tags"] or []] for one in tags}[digest_of(bodies[-1])] == ["v1"]
    wait_until(lambda: any(b"DELETE_ARTIFACT" in one.body for one in receiver.requests), "its delivery")
    assert "pushes and deletes go through without being recorded first" in server.log()

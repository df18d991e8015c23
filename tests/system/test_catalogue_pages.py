# SPDX-License-Identifier: Apache-2.0
"""Repositories, artifacts and tags in the portal: what a delete removes is said first, and pulls are there to be copied."""
import re

import pytest
from support.registry import Registry, free_port
from support.waiting import wait_until


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from support.api import Api
    from support.server import Server
    port = free_port()
    server = Server(tmp_path_factory.mktemp("server"), settings={"upstream.url": f"http://127.0.0.1:{port}"})
    server.start()
    registry = Registry(tmp_path_factory.mktemp("registry"), None, port=port)
    yield server, registry, Api(server)
    registry.stop()
    server.keep_metrics()
    server.stop()


def opened(signed_in_page, world, project, path=""):
    server, _, api = world
    number = next(one["project_id"] for one in api.get("/projects", query={"name": project}).json if one["name"] == project)
    page = signed_in_page(server)
    page.goto(f"/harbor/projects/{number}/repositories{path}")
    return page


def test_pull_commands_name_the_gateway_with_the_right_flags(signed_in_page, world, images):
    server, registry, api = world
    images.push(images.make(), registry, "pulls/web/api:v1")
    api.sync(project="pulls")
    page = opened(signed_in_page, world, "pulls", "/web/api")
    page.get_by_role("button", name="Pull v1").click()
    dialog = page.get_by_role("dialog", name="Pull this artifact")
    image = f"127.0.0.1:{server.port}/pulls/web/api:v1"
    for tool, command in (("docker", f"docker pull {image}"), ("podman", f"podman pull --tls-verify=false {image}"),
                          ("skopeo", f"skopeo copy --src-tls-verify=false docker://{image} oci:api:v1")):
        assert dialog.get_by_role("region", name=f"Pull with {tool}").inner_text().strip() == command
    assert dialog.get_by_role("button", name="Copy: Pull with docker").count() == 1


def test_deleting_an_artifact_says_how_many_tags_go_and_a_tag_alone_why_it_cannot(signed_in_page, world, images):
    _, registry, api = world
    image = images.make()
    for tag in ("v1", "v2"):
        images.push(image, registry, f"arts/app:{tag}")
    api.sync(project="arts")
    page = opened(signed_in_page, world, "arts", "/app")
    page.expects(re.compile("501"))
    page.get_by_role("button", name=re.compile("^Delete v")).click()
    dialog = page.get_by_role("dialog", name="Delete from the registry?")
    dialog.get_by_role("radio", name="The artifact with its 2 tags").wait_for()
    dialog.get_by_role("radio", name="Only the tag v2", exact=True).check()
    dialog.get_by_role("button", name="DELETE").click()
    dialog.get_by_text("cannot remove one tag alone").wait_for()
    dialog.get_by_role("radio", name="The artifact with its 2 tags").check()
    dialog.get_by_role("button", name="DELETE").click()
    page.get_by_text("All of them were deleted.").wait_for()
    assert [one["type"] for one in api.get("/projects/arts/events").json] == ["DELETE_ARTIFACT"]


def test_deleting_a_repository_says_what_goes_with_it(signed_in_page, world, images):
    _, registry, api = world
    images.push(images.make(), registry, "repos/one:v1")
    images.push(images.make(), registry, "repos/two:v1")
    api.sync(project="repos")
    page = opened(signed_in_page, world, "repos")
    page.get_by_role("button", name="Delete one").click()
    dialog = page.get_by_role("dialog", name="Delete this repository from the registry?")
    dialog.get_by_text("goes with 1 artifact and 1 tag").wait_for()
    dialog.get_by_role("button", name="CANCEL").click()
    assert len(api.get("/projects/repos/repositories").json) == 2
    page.get_by_role("button", name="Delete one").click()
    page.get_by_role("dialog").get_by_role("button", name="DELETE").click()
    wait_until(lambda: [one["name"] for one in api.get("/projects/repos/repositories").json] == ["repos/two"], "it is gone")
    page.get_by_role("link", name="two", exact=True).click()
    page.get_by_role("button", name="DELETE REPOSITORY").click()
    page.get_by_role("dialog").get_by_role("button", name="DELETE").click()
    page.get_by_text("Nothing was pushed yet").wait_for()

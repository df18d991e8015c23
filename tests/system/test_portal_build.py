# SPDX-License-Identifier: Apache-2.0
"""scripts/build-portal in a copy of the tree: what it does twice, without npm, without npm's registry, and when it is killed;
and that no file says where packages come from."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from support.waiting import BOUND_S, wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]
WITHOUT = "the server works without it\n"
_BUILD_BOUND_S = 8 * BOUND_S
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces")


class Tree:
    """A copy of what the portal is made from, without node_modules."""

    def __init__(self, folder):
        self.path = folder
        made = shutil.ignore_patterns("node_modules", "dist", "schema.d.ts")
        shutil.copytree(TOP / "portal", folder / "portal", ignore=made)
        shutil.copytree(TOP / "api", folder / "api")
        (folder / "scripts").mkdir()
        shutil.copy(TOP / "scripts" / "build-portal", folder / "scripts")
        self.dist = folder / "portal" / "dist"
        # Nothing of npm's cache or settings of this machine but where its registry is.
        self.env = {**os.environ, "npm_config_cache": str(folder / "cache")}

    def add_built(self):
        """portal/dist as ./test has made it: the same sources, so the same stamp."""
        shutil.copytree(TOP / "portal" / "dist", self.dist)
        return self.state()

    def add_modules(self):
        """What npm has installed here, as links."""
        modules = self.path / "portal" / "node_modules"
        modules.mkdir()
        for path in (TOP / "portal" / "node_modules").iterdir():
            if path.name != ".harbinger":
                (modules / path.name).symlink_to(path)

    def change(self):
        with open(self.path / "portal" / "src" / "global.css", "a", encoding="utf-8") as file:
            file.write("\n.changed { color: inherit; }\n")

    def state(self):
        return {str(path.relative_to(self.dist)): path.read_bytes() for path in self.dist.rglob("*") if path.is_file()}

    def build(self, *arguments, before=(), **env):
        done = subprocess.run([*before, self.path / "scripts" / "build-portal", *arguments], env={**self.env, **env},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=_BUILD_BOUND_S, check=False)
        return done.returncode, done.stdout


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "tree")


def path_without(folder, *names):
    """A PATH with every program of this machine but these."""
    folder.mkdir()
    for place in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for name in os.listdir(place):
            link = folder / name
            if name not in names and not link.is_symlink():
                link.symlink_to(os.path.join(place, name))
    return str(folder)


def test_nothing_is_done_when_nothing_changed(tree):
    before = tree.add_built()
    assert tree.build() == (0, "")
    assert tree.state() == before and not (tree.path / "portal" / "node_modules").exists()


@pytest.mark.parametrize("arguments, code", [((), 1), (("--optional",), 0)])
def test_without_npm_one_sentence_says_so_and_the_old_one_stays(tree, tmp_path, arguments, code):
    before = tree.add_built()
    tree.change()
    said = tree.build(*arguments, PATH=path_without(tmp_path / "bin", "npm"))
    assert said == (code, "the portal was not built: npm is missing (Debian's package is npm); " + WITHOUT)
    assert tree.state() == before


def test_without_node_what_is_built_counts(tree, tmp_path):
    path = path_without(tmp_path / "bin", "npm", "node")
    assert tree.build(PATH=path) == (1, "the portal was not built: node is missing (Debian's package is nodejs); " + WITHOUT)
    tree.add_built()
    assert tree.build(PATH=path) == (0, "")


@as_root
@pytest.mark.parametrize("arguments, code", [((), 1), (("--optional",), 0)])
def test_without_a_registry_one_sentence_says_so_and_the_old_one_stays(tree, arguments, code):
    before = tree.add_built()
    tree.change()
    got, said = tree.build(*arguments, before=["unshare", "--net"])
    assert got == code
    progress, sentence = said.splitlines(keepends=True)
    assert progress.startswith("installing the portal's tools")
    assert sentence.startswith("the portal was not built: npm's registry is out of reach (E") and sentence.endswith(WITHOUT)
    assert tree.state() == before


@pytest.mark.xdist_group("portal-build")
def test_a_change_is_built_and_only_once_by_two_at_once(tree):
    """Without network: what npm has installed is all that it needs."""
    tree.add_built()
    tree.add_modules()
    tree.change()
    command = [tree.path / "scripts" / "build-portal"]
    two = [subprocess.Popen(command, env=tree.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True) for _ in range(2)]
    said = sorted(one.communicate(timeout=_BUILD_BOUND_S)[0] for one in two)
    assert [one.returncode for one in two] == [0, 0], said
    assert said == ["", "building the portal\n"]
    assert any(b".changed" in text for name, text in tree.state().items() if name.endswith(".css"))
    assert not (tree.path / "portal" / "node_modules" / ".harbinger").exists()


@pytest.mark.xdist_group("portal-build")
def test_a_mistake_is_shown_and_the_old_one_stays(tree):
    before = tree.add_built()
    tree.add_modules()
    (tree.path / "portal" / "src" / "base.ts").write_text("export const basePath: number = 'text';\n")
    code, said = tree.build()
    assert code == 1 and "src/base.ts(1,14): error TS2322" in said
    assert said.endswith("the portal was not built: its sources do not compile, as said above; " + WITHOUT)
    assert tree.state() == before


@pytest.mark.xdist_group("portal-build")
def test_a_kill_leaves_the_old_one(tree):
    before = tree.add_built()
    tree.add_modules()
    tree.change()
    process = subprocess.Popen([tree.path / "scripts" / "build-portal"], env=tree.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    schema = tree.path / "portal" / "src" / "api" / "schema.d.ts"
    wait_until(schema.exists, "the build is at work")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert tree.state() == before


def test_a_kill_between_the_renames_is_mended(tree, tmp_path):
    before = tree.add_built()
    work = tree.path / "portal" / "node_modules" / ".harbinger"
    work.mkdir(parents=True)
    tree.dist.rename(work / "old")
    assert tree.build("--optional", PATH=path_without(tmp_path / "bin", "npm")) == (0, "")
    assert tree.state() == before


def test_the_program_is_built_without_a_portal(tmp_path):
    """As ./run goes on where npm cannot be had: the table of pages is empty."""
    tree, made = tmp_path / "tree", tmp_path / "made"
    for name in ("api", "scripts", "src"):
        shutil.copytree(TOP / name, tree / name)
    for path in TOP.glob("meson*"):
        shutil.copy(path, tree)
    done = subprocess.run([tree / "scripts" / "build", made, "--", "portal_data.c"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_BUILD_BOUND_S, check=False)
    assert done.returncode == 0, done.stdout
    assert "embedded_portal[] = {\n    {0, 0, 0, 0, 0, 0, 0},\n};" in (made / "portal_data.c").read_text()


def test_no_file_says_where_packages_come_from(tree):
    check = [TOP / "scripts" / "check-banned", tree.path]
    done = subprocess.run(check, stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    lock = tree.path / "portal" / "package-lock.json"
    content = json.loads(lock.read_text())
    package = next(value for name, value in content["packages"].items() if name)
    package["resolved"] = "https://packages.example/one.tgz"
    lock.write_text(json.dumps(content, indent=2))
    done = subprocess.run(check, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and "portal/package-lock.json:" in done.stdout

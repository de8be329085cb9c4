"""The tools of whoever works here: which tests `make check` takes for a change, and what the lock files hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY
from tools.check import changed_since
from tools.nearest import Uses, nearest

SMALL = {
    "room/__init__.py": "from room.inner import work",
    "room/inner.py": "",
    "room/lonely.py": "",
    "room/page.html": "",
    "room/process.py": "from room import lonely",
    "room/view.py": 'TEMPLATE = "page.html"',
    "tests/helper.py": "import room.inner",
    "tests/other/test_inner.py": "",
    "tests/other/test_far.py": "from tests.helper import thing",
    "tests/other/test_spawned.py": 'START = ["-m", "room.process"]',
    "tests/room/test_handed_on.py": "import os\nfrom room import work",
    "tests/room/test_inner.py": "import room.inner\nimport room.view",
    "tests/room/test_rest.py": "",
    "tests/room/deeper/test_deep.py": "",
    "tests/elsewhere/test_unconcerned.py": "import room.view",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Uses:
    """A small repository, as what its files use of each other."""
    root = tmp_path_factory.mktemp("small")
    for name, text in SMALL.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Uses.read(root, SMALL)


def test_the_nearest_test_comes_first_and_strangers_not_at_all(small: Uses) -> None:
    assert nearest(["room/inner.py"], small) == [
        "tests/room/test_inner.py",  # uses it, has its name, and is of its room
        "tests/room/test_handed_on.py",  # uses it by way of the package
        "tests/room/test_rest.py",  # the rest of the room
        "tests/other/test_inner.py",  # has its name alone
    ]


def test_where_no_test_uses_a_module_those_of_its_users_count(small: Uses) -> None:
    assert nearest(["room/lonely.py"], small)[0] == "tests/other/test_spawned.py"


def test_the_tests_of_an_inner_room_come_before_those_of_the_room_around_it(small: Uses) -> None:
    assert nearest(["room/deeper/new.py"], small)[:2] == ["tests/room/deeper/test_deep.py", "tests/room/test_rest.py"]
    assert "tests/room/deeper/test_deep.py" not in nearest(["room/inner.py"], small)


def test_a_helper_of_tests_and_a_template_lead_to_those_who_use_them(small: Uses) -> None:
    assert nearest(["tests/helper.py"], small)[0] == "tests/other/test_far.py"
    assert {"tests/room/test_inner.py", "tests/elsewhere/test_unconcerned.py"} <= set(nearest(["room/page.html"], small)[:3])


def test_a_changed_test_runs_first_and_what_nobody_uses_leads_nowhere(small: Uses) -> None:
    assert nearest(["room/inner.py", "tests/room/test_rest.py"], small)[0] == "tests/room/test_rest.py"
    assert nearest(["README.md", "pictures/new.png"], small) == []


def test_what_is_committed_changed_and_new_counts_as_changed_and_what_is_gone_does_not(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    for name in ("same", "worked on", "gone"):
        (tmp_path / name).write_text("as it was")
    git("init", "-b", "main")
    git("add", ".")
    git("commit", "-m", "as it was")
    git("checkout", "-b", "change")
    (tmp_path / "gone").unlink()
    (tmp_path / "committed").write_text("new")
    git("add", ".")
    git("commit", "-m", "a change")
    (tmp_path / "worked on").write_text("anew")
    (tmp_path / "new").write_text("new")
    assert changed_since("main", tmp_path) == ["committed", "new", "worked on"]


LATER = "c.time = type('Later', (), {'monotonic': staticmethod(lambda: 1e12)})"  # collection took longer than the time that tests have


@pytest.mark.parametrize(
    ("seconds", "meanwhile", "left"),
    [("0", "", {"test_a.py": 2}), ("3600", "", {}), ("3600", LATER, {})],
    ids=["over", "enough", "slow to collect"],
)
def test_tests_that_the_time_does_not_reach_are_remembered(tmp_path: Path, seconds: str, meanwhile: str, left: dict[str, int]) -> None:
    for name in ("test_a.py", "test_nearest.py"):
        (tmp_path / name).write_text("def test_one(): pass\ndef test_two(): pass\n")
    program = f"""
import pytest, tools.check as c
b = c.Budget({seconds}, ["test_nearest.py", "test_a.py"])
{meanwhile}
s = pytest.main(["-q", {str(tmp_path)!r}], plugins=[b])
print(b.begun, b.left)
raise SystemExit(s)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    begun = 4 - sum(left.values())
    assert done.stdout.splitlines()[-1] == f"{begun} {left}"
    assert f"{begun} passed" in done.stdout


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "tools/requirements.lock"])
def test_a_lock_file_names_versions_and_hashes_and_neither_hosts_nor_paths(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    pins = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert pins
    for pin in pins:
        assert re.match(r"[a-z0-9-]+==[^ ]+( ; [^\n]+)? \\\n", pin), pin
        assert "--hash=sha256:" in pin, pin
    assert "://" not in text
    assert not re.search(r"(^|\s)(/|\.\./|-i|--\w*(?<!hash)=)", text)


@pytest.mark.parametrize(
    ("name", "extras"), [("requirements.lock", ["build"]), ("requirements-dev.lock", ["build", "tracing", "bench", "dev"])]
)
def test_what_the_project_asks_for_is_locked_in_a_version_that_it_takes(name: str, extras: list[str]) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    locked = {
        canonicalize_name(found[1]): found[2] for found in re.finditer(r"^([\w-]+)==(\S+)", (REPOSITORY / name).read_text(), re.MULTILINE)
    }
    for text in [*project["dependencies"], *(each for extra in extras for each in project["optional-dependencies"][extra])]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)], prereleases=True), f"{text}: run `make lock`"

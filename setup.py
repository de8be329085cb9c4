"""How the package becomes a wheel (``pip wheel .``): of this platform with the compiled core, else a pure one. All else is in pyproject.toml.

A ``cmdclass`` of pyproject.toml would take the place of what setuptools-rust puts there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

EXAMPLES = ("documents/*.pdf", "offices/*.toml")  # what `vermilion demo` works with (vermilion.planning.examples)


class Modules(build_py):
    """Examples travel along, inside of ours: beside it they would be anybody's."""

    def run(self) -> None:
        """Not where the package stays where it is (``pip install -e``)."""
        super().run()
        if self.editable_mode:
            return
        for pattern in EXAMPLES:
            for file in Path("examples").glob(pattern):
                target = Path(self.build_lib) / "vermilion" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)


class Wheel(bdist_wheel):
    """Where the core could not be built, the wheel holds nothing of any platform, and its name says so."""

    def run(self) -> None:
        """Builds from nothing: what an earlier build left is of other sources, maybe a core that this one could not build."""
        built = Path(self.get_finalized_command("build").build_lib)
        shutil.rmtree(built, ignore_errors=True)
        self.run_command("build")
        if not list(built.glob("sealcore/compiled/core.*.so")):
            self.root_is_pure = True
            self.distribution.has_ext_modules = lambda: False
        super().run()


setup(cmdclass={"bdist_wheel": Wheel, "build_py": Modules})

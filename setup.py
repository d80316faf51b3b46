"""What pyproject.toml cannot say: static/ and templates/ travel in a wheel as part of web/."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PAGES = ("static", "templates")


class BuildWithPages(build_py):
    """Build the packages, and beside the modules of web/ the files of its pages."""

    def run(self) -> None:
        """Copy static/ and templates/ into web/, where jph.paths finds them."""
        super().run()
        if not self.editable_mode:
            if not Path("static", "vendor", ".stamp").exists():
                self.warn("static/vendor is missing: pages will be plain; use scripts/wheel")
            for source, target in self._pages().items():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Name the copied files, too."""
        outputs: list[str] = super().get_outputs(include_bytecode)
        return outputs + [str(target) for target in self._pages().values()]

    def _pages(self) -> dict[Path, Path]:
        web = Path(self.build_lib, "web")
        return {
            file: web / file
            for folder in PAGES
            for file in sorted(Path(folder).rglob("*"))
            if file.is_file()
        }


setup(cmdclass={"build_py": BuildWithPages})

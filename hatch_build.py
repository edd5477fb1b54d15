"""Compiles the loops of plugins/tapedeck/native/*.c when tapedeck is installed.

With the machine's own C compiler; where there is none, with the one that the wheel `ziglang` carries.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("plugins/tapedeck/native")
FLAGS = ["-std=c11", "-O3", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]


class CompileLoops(BuildHookInterface[Any]):
    """Makes `_tape.so` beside its sources, and puts it into the wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What must be installed to build."""
        return [] if shutil.which("cc") else ["ziglang"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, for an editable install too."""
        own = shutil.which("cc")
        compiler = [own] if own else [sys.executable, "-m", "ziglang", "cc"]
        root = Path(self.root)
        library = root / NATIVE / "_tape.so"
        made = library.with_suffix(".new")
        sources = sorted(map(str, (root / NATIVE).glob("*.c")))
        subprocess.run([*compiler, *FLAGS, "-o", str(made), *sources], check=True)
        made.replace(library)  # whoever has it open keeps what he has
        build_data["artifacts"].append(f"/{NATIVE}/_tape.so")
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

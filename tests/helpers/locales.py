"""Locales whose encoding is not UTF-8."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

# Python would turn the locale C into UTF-8 (PEP 538, PEP 540).
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": None}


def latin_1_locale(folder: Path) -> dict[str, str | None]:
    """The environment of a German locale in ISO-8859-1, made in `folder`.

    Skips if localedef or its sources are missing. If REQUIRE_FUSE is set, as in CI, the test fails instead.
    """
    try:
        command = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", folder / "de_DE"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.CalledProcessError) as error:
        missing = f"localedef cannot make a locale ({error}): apt install locales"
        if os.environ.get("REQUIRE_FUSE"):
            pytest.fail(missing)
        pytest.skip(missing)
    settings = {"LOCPATH": str(folder), "LC_ALL": "de_DE", "LANGUAGE": "C", "PYTHONIOENCODING": None}
    return {**settings, "PYTHONUTF8": "0"}

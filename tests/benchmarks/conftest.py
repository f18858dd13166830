"""Let the tests import what the benchmarks import: their scripts find `common` beside them."""

from __future__ import annotations

import sys

from tests.helpers.commands import ROOT

sys.path.append(str(ROOT / "benchmarks"))

#!/usr/bin/env python3
"""Exit with status 0 if an index of packages answers within a few seconds, else with 1.

pip itself would try for minutes where a firewall swallows its requests.
"""

import sys
import urllib.request

SECONDS = 5


def main() -> int:
    """Ask the index that the first argument names for PyTorch's page."""
    try:
        with urllib.request.urlopen(f"{sys.argv[1].rstrip('/')}/torch/", timeout=SECONDS):
            return 0
    except (OSError, ValueError):  # no answer, a refusal (URLError), or no URL
        return 1


if __name__ == "__main__":
    sys.exit(main())

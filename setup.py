"""What pip installs: `pip install .` the half without training, `.[train]` and `.[all]` the rest.

pyproject.toml holds everything else. The requirements files are the one list of packages.
"""

from pathlib import Path

from setuptools import setup

FOLDER = Path(__file__).parent
TRAINING = "# Training and classifying"  # the head of the second part of requirements.txt


def requirements(text: str) -> list[str]:
    """The lines of a requirements file that name a package, without their comments."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


light, head, rest = (FOLDER / "requirements.txt").read_text(encoding="utf-8").partition(TRAINING)
train = requirements(head + rest)
extra = requirements((FOLDER / "requirements-extra.txt").read_text(encoding="utf-8"))

setup(install_requires=requirements(light), extras_require={"train": train, "all": [*train, *extra]})

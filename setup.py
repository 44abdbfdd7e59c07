"""Where the packages of the wheel lie; everything else stands in pyproject.toml."""

from setuptools import find_packages, setup

OURS = ("rdc", "sweeps", "launch", "analysis")

setup(
    packages=[
        *find_packages(
            include=[f"{name}{rest}" for name in OURS for rest in ("", ".*")]
        ),
        "launch.conf",
    ],
    package_dir={"launch.conf": "conf"},
)

"""Lets CompressAI be imported without packages that training does not use."""

import importlib.abc
import importlib.machinery
import sys
from unittest.mock import MagicMock

# CompressAI imports them for its data sets and metrics.
_UNUSED = {
    "PIL",
    "einops",
    "matplotlib",
    "pandas",
    "pytorch_msssim",
    "requests",
    "torch_geometric",
    "torchvision",
    "tqdm",
}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname, path, target=None):
        if fullname.split(".")[0] in _UNUSED:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec):
        return MagicMock(name=spec.name, __path__=[], __spec__=spec)

    def exec_module(self, module):
        """Nothing to run."""


sys.meta_path.append(_Finder())

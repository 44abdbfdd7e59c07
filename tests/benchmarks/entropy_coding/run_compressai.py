"""CompressAI's rANS coder. Its arguments are lists: they are made beforehand."""

import importlib.util
import sysconfig
from pathlib import Path

import numpy as np
from timing import load, report

# The extension alone: the package imports much that coding does not need.
folder = Path(sysconfig.get_path("platlib"), "compressai")
[extension] = folder.glob("ans.*.so")
spec = importlib.util.spec_from_file_location("ans", extension)
ans = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ans)

symbols, table_index, frequencies, offsets = load()
cdfs = [[0, *np.cumsum(f, dtype=int).tolist()] for f in frequencies]
sizes = [len(cdf) for cdf in cdfs]
tables = (cdfs, sizes, offsets.tolist())
symbol_list, index_list = symbols.tolist(), table_index.tolist()

report(
    symbols,
    lambda: ans.RansEncoder().encode_with_indexes(symbol_list, index_list, *tables),
    lambda stream: ans.RansDecoder().decode_with_indexes(stream, index_list, *tables),
)

"""CompressAI's rANS coder, which takes and gives lists.

With the argument `arrays` they are made from arrays and back, as its entropy models do
in `compress` and `decompress`; with `lists` they are ready beforehand.
"""

import importlib.util
import sys
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
tables = (cdfs, [len(cdf) for cdf in cdfs], offsets.tolist())
encoder, decoder = ans.RansEncoder(), ans.RansDecoder()


def encode_arrays():
    lists = symbols.tolist(), table_index.tolist()
    return encoder.encode_with_indexes(*lists, *tables)


def decode_arrays(stream):
    decoded = decoder.decode_with_indexes(stream, table_index.tolist(), *tables)
    return np.array(decoded, np.int32)


if sys.argv[2] == "arrays":
    report(symbols, encode_arrays, decode_arrays)
else:
    symbol_list, index_list = symbols.tolist(), table_index.tolist()
    report(
        symbols,
        lambda: encoder.encode_with_indexes(symbol_list, index_list, *tables),
        lambda stream: decoder.decode_with_indexes(stream, index_list, *tables),
    )

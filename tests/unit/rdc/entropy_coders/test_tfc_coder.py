"""The second coder, in its own environment (`make tfc` makes it)."""

import os
import signal

import numpy as np
import pytest

from rdc.entropy_coders import tfc_coder
from rdc.entropy_coders.coders import coder_by_name
from rdc.entropy_coders.tables import tables_from_pmfs
from rdc.entropy_coders.tfc_coder import TfcCoder
from rdc.errors import BitstreamError, ConfigError
from tests.unit.rdc.entropy_coders.samples import GAUSSIAN, ideal_bits, latents

CODER = TfcCoder()
PRIOR = tables_from_pmfs([np.full(9, 0.1)] * 300, [-4] * 300)


def encode(*portions) -> bytes:
    encoder = CODER.encoder()
    for symbols, table_index, tables in portions:
        encoder.put(symbols, table_index, tables)
    return encoder.finish()


@pytest.mark.tfc
def test_round_trip_in_portions():
    z = np.random.default_rng(0).integers(-6, 7, 600).astype(np.int32)
    portions = [(z, np.tile(np.arange(300), 2), PRIOR)]
    portions += [(*latents(seed, 1000, level=20), GAUSSIAN) for seed in range(5)]
    portions[2][0][:3] = [100_000, -100_000, 500]
    decoder = CODER.decoder(encode(*portions))
    for symbols, index, tables in portions:
        decoded = decoder.get(index, tables)
        assert decoded.dtype == np.int32
        np.testing.assert_array_equal(decoded, symbols)
    decoder.finish()


@pytest.mark.tfc
def test_bits_are_nearly_ideal():
    symbols, index = latents(1, 100_000)
    stream = encode((symbols, index, GAUSSIAN))
    assert 8 * len(stream) <= 1.001 * ideal_bits(symbols, index, GAUSSIAN) + 64


@pytest.mark.tfc
def test_nothing_takes_no_bytes():
    assert encode() == b""
    CODER.decoder(b"").finish()


@pytest.mark.tfc
def test_damaged_streams_end():
    symbols, index = latents(2, 500, level=20)
    stream = encode((symbols, index, GAUSSIAN))
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(300):
        damaged = np.frombuffer(stream, np.uint8).copy()
        places = random.integers(0, damaged.size, 3)
        damaged[places] = random.integers(0, 256, 3)
        try:
            decoder = CODER.decoder(damaged.tobytes()[: random.integers(1, 2000)])
            decoded = decoder.get(index, GAUSSIAN)
            decoder.finish()
            wrong += not np.array_equal(decoded, symbols)
        except BitstreamError:
            wrong += 1
    assert wrong > 250
    np.testing.assert_array_equal(CODER.decoder(stream).get(index, GAUSSIAN), symbols)


@pytest.mark.tfc
def test_a_worker_that_died_is_one_clear_message():
    worker = tfc_coder._Worker(tfc_coder.tfc_python())
    assert worker.call("version").startswith("2.14")
    os.kill(worker._process.pid, signal.SIGKILL)
    with pytest.raises(ConfigError, match="make tfc"):
        worker.call("version")
    worker.close()


def test_without_the_environment_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(tfc_coder.ENVIRONMENT, str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"no .*none\. Run `make tfc`"):
        tfc_coder.tfc_python()


def test_lookup():
    assert isinstance(coder_by_name("tfc"), TfcCoder)
    assert coder_by_name("tfc").is_external


def test_lengths_of_streams_are_checked():
    for stream in (b"\x01", b"\xff\xff\xff\xff", b"\x05\x00\x00\x00abcd"):
        with pytest.raises(BitstreamError, match="whole"):
            tfc_coder._split(stream)

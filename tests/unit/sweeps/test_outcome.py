"""Fingerprints: one cause is one text, whichever job and machine it befell."""

from sweeps.outcome import fingerprint

TRACEBACK = """\
step 20 of 100
Traceback (most recent call last):
  File "{root}/rdc/jobs/worker.py", line 70, in main
    raise RuntimeError("no network")
RuntimeError: job {job} at 0x{address} in {root}/out/runs/{job}: {host}:{port} is away
"""


def trace(**changes: str) -> str:
    values = {"root": "/home/a", "job": "0f3a9c1d2b4e5f60", "address": "7f00"}
    values |= {"host": "10.0.0.7", "port": "6379"}
    return TRACEBACK.format(**values | changes)


def test_ids_paths_addresses_and_numbers_do_not_tell_causes_apart():
    one = fingerprint(None, trace(), 1)
    for changes in (
        {"root": "/scratch/node-7/x_y"},
        {"job": "a" * 16},
        {"address": "7fffaa", "port": "1"},
        {"host": "192.168.1.250"},
    ):
        assert fingerprint(None, trace(**changes), 1) == one, changes


def test_other_texts_and_signals_do():
    other = trace().replace("is away", "refuses")
    assert fingerprint(None, trace(), 1) != fingerprint(None, other, 1)
    assert fingerprint(None, "", -11) != fingerprint(None, "", -6)


def test_refused_input_is_told_apart_by_its_rule_alone():
    text = "images are RGB; got CMYK in {}. Convert it."
    first = fingerprint(text.format("/data/a/1.png"), "", 2)
    assert fingerprint(text.format("/b/22.png"), "", 2) == first
    assert fingerprint("train.steps is positive; got 0.", "", 2) != first


def test_a_stated_fingerprint_counts():
    assert fingerprint("ValueError: 3 [0123abcd]", trace(), 1) == "0123abcd"

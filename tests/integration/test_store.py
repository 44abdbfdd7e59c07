"""The store of OUT on a real S3, and what GCS does: conditions, refusals, failures."""

import pytest
from gcs_fake import GcsFake

from rdc.errors import ConfigError
from rdc.system.store import Store, StoreError


@pytest.fixture
def store(s3, tmp_path):
    return Store(f"s3://bucket/{tmp_path.name}/out/")


@pytest.fixture(scope="module")
def gcs():
    fake = GcsFake()
    yield fake
    fake.close()


@pytest.fixture(params=["s3", "gs"])
def any_store(request, tmp_path, monkeypatch):
    if request.param == "s3":
        request.getfixturevalue("s3")
    else:
        fake = request.getfixturevalue("gcs")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", fake.endpoint)
        monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", "")
    return Store(f"{request.param}://bucket/{tmp_path.name}/out/")


def test_of_two_creations_one_wins(any_store):
    store = any_store
    assert store.read("a") is None
    first = store.create("a", b"one")
    assert first is not None
    assert store.create("a", b"two") is None
    assert store.read("a").data == b"one"
    assert store.read("a").generation == first


def test_what_changed_since_is_not_replaced(any_store):
    store = any_store
    first = store.create("a", b"one")
    second = store.replace("a", b"two", first)
    assert second not in (None, first)
    assert store.replace("a", b"three", first) is None
    assert store.read("a").data == b"two"


def test_only_what_changed_is_read(any_store):
    store = any_store
    known = {name: store.write(name, b"x" + name.encode()) for name in "abc"}
    assert dict(store.changed(known)) == {}
    store.write("b", b"other")
    store.delete(["c", "never there"])
    assert {k: v.data for k, v in store.changed(known)} == {"b": b"other"}
    assert set(dict(store.changed(dict.fromkeys("abc")))) == {"a", "b"}


def test_keys_are_listed_below_their_prefix(any_store):
    store = any_store
    count = 1100 if store.url.startswith("s3:") else 250  # more than a page of each
    many = [f"runs/{i:04d}/record.json" for i in range(count)]
    for key in (*many, "runs2/x", "run"):
        store.write(key, b"")
    assert store.list("runs/") == many
    assert len(store.list()) == count + 2
    beside = Store(f"{store.url}2")
    beside.write("a", b"")
    assert beside.list() == ["a"]
    assert len(store.list()) == count + 2


def test_a_store_that_keeps_conditions_is_taken_and_left_clean(any_store):
    store = any_store
    store.check()
    assert store.list() == []


def test_a_store_that_lets_both_win_is_refused(store, s3):
    s3.drops = {"if-match", "if-none-match"}
    with pytest.raises(ConfigError, match="two creations of one object won") as raised:
        store.check()
    assert store.url in str(raised.value)
    s3.drops = {"if-match"}
    with pytest.raises(ConfigError, match="a stale replacement won"):
        store.check()


def test_a_gcs_that_ignores_generations_is_refused(gcs, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.endpoint)
    monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", "")
    monkeypatch.setattr(gcs, "keeps_conditions", False)
    with pytest.raises(ConfigError, match="two creations of one object won"):
        Store("gs://bucket/out").check()


def test_a_write_whose_answer_is_lost_has_won(store, s3):
    """The request comes again, and meets what it did."""
    lost = []

    def lose_the_first_put(number, method, path):
        if method == "PUT" and not lost:
            lost.append(number)
            return 503
        return None

    s3.after = lose_the_first_put
    generation = store.create("a", b"mine")
    assert lost
    assert generation is not None
    lost.clear()
    assert store.replace("a", b"mine, too", generation) is not None
    assert lost


def test_a_store_that_fails_for_a_moment_is_asked_again(store, s3):
    s3.before = lambda number, *_: 503 if number % 5 == 0 else None
    for i in range(20):
        store.write(str(i), b"x")
    assert len(store.list()) == 20


def test_a_store_that_fails_says_so(store, s3):
    s3.before = lambda *_: 503
    with pytest.raises(StoreError, match="the store answers for s3://bucket"):
        store.read("a")
    with pytest.raises(ConfigError, match="can be written and read"):
        store.check()
    s3.before = lambda *_: 403
    with pytest.raises(StoreError, match="credentials"):
        store.write("a", b"")


@pytest.mark.parametrize("url", ["ftp://x/y", "s3://", "s3:///path", "az://a/b"])
def test_other_places_are_refused(url):
    with pytest.raises(ConfigError, match="out is a folder, s3://bucket/path or gs://"):
        Store(url)

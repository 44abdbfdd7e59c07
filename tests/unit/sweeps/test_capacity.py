"""Which machine holds what, and how much fits beside what runs."""

import pytest

from rdc.errors import ConfigError
from sweeps.capacity import Capacity, Machine, Resources, refuse_what_never_fits

PLAIN = Machine(cpus=8, memory_gb=32.0, labels={"zone": "a"})
BIG = Machine(cpus=64, memory_gb=100.0, labels={"zone": "b"}, custom={"licence": 2.0})
H100 = Machine(cpus=16, gpus=4.0, memory_gb=256.0, device="H100")
L4 = Machine(cpus=4, gpus=1.0, memory_gb=16.0, device="L4", labels={"zone": "b"})
ALL = Capacity((PLAIN, BIG, H100, L4))


@pytest.mark.parametrize(
    ("wanted", "cpus"),
    [
        (Resources(cpus=None), 64),
        (Resources(cpus=None, device="L4"), 4),
        (Resources(cpus=None, device="zone=a"), 8),
        (Resources(cpus=None, gpus=2.0), 16),
        (Resources(cpus=None, memory_gb=200.0), 16),
        (Resources(cpus=None, custom=(("licence", 1.0),)), 64),
        (Resources(cpus=12, device="L4"), 4),
        (Resources(cpus=12), 12),
    ],
)
def test_a_whole_machine_is_one_that_has_all_that_is_asked_for(wanted, cpus):
    assert ALL.cpus_of(wanted) == cpus


@pytest.mark.parametrize(
    ("wanted", "most"),
    [
        (Resources(gpus=1.0, device="H100"), 4),
        (Resources(gpus=0.5, device="H100"), 8),
        (Resources(gpus=1.0), 5),
        (Resources(memory_gb=60.0), 5),  # one on BIG, four on H100
        (Resources(memory_gb=17.0), 1 + 5 + 15),
        (Resources(memory_gb=10.0, device="zone=b"), 10 + 1),
        (Resources(custom=(("licence", 0.5),)), 4),
        (Resources(cpus=None), 1),
        (Resources(cpus=None, device="zone=a"), 1),
    ],
)
def test_as_many_fit_as_machines_hold_each_for_itself(wanted, most):
    assert ALL.has_room(wanted, [wanted] * (most - 1))
    assert not ALL.has_room(wanted, [wanted] * most)


def test_no_kind_of_job_takes_the_room_of_another():
    licensed = Resources(custom=(("licence", 1.0),))
    h100 = Resources(gpus=1.0, device="H100")
    large = Resources(memory_gb=90.0)
    full = [*[licensed] * 2, *[h100] * 4]
    assert not ALL.has_room(licensed, full)
    assert not ALL.has_room(h100, full)
    assert ALL.has_room(Resources(gpus=1.0), full)
    assert ALL.has_room(large, full)
    assert not ALL.has_room(large, [*full, large, large, large])
    assert ALL.has_room(Resources(memory_gb=30.0), [*full, large, large, large])


def test_jobs_for_any_machine_leave_the_rare_ones_free():
    anywhere = [Resources(cpus=4)] * (2 + 16)
    assert ALL.has_room(Resources(cpus=4, gpus=1.0, device="L4"), anywhere)
    assert ALL.has_room(Resources(gpus=4.0), anywhere)


def test_more_memory_is_a_multiple_of_what_was_asked_for_or_of_a_slot():
    def memory(factor, **wanted):
        resources = Resources(**wanted, memory_factor=factor)
        return Capacity((PLAIN, L4)).memory_gb_of(resources)

    assert memory(1) is None
    assert memory(1, memory_gb=3.0) == 3.0
    assert memory(2, memory_gb=3.0) == 6.0
    assert memory(4, memory_gb=10.0) == 32.0, "no machine has more"
    assert memory(2, cpus=2) == 16.0, "2 of 8 cores are 8 of 32 GB"
    assert memory(2, gpus=0.25, device="L4") == 8.0
    assert memory(2, cpus=None) == 32.0
    short = Resources(cpus=None, memory_gb=20.0, memory_factor=4)
    assert Capacity((PLAIN, L4)).has_room(short, [])


def test_more_memory_than_the_largest_machine_of_many_cores_has_is_not_waited_for():
    few_cores, many_cores = Machine(2, memory_gb=500.0), Machine(64, memory_gb=100.0)
    both = Capacity((few_cores, many_cores))
    assert both.has_room(Resources(cpus=None, memory_factor=4), [])
    assert both.has_room(Resources(cpus=8, memory_gb=90.0, memory_factor=2), [])


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (
            Resources(device="A100"),
            "hardware.train.device is a kind of machine that is here; got A100, and "
            "machines have H100, L4.",
        ),
        (Resources(device="zone=c"), "got zone=c, and the values of zone are a, b."),
        (
            Resources(device="rack=1"),
            "got rack=1, and the labels of machines are z",
        ),
        (Resources(gpus=8.0), "hardware.train.gpus is at most 4 here; got 8."),
        (
            Resources(gpus=2.0, device="L4"),
            "hardware.train.gpus is at most 1 here with L4; got 2.",
        ),
        (
            Resources(memory_gb=300.0),
            "hardware.train.memory_gb is at most 256 here; got 300.",
        ),
        (
            Resources(custom=(("licence", 3.0),)),
            "hardware.train.custom.licence is at most 2 here; got 3.",
        ),
        (Resources(custom=(("pass", 1.0),)), "custom.pass is at most 0 here; got 1."),
        (
            Resources(memory_gb=50.0, gpus=1.0, device="L4"),
            "hardware.train.memory_gb is at most 16 here with L4; got 50.",
        ),
        (
            Resources(gpus=1.0, custom=(("licence", 1.0),)),
            "one machine has all that hardware.train asks for; got cpus 1, gpus 1, "
            "custom.licence 1. Here are cpus 16, gpus 4, memory_gb 256; ",
        ),
    ],
)
def test_what_no_machine_holds_is_refused_with_what_machines_have(wanted, text, caplog):
    with pytest.raises(ConfigError) as refused:
        refuse_what_never_fits(ALL, {wanted: "hardware.train"})
    assert text in str(refused.value)
    assert not ALL.has_room(wanted, [])
    growing = Capacity(ALL.machines, grows=True)
    refuse_what_never_fits(growing, {wanted: "hardware.train"})
    [line] = caplog.messages
    assert line.startswith("jobs wait for a machine that the cluster adds: ")
    assert text in line


def test_without_a_machine_nothing_fits():
    lacking = Capacity(()).lacks(Resources(), "hardware.train")
    assert "got cpus 1. Here are none." in str(lacking)
    assert not Capacity(()).has_room(Resources(), [])


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"memory_gb": 0.0}, "memory_gb is positive"),
        ({"device": "H100!"}, "device is a kind of accelerator"),
        ({"device": "=a"}, "device is a kind of accelerator"),
        ({"device": "in(a,b)"}, "device is a kind of accelerator"),
        ({"custom": (("GPU", 1.0),)}, "custom has names of its own"),
        ({"custom": (("licence", 0.0),)}, "custom.licence is positive"),
    ],
)
def test_what_no_cluster_has_is_refused(wanted, message):
    with pytest.raises(ConfigError, match=message):
        Resources(**wanted)


def test_labels_may_have_a_prefix():
    assert Resources(device="ray.io/market-type=spot").device is not None


def test_hosts_are_different_machines():
    several = Resources(hosts=3, cpus=8)
    assert ALL.places(several) == 1
    assert ALL.has_room(several, [])
    assert not ALL.has_room(several, [several]), "PLAIN has no cores left"
    assert ALL.has_room(several, [Resources(cpus=8, device="zone=b")] * 7)
    assert ALL.places(Resources(hosts=5)) == 0
    with pytest.raises(ConfigError, match=r"train.hosts is at most 2 here; got 3\."):
        refuse_what_never_fits(ALL, {Resources(hosts=3, gpus=1.0): "hardware.train"})


def test_whole_machines_of_several_hosts_are_as_large_as_the_smallest_of_them():
    whole = Resources(hosts=2, cpus=None)
    assert ALL.cpus_of(whole) == 16
    assert ALL.has_room(whole, [])
    assert not ALL.has_room(whole, [whole])
    short = Resources(hosts=2, gpus=1.0, memory_gb=100.0, memory_factor=4)
    assert ALL.memory_gb_of(short) == 256.0

"""The failure table, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.policy import (
    Ended,
    GiveUp,
    Limits,
    Promote,
    Start,
    next_action,
)

LIMITS = Limits()


def history(*outcomes: str, **fields) -> list[Ended]:
    return [Ended(number=i + 1, outcome=o, **fields) for i, o in enumerate(outcomes)]


def test_a_new_job_starts_and_a_good_attempt_is_promoted():
    assert next_action([], LIMITS) == Start()
    assert next_action(history("lost", "ok"), LIMITS) == Promote()


@pytest.mark.parametrize("outcome", ["lost", "preempted", "stalled"])
def test_losses_with_a_new_checkpoint_between_go_on_for_ever(outcome):
    ends = [Ended(number=i, outcome=outcome, step=i) for i in range(1, 1000)]
    action = next_action(ends, LIMITS, jitter=0.5)
    assert action == Start(delay_seconds=1.0)


def test_losses_without_a_new_checkpoint_are_bounded():
    ends = [Ended(number=1, outcome="lost", step=40)]
    ends += history(*["lost", "preempted"] * 4, "stalled")  # none of them wrote one
    assert next_action(ends[:-1], LIMITS).delay_seconds > 0
    action = next_action(ends, LIMITS)
    assert action.status == "failed"
    assert "10 times without a new checkpoint" in action.error
    anew = [*ends, Ended(number=11, outcome="lost", step=60)]
    assert isinstance(next_action(anew, LIMITS), Start)


def test_backoff_doubles_up_to_its_bound_with_jitter():
    delays = [
        next_action(history(*["lost"] * n), LIMITS, jitter=0.5).delay_seconds
        for n in range(1, 10)
    ]
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    many = Limits(lost=20)
    assert next_action(history(*["lost"] * 12), many, jitter=0.5).delay_seconds == 300
    low = next_action(history("lost"), LIMITS, jitter=0.0).delay_seconds
    high = next_action(history("lost"), LIMITS, jitter=0.999).delay_seconds
    assert low == 0.5
    assert 1.4 < high < 1.5


def test_out_of_memory_resumes_once_more_in_twice_the_micro_batches():
    assert next_action(history("oom"), LIMITS) == Start(accumulate=2)
    twice = [*history("oom"), Ended(number=2, outcome="oom", accumulate=2)]
    assert next_action(twice, LIMITS).status == "oom"


def test_host_out_of_memory_starts_twice_with_twice_the_memory():
    ends = [Ended(number=1, outcome="host_oom", accumulate=2)]
    assert next_action(ends, LIMITS) == Start(accumulate=2, memory_factor=2)
    ends += [Ended(number=2, outcome="lost", accumulate=2, memory_factor=2)]
    again = next_action(ends, LIMITS)
    assert (again.accumulate, again.memory_factor) == (2, 2)
    ends += [Ended(number=3, outcome="host_oom", memory_factor=2)]
    assert next_action(ends, LIMITS) == Start(memory_factor=4)
    error = "it ran out; hardware.train.memory_gb is 3, taken 4 times"
    ends += [Ended(number=4, outcome="host_oom", memory_factor=4, error=error)]
    assert next_action(ends, LIMITS) == GiveUp("oom", f"{error}, 3 times: raise it")


@pytest.mark.parametrize("outcome", ["oom", "diverged", "timeout", "crashed"])
def test_more_memory_stays_after_another_failure(outcome):
    ends = [
        Ended(number=1, outcome="host_oom"),
        Ended(number=2, outcome=outcome, memory_factor=2),
    ]
    assert next_action(ends, LIMITS).memory_factor == 2


def test_micro_batches_stay_after_a_later_loss():
    then_lost = [*history("oom"), Ended(number=2, outcome="lost", accumulate=2)]
    action = next_action(then_lost, LIMITS)
    assert action.accumulate == 2


@pytest.mark.parametrize("outcome", ["diverged", "timeout"])
def test_divergence_and_timeout_resume_once(outcome):
    assert next_action(history(outcome), LIMITS) == Start()
    assert next_action(history(outcome, outcome), LIMITS).status == outcome


def test_the_same_traceback_twice_is_quarantined_and_others_are_bounded():
    def crashes(*fingerprints):
        return [
            Ended(number=i, outcome="crashed", fingerprint=f, error=f"error {f}")
            for i, f in enumerate(fingerprints)
        ]

    assert next_action(crashes("a"), LIMITS) == Start()
    assert next_action(crashes("a", "b", "c"), LIMITS) == Start()
    assert next_action(crashes("a", "b", "a"), LIMITS) == GiveUp("failed", "error a")
    assert next_action(crashes(*"abcd"), LIMITS) == GiveUp("failed", "error d")


def test_bad_input_is_never_repeated():
    assert next_action(history("bad_input"), LIMITS).status == "failed"


def test_a_full_disk_counts_for_nothing():
    assert next_action(history(*["disk_full"] * 200), LIMITS) == Start()
    mixed = history("diverged", "disk_full", "disk_full")
    assert next_action(mixed, LIMITS) == Start()


OUTCOMES = st.sampled_from(
    [
        "lost",
        "preempted",
        "stalled",
        "oom",
        "host_oom",
        "diverged",
        "timeout",
        "crashed",
    ]
)


@given(st.data())
def test_every_job_ends_after_a_bounded_number_of_attempts(data):
    ends: list[Ended] = []
    while isinstance(action := next_action(ends, LIMITS), Start):
        outcome = data.draw(OUTCOMES)
        ends.append(
            Ended(
                number=len(ends) + 1,
                outcome=outcome,
                accumulate=action.accumulate,
                memory_factor=action.memory_factor,
                fingerprint=data.draw(st.sampled_from("abc")),
            )
        )
    assert isinstance(action, GiveUp)
    assert len(ends) <= LIMITS.lost + 20

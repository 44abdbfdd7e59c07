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
    is_common_failure,
    next_action,
)

LIMITS = Limits()


def history(*outcomes: str, **fields) -> list[Ended]:
    return [Ended(number=i + 1, outcome=o, **fields) for i, o in enumerate(outcomes)]


def test_a_new_job_starts_and_a_good_attempt_is_promoted():
    assert next_action([], LIMITS) == Start()
    assert next_action(history("lost", "ok"), LIMITS) == Promote()


@pytest.mark.parametrize("outcome", ["lost", "preempted"])
def test_losses_resume_after_a_backoff_until_their_budget_is_spent(outcome):
    steps = [Ended(number=i, outcome=outcome, step=i) for i in range(1, 102)]
    action = next_action(steps[:100], LIMITS)
    assert isinstance(action, Start)
    assert action.resume
    assert next_action(steps, LIMITS) == GiveUp(
        "preempted", "lost or preempted 101 times"
    )


def test_backoff_doubles_up_to_its_bound_with_jitter():
    delays = [
        next_action(history(*["lost"] * n), LIMITS, jitter=0.5).delay_seconds
        for n in range(1, 10)
    ]
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    low = next_action(history("lost"), LIMITS, jitter=0.0).delay_seconds
    high = next_action(history("lost"), LIMITS, jitter=0.999).delay_seconds
    assert low == 0.5
    assert 1.4 < high < 1.5


def test_a_job_that_dies_again_and_again_at_one_step_is_given_up():
    assert isinstance(next_action(history(*["lost"] * 9), LIMITS), Start)
    action = next_action(history(*["lost"] * 10, step=7), LIMITS)
    assert action == GiveUp("failed", "killed 10 times in a row at step 7")


def test_out_of_memory_resumes_once_more_in_twice_the_micro_batches():
    assert next_action(history("oom"), LIMITS) == Start(resume=True, accumulate=2)
    twice = [*history("oom"), Ended(number=2, outcome="oom", accumulate=2)]
    assert next_action(twice, LIMITS).status == "oom"


def test_micro_batches_stay_after_a_later_loss():
    then_lost = [*history("oom"), Ended(number=2, outcome="lost", accumulate=2)]
    action = next_action(then_lost, LIMITS)
    assert (action.accumulate, action.resume) == (2, True)


@pytest.mark.parametrize("outcome", ["diverged", "timeout"])
def test_divergence_and_timeout_resume_once(outcome):
    assert next_action(history(outcome), LIMITS) == Start(resume=True)
    assert next_action(history(outcome, outcome), LIMITS).status == outcome


def test_the_same_traceback_twice_is_quarantined_and_others_are_bounded():
    def crashes(*fingerprints):
        return [
            Ended(number=i, outcome="crashed", fingerprint=f, error=f"error {f}")
            for i, f in enumerate(fingerprints)
        ]

    assert next_action(crashes("a"), LIMITS) == Start(resume=True)
    assert next_action(crashes("a", "b", "c"), LIMITS) == Start(resume=True)
    assert next_action(crashes("a", "b", "a"), LIMITS) == GiveUp("failed", "error a")
    assert next_action(crashes(*"abcd"), LIMITS) == GiveUp("failed", "error d")


def test_bad_input_is_never_repeated():
    assert next_action(history("bad_input"), LIMITS).status == "failed"


def test_a_full_disk_counts_for_nothing():
    assert next_action(history(*["disk_full"] * 200), LIMITS) == Start()
    mixed = history("diverged", "disk_full", "disk_full")
    assert next_action(mixed, LIMITS) == Start(resume=True)


def test_early_failures_alike_stop_the_sweep_before_any_success():
    assert is_common_failure(3, successes=0, limits=LIMITS)
    assert not is_common_failure(2, successes=0, limits=LIMITS)
    assert not is_common_failure(3, successes=1, limits=LIMITS)


OUTCOMES = st.sampled_from(
    ["lost", "preempted", "oom", "diverged", "timeout", "crashed"]
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
                fingerprint=data.draw(st.sampled_from("abc")),
            )
        )
    assert isinstance(action, GiveUp)
    assert len(ends) <= LIMITS.lost + 20

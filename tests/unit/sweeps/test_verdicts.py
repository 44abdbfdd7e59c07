"""Whose fault failures are."""

from __future__ import annotations

from sweeps.policy import Ended, GiveUp, Limits, Start, next_action
from sweeps.verdicts import Verdicts

LIMITS = Limits()


def failed(number: int, node: str, outcome: str = "crashed", mark: str = "a") -> Ended:
    return Ended(
        number=number, outcome=outcome, fingerprint=mark, node=node, error="it broke"
    )


def test_jobs_that_fail_alike_on_one_of_several_machines_are_its_fault():
    verdicts = Verdicts(3)
    assert verdicts.failed("train", "1", failed(1, "n1"), places=2) == []
    assert verdicts.failed("train", "1", failed(2, "n1"), places=2) == [], "one job"
    assert verdicts.failed("train", "2", failed(1, "n1"), places=2) == []
    [verdict] = verdicts.failed("train", "3", failed(1, "n1"), places=2)
    assert (verdict.node, verdict.stage) == ("n1", "")
    assert "3 jobs failed alike there" in verdict.reason
    assert verdicts.failed("train", "4", failed(1, "n1"), places=1) == [], "judged"
    there, good = failed(1, "n1"), Ended(number=3, outcome="ok", node="n1")
    elsewhere = failed(2, "n2")
    assert verdicts.counted([there, elsewhere, good]) == [elsewhere, good]


def test_on_two_machines_or_the_only_one_it_is_the_stage():
    for nodes, places in (("n1", "n1", "n1"), 1), (("n1", "n2", "n1"), 2):
        verdicts = Verdicts(3)
        found = []
        for job, node in enumerate(nodes):
            found = verdicts.failed("train", str(job), failed(1, node), places)
        assert [verdict.stage for verdict in found] == ["train"]


def test_a_success_between_acquits_the_stage():
    verdicts = Verdicts(2)
    verdicts.failed("train", "1", failed(1, "n1"), places=1)
    assert verdicts.succeeded("train", "2", "n1", []) == []
    assert verdicts.failed("train", "3", failed(1, "n1"), places=1) == []


def test_jobs_that_fail_there_and_succeed_elsewhere_speak_against_a_machine():
    verdicts = Verdicts(2)
    for job, mark in (("1", "a"), ("2", "b")):  # for different reasons
        ended = failed(1, "n1", mark=mark)
        assert verdicts.failed("train", job, ended, places=2) == []
        found = verdicts.succeeded("train", job, "n2", [ended])
    assert [verdict.node for verdict in found] == ["n1"]
    # A success at the same place, or a lost node, says nothing.
    lost = failed(1, "n3", "lost")
    for job in "345":
        earlier = [lost, failed(2, "n4")]
        assert verdicts.succeeded("train", job, "n4", earlier) == []


def test_of_several_machines_another_one_tries_what_the_first_did_not():
    for outcome in ("crashed", "bad_input"):
        first = failed(1, "n1", outcome)
        assert next_action([first], LIMITS, places=2) == Start(elsewhere="n1")
        second = failed(2, "n2", outcome)
        assert isinstance(next_action([first, second], LIMITS, places=2), GiveUp)
    assert isinstance(next_action([failed(1, "n1", "bad_input")], LIMITS), GiveUp)


def test_faults_of_machines_count_for_nothing():
    faults = [failed(number, "n1", "node_fault") for number in range(1, 20)]
    assert next_action(faults, LIMITS) == Start()

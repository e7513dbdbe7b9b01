"""The reporting network under faults: a wrong answer never, an answer always once the network is calm.

Each run is one schedule of delays, losses, doubles, partitions and crashes with up to f faulty nodes. What may never
happen is checked inside the simulation (`tests/support/reporting.py`), at each signature, each transmission and each
start. SEAMARK_SEEDS is the number of schedules.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seamark.oracle.reporting.config import MILLISECOND, SECOND
from tests.support.reporting import PATIENCE, ZERO, Scenario
from tests.support.reporting_faulty import KINDS, world_of

SCHEDULES = int(os.environ.get("SEAMARK_SEEDS", "100"))
LIMIT = 60 * PATIENCE  # after which a calm network has had a dozen honest leaders in a row of any luck

times = st.integers(0, 4 * SECOND)
spans = st.integers(50 * MILLISECOND, 3 * SECOND)


@st.composite
def scenarios(draw):
    f = draw(st.sampled_from((1, 1, 1, 2)))
    calm_at = draw(st.integers(SECOND // 2, 4 * SECOND))
    first = draw(times)
    partition = st.builds(lambda bits, span: (first, first + span, bits), st.integers(0, 2 ** (3 * f + 1) - 1), spans)
    return Scenario(
        seed=draw(st.integers(0, 2**32 - 1)),
        f=f,
        faulty=tuple(draw(st.lists(st.sampled_from(KINDS), max_size=f))),
        calm_at=calm_at,
        delay=draw(st.sampled_from((10, 100, 600, 2500))) * MILLISECOND,
        drop=draw(st.sampled_from((0.0, 0.05, 0.3))),
        double=draw(st.sampled_from((0.0, 0.2))),
        failure=draw(st.sampled_from((0.0, 0.1))),
        partitions=tuple(draw(st.lists(partition, max_size=2))),
        crashes=tuple(draw(st.lists(st.tuples(times, st.integers(0, 6), spans, st.integers(0, 4)), max_size=4))),
    )


def run_to_an_answer_in_calm(scenario, answers=1):
    world = world_of(scenario)
    calm = ZERO + scenario.calm_at

    def answered():
        return sum(at > calm for _, _, at in world.contract.accepted) >= answers

    done = world.run(answered, scenario.calm_at + LIMIT)
    assert done, f"no answer within {LIMIT // SECOND} s of calm: {world.contract.accepted}"
    rounds = [at for at, _, _ in world.contract.accepted]
    assert rounds == sorted(set(rounds))
    return world


@settings(max_examples=SCHEDULES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=SCHEDULES <= 100)
@given(scenarios())
def test_never_a_wrong_answer_and_always_one_once_it_is_calm(scenario):
    run_to_an_answer_in_calm(scenario)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("f", [1, 2])
def test_f_faulty_nodes_of_each_kind_from_the_first_moment(kind, f):
    world = run_to_an_answer_in_calm(Scenario(seed=f, f=f, faulty=(kind,) * f, calm_at=0), answers=8)
    assert world.transmitted


def test_the_same_with_real_signatures():
    faulty = Scenario(seed=5, f=2, faulty=("unsorted", "replaying"), calm_at=SECOND, drop=0.1, real=True)
    world = run_to_an_answer_in_calm(faulty, answers=2)
    assert "duplicate signer" in world.reverts
    assert world.transmitted


@pytest.mark.parametrize("f", [0, 3])
def test_other_sizes(f):
    run_to_an_answer_in_calm(Scenario(seed=3, f=f, faulty=("lying",) * f, calm_at=SECOND, drop=0.1), answers=2)

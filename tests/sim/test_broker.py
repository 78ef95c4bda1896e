"""One seed is one run of a whole broker: the trace is the same, whoever asks."""

from tests.sim.replay import printed
from tests.sim.workload import live
from tests.sim.world import simulate


def test_a_whole_broker_lives_the_same_life_twice() -> None:
    for seed in (3, 5):
        first, second = simulate(live, seed), simulate(live, seed)
        assert first.trace_hash == second.trace_hash
        assert first.value == second.value
        assert first.steps == second.steps > 1_000


def test_other_seeds_are_other_lives() -> None:
    assert len({simulate(live, seed).trace_hash for seed in range(10, 13)}) == 3


def test_a_brokers_life_does_not_depend_on_pythonhashseed() -> None:
    program = (
        "from tests.sim.workload import live\n"
        "from tests.sim.world import simulate\n"
        "import sys\n"
        "for seed in (3, 8):\n"
        "    result = simulate(live, seed)\n"
        "    sys.stdout.write(f'{result.trace_hash} {sorted(result.value.items())}')\n"
    )
    answers = printed(program, ("0", "1", "77"))
    assert len(answers) == 1
    (answer,) = answers
    assert answer.startswith(simulate(live, 3).trace_hash)

"""The short run of the frame fuzzer, and every input that ever broke something."""

import pytest

from tests.fuzz import frames


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(4))
def test_mutated_frames_are_malformed_or_understood(seed):
    understood = frames.fuzz(5_000, seed)
    assert 0 < understood < 5_000


@pytest.mark.fuzz
def test_every_prefix_of_every_golden_frame_is_malformed_or_understood():
    for seed in frames.SEEDS:
        for end in range(0, len(seed.frame), 1 + len(seed.frame) // 40):
            frames.attempt(seed, seed.frame[:end])


def test_every_golden_frame_is_understood():
    assert all(frames.attempt(seed, seed.frame) for seed in frames.SEEDS)

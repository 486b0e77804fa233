"""Operations counted by hand, and times in words."""

import pytest
import torch

from rotvar.study import estimate


def test_operations_of_a_network():
    # A multiplication and an addition for each weight at each of its positions
    f, size = 2, 8
    convolutions = [
        (1, f, size),
        (f, f, size),
        (f, 2 * f, size // 2),
        (2 * f, 2 * f, size // 2),
        (2 * f, 4 * f, size // 4),
    ]
    expected = sum(2 * 9 * inputs * outputs * side**2 for inputs, outputs, side in convolutions)
    expected += 2 * (4 * f * (size // 4) ** 2 * 5 + 5 * 10)  # the fully connected layers
    assert estimate.flops("simple_conv", 1, size, 10, width=f, hidden=5) == expected


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (10, "a minute or two"),
        (600, "10 minutes"),
        (3 * 3600, "3 hours"),
        (30 * 3600, "30 hours"),
        (5 * 86400, "5 days"),
    ],
)
def test_times_in_words(seconds, words):
    assert estimate.duration(seconds) == words


def test_a_process_that_is_set_aside_has_a_speed_all_the_same(monkeypatch):
    times = iter([0.0, 5.0])
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(times))
    assert estimate.rate.__wrapped__() > 0


def test_the_speed_of_a_core_is_measured():
    """Any machine computes more than a tenth of a gigaflop and less than 100 teraflops a core."""
    threads = torch.get_num_threads()
    assert 1e8 < estimate.rate() < 1e14
    assert torch.get_num_threads() == threads

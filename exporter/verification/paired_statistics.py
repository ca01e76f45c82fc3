"""Intervals and tests for accuracies measured on the same examples."""

import math

#: Two-sided 95 % quantile of the normal distribution.
Z_95 = 1.959963984540054


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927), 95 % by default.

    Unlike the normal approximation it stays inside [0, 1] and has a width at 0 % and 100 %.
    Raises ValueError unless 0 <= successes <= trials and trials > 0.
    """
    if trials <= 0 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_difference_interval(
    only_first: int, only_second: int, trials: int, z: float = Z_95
) -> tuple[float, float]:
    """Interval of accuracy(first) - accuracy(second), both measured on the same ``trials``.

    ``only_first`` counts the examples that only the first gets right, ``only_second`` those that
    only the second does. Adjusted Wald interval of Bonett and Price (2012), recommended by
    Fagerland, Lydersen and Laake (2014) for paired proportions: it adds one to each discordant
    count, so that it has a width even without any. Raises ValueError for impossible counts.
    """
    if trials <= 0 or min(only_first, only_second) < 0 or only_first + only_second > trials:
        raise ValueError(f"{only_first} and {only_second} discordant of {trials} trials")
    first, second = (only_first + 1) / (trials + 2), (only_second + 1) / (trials + 2)
    difference = first - second
    half = z * math.sqrt((first + second - difference**2) / (trials + 2))
    return max(-1.0, difference - half), min(1.0, difference + half)


def examples_needed(points: float, discordant: float = 0.0) -> int:
    """The smallest number of examples that can tell a difference of ``points``.

    ``points`` is a share of the examples (0.005: half a point), above 0. Of two models that are
    equally often right, and of which one alone is right on the share ``discordant`` of the
    examples, the paired interval lies within -``points`` and ``points``. Without discordant
    examples, the least that any data must have: 553 for half a point. Raises ValueError for other
    shares.
    """
    if not 0 < points <= 1 or not 0 <= discordant <= 1:
        raise ValueError(f"{points} points and a discordant share of {discordant}")

    def half_width(trials: int) -> float:
        # The interval's formula with half of the discordant examples on either side.
        return Z_95 * math.sqrt(discordant * trials + 2) / (trials + 2)

    most = 1
    while half_width(most) > points:
        most *= 2
    least = most // 2  # bisection: the width falls with the number of examples
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if half_width(middle) > points else (least, middle)
    return most


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p value of "both are right equally often" (McNemar's exact test).

    Under that hypothesis each discordant example falls to either side with probability 1/2, so
    this is the binomial test on the discordant counts.
    """
    discordant = only_first + only_second
    tail = sum(math.comb(discordant, i) for i in range(min(only_first, only_second) + 1))
    # Integers throughout: 2**discordant overflows a float above 1023 discordant examples.
    return min(1.0, 2 * tail / 2**discordant) if discordant else 1.0

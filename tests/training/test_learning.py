import numpy as np
import pytest

from metrics.thresholds import propose_thresholds
from training.learning import (
    LearningError,
    Sample,
    auroc_or_reason,
    banded_decisions,
    cross_fitted_decisions,
    divide,
    figures_of,
    thresholds_of,
)
from vision.predictor import Example

PIXELS = np.zeros((4, 4, 3), np.uint8)


def sample(group, *, is_bad=False, is_held_out=False, is_graded=False):
    return Sample(
        lambda: Example(PIXELS, is_bad=is_bad, group=str(group)),
        is_bad=is_bad,
        group=str(group),
        is_held_out=is_held_out,
        is_graded=is_graded,
    )


def test_every_picture_has_one_purpose():
    samples = [sample(n, is_bad=n % 5 == 0, is_held_out=n % 3 == 0) for n in range(200)]

    divided = divide(samples)

    parts = [divided.good, divided.bad, divided.calibrating, divided.held_out]
    assert sum(map(len, parts)) == len(samples)
    groups = [{each.group for each in part} for part in (divided.good, divided.calibrating, divided.held_out)]
    assert groups[0].isdisjoint(groups[1])
    assert (groups[0] | groups[1]).isdisjoint(groups[2])


def test_a_good_part_of_a_group_with_bad_ones_never_calibrates():
    samples = [sample(n // 2, is_bad=n % 2 == 0) for n in range(200)] + [sample(f"g{n}") for n in range(100)]

    divided = divide(samples)

    bad_groups = {each.group for each in divided.bad}
    assert divided.calibrating
    assert all(each.group not in bad_groups for each in divided.calibrating)


def test_with_few_pictures_all_good_ones_teach():
    divided = divide([sample(n) for n in range(20)])

    assert (len(divided.good), divided.calibrating) == (20, [])


def test_without_held_out_bad_parts_there_is_no_auroc_but_a_reason():
    area, reason = auroc_or_reason([0.1, 0.2], [sample(1), sample(2)])

    assert area is None
    assert reason == "No graded bad part is held out yet, so there is no AUROC."


def test_a_score_that_is_not_finite_is_held_and_never_good():
    assert banded_decisions([float("nan"), float("-inf"), 0.1], grey_from=0.5, grey_to=0.9) == [
        "GREY",
        "GREY",
        "GOOD",
    ]


def test_a_candidate_with_a_score_that_is_not_finite_is_refused():
    with pytest.raises(LearningError, match="1 of 2"):
        thresholds_of([0.1, float("nan")], [sample(1), sample(2)])


def test_each_part_is_judged_by_thresholds_that_never_saw_its_group():
    rng = np.random.default_rng(0)
    samples = [sample(n // 3, is_bad=n % 2 == 0) for n in range(240)]
    scores = [float(rng.beta(6, 4) if each.is_bad else rng.beta(2, 6)) for each in samples]
    before, is_cross_fitted = cross_fitted_decisions(scores, samples)
    assert is_cross_fitted

    # Whatever the scores of one half become, the thresholds for that same half stay.
    from labeling.splitting import share_of

    mine = [share_of(each.group, purpose="half") < 0.5 for each in samples]
    other = [score for score, each in zip(scores, mine, strict=True) if not each]
    truths = [each.is_bad for each, half in zip(samples, mine, strict=True) if not half]
    band = propose_thresholds(
        [score for score, bad in zip(other, truths, strict=True) if not bad],
        [score for score, bad in zip(other, truths, strict=True) if bad],
    )
    wanted = banded_decisions(
        [score for score, half in zip(scores, mine, strict=True) if half],
        grey_from=band.grey_from,
        grey_to=band.grey_to,
    )
    assert [said for said, half in zip(before, mine, strict=True) if half] == wanted


def test_with_one_group_the_figures_say_that_they_are_not_cross_fitted():
    samples = [sample("one"), sample("one", is_bad=True)]

    assert cross_fitted_decisions([0.1, 0.9], samples)[1] is False


def test_figures_are_counts_with_their_n():
    samples = [
        sample(1),
        sample(2, is_graded=True),
        sample(3, is_bad=True, is_graded=True),
        sample(4, is_bad=True, is_graded=True),
    ]

    figures = figures_of(["GOOD", "BAD", "GREY", "GOOD"], samples)

    assert figures == {
        "review_rate": {"k": 1, "n": 4},
        "review_rate_imported": {"k": 0, "n": 1},
        "review_rate_graded": {"k": 1, "n": 3},
        "underkill": {"k": 1, "n": 2},
        "overkill": {"k": 1, "n": 2},
    }

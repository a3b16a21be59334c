"""Which family is taken where nobody chooses."""

import pytest

from labeling.models import DatasetImage
from training.choice import FEWEST_BAD_PARTS, Material, choose_family


@pytest.mark.parametrize(
    ("material", "family", "words"),
    [
        (Material(good=40), "patchcore", "40 good pictures and no bad one"),
        (Material(good=1), "patchcore", "1 good picture and no bad one"),
        (Material(good=0), "patchcore", "0 good pictures"),
        (Material(good=40, bad=1, bad_parts=1), "hybrid", "1 bad picture of 1 part are"),
        (Material(good=40, bad=9, bad_parts=4), "hybrid", "is its anomaly model alone"),
        (Material(good=40, bad=9, bad_parts=5), "hybrid", "its classifier knows the graded cases"),
        (Material(good=40, bad=9, bad_parts=5, painted=3), "hybrid", "3 of them painted"),
    ],
)
def test_good_parts_alone_take_patchcore_and_graded_bad_ones_hybrid(material, family, words):
    choice = choose_family(material)

    assert choice.family == family
    assert words in choice.why
    assert len(choice.why) <= 300, "a run keeps it"


def test_only_the_learning_side_counts_and_a_part_once():
    def picture(group, grade, split="train", mask=""):
        return DatasetImage(group=group, grade=grade, split=split, mask_sha256=mask)

    pictures = [
        picture("a", "good"),
        picture("b", "bad", mask="f" * 64),
        picture("b", "bad"),
        picture("c", "bad", split="holdout", mask="f" * 64),
        picture("d", "good", split="holdout"),
    ]

    assert Material.of(pictures) == Material(good=1, bad=2, bad_parts=1, painted=1)


def test_the_page_and_the_hybrid_agree_from_how_many_bad_parts_on_it_has_a_classifier():
    from vision.models import hybrid

    assert hybrid.FEWEST_BAD_PARTS == FEWEST_BAD_PARTS

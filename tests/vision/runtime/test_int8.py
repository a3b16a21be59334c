import numpy as np
import pytest

from tests.vision.runtime.tiny import TinyPredictor, pictures
from vision.runtime.engine import EngineError
from vision.runtime.int8 import judge, quantised
from vision.runtime.onnx_engine import OnnxEngine
from vision.staged import Begun


@pytest.fixture(scope="module")
def predictor():
    return TinyPredictor()


@pytest.fixture(scope="module")
def int8(predictor, tiny_onnx):
    content = quantised(tiny_onnx, [predictor.begin(image).tiles for image in pictures(6)])
    return OnnxEngine(content, name="ONNX Runtime int8 on cpu")


def judged(predictor, engine, *, max_auroc_loss=1.0, max_score_difference=1.0, bad=4):
    begun = [predictor.begin(image) for image in pictures(8, seed=5)]
    return judge(
        predictor.engine,
        engine,
        good=begun[:4],
        bad=begun[4 : 4 + bad],
        max_auroc_loss=max_auroc_loss,
        max_score_difference=max_score_difference,
    )


def test_eight_bits_are_near_the_network_and_not_it(predictor, int8):
    judgement = judged(predictor, int8)
    assert judgement.is_accepted
    assert 0 < judgement.max_score_difference < 0.1


def test_the_same_calibration_gives_the_same_bytes(predictor, tiny_onnx):
    tiles = [predictor.begin(image).tiles for image in pictures(2)]
    assert quantised(tiny_onnx, tiles) == quantised(tiny_onnx, tiles)


def test_scores_that_move_more_than_allowed_refuse_it_with_the_figure(predictor, int8):
    judgement = judged(predictor, int8, max_score_difference=1e-9)
    assert not judgement.is_accepted
    assert f"{judgement.max_score_difference:.4f} (1e-09 is allowed)" in judgement.sentence
    assert "on 4 good and 4 bad held-out parts" in judgement.sentence


class Scoring:
    """An engine that gives the parts these scores, one after the other."""

    name = "scoring"

    def __init__(self, *scores):
        self._scores = iter(scores)

    def run(self, tiles):
        return [(np.array([next(self._scores)], dtype=np.float32),) for _ in tiles]


class Passing(TinyPredictor):
    def begin(self, image):
        from vision.predictor import Prediction

        return Begun(
            super().begin(image).tiles, lambda raw: Prediction(float(raw[0][0]), np.zeros((1, 1), np.float32))
        )


def of_scores(exact, coarse, **limits):
    begun = [Passing().begin(image) for image in pictures(4)]
    return judge(Scoring(*exact), Scoring(*coarse), good=begun[:2], bad=begun[2:], **limits)


def test_a_lost_ranking_refuses_it_though_every_score_moved_little():
    judgement = of_scores(
        (0.1, 0.50, 0.51, 0.9), (0.1, 0.51, 0.50, 0.9), max_auroc_loss=0.01, max_score_difference=0.02
    )
    assert (judgement.auroc_float32, judgement.auroc_int8) == (1.0, 0.75)
    assert not judgement.is_accepted


def test_a_better_ranking_is_no_loss():
    judgement = of_scores(
        (0.1, 0.51, 0.50, 0.9), (0.1, 0.50, 0.51, 0.9), max_auroc_loss=0.0, max_score_difference=0.02
    )
    assert judgement.is_accepted


def test_a_score_that_is_no_number_refuses_it():
    judgement = of_scores(
        (0.1, 0.2, 0.8, 0.9), (0.1, 0.2, np.nan, 0.9), max_auroc_loss=1.0, max_score_difference=1.0
    )
    assert not judgement.is_accepted
    assert "no numbers" in judgement.sentence


def test_without_parts_of_both_kinds_nothing_can_be_shown(predictor, int8):
    with pytest.raises(EngineError, match="4 good and 0 bad"):
        judged(predictor, int8, bad=0)


def test_without_calibration_images_there_is_no_scale(tiny_onnx):
    with pytest.raises(EngineError, match="at least one calibration image"):
        quantised(tiny_onnx, [])

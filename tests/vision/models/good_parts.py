"""What every family that learns from good parts alone must do: each family's tests inherit these."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import pytest

from metrics.roc import auroc
from tests.vision.conftest import examples_of
from vision.families import FAMILIES, new_predictor
from vision.predictor import Example, NotFittedError, Predictor, State, no_progress
from vision.runtime.export import parity, to_onnx
from vision.runtime.onnx_engine import OnnxEngine
from vision.synthetic import render_part

PARITY = 1e-4  # largest difference of a score between torch and ONNX Runtime


class GoodPartsFamily(ABC):
    """Give it a name, options that make it small, and how well it must tell bad parts from good ones.

    quick_options  for the tests that fit again and again, and ask of a fit only what it is made of
    """

    family: ClassVar[str]
    options: ClassVar[dict[str, Any]]
    quick_options: ClassVar[dict[str, Any]] = {}
    fewest_auroc: ClassVar[float]

    @pytest.fixture(scope="class")
    @classmethod
    def learned(cls, good_parts):
        return cls.fit(good_parts)

    @pytest.fixture(scope="class")
    @classmethod
    def quickly_learned(cls, good_parts):
        return cls.fit(good_parts[:7], **cls.quick_options)

    @classmethod
    def new(cls, **options):
        return new_predictor(cls.family, device="cpu", options={**cls.options, **options})

    @classmethod
    def fit(cls, good, bad=(), *, seed=1, **options):
        predictor = cls.new(**options)
        predictor.fit(examples_of(good, bad), seed=seed, progress=no_progress)
        return predictor

    def test_it_speaks_the_protocol_and_is_listed(self, learned):
        assert isinstance(learned, Predictor)
        assert FAMILIES[self.family].learns_from == "good parts"

    def test_it_finds_rendered_defects(self, learned, bad_parts):
        good = [render_part(np.random.default_rng(900 + number))[0] for number in range(8)]
        scores = [[p.score for p in learned.predict(parts)] for parts in (good, bad_parts)]
        assert auroc(*scores) > self.fewest_auroc

    def test_the_score_is_the_robust_maximum_of_the_map(self, learned, bad_parts):
        for prediction in learned.predict(bad_parts[:3]):
            assert prediction.defect_map.dtype == np.float32
            assert 0 <= prediction.defect_map.min() <= prediction.defect_map.max() <= 1
            worst = np.sort(prediction.defect_map.ravel().astype(np.float64))[-3:]
            assert worst[0] - 1e-6 <= prediction.score <= worst[-1] + 1e-6

    def test_the_same_seed_fits_the_same_model_bit_for_bit(self, quickly_learned, good_parts):
        ours, theirs = quickly_learned.state(), self.fit(good_parts[:7], **self.quick_options).state()
        assert ours.metadata == theirs.metadata
        assert all(np.array_equal(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors)

    def test_the_other_images_of_a_batch_change_nothing(self, learned, good_parts, bad_parts):
        images = [good_parts[0], bad_parts[0], bad_parts[1]]
        alone = [learned.predict([image])[0] for image in images]
        for one, other in zip(learned.predict(images), alone, strict=True):
            assert one.score == other.score
            assert np.array_equal(one.defect_map, other.defect_map)
        assert learned.predict([]) == []

    def test_a_kept_state_gives_the_same_bits(self, learned, bad_parts):
        again = type(learned).from_state(learned.state(), device="cpu")
        for one, other in zip(learned.predict(bad_parts[:2]), again.predict(bad_parts[:2]), strict=True):
            assert one.score == other.score
            assert np.array_equal(one.defect_map, other.defect_map)
        assert again.state().metadata == learned.state().metadata

    def test_a_state_that_is_not_whole_is_refused(self, learned):
        state, kind = learned.state(), type(learned)
        for name in self.one_of_each_kind(state):
            rest = {other: value for other, value in state.tensors.items() if other != name}
            with pytest.raises(ValueError, match=r"not whole|does not fit"):
                kind.from_state(State(rest, state.metadata), device="cpu")
        for name in state.metadata:
            rest = {other: value for other, value in state.metadata.items() if other != name}
            with pytest.raises(ValueError, match="not whole"):
                kind.from_state(State(state.tensors, rest), device="cpu")

    def test_a_state_of_another_shape_is_refused(self, learned):
        state = learned.state()
        for name, value in self.one_of_each_kind(state).items():
            cut = np.ascontiguousarray(value[..., :-1])
            with pytest.raises(ValueError, match=r"fit|must"):
                type(learned).from_state(State({**state.tensors, name: cut}, state.metadata), device="cpu")

    def test_weights_that_are_not_finite_are_refused(self, learned):
        state = learned.state()
        for name, value in self.one_of_each_kind(state).items():
            if np.issubdtype(value.dtype, np.floating):
                broken = value.copy()
                broken.flat[-1] = np.nan
                with pytest.raises(ValueError, match="not finite"):
                    type(learned).from_state(
                        State({**state.tensors, name: broken}, state.metadata), device="cpu"
                    )

    def test_broken_arithmetic_answers_nan_and_not_a_number_that_passes(self, learned, good_parts):
        raw = learned.engine.run([learned.prepare(good_parts[0])])[0]
        for output in raw:
            output.flat[len(output.flat) // 2] = np.nan
        assert np.isnan(learned.finish(raw, height=512, width=512).score)

    def test_onnx_runtime_gives_the_same_scores(self, learned, bad_parts):
        samples = [learned.begin(image) for image in bad_parts[:3]]
        engine = OnnxEngine(to_onnx(learned.network, tile_shape=samples[0].tiles.shape[1:]).content)
        difference = parity(learned.engine, engine, samples)
        assert difference.max_score_difference < PARITY
        assert difference.max_map_difference < PARITY

    def test_progress_runs_from_0_to_1(self, good_parts):
        told = []
        self.new(**self.quick_options).fit(
            examples_of(good_parts[:6]),
            seed=0,
            progress=lambda fraction, doing: told.append((fraction, doing)),
        )
        fractions = [fraction for fraction, _ in told]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0
        assert all(doing for _, doing in told)

    def test_before_fitting_it_refuses(self, good_parts):
        predictor = self.new()
        for ask in (
            lambda: predictor.predict(good_parts[:1]),
            lambda: predictor.calibrate(examples_of(good_parts[:1])),
            predictor.state,
        ):
            with pytest.raises(NotFittedError):
                ask()

    def test_too_few_good_parts_are_refused(self, good_parts):
        few = [*examples_of(good_parts[:4]), *(Example(part, is_bad=True) for part in good_parts[4:])]
        with pytest.raises(ValueError, match="at least 5 good parts"):
            self.new().fit(few, seed=0, progress=no_progress)

    def test_bad_parts_move_the_calibration_but_teach_nothing(self, quickly_learned, good_parts, bad_parts):
        ours = quickly_learned.state()
        theirs = self.fit(good_parts[:7], bad_parts[:2], **self.quick_options).state()
        assert all(np.array_equal(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors)

    def test_an_unknown_option_is_refused(self):
        with pytest.raises(ValueError, match="no option"):
            self.new(magic=3)
        with pytest.raises(ValueError, match="multiple of 32"):
            self.new(input_px=100)

    def test_images_of_any_size_are_scored_and_no_image_is_refused(self, learned):
        for shape in ((1, 1, 3), (37, 500, 3)):
            assert np.isfinite(learned.predict([np.full(shape, 128, np.uint8)])[0].score)
        with pytest.raises(ValueError, match="HxWx3"):
            learned.predict([np.zeros((10, 10), np.uint8)])

    @abstractmethod
    def one_of_each_kind(self, state: State) -> dict[str, np.ndarray]:
        """Tensors of the state to break, one after the other."""

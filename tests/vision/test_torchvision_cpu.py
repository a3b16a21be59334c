"""torchvision beside a CPU torch: absent it is not missed, present it runs on our stand-ins."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vision.torchvision_cpu import kept_boxes, pooled_regions

_HIDE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torchvision", "timm", "segmentation_models_pytorch"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""
_FIT_AND_PREDICT = """
import numpy as np
from vision.families import new_predictor
from vision.predictor import Example, no_progress
from vision.synthetic import render_part
good = [Example(render_part(np.random.default_rng(n))[0], is_bad=False) for n in range(6)]
predictor = new_predictor("patchcore", device="cpu")
predictor.fit(good, seed=0, progress=no_progress)
assert 0 <= predictor.predict([good[0].pixels])[0].score <= 1
assert not {"torchvision", "timm"} & set(sys.modules)
"""


def test_without_torchvision_the_base_product_fits_and_predicts():
    answer = _run(_HIDE + _FIT_AND_PREDICT)
    assert answer.returncode == 0, answer.stderr


def test_without_torchvision_the_reason_names_the_way_to_install_it():
    code = "sys.modules['torchvision'] = None\nfrom vision.torchvision_cpu import prepare_torchvision\nprepare_torchvision()"
    answer = _run("import sys\n" + code)
    assert answer.returncode == 1
    assert "MissingExtraError: torchvision is not installed: run script/install-models" in answer.stderr


def test_a_box_that_is_no_number_is_never_dropped():
    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, float("nan")], [0, 0, 2, 2]])
    scores = torch.tensor([0.5, 0.1, 0.6])
    assert kept_boxes(boxes, scores, 0.5).tolist() == [1, 2]


def test_no_boxes_give_no_numbers():
    kept = kept_boxes(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert (kept.tolist(), kept.dtype) == ([], torch.int64)


@st.composite
def _boxes_and_scores(draw):
    rows = draw(st.lists(st.tuples(*[st.integers(0, 12)] * 4, st.integers(0, 5)), max_size=14))
    boxes = [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d, _ in rows]
    return (
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor([row[4] / 5 for row in rows]),
    )


@given(_boxes_and_scores(), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_kept_boxes_are_those_of_the_definition(boxes_and_scores, threshold):
    boxes, scores = boxes_and_scores
    waiting = sorted(range(len(boxes)), key=lambda number: (-float(scores[number]), number))
    kept: list[int] = []
    for number in waiting:
        if all(_overlap(boxes[number].tolist(), boxes[other].tolist()) <= threshold for other in kept):
            kept.append(number)
    assert kept_boxes(boxes, scores, threshold).tolist() == kept


@given(st.integers(0, 10_000), st.booleans(), st.integers(0, 2))
def test_pooled_regions_are_those_of_the_definition(seed, aligned, points):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(2, 3, 5, 7)).astype(np.float32)
    low = rng.uniform(0, 10, size=(4, 2))
    boxes = np.c_[rng.integers(0, 2, size=4), low, low + rng.uniform(0.1, 8, size=(4, 2))]
    boxes[:, [1, 3]], boxes[:, [2, 4]] = boxes[:, [1, 3]].clip(0, 14), boxes[:, [2, 4]].clip(0, 10)
    ours = pooled_regions(torch.from_numpy(features), torch.tensor(boxes).float(), 0.5, 2, 3, points, aligned)
    for row, box in enumerate(boxes):
        expected = _pooled(features[int(box[0])], box[1:] * 0.5, aligned=aligned, points=points)
        assert np.allclose(ours[row], expected, atol=1e-4)


def _pooled(features, box, *, aligned, points):
    """2x3 cells of bilinear samples, point by point."""
    left, top, right, bottom = box - (0.5 if aligned else 0)
    width, height = right - left, bottom - top
    if not aligned:
        width, height = max(width, 1), max(height, 1)
    down, across = points or max(int(np.ceil(height / 2)), 1), points or max(int(np.ceil(width / 3)), 1)
    cells = np.zeros((len(features), 2, 3))
    for row, column, j, i in np.ndindex(2, 3, down, across):
        y = np.clip(top + height * (row + (j + 0.5) / down) / 2, 0, features.shape[1] - 1)
        x = np.clip(left + width * (column + (i + 0.5) / across) / 3, 0, features.shape[2] - 1)
        y0, x0 = int(y), int(x)
        y1, x1 = min(y0 + 1, features.shape[1] - 1), min(x0 + 1, features.shape[2] - 1)
        upper = features[:, y0, x0] * (1 - x + x0) + features[:, y0, x1] * (x - x0)
        lower = features[:, y1, x0] * (1 - x + x0) + features[:, y1, x1] * (x - x0)
        cells[:, row, column] += (upper * (1 - y + y0) + lower * (y - y0)) / (down * across)
    return cells


def _overlap(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared) if shared else 0.0


def _run(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.models
@pytest.mark.skipif(
    "__import__('importlib.util').util.find_spec('torchvision') is None",
    reason="needs requirements-models.txt (script/test --models runs it)",
)
class TestWithTorchvision:
    def test_preparing_twice_is_preparing_once(self):
        from vision.torchvision_cpu import has_compiled_operators, prepare_torchvision

        prepare_torchvision()
        before = has_compiled_operators()
        prepare_torchvision()
        assert has_compiled_operators() is before

    def test_torchvision_and_what_builds_on_it_import_and_suppress_boxes(self):
        from vision.torchvision_cpu import prepare_torchvision

        prepare_torchvision()
        import segmentation_models_pytorch
        import timm
        from torchvision.ops import batched_nms

        boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4.1], [0, 0, 4, 4]])
        kept = batched_nms(boxes, torch.tensor([0.2, 0.9, 0.5]), torch.tensor([0, 0, 1]), 0.5)
        assert kept.tolist() == [1, 2]
        assert timm.__version__
        assert segmentation_models_pytorch.__version__

    def test_pooling_of_regions_is_right_and_can_be_learned_through(self):
        from vision.torchvision_cpu import prepare_torchvision

        prepare_torchvision()
        from torchvision.ops import roi_align

        ramp = torch.arange(16.0).reshape(1, 1, 4, 4).requires_grad_()
        box = torch.tensor([[0.0, 0, 4, 4]])
        pooled = roi_align(ramp, [box], output_size=2, sampling_ratio=2, aligned=True)
        assert pooled.tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
        pooled.sum().backward()
        assert float(ramp.grad.sum()) == pytest.approx(4)

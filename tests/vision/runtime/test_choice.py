import json
import threading

import numpy as np
import pytest

from tests.vision.runtime.tiny import TinyNetwork, TinyPredictor, UnsureNetwork, pictures
from vision.runtime.choice import INT8, HeldOut, choose_engine
from vision.runtime.torch_engine import TorchEngine

SHA = "ab" * 32


class Sayings(list):
    def __call__(self, line):
        self.append(line)


@pytest.fixture
def said():
    return Sayings()


def choose(predictor, cache, said, **others):
    return choose_engine(predictor, pictures(3), cache=cache, model_sha256=SHA, say=said, **others)


def kept(cache):
    return next(cache.glob("*.json"))


def rewrite(cache, **fields):
    path = kept(cache)
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.fixture(scope="module")
def cache_made_once(tmp_path_factory):
    """A cache after one real choice."""
    cache = tmp_path_factory.mktemp("cache")
    choose(TinyPredictor(), cache, Sayings())
    return cache


@pytest.fixture
def cache(cache_made_once, tmp_path):
    """A copy of it for one test. OpenVINO is written in as the winner, so that no race decides what a test sees."""
    for path in cache_made_once.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rewrite(tmp_path, engine="OpenVINO on cpu", score_limit=1e-3)
    return tmp_path


def test_every_runtime_is_measured_and_the_choice_is_said_with_its_figures(tmp_path, said):
    predictor = TinyPredictor()
    choice = choose(predictor, tmp_path, said)
    assert set(choice.measured) == {"torch on cpu", "ONNX Runtime on cpu", "OpenVINO on cpu"}
    assert choice.refused == {}
    assert predictor.engine.name == choice.name
    assert choice.ms == choice.measured[choice.name]
    assert not choice.is_remembered
    assert f"The network runs in {choice.name}, the fastest here" in said[-1]
    assert f"torch on cpu {choice.measured['torch on cpu']:.1f} ms" in said[-1]
    json.dumps(choice.as_json())


def test_the_choice_sticks_and_gives_the_same_bits_again(cache, said):
    first, second = TinyPredictor(), TinyPredictor()
    assert choose(first, cache, said).name == "OpenVINO on cpu"
    again = choose(second, cache, said)
    assert again.is_remembered
    assert again.parity.max_score_difference < 1e-3
    for picture in pictures(3, seed=7):
        one, other = first.predict([picture])[0], second.predict([picture])[0]
        assert one.score == other.score
        assert one.defect_map.tobytes() == other.defect_map.tobytes()


def test_a_library_of_another_version_measures_again_and_says_so(cache, said):
    libraries = json.loads(kept(cache).read_text())["libraries"]
    rewrite(cache, libraries={**libraries, "onnxruntime": "1.0.0"})
    choice = choose(TinyPredictor(), cache, said)
    assert not choice.is_remembered
    assert f"onnxruntime is {libraries['onnxruntime']} instead of 1.0.0" in said[0]
    assert json.loads(kept(cache).read_text())["libraries"] == libraries


def test_a_corrupted_choice_is_ignored_and_made_anew(cache, said):
    kept(cache).write_text("{not json")
    choice = choose(TinyPredictor(), cache, said)
    assert not choice.is_remembered
    assert "is damaged" in said[0]
    assert choose(TinyPredictor(), cache, said).is_remembered


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_network_file_is_written_again_and_the_choice_stays(cache, said, damage):
    path = next(cache.glob("*.float32.onnx"))
    whole = path.read_bytes()
    path.write_bytes(whole[:100]) if damage == "cut" else path.unlink()
    choice = choose(TinyPredictor(), cache, said)
    assert choice.name == "OpenVINO on cpu"
    assert choice.is_remembered
    assert "missing or damaged" in said[0]
    assert path.read_bytes() == whole


def test_a_runtime_that_gives_other_scores_now_is_not_used_and_the_sentence_says_by_how_much(cache, said):
    other = TinyPredictor(TinyNetwork(seed=1))  # the kept network is not this predictor's
    choice = choose(other, cache, said)
    assert not choice.is_remembered
    assert "OpenVINO on cpu ran this model before and does not now: Its scores differ" in said[0]
    assert other.predict(pictures(1))[0].score == pytest.approx(
        TinyPredictor(TinyNetwork(seed=1)).predict(pictures(1))[0].score, abs=1e-4
    )


def test_a_runtime_that_this_version_lacks_measures_again(cache, said):
    rewrite(cache, engine="a runtime of next year")
    assert not choose(TinyPredictor(), cache, said).is_remembered
    assert "does not have it" in said[0]


def test_two_workers_that_start_together_run_the_same(cache):
    predictors = [TinyPredictor() for _ in range(3)]
    threads = [
        threading.Thread(target=choose, args=(predictor, cache, Sayings())) for predictor in predictors
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {predictor.engine.name for predictor in predictors} == {"OpenVINO on cpu"}


def test_a_network_that_cannot_be_exported_runs_in_torch_with_a_reason_for_each_other_runtime(tmp_path, said):
    predictor = TinyPredictor(UnsureNetwork())
    choice = choose(predictor, tmp_path, said)
    assert choice.name == "torch on cpu"
    assert isinstance(predictor.engine, TorchEngine)
    assert set(choice.refused) == {"ONNX Runtime on cpu", "OpenVINO on cpu"}
    assert all("cannot be written as ONNX" in sentence for sentence in choice.refused.values())


class OwnRuntime(TinyPredictor):
    exports_to_onnx = False


def test_a_predictor_with_a_runtime_of_its_own_keeps_it(tmp_path, said):
    predictor = OwnRuntime()
    engine = predictor.engine
    assert choose(predictor, tmp_path, said).ms is None
    assert predictor.engine is engine
    assert list(tmp_path.iterdir()) == []


def test_without_reference_images_nothing_is_proved_and_torch_runs(tmp_path, said):
    predictor = TinyPredictor()
    choice = choose_engine(predictor, [], cache=tmp_path, model_sha256=SHA, say=said)
    assert choice.name == "torch on cpu"


def test_a_cache_that_cannot_be_written_is_said_and_the_runtimes_are_measured_all_the_same(tmp_path, said):
    (tmp_path / "file").write_text("")
    choice = choose(TinyPredictor(), tmp_path / "file" / "cache", said)
    assert choice.measured
    assert "cannot be kept" in said[0]


def held_out(**limits):
    return HeldOut(pictures(4, seed=1), pictures(3, seed=2), pictures(3, seed=3), **limits)


def test_eight_bits_are_tried_only_with_held_out_parts_and_refused_with_the_figure(tmp_path, said):
    choice = choose(TinyPredictor(), tmp_path, said, held_out=held_out(max_score_difference=1e-9))
    assert "is allowed), on 3 good and 3 bad held-out parts" in choice.refused[INT8]
    assert INT8 not in choice.measured


def test_eight_bits_that_were_admitted_are_measured_and_stick_without_the_held_out_parts(tmp_path, said):
    generous = held_out(max_score_difference=0.5, max_auroc_loss=1.0)
    assert INT8 in choose(TinyPredictor(), tmp_path, said, held_out=generous).measured
    rewrite(tmp_path, engine=INT8, score_limit=0.5)
    predictor = TinyPredictor()
    choice = choose(predictor, tmp_path, said)
    assert choice.name == INT8
    assert choice.is_remembered
    assert np.isfinite(predictor.predict(pictures(1))[0].score)

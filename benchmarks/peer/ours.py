"""Our side: fit, give looks in OpenVINO (the runtime of the peer's faster inferencer), score every test picture."""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import cv2
import numpy as np

from benchmarks.peer.turns import answer_turns
from vision.families import new_predictor
from vision.predictor import Example, no_progress
from vision.runtime.export import to_onnx
from vision.runtime.openvino_engine import OpenVinoEngine

pack, out, timed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
good = [Example(np.load(path), is_bad=False) for path in sorted(pack.glob("train_*.npy"))]
test = [np.load(path) for path in sorted(pack.glob("test_*.npy"))]
predictor = new_predictor("patchcore", device="cpu")
began = time.perf_counter()
predictor.fit(good, seed=0, progress=no_progress)
fit_s = time.perf_counter() - began
tile_shape = predictor.prepare(test[0]).shape[1:]
predictor.engine = OpenVinoEngine(to_onnx(predictor.network, tile_shape=tile_shape).content)
sized = [cv2.resize(image, tile_shape[:0:-1], interpolation=cv2.INTER_AREA) for image in test[:timed]]
predictor.predict(test[:5])
answer_turns(
    {
        "whole": lambda number: predictor.predict([test[number]]),
        "sized": lambda number: predictor.predict([sized[number]]),
    }
)
seen = [predictor.predict([image])[0] for image in test]
np.save(out / "scores.npy", np.array([prediction.score for prediction in seen]))
np.save(out / "maps.npy", np.stack([prediction.defect_map for prediction in seen]))
(out / "figures.json").write_text(json.dumps({"fit_s": round(fit_s, 2)}))

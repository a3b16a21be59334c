"""FastFlow: a density of good features, learned by an invertible network."""

import numpy as np
import pytest
import torch

from tests.vision.models.good_parts import GoodPartsFamily
from vision.models.fastflow import Coupling, Flow
from vision.predictor import State


class TestFastFlow(GoodPartsFamily):
    family = "fastflow"
    options = {"steps": 2, "epochs": 4}
    quick_options = {"input_px": 64, "epochs": 1}
    fewest_auroc = 0.65

    def one_of_each_kind(self, state):
        names = ("backbone.stem.weight", "flows.0.couplings.0.log_scale", "flows.1.couplings.1.last.weight")
        return {name: state.tensors[name] for name in names}

    def test_a_shuffle_that_loses_a_channel_is_refused(self, learned):
        state = learned.state()
        name = "flows.0.couplings.0.order"
        twice = state.tensors[name].copy()
        twice[0] = twice[1]
        with pytest.raises(ValueError, match="each channel in one place"):
            type(learned).from_state(State({**state.tensors, name: twice}, state.metadata), device="cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kernel", [1, 3])
def test_the_log_determinant_of_a_coupling_is_that_of_its_jacobian(kernel):
    coupling = Coupling(4, kernel=kernel).double()
    coupling.start(seeded())
    for parameter in coupling.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=seeded(len(parameter)))
    x = torch.randn(1, 4, 3, 3, generator=seeded(7), dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda each: coupling(each)[0], x).reshape(36, 36)
    _, told = coupling(x)
    assert torch.linalg.slogdet(jacobian).logabsdet.item() == pytest.approx(told.sum().item(), abs=1e-9)


def test_a_flow_begins_with_mean_0_and_variance_1_whatever_the_features_scale():
    seen = 50 + 7 * torch.randn(16, 6, 5, 5, generator=seeded())
    coupling = Coupling(6, kernel=3)
    coupling.start(seeded())
    coupling.start_from(seen)
    out, _ = coupling(seen)
    assert out.mean(dim=(0, 2, 3)).abs().max() < 1e-4
    assert (out.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-4


def test_what_was_never_seen_is_less_likely():
    seen = torch.randn(16, 6, 5, 5, generator=seeded())
    flow = Flow(6, steps=2)
    flow.start(seen, seeded())
    strange = seen.clone()
    strange[:, :, 2, 2] += 6
    with torch.inference_mode():
        here, there = flow(strange)[:, 2, 2], flow(strange)[:, 0, 0]
    assert here.min() > there.max()


def test_a_clamped_coupling_never_scales_by_more_than_e_squared():
    coupling = Coupling(4, kernel=1)
    coupling.start(seeded())
    torch.nn.init.constant_(coupling.last.bias, 1e9)
    _, gained = coupling(torch.zeros(1, 4, 1, 1))
    assert gained.item() <= 2 * 2 * (1 + 1e-6)
    assert np.isfinite(gained.item())

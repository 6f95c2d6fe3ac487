"""How fairseq is begun without what none of our tasks calls."""

import importlib.util
import subprocess
import sys

import pytest

from csr.running.launch import unused_later

_CHECK = """
import sys
import fairseq_plugins
assert not {"sklearn", "pandas"} & set(sys.modules)
from fairseq.criterions.sentence_prediction import f1_score, pearsonr
assert f1_score([1, 0], [1, 0]) == 1.0 and abs(pearsonr([1, 2, 4], [1, 2, 4])[0] - 1) < 1e-9
from sklearn.metrics import f1_score as real
assert real([1], [1]) == 1.0
"""
_UPDATE = """
import sys
import torch
from csr.running.launch import without_compiler
without_compiler()
weight = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.0)
weight.sum().backward()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
optimizer.zero_grad()
assert torch.allclose(weight, torch.full((3,), 0.9)) and weight.grad is None and weight.requires_grad
assert "torch._dynamo" not in sys.modules
"""


@pytest.mark.slow
def test_an_update_without_the_compiler_is_adams():
    """The first: each weight moves by the rate."""
    subprocess.run([sys.executable, "-W", "error::FutureWarning", "-c", _UPDATE], check=True)


@pytest.mark.slow
def test_the_plugin_comes_without_what_only_fairseqs_own_tasks_call():
    """These call it all the same, then it is imported."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", _CHECK], check=True)


def test_stand_ins_are_gone_after_the_block_and_call_the_real_module():
    sys.modules.pop("colorsys", None)
    with unused_later(["colorsys", "of_no_package"]):
        from colorsys import rgb_to_hls

        assert importlib.util.find_spec("colorsys")
        with pytest.raises(ModuleNotFoundError):
            import of_no_package  # noqa: F401
        assert not hasattr(sys.modules["colorsys"], "__file__")
    assert "colorsys" not in sys.modules
    assert rgb_to_hls(0, 0, 0) == (0.0, 0.0, 0.0)
    assert hasattr(sys.modules["colorsys"], "__file__")

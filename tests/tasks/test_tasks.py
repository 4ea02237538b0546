"""Tasks by name: shapes, options, determinism, closed forms."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from landscape.tasks import load_task, task_names
from landscape.tasks.functions import CURVATURES, FUNCTIONS
from landscape.tasks.models import lenet, mlp
from landscape.tasks.names import IMAGE_MODELS, find_model
from landscape.tasks.task import Data, classification_error, cross_entropy
from landscape.tasks.transformers import gpt, vit
from landscape.tasks.vgg import vgg


def images(size, channels=1, count=2):
    part = (torch.zeros(count, channels, size, size), torch.zeros(count, dtype=torch.long))
    return Data(train=part, test=part, classes=10)


def text(length=16, symbols=11, count=3):
    tokens = torch.randint(symbols, (count, length), generator=torch.Generator().manual_seed(0))
    return Data(train=(tokens, tokens), test=(tokens, tokens), classes=symbols)


def size(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("model", "data", "parameters"),
    [
        # LeNet-5 on 32×32: 156 + 2416 + 48120 + 10164 + 850 (LeCun 1998 with a full C3).
        (lenet, images(32), 61706),
        (lenet, images(28), 61706),
        (mlp, images(28), 784 * 64 + 64 + 64 * 64 + 64 + 640 + 10),
        # VGG-11 with biases on CIFAR: 9,220,480 in convolutions, 5,130 in the classifier.
        (lambda d: vgg(d, depth=11, batch_norm=False), images(32, 3), 9_225_610),
        # per block 12 width² + 13 width, here 4 × (12·128² + 13·128), symbols and positions
        (gpt, text(), 4 * (12 * 128**2 + 13 * 128) + 256 + 2 * 11 * 128 + 16 * 128),
    ],
)
def test_parameter_counts(model, data, parameters):
    assert size(model(data)) == parameters


@pytest.mark.parametrize("name", sorted(set(IMAGE_MODELS) - {"resnet110"}))
@pytest.mark.parametrize("shape", [(28, 1), (32, 3)])
def test_image_models_give_one_logit_per_class(name, shape):
    data = images(*shape)
    assert find_model(name, IMAGE_MODELS)(data)(data.train[0]).shape == (2, 10)


def test_vit_sees_every_pixel():
    data = images(8)
    model = vit(data, layers=1, width=8, heads=2)
    pixels = data.train[0].clone().requires_grad_()
    model(pixels)[0, 0].backward()
    assert pixels.grad is not None
    assert (pixels.grad[0] != 0).all()
    assert (pixels.grad[1] == 0).all()


def test_gpt_does_not_see_the_future():
    data = text()
    model = gpt(data, layers=2, width=16, heads=2)
    tokens = data.train[0]
    changed = tokens.clone()
    changed[:, 9] = (changed[:, 9] + 1) % 11
    same = (model(tokens) == model(changed)).all(-1)
    assert same[:, :9].all()
    assert not same[:, 9:].any()


def test_attention_agrees_with_torchs_own():
    torch.manual_seed(0)
    model = gpt(text(), layers=1, width=16, heads=4).double()
    block = model.blocks[0]
    x = torch.randn(3, 16, 16, dtype=torch.float64)
    twin = nn.TransformerEncoderLayer(
        16, 4, 64, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    names = {
        "attention": "self_attn.in_proj_",
        "projection": "self_attn.out_proj.",
        "mlp.0": "linear1.",
        "mlp.2": "linear2.",
        "norm1": "norm1.",
        "norm2": "norm2.",
    }
    state = {
        names[k.rpartition(".")[0]] + k.rpartition(".")[2]: v for k, v in block.state_dict().items()
    }
    twin.load_state_dict(state)
    mask = nn.Transformer.generate_square_subsequent_mask(16, dtype=torch.float64)
    torch.testing.assert_close(block(x), twin(x, src_mask=mask), rtol=1e-12, atol=1e-12)


def test_options_in_names():
    model = find_model("mlp-20-30-relu-bn", IMAGE_MODELS)(images(8))
    kinds = [type(m).__name__ for m in model]
    assert kinds == ["Flatten", *["Linear", "BatchNorm1d", "ReLU"] * 2, "Linear"]
    assert [m.out_features for m in model if isinstance(m, nn.Linear)] == [20, 30, 10]
    plain = find_model("resnet20-noskip-w8", IMAGE_MODELS)(images(32, 3))
    assert size(plain) < size(find_model("resnet20-w8", IMAGE_MODELS)(images(32, 3)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits/mpl", "model must be one of mlp, conv"),
        ("digits/mlp-fast", "unknown option 'fast'"),
        ("digits/mlp-noskip", "mlp takes no option shortcut"),
        ("digits/lenet", "at least 28"),
        ("digits", "task must be one of digits/mlp"),
        ("letters/mlp", "package.module:function"),
        ("tiny-shakespeare/mlp", "model must be one of gpt"),
        ("function/parabola", "function/rosenbrock"),
    ],
)
def test_unknown_names_say_what_is_allowed(name, expected):
    with pytest.raises(ValueError, match=expected):
        load_task(name)


@pytest.mark.parametrize("name", ["parabola", "parabola.py"])
def test_a_file_without_its_function(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("parabola.py").touch()
    with pytest.raises(ValueError, match=r"name the function in it too: parabola:task"):
        load_task(name)


def test_initialisation_depends_on_the_seed_alone():
    state = torch.random.get_rng_state()
    first, second, third = (load_task("two-spirals/mlp-9", seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first.train[0], third.train[0])
    weights = [task.model[1].weight for task in (first, second, third)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_losses_of_texts_are_means_over_tokens():
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.tensor([[0, 1, 2], [3, 4, 0]])

    class Fixed(nn.Module):
        def forward(self, _):
            return logits

    chosen = logits.log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    loss = cross_entropy(Fixed(), (labels, labels))
    torch.testing.assert_close(loss, -chosen.mean(1), rtol=1e-14, atol=0)
    wrong = (logits.argmax(-1) != labels).float().mean(1)
    assert torch.equal(classification_error(Fixed(), (labels, labels)), wrong)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_their_minimum_where_they_say(name):
    minimum = {"rosenbrock": [1.0, 1.0], "beale": [3.0, 0.5], "quadratic": [0.0] * 10}[name]
    task = load_task(f"function/{name}")
    task.model.x.data = torch.tensor(minimum)
    loss = task.loss(task.model, task.train)
    loss.backward()
    assert loss == 0
    assert (task.model.x.grad == 0).all()
    hessian = torch.autograd.functional.hessian(task.model.function, task.model.x.detach())
    assert torch.linalg.eigvalsh(hessian).min() > 0
    if name == "quadratic":
        assert torch.equal(hessian, torch.tensor(CURVATURES).diag())


def test_every_listed_task_without_files_loads():
    for name in task_names():
        if name.split("/")[0] in ("two-spirals", "function"):
            task = load_task(name)
            assert task.loss(task.model, task.train).isfinite().all()

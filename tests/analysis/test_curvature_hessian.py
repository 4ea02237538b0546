"""Products with the Hessian: exact for all kinds of losses and nets, else refused."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from dense import dense_hessian
from scipy.sparse.linalg import eigsh
from torch import nn
from torch.nn import functional as F

import landscape as ls


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def squared(model, batch):
    return (model(batch[0]) - batch[1]).square().sum(dim=1)


def mean_squared(model, batch):
    return squared(model, batch).mean()


def weighted(model, batch):
    return squared(model, batch).sum(), torch.tensor(float(len(batch[0])))


def cross_entropy(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.LayerNorm(6), nn.Linear(6, 3)).double()


def written_out(objective, vector, **options):
    with objective.hessian(vector, **options) as hessian:
        return hessian @ np.eye(hessian.shape[0])


@pytest.mark.parametrize("loss", [squared, mean_squared, weighted])
@pytest.mark.parametrize("batch_size", [1, 3, 11])
def test_linear_regression_whatever_the_batches(loss, batch_size):
    x, y = drawn(11, 3), drawn(11, 2, seed=1)
    model = nn.Linear(3, 2, bias=False).double()
    objective = ls.Objective(model, loss, (x, y), precision="double", batch_size=batch_size)
    expected = np.kron(np.eye(2), 2 * (x.T @ x / 11).numpy())
    np.testing.assert_allclose(written_out(objective, np.ones(6)), expected, atol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_a_net_with_a_norm_against_the_written_out_hessian(batch_size):
    x, y = drawn(10, 4), torch.arange(10) % 3
    model = net()
    objective = ls.Objective(
        model, cross_entropy, (x, y), precision="double", batch_size=batch_size
    )
    vector = objective.parameters() + 0.1
    expected = dense_hessian(model, lambda m: F.cross_entropy(m(x), y), vector)
    with objective.hessian(vector) as hessian:
        found = hessian @ np.eye(len(vector))
        assert hessian.count == len(vector)
        gradient, value = hessian.gradient, hessian.loss
    np.testing.assert_allclose(gradient, objective.gradient(vector), atol=1e-13)
    assert value == pytest.approx(objective.at(vector).mean[0, 0], rel=1e-12)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_batches_of_different_lengths_weigh_by_their_samples():
    batches = [(drawn(n, 2, length).mean(2), drawn(n, 1)) for n, length in ((7, 3), (1, 5), (4, 2))]
    batches[1] = (batches[1][0], batches[1][1])
    model = nn.Linear(2, 1).double()
    objective = ls.Objective(model, mean_squared, batches, precision="double")
    x = torch.cat([b[0] for b in batches])
    with_one = torch.cat([x, torch.ones(12, 1)], dim=1).numpy()
    expected = 2 * with_one.T @ with_one / 12
    np.testing.assert_allclose(written_out(objective, np.zeros(3)), expected, atol=1e-12)


class Texts(nn.Module):
    """Sequences of several lengths, tied embeddings, attention, and a frozen position table."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.places = nn.Embedding(8, 4).requires_grad_(False)
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.words.weight

    def forward(self, tokens):
        h = self.words(tokens) + self.places(torch.arange(tokens.shape[1]))
        return self.out(h + F.scaled_dot_product_attention(h, h, h, is_causal=True))


def next_token(model, batch):
    logits = model(batch)[:, :-1]
    each = F.cross_entropy(logits.transpose(1, 2), batch[:, 1:], reduction="none")
    return each.sum(), torch.tensor(each.numel())


def test_tied_and_frozen_weights_attention_and_tokens():
    torch.manual_seed(1)
    model = Texts().double()
    texts = [torch.randint(0, 7, (n, length)) for n, length in ((3, 5), (2, 8), (1, 2))]
    objective = ls.Objective(model, next_token, texts, precision="double")
    vector = objective.parameters()
    assert vector.shape == (28,)

    def mean(m):
        pairs = [next_token(m, text) for text in texts]
        return sum(s for s, _ in pairs) / sum(w for _, w in pairs)

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        expected = dense_hessian(model, mean, vector)
    np.testing.assert_allclose(written_out(objective, vector), expected, atol=1e-12)


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_transformer_layer(batch_first):
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5, batch_first=batch_first).double()
    x = drawn(3, 3, 4)

    def loss(m, batch):
        out = m(batch if batch_first else batch.transpose(0, 1))
        return out.square().sum() / len(batch) + out.sin().sum() / len(batch)

    objective = ls.Objective(model, loss, x, precision="double", batch_size=3)
    vector = objective.parameters()
    model.eval()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        expected = dense_hessian(model, lambda m: loss(m, x), vector)
    direction = np.random.default_rng(0).standard_normal(len(vector))
    with objective.hessian(vector) as hessian:
        np.testing.assert_allclose(hessian @ direction, expected @ direction, atol=1e-10)


def test_a_block_of_tensors():
    x, y = drawn(6, 4), torch.arange(6) % 3
    objective = ls.Objective(net(), cross_entropy, (x, y), precision="double")
    vector = objective.parameters()
    whole = written_out(objective, vector)
    chosen = [e for e in objective.layout if e.name.endswith("bias")]
    places = np.concatenate([np.arange(len(vector))[e.slice] for e in chosen])
    block = written_out(objective, vector, tensors=r"bias$")
    np.testing.assert_allclose(block, whole[np.ix_(places, places)], atol=1e-12)
    with objective.hessian(vector, tensors=r"bias$") as hessian:
        np.testing.assert_array_equal(hessian.block(vector), vector[places])
        again = hessian.block(hessian.embed(np.arange(len(places)) + 1.0))
        assert again.tolist() == (np.arange(len(places)) + 1.0).tolist()
    for pattern, said in (("nothing", "names none"), ("(", "no regular expression")):
        with pytest.raises(ValueError, match=said), objective.hessian(vector, tensors=pattern):
            pass


def test_scipy_takes_it():
    x, y = drawn(20, 4), torch.arange(20) % 3
    objective = ls.Objective(net(), cross_entropy, (x, y), precision="double")
    vector = objective.parameters()
    expected = np.linalg.eigvalsh(written_out(objective, vector))
    with objective.hessian(vector) as hessian:
        assert hessian.shape == (len(vector),) * 2
        assert hessian.dtype == np.float64
        found = eigsh(hessian, k=2, which="LA", return_eigenvectors=False)
        np.testing.assert_allclose(
            (hessian.T @ np.ones(len(vector))), hessian @ np.ones(len(vector))
        )
    np.testing.assert_allclose(found, expected[-2:], atol=1e-9)


def test_on_a_line_at_a_coordinate():
    objective = ls.Objective(
        nn.Linear(2, 1, bias=False).double(),
        lambda model, batch: model(batch)[:, 0] ** 4,
        torch.tensor([[1.0, 0.0]], dtype=torch.float64),
        precision="double",
    )
    at = objective.restrict(np.zeros(2), np.array([[1.0, 0.0], [0.0, 1.0]]))
    with at.hessian(np.array([3.0, 5.0])) as hessian:  # 12 w²
        np.testing.assert_allclose(hessian @ np.eye(2), [[108, 0], [0, 0]], atol=1e-9)


@pytest.mark.parametrize("mode", ["plain", "no_grad", "inference"])
def test_the_model_is_given_back_as_it_was(mode):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 1))
    model[0].weight.grad = torch.full_like(model[0].weight, 3.0)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(5)
    random = torch.get_rng_state()
    around = {
        "plain": torch.enable_grad,
        "no_grad": torch.no_grad,
        "inference": torch.inference_mode,
    }
    for policy in ("frozen", "batch"):
        objective = ls.Objective(
            model, squared, (drawn(8, 3), drawn(8, 1)), batch_norm=policy, batch_size=4
        )
        with around[mode](), objective.hessian(objective.parameters()) as hessian:
            assert np.isfinite(hessian @ np.ones(hessian.shape[0])).all()
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert (model[0].weight.grad == 3).all()
    assert model[3].bias.grad is None
    assert all(m.training for m in model.modules())
    assert model[1].track_running_stats
    assert torch.equal(random, torch.get_rng_state())


def test_an_exception_inside_gives_the_model_back_and_the_graphs_die():
    model = net()
    objective = ls.Objective(model, cross_entropy, (drawn(6, 4), torch.arange(6) % 3))
    kept, objects = [], []

    def fail():
        with objective.hessian(objective.parameters()) as hessian:
            kept.extend(weakref.ref(g) for graph in hessian._kept for g in graph.gradients)
            objects.append(hessian)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert kept
    (hessian,) = objects
    gc.collect()
    assert all(ref() is None for ref in kept)
    with pytest.raises(ValueError, match="outside its `with`"):
        hessian @ np.ones(hessian.shape[0])
    assert np.isfinite(objective.at(objective.parameters()).mean).all()


@pytest.mark.parametrize("policy", ["frozen", "batch"])
def test_batch_norm_policies(policy):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1)).double()
    x, y = drawn(8, 3), drawn(8, 1)
    objective = ls.Objective(
        model, squared, (x, y), batch_norm=policy, batch_size=4, precision="double"
    )
    vector = objective.parameters()
    model.train(policy == "batch")
    parts = [(x[:4], y[:4]), (x[4:], y[4:])]
    expected = (
        sum(dense_hessian(model, lambda m, b=b: squared(m, b).mean(), vector) for b in parts) / 2
    )
    np.testing.assert_allclose(written_out(objective, vector), expected, atol=1e-11)


def test_recalibrated_statistics_and_low_precision_are_refused():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    for options, said in (
        ({"batch_norm": "recalibrated"}, "recalibrated"),
        ({"precision": "bfloat16"}, "precision of 'single' or 'double'"),
    ):
        objective = ls.Objective(model, squared, (drawn(8, 3), drawn(8, 1)), **options)
        with pytest.raises(ValueError, match=said), objective.hessian(objective.parameters()):
            pass


class Fused(torch.autograd.Function):
    """x², with a backward pass like a kernel's: it says that it cannot be differentiated."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):
        return 2 * ctx.saved_tensors[0] * slope


class Silent(Fused):
    """The same, but it does not say so."""

    @staticmethod
    def backward(ctx, slope):
        return 2 * ctx.saved_tensors[0].detach() * slope


def out(model, batch):
    return model(batch[0])[:, 0]


WITHOUT = {
    "no_grad": lambda m, b: torch.no_grad()(out)(m, b).square(),
    "detached": lambda m, b: out(m, b).detach().square(),
    "item": lambda m, b: torch.tensor(out(m, b).square().mean().detach().item()),
    "half detached": lambda m, b: out(m, b).square() * out(m, b).detach(),
    "a detached target": lambda m, b: (out(m, b) - 0.5 * out(m, b).detach()).square(),
    "data": lambda m, b: out(m, b).square() + m[0].weight.data.square().sum(),
    "straight through": lambda m, b: (out(m, b) + (out(m, b).round() - out(m, b)).detach()) ** 2,
    "fused": lambda m, b: Fused.apply(out(m, b)),
    "silent": lambda m, b: Silent.apply(out(m, b)),
    "frozen weight": lambda m, b: (out(m, b).square().sum(), out(m, b).square().sum()),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_loss_that_drops_curvature_is_refused(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    objective = ls.Objective(model, WITHOUT[name], (drawn(9, 3),), precision="double", batch_size=9)
    with pytest.raises(ValueError, match=r"Hessian|differentiated|curvature|data only"):  # noqa: SIM117
        with objective.hessian(objective.parameters()):
            pass
    assert model[0].weight.grad_fn is None


@pytest.mark.parametrize("precision", ["single", "double"])
def test_rectifiers_pass_the_look_at_the_curvature(precision):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 3)
    )
    data = (drawn(40, 1, 8, 8), torch.arange(40) % 3)
    objective = ls.Objective(model, cross_entropy, data, precision=precision)
    with objective.hessian(objective.parameters()) as hessian:
        a, b = np.random.default_rng(0).standard_normal((2, hessian.shape[0]))
        assert a @ (hessian @ b) == pytest.approx(b @ (hessian @ a), rel=1e-4)


def test_little_memory_gives_the_same_products(monkeypatch):
    x, y = drawn(10, 4), torch.arange(10) % 3
    objective = ls.Objective(net(), cross_entropy, (x, y), precision="double", batch_size=3)
    vector, v = objective.parameters(), np.arange(63.0)
    with objective.hessian(vector) as hessian:
        expected, kept = hessian @ v, len(hessian._kept)
    for free, least in ((0, 0), (5_000, 1)):
        monkeypatch.setattr(
            "landscape.objective.second_order.hessian.free_bytes", lambda device, f=free: f
        )
        with objective.hessian(vector) as hessian:
            assert least <= len(hessian._kept) < kept
            np.testing.assert_allclose(hessian @ v, expected, rtol=1e-13)


def test_what_does_not_fit_is_cut_in_half():
    x, y = drawn(16, 4), torch.arange(16) % 3

    def hungry(model, batch):
        if len(batch[0]) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return cross_entropy(model, batch)

    plain = ls.Objective(net(), cross_entropy, (x, y), precision="double")
    objective = ls.Objective(net(), hungry, (x, y), precision="double")
    vector, v = plain.parameters(), np.arange(63.0)
    with plain.hessian(vector) as a, objective.hessian(vector) as b:
        np.testing.assert_allclose(b @ v, a @ v, rtol=1e-12)


def test_linear_and_unused_parameters_have_no_curvature():
    model = nn.ModuleDict({"used": nn.Linear(2, 1), "idle": nn.Linear(1, 1)}).double()

    def loss(m, batch):
        return m["used"](batch)[:, 0]

    objective = ls.Objective(model, loss, drawn(4, 2), precision="double")
    assert not written_out(objective, np.ones(5)).any()


def test_a_compiled_model_runs_plainly():
    compiled = torch.compile(net(), backend="aot_eager")
    data = (drawn(6, 4), torch.arange(6) % 3)
    vector = ls.Objective(net(), cross_entropy, data, precision="double").parameters()
    found = [
        written_out(ls.Objective(m, cross_entropy, data, precision="double"), vector)
        for m in (net(), compiled)
    ]
    np.testing.assert_allclose(*found, atol=1e-12)


@pytest.mark.gpu
def test_on_a_gpu_as_on_the_processor():
    torch.manual_seed(1)
    texts = torch.randint(0, 7, (6, 8))
    found = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(2)
        model = Texts().double()
        model.places.weight.data = model.places.weight.data.to(device)
        model = model.to(device)

        def loss(m, batch, device=device):
            with torch.device(device):
                return next_token(m, batch)

        objective = ls.Objective(model, loss, texts, precision="double", device=device)
        found.append(written_out(objective, objective.parameters()))
    np.testing.assert_allclose(*found, atol=1e-10)


@pytest.mark.gpu
def test_a_recurrent_net_on_a_gpu():
    torch.manual_seed(0)
    model = nn.LSTM(3, 4, batch_first=True).double()

    def loss(m, batch):
        return m(batch)[0].square().sum(dim=(1, 2))

    found = []
    for device in ("cpu", "cuda"):
        objective = ls.Objective(
            model.to(device), loss, drawn(5, 6, 3), precision="double", device=device
        )
        vector = objective.parameters()
        with objective.hessian(vector) as hessian:
            found.append(hessian @ np.ones(len(vector)))
    np.testing.assert_allclose(*found, atol=1e-10)


def test_a_loss_that_needs_its_batch_size():
    """Pairs of samples in the order of the batch: a batch of another size is another loss."""

    def loss(model, batch):
        out = model(batch[0])[:, 0].view(4, -1)  # four groups
        return (out[:2] - out[2:]).square().mean()

    x = drawn(16, 3)
    model = nn.Linear(3, 1, bias=False).double()
    objective = ls.Objective(model, loss, (x,), precision="double", batch_size=8)
    parts = [
        dense_hessian(model, lambda m, p=p: loss(m, (p,)), np.zeros(3)) for p in (x[:8], x[8:])
    ]
    np.testing.assert_allclose(written_out(objective, np.zeros(3)), sum(parts) / 2, atol=1e-12)


def test_kinks_closer_than_a_small_step_are_not_taken_for_missing_curvature():
    """A deep rectifier net has kinks everywhere; so has this wave, whose curvature is 0."""

    def loss(model, batch):
        w = model.weight.reshape(-1)
        wave = ((w * 3e7).remainder(1.0) - 0.5).abs() / 3e7
        return w.square().sum() + wave.sum() + 0 * batch[0].sum()

    torch.manual_seed(0)
    objective = ls.Objective(nn.Linear(2, 1, bias=False), loss, (torch.zeros(4, 1),))
    with objective.hessian(objective.parameters()) as hessian:
        np.testing.assert_allclose(hessian @ np.eye(2), 2 * np.eye(2), rtol=1e-5)


def gradient_penalty(critic, batch):
    """Mean of (‖∂critic/∂x‖ - 1)², after Gulrajani et al. 2017."""
    x = batch[0].detach().requires_grad_()
    slope = torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0]
    return (slope.norm(dim=1) - 1).square() + critic(x)[:, 0].square()


def heat(net, batch):
    """Squared residual of u_t = u_xx of a physics-informed net, after Raissi et al. 2019."""
    x = batch[0].detach().requires_grad_()
    first = torch.autograd.grad(net(x).sum(), x, create_graph=True)[0]
    second = torch.autograd.grad(first[:, 0].sum(), x, create_graph=True)[0]
    return (first[:, 1] - second[:, 0]).square()


@pytest.mark.parametrize("loss", [gradient_penalty, heat])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_losses_that_differentiate_inside(loss, batch_size):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    data = (drawn(20, 2).double(),)
    options = {} if batch_size is None else {"batch_size": batch_size}
    objective = ls.Objective(model, loss, data, precision="double", **options)
    vector = objective.parameters()
    names = [entry.name for entry in objective.layout]
    shapes = [p.shape for p in model.parameters()]
    sizes = [p.numel() for p in model.parameters()]

    def whole(flat):
        parts = [p.view(s) for p, s in zip(flat.split(sizes), shapes, strict=True)]
        named = dict(zip(names, parts, strict=True))
        return loss(lambda x: torch.func.functional_call(model, named, (x,)), data).mean()

    flat = torch.from_numpy(np.array(vector, np.float64))
    want = torch.autograd.functional.hessian(whole, flat).numpy()
    with objective.hessian(vector) as hessian:
        found = hessian @ np.eye(len(flat))
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-10)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("hook", [False, True])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
def test_weight_normalization_whose_kernel_has_a_wrong_second_derivative(hook):
    torch.manual_seed(0)
    norm = nn.utils.weight_norm if hook else nn.utils.parametrizations.weight_norm
    model = nn.Sequential(norm(nn.Linear(4, 3).double()), nn.Tanh())
    x, y = drawn(10, 4), torch.arange(10) % 3
    objective = ls.Objective(model, cross_entropy, (x, y), precision="double")
    vector = objective.parameters()
    assert [e.size for e in objective.layout] == [3, 3, 12]  # bias, lengths, directions

    def whole(flat):
        bias, g, v = flat[:3], flat[3:6, None], flat[6:].view(3, 4)
        weight = g * v / v.square().sum(dim=1, keepdim=True).sqrt()
        return F.cross_entropy(torch.tanh(x @ weight.T + bias), y)

    flat = torch.from_numpy(np.array(vector, np.float64))
    want = torch.autograd.functional.hessian(whole, flat).numpy()
    np.testing.assert_allclose(written_out(objective, vector), want, atol=1e-10)


def test_sparse_gradients():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 2, sparse=True), nn.Flatten(), nn.Linear(4, 3)).double()
    x, y = torch.arange(12).view(6, 2) % 5, torch.arange(6) % 3
    objective = ls.Objective(model, cross_entropy, (x, y), precision="double")
    found = written_out(objective, objective.parameters())
    model[0].sparse = False
    want = dense_hessian(model, lambda m: F.cross_entropy(m(x), y), objective.parameters())
    np.testing.assert_allclose(found, want, atol=1e-12)


def test_half_precision_models_are_told_what_to_do():
    model = nn.Linear(4, 3).half()
    data = (drawn(8, 4).half(), torch.arange(8) % 3)
    objective = ls.Objective(model, cross_entropy, data)
    with (
        pytest.raises(ValueError, match=r"float16.*precision='single'"),
        objective.hessian(objective.parameters()),
    ):
        pass
    single = ls.Objective(model, cross_entropy, data, precision="single")
    with single.hessian(single.parameters()) as hessian:
        assert np.isfinite(hessian @ np.ones(15)).all()

"""Optimizers against references written from the papers, in double precision, and exact identities.

The references below share no code with the package: each is the paper's update for a list of
tensors, given a function that returns the gradients there.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from landscape.optim.lamb import LAMB
from landscape.optim.lars import LARS
from landscape.optim.lookahead import Lookahead
from landscape.optim.sam import SAM
from landscape.optim.shampoo import Shampoo
from landscape.optim.switch import AdamToSGD

STEPS = 20
RATES = [0.02] * 12 + [0.002] * 8  # the learning rate drops once
# Twenty steps of a smooth problem with values of order 1 in double precision: rounding of about
# 1e-16 per operation grows by less than a factor 1e4, far below 1e-8; a wrong formula is off by
# 1e-3 and more.
TOLERANCE = 1e-10


def problem(seed):
    """A bounded, curved loss of two matrices and a vector, and where to start."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    inputs, targets = draw(16, 5), draw(16, 3)
    start = [draw(5, 4) / 2, draw(4) / 2, draw(4, 3) / 2]

    def loss(w):
        return ((inputs @ w[0] + w[1]).tanh() @ w[2] - targets).square().mean()

    return loss, start


def gradients_of(loss):
    def gradients(w):
        w = [p.detach().clone().requires_grad_() for p in w]
        return list(torch.autograd.grad(loss(w), w))

    return gradients


def train(make, loss, start, *, rates=RATES):
    """Every state that the optimizer `make(parameters)` visits."""
    w = [torch.nn.Parameter(p.clone()) for p in start]
    optimizer = make(w)

    def closure():
        optimizer.zero_grad()
        value = loss(w)
        value.backward()
        return value

    path = []
    for rate in rates:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step(closure)
        path.append([p.detach().clone() for p in w])
    return path


def distance(path, reference):
    return max((a - b).abs().max().item() for s, r in zip(path, reference, strict=True)
               for a, b in zip(s, r, strict=True))  # fmt: skip


def walk(start, rates, advance):
    """States of `w = advance(w, rate, t)`."""
    w, path = [p.clone() for p in start], []
    for t, rate in enumerate(rates, 1):
        w = advance(w, rate, t)
        path.append(w)
    return path


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_lars(seed, decay, momentum):
    loss, start = problem(seed)
    gradients = gradients_of(loss)
    velocity = [torch.zeros_like(p) for p in start]

    def advance(w, rate, _):
        g = gradients(w)
        for i, p in enumerate(w):
            local = 0.5 * p.norm() / (g[i].norm() + decay * p.norm())
            velocity[i] = momentum * velocity[i] + rate * local * (g[i] + decay * p)
        return [p - v for p, v in zip(w, velocity, strict=True)]

    def make(w):
        return LARS(w, momentum=momentum, weight_decay=decay, trust=0.5)

    assert distance(train(make, loss, start), walk(start, RATES, advance)) < TOLERANCE


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("clip", [(0.0, math.inf), (0.5, 1.0)])
def test_lamb(seed, decay, correct, clip):
    loss, start = problem(seed)
    gradients = gradients_of(loss)
    m = [torch.zeros_like(p) for p in start]
    v = [torch.zeros_like(p) for p in start]

    def advance(w, rate, t):
        g, after = gradients(w), []
        for i, p in enumerate(w):
            m[i] = 0.9 * m[i] + 0.1 * g[i]
            v[i] = 0.99 * v[i] + 0.01 * g[i] ** 2
            mean = m[i] / (1 - 0.9**t) if correct else m[i]
            square = v[i] / (1 - 0.99**t) if correct else v[i]
            r = mean / (square**0.5 + 1e-6)
            phi = min(max(p.norm().item(), clip[0]), clip[1])
            after.append(p - rate * phi / (r + decay * p).norm() * (r + decay * p))
        return after

    def make(w):
        return LAMB(w, betas=(0.9, 0.99), weight_decay=decay, bias_correction=correct, clip=clip)

    assert distance(train(make, loss, start), walk(start, RATES, advance)) < TOLERANCE


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("k", "alpha"), [(5, 0.5), (3, 0.8), (1, 1.0)])
def test_lookahead_around_momentum(seed, k, alpha):
    loss, start = problem(seed)
    gradients = gradients_of(loss)
    slow = [p.clone() for p in start]
    velocity = [torch.zeros_like(p) for p in start]

    def advance(w, rate, t):
        g = gradients(w)
        for i, p in enumerate(w):
            velocity[i] = 0.9 * velocity[i] + g[i] + 0.01 * p
        fast = [p - rate * v for p, v in zip(w, velocity, strict=True)]
        if t % k:
            return fast
        for i, p in enumerate(fast):
            slow[i] = slow[i] + alpha * (p - slow[i])
        return [p.clone() for p in slow]

    def make(w):
        inner = torch.optim.SGD(w, lr=1.0, momentum=0.9, weight_decay=0.01)
        return Lookahead(inner, k=k, alpha=alpha)

    assert distance(train(make, loss, start), walk(start, RATES, advance)) < TOLERANCE


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_and_asam(seed, adaptive):
    loss, start = problem(seed)
    gradients = gradients_of(loss)
    velocity = [torch.zeros_like(p) for p in start]
    rho, eta = (0.5, 0.01) if adaptive else (0.05, 0.0)

    def advance(w, rate, _):
        g = gradients(w)
        t = [p.abs() + eta if adaptive else torch.ones_like(p) for p in w]
        length = sum(((a * b) ** 2).sum() for a, b in zip(t, g, strict=True)) ** 0.5
        there = gradients([p + rho * a**2 * b / length for p, a, b in zip(w, t, g, strict=True)])
        for i, p in enumerate(w):
            velocity[i] = 0.9 * velocity[i] + there[i] + 0.01 * p
        return [p - rate * v for p, v in zip(w, velocity, strict=True)]

    def make(w):
        inner = torch.optim.SGD(w, lr=1.0, momentum=0.9, weight_decay=0.01)
        return SAM(inner, rho=rho, adaptive=adaptive, eta=eta)

    assert distance(train(make, loss, start), walk(start, RATES, advance)) < TOLERANCE


def swats(gradients, start, rates, *, tolerance, switch_at=None, decay=0.0, rate_after=None):
    """Algorithm 1 of the paper on one long vector; returns the path and the step of the switch."""
    shapes = [p.shape for p in start]
    w = torch.cat([p.reshape(-1) for p in start])
    beta1, beta2 = 0.9, 0.95
    m = torch.zeros_like(w)
    a, v = m.clone(), m.clone()
    average, switched, projected, rate_then = 0.0, 0, 0.0, 0.0
    path = []

    def split(x):
        parts = x.split([math.prod(s) for s in shapes])
        return [part.view(s) for part, s in zip(parts, shapes, strict=True)]

    for k, rate in enumerate(rates, 1):
        g = torch.cat([x.reshape(-1) for x in gradients(split(w))]) + decay * w
        if switched:
            v = beta1 * v + g
            w = w - (1 - beta1) * projected * (rate / rate_then) * v
            path.append(split(w))
            continue
        m = beta1 * m + (1 - beta1) * g
        a = beta2 * a + (1 - beta2) * g**2
        p = -rate * math.sqrt(1 - beta2**k) / (1 - beta1**k) * m / (a.sqrt() + 1e-9)
        w = w + p
        gamma = (p @ p / -(p @ g)).item()
        average = beta2 * average + (1 - beta2) * gamma
        settled = k > 1 and abs(average / (1 - beta2**k) - gamma) < tolerance
        if (settled and switch_at is None) or k == switch_at:
            projected = average / (1 - beta2**k) if rate_after is None else rate_after
            switched, rate_then = k, rate
        path.append(split(w))
    return path, switched


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "options",
    [
        {"tolerance": 0.02},
        {"tolerance": 0.02, "decay": 0.1},
        {"tolerance": 0.0},
        {"tolerance": 0.0, "switch_at": 7},
        {"tolerance": 0.0, "switch_at": 7, "rate_after": 0.3, "decay": 0.1},
    ],
)
def test_swats(seed, options):
    loss, start = problem(seed)
    reference, switched = swats(gradients_of(loss), start, RATES, **options)
    names = {"decay": "weight_decay", "rate_after": "sgd_lr"}
    made = []

    def make(w):
        given = {names.get(key, key): value for key, value in options.items()}
        made.append(AdamToSGD(w, RATES[0], betas=(0.9, 0.95), **given))
        return made[0]

    assert distance(train(make, loss, start), reference) < TOLERANCE
    assert made[0].switched_at == switched
    assert switched == options.get("switch_at", switched)
    if options["tolerance"]:
        assert 1 < switched < STEPS - 3  # so that both halves and the drop are compared


def test_swats_rate_projects_the_sgd_step_onto_adams():
    loss, start = problem(0)
    p = [b - a for a, b in zip(start, train(lambda w: AdamToSGD(w), loss, start,
                                            rates=[0.02])[0], strict=True)]  # fmt: skip
    w = [torch.nn.Parameter(x.clone()) for x in start]
    optimizer = AdamToSGD(w, 0.02)
    loss(w).backward()
    optimizer.step()
    gamma = optimizer.param_groups[0]["average"] / (1 - 0.999)
    p, g = (torch.cat([x.reshape(-1) for x in part]) for part in (p, [x.grad for x in w]))
    projected = p * ((-gamma * g) @ p) / (p @ p)
    torch.testing.assert_close(projected, p, rtol=1e-10, atol=0)


def radam(gradients, start, rates, *, threshold, decay=0.0):
    beta1, beta2 = 0.9, 0.999
    m = [torch.zeros_like(p) for p in start]
    v = [torch.zeros_like(p) for p in start]
    limit = 2 / (1 - beta2) - 1

    def advance(w, rate, t):
        g, after = gradients(w), []
        rho = limit - 2 * t * beta2**t / (1 - beta2**t)
        for i, p in enumerate(w):
            gradient = g[i] + decay * p
            m[i] = beta1 * m[i] + (1 - beta1) * gradient
            v[i] = beta2 * v[i] + (1 - beta2) * gradient**2
            mean = m[i] / (1 - beta1**t)
            if rho > threshold:
                r = math.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
                adaptive = math.sqrt(1 - beta2**t) / (v[i].sqrt() + 1e-8)
                after.append(p - rate * r * mean * adaptive)
            else:
                after.append(p - rate * mean)
        return after

    return walk(start, rates, advance)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_radam_of_torch_has_the_authors_threshold(seed, decay):
    loss, start = problem(seed)
    path = train(lambda w: torch.optim.RAdam(w, weight_decay=decay), loss, start)
    authors = radam(gradients_of(loss), start, RATES, threshold=5, decay=decay)
    paper = radam(gradients_of(loss), start, RATES, threshold=4, decay=decay)
    assert distance(path, authors) < TOLERANCE
    assert distance(path, paper) > 1e-4  # the fifth step is adaptive in the paper


@pytest.mark.parametrize(("t", "r"), [(6, None), (10, 0.0490), (100, 0.2153), (1000, 0.6453)])
def test_radam_rectification(t, r):
    """With a constant gradient of 1 step t has the length lr · r_t, before step 6 lr."""
    w = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.RAdam([w], lr=1.0, eps=0.0)
    steps = []
    for _ in range(t):
        before = w.item()
        w.grad = torch.ones_like(w)
        optimizer.step()
        steps.append(before - w.item())
    # Differences of numbers up to about 400 in double precision: 1e-13 each.
    assert steps[:5] == pytest.approx([1.0] * 5, abs=1e-12)
    if r is None:
        assert steps[5] < 0.05
    else:
        assert steps[-1] == pytest.approx(r, abs=6e-5)  # four digits are published


@pytest.mark.parametrize("cls", [LARS, LAMB])
def test_layerwise_step_lengths(cls):
    """Without momentum and decay, ‖Δw‖ = lr ‖w‖ for every tensor (LARS: times the trust)."""
    loss, start = problem(0)
    options = {"trust": 1.0, "momentum": 0.0} if cls is LARS else {}
    path = [start, *train(lambda w: cls(w, **options), loss, start)]
    for rate, before, after in zip(RATES, path, path[1:], strict=False):
        for a, b in zip(before, after, strict=True):
            assert (b - a).norm().item() == pytest.approx(rate * a.norm().item(), rel=1e-12)


@pytest.mark.parametrize("cls", [LARS, LAMB])
def test_the_gradients_scale_does_not_matter(cls):
    loss, start = problem(0)
    options = {"momentum": 0.0} if cls is LARS else {"eps": 0.0}
    first = train(lambda w: cls(w, **options), loss, start)
    second = train(lambda w: cls(w, **options), lambda w: 1000 * loss(w), start)
    assert distance(first, second) < TOLERANCE


@pytest.mark.parametrize("cls", [LARS, LAMB])
def test_zeros_move_and_unadapted_groups_are_plain(cls):
    """A tensor of zeros steps as without the ratio; nothing becomes NaN without a gradient."""
    w = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.ones(3))]
    cls(w, lr=0.1).zero_grad()
    w[0].grad, w[1].grad = torch.ones(3), torch.zeros(3)
    cls(w, lr=0.1).step()
    assert (w[0] < 0).all()
    assert (w[1] == 1).all()
    plain, other = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    plain.grad = other.grad = torch.full((3,), 2.0)
    groups = [{"params": [plain], "adapt": False}, {"params": [other], "adapt": True}]
    cls(groups, lr=0.1).step()
    expected = 0.1 * 0.001 * 2 if cls is LARS else 0.1
    torch.testing.assert_close(1 - plain, torch.full((3,), expected), rtol=1e-3, atol=0)
    assert not torch.equal(plain, other)


def test_lookahead_lies_on_segment_and_plane():
    """The slow point lies on the segment from the old slow to the last fast point, at α."""
    loss, start = problem(1)
    w = [torch.nn.Parameter(p.clone()) for p in start]
    lookahead = Lookahead(torch.optim.SGD(w, lr=0.1), k=5, alpha=0.3)

    def flat():
        return torch.cat([p.detach().reshape(-1) for p in w])

    fast = [flat()]
    lookahead.inner[0].register_step_post_hook(lambda *_: fast.append(flat()))
    for _ in range(5):
        lookahead.zero_grad()
        loss(w).backward()
        lookahead.step()
    torch.testing.assert_close(flat(), fast[0] + 0.3 * (fast[-1] - fast[0]), rtol=1e-14, atol=0)
    held = torch.cat([lookahead.slow_weights()[p].reshape(-1) for p in w])
    assert torch.equal(held, flat())
    basis, _ = torch.linalg.qr(torch.stack([fast[2] - fast[0], fast[-1] - fast[0]], dim=1))
    offset = flat() - fast[0]
    residual = offset - basis @ (basis.T @ offset)
    assert residual.norm() < 1e-14 * fast[0].norm()


@pytest.mark.parametrize(("k", "alpha", "rate"), [(5, 0.5, 0.1), (5, 0.5, 0.5), (10, 0.2, 1.0)])
def test_lookahead_variance_on_the_noisy_quadratic(k, alpha, rate):
    """Stationary variance of slow weights over that of SGD: proposition 2 of the paper.

    20,000 independent copies: each variance has a relative error of √(2/20000) = 1 %; the ratio
    is allowed four of the joint 1.4 %.
    """
    generator = torch.Generator().manual_seed(0)
    w = torch.nn.Parameter(torch.zeros(20_000, dtype=torch.float64))
    lookahead = Lookahead(torch.optim.SGD([w], lr=rate), k=k, alpha=alpha)
    for _ in range(60 * k):  # the start is forgotten: (1 - α + α (1 - rate)^k)^60 < 2e-6
        w.grad = w.detach() - torch.randn(w.shape, generator=generator, dtype=torch.float64)
        lookahead.step()
    sgd = rate**2 / (1 - (1 - rate) ** 2)
    decay = (1 - rate) ** k
    above = alpha**2 * (1 - decay**2)
    expected = above / (above + 2 * alpha * (1 - alpha) * (1 - decay))
    assert w.detach().var().item() / sgd == pytest.approx(expected, rel=0.056)


def test_the_switch_waits_for_a_rate_that_descends():
    """Momentum that points uphill gives a negative rate; with it SGD would climb."""
    w = torch.nn.Parameter(torch.zeros(2))
    optimizer = AdamToSGD([w], 0.1, betas=(0.9, 0.0), switch_at=2)
    # The second gradient is weak and turned round; the update still follows the first one.
    for t, gradient in enumerate((1.0, -0.5, 1.0, 1.0), 1):
        w.grad = torch.full((2,), gradient)
        optimizer.step()
        assert (optimizer.switched_at > 0) == (t >= 3)
    assert optimizer.param_groups[0]["rate"] > 0


def inverse_root(matrix, order):
    """matrix^(-1/order), from an eigendecomposition that is not symmetric."""
    values, vectors = np.linalg.eig(matrix)
    return (vectors * values ** (-1 / order) @ np.linalg.inv(vectors)).real


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_shampoo(seed, decay, momentum):
    """Algorithm 1 for the matrices, full-matrix AdaGrad for the vector."""
    loss, start = problem(seed)
    gradients = gradients_of(loss)
    left = [1e-2 * np.eye(len(p)) for p in start]
    right = [1e-2 * np.eye(p.shape[-1]) for p in start]
    velocity = [torch.zeros_like(p) for p in start]

    def advance(w, rate, _):
        for i, (p, gradient) in enumerate(zip(w, gradients(w), strict=True)):
            g = (gradient + decay * p).numpy()
            if g.ndim == 1:
                left[i] += np.outer(g, g)
                update = inverse_root(left[i], 2) @ g
            else:
                left[i] += g @ g.T
                right[i] += g.T @ g
                update = inverse_root(left[i], 4) @ g @ inverse_root(right[i], 4)
            velocity[i] = momentum * velocity[i] + torch.from_numpy(update)
        return [p - rate * v for p, v in zip(w, velocity, strict=True)]

    def make(w):
        return Shampoo(w, matrix_eps=1e-2, momentum=momentum, weight_decay=decay)

    assert distance(train(make, loss, start), walk(start, RATES, advance)) < TOLERANCE


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("shape", [(), (1,), (6,), (4, 6), (3, 2, 4), (2, 3, 2, 2)])
def test_shampoo_on_gradients_of_rank_one(shape, size):
    """Constant gradients of norm s: after t steps the update's norm is s / √(ε + t s²).

    Every sum has one eigenvalue t s² and else 0, in single precision rounding. Of the gradient a
    share of about η lies along these others and is divided by the root √(d η) at least: √(η / d).
    """
    share = math.sqrt(torch.finfo(torch.float32).eps)  # of the step, 3.5e-4
    w = torch.nn.Parameter(torch.zeros(shape))
    entries = max(w.numel(), 1)
    optimizer = Shampoo([w], lr=1.0)
    for t in range(1, 9):
        before = w.detach().clone()
        w.grad = torch.full(shape, size / math.sqrt(entries))
        optimizer.step()
        expected = size / math.sqrt(entries) / math.sqrt(1e-6 + t * size**2)
        update = before - w.detach()
        torch.testing.assert_close(update, torch.full(shape, expected), rtol=share, atol=1e-6)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_shampoo_never_enlarges_rounding(rank, size):
    """L^(-1/4) G R^(-1/4) of one step has singular values σ / √(σ² + ε), below 1.

    In single precision, G of rank r has r of them and else rounding: at most its η s over the
    smallest root √(d η) s, √(η / d) = 1.2e-4, once from the gradient and once from each sum.
    """
    generator = torch.Generator().manual_seed(rank)
    a, b = (torch.randn(8, rank, generator=generator) for _ in range(2))
    w = torch.nn.Parameter(torch.zeros(8, 8))
    w.grad = (a @ b.T) * size
    sigma = torch.linalg.svdvals(a.double() @ b.double().T * size)[:rank]
    Shampoo([w], lr=1.0).step()
    found = torch.linalg.svdvals(w.detach().double())
    expected = sigma / (sigma**2 + 1e-6).sqrt()
    torch.testing.assert_close(found[:rank], expected, rtol=1e-3, atol=0)
    assert found[rank:].max() < 1e-3


def test_shampoo_computes_roots_as_often_as_told_and_decouples_decay():
    w = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = Shampoo(
        [w], lr=0.5, weight_decay=0.1, weight_decouple=True, preconditioning_compute_steps=2
    )
    for gradient, expected in [(3.0, 2 - 0.5 * (1 + 0.2)), (3.0, 1.4 - 0.5 * (1 + 0.14))]:
        w.grad = torch.tensor([gradient])
        optimizer.step()
        assert w.item() == pytest.approx(expected, rel=1e-6)
    for options in ({"matrix_eps": 0.0}, {"preconditioning_compute_steps": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            Shampoo([w], **options)

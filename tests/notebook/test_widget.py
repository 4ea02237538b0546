"""The widget: without a kernel, in a real one, and its page in a real browser."""

from __future__ import annotations

import base64
import json
import os
import time

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.explorer.packing import unpacked_content

pytest.importorskip("anywidget")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def asked():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = torch.randn(32, 3)
    calls = []

    def loss(model, batch):
        calls.append(1)
        return (model(batch[0]) - batch[1]).square().mean(dim=1)

    objective = ls.Objective(model, loss, (x, x[:, :1]))
    widget = ls.OnDemand(objective, resolution=9)
    widget.wait()
    return widget, objective, model, calls


def surfaces(widget):
    return unpacked_content(widget.content)["surfaces"]


def test_it_shows_a_surface_and_measures_what_is_asked_for(asked):
    widget, objective, model, _ = asked
    before = [p.detach().clone() for p in model.parameters()]
    (first,) = surfaces(widget)
    assert first["alpha"].shape == (9,)
    widget._handle_custom_msg({"kind": "surface", "place": [0, 0.5, 0, 0.25]}, [])
    widget.wait()
    _, second = surfaces(widget)
    np.testing.assert_allclose(second["beta"], np.linspace(0, 0.25, 9))
    whole = ls.loss_surface(objective, widget._plane, extent=(0, 0.5, 0, 0.25), resolution=9)
    np.testing.assert_allclose(second["values"][0], whole.loss, rtol=1e-5)
    widget._handle_custom_msg({"kind": "slice", "place": [0, 0, 1, 1]}, [])
    widget.wait()
    assert len(unpacked_content(widget.content)["lines"]) == 1
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert list(widget.measured) == ["surface/asked-0", "surface/asked-2", "slice/asked-3"]


def test_a_hundred_requests_of_which_the_newest_wins(asked):
    widget, objective, model, calls = asked
    before = [p.detach().clone() for p in model.parameters()]
    widget.ask("point", [0, 0])
    widget.wait()
    calls.clear()
    ls.loss_surface(objective, widget._plane, resolution=9)
    whole = len(calls)
    calls.clear()
    for k in range(99):
        widget.ask("surface", [0, 1 + k, 0, 1])
    widget.ask("surface", [0, 100, 0, 1])
    widget.wait()
    (_, last) = surfaces(widget)[-2:]
    assert last["alpha"].max() == 100
    assert len(calls) <= 99 + 3 * 81  # one unit of each at most, then the last one
    assert whole > 0
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_plane_is_picked_and_what_is_asked_for_lies_on_the_one_in_sight(asked):
    _, objective, *_ = asked
    planes = {"wide": ls.random_plane(objective), "other": ls.random_plane(objective, seed=5)}
    widget = ls.OnDemand(objective, planes, resolution=5)
    widget.wait()
    assert unpacked_content(widget.content)["planes"] == ["wide", "other", "another random plane"]
    widget._handle_custom_msg({"kind": "plane", "name": "other"}, [])
    widget.wait()
    _, second = surfaces(widget)
    assert second["plane"] == planes["other"].digest
    region = {"kind": "surface", "place": [0, 0.5, 0, 0.25], "plane": second["plane"]}
    widget._handle_custom_msg(region, [])
    widget.wait()
    whole = ls.loss_surface(objective, planes["other"], extent=(0, 0.5, 0, 0.25), resolution=5)
    np.testing.assert_allclose(surfaces(widget)[-1]["values"][0], whole.loss, rtol=1e-5)
    widget._handle_custom_msg({"kind": "plane", "name": "another random plane"}, [])
    widget.wait()
    assert list(widget.planes) == ["wide", "other", "random plane 1"]
    assert surfaces(widget)[-1]["plane"] == widget.planes["random plane 1"].digest
    said = []
    widget.send = said.append
    for message in ({"kind": "plane", "name": "none"}, {**region, "plane": "0"}):
        widget._handle_custom_msg(message, [])
        assert "The widget knows no plane" in said[-1]["said"]


def test_a_model_that_is_being_recorded_is_refused(asked, tmp_path):
    widget, _, model, calls = asked
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    said = []
    widget.send = said.append
    with ls.Recorder(tmp_path / "run.h5", model, optimizer):
        calls.clear()
        widget._handle_custom_msg({"kind": "point", "place": [0, 0]}, [])
        widget.wait()
        assert not calls
        assert "is being recorded to" in said[-1]["said"]
        with pytest.raises(ValueError, match="close the recorder first"):
            widget.ask("point", [0, 0])
    widget.ask("point", [0, 0])
    widget.wait()
    assert "loss at (0, 0):" in said[-1]["said"]


@pytest.mark.parametrize("message", ["x", {}, {"kind": "surface"}, {"kind": 3, "place": [1]}, [],
                                     {"kind": "surface", "place": [0, 0, 0, 1]}])  # fmt: skip
def test_nonsense_is_answered_in_words(asked, message):
    widget, *_ = asked
    said = []
    widget.send = said.append
    widget._handle_custom_msg(message, [])
    assert said[-1]["said"]


def test_results_of_a_run_are_shown_beside_it(runs, tmp_path):
    run = ls.Trajectory(runs["adam"])
    task = ls.load_task("digits/mlp", seed=0)
    ls.restore(task.model, run)
    objective = ls.Objective(task.model, task.loss, task.train, samples=50)
    plane = ls.pca_plane(run, origin="final")
    widget = ls.OnDemand(objective, plane, results=ls.project(run, plane), resolution=5)
    widget.wait()
    (surface,) = surfaces(widget)
    assert len(surface["paths"]) == 1
    widget.save(tmp_path / "asked.h5")
    assert list(ls.load_results(tmp_path / "asked.h5")) == ["surface/asked-0"]


CELL = """
import torch, landscape as ls
from torch import nn
torch.manual_seed(0)
model = nn.Linear(3, 1); x = torch.randn(32, 3)
objective = ls.Objective(model, lambda m, b: (m(b[0]) - b[1]).square().mean(dim=1), (x, x[:, :1]))
widget = ls.OnDemand(objective, resolution=9)
widget
"""


def test_a_real_kernel_answers_and_the_model_stays_as_it_is():
    manager = pytest.importorskip("jupyter_client.manager")
    pytest.importorskip("ipykernel")
    kernel, client = manager.start_new_kernel(env={**os.environ})
    try:
        opened, contents, said = {}, [], []

        def listen(until, seconds=120):
            end = time.monotonic() + seconds
            while not until():
                assert time.monotonic() < end, (said, len(contents))
                message = client.get_iopub_msg(timeout=seconds)
                kind, body = message["msg_type"], message["content"]
                assert kind != "error", body
                if kind == "comm_open" and "content" in body["data"].get("state", {}):
                    opened["id"] = body["comm_id"]
                    contents.append(body["data"]["state"]["content"])
                elif kind == "comm_msg" and body["comm_id"] == opened.get("id"):
                    contents.append(body["data"].get("state", {}).get("content", contents[-1]))
                    said.append(body["data"].get("content", {}).get("said", ""))
                elif kind == "stream":
                    said.append(body["text"])

        client.execute(CELL)
        listen(lambda: opened and unpacked_content(contents[-1])["surfaces"][0]["alpha"].size == 9)

        def ask(content):
            message = client.session.msg("comm_msg", {"comm_id": opened["id"], "data": {
                "method": "custom", "content": content}})  # fmt: skip
            client.shell_channel.send(message)

        for k in range(100):
            ask({"kind": "surface", "place": [0, 1 + k, 0, 1]})
        listen(lambda: (s := unpacked_content(contents[-1])["surfaces"])[-1]["alpha"].max() == 100
               and s[-1]["alpha"].size == 9)  # fmt: skip
        client.execute("torch.manual_seed(0); other = nn.Linear(3, 1); print(all(torch.equal(a, b) "
                       "for a, b in zip(model.parameters(), other.parameters())))")  # fmt: skip
        listen(lambda: any(text in ("True\\n", "True\n") for text in said))
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)


HOST = """
import widget from 'data:text/javascript;base64,{code}';
const state = {state};
const listeners = {{}};
window.sent = [];
const model = {{
  get: (name) => state[name], on: (name, f) => {{ listeners[name] = f; }},
  send: (message) => window.sent.push(message),
}};
window.answer = (content, message) => {{
  listeners['msg:custom'](message);
  state.content = content;
  listeners['change:content']();
}};
widget.render({{ model, el: document.body }});
"""


@pytest.mark.browser
def test_the_page_asks_and_shows_the_answer(asked, browser):
    widget, *_ = asked
    sent = []
    widget.send = sent.append
    code = base64.b64encode(widget._esm.encode()).decode()
    state = json.dumps({"page": widget.page, "content": widget.content}).replace("</", "<\\/")
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    host = HOST.format(code=code, state=state)
    page.set_content(f"<!doctype html><body><script type=module>{host}"
                     "</script>")  # fmt: skip
    frame = page.frame_locator("iframe")
    frame.locator("html[data-ready]").wait_for(timeout=60_000)

    def inner():
        return page.frames[-1]

    inner().evaluate("explorer.setState({window: [4, 0, 0]})")
    page.wait_for_timeout(1000)
    wanted = inner().evaluate("explorer.inSight()")
    assert -1 < wanted[0] < wanted[1] < 1
    frame.locator("summary", has_text="Measure").click()
    frame.locator("#ask-surface").click()
    page.wait_for_timeout(200)
    request = page.evaluate("window.sent[0]")
    plane = widget._plane.digest
    assert request == {"kind": "surface", "place": pytest.approx(wanted), "plane": plane}
    widget._handle_custom_msg(request, [])
    widget.wait()
    message = [m for m in sent if "surface" in m][-1]
    page.evaluate("([content, message]) => answer(content, message)", [widget.content, message])
    page.wait_for_timeout(300)
    frame.locator("html[data-ready]").wait_for(timeout=60_000)
    assert inner().evaluate("explorer.surfaces.length") == 2
    assert inner().evaluate("explorer.state.surface") == 1
    for _ in range(100):
        if "81 points" in inner().evaluate("document.getElementById('say').textContent"):
            break
        page.wait_for_timeout(50)
    assert "surface/asked-2: 81 points" in inner().evaluate(
        "document.getElementById('say').textContent"
    )
    assert not problems
    context.close()

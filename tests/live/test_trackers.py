"""Numbers, figures and pages in experiment trackers: stand-ins, and the real ones if installed."""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
import time
import types
import warnings

import explorer_sample as sample
import numpy as np
import pytest
from live_run import LiveRun
from matplotlib.figure import Figure

import landscape as ls

NUMBERS = {f"landscape/{name}" for name in ("loss", "lr", "update_norm", "update_cosine",
                                            "distance", "gradient_norm")}  # fmt: skip


class Writer:
    """What a SummaryWriter can do."""

    def __init__(self, folder):
        self.log_dir, self.seen = str(folder), []

    def add_scalar(self, name, value, step):
        self.seen.append((step, name, value))

    def add_image(self, name, image, step, dataformats):
        assert image.shape[-1] == 3
        assert dataformats == "HWC"
        self.seen.append((step, name, "image"))

    def add_text(self, name, text, step):
        self.seen.append((step, name, text))

    def flush(self):
        pass


@pytest.fixture
def recorded(tmp_path):
    run = LiveRun(tmp_path / "run.h5")
    run.steps(5)
    run.close()
    return ls.Trajectory(tmp_path / "run.h5")


def test_the_numbers_of_every_step_are_those_of_the_run(recorded, tmp_path):
    for what in (recorded, recorded.path, str(recorded.path)):
        writer = Writer(tmp_path)
        ls.log_to(writer, what)
        assert {name for _, name, _ in writer.seen} >= NUMBERS
        for name, column in recorded.scalars.items():
            ours = {step: value for step, key, value in writer.seen if key == f"landscape/{name}"}
            known = {s: v for s, v in enumerate(column, start=1) if not np.isnan(v)}
            assert ours == known


def test_every_nth_step_and_the_last(recorded, tmp_path):
    writer = Writer(tmp_path)
    ls.log_to(writer, recorded, every=2, name="mine")
    assert [step for step, name, _ in writer.seen if name == "mine/loss"] == [2, 4, 5]
    with pytest.raises(ValueError, match="every must be at least 1"):
        ls.log_to(writer, recorded, every=0)


def test_results_become_figures_and_a_page(tmp_path):
    writer = Writer(tmp_path / "logs")
    results = [sample.surface(), sample.projection("Adam", 0.2), sample.path("Adam", 0.2)]
    ls.log_to(writer, results, step=7)
    names = [name for step, name, _ in writer.seen if step == 7]
    assert names == [*(f"landscape/figure-{k}" for k in range(1, len(names))), "landscape/page"]
    assert len(names) >= 3
    page = (tmp_path / "logs" / "landscape-page.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")


def test_numbers_and_figures_and_pages_as_they_are(tmp_path):
    writer = Writer(tmp_path)
    ls.log_to(writer, {"barrier": 0.5, "n": 3}, step=2)
    ls.log_to(writer, Figure(), step=3)
    ls.log_to(writer, ls.explore(sample.results(), tmp_path / "page.html"), step=4)
    assert writer.seen[:3] == [
        (2, "landscape/barrier", 0.5), (2, "landscape/n", 3.0), (3, "landscape/figure", "image"),
    ]  # fmt: skip
    assert writer.seen[3][:2] == (4, "landscape/page")


def test_what_is_no_tracker_is_refused_before_anything_is_recorded(tmp_path):
    with pytest.raises(TypeError, match="log_to knows W&B, trackio, TensorBoard"):
        ls.log_to(print, {})
    run = LiveRun(tmp_path / "a.h5")
    with pytest.raises(TypeError, match="log_to knows"):
        ls.Recorder(tmp_path / "b.h5", run.model, run.optimizer, log_to=object())
    run.close()
    assert not (tmp_path / "b.h5").exists()


def test_a_recorder_logs_while_it_records_and_the_last_step_in_any_case(tmp_path):
    writer = Writer(tmp_path)
    run = LiveRun(tmp_path / "run.h5", log_to=writer)
    run.steps(400)
    run.close()
    trajectory = ls.Trajectory(tmp_path / "run.h5")
    losses = {step: value for step, name, value in writer.seen if name == "landscape/loss"}
    assert 400 in losses
    assert 2 <= len(losses) <= 400
    assert losses == {step: trajectory.scalars["loss"][step - 1] for step in losses}


def test_a_tracker_that_hangs_or_fails_costs_no_step(tmp_path, monkeypatch):
    monkeypatch.setattr("landscape.recording.tracking._CLOSING", 0.2)
    goes_on = threading.Event()

    class Hanging(Writer):
        def add_scalar(self, *_):
            goes_on.wait(30)

    class Failing(Writer):
        def add_scalar(self, *_):
            raise ConnectionError("no route to host")

    for kind, why in ((Hanging, "longer than"), (Failing, "ConnectionError: no route to host")):
        path = tmp_path / f"{kind.__name__}.h5"
        run = LiveRun(path, log_to=kind(tmp_path))
        run.steps(30)
        with pytest.warns(ls.NotTracked, match=why):
            run.close()
        assert ls.Trajectory(path).updates == 30
        assert ls.Trajectory(path).complete
    goes_on.set()


def test_wandb_is_given_an_axis_since_it_drops_earlier_steps(recorded, monkeypatch):
    wandb = types.ModuleType("wandb")
    seen, axes = [], []
    wandb.run, wandb.Image, wandb.Html = object(), lambda p: "image", lambda t: "page"
    wandb.log = seen.append
    wandb.define_metric = lambda name, step_metric: axes.append((name, step_metric))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    ls.log_to(wandb, recorded)
    assert axes == [("landscape/*", "landscape/step")]
    assert [row["landscape/step"] for row in seen] == [1, 2, 3, 4, 5]
    wandb.run = None
    with pytest.raises(ValueError, match=r"call wandb.init\(\) first"):
        ls.log_to(wandb, recorded)


def logged_everything(tracker, recorded, tmp_path):
    """Numbers of a run, results, and numbers while another run is recorded."""
    ls.log_to(tracker, recorded)
    ls.log_to(tracker, [sample.surface(), sample.path("Adam", 0.2)], step=6)
    run = LiveRun(tmp_path / "second.h5", log_to=tracker)
    run.steps(3)
    run.close()


@pytest.fixture
def foreign():
    """The libraries of others may warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def test_tensorboard_itself(recorded, tmp_path, foreign):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path / "logs") as writer:
        logged_everything(writer, recorded, tmp_path)
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    losses = [(e.step, e.value) for e in events.Scalars("landscape/loss")]
    assert losses[:5] == [(n, float(n)) for n in range(1, 6)]
    assert losses[-1] == (3, 3.0)
    assert set(events.Tags()["scalars"]) >= NUMBERS
    assert events.Tags()["images"][0] == "landscape/figure-1"
    assert (tmp_path / "logs" / "landscape-page.html").exists()


def test_mlflow_itself(recorded, tmp_path, foreign, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    try:
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
        mlflow.create_experiment("e", artifact_location=str(tmp_path / "artifacts"))
    except Exception:  # the small distribution, which writes folders
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        mlflow.set_tracking_uri(f"file://{tmp_path}/mlruns")
    with pytest.raises(ValueError, match=r"call mlflow.start_run\(\) first"):
        ls.log_to(mlflow, recorded)
    with mlflow.start_run() as active:
        logged_everything(mlflow, recorded, tmp_path)
    client = mlflow.MlflowClient()
    history = client.get_metric_history(active.info.run_id, "landscape/loss")
    assert {(m.step, m.value) for m in history} >= {(n, float(n)) for n in range(1, 6)}
    assert len(history) == 8
    found = [a.path for a in client.list_artifacts(active.info.run_id, "landscape/page")]
    assert found == ["landscape/page/page.html"]
    assert client.list_artifacts(active.info.run_id, "landscape/figure-1")


@pytest.mark.parametrize("of", ["module", "run"])
def test_trackio_itself(recorded, tmp_path, foreign, monkeypatch, of):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    trackio = pytest.importorskip("trackio")
    project = f"landscape-{of}-{os.getpid()}"
    run = trackio.init(project=project, embed=False)
    logged_everything(trackio if of == "module" else run, recorded, tmp_path)
    trackio.finish()
    from trackio.sqlite_storage import SQLiteStorage

    (name,) = SQLiteStorage.get_runs(project)
    rows = SQLiteStorage.get_logs(project, name)
    losses = [(row["step"], row["landscape/loss"]) for row in rows if "landscape/loss" in row]
    assert losses[:5] == [(n, float(n)) for n in range(1, 6)]
    assert len(losses) == 8
    assert any("landscape/figure-1" in row for row in rows)
    assert any("landscape/page" in row for row in rows)


@pytest.mark.parametrize("of", ["module", "run"])
def test_wandb_itself_offline(recorded, tmp_path, foreign, of):
    wandb = pytest.importorskip("wandb")
    if not hasattr(wandb, "init"):
        pytest.skip("needs wandb")
    run = wandb.init(mode="offline", dir=tmp_path, project="p", settings={"silent": True})
    logged_everything(wandb if of == "module" else run, recorded, tmp_path)
    folder = run.dir
    wandb.finish()
    deadline, losses = time.monotonic() + 30, []
    while len(losses) < 8 and time.monotonic() < deadline:  # a process of its own still writes
        rows = wandb_rows(next((tmp_path / "wandb").rglob("*.wandb")))
        losses = [(r["landscape/step"], r["landscape/loss"]) for r in rows if "landscape/loss" in r]
        time.sleep(0.1)
    assert losses[:5] == [(n, float(n)) for n in range(1, 6)]
    assert len(losses) == 8
    files = [p.name for p in os.scandir(os.path.join(folder, "media"))]
    assert {"images", "html"} <= set(files)


def wandb_rows(path):
    """The rows that W&B keeps for later, from its own file: a log in blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    data, place, parts, rows = path.read_bytes(), 7, b"", []
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record, parts = wandb_internal_pb2.Record.FromString(parts), b""
            items = record.history.item
            if len(items):
                rows.append({"/".join(i.nested_key) or i.key: json.loads(i.value_json)
                             for i in items})  # fmt: skip
    return rows


def test_aim_itself(recorded, tmp_path, foreign):
    aim = pytest.importorskip("aim")
    run = aim.Run(repo=str(tmp_path / "aim"), system_tracking_interval=None)
    logged_everything(run, recorded, tmp_path)
    metric = run.get_metric(
        "landscape/loss", pytest.importorskip("aim.storage.context").Context({})
    )
    steps, values = metric.data.numpy()[:2]
    assert len(steps) >= 5
    assert 3.0 in np.ravel(values)
    run.close()

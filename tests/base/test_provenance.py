"""Provenance: what is named, and fingerprints that tell arrays apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from landscape.base.commit import commit_of
from landscape.base.masked import masked_command
from landscape.base.provenance import fingerprint, provenance


def test_names_versions_command_and_time():
    found = provenance(seed=3)
    assert found["seed"] == 3
    assert found["versions"]["numpy"] == np.__version__
    assert {"time", "command", "python", "platform"} <= set(found)
    assert json.loads(json.dumps(found)) == found


def test_fingerprint_sees_values_types_and_shapes():
    ones = np.ones(4, np.float32)
    others = [np.zeros(4, np.float32), ones.astype(np.float64), ones.reshape(2, 2), ones[:3]]
    marks = {fingerprint(a) for a in [ones, *others]}
    assert len(marks) == 5
    assert fingerprint(np.arange(9).reshape(3, 3).T) == fingerprint(
        np.ascontiguousarray(np.arange(9).reshape(3, 3).T)
    )


GIT = ("git", "-c", "user.email=a@b", "-c", "user.name=a")


def git(folder, *words):
    ended = subprocess.run([*GIT, *words], cwd=folder, check=True, capture_output=True, text=True)
    return ended.stdout.strip()


def test_the_commit_is_gits_own_however_it_keeps_it(tmp_path):
    folder, deep = tmp_path / "a", tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    assert commit_of(tmp_path / "a") is None
    git(folder, "init", "-q", "-b", "topic/one")
    assert commit_of(folder) is None  # nothing was committed yet
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    first = git(folder, "rev-parse", "HEAD")
    assert commit_of(deep) == first[:12]
    git(folder, "pack-refs", "--all")
    assert commit_of(folder) == first[:12]
    git(folder, "commit", "-q", "--allow-empty", "-m", "y")
    assert commit_of(folder) == git(folder, "rev-parse", "HEAD")[:12] != first[:12]
    git(folder, "worktree", "add", "-q", "-b", "other", str(tmp_path / "w"), first)
    assert commit_of(tmp_path / "w") == first[:12]
    git(folder, "checkout", "-q", "--detach", first)
    assert commit_of(folder) == first[:12]


@pytest.mark.parametrize(
    "head", ["", "ref: refs/heads/../../x", "ref: /etc/passwd", "\0" * 40, "g" * 40, "ref: x\ny"]
)
def test_a_made_up_folder_of_git_has_no_commit(tmp_path, head):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text(head)
    (tmp_path / ".git" / "packed-refs").write_bytes(b"\xff\xfe\n")
    assert commit_of(tmp_path) is None


def test_a_pipe_in_the_place_of_gits_files_keeps_nobody_waiting(tmp_path):
    (tmp_path / ".git").mkdir()
    os.mkfifo(tmp_path / ".git" / "HEAD")
    assert commit_of(tmp_path) is None


def test_no_command_is_run(tmp_path, monkeypatch):
    def run(*_, **__):
        raise AssertionError("a program was started")

    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "x")
    monkeypatch.chdir(tmp_path)
    for name in ("Popen", "run", "call", "check_output"):
        monkeypatch.setattr(subprocess, name, run)
    monkeypatch.setattr(os, "system", run)
    assert len(provenance()["commit"]) == 12


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("--token=abc", "--token=***"),
        ("HF_TOKEN=abc", "HF_TOKEN=***"),
        ("wandb.api_key=abc", "wandb.api_key=***"),
        ("--db-password=p=q", "--db-password=***"),
        ("hf_AbCdEfGhIjKlMnOpQrSt", "***"),
        ("sk-proj-0123456789abcdef", "***"),
        ("--remote=https://me:secret@host/x", "--remote=https://me:***@host/x"),
        ("https://ghp_0123456789abcdefghij@github.com/a", "https://***@github.com/a"),
        ("--tokenizer=gpt2", "--tokenizer=gpt2"),
        ("--max-tokens=12", "--max-tokens=12"),
        ("--steps=3", "--steps=3"),
        ("data/sk-learn.h5", "data/sk-learn.h5"),
        ("key=7", "key=7"),
    ],
)
def test_secrets_on_the_command_line_are_masked(word, kept, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", word, "last"])
    assert provenance()["command"] == ["train.py", kept, "last"]


def test_what_follows_an_option_for_a_secret_is_masked():
    command = ["x", "--api-key", "abc", "--password", "--verbose", "-n", "3", "--auth-token", "t"]
    masked = ["x", "--api-key", "***", "--password", "--verbose", "-n", "3", "--auth-token", "***"]
    assert masked_command(command) == masked


def test_asking_for_the_commit_holds_what_is_read_and_no_more(tmp_path):
    folder = tmp_path / "held"
    git(tmp_path, "init", "-q", str(folder))
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    commit_of(folder)
    tracemalloc.start()
    assert commit_of(folder)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**18

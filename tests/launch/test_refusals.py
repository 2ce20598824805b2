"""What is not ours is refused by every launch, in one sentence, before anything is written."""

import os

import numpy as np
import pytest

from tests.launch import prepared
from tests.launch.commands import TINY, command, usage_error
from tests.launch.prepared import (
    VICTIM,
    benchmark,
    cases,
    common,
    convert,
    degrade,
    evaluate,
    hard_link,
    hashed,
    image,
    kernel,
    link,
    note,
    table,
    text,
    texts,
    train,
)
from tests.trees import added, lost, snapshot


def solve(place, *flags, pattern="in/*.png"):
    """That of the other tests with a method that is built at once; it is refused before it has to solve."""
    return command("solve", TINY, "--scale=2", f"--input={place}/{pattern}", f"--workdir={place}/D", *flags)


# A line of a manifest of ours, of another image.
LINE = {
    "name": "x",
    "source": "/x.png",
    "family": "gaussian",
    "parameters": {},
    "seed": 1,
    "scale": 2,
    "kernel_size": 11,
    "noise_std": 0.0,
    "boundary": "circular",
    "kernel_center": "release",
    "sha256": "0",
}


def folder_of_links(place):
    image(place / "photos/p0.png")
    link(place / "D/images/p0.png", place / "photos/p0.png")


def a_lock(make):
    def prepare(place):
        (place / "D").mkdir()
        make(place / "D/.lock", place)

    return prepare


# What stands there before, the command, and what the sentence names.
REFUSED = {
    # Outputs that are inputs.
    "solve, images": (lambda p: image(p / "D/images/p0.png"), lambda p: solve(p, pattern="D/images/*.png"), "p0.png"),
    "solve, inputs": (lambda p: image(p / "D/inputs/p0.png"), lambda p: solve(p, pattern="D/inputs/*.png"), "p0.png"),
    "solve, figures": (lambda p: image(p / "D/figures/a.png"), lambda p: solve(p, pattern="D/figures/*"), "a.png"),
    "solve, unreadable": (lambda p: text(p / "D/images/p1.png"), lambda p: solve(p, pattern="D/images/*"), "p1.png"),
    "solve, links": (folder_of_links, lambda p: solve(p, pattern="D/images/*.png"), "p0.png"),
    "solve, kernel": (
        lambda p: kernel(p / "D/kernels/p0.npy"),
        lambda p: solve(p, f"--kernel={p}/D/kernels/p0.npy"),
        "kernels/p0.npy",
    ),
    "degrade, hr": (lambda p: image(p / "D/hr/p0.png", 0, 4), lambda p: degrade(p, pattern="D/hr/*.png"), "p0.png"),
    "degrade, lr": (lambda p: image(p / "D/lr/p0.png"), lambda p: degrade(p, pattern="D/lr/*.png"), "p0.png"),
    "make_cases": (
        lambda p: image(p / "D/hr_x2_gaussian/hr.png"),
        lambda p: cases(p, pattern="D/hr_x2_gaussian/hr.png"),
        "hr.png",
    ),
    "evaluate, truth": (
        lambda p: (image(p / "D/truth/p0.png"), kernel(p / "D/truth/p0.npy")),
        lambda p: evaluate(p, f"--hr={p}/D/truth", truth="D/truth"),
        "p0.png",
    ),
    "convert": (lambda p: text(p / "net.npz"), lambda p: convert(p, "net.npz", "net.npz"), "net"),
    "train_flow, kernels": (
        lambda p: text(p / "D/samples.png"),
        lambda p: train(p, f"--config.kernels={p}/D/samples.png"),
        "samples.png",
    ),
    # Folders of somebody's.
    "solve, config": (lambda p: text(p / "D/config.json", {"mine": 1}), solve, "config.json"),
    "solve, page": (lambda p: text(p / "D/index.html"), solve, "index.html"),
    "solve, table": (lambda p: text(p / "D/results.csv"), solve, "results.csv"),
    "solve, other images": (lambda p: text(p / "D/images/other.png"), solve, "other.png"),
    "solve, states": (lambda p: text(p / "D/state/mydata/thesis.txt"), solve, "state/mydata"),
    "solve, restart": (
        lambda p: text(p / "D/config.json", {"mine": 1}),
        lambda p: solve(p, "--restart"),
        "config.json",
    ),
    "solve, training": (
        lambda p: texts(p, {"config.json": {"num_epochs": 3, "batch_size": 2}, "state/0-000000001/d/x": VICTIM}),
        lambda p: solve(p, "--restart"),
        "config.json",
    ),
    "degrade, other": (lambda p: text(p / "D/lr/other.png"), degrade, "other.png"),
    "degrade, manifest": (lambda p: text(p / "D/manifest.json", {"mine": 1}), degrade, "manifest.json"),
    "degrade, names": (
        lambda p: text(p / "D/manifest.json", [{"name": "../../victim"}]),
        degrade,
        "manifest.json",
    ),
    "degrade, new name": (
        lambda p: texts(p, {"manifest.json": [LINE], "hr/p0.png": VICTIM}),
        degrade,
        "hr/p0.png",
    ),
    "degrade, note": (lambda p: text(p / "D/.unfinished.json"), degrade, ".unfinished.json"),
    "make_cases, own": (lambda p: text(p / "D/p0_x2_gaussian/lr.png"), cases, "lr.png"),
    "make_cases, list": (lambda p: text(p / "D/cases.json", {"mine": 1}), cases, "cases.json"),
    "table, own": (lambda p: text(p / "D/table.md"), table, "table.md"),
    "table, cells": (lambda p: text(p / "D/cells/notes.json", {"mine": 1}), table, "cells/notes.json"),
    "evaluate, own": (lambda p: text(p / "D/scores.json", {"mine": 1}), evaluate, "scores.json"),
    "evaluate, drawn": (lambda p: text(p / "D/truth/p0.png"), evaluate, "truth/p0.png"),
    "convert, own": (lambda p: np.savez(p / "out.npz", a=np.ones(3)), convert, "--output"),
    "convert, text": (lambda p: text(p / "out.npz"), convert, "--output"),
    "train_flow, samples": (
        lambda p: texts(p, {"samples.png": VICTIM, "state/mydata/thesis.txt": VICTIM}),
        train,
        "samples.png",
    ),
    "train_flow, states": (lambda p: text(p / "D/state/mydata/thesis.txt"), train, "state/mydata"),
    "train_flow, metrics": (lambda p: text(p / "D/metrics.jsonl"), train, "metrics.jsonl"),
    "train_flow, restart": (
        lambda p: texts(p, {"config.json": {"mine": 1}, "state/0-000000001/d/x": VICTIM}),
        lambda p: train(p, "--restart"),
        "config.json",
    ),
    "train_flow, other training": (
        lambda p: text(p / "D/config.json", {"num_epochs": 3, "widths": [8], "blocks": 2, "batch_size": 4}),
        lambda p: train(p, "--restart"),
        "config.json",
    ),
    "benchmark": (lambda p: text(p / "notes.json", {"mine": 1}), lambda p: benchmark(p, "notes.json"), "--json"),
    "bench_gpu": (
        lambda p: text(p / "D/report.md"),
        lambda p: command("bench_gpu", "--small", f"--workdir={p}/D"),
        "report.md",
    ),
    "demo": (lambda p: text(p / "D/index.html"), lambda p: command("demo", f"--workdir={p}/D"), "index.html"),
    "demo, photographs": (
        lambda p: text(p / "D/photographs/clock.png"),
        lambda p: command("demo", f"--workdir={p}/D"),
        "clock.png",
    ),
    # Links and prepared folders.
    "solve, state is a link": (lambda p: link(p / "D/state", p / "outside"), solve, "D/state"),
    "solve, state is dangling": (lambda p: link(p / "D/state", p / "nowhere"), solve, "D/state"),
    "solve, a state is a link": (lambda p: link(p / "D/state" / hashed("p0"), p / "outside"), solve, hashed("p0")),
    "solve, images is a link": (lambda p: link(p / "D/images", p / "outside"), solve, "D/images"),
    "solve, state is a file": (lambda p: text(p / "D/state"), solve, "D/state"),
    "solve, a note": (lambda p: note(p, "../../victim", "0"), lambda p: solve(p, "--restart"), "state/0"),
    "solve, a note of its digest": (
        lambda p: note(p, "../../victim"),
        lambda p: solve(p, "--restart"),
        hashed("../../victim"),
    ),
    "degrade, hr is a link": (lambda p: link(p / "D/hr", p / "outside"), degrade, "D/hr"),
    "make_cases, a case is a link": (lambda p: link(p / "D/p0_x2_gaussian", p / "outside"), cases, "p0_x2_gaussian"),
    "table, cells is a link": (lambda p: link(p / "D/cells", p / "outside"), table, "D/cells"),
    "evaluate, truth is a link": (lambda p: link(p / "D/truth", p / "outside"), evaluate, "D/truth"),
    "train_flow, state is a link": (lambda p: link(p / "D/state", p / "outside"), train, "D/state"),
    "lock, link": (a_lock(lambda lock, p: link(lock, p / "victim.txt")), solve, ".lock"),
    "lock, hard link": (a_lock(lambda lock, p: hard_link(lock, p / "victim.txt")), solve, ".lock"),
    "lock, dangling": (a_lock(lambda lock, p: link(lock, p / "nowhere")), solve, ".lock"),
    "lock, device": (a_lock(lambda lock, p: lock.symlink_to("/dev/null")), solve, ".lock"),
    "lock, folder": (a_lock(lambda lock, p: lock.mkdir()), solve, ".lock"),
    "lock, pipe": (a_lock(lambda lock, p: os.mkfifo(lock)), solve, ".lock"),
    "lock, text": (a_lock(lambda lock, p: text(lock)), solve, ".lock"),
    "lock, training": (a_lock(lambda lock, p: link(lock, p / "victim.txt")), train, ".lock"),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory, cached):
    """Each run with the folders before and after it."""
    places, before = {}, {}
    for name, (prepare, _, _) in REFUSED.items():
        places[name] = tmp_path_factory.mktemp("refused")
        common(places[name])
        prepare(places[name])
        before[name] = snapshot(places[name])
    runs = cached(*(call(places[name]) for name, (_, call, _) in REFUSED.items()))
    return {name: (places[name], before[name], run) for name, run in zip(REFUSED, runs, strict=True)}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_ours_is_refused_and_stays_as_it_was(refusals, name):
    place, before, run = refusals[name]
    after = snapshot(place)
    assert lost(before, after) == [] and added(before, after) == [], run
    sentence = usage_error(run)
    assert REFUSED[name][2] in sentence and "--" in sentence, sentence


def test_each_refusal_is_for_what_the_test_plants(refusals, tmp_path, cached):
    """The same commands run where nothing is planted, with a quick method and those that take seconds at least."""
    common(tmp_path)
    calls = prepared.solve, degrade, cases
    runs = cached(*(call(tmp_path, f"--workdir={tmp_path}/{i}") for i, call in enumerate(calls)), evaluate(tmp_path))
    assert [run.code for run in runs] == [0, 0, 0, 0], runs

"""A table of a paper as it is measured: cell by cell, written after each of them, gone on with where it was."""

import os
from collections.abc import Sequence
from typing import Any

from blindsr_jax.evaluation import ablation_figure, benchmark_sets, cells, paper_tables, reproduction, rivals
from blindsr_jax.evaluation.benchmark_sets import Group
from blindsr_jax.evaluation.protocols import Method
from blindsr_jax.runs import cli
from blindsr_jax.runs.compile_clock import CompileClock


class Measurement:
    """The rows and cells of a table so far, and what failed."""

    def __init__(
        self,
        folder: str,
        plan: reproduction.Plan,
        methods: Sequence[Method],
        cards: Sequence[rivals.Card],
        *,
        groups: Sequence[Group],
        missing: Sequence[str],
    ):
        """Nothing so far.

        Args:
          folder: of the table.
          plan: what is measured.
          methods: of it.
          cards: of other programs.
          groups: of test images, each of which `add` will get.
          missing: sets that are not there.
        """
        self.failures: list[dict[str, str]] = []  # images, cells, results of other programs
        self._folder, self._plan, self._methods, self._cards = folder, plan, methods, cards
        self._listed = reproduction.describe(plan, methods, cards)
        self._groups, self._missing = groups, missing
        self._sets: dict[Group, list[dict]] = {}
        self._rows: list[dict] = []
        self._cells: list[dict] = []
        estimates = "estimated_memory_mb" in plan.table.keys
        self._runner = cells.Runner(CompileClock().seconds, estimates_memory=estimates, scores=plan.scores)

    def _fail(self, what: str | os.PathLike, error: Exception) -> None:
        """Says on stderr what failed, and keeps it for the page."""
        self.failures.append({"what": os.path.basename(what), "message": cli.one_line(error)})
        cli.say_failure(what, error)

    def add(self, group: Group, data: str) -> None:
        """Measures what is missing of a group of test images, which are made in the folder first.

        Args:
          group: which.
          data: folder of the sets of sharp images.
        """
        plan, place = self._plan, os.path.join(self._folder, benchmark_sets.FOLDER)
        found = benchmark_sets.make(plan.table, group, plan.part, data=data, folder=place, on_error=self._fail)
        self._sets[group] = benchmark_sets.hashes(place, group, found)
        configs = reproduction.groups_configs(plan, group, self._methods)
        labels = {reproduction.name_of(m): m for m in self._methods if reproduction.name_of(m) in configs}
        labels |= dict.fromkeys(card.name for card in self._cards)
        spec = benchmark_sets.make_place(plan.table, group)[0]
        wanted = {"scores": plan.scores, "on_error": self._fail}
        own = list(rivals.score_all(self._cards, group, found, spec, **wanted))
        hashes = reproduction.weights_hashes(plan, group.scale, self._methods)
        todo = cells.all_cells(found, configs, num_seeds=plan.num_seeds, border=None, files=hashes)
        folder = os.path.join(self._folder, "cells")
        for cell, content, is_new in cells.fill(folder, todo, self._runner.run, scores=plan.scores):
            if isinstance(content, Exception):
                self._fail(cell.stem, content)
                continue
            own.append(content)
            if "psnr_y" not in content:
                self.failures.append({"what": cell.stem, "message": content["status"]})
            if is_new:
                self._write(paper_tables.make_rows(plan, group, own, labels), own)
                score = f"{content['psnr_y']:.2f} dB" if "psnr_y" in content else content["status"]
                print(f"{cell.stem}: {score}", flush=True)
        self._rows += paper_tables.make_rows(plan, group, own, labels)
        self._cells += own

    def write(self) -> str:
        """Writes the table, and the figure if it is an ablation; returns its Markdown."""
        if self._plan.table.axis is not None:
            ablation_figure.write(os.path.join(self._folder, "figure.png"), self._plan.table, self._rows)
        return self._write([], [])

    def _write(self, rows: list[dict[str, Any]], own: list[dict[str, Any]]) -> str:
        """With the rows and cells of a group that is not finished."""
        about = paper_tables.header(self._plan, self._groups, self._sets, self._missing)
        found = [*self._rows, *rows], [*self._cells, *own]
        return paper_tables.write(self._folder, self._plan, about, *found, self._listed, self.failures)

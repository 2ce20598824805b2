"""How long each form of the convolution takes for the layers of a network: what `imaging.conv.choose` rests on."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import jax

from blindsr_jax.benchmarks import flops, programs, timing
from blindsr_jax.benchmarks.programs import Case
from blindsr_jax.imaging.conv import METHODS
from blindsr_jax.solvers.memory import is_out_of_memory

FORMS = METHODS[1:]  # without 'auto'


def distinct_layers(case: Case) -> list[flops.ConvCall]:
    """The convolutions of a case's image network that are no plain matrix products, each shape once."""
    state = jax.eval_shape(case.solver.init, jax.random.key(0), case.problem, None)
    calls = flops.conv_calls(lambda s: case.image_model.predict(s, case.problem)[0], state.image_state)
    found = {(*call.shape, call.layer.features, call.layer.stride): call for call in calls if call.layer.size > 1}
    return list(found.values())


def _program(case: Case, call: flops.ConvCall, form: str, *, steps: int, together: int) -> timing.Program:
    layer = call.layer.clone(compute=call.layer.compute._replace(conv=form))
    calls = [call._replace(layer=layer)]
    size = {"steps": steps, "together": together}
    return programs.scan_program(case, programs.conv_body(calls), programs.conv_carry(calls), **size)


def _runs(case: Case, call: flops.ConvCall, *, steps: int, together: int) -> dict[str, Any]:
    runs = {}
    for form in FORMS:
        if form == "winograd" and call.layer.stride > 1:
            continue
        try:
            runs[form] = _program(case, call, form, steps=steps, together=together).runner()
            runs[form]()
        except jax.errors.JaxRuntimeError as error:
            runs.pop(form, None)
            if not is_out_of_memory(error):
                raise
    return runs


def measure_forms(case: Case, sizes: Sequence[int], *, steps: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Times all forms of each layer in turn, forward and with both gradients.

    Args:
      case: from `benchmarks.programs.make_case`.
      sizes: images at once, a network each: 1 without a vmap, others under one.
      steps: of a call.
      rounds: of two calls each.

    Yields:
      A row per layer and size: `layer`, `images`, and for each form the median milliseconds per image, None where
      memory does not hold it.
    """
    for call in distinct_layers(case):
        for size in sizes:
            together = case._replace(vectorize=size > 1)
            runs = _runs(together, call, steps=steps, together=size)
            times = timing.alternate(runs, rounds=rounds)
            (h, w, ci), layer = call.shape, call.layer
            name = f"{h} x {w}, {ci} to {layer.features}" + (", stride 2" if layer.stride == 2 else "")
            row = {form: 1e3 * median(times[form]) / steps / size if form in times else None for form in FORMS}
            yield {"layer": name, "images": size, **row}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table, the fastest form of each in bold."""
    lines = [["layer", "images", *FORMS], ["---"] * (2 + len(FORMS))]
    for row in rows:
        best = min(row[form] for form in FORMS if row[form] is not None)
        cells = ["-" if row[f] is None else f"{row[f]:.3g}" if row[f] > best else f"**{row[f]:.3g}**" for f in FORMS]
        lines.append([row["layer"], str(row["images"]), *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

"""Records of a benchmark: what is counted, what is divided by what, and a device whose memory ends."""

import jax
import jax.numpy as jnp
import pytest

from blindsr_jax.benchmarks import conv_forms, flops, timing
from blindsr_jax.benchmarks import programs as benchmark_programs
from blindsr_jax.benchmarks.timing import Program
from blindsr_jax.config import load_config

RATE = 1e9


@pytest.fixture(scope="module")
def case():
    return benchmark_programs.make_case(load_config("tests/launch/tiny.py"), hr_size=24, scale=2)


def image_state(case):
    return jax.eval_shape(lambda key: case.image_model.init(key, case.problem), jax.random.key(0))


def fake(case, step=0.1, together_limit=100, vectorize=False, now=None):
    """A bench whose programs take time by a clock that the test turns."""
    now = [0.0] if now is None else now

    def program(seconds):
        def call(carry):
            now[0] += seconds
            return carry + 1

        return Program(call, lambda: jnp.zeros(()), 5.0, 1000)

    def whole(together):
        if together > together_limit:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return program(step)

    parts = {"image_half": 0.08, "network": 0.06, "convolutions": 0.05}
    programs = {name: program(seconds) for name, seconds in parts.items()}
    return benchmark_programs.Bench("a", case._replace(vectorize=vectorize), 100, whole, lambda n: programs), now


def measure(monkeypatch, benches, num_images, now, parts=True):
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return benchmark_programs.measure(benches, num_images, steps=2, rounds=3, rate=lambda dtype: RATE, parts=parts)


def test_a_record_of_images_one_after_another(case, monkeypatch):
    bench, now = fake(case)
    (record,) = measure(monkeypatch, [bench], 3, now)
    assert record["seconds_per_step"] == pytest.approx(0.15)  # three calls of 0.1 s for two steps
    assert record["seconds_per_image"] == pytest.approx(0.15 * case.config.num_steps / 3)
    assert record["flops_per_step"] == 300 and record["matmul_share"] == pytest.approx(300 / 0.15 / RATE)
    wanted = {"convolutions": 0.05, "normalisation_elementwise": 0.01, "kernel_half": 0.02, "rest": 0.02}
    assert record["breakdown"] == pytest.approx({name: 3 / 2 * value for name, value in wanted.items()})
    facts = {"config": "a", "hr_size": 24, "scale": 2, "batch_size": 3, "dtype": "float32", "compile_seconds": 5.0}
    assert {name: record[name] for name in facts} == facts
    assert record["peak_memory_bytes"] == 1000 and record["device"].startswith("cpu")


def test_images_together_are_one_call(case, monkeypatch):
    bench, now = fake(case, vectorize=True)
    (record,) = measure(monkeypatch, [bench], 3, now)
    assert record["seconds_per_step"] == pytest.approx(0.05)


def test_where_memory_ends_there_are_no_numbers_and_others_go_on(case, monkeypatch):
    bench, now = fake(case, together_limit=1, vectorize=True)
    records = [measure(monkeypatch, [bench], n, now)[0] for n in (2, 1)]
    assert records[0]["seconds_per_step"] is None and "memory" in records[0]["message"]
    assert records[1]["seconds_per_step"] > 0 and "message" not in records[1]
    assert benchmark_programs.table(records).count("\n") == 3


def test_a_ratio_is_of_the_second_in_the_first(case, monkeypatch):
    first, now = fake(case, step=0.1)
    second, _ = fake(case, step=0.3, now=now)
    records = measure(monkeypatch, [first, second], 1, now, parts=False)
    ratio = records[0]["compare"]
    assert ratio["ratio"] == pytest.approx(3) and ratio["lowest"] <= ratio["ratio"] <= ratio["highest"]
    assert "compare" not in records[1]


def test_programs_are_timed_forwards_and_backwards():
    order = []
    times = timing.alternate({name: lambda name=name: order.append(name) for name in "ab"}, rounds=2)
    assert order == list("ab" + "abba" * 2)
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}


def test_convolutions_alone_train_and_keep_their_shapes(case):
    layers = flops.conv_calls(lambda s: case.image_model.predict(s, case.problem)[0], image_state(case))
    assert layers[0].shape == (*case.problem.canvas_shape,)
    body, carry = benchmark_programs.conv_body(layers[:2]), benchmark_programs.conv_carry(layers[:2])
    program = benchmark_programs.scan_program(case, body, carry, steps=2, together=1)
    before, after = program.carry(), program.call(program.carry())
    assert jax.tree.map(jnp.shape, before) == jax.tree.map(jnp.shape, after) and program.memory_bytes > 0
    assert all(bool((a != b).any()) for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True))


def test_the_rate_of_a_matrix_product_is_counted_right(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(ticks)))
    assert timing.matmul_rate("float32", size=8, repeats=3) == 2 * 2 * 8**3  # two products in the one second


@pytest.mark.long
def test_forms_are_timed_for_each_layer_that_has_them(case, monkeypatch):
    monkeypatch.setattr(conv_forms, "FORMS", ("direct", "winograd"))
    shapes = [(call.shape, call.layer.stride) for call in conv_forms.distinct_layers(case)]
    assert len(shapes) == len(set(shapes)) == 3  # one level: down, encode, decode
    rows = list(conv_forms.measure_forms(case, (2,), steps=1, rounds=1))
    assert [row["images"] for row in rows] == [2, 2, 2] and all(row["direct"] > 0 for row in rows)
    assert [row["winograd"] is None for row in rows] == [stride == 2 for _, stride in shapes]
    lines = conv_forms.table(rows).splitlines()
    assert len(lines) == 5 and all(line.count("**") == 2 for line in lines[2:]) and " - |" in lines[2]

"""The record of an image: what a solve says of it in WORKDIR/records/NAME.json and in results.json.

The keys are the fields of `Record`, in their order, each with what its value must be; a new key is one field.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints

import jax

import blindsr_jax
from blindsr_jax import io
from blindsr_jax.imaging.problem import Spec, Status
from blindsr_jax.io import documents, durable
from blindsr_jax.io.documents import Key, list_of, mapping_of, nullable, number, object_of, one_of, stem, text, whole
from blindsr_jax.runs.schemas import BOUNDARY, CENTER, SEED

_OUTPUTS = mapping_of(object_of({"bytes": Key(whole(1, 2**53)), "sha256": Key(text)}))


def later(kind: documents.Kind) -> Key:
    """A key that records of earlier versions lack."""
    return Key(kind, is_required=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """What is said of one image; null, or left out where null is no value of a key, stands for what is not known."""

    name: Annotated[str, Key(stem)]
    status: Annotated[Status, Key(one_of(*Status))] = Status.FAILED
    message: Annotated[str, Key(text)] = ""  # sentences for a person
    scale: Annotated[int, Key(whole(1, 8))]
    boundary: Annotated[str, Key(BOUNDARY)]
    kernel_center: Annotated[str, Key(CENTER)]
    config: Annotated[str, Key(text)]  # its name
    seed: Annotated[int, Key(SEED)]
    seconds: Annotated[float | None, Key(nullable(number))] = None  # without compiling
    compile_seconds: Annotated[float | None, Key(nullable(number))] = None
    steps: Annotated[int, Key(whole(0, 2**53))] = 0
    loss: Annotated[float | None, Key(nullable(number))] = None  # of the last step
    confidence: Annotated[float | None, Key(nullable(number))] = None
    versions: Annotated[Mapping[str, str], Key(mapping_of(text))]
    input: Annotated[str | None, later(text)] = None  # absolute path
    sha256: Annotated[str | None, later(nullable(text))] = None  # of the input
    # File below WORKDIR -> what it must hold; null where there is none.
    outputs: Annotated[Mapping[str, Mapping[str, Any]] | None, later(nullable(_OUTPUTS))] = None
    families: Annotated[Mapping[str, float] | None, later(nullable(mapping_of(number)))] = None  # name -> probability
    width_px: Annotated[float | None, later(nullable(number))] = None  # median, the root of half the covariance's trace
    width_px_80: Annotated[Sequence[float] | None, later(nullable(list_of(number)))] = None  # the 80 % interval
    direction_deg: Annotated[float | None, later(nullable(number))] = None  # of the longer axis, counter-clockwise
    direction_deg_80: Annotated[Sequence[float] | None, later(nullable(list_of(number)))] = None
    noise_std: Annotated[float | None, later(nullable(number))] = None  # [0, 1], what the solver was told
    jpeg_quality: Annotated[int | None, later(nullable(whole(1, 100)))] = None  # of the file that the image is from
    residual_rms_255: Annotated[float | None, later(nullable(number))] = None  # result blurred and sampled, to input
    uncertainty: Annotated[float | None, later(number)] = None  # mean over the image, where a method knows it
    others: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # keys that another version has written

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The record that a document holds which is of the kind RECORD."""
        known = {name: value for name, value in document.items() if name in KEYS}
        others = {name: value for name, value in document.items() if name not in KEYS}
        return cls(**known | {"status": Status(document["status"])}, others=others)

    def to_json(self) -> dict[str, Any]:
        """The document of a record."""
        values = {name: getattr(self, name) for name in KEYS}
        known = {name: value for name, value in values.items() if value is not None or KEYS[name].kind(None) is None}
        return known | dict(self.others)

    def noted(self, *notes: str) -> Self:
        """A record with sentences added to its message."""
        return dataclasses.replace(self, message="; ".join(filter(None, (self.message, *notes))))


KEYS: dict[str, Key] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Record, include_extras=True).items()
    if hasattr(hint, "__metadata__")
}
RECORD = object_of(KEYS)
RECORDS = list_of(RECORD)  # results.json


def new_record(name: str, *, spec: Spec, config: str, seed: int, **known: Any) -> Record:
    """The record of an image that has no result yet; `known` are other fields of `Record`."""
    return Record(
        name=name,
        scale=spec.scale,
        boundary=spec.boundary,
        kernel_center=spec.kernel_center,
        config=config,
        seed=seed,
        versions={"blindsr_jax": blindsr_jax.__version__, "jax": jax.__version__},
        **known,
    )


def record_path(workdir: str, name: str) -> str:
    """WORKDIR/records/NAME.json."""
    return os.path.join(workdir, "records", name + ".json")


def read_record(path: str | os.PathLike) -> Record | None:
    """The record in a file; a damaged one counts as missing."""
    document = documents.read(path, RECORD)
    return None if document is None else Record.from_document(document)


def read_records(workdir: str) -> dict[str, Record]:
    """All records in WORKDIR/records by name; a damaged one counts as missing."""
    paths = Path(workdir, "records").glob("*.json")
    return {path.stem: record for path in paths if (record := read_record(path)) and record.name == path.stem}


def write_record(workdir: str, record: Record) -> None:
    """Writes WORKDIR/records/NAME.json."""
    io.write_json(record_path(workdir, record.name), record.to_json())


def in_order(records: Iterable[Record]) -> list[Record]:
    """Records in the order of results.json."""
    return sorted(records, key=lambda record: (record.input or "", record.name))


def require_records(workdir: str) -> list[Record]:
    """The records in WORKDIR/results.json; those of WORKDIR/records where they are too many for one document.

    Raises:
      InputError: there are none.
    """
    path, expected = os.path.join(workdir, "results.json"), "the records of a solve were expected"
    if durable.size(path) > documents.LIST_BYTES:
        return in_order(read_records(workdir).values())
    found = documents.require(path, RECORDS, expected, limit=documents.LIST_BYTES)
    return [Record.from_document(document) for document in found]

"""Entropic Student as a folder: spec, weights, tables of the prior."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from rdc.codec.exported import named_weights, with_weights
from rdc.entropy_coders.tables import CdfTables
from rdc.entropy_models.factorized_prior import FactorizedPrior
from rdc.errors import ConfigError, StorageError
from rdc.layers import Network, ParameterFactory
from rdc.split.latents import LatentMethod
from rdc.split.specs import StudentSpec
from rdc.system.arrays import npz_bytes
from rdc.system.files import read_json, write_bytes_atomically, write_json_atomically

SPEC_FILE, WEIGHTS_FILE = "student.json", "weights.npz"
SCHEMA_VERSION = 1
STAGE = 1  # of the teacher, whose output the decoder stands for
_TABLES = "tables."


class Student(nnx.Module):
    """Encoder, prior and decoder of one spec."""

    def __init__(self, spec: StudentSpec, parameters: ParameterFactory):
        self.spec = spec
        self.encoder: Network = spec.encoder(parameters)
        self.prior = FactorizedPrior(parameters, spec.latent_channels)
        self.decoder: Network = spec.decoder(parameters)

    def method(
        self,
        teacher: Any,
        setting: str,
        name: str = "student",
        tables: CdfTables | None = None,
    ) -> LatentMethod:
        """The student before a teacher's tail.

        Args:
          name: `end_to_end` where the same networks and the tail were trained together.
          tables: of the prior, where they are stored.
        """
        return LatentMethod(
            name,
            setting,
            encoder=self.encoder,
            prior=self.prior,
            decoder=self.decoder,
            teacher=teacher,
            first_tail_stage=STAGE + 1,
            tables=tables,
        )


def save(student: Student, method: LatentMethod, folder: Path) -> None:
    """Writes what `load` reads: `method` is of `student`."""
    arrays = {
        **named_weights(nnx.state(student)),
        **{_TABLES + key: value for key, value in method.tables.to_arrays().items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(folder / WEIGHTS_FILE, npz_bytes(arrays))
    write_json_atomically(
        folder / SPEC_FILE,
        {
            "schema_version": SCHEMA_VERSION,
            "spec": student.spec.to_dict(),
            "name": method.name,
            "setting": method.setting,
            "method_id": method.method_id,
        },
    )


def load(folder: Path, teacher: Any) -> LatentMethod:
    """A saved student before a teacher's tail, ready to encode and to answer.

    Raises:
      ConfigError: no student there, or one of another version.
      StorageError: its files do not belong together.
    """
    if not (folder / SPEC_FILE).is_file():
        raise ConfigError("a student is a folder with student.json", folder)
    stored = read_json(folder / SPEC_FILE)
    if stored["schema_version"] != SCHEMA_VERSION:
        raise ConfigError(
            f"this program reads students of version {SCHEMA_VERSION}",
            stored["schema_version"],
        )
    try:
        with np.load(io.BytesIO((folder / WEIGHTS_FILE).read_bytes())) as file:
            arrays = dict(file)
        tables = CdfTables.from_arrays(
            {
                key.removeprefix(_TABLES): value
                for key, value in arrays.items()
                if key.startswith(_TABLES)
            }
        )
        spec = StudentSpec.from_dict(stored["spec"])
        student = with_weights(Student(spec, ParameterFactory(None)), arrays)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(folder, error) from error
    method = student.method(teacher, stored["setting"], stored["name"], tables)
    if method.method_id != stored["method_id"]:
        raise _damaged(folder, f"weights of {method.method_id}")
    return method


def _damaged(folder: Path, found: object) -> StorageError:
    return StorageError(
        f"the files of the student in {folder} belong together",
        found,
        "copy the folder again",
    )

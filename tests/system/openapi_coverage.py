#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""openapi_coverage.py FOLDER: compares what the tests saw of the API with api/openapi.yaml, after all of them have run.

FOLDER holds the files that support/openapi.py wrote ($HARBINGER_OPENAPI_SEEN): lines `OPERATION STATUS`. Exit code 1
when an operation or a status of the specification was produced by no test, or a status was seen that it does not list.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.openapi import PATH, SPEC  # noqa: E402


def main():
    folder = pathlib.Path(sys.argv[1])
    seen = {(line.split()[0], int(line.split()[1])) for path in folder.glob("*.seen")
            for line in path.read_text(encoding="utf-8").splitlines()}
    promised = {(operation.id, status) for operation in SPEC.operations for status in SPEC.responses(operation)}
    for operation, status in sorted(promised - seen):
        print(f"{PATH.name}: no test produced {operation} {status}")
    for operation, status in sorted(seen - promised):
        print(f"{PATH.name}: does not list {operation} {status}, which a test produced")
    print(f"{len(promised & seen)} of {len(promised)} answers of {len(SPEC.operations)} operations were produced")
    return 0 if seen and seen == promised else 1


if __name__ == "__main__":
    sys.exit(main())

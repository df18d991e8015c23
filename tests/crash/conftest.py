# SPDX-License-Identifier: Apache-2.0
"""The crash tests use the server and the API client of the system tests (tests/system/support)."""
import pathlib
import sys

_HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "system")]

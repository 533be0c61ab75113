"""Formats of exported networks by name, for command lines, without torch."""

from __future__ import annotations

from typing import Final

FORMATS: Final = {"pt2": "network.pt2", "torchscript": "network.ts", "onnx": "network.onnx"}
"""Default name of the file per format."""

"""Ground truth of mbe_automation: energies and forces of frames, saved by many processes at the same time.

mbe_automation reads and writes the file as before, under the lock that both sides share.
"""

from __future__ import annotations

from ._ground_truth import Frames, FrameStatus, GroundTruth, Saved, ground_truth
from ._mbe_patch import patch, unpatch

__all__ = ["FrameStatus", "Frames", "GroundTruth", "Saved", "ground_truth", "patch", "unpatch"]

"""Where a head looks, from its five landmarks."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.values import Landmarks

_POINTS: Final = np.array(
    [[-19.6, 0.0, 0.0], [19.6, 0.0, 0.0], [0.0, 20.5, -13.0], [-17.1, 35.7, 0.0], [17.1, 35.7, 0.0]]
)
"""x right, y down, z away from the camera, in pixels of the 112x112 crop. x and y are the rounded
mean of frontal photographs as the detector's teacher marks them; the nose stands out by about 21 mm
where the pupils are 64 mm apart."""

MEAN_HEAD: Final[NDArray[np.float64]] = _POINTS - _POINTS.mean(axis=0)
"""float64 `(5, 3)`, the landmarks of a mean head about their centre."""

_TO_CAMERA: Final = np.linalg.pinv(MEAN_HEAD)


def head_pose(landmarks: Landmarks) -> tuple[float, float, float]:
    """(yaw, pitch, roll) in degrees, (0, 0, 0) for an upright face that looks into the camera.

    Yaw is positive when the nose points to the right of the image, pitch when it points up, roll
    when the head leans clockwise in the image. The camera is taken as a scaled orthographic one and
    fitted to a mean head by least squares; the nearest rotation is the pose (the first step of
    POSIT, DeMenthon and Davis, IJCV 1995). The mean head bounds the accuracy to some ten degrees.
    Landmarks that show no face (not finite, or on a line) count as turned away by 90 degrees.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        return 90.0, 0.0, 0.0
    camera = (_TO_CAMERA @ (points - points.mean(axis=0))).T
    left, scales, right = np.linalg.svd(camera, full_matrices=False)
    if scales[1] < 1e-3 * max(float(scales[0]), 1e-3):
        return 90.0, 0.0, 0.0
    first, second = left @ right
    third = np.cross(first, second)
    # The head's own nose direction is -z: what it became is minus the third column.
    nose_x, nose_y, nose_z = -first[2], -second[2], -third[2]
    yaw = math.atan2(nose_x, -nose_z)
    pitch = math.atan2(-nose_y, math.hypot(nose_x, nose_z))
    # Roll is the turn that is left when yaw and pitch are undone: seen at the head's x axis.
    level = np.array([math.cos(yaw), 0.0, math.sin(yaw)])
    up = np.cross([nose_x, nose_y, nose_z], level)
    axis = np.array([first[0], second[0], third[0]])
    roll = math.atan2(-float(axis @ up), float(axis @ level))
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)

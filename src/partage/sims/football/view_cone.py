"""Who sees whom: a cone that turns with the viewer's motion (BDPS App. A.2).

The functions are pure and take any leading axes. A viewer at p that faces along f sees a point q
within the radius and the angle, both borders included:

    |q - p| <= radius    and    angle between f and q - p <= angle / 2

A point where the viewer stands is seen, whatever it faces; and a viewer that faces nowhere (f = 0)
sees all around.
"""

import math

import numpy as np
from jaxtyping import Bool, Float64

RADIUS = 0.84  # the field's width, 2 x 0.42   (BDPS App. A.2)
ANGLE = 200.0  # degrees, in all   (BDPS App. A.2)
# displacement of a step below which one stands: the engine's players tremble, 1e-17 to 1e-5
STILL = 1e-4
ROUNDING = 1e-9  # what lies on a border is seen, however its coordinates were rounded


def seen(
    place: Float64[np.ndarray, "*X N 2"],
    facing: Float64[np.ndarray, "*X N 2"],
    others: Float64[np.ndarray, "*X M 2"],
    radius: float = RADIUS,
    angle: float = ANGLE,
) -> Bool[np.ndarray, "*X N M"]:
    """Return whether viewer n sees point m. `angle` is the whole cone's, in degrees.

    >>> ahead, further, behind = [0.84, 0.0], [0.85, 0.0], [-0.5, 0.0]
    >>> seen(np.zeros((1, 2)), np.array([[1.0, 0.0]]), np.array([ahead, further, behind]))
    array([[ True, False, False]])
    """
    to = others[..., None, :, :] - place[..., :, None, :]
    x, y, fx, fy = to[..., 0], to[..., 1], facing[..., 0, None], facing[..., 1, None]
    gap = np.sqrt(x * x + y * y)
    length = np.sqrt(fx * fx + fy * fy)
    ahead = x * fx + y * fy >= (math.cos(math.radians(angle / 2)) * gap - ROUNDING) * length
    return ahead & (gap <= radius + ROUNDING)


def turned(
    facing: Float64[np.ndarray, "*X 2"], motion: Float64[np.ndarray, "*X 2"]
) -> Float64[np.ndarray, "*X 2"]:
    """Return where to face next: along the motion; who stands keeps facing where it did."""
    moving = (motion * motion).sum(-1, keepdims=True) >= STILL * STILL
    return np.where(moving, motion, facing)

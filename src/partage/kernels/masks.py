"""A learned mask in one pass over memory: weights shrunk by each set's thresholds, and gradients.

R runs, S sets, P weights of a layer laid end to end.
"""

import numpy as np

from partage.kernels import compiled
from partage.kernels.pointwise import ONE, sigmoid

ZERO = np.float32(0)


@compiled
def shrink_rows(weight, thresholds, out):
    """Write ``sign(w) max(|w| - sigmoid(s), 0)``: w of ``[R, P]``, s of ``[R, S, P]``."""
    for r in range(thresholds.shape[0]):
        w = weight[r]
        for k in range(thresholds.shape[1]):
            s, o = thresholds[r, k], out[r, k]
            for j in range(len(w)):
                left = abs(w[j]) - sigmoid(s[j])
                o[j] = np.copysign(max(left, ZERO), w[j])


@compiled
def shrink_gradients(weight, thresholds, d_out, d_weight, d_thresholds):
    """Add to ``d_weight [R, P]``, set after set, and write ``d_thresholds [R, S, P]``.

    Where a set cuts a weight neither has a gradient from it.
    """
    for r in range(thresholds.shape[0]):
        w, dw = weight[r], d_weight[r]
        for k in range(thresholds.shape[1]):
            s, g, ds = thresholds[r, k], d_out[r, k], d_thresholds[r, k]
            for j in range(len(w)):
                t = sigmoid(s[j])
                kept = g[j] if abs(w[j]) > t else ZERO
                dw[j] += kept
                ds[j] = -np.copysign(kept, kept * w[j]) * t * (ONE - t)

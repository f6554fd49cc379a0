"""Compiled code for the CPU: NumPy arrays in and out.

`partage.nn` calls it, and holds one twin in plain torch for each kernel, which other devices use
and the tests compare it with:

=================  ====================================  ==============================
kernel             twin                                  compared in
=================  ====================================  ==============================
`mlp`,             `partage.nn.dense.apply_layers_torch` ``tests/test_dense.py``
`mlp_backward`
`gru`              `partage.nn.gru.run_gru_torch`        ``tests/test_gru.py``
`routing`          `partage.nn.routed.RoutedQ`, which    ``tests/test_routing.py``
                   elsewhere computes all and selects
`histories`        a row for every agent, in             ``tests/test_bdps.py``
                   `partage.learners._bdps_groups`
`mixing`           `partage.nn.mixer.mix_torch`          ``tests/test_mixer.py``
`masks`            `partage.nn.masks.shrink_torch`       ``tests/test_derived.py``
`pointwise`        `partage.nn.pointwise`, function by   ``tests/test_pointwise.py``
                   function
`playing`          `partage.rl.rollout`, with the        ``tests/test_playing.py``
                   policies of the learners
=================  ====================================  ==============================

(`playing` acts by `policies`: `acting` has the layers, `choices` what is chosen of their values,
`roles` BDPS's own. `auto_encoder` runs on the CPU alone; its test trains the same network in torch.
`gemm` is what the others multiply with.) Where a function takes several arrays they come as a
NamedTuple, whose fields say their shapes.

Fast-math flags are limited to those under which every lane and every loop remainder computes the
same bits.
"""

from pathlib import Path

from partage import _jit

SOURCES = _jit.digest(Path(__file__).parent.glob("*.py"))
FAST_MATH = frozenset({"contract", "nsz", "nnan", "ninf"})

compiled = _jit.compiler(SOURCES, fastmath=set(FAST_MATH))
inlined = _jit.compiler(SOURCES, fastmath=set(FAST_MATH), inline="always")
careful = _jit.compiler(SOURCES)  # for what has to tell numbers from what are none

"""Claims of figures.toml: what is said, and how it is judged (standard library only)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from partage.config.schema import as_table, each_once, strict
from partage.errors import UserError, one_of

CLAIMS = (
    "better",
    "grows",
    "settles",
    "negative",
    "informative",
)  # how one is judged: `partage.analysis.claims`
OURS = "ours"  # the source of a claim that no text of a paper makes


class Claim(NamedTuple):
    """What a paper says of a figure, or we do, and how it is judged."""

    says: str
    kind: str  # one of CLAIMS
    of: str  # the algorithm it is about
    than: list[str]  # better: the algorithms it is compared with
    metrics: list[str]  # the curves it is about; better: the figure's own if none is named
    source: str = OURS  # which passage of which paper says so, in our words; or OURS


def read_claim(
    entry: Any, where: str, algorithms: Sequence[str], drawn: Sequence[str], curves: Sequence[str]
) -> Claim:
    """Return one claim of a figure that has these algorithms.

    `drawn` are the metrics on which algorithms can be compared, `curves` all that the figure has.
    Raises `UserError` for what does not belong in a claim.
    """
    kinds = {"says": str, "kind": str, "of": str, "source": str}
    kinds |= {"than": list[str], "metrics": list[str]}
    strict(as_table(entry, f"{where} claims"), kinds, f"{where} claims", ["says", "kind", "of"])
    claim = Claim(**({"than": [], "metrics": []} | entry))
    one_of("kind of claim", claim.kind, CLAIMS, f"{where} claims")
    needed, metrics = ("than", drawn) if claim.kind == "better" else ("metrics", curves)
    if not entry.get(needed):
        raise UserError(f"{where}: a claim of kind {claim.kind!r} lacks {needed!r}.")
    if not claim.source.strip():
        raise UserError(f"{where}: a claim's source is a passage of a paper, or {OURS!r}.")
    each_once([claim.of, *claim.than], "of and than", f"{where} claims")
    each_once(claim.metrics, "metrics", f"{where} claims")
    for algorithm in (claim.of, *claim.than):
        one_of("algorithm", algorithm, algorithms, f"{where} claims")
    for metric in claim.metrics:
        one_of("metric", metric, metrics, f"{where} claims")
    return claim

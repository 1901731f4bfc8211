"""How far the training rows may be from those of the deployment sites. No threshold has a default."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Effect = Annotated[float, Field(strict=True, gt=0, lt=1)]


class RepresentativenessPolicy(BaseModel):
    """The largest effects that are allowed, each between 0 (the same distribution) and 1 (nothing in common).

    `label_prior`, `slice_shares` and `predictions` are Cramer's V of the shares of labels, of a slice column's values
    and of the parent's answers; `outputs` is Kolmogorov-Smirnov's D of the parent's outputs. A set differs where an
    effect is larger than allowed and shown at `confidence` for all tests together (Holm).
    `on_mismatch` fail stops before anything is trained, warn goes to the log and the reports.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    label_prior: Effect
    slice_shares: Effect
    predictions: Effect
    outputs: Effect
    confidence: Annotated[float, Field(strict=True, gt=0.5, lt=1)]
    on_mismatch: Literal["warn", "fail"]

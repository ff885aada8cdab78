"""Sizes of the networks. Light: standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from meshcli.errors import UsageError

Kind = Literal["mesh", "nerf"]


@dataclass(frozen=True)
class VitSizes:
    """The picture encoder: ViT-B/16 at 224 pixels, as DINO was trained (Caron et al. 2021, arXiv:2104.14294)."""

    hidden: int = 768
    layers: int = 12
    heads: int = 12
    inner: int = 3072
    patch: int = 16  # pixels
    image: int = 224  # pixels: the size that the position embeddings were learnt at


@dataclass(frozen=True)
class Sizes:
    """The settings under `model_config.params` of InstantMesh's files; those that every file has are required."""

    kind: Kind
    transformer_dim: int
    transformer_layers: int
    transformer_heads: int
    triplane_low_res: int
    triplane_high_res: int  # in every file and never used: planes are twice `triplane_low_res` wide
    triplane_dim: int
    rendering_samples_per_ray: int
    grid_res: int = 128  # cells along a side; mesh only
    grid_scale: float = 2.1  # length of the grid's side in the world; mesh only
    encoder_feat_dim: int = 768
    vit: VitSizes = VitSizes()

    @property
    def plane(self) -> int:
        """Texels along a side of a feature plane."""
        return 2 * self.triplane_low_res

    @classmethod
    def from_table(cls, kind: Kind, table: Mapping[str, Any], source: str) -> Self:
        """Parse `model_config.params`; UsageError names a setting that is missing, unknown or of the wrong type."""
        known = {field.name: field for field in fields(cls) if field.name not in ("kind", "vit")}
        accepted = known.keys() | {"encoder_freeze", "encoder_model_name"}
        if unknown := sorted(table.keys() - accepted, key=str):
            raise UsageError(f"{source}: model_config.params has no setting {unknown[0]}; known: {', '.join(known)}")
        values: dict[str, Any] = {}
        for name in known.keys() & table.keys():
            value = table[name]
            whole = known[name].type is int
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not 0 < value < 10**6:
                kind_of_number = "a whole number" if whole else "a number"
                raise UsageError(
                    f"{source}: model_config.params.{name} must be {kind_of_number} above 0, not {value!r}"
                )
            values[name] = value
        required = [name for name in known if name not in ("grid_res", "grid_scale", "encoder_feat_dim")]
        if missing := [name for name in required if name not in values]:
            raise UsageError(f"{source}: model_config.params lacks {missing[0]}")
        return cls(kind, **values)

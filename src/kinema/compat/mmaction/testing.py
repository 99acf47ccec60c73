"""`mmaction.testing`, thin over Kinema."""

from kinema.compat.parts.checking import check_norm_state, generate_backbone_demo_inputs

__all__ = [
    "check_norm_state",
    "generate_backbone_demo_inputs",
]

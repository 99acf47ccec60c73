"""`mmaction.models.heads.trn_head`, thin over Kinema."""

from kinema.models.heads import RelationModule, RelationModuleMultiScale, TRNHead

__all__ = ["RelationModule", "RelationModuleMultiScale", "TRNHead"]

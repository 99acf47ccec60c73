"""What people look at: plots and the report page."""

from kinema.report.contact_sheet import SheetClip, Strip, Version, write_contact_sheet
from kinema.report.page import Section, Tile, write_report
from kinema.report.strips import ModelViews, model_views

__all__ = [
    "ModelViews",
    "Section",
    "SheetClip",
    "Strip",
    "Tile",
    "Version",
    "model_views",
    "write_contact_sheet",
    "write_report",
]

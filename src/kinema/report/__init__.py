"""What people look at: plots and the report page."""

from kinema.report.contact_sheet import SheetClip, Strip, Version, write_contact_sheet
from kinema.report.page import ShownClip, write_report
from kinema.report.strips import ModelViews, model_views

__all__ = [
    "ModelViews",
    "SheetClip",
    "ShownClip",
    "Strip",
    "Version",
    "model_views",
    "write_contact_sheet",
    "write_report",
]

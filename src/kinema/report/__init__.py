"""What people look at: plots and the report page."""

from kinema.report.page import ShownClip, write_report

__all__ = ["ShownClip", "write_report"]

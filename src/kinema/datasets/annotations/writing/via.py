"""Segments as a project of the VGG Image Annotator 3 (video), whose "Open" reads it.

Source: the documentation of the JSON projects of VIA 3.
"""

from pathlib import PurePath
from typing import Any

from kinema.datasets.annotations.writing.request import WriteRequest
from kinema.datasets.annotations.writing.texts import address_of, decimal_seconds, json_text, label_text

_VIDEO, _BY_ADDRESS, _SELECT = 4, 2, 4  # its numbers for a kind of file, a place of it, a kind of attribute
_URI_FILE = 3
_ATTRIBUTE = "1"


def via_file(request: WriteRequest) -> str:
    """A project with the temporal segments of all videos; the classes are the options of one attribute."""
    options = {str(number): label_text(label) for number, label in enumerate(request.labels)}
    option_of = {label: str(number) for number, label in enumerate(request.labels)}
    files: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for number, video in enumerate(request.videos, start=1):
        address = address_of(video)
        files[str(number)] = {
            "fid": str(number),
            "fname": PurePath(video).name,
            "type": _VIDEO,
            "loc": _URI_FILE if address.startswith("file:") else _BY_ADDRESS,
            "src": address,
        }
        for place, segment in enumerate(request.segments[video], start=1):
            metadata[f"{number}_{place:08d}"] = {
                "vid": str(number),
                "flg": 0,
                "z": [decimal_seconds(segment.start_seconds), decimal_seconds(segment.end_seconds)],
                "xy": [],
                "av": {_ATTRIBUTE: option_of[segment.label]},
            }
    return json_text(
        {
            "project": {
                "pid": "__VIA_PROJECT_ID__",
                "rev": "__VIA_PROJECT_REV_ID__",
                "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
                "pname": request.path.stem,
                "creator": "Kinema",
                "created": 0,
                "vid_list": list(files),
            },
            "config": {
                "file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}},
                "ui": {
                    "file_content_align": "center",
                    "file_metadata_editor_visible": True,
                    "spatial_metadata_editor_visible": True,
                    "temporal_segment_metadata_editor_visible": True,
                    "spatial_region_label_attribute_id": "",
                    "gtimeline_visible_row_count": "4",
                },
            },
            "attribute": {
                _ATTRIBUTE: {
                    "aname": "class",
                    "anchor_id": "FILE1_Z2_XY0",
                    "type": _SELECT,
                    "desc": "",
                    "options": options,
                    "default_option_id": "",
                }
            },
            "file": files,
            "view": {number: {"fid_list": [number]} for number in files},
            "metadata": metadata,
        }
    )

"""Segments as an annotation document of ELAN (.eaf), with a tier for each class.

Source: the schema EAFv3.0.xsd of the Max Planck Institute for Psycholinguistics.
"""

import mimetypes
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from urllib.parse import quote

from kinema.datasets.annotations.writing.request import WriteRequest, layers_by_label
from kinema.datasets.annotations.writing.texts import address_of, has_scheme, label_text, whole_milliseconds
from kinema.structures.segment import Segment

_TYPE = "segments"  # the linguistic type of all tiers


def elan_file(request: WriteRequest) -> str:
    """The document; annotations of a class that overlap are on further tiers, as ELAN allows none on one."""
    video, segments = request.only_video("ELAN")
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "Kinema",
            "DATE": "1970-01-01T00:00:00+00:00",  # the same segments give the same file
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
        },
    )
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if video:
        media = ElementTree.SubElement(
            header, "MEDIA_DESCRIPTOR", MEDIA_URL=address_of(video), MIME_TYPE=_mime_type(video)
        )
        if not has_scheme(video):
            beside = os.path.relpath(video, request.path.parent)
            media.set("RELATIVE_MEDIA_URL", quote(os.fsencode(beside if beside.startswith("..") else f"./{beside}")))
    _add_tiers(root, segments)
    ElementTree.SubElement(
        root, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID=_TYPE, TIME_ALIGNABLE="true"
    )
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add_tiers(root: ElementTree.Element, segments: Sequence[Segment]) -> None:
    slots = ElementTree.SubElement(root, "TIME_ORDER")
    times: list[tuple[int, ElementTree.Element, str]] = []
    number = 0
    for label, layer, own in layers_by_label(segments):
        name = label_text(label)
        tier = ElementTree.SubElement(
            root, "TIER", LINGUISTIC_TYPE_REF=_TYPE, TIER_ID=name if not layer else f"{name} ({layer + 1})"
        )
        for segment in own:
            number += 1
            annotation = ElementTree.SubElement(
                ElementTree.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", ANNOTATION_ID=f"a{number}"
            )
            start = whole_milliseconds(segment.start_seconds)
            times.append((start, annotation, "TIME_SLOT_REF1"))
            times.append((max(whole_milliseconds(segment.end_seconds), start + 1), annotation, "TIME_SLOT_REF2"))
            ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = name
    for place, (milliseconds, annotation, role) in enumerate(sorted(times, key=lambda time: time[0]), start=1):
        ElementTree.SubElement(slots, "TIME_SLOT", TIME_SLOT_ID=f"ts{place}", TIME_VALUE=str(milliseconds))
        annotation.set(role, f"ts{place}")


def _mime_type(video: str) -> str:
    kind = mimetypes.guess_type(video, strict=True)[0]
    return kind if kind is not None and kind.startswith("video/") else "video/*"

"""Suffixes of video files, for whatever looks for videos in folders, lists and archives."""

# What FFmpeg reads by itself: containers, and streams without one. `.ogg` is sound nearly always,
# `.lrv` is a small copy of the `.mp4` beside it, `.dat` and `.ps` are anything; `.ts` is MPEG-TS
# here, so a TypeScript file among videos is reported as a broken clip.
_SUFFIXES = """
.3g2 .3gp .3gpp .amv .asf .avi .avs2 .dav .divx .dv .dvr-ms .evo .f4v .flc .fli .flv .gif .gxf .insv
.ismv .ivf .k3g .m1v .m2p .m2t .m2ts .m2v .m4v .mj2 .mjp .mjpeg .mjpg .mk3d .mkv .mod .mov .mp2v
.mp4 .mp4v .mpe .mpeg .mpg .mpv .mpv2 .mqv .mts .mxf .nsv .nut .nuv .obu .ogm .ogv .pva .qt .rm
.rmvb .roq .swf .tod .tp .trp .ts .vob .vro .webm .wm .wmv .wtv .xvid .y4m
.264 .265 .avc .h261 .h263 .h264 .h265 .h26l .hevc
"""
VIDEO_SUFFIXES = frozenset(_SUFFIXES.split())


def has_video_suffix(name: str) -> bool:
    """Is this the name of a video, in any case of letters?"""
    _, point, suffix = name.rpartition("/")[2].rpartition(".")
    return bool(point) and f".{suffix.lower()}" in VIDEO_SUFFIXES

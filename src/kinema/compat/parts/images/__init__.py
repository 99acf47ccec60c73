"""Image functions of `mmcv`: arrays of (H, W, C), in OpenCV's BGR order unless said otherwise."""

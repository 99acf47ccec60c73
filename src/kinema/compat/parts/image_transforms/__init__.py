"""`mmcv.transforms`: transforms of one image, `results["img"]`, with its boxes, key points and segmentation.

They have names of Kinema's transforms of clips, and a registry of their own: see `registry`.
Images are (H, W, C) in BGR order. The keys of a sample: `img`, `img_shape` (H, W), `gt_bboxes`
(N, 4) left, top, right, bottom, `gt_keypoints` (N, K, 3) x, y, visibility, `gt_seg_map` (H, W).
"""

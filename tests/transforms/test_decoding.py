import av
import cv2
import numpy as np
import pytest

from kinema.errors import SampleValueError, VideoError
from kinema.transforms import (
    ArrayDecode,
    BuildPseudoClip,
    DecodeVideo,
    Flip,
    FormatShape,
    ImageDecode,
    LoadRGBFromFile,
    OpenVideo,
    RawFrameDecode,
)
from kinema.transforms.decoding import read_image
from kinema.video import VideoReader


@pytest.fixture
def frame_folder(tmp_path):
    """Frames 1 to 6 whose pixels are (10 i, 20 i, 30 i) in RGB, and flow frames of level 7 i and 9 i."""
    for i in range(1, 7):
        image = np.full((8, 10, 3), (10 * i, 20 * i, 30 * i), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"img_{i:05}.png"), image[..., ::-1])
        for axis, level in (("x", 7 * i), ("y", 9 * i)):
            cv2.imwrite(str(tmp_path / f"flow_{axis}_{i:05d}.png"), np.full((8, 10), level, dtype=np.uint8))
    return tmp_path


def sample_of(folder, indices, template="img_{:05}.png", **keys):
    return {
        "frame_dir": str(folder),
        "filename_tmpl": template,
        "frame_inds": np.array(indices),
        "modality": "RGB",
        **keys,
    }


def test_frames_of_a_folder_are_read_in_the_order_chosen(frame_folder):
    result = RawFrameDecode()(sample_of(frame_folder, [3, 1, 3]))
    assert [frame[0, 0].tolist() for frame in result["imgs"]] == [[30, 60, 90], [10, 20, 30], [30, 60, 90]]
    assert result["img_shape"] == result["original_shape"] == (8, 10)
    result["imgs"][0][:] = 0
    assert result["imgs"][2][0, 0].tolist() == [30, 60, 90]


def test_an_offset_is_added_to_the_numbers_of_the_files(frame_folder):
    assert RawFrameDecode()(sample_of(frame_folder, [1], offset=4))["imgs"][0][0, 0].tolist() == [50, 100, 150]


def test_flow_pairs_become_two_channels(frame_folder):
    result = RawFrameDecode()(sample_of(frame_folder, [2, 5], "flow_{}_{:05d}.png", modality="Flow"))
    assert [frame[0, 0].tolist() for frame in result["imgs"]] == [[14, 18], [35, 45]]


def test_frames_of_an_array_are_chosen():
    array = np.arange(5 * 4 * 6 * 3, dtype=np.uint8).reshape(5, 4, 6, 3)
    result = ArrayDecode()({"array": array, "frame_inds": np.array([4, 0]), "modality": "RGB"})
    assert np.array_equal(result["imgs"], array[[4, 0]])
    assert result["img_shape"] == (4, 6)
    flow = ArrayDecode()({"array": array[..., :2], "frame_inds": np.array([4, 0]), "modality": "Flow"})
    assert [frame.shape for frame in flow["imgs"]] == [(4, 6)] * 4
    assert np.array_equal(flow["imgs"][3], array[0, ..., 1])


def test_an_image_becomes_a_clip(frame_folder):
    sample = ImageDecode()({"filename": str(frame_folder / "img_00002.png")})
    assert (len(sample["imgs"]), sample["img_shape"]) == (1, (8, 10))
    clip = BuildPseudoClip(4)(sample)
    assert (len(clip["imgs"]), clip["clip_len"], clip["num_clips"]) == (4, 4, 1)
    assert clip["imgs"][3][0, 0].tolist() == [20, 40, 60]


def test_mirrored_flow_changes_its_sign_along_x():
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 2), dtype=np.uint8)
    stacked = Flip(1.0)({"imgs": frames, "modality": "Flow"})["imgs"]
    expected = frames[:, :, ::-1].copy()
    expected[..., 0] = 255 - expected[..., 0]
    assert np.array_equal(np.stack(stacked), expected)
    interleaved = Flip(1.0)({"imgs": [frames[0, ..., 0], frames[0, ..., 1]], "modality": "Flow"})["imgs"]
    assert np.array_equal(np.stack(interleaved, axis=-1), expected[0])
    with pytest.raises(ValueError, match="optical flow can be mirrored horizontally only"):
        Flip(1.0, "vertical")({"imgs": frames, "modality": "Flow"})


def test_flow_frames_of_a_clip_become_channels():
    frames = np.random.default_rng(0).integers(0, 256, (15, 4, 5, 2), dtype=np.uint8)
    result = FormatShape("NCHW")({"imgs": list(frames), "clip_len": 5, "modality": "Flow"})
    assert result["imgs"].shape == result["input_shape"] == (3, 10, 4, 5)
    assert np.array_equal(result["imgs"][1, 3], frames[6, ..., 1])


def test_a_photo_taken_sideways_is_turned_upright(tmp_path):
    picture = np.zeros((16, 32, 3), dtype=np.uint8)
    picture[:, :16] = 255
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    # An EXIF segment with one entry: orientation (0x0112) is 6, "turn by 90 degrees to the right".
    entry = bytes.fromhex("0112000300000001") + bytes.fromhex("00060000")
    exif = b"Exif\0\0" + b"MM\0*" + (8).to_bytes(4, "big") + (1).to_bytes(2, "big") + entry + bytes(4)
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + segment + jpeg[2:])
    upright = read_image(tmp_path / "a.jpg")
    assert upright.shape == (32, 16, 3)
    assert upright[:12].min() > 200
    assert upright[20:].max() < 50


def test_boxes_become_pixels_when_the_size_is_known(frame_folder):
    boxes = np.array([[0.1, 0.25, 0.5, 1.0]])
    result = RawFrameDecode()(sample_of(frame_folder, [1], gt_bboxes=boxes, proposals=boxes))
    for key in ("gt_bboxes", "proposals"):
        assert (result[key].dtype, result[key].tolist()) == (np.float32, [[1, 2, 5, 8]])


def test_frames_that_are_not_there_are_named(frame_folder):
    array = np.zeros((5, 4, 6, 3), dtype=np.uint8)
    with pytest.raises(SampleValueError, match="frame 5 was chosen of an array of 5 frames, numbered from 0"):
        ArrayDecode()({"array": array, "frame_inds": np.array([1, 5])})
    for decode, keys in ((ArrayDecode(), {"array": array}), (RawFrameDecode(), sample_of(frame_folder, []))):
        with pytest.raises(SampleValueError, match="no frames were chosen: frame_inds is empty"):
            decode({**keys, "frame_inds": np.array([], dtype=int)})


def test_pillow_reads_the_same_pixels_and_names_what_it_cannot_read(frame_folder, tmp_path):
    with_pillow = RawFrameDecode(decoding_backend="pillow")
    for keys in ({}, {"modality": "Flow", "filename_tmpl": "flow_{}_{:05d}.png"}):
        frames = with_pillow({**sample_of(frame_folder, [2, 3]), **keys})["imgs"]
        expected = RawFrameDecode()({**sample_of(frame_folder, [2, 3]), **keys})["imgs"]
        np.testing.assert_array_equal(frames, expected)
    image = ImageDecode(decoding_backend="pillow")({"filename": str(frame_folder / "img_00002.png")})
    assert image["imgs"][0][0, 0].tolist() == [20, 40, 60]
    (tmp_path / "half.png").write_bytes((frame_folder / "img_00002.png").read_bytes()[:40])
    with pytest.raises(VideoError, match=r"half\.png: expected an image file that Pillow reads"):
        read_image(tmp_path / "half.png", library="pillow")


def test_bad_input_is_named(frame_folder, tmp_path):
    with pytest.raises(VideoError, match=r"img_00009\.png: the image cannot be read: No such file"):
        RawFrameDecode()(sample_of(frame_folder, [9]))
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(VideoError, match=r"text\.png: expected an image file"):
        read_image(tmp_path / "text.png")
    with pytest.raises(
        ValueError, match="io_backend must be 'disk' and decoding_backend 'cv2' or 'pillow', got 'petrel' and 'cv2'"
    ):
        RawFrameDecode("petrel")
    with pytest.raises(ValueError, match="BuildPseudoClip repeats one image, got 2"):
        BuildPseudoClip(4)({"imgs": [0, 0]})
    with pytest.raises(ValueError, match="clip_len must be at least 1, got 0"):
        BuildPseudoClip(0)


def test_good_frames_take_the_place_of_damaged_ones_when_asked_for(tmp_path, make_video):
    video = tmp_path / "cut.mp4"
    make_video(video, num_frames=30)
    with av.open(str(video)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    content = bytearray(video.read_bytes())
    for packet in packets[12:]:
        content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    sound = VideoReader(video).get_batch(range(30))
    video.write_bytes(content)

    def decoded(errors):
        sample = OpenVideo(errors=errors)({"filename": str(video)})
        return DecodeVideo()({**sample, "frame_inds": np.arange(30)})

    with pytest.raises(VideoError, match="cut.mp4"):
        decoded("strict")
    sample = decoded("keep-good")
    wrong = [i for i in range(30) if not np.array_equal(sample["imgs"][i], sound[i])]
    assert sample["num_replaced_frames"] == len(wrong)
    assert 0 < len(wrong) < 30
    assert all(any(np.array_equal(sample["imgs"][i], frame) for frame in sound) for i in wrong)
    assert "num_replaced_frames" not in OpenVideo()({"filename": str(make_video())})
    with pytest.raises(ValueError, match="OpenVideo: errors must be 'strict' or 'keep-good', got 'skip'"):
        OpenVideo(errors="skip")


def test_a_video_is_decoded_by_the_library_asked_for_and_in_the_size_asked_for(make_video):
    sample = {"filename": str(make_video(size=(64, 48)))}
    frames = np.array([3, 11])
    exact = DecodeVideo()({**OpenVideo()(dict(sample)), "frame_inds": frames})
    by_opencv = DecodeVideo()({**OpenVideo(backend="opencv")(dict(sample)), "frame_inds": frames})
    assert np.allclose(by_opencv["imgs"], exact["imgs"], atol=1)
    small = DecodeVideo()({**OpenVideo(short_side=24)(dict(sample)), "frame_inds": frames})
    assert small["imgs"].shape == (2, 24, 32, 3)
    assert small["original_shape"] == (24, 32)
    assert np.allclose(small["imgs"].mean((1, 2)), exact["imgs"].mean((1, 2)), atol=2)


def test_a_name_without_suffix_is_itself_where_there_is_such_a_file(make_video, tmp_path):
    video = make_video(tmp_path / "3f2a9c.mp4")
    for name in ("3f2a9c", "v.b"):  # the first by the added suffix
        sample = OpenVideo().transform({"filename": str(tmp_path / name)})
        assert sample["total_frames"] == 20
        video.rename(tmp_path / "v.b")
        video = tmp_path / "v.b"
    video.rename(tmp_path / "v.c.mp4")
    assert OpenVideo().transform({"filename": str(tmp_path / "v.c")})["total_frames"] == 20
    with pytest.raises(VideoError, match=r"absent\.mp4: no such file"):
        OpenVideo().transform({"filename": str(tmp_path / "absent")})
    with pytest.raises(VideoError, match=r"absent\.x: no such file"):
        OpenVideo().transform({"filename": str(tmp_path / "absent.x")})


def test_frames_of_another_kind_are_refused(frame_folder) -> None:
    for decode, sample in (
        (RawFrameDecode(), sample_of(frame_folder, [1], modality="Depth")),
        (ArrayDecode(), {"array": np.zeros((2, 4, 4, 3)), "frame_inds": [0], "modality": "Depth"}),
    ):
        with pytest.raises(SampleValueError, match="modality must be 'RGB' or 'Flow', got 'Depth'"):
            decode(sample)


def test_an_image_for_transforms_of_images_is_read(frame_folder):
    path = str(frame_folder / "img_00002.png")
    result = LoadRGBFromFile()({"img_path": path})
    assert (result["img"].dtype, result["img"][0, 0].tolist()) == (np.uint8, [20, 40, 60])
    assert result["img_shape"] == result["ori_shape"] == (8, 10)
    assert LoadRGBFromFile(to_float32=True)({"img_path": path})["img"].dtype == np.float32
    assert LoadRGBFromFile(color_type="grayscale")({"img_path": path})["img"].shape == (8, 10)


def test_an_image_that_cannot_be_read_is_named_or_left_out():
    with pytest.raises(VideoError, match=r"absent\.png: the image cannot be read"):
        LoadRGBFromFile()({"img_path": "absent.png"})
    assert LoadRGBFromFile(ignore_empty=True)({"img_path": "absent.png"}) is None
    with pytest.raises(ValueError, match="color_type must be 'color' or 'grayscale', got 'unchanged'"):
        LoadRGBFromFile(color_type="unchanged")
    with pytest.raises(ValueError, match="imdecode_backend 'cv2', got 'disk' and 'pillow'"):
        LoadRGBFromFile(imdecode_backend="pillow")
